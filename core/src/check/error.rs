//! Why evidence cannot be read.

use thiserror::Error;

/// Why evidence cannot be read. Lines are numbered from 1.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CheckError {
    /// A line of a log that is not a JSON object with an `event`.
    #[error("line {line}: expected a JSON object with `schema_version` and `event`")]
    LogLine {
        /// The line.
        line: usize,
    },
    /// Another schema.
    #[error("line {line}: expected `schema_version` {expected}, got {got}")]
    LogVersion {
        /// The line.
        line: usize,
        /// The version that is understood.
        expected: u32,
        /// The version there.
        got: String,
    },
    /// An event without one of its fields.
    #[error("line {line}: event `{event}` has no `{field}`")]
    LogField {
        /// The line.
        line: usize,
        /// The event.
        event: &'static str,
        /// The field.
        field: &'static str,
    },
    /// A log without a beginning.
    #[error("no `start` event")]
    LogStart,
    /// A report without one of its fields.
    #[error("evaluation report: no `{field}`\nhint: it is what `golf eval --json` prints")]
    ReportField {
        /// The field.
        field: &'static str,
    },
    /// A file that is not JSON.
    #[error("expected a JSON object: {source}")]
    Json {
        /// What the parser said.
        #[from]
        source: serde_json::Error,
    },
}
