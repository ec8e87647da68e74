//! `golf report`: what a training run did, as a page with a picture, from the events that it wrote.
//!
//! Reads `metrics.jsonl` of an output folder, and receipts of evaluations and timed plans where they are given; writes `report.md` and
//! `loss.svg` beside it. Nothing is computed again: every figure is in those files, or follows from them by a formula that the
//! page states.

mod chart;
mod history;
mod page;
mod scores;
mod speed;
mod step;

use super::plan::Trace;
use crate::exit::{Outcome, Status};
use clap::Args;
use golf_core::durable;
use history::{History, HistoryError};
use scores::Score;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Describe a training run: loss curve, speed, sizes, bits per byte.
#[derive(Args, Clone, Debug)]
pub struct ReportArgs {
    /// Output folder of a run
    run: PathBuf,
    /// Receipt of an evaluation of its artifact (`golf-eval --receipt`); repeatable
    #[arg(long, value_name = "FILE")]
    receipt: Vec<PathBuf>,
    /// Timed plan of a step (`golf plan trace -o json`), for the time by op; repeatable
    #[arg(long, value_name = "FILE")]
    trace: Vec<PathBuf>,
    /// Peak of one rank's device in TFLOP/s, for the utilization (default: of a known NVIDIA GPU in bf16, its dense peak)
    #[arg(long, value_name = "TFLOPS")]
    peak: Option<f64>,
    /// Print where the report lies as one JSON object
    #[arg(long)]
    json: bool,
}

/// Why there is no report.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReportError {
    /// The events.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// A file of the report cannot be written.
    #[error("cannot write `{}`: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A receipt or a timed plan cannot be read.
    #[error("cannot read `{}`: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A timed plan that is none.
    #[error("`{}` is no timed plan: {source}\nhint: `golf plan trace -o json` writes one", path.display())]
    Trace {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// A receipt that is none.
    #[error("`{}` is no receipt: expected totals with `val_bpb`", path.display())]
    Receipt {
        /// The file.
        path: PathBuf,
    },
}

/// Runs the command.
pub fn run(args: &ReportArgs) -> Outcome {
    let receipts = args.receipt.iter().map(|path| read_receipt(path)).collect::<Result<Vec<_>, _>>()?;
    let traces = args.trace.iter().map(|path| read_trace(path)).collect::<Result<Vec<_>, _>>()?;
    let path = write(&args.run, &Beside { receipts, traces, peak: args.peak })?;
    match args.json {
        true => println!("{}", serde_json::json!({ "report": path.display().to_string() })),
        false => println!("{}", path.display()),
    }
    Ok(Status::Done)
}

/// What a page says beside the events.
#[derive(Debug, Default)]
pub struct Beside {
    receipts: Vec<Score>,
    traces: Vec<Trace>,
    /// Peak of one rank's device in TFLOP/s; `None` is that of a known device.
    peak: Option<f64>,
}

/// Writes the report of the run in `folder`; its path.
pub fn write(folder: &Path, beside: &Beside) -> Result<PathBuf, ReportError> {
    let history = History::read(&folder.join("metrics.jsonl"))?;
    let save = |name: &str, text: &str| {
        let path = folder.join(name);
        durable::replace(&path, text.as_bytes())
            .map_err(|source| ReportError::Write { path: path.clone(), source })?;
        Ok::<_, ReportError>(path)
    };
    save("loss.svg", &chart::losses(&history))?;
    save("report.md", &page::page(folder, &history, beside))
}

fn read_trace(path: &Path) -> Result<Trace, ReportError> {
    let text =
        fs::read_to_string(path).map_err(|source| ReportError::Read { path: path.to_path_buf(), source })?;
    serde_json::from_str(&text).map_err(|source| ReportError::Trace { path: path.to_path_buf(), source })
}

fn read_receipt(path: &Path) -> Result<Score, ReportError> {
    let read = |source| ReportError::Read { path: path.to_path_buf(), source };
    let text = fs::read_to_string(path).map_err(read)?;
    let wrong = || ReportError::Receipt { path: path.to_path_buf() };
    let json: serde_json::Value = serde_json::from_str(&text).map_err(|_| wrong())?;
    let bpb = json["totals"]["val_bpb"].as_f64().ok_or_else(wrong)?;
    let method = match json["run"]["method"].as_str() {
        Some("fixed") => "without adaptation",
        Some("score-first") => "score-first test-time training",
        Some("train-then-score") => "train, then score: **illegal**",
        _ => return Err(wrong()),
    };
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(Score {
        what: format!("artifact, {method}, `{name}`"),
        loss: json["totals"]["val_loss"].as_f64(),
        bpb: Some(bpb),
    })
}
