//! What a path means to an audit: shards where there are shards, else texts.

use crate::cmd::load::{self, LoadError};
use crate::cmd::train::shards::{self, ShardsError};
use clap::{Args, ValueEnum};
use golf_core::data::Separation;
use golf_core::data::audit::AuditSource;
use golf_core::data::shard::MAGIC;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// How data are cut into documents.
#[derive(Args, Clone, Copy, Debug)]
pub struct Cut {
    /// Token that opens a document in shards.
    #[arg(long, default_value_t = 1)]
    bos: u16,
    /// What separates documents in texts.
    #[arg(long, value_enum, default_value = "empty-line")]
    documents_by: By,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum By {
    /// Empty lines.
    EmptyLine,
    /// Every line is a document.
    Line,
    /// Every file is a document.
    File,
}

impl From<By> for Separation {
    fn from(by: By) -> Self {
        match by {
            By::EmptyLine => Separation::EmptyLine,
            By::Line => Separation::Line,
            By::File => Separation::File,
        }
    }
}

/// Why there are no data.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SourceError {
    /// No shards.
    #[error(transparent)]
    Shards(#[from] ShardsError),
    /// A file that cannot be read.
    #[error(transparent)]
    Load(#[from] LoadError),
}

/// The data at `path` as the side `split` (`train` or `val`): a folder or pattern of shards, a shard, or a text.
pub fn source(path: &str, split: &str, cut: Cut) -> Result<AuditSource, SourceError> {
    let file = Path::new(path);
    if file.is_file() && !is_shard(file)? {
        let separation = cut.documents_by.into();
        return Ok(AuditSource::Texts { paths: vec![file.to_path_buf()], separation });
    }
    let paths: Vec<PathBuf> = match split {
        "train" => shards::training(path)?,
        _ => shards::validation(path)?,
    };
    Ok(AuditSource::Shards { paths, bos: cut.bos })
}

fn is_shard(path: &Path) -> Result<bool, LoadError> {
    let fail = |source| LoadError::Read { path: path.to_path_buf(), source };
    let mut head = Vec::new();
    File::open(path).and_then(|file| file.take(4).read_to_end(&mut head)).map_err(fail)?;
    Ok(head == MAGIC.to_le_bytes())
}

/// The text or shard of one side that was named to be scored.
pub fn scored(path: &Path, shard: bool, cut: Cut) -> Result<AuditSource, SourceError> {
    match shard {
        true => Ok(AuditSource::Shards { paths: vec![path.to_path_buf()], bos: cut.bos }),
        false => {
            load::text(path)?;
            source(&path.to_string_lossy(), "val", cut)
        }
    }
}
