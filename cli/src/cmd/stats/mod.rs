//! `golf stats`: whether an improvement is one.
//!
//! Reads receipts, one a seed; the chain of each and the configurations are checked first, since a mean over edited or
//! mixed runs means nothing (exit code 3).

mod print;

use super::check::records;
use crate::exit::{Outcome, Status};
use crate::statistics::{Group, Test, Threshold, one_sample, runs_needed, welch};
use clap::Args;
use golf_core::check::{Case, Finding, Run, Verdict, examine};
use serde::Serialize;
use std::error::Error;
use std::path::PathBuf;

/// Rules that must not fail before anything is averaged.
const REQUIRED: [&str; 2] = ["receipt", "same-config"];

/// Flags of `golf stats`.
#[derive(Args, Clone, Debug)]
pub struct StatsArgs {
    /// Receipts, folders of runs, or folders of such folders.
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// Compare with the mean of these runs (Welch).
    #[arg(long, value_name = "RUN", num_args = 1..)]
    against: Vec<PathBuf>,
    /// Compare with this score, in bits per byte.
    #[arg(long, value_name = "BPB")]
    baseline: Option<f64>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// One run's scores.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Scored {
    pub name: String,
    pub seed: Option<u64>,
    pub val_bpb: f64,
    pub val_loss: f64,
    pub bytes_per_token: f64,
}

/// A comparison, without and with the margin that a record needs.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Comparison {
    /// The score to be below.
    pub limit: f64,
    /// How far the mean is below it, in bits per byte.
    pub below: f64,
    /// Whether it is below at all.
    pub better: Option<Test>,
    /// Whether it is below by the threshold.
    pub record: Option<Test>,
    /// Runs that the test would need, as things are.
    pub runs_needed: Option<usize>,
    /// The same, for the threshold.
    pub runs_needed_for_record: Option<usize>,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Report {
    pub schema_version: u32,
    pub runs: Vec<Scored>,
    pub val_bpb: Group,
    pub val_loss: Group,
    pub bits_per_token: Group,
    pub threshold: Threshold,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub baseline: Option<Comparison>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub against: Option<Comparison>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub against_runs: Option<Vec<Scored>>,
    /// Rules that fail for these runs.
    pub failed: Vec<Finding>,
}

/// Runs the command.
pub fn run(args: &StatsArgs) -> Outcome {
    let report = report(&args.runs, &args.against, args.baseline)?;
    match args.json {
        true => println!("{}", serde_json::to_string_pretty(&report)?),
        false => print::table(&report),
    }
    Ok(if report.failed.is_empty() { Status::Done } else { Status::CheckFailed })
}

/// Reads the runs and compares them.
fn report(runs: &[PathBuf], against: &[PathBuf], baseline: Option<f64>) -> Result<Report, Box<dyn Error>> {
    let case = records(runs)?;
    let mut report = summary(&case)?;
    let margin = report.threshold.bpb.unwrap_or(0.0);
    report.baseline = baseline.map(|limit| Comparison {
        limit,
        below: limit - report.val_bpb.mean,
        better: one_sample(&report.val_bpb, limit),
        record: one_sample(&report.val_bpb, limit - margin),
        runs_needed: runs_needed(&report.val_bpb, limit),
        runs_needed_for_record: runs_needed(&report.val_bpb, limit - margin),
    });
    if !against.is_empty() {
        let other_case = records(against)?;
        let other = summary(&other_case)?;
        same_text(&case, &other_case)?;
        report.against = Some(Comparison {
            limit: other.val_bpb.mean,
            below: other.val_bpb.mean - report.val_bpb.mean,
            better: welch(&report.val_bpb, &other.val_bpb, 0.0),
            record: welch(&report.val_bpb, &other.val_bpb, margin),
            runs_needed: None,
            runs_needed_for_record: None,
        });
        report.against_runs = Some(other.runs);
        report.failed.extend(other.failed);
    }
    Ok(report)
}

/// The statistics of one group.
pub(super) fn summary(case: &Case) -> Result<Report, Box<dyn Error>> {
    let runs = case.runs.iter().map(scored).collect::<Result<Vec<_>, _>>()?;
    let group = |of: fn(&Scored) -> f64| {
        let values: Vec<f64> = runs.iter().map(of).collect();
        Group::new(&values).ok_or("expected at least 1 run, got 0")
    };
    let bytes_per_token = group(|run| run.bytes_per_token)?.mean;
    let (val_bpb, val_loss) = (group(|run| run.val_bpb)?, group(|run| run.val_loss)?);
    let bits_per_token = group(|run| run.val_loss / std::f64::consts::LN_2)?;
    let required = |finding: &Finding| finding.verdict == Verdict::Fail && REQUIRED.contains(&finding.rule);
    Ok(Report {
        schema_version: 1,
        val_bpb,
        val_loss,
        bits_per_token,
        threshold: Threshold::new(Some(bytes_per_token)),
        baseline: None,
        against: None,
        against_runs: None,
        failed: examine(case).into_iter().filter(required).collect(),
        runs,
    })
}

fn scored(run: &Run) -> Result<Scored, Box<dyn Error>> {
    let missing =
        |what: &str| format!("`{}` has no {what}\nhint: `golf eval --receipt` writes one", run.name);
    let receipt = run.receipt.as_ref().ok_or_else(|| missing("receipt"))?;
    let totals = &receipt.totals;
    Ok(Scored {
        name: run.name.clone(),
        seed: run.log.as_ref().and_then(|log| log.seed()),
        val_bpb: totals.val_bpb.ok_or_else(|| missing("score in its receipt"))?,
        val_loss: totals.val_loss.ok_or_else(|| missing("score in its receipt"))?,
        bytes_per_token: totals.bytes_per_token.ok_or_else(|| missing("score in its receipt"))?,
    })
}

/// Scores of other texts cannot be compared. Tokenizers may differ.
fn same_text(ours: &Case, others: &Case) -> Result<(), String> {
    let text = |case: &Case| {
        let receipt = case.runs.first().and_then(|run| run.receipt.as_ref());
        receipt.and_then(|receipt| receipt.run.source.text_sha256.clone())
    };
    match (text(ours), text(others)) {
        (Some(ours), Some(others)) if ours != others => Err(format!(
            "the groups were scored on other texts: `{ours}` and `{others}`\nhint: compare scores of one text"
        )),
        _ => Ok(()),
    }
}
