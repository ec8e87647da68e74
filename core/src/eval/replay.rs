//! Chunks of a receipt, run again and compared with their records.
//!
//! A receipt proves that its numbers belong together; only running again proves that they are the model's. A run without
//! adaptation replays any chunks, spread over the stream so that none is safe to forge; an adaptive one replays from the
//! first, since the weights of a chunk come from all chunks before it.
//!
//! Invariant: what is compared was computed here, from the stream and the model that the caller derived, never from the
//! receipt's own numbers.

use super::adapt_options::AdaptOptions;
use super::error::EvalError;
use super::evaluator::Evaluator;
use super::receipt::{ChunkRecord, Method, Receipt, commitment};
use super::stream::{EvalOptions, Stream};
use super::weights::ModelWeights;
use super::windows::WindowSpan;
use crate::backend::Backend;
use crate::digest::hex;
use crate::plan::PlanOptions;
use thiserror::Error;

/// Longest window that is replayed: a receipt may ask for any, memory may not.
const MAX_WINDOW: usize = 1 << 17;
/// Most tokens of a batch, for the same reason.
const MAX_BATCH_TOKENS: usize = 1 << 20;

/// A chunk as recorded and as replayed.
#[derive(Clone, Debug, PartialEq)]
pub struct ReplayedChunk {
    /// Its number.
    pub index: usize,
    /// Its scored targets.
    pub tokens: u64,
    /// Sum of scores in nats as recorded.
    pub recorded: f64,
    /// Sum of scores in nats as replayed.
    pub replayed: f64,
    /// Every score has the recorded bits.
    pub same_scores: bool,
    /// The weights before and after it have the recorded hashes.
    pub same_weights: bool,
}

impl ReplayedChunk {
    /// How far the two are apart, in nats per token; infinite where there is nothing to divide by.
    pub fn difference(&self) -> f64 {
        let difference = (self.recorded - self.replayed).abs();
        match self.tokens {
            0 if difference == 0.0 => 0.0,
            tokens => difference / tokens as f64,
        }
    }
}

/// Why nothing could be replayed.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// The evaluation cannot be set up or stops.
    #[error(transparent)]
    Eval(#[from] EvalError),
    /// Weights that saw everything before the first chunk have no honest replay.
    #[error("the run trained on the stream before scoring it: there is nothing to replay")]
    TrainThenScore,
    /// The stream is not the receipt's.
    #[error("the receipt has {expected} targets, the stream {got}")]
    Targets {
        /// Targets of the receipt.
        expected: usize,
        /// Targets of the stream.
        got: usize,
    },
    /// Tokens of another stream.
    #[error("the receipt's tokens are not those of the stream")]
    Tokens,
    /// A window beyond what is replayed.
    #[error("expected windows of at most {MAX_WINDOW} tokens, got {got}")]
    Window {
        /// Its length.
        got: usize,
    },
    /// A receipt with fewer chunks than its stream has.
    #[error("the receipt has no record of chunk {chunk}")]
    NoRecord {
        /// The chunk.
        chunk: usize,
    },
}

/// Replays `count` chunks of `receipt` (all of them, if there are fewer) on `backend`. `stream` holds exactly the
/// receipt's targets; `bos` opens documents, for receipts whose windows do not cross them.
pub async fn replay(
    backend: &mut dyn Backend,
    model: &ModelWeights,
    stream: Stream,
    receipt: &Receipt,
    bos: i32,
    count: usize,
) -> Result<Vec<ReplayedChunk>, ReplayError> {
    let run = &receipt.run;
    let got = stream.tokens.len().saturating_sub(1);
    if got != run.targets {
        return Err(ReplayError::Targets { expected: run.targets, got });
    }
    if run.windows.window > MAX_WINDOW {
        return Err(ReplayError::Window { got: run.windows.window });
    }
    let options = EvalOptions {
        rule: run.windows.rule,
        window: run.windows.window,
        stride: run.windows.stride,
        documents: (run.windows.documents > 1).then_some(bos),
        chunk: run.chunk,
        batch_tokens: run.batch_tokens.min(MAX_BATCH_TOKENS),
        plans: PlanOptions::default(),
    };
    match run.method {
        Method::TrainThenScore => Err(ReplayError::TrainThenScore),
        Method::ScoreFirst => {
            let adapt = run.adaptation.clone().unwrap_or_default();
            adaptive(backend, model, stream, options, adapt, receipt, count).await
        }
        Method::Fixed => fixed(backend, model, stream, options, receipt, count).await,
    }
}

fn record(receipt: &Receipt, chunk: usize) -> Result<&ChunkRecord, ReplayError> {
    receipt.chunks.get(chunk).ok_or(ReplayError::NoRecord { chunk })
}

fn same_tokens(evaluator: &Evaluator<'_>, receipt: &Receipt) -> Result<(), ReplayError> {
    match evaluator.run().tokens_sha256 == receipt.run.tokens_sha256 {
        true => Ok(()),
        false => Err(ReplayError::Tokens),
    }
}

async fn adaptive(
    backend: &mut dyn Backend,
    model: &ModelWeights,
    stream: Stream,
    options: EvalOptions,
    adapt: AdaptOptions,
    receipt: &Receipt,
    count: usize,
) -> Result<Vec<ReplayedChunk>, ReplayError> {
    let mut evaluator = Evaluator::new(backend, model, stream, options, Some(adapt)).await?;
    same_tokens(&evaluator, receipt)?;
    let mut replayed = Vec::new();
    while let Some(chunk) = evaluator.next_chunk().filter(|chunk| *chunk < count) {
        let recorded = record(receipt, chunk)?;
        let scored = evaluator.score(chunk).await?;
        let own = evaluator.adapt(scored).await?;
        replayed.push(ReplayedChunk {
            index: chunk,
            tokens: own.tokens,
            recorded: recorded.nll,
            replayed: own.nll,
            same_scores: own.nll_sha256 == recorded.nll_sha256 && own.nll == recorded.nll,
            same_weights: own.weights_before == recorded.weights_before
                && own.weights_after == recorded.weights_after,
        });
    }
    Ok(replayed)
}

async fn fixed(
    backend: &mut dyn Backend,
    model: &ModelWeights,
    stream: Stream,
    options: EvalOptions,
    receipt: &Receipt,
    count: usize,
) -> Result<Vec<ReplayedChunk>, ReplayError> {
    let chunk = options.chunk;
    let mut evaluator = Evaluator::new(backend, model, stream, options, None).await?;
    same_tokens(&evaluator, receipt)?;
    let (chunks, weights) = (evaluator.chunks(), hex(&model.start_digest(None)?));
    let mut replayed = Vec::new();
    for index in spread(chunks, count) {
        let recorded = record(receipt, index)?;
        let own = |span: &WindowSpan| (span.first_scored / chunk).min(chunks - 1) == index;
        let spans: Vec<WindowSpan> = evaluator.plan.iter().filter(own).collect();
        let (tokens, window) = (&evaluator.stream.tokens, evaluator.plan.window());
        let nll = evaluator.engine.score(tokens, &spans, window).await?;
        // In plan order, as the evaluator sums.
        let sum = nll.iter().fold(0.0, |sum, value| sum + value);
        replayed.push(ReplayedChunk {
            index,
            tokens: nll.len() as u64,
            recorded: recorded.nll,
            replayed: sum,
            same_scores: hex(&commitment(&nll)) == recorded.nll_sha256 && sum == recorded.nll,
            same_weights: recorded.weights_before == weights && recorded.weights_after == weights,
        });
    }
    Ok(replayed)
}

/// `count` numbers below `chunks`, evenly spread, the first and the last among them.
fn spread(chunks: usize, count: usize) -> Vec<usize> {
    let count = count.min(chunks);
    match count {
        0 => Vec::new(),
        1 => vec![chunks / 2],
        _ => (0..count).map(|i| i * (chunks - 1) / (count - 1)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replayed_chunks_are_spread_from_the_first_to_the_last() {
        assert_eq!(spread(10, 4), [0, 3, 6, 9]);
        assert_eq!(spread(3, 100), [0, 1, 2]);
        assert_eq!((spread(5, 1), spread(5, 0)), (vec![2], vec![]));
    }
}
