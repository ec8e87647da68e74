//! `metrics.jsonl` as evidence: which configuration a run had, how long it took, which artifact it wrote.
//!
//! Everything is read from the lines of events that [`crate::train::metrics`] describes; times are the largest that any
//! line states, so that one line cannot contradict the others downwards.

use super::error::CheckError;
use crate::digest::sha256_hex;
use crate::train::clock::Used;
use crate::train::metrics::SCHEMA_VERSION;
use serde_json::Value;

/// What a training log says.
#[derive(Clone, Debug, PartialEq)]
pub struct RunLog {
    /// Hash of the configuration, as stated.
    pub config_hash: String,
    /// Model and recipe, with sorted keys.
    pub config: Value,
    /// Identity of the training shards.
    pub data: String,
    /// What trained it.
    pub backend: String,
    /// Steps done.
    pub steps: u64,
    /// Milliseconds of training: the largest of all lines.
    pub train_ms: f64,
    /// Milliseconds by phase when the artifact was written.
    pub used: Option<Used>,
    /// Content hash of the artifact, and the length of its file.
    pub artifact: Option<(String, u64)>,
}

impl RunLog {
    /// Reads the lines of a `metrics.jsonl`.
    ///
    /// # Errors
    /// A line that is no event, or an event without a field that is needed.
    pub fn parse(text: &str) -> Result<Self, CheckError> {
        let mut log: Option<RunLog> = None;
        for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let line_number = index + 1;
            let (event, fields) = event(line_number, line)?;
            if event == "start" {
                let begun = start(line_number, &fields)?;
                // A resumed run begins anew in the same file; its times go on from the older ones.
                let earlier = log.map_or(0.0, |log| log.train_ms);
                log = Some(RunLog { train_ms: earlier, ..begun });
            }
            let log = log.as_mut().ok_or(CheckError::LogStart)?;
            log.take(line_number, &event, &fields)?;
        }
        log.ok_or(CheckError::LogStart)
    }

    fn take(&mut self, line: usize, event: &str, fields: &Value) -> Result<(), CheckError> {
        let stated = [&fields["train_ms"], &fields["used"]["train"]];
        for ms in stated.into_iter().filter_map(Value::as_f64) {
            self.train_ms = self.train_ms.max(ms);
        }
        if let Some(step) = fields["step"].as_u64() {
            self.steps = self.steps.max(step);
        }
        if event == "artifact" {
            let missing = |field| CheckError::LogField { line, event: "artifact", field };
            let hash = fields["content_hash"].as_str().ok_or(missing("content_hash"))?;
            let bytes = fields["bytes"].as_u64().ok_or(missing("bytes"))?;
            self.artifact = Some((hash.to_owned(), bytes));
            let used = serde_json::from_value(fields["used"].clone());
            self.used = Some(used.map_err(|_| missing("used"))?);
        }
        Ok(())
    }

    /// Hash of the configuration, as computed from it.
    pub fn computed_hash(&self) -> String {
        sha256_hex(self.config.to_string().as_bytes())
    }

    /// The seed of the run.
    pub fn seed(&self) -> Option<u64> {
        self.config["recipe"]["seed"].as_u64()
    }

    /// The configuration without its seed.
    pub fn config_without_seed(&self) -> Value {
        let mut config = self.config.clone();
        if let Some(recipe) = config["recipe"].as_object_mut() {
            recipe.remove("seed");
        }
        config
    }
}

fn event(line: usize, text: &str) -> Result<(String, Value), CheckError> {
    let fields: Value = serde_json::from_str(text).map_err(|_| CheckError::LogLine { line })?;
    let event = fields["event"].as_str().ok_or(CheckError::LogLine { line })?.to_owned();
    match fields["schema_version"].as_u64() {
        Some(version) if version == u64::from(SCHEMA_VERSION) => Ok((event, fields)),
        _ => {
            let got = fields["schema_version"].to_string();
            Err(CheckError::LogVersion { line, expected: SCHEMA_VERSION, got })
        }
    }
}

fn start(line: usize, fields: &Value) -> Result<RunLog, CheckError> {
    let text = |field: &'static str| {
        let value = fields[field].as_str().map(str::to_owned);
        value.ok_or(CheckError::LogField { line, event: "start", field })
    };
    if !fields["config"].is_object() {
        return Err(CheckError::LogField { line, event: "start", field: "config" });
    }
    Ok(RunLog {
        config_hash: text("config_hash")?,
        config: fields["config"].clone(),
        data: text("data")?,
        backend: text("backend")?,
        steps: 0,
        train_ms: 0.0,
        used: None,
        artifact: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: &str = r#"{"schema_version":1,"event":"start","config_hash":"x","config":{"recipe":{"seed":7,"lr":1.0}},"data":"d","backend":"cpu"}"#;

    #[test]
    fn times_are_the_largest_that_any_line_states_over_a_resumption() {
        let step = r#"{"schema_version":1,"event":"step","step":9,"train_ms":500.5}"#;
        let earlier = r#"{"schema_version":1,"event":"stop","step":4,"train_ms":20.0}"#;
        let log = RunLog::parse(&[START, step, START, earlier].join("\n")).expect("sound lines");
        assert_eq!((log.train_ms, log.seed(), log.artifact.clone()), (500.5, Some(7), None));
        assert_eq!(log.config_without_seed().to_string(), r#"{"recipe":{"lr":1.0}}"#);
    }

    #[test]
    fn lines_that_are_no_events_are_named() {
        let said = |text: &str| RunLog::parse(text).expect_err("no log").to_string();
        assert_eq!(said(""), "no `start` event");
        assert!(said(&[START, "{"].join("\n")).starts_with("line 2: expected a JSON object"));
        assert!(said(&START.replace("1,", "2,")).contains("expected `schema_version` 1, got 2"));
        assert!(said(&START.replace("data", "date")).contains("event `start` has no `data`"));
        let artifact = r#"{"schema_version":1,"event":"artifact","bytes":3}"#;
        assert!(said(&[START, artifact].join("\n")).contains("no `content_hash`"));
    }
}
