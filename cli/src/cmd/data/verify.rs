//! `golf data verify`: whether shards are what they claim to be.

use crate::cmd::verify::{Found, report};
use crate::exit::Outcome;
use clap::Args;
use golf_core::data::{CorpusError, Manifest, ShardReader};
use std::path::{Path, PathBuf};

/// Flags of `golf data verify`.
#[derive(Args, Clone, Debug)]
pub(super) struct VerifyArgs {
    /// Folders, manifests or shards.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Refuse ids from here on in shards that no manifest describes.
    #[arg(long, value_name = "N")]
    vocab: Option<usize>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(super) fn run(args: &VerifyArgs) -> Outcome {
    let mut found = Vec::new();
    for path in &args.paths {
        for file in files(path)? {
            let told = check(&file, args.vocab).map_err(|error| error.to_string());
            found.push(Found { path: file, told });
        }
    }
    report(&found, args.json)
}

/// What there is to check at `path`: a folder's manifests, or its shards where it has none.
fn files(path: &Path) -> Result<Vec<PathBuf>, String> {
    if !path.is_dir() {
        return Ok(vec![path.to_path_buf()]);
    }
    let fail = |error| format!("cannot list `{}`: {error}", path.display());
    let entries = std::fs::read_dir(path).map_err(fail)?.collect::<Result<Vec<_>, _>>().map_err(fail)?;
    let mut paths: Vec<PathBuf> = entries.into_iter().map(|entry| entry.path()).collect();
    paths.sort();
    let ending = |end: &str| -> Vec<PathBuf> {
        paths.iter().filter(|path| path.to_string_lossy().ends_with(end)).cloned().collect()
    };
    let chosen = [ending("_manifest.json"), ending(".bin")].into_iter().find(|found| !found.is_empty());
    chosen.ok_or_else(|| format!("`{}`: expected `NAME_manifest.json` or shards (`.bin`)", path.display()))
}

fn check(path: &Path, vocab: Option<usize>) -> Result<String, CorpusError> {
    if path.extension().is_some_and(|extension| extension == "json") {
        let manifest = Manifest::read(path)?;
        manifest.verify(path.parent().unwrap_or(Path::new(".")))?;
        let shards = manifest.train.shards.len() + manifest.val.shards.len();
        let tokens = manifest.train.tokens + manifest.val.tokens;
        return Ok(format!(
            "manifest, {shards} shards, {tokens} tokens, hashes and ids below {}",
            manifest.vocab
        ));
    }
    let mut shard = ShardReader::open(path)?;
    let tokens = shard.tokens();
    let Some(vocab) = vocab else {
        return Ok(format!("shard, {tokens} tokens (no hash and no vocabulary to check them against)"));
    };
    shard.check_tokens(vocab)?;
    Ok(format!("shard, {tokens} tokens, ids below {vocab}"))
}
