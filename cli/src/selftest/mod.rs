//! The selftest: replays fixtures of an independent implementation on a device and tells how far it is off.
//!
//! A folder holds cases, each a `.safetensors` file with a `.json` beside it. What a case asks for follows from its
//! contents alone, never from its name or sizes. Invariant: a case, tensor, or JSON field that is not understood is a
//! miss; so is a case in which nothing was compared. Not here: the fixtures, and the numbers that they are made from.

mod adaptation;
mod case;
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
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Tensors and fields that are named one by one when they are not understood.
const MOST_LISTED: usize = 20;

/// Files of a folder by stem.
#[derive(Default)]
struct Files {
    tensors: Option<PathBuf>,
    json: Option<PathBuf>,
}

/// Replays every case of `folder`. Only a folder that cannot be listed and a device that does not open are errors.
pub fn run(folder: &Path, device: impl Into<Target>) -> Result<Report, Fault> {
    let device = device.into().settled();
    let name = device.open()?.name();
    let mut cases = Vec::new();
    for (case, files) in list(folder)? {
        if files.tensors.is_none() && files.json.as_deref().is_some_and(unit::is_piece_list) {
            // Not a case: the byte table of another one reads it.
            continue;
        }
        let mut report = CaseReport::new(&case, Precision::of(device.device));
        match open(&files) {
            Ok(fixture) => replay(&fixture, folder, device, &mut report),
            Err(fault) => report.refuse("case", fault),
        }
        cases.push(report);
    }
    let ok = !cases.is_empty() && cases.iter().all(CaseReport::ok);
    Ok(Report { folder: folder.display().to_string(), device: name, cases, ok })
}

fn replay(fixture: &Fixture, folder: &Path, device: Target, report: &mut CaseReport) {
    if fixture.json().find("config").is_some() {
        case::replay(fixture, device, report);
    } else {
        unit::replay(fixture, folder, device, report);
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

/// Stems of the folder's fixtures with their files, in the order of their names.
fn list(folder: &Path) -> Result<BTreeMap<String, Files>, Fault> {
    let fault = |source| Fault::File { path: folder.display().to_string(), source };
    let mut found = BTreeMap::<String, Files>::new();
    for entry in fs::read_dir(folder).map_err(fault)? {
        let path = entry.map_err(fault)?.path();
        let Some(stem) = path.file_stem().and_then(|s| s.to_str()).map(str::to_owned) else { continue };
        match path.extension().and_then(|e| e.to_str()) {
            Some("safetensors") => found.entry(stem).or_default().tensors = Some(path),
            Some("json") => found.entry(stem).or_default().json = Some(path),
            _ => {}
        }
    }
    Ok(found)
}
