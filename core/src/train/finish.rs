//! The end of a run, in the published order: choose the averaged weights, calibrate, prune, quantize, compress, write.
//!
//! Which weights are exported follows from the recipe alone, never from a validation loss. Everything here is a
//! deterministic function of the final states.

use super::error::TrainError;
use super::recipe::Recipe;
use super::trainer::Progress;
use crate::artifact::{Artifact, ArtifactTensor, Limits, Provenance};
use crate::backend::Backend;
use crate::compress::calibrate::rows_of;
use crate::compress::prune::to_target;
use crate::compress::round::{Task, round_all};
use crate::compress::{Calibration, Method};
use crate::data::TokenStream;
use crate::durable;
use crate::model::calibration::Depth;
use crate::model::{ModelConfig, Param, Role, parameters};
use crate::optim::average_name;
use crate::quant::entropy::order_zero_bytes;
use crate::quant::prune::{is_prunable, prune};
use crate::quant::{Exported, Storage};
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

/// Makes the averages of every parameter the backend's parameters.
pub async fn load_averages(backend: &mut dyn Backend, model: &ModelConfig) -> Result<(), TrainError> {
    for param in parameters(model) {
        let average = backend.read_state(&average_name(&param.name)).await?;
        backend.write_state(&param.name, &average)?;
    }
    Ok(())
}

/// What the chosen weights do to training text, if the recipe's method asks for that. The weights become the backend's
/// parameters; `stream` goes on by the rows that were read.
pub async fn calibrate(
    backend: &mut dyn Backend,
    model: &ModelConfig,
    recipe: &Recipe,
    weights: &BTreeMap<String, Vec<f32>>,
    stream: &mut TokenStream,
) -> Result<Option<Calibration>, TrainError> {
    if recipe.method == Method::Nearest {
        return Ok(None);
    }
    for param in parameters(model) {
        backend.write_state(&param.name, &Tensor::f32(&param.shape, weights[&param.name].clone()))?;
    }
    let (seq, rows) = (recipe.train_seq_len, recipe.calibration_rows);
    let tokens: Vec<i32> = stream.take(rows * seq + 1)?.into_iter().map(i32::from).collect();
    let rows = rows_of(&tokens, seq, rows)?;
    Ok(Some(Calibration::collect(backend, model, &rows, Depth::Inputs).await?))
}

/// Prunes and quantizes `weights` by the recipe. Its method is for matrices of linear layers; tables are rounded to
/// nearest.
pub fn quantize(
    model: &ModelConfig,
    recipe: &Recipe,
    mut weights: BTreeMap<String, Vec<f32>>,
    calibration: Option<&Calibration>,
) -> Result<Vec<ArtifactTensor>, TrainError> {
    let params: BTreeMap<String, Param> =
        parameters(model).into_iter().map(|p| (p.name.clone(), p)).collect();
    for (name, values) in &mut weights {
        if recipe.prune_fraction > 0.0 && is_prunable(&params[name].shape, recipe.prune_above_elements) {
            prune(values, recipe.prune_fraction);
        }
    }
    let mut tasks: Vec<Task<'_>> = Vec::with_capacity(weights.len());
    for (name, values) in &weights {
        let Param { shape, role, .. } = &params[name];
        let storage = recipe.export.route(name, shape, recipe.passthrough_max_elements, model.layers);
        let linear = matches!(role, Role::Matrix | Role::Projection);
        let method = if linear { recipe.method } else { Method::Nearest };
        tasks.push(Task { name, shape, values, storage, method });
    }
    let exported = round_all(&tasks, calibration)?;
    let tensor = |(name, exported): (String, Exported)| {
        let shape = params[&name].shape.clone();
        ArtifactTensor::from_exported(name, shape, exported)
    };
    Ok(exported.into_iter().map(tensor).collect())
}

/// Rows of a matrix that a size prediction looks at.
const SAMPLED_ROWS: usize = 64;
/// Bytes of an artifact beside tensors and tokenizer: header, table, configuration.
const OVERHEAD: f64 = 2_000.0;

/// Predicted bytes of the artifact if it were written now: entropy of the integers of a sample of every matrix's rows
/// under the export's grid, and plain tensors as they are. No encoder runs, so it is cheap, and a few per cent off.
pub fn predicted_bytes<'a>(
    model: &ModelConfig,
    recipe: &Recipe,
    weights: impl Fn(&str) -> Option<&'a Tensor>,
    tokenizer_bytes: usize,
) -> f64 {
    let mut bytes = OVERHEAD + tokenizer_bytes as f64;
    for Param { name, shape, .. } in parameters(model) {
        let elements = shape.iter().product::<usize>();
        let storage = recipe.export.route(&name, &shape, recipe.passthrough_max_elements, model.layers);
        let (Storage::Quantized(scheme), &[rows, cols]) = (storage, &shape[..]) else {
            bytes += elements as f64 * if storage == Storage::Fp32 { 4.0 } else { 2.0 };
            continue;
        };
        let Some(tensor) = weights(&name) else { continue };
        let (values, stride) = (tensor.to_f32(), rows.div_ceil(SAMPLED_ROWS).max(1));
        let sample: Vec<f32> =
            values.chunks(cols.max(1)).step_by(stride).flat_map(|row| row.iter().copied()).collect();
        let seen = sample.len() / cols.max(1);
        let entropy = order_zero_bytes(&scheme.quantize(&[seen, cols], &sample).q);
        bytes += entropy * rows as f64 / seen.max(1) as f64 + 2.0 * rows as f64;
    }
    bytes
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

/// Compresses the artifact, prunes it to the recipe's target where that is needed and possible, and replaces `path` with
/// it; what was written, and its size in bytes.
pub fn write(artifact: Artifact, recipe: &Recipe, path: &Path) -> Result<(Artifact, u64), TrainError> {
    let mut written = (artifact.encode()?, artifact);
    let target = recipe.target_bytes;
    if target > 0
        && written.0.len() as u64 > target
        && let Some(pruned) = to_target(&written.1, &BTreeMap::new(), target)?
    {
        written = (pruned.file, pruned.artifact);
    }
    let (bytes, artifact) = written;
    durable::replace(path, &bytes)
        .map_err(|source| TrainError::Write { path: path.to_path_buf(), source })?;
    Ok((artifact, bytes.len() as u64))
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
