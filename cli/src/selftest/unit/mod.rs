//! Goldens that belong to no model: single operations, optimizers, quantizers, hashes, schedules, plans, bytes.
//!
//! A part is replayed when the fixture has a tensor or a JSON block of its name.

mod bytes;
mod gptq;
mod hashes;
mod kernels;
mod optimizers;
mod quantizers;
mod schedules;

pub use bytes::is_piece_list;

use super::fault::Fault;
use super::fixture::Fixture;
use super::report::CaseReport;
use crate::device::Target;
use std::path::Path;

/// What a part sees.
pub struct Site<'a> {
    /// Its files.
    pub fixture: &'a Fixture,
    /// Folder of the files, for the text and the pieces that byte counts rest on.
    pub folder: &'a Path,
    /// Where it is replayed.
    pub device: Target,
}

type Part = fn(&Site<'_>, &mut CaseReport) -> Result<(), Fault>;

/// Parts by the name of their tensors or JSON block.
const PARTS: [(&str, Part); 15] = [
    ("ns5", optimizers::newton_schulz),
    ("muon", optimizers::muon),
    ("adamw", optimizers::adamw),
    ("kernel", kernels::replay),
    ("hash", hashes::buckets),
    ("rope", hashes::angles),
    ("quant", quantizers::replay),
    ("gptq", gptq::replay),
    ("bpb", bytes::replay),
    ("lr_scale", schedules::learning_rate),
    ("momentum", schedules::momentum),
    ("plans", schedules::plans),
    ("planner_counts", schedules::counts),
    ("param_counts", schedules::parameters),
    ("float32_deviation", oracle_deviation),
];

/// Replays every part that the fixture has.
pub fn replay(fixture: &Fixture, folder: &Path, device: Target, report: &mut CaseReport) {
    let site = Site { fixture, folder, device };
    for (name, part) in PARTS {
        let prefix = format!("{name}.");
        let exists = fixture.names_after(&prefix).next().is_some() || fixture.json().find(name).is_some();
        if exists {
            report.attempt(name, |report| part(&site, report));
        }
    }
}

/// What the oracle itself loses in single precision: nothing to compare.
fn oracle_deviation(site: &Site<'_>, _report: &mut CaseReport) -> Result<(), Fault> {
    site.fixture.json().acknowledge_fields(&["float32_deviation"]);
    Ok(())
}

/// The distinct first components of the tensor names after `prefix`.
fn groups<'a>(fixture: &'a Fixture, prefix: &'a str) -> Vec<&'a str> {
    let mut groups: Vec<&str> =
        fixture.names_after(prefix).filter_map(|n| Some(n.split_once('.')?.0)).collect();
    groups.dedup();
    groups
}
