//! The end of a run, in the published order: choose the averaged weights, prune, quantize, compress, write.
//!
//! Which weights are exported follows from the recipe alone, never from a validation loss. Everything here is a
//! deterministic function of the final states.

use super::error::TrainError;
use super::recipe::Recipe;
use super::trainer::Progress;
use crate::artifact::{Artifact, ArtifactTensor, Limits, Provenance, TensorData};
use crate::backend::Backend;
use crate::durable;
use crate::model::{ModelConfig, parameters};
use crate::optim::average_name;
use crate::quant::prune::{is_prunable, prune};
use crate::quant::{Exported, Scales, export};
use crate::tensor::Tensor;
use crate::tokenizer::Tokenizer;
use std::collections::BTreeMap;
use std::path::Path;

/// Which weights a run exports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The exponential average.
    Ema,
    /// The uniform average of snapshots.
    Swa,
    /// The weights themselves.
    Live,
}

impl Source {
    /// The choice for a recipe at a point of its run: EMA before SWA, and SWA only with more than one snapshot.
    pub fn choose(recipe: &Recipe, progress: Progress) -> Source {
        if recipe.ema_enabled && progress.averaged > 0 {
            Source::Ema
        } else if recipe.swa_enabled && !recipe.ema_enabled && progress.averaged > 1 {
            Source::Swa
        } else {
            Source::Live
        }
    }

    /// Name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Source::Ema => "ema",
            Source::Swa => "swa",
            Source::Live => "live",
        }
    }
}

/// The chosen weights of every parameter, in f32.
pub async fn weights(
    backend: &mut dyn Backend,
    model: &ModelConfig,
    source: Source,
) -> Result<BTreeMap<String, Vec<f32>>, TrainError> {
    let mut weights = BTreeMap::new();
    for param in parameters(model) {
        let state = if source == Source::Live { param.name.clone() } else { average_name(&param.name) };
        let values = backend.read_state(&state).await?.to_f32();
        weights.insert(param.name, values);
    }
    Ok(weights)
}

/// Prunes and quantizes `weights` by the recipe.
pub fn quantize(
    model: &ModelConfig,
    recipe: &Recipe,
    mut weights: BTreeMap<String, Vec<f32>>,
) -> Result<Vec<ArtifactTensor>, TrainError> {
    let shapes: BTreeMap<String, Vec<usize>> =
        parameters(model).into_iter().map(|p| (p.name, p.shape)).collect();
    for (name, values) in &mut weights {
        if recipe.prune_fraction > 0.0 && is_prunable(&shapes[name], recipe.prune_above_elements) {
            prune(values, recipe.prune_fraction);
        }
    }
    let params = weights.iter().map(|(name, values)| (name.as_str(), &shapes[name][..], &values[..]));
    let exported = export(params, recipe.export, recipe.passthrough_max_elements, model.layers)?;
    let tensor = |(name, exported): (String, Exported)| {
        let shape = shapes[&name].clone();
        ArtifactTensor { name, shape, data: stored(exported) }
    };
    Ok(exported.into_iter().map(tensor).collect())
}

/// An exported tensor as the artifact holds it. Artifacts quantize matrices only, so anything else that an exporter
/// quantized is kept as the f32 values that it stands for.
fn stored(exported: Exported) -> TensorData {
    match exported {
        Exported::F32(values) => TensorData::F32(values),
        Exported::F16(values) => TensorData::F16(values),
        Exported::Quantized(scheme, quantized) => match quantized.scales {
            Scales::PerRow(scales) => TensorData::Quantized { bits: scheme.bits(), q: quantized.q, scales },
            Scales::Half(_) | Scales::Single(_) => TensorData::F32(quantized.dequantize()),
        },
    }
}

/// What an artifact says about its origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Hash of model and recipe.
    pub config_hash: String,
    /// Identity of the training shards.
    pub data: String,
}

/// The structure that the artifact of a run states: its window is the length of the training rows.
pub fn exported_config(model: &ModelConfig, recipe: &Recipe) -> ModelConfig {
    ModelConfig { window: recipe.train_seq_len, ..model.clone() }
}

/// Puts tensors, tokenizer and origin together.
pub fn assemble(
    model: &ModelConfig,
    recipe: &Recipe,
    tensors: Vec<ArtifactTensor>,
    tokenizer: Option<&Tokenizer>,
    origin: &Origin,
) -> Artifact {
    Artifact {
        config: exported_config(model, recipe),
        tensors,
        tokenizer: tokenizer.map(Tokenizer::to_compact),
        tokenizer_identity: tokenizer.map(Tokenizer::identity),
        provenance: Some(Provenance {
            trainer: Some(concat!("golf ", env!("CARGO_PKG_VERSION")).to_owned()),
            config_hash: Some(origin.config_hash.clone()),
            data_hash: Some(origin.data.clone()),
            seed: Some(recipe.seed.to_string()),
            ..Provenance::default()
        }),
    }
}

/// Compresses the artifact and replaces `path` with it; its size in bytes.
pub fn write(artifact: &Artifact, path: &Path) -> Result<u64, TrainError> {
    let bytes = artifact.encode()?;
    durable::replace(path, &bytes)
        .map_err(|source| TrainError::Write { path: path.to_path_buf(), source })?;
    Ok(bytes.len() as u64)
}

/// Reads the artifact at `path` and puts its weights on `backend`, so that what is evaluated is what the file holds.
pub fn load_back(backend: &mut dyn Backend, path: &Path) -> Result<Artifact, TrainError> {
    let read = |source| TrainError::ReadBack { path: path.to_path_buf(), source };
    let artifact = Artifact::decode(&std::fs::read(path).map_err(read)?, &Limits::default())?;
    for tensor in &artifact.tensors {
        let values: Tensor = tensor.to_f32();
        backend.write_state(&tensor.name, &values)?;
    }
    Ok(artifact)
}
