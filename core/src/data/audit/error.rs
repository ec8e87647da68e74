//! Why data cannot be audited.

use crate::data::{DocumentError, ShardError};
use std::io;
use std::path::PathBuf;
use thiserror::Error;

/// Why data cannot be audited.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AuditError {
    /// The system refused.
    #[error("cannot read `{}`: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A shard.
    #[error(transparent)]
    Shard(#[from] ShardError),
    /// A text.
    #[error("text `{}`: {source}", path.display())]
    Document {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: DocumentError,
    },
    /// Sides that cannot be compared.
    #[error(
        "training data are {train}, validation data are {val}\nhint: give shards on both sides, or texts on both"
    )]
    Kinds {
        /// Unit of the training data.
        train: &'static str,
        /// Unit of the validation data.
        val: &'static str,
    },
}
