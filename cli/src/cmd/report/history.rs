//! The events of a run, read back: one line of `metrics.jsonl` after the other.
//!
//! What a killed process did after its last checkpoint was done again by the one that resumed: of such steps the later
//! ones count.

use golf_core::model::ModelConfig;
use golf_core::train::Recipe;
use serde::Deserialize;
use serde_json::Value;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// A step.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
pub(super) struct Step {
    /// Steps done.
    pub step: u64,
    /// Nats per token.
    pub loss: f64,
    /// Tokens of the step.
    pub tokens: u64,
    /// Milliseconds of training.
    pub train_ms: f64,
}

/// A validation.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
pub(super) struct Validation {
    /// Steps done.
    pub step: u64,
    /// Nats per token.
    pub loss: f64,
    /// Bits per byte, where bytes are known.
    pub bpb: Option<f64>,
}

/// A score at the end: of the averaged weights, or of the artifact as read back from disk.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(super) struct Last {
    /// Nats per token.
    pub loss: f64,
    /// Bits per byte.
    pub bpb: Option<f64>,
}

/// The artifact as written.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(super) struct Artifact {
    /// Size.
    pub bytes: u64,
    /// Hash of its content.
    pub content_hash: String,
    /// `ema`, `swa` or `live`.
    pub weights: String,
}

/// How the run began.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(super) struct Start {
    /// Hash of model and recipe.
    pub config_hash: String,
    /// Both.
    pub config: Config,
    /// Number of parameters.
    pub parameters: u64,
    /// Executor.
    pub backend: String,
    /// Version of golf.
    pub version: String,
    /// Number of ranks.
    #[serde(default = "one")]
    pub ranks: usize,
}

fn one() -> usize {
    1
}

/// Model and recipe.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(super) struct Config {
    /// Structure.
    pub model: ModelConfig,
    /// Training.
    pub recipe: Recipe,
}

/// A run.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct History {
    /// The last start: of several processes the one that ended the run.
    pub start: Start,
    /// Steps in order.
    pub steps: Vec<Step>,
    /// Validations in order.
    pub validations: Vec<Validation>,
    /// Written, if the run ended.
    pub artifact: Option<Artifact>,
    /// The averaged weights that the artifact was made of, if it was made of those and there was text for it.
    pub averaged: Option<Last>,
    /// Validated, if the run ended and had text for it.
    pub last: Option<Last>,
    /// Milliseconds by phase, if the run ended.
    pub used: Vec<(String, f64)>,
    /// How often a process went on from a checkpoint.
    pub resumed: usize,
}

/// Why there is nothing to report.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum HistoryError {
    /// The file cannot be read.
    #[error("cannot read `{}`: {source}\nhint: give the output folder of a run", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A line that is no event.
    #[error("`{}` line {line}: {source}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Its number, from 1.
        line: usize,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// No step at all.
    #[error("`{}` tells of no step", path.display())]
    NoSteps {
        /// The file.
        path: PathBuf,
    },
}

impl History {
    /// Reads `metrics.jsonl`.
    pub fn read(path: &Path) -> Result<History, HistoryError> {
        let read = |source| HistoryError::Read { path: path.to_path_buf(), source };
        let text = fs::read_to_string(path).map_err(read)?;
        let mut parts = Parts::default();
        for (index, line) in text.lines().enumerate() {
            let wrong = |source| HistoryError::Line { path: path.to_path_buf(), line: index + 1, source };
            let event: Value = serde_json::from_str(line).map_err(wrong)?;
            parts.take(event).map_err(wrong)?;
        }
        let Parts { start, steps, validations, artifact, averaged, last, used, resumed } = parts;
        match start {
            Some(start) if !steps.is_empty() => {
                Ok(History { start, steps, validations, artifact, averaged, last, used, resumed })
            }
            _ => Err(HistoryError::NoSteps { path: path.to_path_buf() }),
        }
    }
}

/// A history under construction.
#[derive(Default)]
struct Parts {
    start: Option<Start>,
    steps: Vec<Step>,
    validations: Vec<Validation>,
    artifact: Option<Artifact>,
    averaged: Option<Last>,
    last: Option<Last>,
    used: Vec<(String, f64)>,
    resumed: usize,
}

impl Parts {
    fn take(&mut self, event: Value) -> Result<(), serde_json::Error> {
        if let Some(used) = event["used"].as_object() {
            self.used = used.iter().filter_map(|(phase, ms)| Some((phase.clone(), ms.as_f64()?))).collect();
        }
        match event["event"].as_str().unwrap_or_default() {
            // Of several processes the last one counts.
            "start" => self.start = Some(serde_json::from_value(event)?),
            "resume" => {
                let from = event["step"].as_u64().unwrap_or(0);
                self.steps.retain(|step| step.step <= from);
                self.validations.retain(|validation| validation.step <= from);
                self.resumed += 1;
            }
            "step" => {
                let step: Step = serde_json::from_value(event)?;
                self.steps.retain(|earlier| earlier.step < step.step);
                self.steps.push(step);
            }
            "validation" => {
                let validation: Validation = serde_json::from_value(event)?;
                self.validations.retain(|earlier| earlier.step < validation.step);
                self.validations.push(validation);
            }
            "artifact" => {
                self.artifact = Some(serde_json::from_value(event)?);
                // Scores of an earlier one are none of this one.
                (self.averaged, self.last) = (None, None);
            }
            "averaged" => self.averaged = Some(serde_json::from_value(event)?),
            "final" => self.last = Some(serde_json::from_value(event)?),
            _ => {}
        }
        Ok(())
    }
}
