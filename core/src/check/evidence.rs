//! What a check has to go by. Plain data: whoever gathers it decides where it lies.
//!
//! Invariant: what is here was read or computed for the check; nothing is taken over from the receipt that it doubts.

use super::probe::Probe;
use super::run_log::RunLog;
use super::stated::{Claims, EvalReport};
use crate::artifact::Artifact;
use crate::data::audit::Overlap;
use crate::eval::{EvalError, ModelWeights, Receipt, ReplayedChunk, Stream};

/// A file as it would ship.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShippedFile {
    /// Its path within the folder.
    pub name: String,
    /// Its length.
    pub bytes: u64,
}

/// A run: what one training and one evaluation left behind.
#[derive(Clone, Debug, Default)]
pub struct Run {
    /// Its folder or file.
    pub name: String,
    /// The model.
    pub artifact: Option<ArtifactFile>,
    /// What the evaluation proves.
    pub receipt: Option<Receipt>,
    /// What training told.
    pub log: Option<RunLog>,
    /// What the evaluation printed as JSON.
    pub report: Option<EvalReport>,
    /// Files that count, the model's among them.
    pub shipped: Vec<ShippedFile>,
    /// What the raw text or the shard gives with the model's tokenizer.
    pub text: Option<Text>,
    /// Chunks that were run again.
    pub replay: Option<Replay>,
    /// Probes of the model.
    pub probe: Option<Result<Probe, String>>,
}

/// An artifact that was read.
#[derive(Clone, Debug)]
pub struct ArtifactFile {
    /// SHA-256 of the file, in hexadecimal.
    pub sha256: String,
    /// Length of the file.
    pub bytes: u64,
    /// Its content.
    pub content: Artifact,
    /// The same as the evaluator gets it.
    pub model: ModelWeights,
    /// Identity of the tokenizer, in hexadecimal: the one inside, as computed from its pieces, else the one stated.
    pub tokenizer_identity: Option<String>,
}

impl ArtifactFile {
    /// Reads what the rules need of an artifact.
    ///
    /// # Errors
    /// Tensors that are not the configuration's.
    pub fn new(
        sha256: String,
        bytes: u64,
        content: Artifact,
        tokenizer_identity: Option<String>,
    ) -> Result<Self, EvalError> {
        let model = ModelWeights::from_artifact(&content)?;
        Ok(Self { sha256, bytes, content, model, tokenizer_identity })
    }
}

/// The tokens of the raw text, derived for the check.
#[derive(Clone, Debug)]
pub struct Text {
    /// The whole stream, or its first targets where only those are claimed.
    pub stream: Stream,
    /// Whether it comes from a raw text; a shard has lost its own.
    pub raw: bool,
}

/// What running again gave.
#[derive(Clone, Debug)]
pub struct Replay {
    /// What computed it.
    pub device: String,
    /// The chunks, or why there are none.
    pub outcome: Result<Vec<ReplayedChunk>, String>,
}

/// Everything that is judged together.
#[derive(Clone, Debug, Default)]
pub struct Case {
    /// The runs: one, or one a seed.
    pub runs: Vec<Run>,
    /// Files beside the runs that count for each of them.
    pub shared: Vec<ShippedFile>,
    /// Training data against validation data.
    pub overlap: Option<Overlap>,
    /// What a `submission.json` says.
    pub claims: Option<Claims>,
}
