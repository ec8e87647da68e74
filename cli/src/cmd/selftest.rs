//! `golf selftest --golden DIR [--device NAME] [--json]`: replays fixtures and prints the table.

use crate::exit::{Outcome, Status};
use crate::flags::DeviceFlags;
use crate::selftest;
use clap::Args;
use std::io::{self, Write};
use std::path::PathBuf;

/// Arguments of `golf selftest`.
#[derive(Args, Clone, Debug)]
pub struct SelftestArgs {
    /// Folder of fixtures: one `.safetensors` and one `.json` file per case
    #[arg(long, value_name = "DIR")]
    golden: PathBuf,
    #[command(flatten)]
    device: DeviceFlags,
    /// Print one JSON object instead of tables
    #[arg(long)]
    json: bool,
}

/// Runs the command; a quantity beyond its limit, or one that is not understood, is a failed check.
pub fn run(args: &SelftestArgs) -> Outcome {
    let report = selftest::run(&args.golden, args.device.target())?;
    let mut out = io::stdout().lock();
    if args.json {
        serde_json::to_writer_pretty(&mut out, &report)?;
        writeln!(out)?;
    } else {
        write!(out, "{report}")?;
    }
    Ok(if report.ok { Status::Done } else { Status::CheckFailed })
}
