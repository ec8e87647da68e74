//! Evidence out of files: read, derived from the raw text, or computed on the device.

use super::EvidenceFlags;
use super::folder::{self, RunFiles};
use crate::cmd::data::{scored, source};
use crate::cmd::eval::input;
use crate::cmd::load::{self, LoadError};
use golf_core::check::{
    ArtifactFile, Case, Claims, EvalReport, ProbeOptions, Replay, Run, RunLog, Text, probe,
};
use golf_core::data::audit::{AuditOptions, Overlap, audit};
use golf_core::digest::hex;
use golf_core::eval::{Receipt, WindowScorer, replay};
use golf_core::tokenizer::Tokenizer;
use pollster::block_on;
use std::error::Error;
use std::path::{Path, PathBuf};

/// Everything that `paths` and `flags` give.
pub(super) fn case(paths: &[PathBuf], flags: &EvidenceFlags) -> Result<Case, Box<dyn Error>> {
    let mut case = Case { overlap: overlap(flags)?, ..Case::default() };
    gather(&mut case, paths, flags.artifact.as_deref(), flags.report.as_deref(), &|files| run(files, flags))?;
    Ok(case)
}

/// What `paths` tell without opening an artifact: receipts, logs, reports.
pub(in crate::cmd) fn records(paths: &[PathBuf]) -> Result<Case, Box<dyn Error>> {
    let mut case = Case::default();
    gather(&mut case, paths, None, None, &|files| written(&files))?;
    Ok(case)
}

/// Adds the runs of `paths` to `case`, each read by `read`.
fn gather(
    case: &mut Case,
    paths: &[PathBuf],
    artifact: Option<&Path>,
    report: Option<&Path>,
    read: &dyn Fn(RunFiles) -> Result<Run, Box<dyn Error>>,
) -> Result<(), Box<dyn Error>> {
    for path in paths {
        if path.is_dir() {
            let folder = folder::open(path)?;
            if let Some(claims) = &folder.claims {
                case.claims = Some(Claims::parse(&load::text(claims)?).map_err(|error| at(claims, error))?);
            }
            case.shared.extend(folder.shared);
            for files in folder.runs {
                case.runs.push(read(files)?);
            }
        } else {
            case.runs.push(read(single(path, artifact, report)?)?);
        }
    }
    Ok(())
}

fn at(path: &Path, error: impl std::fmt::Display) -> String {
    format!("`{}`: {error}", path.display())
}

/// A file that is an artifact or a receipt.
fn single(path: &Path, artifact: Option<&Path>, report: Option<&Path>) -> Result<RunFiles, Box<dyn Error>> {
    let name = path.display().to_string();
    if folder::is_artifact(path)? {
        let models = vec![folder::shipped(path.parent().unwrap_or(path), path)?];
        return Ok(RunFiles { name, artifact: Some(path.to_path_buf()), models, ..RunFiles::default() });
    }
    let artifact = artifact.map(Path::to_path_buf);
    let models = artifact.iter().map(|file| folder::shipped(file.parent().unwrap_or(file), file));
    let models = models.collect::<Result<_, _>>()?;
    let (receipt, report) = (Some(path.to_path_buf()), report.map(Path::to_path_buf));
    Ok(RunFiles { name, artifact, receipt, report, models, ..RunFiles::default() })
}

/// Reads a receipt.
fn receipt(path: &Path) -> Result<Receipt, Box<dyn Error>> {
    let hint = "hint: `golf eval --receipt FILE` writes one";
    serde_json::from_slice(&load::read(path)?)
        .map_err(|error| format!("`{}` is no receipt: {error}\n{hint}", path.display()).into())
}

/// What a run's records say.
fn written(files: &RunFiles) -> Result<Run, Box<dyn Error>> {
    let mut run = Run { name: files.name.clone(), shipped: files.models.clone(), ..Run::default() };
    if let Some(path) = &files.receipt {
        run.receipt = Some(receipt(path)?);
    }
    if let Some(path) = &files.metrics {
        run.log = Some(RunLog::parse(&load::text(path)?).map_err(|error| at(path, error))?);
    }
    if let Some(path) = &files.report {
        run.report = Some(EvalReport::parse(&load::text(path)?).map_err(|error| at(path, error))?);
    }
    Ok(run)
}

fn run(files: RunFiles, flags: &EvidenceFlags) -> Result<Run, Box<dyn Error>> {
    let mut run = written(&files)?;
    let mut tokenizer = match &flags.tokenizer {
        Some(path) => Some(load::tokenizer_in(path)?),
        None => None,
    };
    if let Some(path) = &files.artifact {
        let (artifact, inside) = artifact(path)?;
        run.artifact = Some(artifact);
        tokenizer = inside.or(tokenizer);
    }
    if let Some(tokenizer) = &tokenizer {
        run.text = text(tokenizer, flags)?;
        let bos = tokenizer.bos().ok_or(LoadError::NoBos)? as i32;
        if flags.replay > 0 {
            run.replay = again(&run, flags, bos)?;
        }
    }
    if flags.probe > 0 {
        probes(&mut run, flags)?;
    }
    Ok(run)
}

/// The artifact, and the tokenizer inside.
fn artifact(path: &Path) -> Result<(ArtifactFile, Option<Tokenizer>), Box<dyn Error>> {
    let (content, sha256) = load::artifact(path)?;
    let bytes = std::fs::metadata(path).map_err(|error| at(path, error))?.len();
    let inside = content.tokenizer.as_deref().map(Tokenizer::from_compact).transpose();
    let inside = inside.map_err(|source| LoadError::Compact { path: path.to_path_buf(), source })?;
    let identity = inside.as_ref().map(|tokenizer| hex(&tokenizer.identity()));
    let identity = identity.or(content.tokenizer_identity.map(|identity| hex(&identity)));
    Ok((ArtifactFile::new(sha256, bytes, content, identity)?, inside))
}

fn text(tokenizer: &Tokenizer, flags: &EvidenceFlags) -> Result<Option<Text>, Box<dyn Error>> {
    let bos = tokenizer.bos().ok_or(LoadError::NoBos)? as i32;
    let (stream, raw) = match (&flags.text, &flags.tokens) {
        (Some(path), _) => (input::from_text(path, tokenizer, bos, flags.targets, true)?, true),
        (None, Some(path)) => (input::from_shard(path, tokenizer, flags.targets)?, false),
        (None, None) => return Ok(None),
    };
    Ok(Some(Text { stream, raw }))
}

/// Chunks of the receipt once more; `None` where the receipt, the artifact or the text is missing.
fn again(run: &Run, flags: &EvidenceFlags, bos: i32) -> Result<Option<Replay>, Box<dyn Error>> {
    let (Some(artifact), Some(receipt), Some(text)) = (&run.artifact, &run.receipt, &run.text) else {
        return Ok(None);
    };
    let mut device = flags.device.target().open()?;
    let name = device.name();
    let mut stream = text.stream.clone();
    stream.tokens.truncate(receipt.run.targets.saturating_add(1));
    stream.target_bytes.truncate(receipt.run.targets);
    let outcome = match receipt.run.model_sha256 == hex(&artifact.model.digest()) {
        false => Err("the artifact is not the receipt's: see `artifact`".to_owned()),
        true => block_on(replay(&mut *device, &artifact.model, stream, receipt, bos, flags.replay))
            .map_err(|error| error.to_string()),
    };
    Ok(Some(Replay { device: name, outcome }))
}

fn probes(run: &mut Run, flags: &EvidenceFlags) -> Result<(), Box<dyn Error>> {
    let Some(artifact) = &run.artifact else { return Ok(()) };
    let target = flags.device.target();
    let mut device = target.open()?;
    let name = device.name();
    let vocab = artifact.model.config().vocab;
    // Without a text any tokens do: what is probed holds for all.
    let made_up = || (0..=flags.probe).map(|i| (i * 7919 % vocab) as i32).collect::<Vec<i32>>();
    let tokens = match &run.text {
        Some(text) if text.stream.tokens.len() > 4 => text.stream.tokens.clone(),
        _ => made_up(),
    };
    let options = ProbeOptions { positions: flags.probe, ..ProbeOptions::default() };
    let outcome = WindowScorer::new(&mut *device, &artifact.model, target.plans)
        .and_then(|mut scorer| block_on(probe(&mut scorer, name, &tokens, options)));
    run.probe = Some(outcome.map_err(|error| error.to_string()));
    Ok(())
}

fn overlap(flags: &EvidenceFlags) -> Result<Option<Overlap>, Box<dyn Error>> {
    let Some(train) = &flags.train else { return Ok(None) };
    let train = source(train, "train", flags.cut)?;
    let val = match (&flags.val, &flags.text, &flags.tokens) {
        (Some(path), _, _) => source(path, "val", flags.cut)?,
        (None, Some(path), _) => scored(path, false, flags.cut)?,
        (None, None, Some(path)) => scored(path, true, flags.cut)?,
        (None, None, None) => return Ok(None),
    };
    Ok(Some(audit(&train, &val, AuditOptions::default())?))
}
