//! The manifest of a corpus: what it was made of, and what its shards must be.
//!
//! Invariant: a manifest names every shard with its token count and SHA-256, so that a corpus that was copied or
//! downloaded can be checked whole. It holds file names, never paths.

use std::fs::File;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::corpus_error::CorpusError;
use super::documents::Separation;
use super::hashing::Hashing;
use super::shard::ShardReader;

/// Which documents are validation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HeldOut {
    /// None.
    Nothing,
    /// The first documents.
    First(u64),
    /// On average one document in so many, by the SHA-256 of its text.
    OneIn(u64),
}

/// One text file of a corpus.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// File name without folders.
    pub file: String,
    /// Its length.
    pub bytes: u64,
    /// SHA-256 of its bytes (hex).
    pub sha256: String,
}

/// One shard of a corpus.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardEntry {
    /// File name without folders.
    pub file: String,
    /// Number of tokens.
    pub tokens: u64,
    /// SHA-256 of its bytes (hex).
    pub sha256: String,
}

/// One side of a corpus.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Split {
    /// Number of documents.
    pub documents: u64,
    /// UTF-8 bytes of the documents.
    pub bytes: u64,
    /// Number of tokens, the beginning-of-sequence ids included.
    pub tokens: u64,
    /// The shards in order.
    pub shards: Vec<ShardEntry>,
}

/// What a corpus was made of and consists of; `<name>_manifest.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of this schema: 1.
    pub version: u32,
    /// First part of all file names.
    pub name: String,
    /// Identity of the tokenizer (hex).
    pub tokenizer: String,
    /// Size of the vocabulary.
    pub vocab: usize,
    /// Beginning-of-sequence id.
    pub bos: u16,
    /// What separated documents.
    pub separation: Separation,
    /// Which documents are validation.
    pub held_out: HeldOut,
    /// The texts in order.
    pub sources: Vec<Source>,
    /// Training side.
    pub train: Split,
    /// Validation side.
    pub val: Split,
    /// Later copies of held-out documents that were dropped from training.
    pub dropped_copies: u64,
}

impl Manifest {
    /// File name of the manifest of corpus `name`.
    pub fn file_name(name: &str) -> String {
        format!("{name}_manifest.json")
    }

    /// Reads the manifest at `path`.
    pub fn read(path: &Path) -> Result<Self, CorpusError> {
        let io = |source| CorpusError::Io { path: path.to_path_buf(), action: "read", source };
        let bytes = std::fs::read(path).map_err(io)?;
        serde_json::from_slice(&bytes)
            .map_err(|source| CorpusError::Manifest { path: path.to_path_buf(), source })
    }

    /// Checks every shard in `folder`: length, token count, SHA-256, ids.
    pub fn verify(&self, folder: &Path) -> Result<(), CorpusError> {
        for entry in self.train.shards.iter().chain(&self.val.shards) {
            let path = folder.join(&entry.file);
            let mut reader = ShardReader::open(&path)?;
            let differ =
                |what, expected, got| CorpusError::Mismatch { path: path.clone(), what, expected, got };
            if reader.tokens() != entry.tokens {
                return Err(differ("token count", entry.tokens.to_string(), reader.tokens().to_string()));
            }
            let io = |source| CorpusError::Io { path: path.clone(), action: "read", source };
            let mut hashing = Hashing::new(File::open(&path).map_err(io)?);
            io::copy(&mut hashing, &mut io::sink()).map_err(io)?;
            let (got, _) = hashing.finish();
            if got != entry.sha256 {
                return Err(differ("SHA-256", entry.sha256.clone(), got));
            }
            reader.check_tokens(self.vocab)?;
        }
        Ok(())
    }
}
