//! The selftest: replays fixtures of an independent implementation on a device and tells how far it is off.
//!
//! A folder holds cases, each a `.safetensors` file with a `.json` beside it, and folders of cases. What a case asks for follows from its
//! contents alone, never from its name or sizes. Invariant: a case, tensor, or JSON field that is not understood is a
//! miss; so is a case in which nothing was compared. Not here: the fixtures, and the numbers that they are made from.

mod adaptation;
mod case;
mod conditioning;
mod export;
mod fake_quant;
mod fault;
mod fixture;
mod forward;
mod quantized;
mod report;
mod session;
mod summary;
mod tolerance;
mod training;
mod unit;
mod windows;

pub use fault::Fault;
pub use report::{CaseReport, Check, Report};
pub use tolerance::Precision;

use crate::device::Target;
use fixture::Fixture;
use golf_core::train;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Tensors and fields that are named one by one when they are not understood.
const MOST_LISTED: usize = 20;

/// Files of one stem.
struct Files {
    folder: PathBuf,
    tensors: Option<PathBuf>,
    json: Option<PathBuf>,
}

/// Replays every case of `folder`. Only a folder that cannot be listed and a device that does not open are errors.
pub fn run(folder: &Path, device: impl Into<Target>) -> Result<Report, Fault> {
    let device = device.into().settled();
    let name = device.open()?.name();
    let mut cases = Vec::new();
    let mut found = BTreeMap::new();
    list(folder, "", &mut found)?;
    for (case, files) in found {
        if files.tensors.is_none() && files.json.as_deref().is_some_and(unit::is_piece_list) {
            // Not a case: the byte table of another one reads it.
            continue;
        }
        let mut report = CaseReport::new(&case, Precision::of(device.device));
        match open(&files) {
            Ok(fixture) => replay(&fixture, &files.folder, device, &mut report),
            Err(fault) => report.refuse("case", fault),
        }
        cases.push(report);
    }
    let ok = !cases.is_empty() && cases.iter().all(CaseReport::ok);
    Ok(Report { folder: folder.display().to_string(), device: name, cases, ok })
}

fn replay(fixture: &Fixture, folder: &Path, device: Target, report: &mut CaseReport) {
    if fixture.json().find("config").is_some() {
        let replay = |device, report: &mut _| case::replay(fixture, device, report);
        replay(device, report);
        conditioning::judge_misses(replay, device.precision, report);
    } else {
        let replay = |device, report: &mut _| unit::replay(fixture, folder, device, report);
        replay(device, report);
        if device.precision == train::recipe::Precision::Bf16 {
            conditioning::judge_misses(replay, device.precision, report);
        }
    }
    let unread = fixture.unread();
    unread.iter().take(MOST_LISTED).for_each(|what| report.refuse("not understood", what));
    if let Some(more) = unread.len().checked_sub(MOST_LISTED).filter(|more| *more > 0) {
        report.refuse("not understood", format!("and {more} more tensors or fields"));
    }
}

fn read(path: Option<&Path>, expected: &str) -> Result<Vec<u8>, Fault> {
    let path = path.ok_or_else(|| Fault::MissingFile { expected: expected.to_owned() })?;
    fs::read(path).map_err(|source| Fault::File { path: path.display().to_string(), source })
}

fn open(files: &Files) -> Result<Fixture, Fault> {
    let tensors = read(files.tensors.as_deref(), "a `.safetensors` file beside the `.json`")?;
    let json = read(files.json.as_deref(), "a `.json` file beside the `.safetensors`")?;
    Fixture::decode(&tensors, &json)
}

/// Adds the fixtures of a folder and of those below it, by their path from the first one without extension.
fn list(folder: &Path, prefix: &str, found: &mut BTreeMap<String, Files>) -> Result<(), Fault> {
    let fault = |source| Fault::File { path: folder.display().to_string(), source };
    for entry in fs::read_dir(folder).map_err(fault)? {
        let entry = entry.map_err(fault)?;
        let path = entry.path();
        // A link to a folder is not followed: it may lead back up.
        if entry.file_type().map_err(fault)?.is_dir() {
            list(&path, &format!("{prefix}{}/", entry.file_name().to_string_lossy()), found)?;
            continue;
        }
        let Some(stem) = path.file_stem() else { continue };
        let name = format!("{prefix}{}", stem.to_string_lossy());
        let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
        if !["safetensors", "json"].contains(&extension) {
            continue;
        }
        let files =
            found.entry(name).or_insert(Files { folder: folder.to_owned(), tensors: None, json: None });
        match extension {
            "json" => files.json = Some(path),
            _ => files.tensors = Some(path),
        }
    }
    Ok(())
}
