//! Scores of made-up targets: what probes ask, when they try whether a model's scores are probabilities.
//!
//! [`WindowScorer`] answers with the plan that evaluations score whole windows with, on whatever backend; where they ask for few
//! positions of a window, they run the same model and leave out what these do not need. Tests answer with
//! scorers that cheat. Not for results: nothing here is committed to or counted.

use super::engine::Engine;
use super::error::EvalError;
use super::weights::ModelWeights;
use crate::backend::{Backend, LocalFuture};
use crate::model::gpt::Window;
use crate::plan::PlanOptions;
use std::collections::BTreeSet;

/// Anything that scores rows of tokens.
pub trait Scorer {
    /// Number of tokens that a target can be.
    fn vocab(&self) -> usize;

    /// The nll in nats of `targets[i]` after the tokens of its row up to and with `tokens[i]`. Both are rows of `seq`
    /// positions, one after the other; a target need not be the token that follows.
    fn nll<'a>(
        &'a mut self,
        seq: usize,
        tokens: &'a [i32],
        targets: &'a [i32],
    ) -> LocalFuture<'a, Result<Vec<f64>, EvalError>>;
}

/// A model on a backend.
pub struct WindowScorer<'b> {
    engine: Engine<'b>,
}

impl<'b> WindowScorer<'b> {
    /// Puts `model` on `backend`.
    pub fn new(
        backend: &'b mut dyn Backend,
        model: &ModelWeights,
        plans: PlanOptions,
    ) -> Result<Self, EvalError> {
        // Rows are cut by whoever asks, so the batch size is not used.
        Ok(Self { engine: Engine::new(backend, model, &BTreeSet::new(), 1, plans)? })
    }
}

impl Scorer for WindowScorer<'_> {
    fn vocab(&self) -> usize {
        self.engine.config.vocab
    }

    fn nll<'a>(
        &'a mut self,
        seq: usize,
        tokens: &'a [i32],
        targets: &'a [i32],
    ) -> LocalFuture<'a, Result<Vec<f64>, EvalError>> {
        let window = Window { rows: tokens.len() / seq, seq };
        Box::pin(async move { self.engine.nll(window, tokens.to_vec(), targets.to_vec()).await })
    }
}
