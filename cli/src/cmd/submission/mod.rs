//! `golf submission`: `submission.json` and `README.md` of a record folder, from receipts only.
//!
//! No number is typed by hand: scores come from receipts, sizes from files, times from logs and reports, significance from
//! the scores. Everything is checked first, and a rule that fails is named and ends the command (exit code 3). What
//! could not be told is said in the README.
//!
//! The fields are those that the challenge's submissions share (`author`, `github_id`, `name`, `blurb`, `date`,
//! `val_loss`, `val_bpb`, `bytes_total`, `bytes_code`), and per seed what reviewers ask for.

mod lint;
mod readme;

use super::check::{CheckArgs, EvidenceFlags, judge};
use super::stats::summary;
use crate::exit::{Outcome, Status};
use crate::statistics::{Test, one_sample};
use clap::Args;
use golf_core::check::{Case, Finding, Run, Verdict};
use golf_core::durable::replace;
use serde::Serialize;
use std::collections::BTreeMap;
use std::error::Error;
use std::path::PathBuf;

/// Flags of `golf submission`.
#[derive(Args, Clone, Debug)]
pub struct SubmissionArgs {
    /// A folder of runs, or the runs' folders.
    #[arg(required = true, value_name = "RUN")]
    paths: Vec<PathBuf>,
    /// Who submits.
    #[arg(long)]
    author: String,
    /// Their account.
    #[arg(long, value_name = "NAME")]
    github_id: String,
    /// Name of the submission.
    #[arg(long)]
    name: String,
    /// One sentence on what it does.
    #[arg(long)]
    blurb: String,
    /// Folder for the two files (default: the folder of runs, where only one is given).
    #[arg(short, long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Score to be below, in bits per byte; adds p-values.
    #[arg(long, value_name = "BPB")]
    baseline: Option<f64>,
    #[command(flatten)]
    evidence: EvidenceFlags,
}

/// One seed.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Seed {
    pub val_loss: Option<f64>,
    pub val_bpb: Option<f64>,
    pub artifact_bytes: Option<u64>,
    pub steps: Option<u64>,
    pub train_seconds: Option<f64>,
    pub eval_seconds: Option<f64>,
    pub receipt_head: Option<String>,
    pub config_hash: Option<String>,
}

/// How many rules said what.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Checks {
    pub pass: usize,
    pub fail: usize,
    pub cannot_tell: Vec<&'static str>,
}

/// `submission.json`, its fields in this order.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Submission {
    pub author: String,
    pub github_id: String,
    pub name: String,
    pub blurb: String,
    pub date: String,
    pub val_loss: f64,
    pub val_bpb: f64,
    pub val_bpb_std: Option<f64>,
    pub bytes_total: u64,
    pub bytes_code: u64,
    pub seeds: Vec<u64>,
    pub seed_results: BTreeMap<String, Seed>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub baseline_bpb: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p_value: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p_value_for_record: Option<f64>,
    pub method: String,
    pub checks: Checks,
    pub generator: &'static str,
}

/// Runs the command.
pub fn run(args: &SubmissionArgs) -> Outcome {
    lint::words(args)?;
    let out = out(args)?;
    let files = ["submission.json", "README.md"].map(|name| out.join(name));
    if let Some(there) = files.iter().find(|path| path.exists()) {
        let hint = "hint: remove it, or choose another folder with --out";
        return Err(format!("`{}` is already there\n{hint}", there.display()).into());
    }
    let check = CheckArgs { paths: args.paths.clone(), evidence: args.evidence.clone(), json: false };
    let (case, findings) = judge(&check)?;
    let failed: Vec<&Finding> = findings.iter().filter(|f| f.verdict == Verdict::Fail).collect();
    if !failed.is_empty() {
        for finding in failed {
            let run = finding.run.as_ref().map(|run| format!("{run}: ")).unwrap_or_default();
            eprintln!("FAIL {}: {run}{}", finding.rule, finding.evidence);
        }
        eprintln!("nothing is written: a submission may not break a rule");
        return Ok(Status::CheckFailed);
    }
    let submission = fill(args, &case, &findings)?;
    lint::numbers(&submission)?;
    let json = serde_json::to_string_pretty(&submission)? + "\n";
    let readme = readme::text(&submission, &case, &findings);
    for (path, content) in files.iter().zip([json, readme]) {
        replace(path, content.as_bytes())
            .map_err(|error| format!("cannot write `{}`: {error}", path.display()))?;
        println!("wrote `{}`", path.display());
    }
    Ok(Status::Done)
}

fn out(args: &SubmissionArgs) -> Result<PathBuf, String> {
    match (&args.out, &args.paths[..]) {
        (Some(out), _) => {
            std::fs::create_dir_all(out)
                .map_err(|error| format!("cannot create `{}`: {error}", out.display()))?;
            Ok(out.clone())
        }
        (None, [only]) if only.is_dir() => Ok(only.clone()),
        _ => Err("no folder to write to\nhint: name one with --out".to_owned()),
    }
}

fn fill(args: &SubmissionArgs, case: &Case, findings: &[Finding]) -> Result<Submission, Box<dyn Error>> {
    let report = summary(case)?;
    let model = |run: &Run| run.shipped.iter().map(|file| file.bytes).sum::<u64>();
    let bytes_code: u64 = case.shared.iter().map(|file| file.bytes).sum();
    let largest = case.runs.iter().map(model).max().unwrap_or(0);
    let p = |test: Option<Test>| test.map(|test| test.p);
    let margin = report.threshold.bpb.unwrap_or(0.0);
    let below = |limit: f64| p(one_sample(&report.val_bpb, limit));
    let mut open: Vec<&'static str> =
        findings.iter().filter(|f| f.verdict == Verdict::CannotTell).map(|f| f.rule).collect();
    open.dedup();
    let receipt = case.runs.first().and_then(|run| run.receipt.as_ref()).ok_or("no receipt")?;
    Ok(Submission {
        author: args.author.clone(),
        github_id: args.github_id.clone(),
        name: args.name.clone(),
        blurb: args.blurb.clone(),
        date: jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        val_loss: report.val_loss.mean,
        val_bpb: report.val_bpb.mean,
        val_bpb_std: report.val_bpb.sd,
        bytes_total: largest + bytes_code,
        bytes_code,
        seeds: case.runs.iter().filter_map(|run| run.log.as_ref()?.seed()).collect(),
        seed_results: case.runs.iter().map(seed).collect(),
        baseline_bpb: args.baseline,
        p_value: args.baseline.and_then(below),
        p_value_for_record: args.baseline.and_then(|limit| below(limit - margin)),
        method: readme::method(receipt),
        checks: Checks {
            pass: findings.iter().filter(|f| f.verdict == Verdict::Pass).count(),
            fail: 0,
            cannot_tell: open,
        },
        generator: concat!("golf ", env!("CARGO_PKG_VERSION")),
    })
}

/// A run by its seed, or by its name where the log has none.
fn seed(run: &Run) -> (String, Seed) {
    let log = run.log.as_ref();
    let name = log.and_then(|log| log.seed()).map_or_else(|| run.name.clone(), |seed| seed.to_string());
    let totals = run.receipt.as_ref().map(|receipt| &receipt.totals);
    let result = Seed {
        val_loss: totals.and_then(|totals| totals.val_loss),
        val_bpb: totals.and_then(|totals| totals.val_bpb),
        artifact_bytes: run.artifact.as_ref().map(|artifact| artifact.bytes),
        steps: log.map(|log| log.steps),
        train_seconds: log.map(|log| log.train_ms / 1e3),
        eval_seconds: run.report.as_ref().map(|report| report.seconds),
        receipt_head: run.receipt.as_ref().map(|receipt| receipt.head.clone()),
        config_hash: log.map(|log| log.config_hash.clone()),
    };
    (name, result)
}
