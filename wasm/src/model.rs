//! An artifact as a session keeps it, and as the page shows it.

use crate::failure::Failure;
use golf_core::artifact::{Limits, Provenance, TensorSummary, decode_with_summary};
use golf_core::digest::sha256_hex;
use golf_core::eval::ModelWeights;
use golf_core::model::ModelConfig;
use golf_core::tokenizer::Tokenizer;
use serde::Serialize;

/// Window of models that do not state theirs, in tokens.
const DEFAULT_WINDOW: usize = 1024;

/// What scoring and writing need.
pub(crate) struct Model {
    pub weights: ModelWeights,
    pub tokenizer: Tokenizer,
    pub window: usize,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ModelInfo {
    bytes: u64,
    sha256: String,
    params: u64,
    bits_per_weight: f64,
    window: usize,
    vocab: usize,
    config: ModelConfig,
    tensors: Vec<TensorInfo>,
    provenance: Provenance,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TensorInfo {
    name: String,
    shape: Vec<usize>,
    bits: u32,
    codec: &'static str,
    raw_bytes: u64,
    stored_bytes: f64,
}

impl From<TensorSummary> for TensorInfo {
    fn from(tensor: TensorSummary) -> Self {
        let TensorSummary { name, shape, bits, raw_bytes, codec, estimated_bytes, .. } = tensor;
        Self { name, shape, bits, codec, raw_bytes, stored_bytes: estimated_bytes.round() }
    }
}

impl Model {
    pub fn decode(bytes: &[u8]) -> Result<(Model, ModelInfo), Failure> {
        let (artifact, summary) = decode_with_summary(bytes, &Limits::default())?;
        let compact = artifact.tokenizer.as_deref().ok_or(Failure::NoTokenizer)?;
        let tokenizer = Tokenizer::from_compact(compact)?;
        let (pieces, vocab) = (tokenizer.len(), artifact.config.vocab);
        if pieces > vocab {
            return Err(Failure::Vocabulary { pieces, vocab });
        }
        let window = if artifact.config.window == 0 { DEFAULT_WINDOW } else { artifact.config.window };
        let info = ModelInfo {
            bytes: bytes.len() as u64,
            sha256: sha256_hex(bytes),
            params: summary.parameters,
            bits_per_weight: 8.0 * bytes.len() as f64 / summary.parameters as f64,
            window,
            vocab,
            config: summary.config,
            tensors: summary.tensors.into_iter().map(TensorInfo::from).collect(),
            provenance: summary.provenance.unwrap_or_default(),
        };
        Ok((Model { weights: ModelWeights::from_artifact(&artifact)?, tokenizer, window }, info))
    }
}
