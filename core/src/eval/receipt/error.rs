//! What can be wrong with a receipt, one variant a cause.

use super::SCHEMA_VERSION;
use thiserror::Error;

/// What does not add up in a receipt.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ReceiptError {
    /// Another schema.
    #[error("receipt schema: expected version {SCHEMA_VERSION}, got {got}")]
    Version {
        /// Its version.
        got: u32,
    },
    /// A chunk is missing or out of order.
    #[error("chunk record {position}: expected index {position}, got {got}")]
    Order {
        /// Where it stands.
        position: usize,
        /// Its index.
        got: usize,
    },
    /// The number of chunks is not the stream's.
    #[error("expected {expected} chunk records, got {got}")]
    Chunks {
        /// Chunks of the stream.
        expected: usize,
        /// Records there.
        got: usize,
    },
    /// A link is not the hash of what it binds.
    #[error("chunk {chunk}: link: expected `{expected}`, got `{got}`")]
    Link {
        /// The chunk.
        chunk: usize,
        /// As computed.
        expected: String,
        /// As stored.
        got: String,
    },
    /// Weights changed between two chunks, or where they must not.
    #[error("chunk {chunk}: weights: expected `{expected}`, got `{got}`")]
    Weights {
        /// The chunk.
        chunk: usize,
        /// Hash that must be there.
        expected: String,
        /// Hash that is there.
        got: String,
    },
    /// Optimizer steps where there can be none.
    #[error("chunk {chunk}: expected no optimizer steps, got {got}")]
    Steps {
        /// The chunk.
        chunk: usize,
        /// Steps recorded.
        got: u64,
    },
    /// A sum is not the sum of its parts.
    #[error("totals: `{field}` does not follow from the chunk records")]
    Totals {
        /// The field.
        field: &'static str,
    },
    /// The proof does not show what the run claims.
    #[error("coverage: `{field}` does not prove that every target was scored exactly once")]
    Coverage {
        /// The field.
        field: &'static str,
    },
    /// A method without its mark.
    #[error("marks: `{field}` does not follow from the run")]
    Marks {
        /// The mark.
        field: &'static str,
    },
    /// The head is not the hash of what it binds.
    #[error("head: expected `{expected}`, got `{got}`")]
    Head {
        /// As computed.
        expected: String,
        /// As stored.
        got: String,
    },
}
