//! Weights as plain floats out of any file that holds a model: an artifact, a checkpoint of a run, safetensors, a torch
//! file.
//!
//! Invariant: the weights are exactly the configuration's parameters. What a file does not say about its model comes from
//! flags; artifacts, checkpoints and exported safetensors say it themselves.

use crate::cmd::assumptions::AssumptionFlags;
use crate::cmd::load::{self, LoadError};
use golf_core::artifact::{Artifact, Limits, Provenance};
use golf_core::digest::sha256_hex;
use golf_core::import::shapes::{ShapeError, derive, inventory};
use golf_core::import::{self, ImportError, Rounding, import_bytes};
use golf_core::model::{ModelConfig, Param, parameters};
use golf_core::optim::average_name;
use golf_core::tensor::Tensor;
use golf_core::tokenizer::Tokenizer;
use golf_core::train::checkpoint::{Checkpoint, CheckpointError};
use golf_core::train::finish::Source;
use safetensors::SafeTensors;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Metadata key of a model's configuration in safetensors that golf wrote.
pub const CONFIG_KEY: &str = "golf.config";

/// Why a file gave no weights.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SourceError {
    /// Reading, artifacts and tokenizers.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// A checkpoint.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// A torch or safetensors file.
    #[error("`{}`: {source}", path.display())]
    Import {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: ImportError,
    },
    /// Names and shapes that make no model.
    #[error("`{}`: {source}", path.display())]
    Shapes {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: ShapeError,
    },
    /// A configuration in the file's metadata that is none.
    #[error("`{}`: metadata `{CONFIG_KEY}`: {source}", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// A parameter that the configuration asks for and the file does not hold.
    #[error("`{}`: parameter `{name}` is missing or has another shape than {shape:?}", path.display())]
    Parameter {
        /// The file.
        path: PathBuf,
        /// Its name.
        name: String,
        /// Its shape by the configuration.
        shape: Vec<usize>,
    },
}

/// Which weights of a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Which {
    /// Those that the run would export: its average if it keeps one
    Exported,
    /// The weights as trained
    Live,
}

/// A model as floats.
pub struct FloatModel {
    /// Its configuration.
    pub config: ModelConfig,
    /// Values by parameter.
    pub weights: BTreeMap<String, Vec<f32>>,
    /// Everything of its artifact but the tensors.
    pub frame: Artifact,
    /// What it was read from, for people.
    pub origin: String,
}

impl FloatModel {
    /// Opens `path`, whatever it is. `tokenizer` goes into the frame in place of the file's own.
    pub fn open(
        path: &Path,
        which: Which,
        assumptions: &AssumptionFlags,
        tokenizer: Option<&Path>,
    ) -> Result<FloatModel, SourceError> {
        let bytes = load::read(path)?;
        let mut model = if Artifact::begins(&bytes) {
            from_artifact(path, &bytes)?
        } else {
            match Checkpoint::load(path) {
                Ok(checkpoint) => from_checkpoint(path, checkpoint, which, assumptions)?,
                Err(CheckpointError::NoMetadata { .. } | CheckpointError::Container { .. }) => {
                    from_import(path, &bytes, assumptions)?
                }
                Err(error) => return Err(error.into()),
            }
        };
        let note = format!("from `{}`, sha256 {}", file_name(path), sha256_hex(&bytes));
        let provenance = model.frame.provenance.take().unwrap_or_default();
        let notes = provenance.notes.map_or(note.clone(), |older| format!("{note}; {older}"));
        model.frame.provenance = Some(Provenance { notes: Some(notes), ..provenance });
        if let Some(file) = tokenizer {
            let tokenizer = load::tokenizer_in(file)?;
            let vocab = model.config.vocab;
            if tokenizer.len() > vocab {
                return Err(LoadError::Vocabulary { pieces: tokenizer.len(), vocab }.into());
            }
            model.frame.tokenizer = Some(tokenizer.to_compact());
            model.frame.tokenizer_identity = Some(tokenizer.identity());
        }
        Ok(model)
    }

    /// Parameters in their order, with their values.
    pub fn parameters(&self) -> impl Iterator<Item = (Param, &[f32])> {
        parameters(&self.config).into_iter().map(|p| {
            let values = &self.weights[&p.name];
            (p, &values[..])
        })
    }

    /// The tensors for a backend.
    pub fn tensors(&self) -> BTreeMap<String, Tensor> {
        self.parameters().map(|(p, values)| (p.name, Tensor::f32(&p.shape, values.to_vec()))).collect()
    }

    /// The id that streams start with, if the tokenizer has one.
    pub fn bos(&self) -> Option<i32> {
        let compact = self.frame.tokenizer.as_deref()?;
        Tokenizer::from_compact(compact).ok()?.bos().map(|id| id as i32)
    }
}

fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().replace(char::is_control, "?")).unwrap_or_default()
}

fn frame(config: &ModelConfig) -> Artifact {
    Artifact {
        config: config.clone(),
        tensors: Vec::new(),
        tokenizer: None,
        tokenizer_identity: None,
        provenance: None,
    }
}

fn from_artifact(path: &Path, bytes: &[u8]) -> Result<FloatModel, SourceError> {
    let artifact = Artifact::decode(bytes, &Limits::default())
        .map_err(|source| LoadError::Artifact { path: path.to_path_buf(), source })?;
    let found: BTreeMap<String, (Vec<usize>, Vec<f32>)> =
        (artifact.tensors.iter()).map(|t| (t.name.clone(), (t.shape.clone(), t.to_f32().to_f32()))).collect();
    let weights = complete(path, &artifact.config, found)?;
    let (config, origin) = (artifact.config.clone(), "artifact".to_owned());
    Ok(FloatModel { config, weights, frame: Artifact { tensors: Vec::new(), ..artifact }, origin })
}

fn from_checkpoint(
    path: &Path,
    checkpoint: Checkpoint,
    which: Which,
    assumptions: &AssumptionFlags,
) -> Result<FloatModel, SourceError> {
    let Checkpoint { meta, states } = checkpoint;
    let states: BTreeMap<String, Tensor> = states.into_iter().collect();
    let (config, source) = match &meta.config {
        Some(run) => {
            let config = ModelConfig { window: run.recipe.train_seq_len, ..run.model.clone() };
            (config, Source::choose(&run.recipe, meta.progress))
        }
        None => {
            let shapes = states.iter().map(|(name, tensor)| (name.clone(), tensor.shape().to_vec()));
            let own: Vec<_> = shapes.filter(|(name, _)| !name.contains('/')).collect();
            let derived = derive(&own, &assumptions.get());
            let config =
                derived.map_err(|source| SourceError::Shapes { path: path.to_path_buf(), source })?;
            (config, if meta.progress.averaged > 0 { Source::Ema } else { Source::Live })
        }
    };
    let source = if which == Which::Live { Source::Live } else { source };
    let state = |name: &str| if source == Source::Live { name.to_owned() } else { average_name(name) };
    let found = parameters(&config).into_iter().filter_map(|p| {
        let tensor = states.get(&state(&p.name))?;
        Some((p.name, (tensor.shape().to_vec(), tensor.to_f32())))
    });
    let weights = complete(path, &config, found.collect())?;
    let origin = format!("checkpoint of step {}, {} weights", meta.progress.step, source.name());
    let provenance = Provenance {
        config_hash: Some(meta.config_hash),
        data_hash: Some(meta.data),
        seed: meta.config.map(|run| run.recipe.seed.to_string()),
        ..Provenance::default()
    };
    let frame = Artifact { provenance: Some(provenance), ..frame(&config) };
    Ok(FloatModel { config, weights, frame, origin })
}

fn from_import(path: &Path, bytes: &[u8], assumptions: &AssumptionFlags) -> Result<FloatModel, SourceError> {
    let file = import_bytes(bytes, &import::Limits::default())
        .map_err(|source| SourceError::Import { path: path.to_path_buf(), source })?;
    let config = match stated_config(path, bytes)? {
        Some(config) => config,
        None => derive(&inventory(&file.tensors), &assumptions.get())
            .map_err(|source| SourceError::Shapes { path: path.to_path_buf(), source })?,
    };
    let found = file.tensors.iter();
    let found = found.map(|t| (t.name.clone(), (t.shape.clone(), t.to_f32(Rounding::Restored)))).collect();
    let weights = complete(path, &config, found)?;
    Ok(FloatModel { weights, frame: frame(&config), config, origin: format!("{:?}", file.layout) })
}

/// The configuration in a safetensors file's metadata.
fn stated_config(path: &Path, bytes: &[u8]) -> Result<Option<ModelConfig>, SourceError> {
    let Ok((_, metadata)) = SafeTensors::read_metadata(bytes) else { return Ok(None) };
    let Some(json) = metadata.metadata().as_ref().and_then(|map| map.get(CONFIG_KEY)) else {
        return Ok(None);
    };
    let config = serde_json::from_str(json);
    config.map(Some).map_err(|source| SourceError::Config { path: path.to_path_buf(), source })
}

/// The parameters of `config` out of `found`.
fn complete(
    path: &Path,
    config: &ModelConfig,
    mut found: BTreeMap<String, (Vec<usize>, Vec<f32>)>,
) -> Result<BTreeMap<String, Vec<f32>>, SourceError> {
    let mut weights = BTreeMap::new();
    for Param { name, shape, .. } in parameters(config) {
        match found.remove(&name) {
            Some((got, values)) if got == shape => {
                weights.insert(name, values);
            }
            _ => return Err(SourceError::Parameter { path: path.to_path_buf(), name, shape }),
        }
    }
    Ok(weights)
}
