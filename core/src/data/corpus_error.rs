//! Why a corpus was not made, or is not what its manifest says.

use super::documents::DocumentError;
use super::shard::ShardError;
use std::io;
use std::path::PathBuf;
use thiserror::Error;

/// Why a corpus was not made, or is not what its manifest says.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CorpusError {
    /// The system refused.
    #[error("cannot {action} `{}`: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// `open`, `write`, …
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// A text.
    #[error("text `{}`: {source}", path.display())]
    Document {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: DocumentError,
    },
    /// A shard.
    #[error(transparent)]
    Shard(#[from] ShardError),
    /// Options that cannot be followed.
    #[error("option `{option}`: expected {expected}, got {got}")]
    Option {
        /// The field of [`super::CorpusOptions`].
        option: &'static str,
        /// What would be accepted.
        expected: &'static str,
        /// What was given.
        got: String,
    },
    /// Shards of an earlier run.
    #[error("`{}` is already there\nhint: remove the old corpus, or choose another folder or name", path.display())]
    Exists {
        /// One of its files.
        path: PathBuf,
    },
    /// An id outside the vocabulary, out of the tokenizer itself.
    #[error("document {document} of `{}`: token {position} is {id}: expected less than {vocab}", path.display())]
    TokenOutOfRange {
        /// The text.
        path: PathBuf,
        /// Number of the document in it, from 0.
        document: u64,
        /// Index of the token in the document.
        position: usize,
        /// The id.
        id: u32,
        /// Size of the vocabulary.
        vocab: usize,
    },
    /// A side without documents.
    #[error("no documents for `{split}` out of {documents}\nhint: check `separation` and `held_out`")]
    EmptySplit {
        /// `train` or `val`.
        split: &'static str,
        /// Documents in all.
        documents: u64,
    },
    /// A manifest that is not one.
    #[error("manifest `{}`: {source}", path.display())]
    Manifest {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// A shard that is not the one of the manifest.
    #[error("shard `{}`: expected {what} {expected}, got {got}", path.display())]
    Mismatch {
        /// The file.
        path: PathBuf,
        /// `token count` or `SHA-256`.
        what: &'static str,
        /// In the manifest.
        expected: String,
        /// In the file.
        got: String,
    },
}
