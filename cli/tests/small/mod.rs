//! A small artifact that needs no training, and a text of its kind.

use golf_core::artifact::{Artifact, ArtifactTensor, TensorData};
use golf_core::model::{ModelConfig, Param, parameters};
use golf_core::tokenizer::train_bpe;

/// A text that its tokenizer was trained on.
pub const TEXT: &str = "the cat and the dog and the bird sat in the sun; 12 of them, and one cat more. ";

/// An artifact of two small layers with arbitrary weights and a tokenizer of its own.
pub fn artifact() -> Vec<u8> {
    let tokenizer = train_bpe([TEXT.repeat(8).as_str()], 280).expect("the text has enough pairs");
    let config = ModelConfig {
        vocab: 280,
        layers: 2,
        dim: 32,
        heads: 4,
        kv_heads: 2,
        hidden: 48,
        rope_dims: 8,
        window: 16,
        ..ModelConfig::default()
    };
    let mut seed = 1u64;
    let mut weight = move || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 40) as f32 / (1u64 << 24) as f32 * 0.5 - 0.25
    };
    let tensor = |p: Param| {
        let data = TensorData::F32((0..p.numel()).map(|_| weight()).collect());
        ArtifactTensor { name: p.name, shape: p.shape, data }
    };
    let mut tensors: Vec<ArtifactTensor> = parameters(&config).into_iter().map(tensor).collect();
    tensors.sort_by(|a, b| a.name.cmp(&b.name));
    let (compact, identity) = (Some(tokenizer.to_compact()), Some(tokenizer.identity()));
    let artifact =
        Artifact { config, tensors, tokenizer: compact, tokenizer_identity: identity, provenance: None };
    artifact.encode().expect("a small artifact is within every limit")
}
