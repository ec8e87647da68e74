//! Which shard files a path means: a folder, one file, or a pattern.

use std::path::{Path, PathBuf};
use thiserror::Error;

/// Why a path means no shards.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ShardsError {
    /// Nothing matches.
    #[error(
        "no shards match `{pattern}`\nhint: a folder with `NAME_train_000000.bin`, a file, or a pattern such as `data/*_train_*.bin`"
    )]
    None {
        /// What was looked for.
        pattern: String,
    },
    /// A pattern that is not one.
    #[error("pattern `{pattern}`: {source}")]
    Pattern {
        /// As given.
        pattern: String,
        /// What is wrong with it.
        source: glob::PatternError,
    },
    /// A folder that cannot be read.
    #[error(transparent)]
    Unreadable(#[from] glob::GlobError),
    /// A folder with several corpora.
    #[error("`{folder}` holds shards of several corpora: {}\nhint: choose one with a pattern", names.join(", "))]
    Ambiguous {
        /// The folder.
        folder: String,
        /// Their names.
        names: Vec<String>,
    },
}

/// Training shards that `path` means.
pub fn training(path: &str) -> Result<Vec<PathBuf>, ShardsError> {
    matching(path, "train")?.ok_or_else(|| none(path, "train"))
}

/// Validation shards that `path` means.
pub fn validation(path: &str) -> Result<Vec<PathBuf>, ShardsError> {
    matching(path, "val")?.ok_or_else(|| none(path, "val"))
}

/// Validation shards beside the training shards of `path`, where it is a folder that has some.
pub fn beside(path: &str) -> Result<Option<Vec<PathBuf>>, ShardsError> {
    if Path::new(path).is_dir() { matching(path, "val") } else { Ok(None) }
}

fn none(path: &str, split: &str) -> ShardsError {
    let folder = Path::new(path).is_dir();
    ShardsError::None { pattern: if folder { format!("{path}/*_{split}_*.bin") } else { path.to_owned() } }
}

fn matching(path: &str, split: &str) -> Result<Option<Vec<PathBuf>>, ShardsError> {
    let folder = Path::new(path).is_dir();
    let pattern =
        if folder { format!("{}/*_{split}_*.bin", glob::Pattern::escape(path)) } else { path.to_owned() };
    let found =
        glob::glob(&pattern).map_err(|source| ShardsError::Pattern { pattern: path.to_owned(), source })?;
    let paths = found.collect::<Result<Vec<_>, _>>()?;
    if folder {
        let mut names: Vec<String> = paths.iter().filter_map(|p| corpus(p, split)).collect();
        names.dedup();
        if names.len() > 1 {
            return Err(ShardsError::Ambiguous { folder: path.to_owned(), names });
        }
    }
    Ok((!paths.is_empty()).then_some(paths))
}

/// `fineweb` of `fineweb_train_000000.bin`.
fn corpus(path: &Path, split: &str) -> Option<String> {
    let name = path.file_name()?.to_str()?;
    Some(name.rsplit_once(&format!("_{split}_"))?.0.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_files_and_patterns_mean_their_shards() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name).display().to_string();
        for name in ["a_train_000001.bin", "a_train_000000.bin", "a_val_000000.bin", "a_manifest.json"] {
            std::fs::write(at(name), b"").unwrap();
        }
        let root = folder.path().display().to_string();
        assert_eq!(training(&root).unwrap().len(), 2);
        assert_eq!(beside(&root).unwrap().unwrap(), [PathBuf::from(at("a_val_000000.bin"))]);
        assert_eq!(training(&at("a_train_000001.bin")).unwrap().len(), 1);
        assert_eq!(training(&at("a_train_*1.bin")).unwrap().len(), 1);
        assert_eq!(beside(&at("a_train_*1.bin")).unwrap(), None);
        assert!(matches!(training(&at("absent")), Err(ShardsError::None { .. })));
        std::fs::write(at("b_train_000000.bin"), b"").unwrap();
        assert!(matches!(training(&root), Err(ShardsError::Ambiguous { .. })));
    }
}
