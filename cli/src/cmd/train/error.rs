//! Why training does not start.

use super::shards::ShardsError;
use crate::cmd::load::LoadError;
use crate::config::ConfigError;
use crate::device::DeviceNameError;
use std::io;
use std::path::PathBuf;
use thiserror::Error;

/// Why training does not start.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StartError {
    /// Configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Shards.
    #[error(transparent)]
    Shards(#[from] ShardsError),
    /// A required setting.
    #[error("no training data\nhint: `--data FOLDER` with the shards of `golf data tokenize`")]
    NoData,
    /// A file cannot be read or a folder made.
    #[error("cannot {action} `{}`: {source}", path.display())]
    Io {
        /// `read`, `create`, `lock`.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The tokenizer is not one.
    #[error(transparent)]
    Tokenizer(#[from] LoadError),
    /// A tokenizer larger than the vocabulary.
    #[error(
        "tokenizer `{path}` has {got} pieces: expected at most the vocabulary of {vocab}\nhint: do not set `vocab`, the tokenizer does"
    )]
    Vocabulary {
        /// The file.
        path: String,
        /// Its size.
        got: usize,
        /// The model's.
        vocab: usize,
    },
    /// A value that is none of its setting's choices.
    #[error("setting `{key}`: expected {expected}, got `{got}`")]
    Choice {
        /// The setting.
        key: &'static str,
        /// What would be accepted.
        expected: &'static str,
        /// What was given.
        got: String,
    },
    /// The device is none.
    #[error("setting `device`: {0}")]
    Device(DeviceNameError),
    /// An output folder with another run's checkpoints.
    #[error("`{}` holds checkpoints already\nhint: `--resume auto` continues that run; choose another `--out` for a new one", path.display())]
    Occupied {
        /// The folder.
        path: PathBuf,
    },
    /// An output folder that another process is writing.
    #[error("another process is training in `{}`", path.display())]
    Locked {
        /// The folder.
        path: PathBuf,
    },
}
