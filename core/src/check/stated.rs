//! What an evaluation and a submission state of themselves, as evidence.

use super::error::CheckError;
use serde_json::Value;
use std::collections::BTreeMap;

/// What `golf eval --json` printed, as far as a check needs it.
#[derive(Clone, Debug, PartialEq)]
pub struct EvalReport {
    /// Wall-clock seconds of scoring and adaptation.
    pub seconds: f64,
    /// Chunks that an earlier process had scored, which the seconds do not cover.
    pub resumed_at_chunk: u64,
    /// Head of the receipt that it goes with.
    pub receipt_head: String,
    /// What computed it.
    pub device: String,
}

impl EvalReport {
    /// Reads what `golf eval --json` printed.
    ///
    /// # Errors
    /// No JSON, or a field that is missing.
    pub fn parse(text: &str) -> Result<Self, CheckError> {
        let value: Value = serde_json::from_str(text)?;
        let missing = |field| CheckError::ReportField { field };
        let string = |field: &'static str| {
            value[field].as_str().map(str::to_owned).ok_or(CheckError::ReportField { field })
        };
        Ok(Self {
            seconds: value["seconds"].as_f64().ok_or(missing("seconds"))?,
            resumed_at_chunk: value["resumed_at_chunk"].as_u64().unwrap_or(0),
            receipt_head: string("receipt_head")?,
            device: string("device")?,
        })
    }
}

/// Numbers of a `submission.json`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Claims {
    /// Numbers by key, at the top level.
    pub numbers: BTreeMap<String, f64>,
}

impl Claims {
    /// Reads the numbers of a `submission.json`.
    ///
    /// # Errors
    /// No JSON object.
    pub fn parse(text: &str) -> Result<Self, CheckError> {
        let object: serde_json::Map<String, Value> = serde_json::from_str(text)?;
        let numbers = object.into_iter().filter_map(|(key, value)| Some((key, value.as_f64()?)));
        Ok(Self { numbers: numbers.collect() })
    }
}
