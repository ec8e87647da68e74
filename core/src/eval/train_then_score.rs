//! The adaptation that breaks the rules: train on the whole stream, then score it.
//!
//! PRs #264 and #951 published numbers of this kind. It exists so that they can be reproduced; its run, receipt and
//! scores are marked `illegal: train-then-score` from the first line on, and its score type is not [`super::Scored`],
//! so it can never stand in for an honest one.

use super::adapt::Adapter;
use super::adapt_options::AdaptOptions;
use super::error::EvalError;
use super::evaluator::{Evaluator, Scored};
use super::receipt::{ChunkRecord, Method, Receipt, RunRecord};
use super::stream::{EvalOptions, Stream};
use super::weights::ModelWeights;
use crate::backend::Backend;
use crate::collective::{Alone, Collective};

/// How the stream is trained on. Both published recipes clip at 1 and use batches of 32 rows.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainThenScoreOptions {
    /// Parameters, rule, rate, epochs and batch.
    pub adapt: AdaptOptions,
    /// Cosine from the full rate to 0 over all steps (PR #951); otherwise the rate is constant (PR #264).
    pub cosine: bool,
    /// Factors of the rate for parameters whose names contain a key; the first key that matches counts. PR #951 has
    /// `mlp.proj` 3 and `mlp.fc` 0.5.
    pub rates: Vec<(String, f64)>,
}

impl TrainThenScoreOptions {
    /// PR #951, 16 layers: AdamW at 5e-4, 30 epochs, cosine, MLP output 3-fold and MLP input half the rate.
    pub fn pr951() -> Self {
        let adapt = AdaptOptions {
            optimizer: super::TttOptimizer::Adamw,
            lr: 5e-4,
            epochs: 30,
            ..AdaptOptions::default()
        };
        Self { adapt, cosine: true, rates: vec![("mlp.proj".into(), 3.0), ("mlp.fc".into(), 0.5)] }
    }

    /// PR #264: SGD at 2e-3 for 2 epochs, constant rate.
    pub fn pr264() -> Self {
        Self {
            adapt: AdaptOptions { epochs: 2, ..AdaptOptions::default() },
            cosine: false,
            rates: Vec::new(),
        }
    }

    fn rate_of(&self, name: &str) -> f64 {
        self.rates.iter().find(|(key, _)| name.contains(key.as_str())).map_or(1.0, |(_, rate)| *rate)
    }
}

/// The score of a chunk by weights that had seen it.
#[derive(Debug)]
#[must_use = "a score that is dropped never reaches the receipt"]
pub struct IllegalScored(Scored);

impl IllegalScored {
    /// Position and score in nats of every scored target, in plan order.
    pub fn targets(&self) -> impl Iterator<Item = (usize, f64)> + '_ {
        self.0.targets()
    }
}

/// An evaluation whose weights have seen the stream.
pub struct TrainThenScore<'b> {
    inner: Evaluator<'b>,
    losses: Vec<f64>,
}

impl<'b> TrainThenScore<'b> {
    /// Trains on the whole stream: its `⌊targets/window⌋` non-overlapping rows in order, for every epoch.
    pub async fn train(
        backend: &'b mut dyn Backend,
        model: &ModelWeights,
        stream: Stream,
        options: EvalOptions,
        how: TrainThenScoreOptions,
    ) -> Result<Self, EvalError> {
        Self::train_on_ranks(Box::new(Alone::new(backend)), model, stream, options, how).await
    }

    /// The same on several ranks, which all make the same calls and have the same results.
    pub async fn train_on_ranks(
        collective: Box<dyn Collective + 'b>,
        model: &ModelWeights,
        stream: Stream,
        options: EvalOptions,
        how: TrainThenScoreOptions,
    ) -> Result<Self, EvalError> {
        let method = Method::TrainThenScore;
        let mut inner =
            Evaluator::prepare(collective, model, stream, options, method, Some(how.adapt.clone()))?;
        let mut adapter =
            Adapter::new(&mut inner.engine, how.adapt.clone(), &|name| how.rate_of(name)).await?;
        let window = inner.plan.window();
        let rows = inner.plan.targets() / window;
        let steps = adapter.steps_for(rows).max(1) as f64;
        let rate = |step: usize| match how.cosine {
            true => 0.5 * (1.0 + (std::f64::consts::PI * step as f64 / steps).cos()),
            false => 1.0,
        };
        let segment = &inner.stream.tokens[..rows * window + 1];
        let losses = adapter.adapt(&mut inner.engine, segment, window, 0, rate).await?;
        inner.weights_digest = adapter.digest(&mut inner.engine, model.digest()).await?;
        Ok(Self { inner, losses })
    }

    /// Mean loss before every optimizer step.
    pub fn losses(&self) -> &[f64] {
        &self.losses
    }

    /// Description of the run; always marked illegal.
    pub fn run(&self) -> &RunRecord {
        self.inner.run()
    }

    /// Number of chunks.
    pub fn chunks(&self) -> usize {
        self.inner.chunks()
    }

    /// The chunk whose turn it is; `None` when all are done.
    pub fn next_chunk(&self) -> Option<usize> {
        self.inner.next_chunk()
    }

    /// Scores the chunk whose turn it is.
    pub async fn score(&mut self, chunk: usize) -> Result<IllegalScored, EvalError> {
        self.inner.score(chunk).await.map(IllegalScored)
    }

    /// Writes the chunk's record.
    pub async fn commit(&mut self, scored: IllegalScored) -> Result<&ChunkRecord, EvalError> {
        self.inner.adapt(scored.0).await
    }

    /// The receipt, marked illegal.
    pub fn receipt(&self) -> Result<Receipt, EvalError> {
        self.inner.receipt()
    }
}
