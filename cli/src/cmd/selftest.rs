//! `golf selftest --golden DIR [--device reference] [--json]`: replays fixtures and prints the table.

use crate::selftest::{self, Device, Fault};
use clap::Args;
use std::io::{self, Write};
use std::path::PathBuf;

/// Exit code when a quantity misses its limit.
pub const EXIT_MISS: u8 = 3;

/// Replays fixtures of an independent implementation and compares every number.
#[derive(Args, Clone, Debug)]
pub struct SelftestArgs {
    /// Folder of fixtures: one `.safetensors` and one `.json` file per case.
    #[arg(long, value_name = "DIR")]
    pub golden: PathBuf,
    /// Device that computes.
    #[arg(long, value_enum, default_value_t = Device::Reference)]
    pub device: Device,
    /// Print one JSON object instead of tables.
    #[arg(long)]
    pub json: bool,
}

/// Why the command could not run at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SelftestError {
    /// The folder cannot be listed.
    #[error("{0}\nhint: `--golden` takes a folder of `.safetensors` and `.json` pairs")]
    Folder(#[from] Fault),
    /// The report cannot be written.
    #[error("cannot write the report: {0}")]
    Output(#[from] io::Error),
}

/// Runs the command; the result is its exit code, 0 or [`EXIT_MISS`].
pub fn run(args: &SelftestArgs, out: &mut dyn Write) -> Result<u8, SelftestError> {
    let report = selftest::run(&args.golden, args.device)?;
    if args.json {
        serde_json::to_writer_pretty(&mut *out, &report).map_err(io::Error::from)?;
        writeln!(out)?;
    } else {
        write!(out, "{report}")?;
    }
    Ok(if report.ok { 0 } else { EXIT_MISS })
}
