//! What is scored and how: tokens with the bytes that each is charged, windows, chunks.

use super::adapt_options::AdaptOptions;
use super::error::EvalError;
use super::receipt::{Marks, Method, RunRecord, Source, WindowRecord};
use super::weights::ModelWeights;
use super::windows::{WindowPlan, WindowRule, document_starts};
use crate::digest::hex;
use crate::plan::PlanOptions;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// How a stream is scored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EvalOptions {
    /// Window rule.
    pub rule: WindowRule,
    /// Positions of a window.
    pub window: usize,
    /// Positions between windows; without meaning for [`WindowRule::NonOverlapping`].
    pub stride: usize,
    /// The token that opens documents which windows must not cross.
    pub documents: Option<i32>,
    /// Targets of a chunk.
    pub chunk: usize,
    /// Most tokens in a batch; bounds memory.
    pub batch_tokens: usize,
    /// Passes of the planner, to find the one at fault: they change how the result is computed, not what it is.
    #[serde(skip)]
    pub plans: PlanOptions,
}

impl Default for EvalOptions {
    /// Non-overlapping windows of 1024, chunks of 32,768, batches of 8,192 tokens.
    fn default() -> Self {
        Self {
            rule: WindowRule::NonOverlapping,
            window: 1024,
            stride: 1024,
            documents: None,
            chunk: 32_768,
            batch_tokens: 8192,
            plans: PlanOptions::default(),
        }
    }
}

/// What is scored.
#[derive(Clone, Debug, PartialEq)]
pub struct Stream {
    /// Token ids; the first is context only.
    pub tokens: Vec<i32>,
    /// Bytes charged to each target, one fewer than tokens.
    pub target_bytes: Vec<u32>,
    /// Where it comes from.
    pub source: Source,
    /// Marks that the caller knows of; those that follow from the options are added.
    pub marks: Marks,
}

/// Checks the stream against the model and plans its windows.
pub(super) fn check(
    stream: &Stream,
    options: &EvalOptions,
    model: &ModelWeights,
) -> Result<WindowPlan, EvalError> {
    let targets = stream.tokens.len().saturating_sub(1);
    let starts = match options.documents {
        Some(bos) => document_starts(&stream.tokens, bos),
        None => vec![0],
    };
    let plan = WindowPlan::with_documents(options.rule, targets, options.window, options.stride, starts)?;
    if options.chunk == 0 {
        return Err(EvalError::NoChunk);
    }
    if stream.target_bytes.len() != targets {
        return Err(EvalError::TargetBytes { targets, got: stream.target_bytes.len() });
    }
    let vocab = model.config().vocab;
    let outside = |id: &i32| usize::try_from(*id).map_or(true, |id| id >= vocab);
    match stream.tokens.iter().position(outside) {
        Some(position) => Err(EvalError::Token { position, id: stream.tokens[position], vocab }),
        None => Ok(plan),
    }
}

/// The run as its receipt describes it.
pub(super) fn describe(
    stream: &Stream,
    options: &EvalOptions,
    plan: &WindowPlan,
    model: &ModelWeights,
    device: String,
    method: Method,
    adaptation: Option<AdaptOptions>,
) -> RunRecord {
    let mut tokens = Sha256::new();
    stream.tokens.iter().for_each(|id| tokens.update(id.to_le_bytes()));
    let mut bytes = Sha256::new();
    stream.target_bytes.iter().for_each(|count| bytes.update(count.to_le_bytes()));
    let windows = WindowRecord {
        rule: plan.rule(),
        window: plan.window(),
        stride: plan.stride(),
        documents: plan.documents(),
        count: plan.count(),
    };
    RunRecord {
        program: concat!("golf ", env!("CARGO_PKG_VERSION")).to_owned(),
        source: stream.source.clone(),
        model_sha256: hex(&model.digest()),
        config_sha256: hex(&model.config_digest()),
        tokens_sha256: hex(&tokens.finalize()),
        target_bytes_sha256: hex(&bytes.finalize()),
        targets: plan.targets(),
        windows,
        chunk: options.chunk,
        batch_tokens: options.batch_tokens,
        device,
        method,
        adaptation,
        marks: stream.marks.clone(),
    }
}
