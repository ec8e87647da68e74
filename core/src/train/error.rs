//! Why a run stops.

use crate::artifact::ArtifactError;
use crate::backend::BackendError;
use crate::collective::CollectiveError;
use crate::compress::CompressError;
use crate::data::StreamError;
use crate::model::config::ConfigError;
use crate::ops::OpError;
use std::fmt;
use std::path::PathBuf;
use thiserror::Error;

use super::checkpoint::CheckpointError;
use super::recipe::RecipeError;

/// The first tensor that holds a NaN or an infinity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NonFinite {
    /// A parameter.
    Parameter(String),
    /// The gradient of a parameter.
    Gradient(String),
    /// Neither: all parameters and gradients are finite.
    Activation,
}

impl fmt::Display for NonFinite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NonFinite::Parameter(name) => write!(f, "parameter `{name}`"),
            NonFinite::Gradient(name) => write!(f, "the gradient of `{name}`"),
            NonFinite::Activation => write!(f, "an activation, with finite parameters and gradients"),
        }
    }
}

/// Why a run stops.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TrainError {
    /// Model configuration.
    #[error(transparent)]
    Model(#[from] ConfigError),
    /// Recipe.
    #[error(transparent)]
    Recipe(#[from] RecipeError),
    /// Graph construction: a configuration that passed its checks builds, so this names our own mistake.
    #[error(transparent)]
    Graph(#[from] OpError),
    /// The device.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// Training or validation data.
    #[error(transparent)]
    Data(#[from] StreamError),
    /// Saving or resuming.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// Calibrating and quantizing.
    #[error(transparent)]
    Compress(#[from] CompressError),
    /// The artifact.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// The loss or the gradient norm is not finite.
    #[error(
        "step {step}: {what} is {value}; the first non-finite tensor is {tensor}\nhint: lower the learning rates, or clip (`grad_clip_norm`); the last checkpoint is unharmed"
    )]
    NotFinite {
        /// Step, from 0.
        step: u64,
        /// `loss` or `gradient norm`.
        what: &'static str,
        /// Its value.
        value: f64,
        /// Where it comes from.
        tensor: NonFinite,
    },
    /// The other ranks.
    #[error(transparent)]
    Collective(#[from] CollectiveError),
    /// A number of ranks among which the micro-batches of a step cannot be divided.
    #[error(
        "{ranks} ranks cannot share the {runs} micro-batches of a step: expected a divisor of {runs}\nhint: smaller micro-batches (`micro_batch_rows`), more takes (`grad_accum_steps`), or another number of ranks"
    )]
    Ranks {
        /// Number of ranks.
        ranks: usize,
        /// Micro-batches of a step.
        runs: usize,
    },
    /// Ranks that were started with different settings, data or programs.
    #[error(
        "rank {rank} runs with another {what}: expected {expected}, got {got}\nhint: start all ranks with the same program, settings and shards"
    )]
    Unlike {
        /// The other rank.
        rank: usize,
        /// `configuration`, `training data` or `version`.
        what: &'static str,
        /// This rank's.
        expected: String,
        /// The other rank's.
        got: String,
    },
    /// Validation data shorter than one row.
    #[error("validation data of {tokens} tokens: expected more than one row of {seq}")]
    ValidationTooShort {
        /// Tokens.
        tokens: u64,
        /// Row length.
        seq: usize,
    },
    /// A file of the run cannot be written.
    #[error("cannot write `{}`: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The artifact just written does not read back.
    #[error("cannot read `{}` back: {source}", path.display())]
    ReadBack {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}
