//! Why an evaluation stops.

use super::coverage::CoverageError;
use super::resume::ResumeError;
use super::windows::WindowError;
use crate::backend::BackendError;
use crate::collective::CollectiveError;
use crate::model::config::ConfigError;
use crate::ops::OpError;
use crate::tensor::TensorType;
use thiserror::Error;

/// Why an evaluation stops. Positions are those of tokens in the stream.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum EvalError {
    /// The windows make no plan.
    #[error(transparent)]
    Window(#[from] WindowError),
    /// A target was not scored exactly once.
    #[error(transparent)]
    Coverage(#[from] CoverageError),
    /// The backend refused.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// The ranks cannot go on together.
    #[error(transparent)]
    Collective(#[from] CollectiveError),
    /// Two ranks do different things, or do the same with different results.
    #[error(
        "rank {rank}: expected the {what} of rank 0\nhint: all ranks need the same files, settings, program and kind of device"
    )]
    RanksDisagree {
        /// The first rank that differs.
        rank: usize,
        /// In what.
        what: &'static str,
    },
    /// The model's configuration is out of range.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The model's graph cannot be built for these sizes.
    #[error(transparent)]
    Graph(#[from] OpError),
    /// A saved state does not fit this run.
    #[error(transparent)]
    Resume(#[from] ResumeError),
    /// The model lacks a parameter.
    #[error("parameter `{name}` is missing from the model")]
    MissingParameter {
        /// Its name.
        name: String,
    },
    /// The model has a parameter that its configuration does not know.
    #[error("parameter `{name}` does not belong to the model's configuration")]
    UnknownParameter {
        /// Its name.
        name: String,
    },
    /// A parameter has another shape than its configuration asks for.
    #[error("parameter `{name}`: expected shape {expected:?}, got `{got}`")]
    ParameterShape {
        /// Its name.
        name: String,
        /// What the configuration asks for.
        expected: Vec<usize>,
        /// Its type.
        got: TensorType,
    },
    /// A token outside the model's vocabulary.
    #[error(
        "token {position}: expected an id below {vocab}, got {id}\nhint: these ids come from another tokenizer"
    )]
    Token {
        /// Where it stands.
        position: usize,
        /// The id.
        id: i32,
        /// Rows of the token embedding.
        vocab: usize,
    },
    /// Byte counts and targets differ in number.
    #[error("byte table: expected the bytes of {targets} targets, got {got}")]
    TargetBytes {
        /// Targets of the stream.
        targets: usize,
        /// Byte counts given.
        got: usize,
    },
    /// A chunk without targets.
    #[error("expected chunks of at least 1 target, got 0")]
    NoChunk,
    /// Chunks are scored from left to right, each once.
    #[error(
        "chunk {got} cannot be scored now: expected chunk {expected}\nhint: every chunk is scored once, in order"
    )]
    ChunkOrder {
        /// The chunk whose turn it is.
        expected: usize,
        /// The chunk asked for.
        got: usize,
    },
    /// The score of a chunk was dropped before it reached the receipt.
    #[error("the score of chunk {chunk} was not committed before the next step")]
    Uncommitted {
        /// The chunk.
        chunk: usize,
    },
    /// A score of one evaluation was handed to another.
    #[error("the score of chunk {chunk} belongs to another evaluation")]
    ForeignScore {
        /// The chunk.
        chunk: usize,
    },
    /// All chunks have been scored, or not all yet.
    #[error("expected all {chunks} chunks to be scored, got {done}")]
    Unfinished {
        /// Chunks of the stream.
        chunks: usize,
        /// Chunks committed.
        done: usize,
    },
    /// A score that is no number.
    #[error("target {target}: its score is {value}")]
    NotFinite {
        /// The target's position.
        target: usize,
        /// The score.
        value: f64,
    },
    /// The gradients are no numbers any more.
    #[error(
        "chunk {chunk}, optimizer step {step}: the gradient norm is {norm}\nhint: lower the learning rate"
    )]
    Diverged {
        /// The chunk that was being adapted on.
        chunk: usize,
        /// Optimizer steps taken before.
        step: u64,
        /// The norm.
        norm: f64,
    },
    /// The selection of parameters to adapt is empty.
    #[error("no parameter of the model is selected for adaptation")]
    NothingToAdapt,
    /// A parameter that the model does not have is to be adapted.
    #[error("parameter `{name}` is to be adapted but the model does not have it")]
    UnknownTrainable {
        /// Its name.
        name: String,
    },
    /// A count that must be positive, or a rate that must be finite and not negative.
    #[error("adaptation `{field}`: expected {expected}, got {got}")]
    Adaptation {
        /// The option.
        field: &'static str,
        /// What would be accepted.
        expected: &'static str,
        /// What was given.
        got: String,
    },
    /// A prompt without tokens.
    #[error("expected a prompt of at least 1 token, got 0")]
    EmptyPrompt,
    /// Sampling options out of range.
    #[error("sampling `{field}`: expected {expected}, got {got}")]
    Sampling {
        /// The option.
        field: &'static str,
        /// What would be accepted.
        expected: &'static str,
        /// What was given.
        got: f64,
    },
}
