//! Which files of a folder are runs, which ship, which do not count.
//!
//! Everything counts that is not on the list of what does not, so that no code hides under an unusual name (#1412).

use golf_core::artifact::layout::MAGIC;
use golf_core::check::ShippedFile;
use golf_core::data::shard;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Deepest folder that is walked.
const MAX_DEPTH: usize = 8;

/// Beginnings and ends of names of files that do not ship: documents, records, data, states of training.
const NOT_COUNTED: [(&str, &str); 20] = [
    ("README", ""),
    ("LICENSE", ""),
    ("", ".md"),
    ("", ".png"),
    ("", ".svg"),
    ("", ".log"),
    ("", ".jsonl"),
    ("", "receipt.json"),
    ("receipt", ".json"),
    ("eval", ".json"),
    ("submission", ".json"),
    ("", "_manifest.json"),
    ("train", ".txt"),
    ("log", ".txt"),
    ("checkpoint-", ".safetensors"),
    ("", ".lock"),
    (".partial", ""),
    (".git", ""),
    ("", ".model"),
    ("", ".vocab"),
];

/// Ends of names of model files.
const MODELS: [&str; 6] = [".ptz", ".pt", ".pth", ".safetensors", ".gguf", ".npz"];

/// Why a folder cannot be checked.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FolderError {
    /// The system refused.
    #[error("cannot read `{}`: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Nothing to check.
    #[error(
        "`{}` holds no run\nhint: a run has an artifact, a `metrics.jsonl` or a `receipt.json`", path.display()
    )]
    NoRun {
        /// The folder.
        path: PathBuf,
    },
    /// Several files where one is meant.
    #[error("`{}` and `{}`: which of them?\nhint: name the one that counts `{wanted}`", first.display(), second.display())]
    Ambiguous {
        /// One of them.
        first: PathBuf,
        /// Another.
        second: PathBuf,
        /// The name that decides.
        wanted: &'static str,
    },
}

/// The files of one run.
#[derive(Debug, Default)]
pub(super) struct RunFiles {
    pub name: String,
    pub artifact: Option<PathBuf>,
    pub receipt: Option<PathBuf>,
    pub metrics: Option<PathBuf>,
    pub report: Option<PathBuf>,
    /// Model files as they ship.
    pub models: Vec<ShippedFile>,
    /// The same, where they lie.
    pub counted: Vec<PathBuf>,
}

/// A folder: its runs, what ships beside them, what does not count.
#[derive(Debug, Default)]
pub(super) struct Folder {
    pub runs: Vec<RunFiles>,
    pub shared: Vec<ShippedFile>,
    pub claims: Option<PathBuf>,
}

/// Looks through the folder at `path`: a run, or a folder of runs.
pub(super) fn open(path: &Path) -> Result<Folder, FolderError> {
    let mut folder = Folder::default();
    let claims = path.join("submission.json");
    folder.claims = claims.is_file().then_some(claims);
    let (files, folders) = entries(path)?;
    if let Some(run) = run(path, &files)? {
        rest(path, path, &run.counted, 0, &mut folder.shared)?;
        folder.runs.push(run);
        return Ok(folder);
    }
    for inner in folders {
        match run(&inner, &entries(&inner)?.0)? {
            Some(mut run) => {
                // What else lies in a run's folder counts for that run.
                rest(&inner, &inner, &run.counted, 1, &mut run.models)?;
                folder.runs.push(run);
            }
            None => rest(path, &inner, &[], 1, &mut folder.shared)?,
        }
    }
    for file in &files {
        take(path, file, &[], &mut folder.shared)?;
    }
    match folder.runs.is_empty() {
        true => Err(FolderError::NoRun { path: path.to_path_buf() }),
        false => Ok(folder),
    }
}

/// Files and folders of `path`, sorted.
fn entries(path: &Path) -> Result<(Vec<PathBuf>, Vec<PathBuf>), FolderError> {
    let fail = |source| FolderError::Io { path: path.to_path_buf(), source };
    let all: Result<Vec<PathBuf>, io::Error> =
        fs::read_dir(path).map_err(fail)?.map(|entry| Ok(entry?.path())).collect();
    let mut all = all.map_err(fail)?;
    all.sort();
    Ok(all.into_iter().partition(|path| !path.is_dir()))
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The run whose files these are, if they are a run's.
fn run(path: &Path, files: &[PathBuf]) -> Result<Option<RunFiles>, FolderError> {
    let named = |wanted: &str| files.iter().find(|file| name(file) == wanted).cloned();
    let receipts =
        files.iter().filter(|file| name(file).contains("receipt") && name(file).ends_with(".json"));
    let receipt = one(named("receipt.json"), receipts.cloned().collect(), "receipt.json")?;
    let mut own = Vec::new();
    for file in files.iter().filter(|file| name(file).ends_with(".bin")) {
        if is_artifact(file)? {
            own.push(file.clone());
        }
    }
    let artifact = one(named("artifact.bin"), own, "artifact.bin")?;
    let foreign =
        |file: &&PathBuf| MODELS.iter().any(|end| name(file).ends_with(end)) && !is_uncounted(&name(file));
    let counted: Vec<PathBuf> = artifact.iter().chain(files.iter().filter(foreign)).cloned().collect();
    let metrics = named("metrics.jsonl");
    if counted.is_empty() && receipt.is_none() && metrics.is_none() {
        return Ok(None);
    }
    let models = counted.iter().map(|file| shipped(path, file)).collect::<Result<_, _>>()?;
    let name = path.file_name().map_or_else(|| path.display().to_string(), |_| name(path));
    Ok(Some(RunFiles { name, artifact, receipt, metrics, report: named("eval.json"), models, counted }))
}

fn one(
    decided: Option<PathBuf>,
    found: Vec<PathBuf>,
    wanted: &'static str,
) -> Result<Option<PathBuf>, FolderError> {
    match (decided, &found[..]) {
        (Some(path), _) => Ok(Some(path)),
        (None, [first, second, ..]) => {
            Err(FolderError::Ambiguous { first: first.clone(), second: second.clone(), wanted })
        }
        (None, _) => Ok(found.into_iter().next()),
    }
}

/// Whether a file begins as artifacts do.
pub(super) fn is_artifact(path: &Path) -> Result<bool, FolderError> {
    begins_with(path, &MAGIC)
}

fn begins_with(path: &Path, magic: &[u8]) -> Result<bool, FolderError> {
    let fail = |source| FolderError::Io { path: path.to_path_buf(), source };
    let mut head = Vec::new();
    File::open(path).and_then(|file| file.take(magic.len() as u64).read_to_end(&mut head)).map_err(fail)?;
    Ok(head == magic)
}

/// A file with its length.
pub(super) fn shipped(root: &Path, path: &Path) -> Result<ShippedFile, FolderError> {
    let fail = |source| FolderError::Io { path: path.to_path_buf(), source };
    let bytes = fs::metadata(path).map_err(fail)?.len();
    let name = path.strip_prefix(root).unwrap_or(path).display().to_string();
    Ok(ShippedFile { name, bytes })
}

/// Adds what ships below `path` and is not in `counted`.
fn rest(
    root: &Path,
    path: &Path,
    counted: &[PathBuf],
    depth: usize,
    out: &mut Vec<ShippedFile>,
) -> Result<(), FolderError> {
    let (files, folders) = entries(path)?;
    for file in &files {
        take(root, file, counted, out)?;
    }
    if depth < MAX_DEPTH {
        for inner in folders.iter().filter(|inner| !name(inner).starts_with(".git")) {
            rest(root, inner, counted, depth + 1, out)?;
        }
    }
    Ok(())
}

fn take(
    root: &Path,
    file: &Path,
    counted: &[PathBuf],
    out: &mut Vec<ShippedFile>,
) -> Result<(), FolderError> {
    let data = || begins_with(file, &shard::MAGIC.to_le_bytes());
    if !counted.iter().any(|own| own == file) && !is_uncounted(&name(file)) && !data()? {
        out.push(shipped(root, file)?);
    }
    Ok(())
}

fn is_uncounted(name: &str) -> bool {
    NOT_COUNTED.iter().any(|(start, end)| name.starts_with(start) && name.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_counts_under_any_name_and_records_do_not() {
        for counted in ["train_gpt.py", "weights.dat", "requirements.txt", "x", "loader.so", "config.json"] {
            assert!(!is_uncounted(counted), "{counted}");
        }
        for not in ["README.md", "metrics.jsonl", "receipt.json", "seed7.receipt.json", "train_seed42.txt"] {
            assert!(is_uncounted(not), "{not}");
        }
    }
}
