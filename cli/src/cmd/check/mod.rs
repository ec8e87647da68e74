//! `golf check`: a folder, an artifact or a receipt against the challenge's rules.
//!
//! Gathers evidence (`folder`: what lies where; `gather`: what it says) and prints the verdicts; the rules themselves
//! are [`golf_core::check`]. Exit code 3 when a rule fails. CANNOT TELL is neither: the summary says so.

mod folder;
mod gather;
mod print;

pub(super) use gather::records;

use crate::cmd::data::Cut;
use crate::exit::{Outcome, Status};
use crate::flags::{DeviceFlags, positive};
use clap::Args;
use golf_core::check::{Case, Finding, Verdict, examine};
use std::error::Error;
use std::path::PathBuf;

/// Flags of `golf check`.
#[derive(Args, Clone, Debug)]
pub struct CheckArgs {
    /// A run's folder, a folder of runs, an artifact, or a receipt.
    #[arg(required = true)]
    pub paths: Vec<PathBuf>,
    /// What to compare with.
    #[command(flatten)]
    pub evidence: EvidenceFlags,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// What to compare with, and how hard to look.
#[derive(Args, Clone, Debug)]
pub struct EvidenceFlags {
    /// The artifact of a receipt that is given as a file.
    #[arg(long, value_name = "FILE")]
    artifact: Option<PathBuf>,
    /// SentencePiece model, where the artifact holds no tokenizer.
    #[arg(long, value_name = "FILE.model")]
    tokenizer: Option<PathBuf>,
    /// What `golf eval --json` printed for a receipt that is given as a file.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// The raw text that was scored.
    #[arg(long, value_name = "FILE", conflicts_with = "tokens")]
    text: Option<PathBuf>,
    /// The shard that was scored, where there is no raw text.
    #[arg(long, value_name = "SHARD")]
    tokens: Option<PathBuf>,
    /// The claim is about the first targets only.
    #[arg(long, value_parser = positive)]
    targets: Option<usize>,
    /// Training data, for the overlap.
    #[arg(long, value_name = "PATH")]
    train: Option<String>,
    /// Validation data, for the overlap (default: the text or shard that was scored).
    #[arg(long, value_name = "PATH", requires = "train")]
    val: Option<String>,
    #[command(flatten)]
    cut: Cut,
    /// Run this many chunks again and compare.
    #[arg(long, value_name = "CHUNKS", default_value_t = 0)]
    replay: usize,
    /// Positions that the model is probed at; 0 does not run it.
    #[arg(long, value_name = "POSITIONS", default_value_t = 16)]
    probe: usize,
    #[command(flatten)]
    device: DeviceFlags,
}

/// Runs the command.
pub fn run(args: &CheckArgs) -> Outcome {
    let (_, findings) = judge(args)?;
    match args.json {
        true => println!("{}", serde_json::to_string_pretty(&print::json(&findings))?),
        false => print::table(&findings),
    }
    let failed = findings.iter().any(|finding| finding.verdict == Verdict::Fail);
    Ok(if failed { Status::CheckFailed } else { Status::Done })
}

/// The evidence and what the rules say to it.
pub fn judge(args: &CheckArgs) -> Result<(Case, Vec<Finding>), Box<dyn Error>> {
    let case = gather::case(&args.paths, &args.evidence)?;
    let findings = examine(&case);
    Ok((case, findings))
}
