//! Every published system at a size that the f64 interpreter runs in milliseconds, with weights that hide nothing.

use crate::draw::Draw;
use golf_core::model::config::{Bigram, Trigram};
use golf_core::model::presets::{PRESETS, model};
use golf_core::model::{ModelConfig, parameters};
use golf_core::tensor::Tensor;
use std::collections::BTreeMap;

/// Vocabulary of all small models.
pub const VOCAB: usize = 41;

/// Every preset made small, and one model with what no preset has: shared trigrams, an untied head, an odd layer.
pub fn small_models() -> Vec<(String, ModelConfig)> {
    let mut models: Vec<_> = PRESETS.iter().map(|name| ((*name).to_owned(), small(name))).collect();
    let extra = ModelConfig {
        layers: 3,
        trigram: Trigram::P1019,
        bigram: Bigram::V1,
        tied: false,
        kv_share: 1,
        ..small("pr264")
    };
    models.push(("shared trigrams".to_owned(), extra));
    models
}

/// The structure of a preset with four layers of 32 channels.
fn small(name: &str) -> ModelConfig {
    let full = model(name).expect("a listed preset exists");
    let small = ModelConfig {
        vocab: VOCAB,
        layers: 4,
        dim: 32,
        heads: 4,
        kv_heads: full.kv_heads / 2,
        hidden: 40,
        bigram_buckets: full.bigram_buckets.min(29),
        bigram_dim: full.bigram_dim.min(8),
        trigram_buckets: full.trigram_buckets.min(31),
        trigram_dim: full.trigram_dim.min(8),
        ve_layers: if full.ve_layers.is_empty() { vec![] } else { vec![2, 3] },
        ve_dim: full.ve_dim.min(8),
        xsa_last_n: full.xsa_last_n.min(3),
        rope_dims: if full.rope_dims == 16 { 4 } else { 8 },
        rope_train_len: 8,
        ..full
    };
    small.check().expect("a small preset is valid");
    small
}

/// Random weights of every parameter, none of them zero: matrices of unit gain, everything else around one.
pub fn random_weights(config: &ModelConfig, seed: u64) -> BTreeMap<String, Tensor> {
    let mut draw = Draw::new(seed);
    let weights = parameters(config).into_iter().map(|p| {
        let tensor = match p.shape.as_slice() {
            [_, cols] => draw.floats(&p.shape, (1.0 / *cols as f64).sqrt()),
            shape => draw.between(shape, 0.5, 1.5),
        };
        (p.name, tensor)
    });
    weights.collect()
}
