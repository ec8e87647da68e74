//! Test-time training. One [`Adapter`] lives through a whole stream, so that momentum and moments carry over from chunk to chunk, as in
//! PRs #461, #549, #585, #861 and #1216. It knows nothing of legality; its owners decide what it may see.

use super::adapt_options::{AdaptOptions, BETA1, BETA2, TttOptimizer};
use super::engine::Engine;
use super::error::EvalError;
use super::ranks::agree;
use super::weights::adapted_digest;
use crate::backend::ExecutableId;
use crate::model::graphs::STEP_LOSS;
use crate::optim::{Group, Optimizer, moment_name, second_moment_name};
use crate::tensor::{Tensor, TensorType};
use std::collections::{BTreeMap, BTreeSet};

/// The cosine over chunks: `½(1 + cos(π·index / (count-1)))`, 1 for a single chunk.
pub(super) fn cosine(index: usize, count: usize) -> f64 {
    let last = count.saturating_sub(1).max(1);
    0.5 * (1.0 + (std::f64::consts::PI * index as f64 / last as f64).cos())
}

/// The learning-rate factor of a parameter, chosen by its name.
pub(super) type RateOf<'a> = &'a dyn Fn(&str) -> f64;

pub(super) struct Adapter {
    params: Vec<String>,
    shapes: BTreeMap<String, Vec<usize>>,
    options: AdaptOptions,
    update: ExecutableId,
    /// Optimizer steps taken.
    pub steps: u64,
}

impl Adapter {
    /// Compiles the update and zeroes its moments.
    pub async fn new(
        engine: &mut Engine<'_>,
        options: AdaptOptions,
        rate_of: RateOf<'_>,
    ) -> Result<Self, EvalError> {
        let params = options.selection(&engine.config)?;
        let shapes = engine.shapes(&params);
        let rates: BTreeSet<u64> = params.iter().map(|name| rate_of(name).to_bits()).collect();
        let group = |rate: u64| Group {
            rule: options.optimizer.rule(),
            lr: options.lr * f64::from_bits(rate),
            params: params.iter().filter(|name| rate_of(name).to_bits() == rate).cloned().collect(),
        };
        let groups = rates.into_iter().map(group).collect();
        let optimizer = Optimizer { groups, clip: options.clip, counted_only: Vec::new() };
        let graph = optimizer.update_graph(&shapes)?;
        let adapter =
            Self { params, shapes, update: engine.compile("update", &graph).await?, options, steps: 0 };
        for (name, shape) in adapter.moments() {
            engine.backend().write_state(&name, &Tensor::zeros(&TensorType::f32(&shape)))?;
        }
        Ok(adapter)
    }

    /// Names and shapes of the optimizer's own states.
    fn moments(&self) -> Vec<(String, Vec<usize>)> {
        let second = self.options.optimizer == TttOptimizer::Adamw;
        let of = |(name, shape): (&String, &Vec<usize>)| {
            let first = (moment_name(name), shape.clone());
            std::iter::once(first).chain(second.then(|| (second_moment_name(name), shape.clone())))
        };
        self.shapes.iter().flat_map(of).collect::<Vec<_>>()
    }

    /// Names of all states that a resumed run needs: parameters and moments.
    pub fn states(&self) -> Vec<String> {
        let moments = self.moments().into_iter().map(|(name, _)| name);
        self.shapes.keys().cloned().chain(moments).collect()
    }

    /// Passes over the rows of `segment` (`rows · seq + 1` tokens) in order. `rate` gives the factor of the learning
    /// rate for each step of this call, numbered from 0. Returns the losses before every step.
    pub async fn adapt(
        &mut self,
        engine: &mut Engine<'_>,
        segment: &[i32],
        seq: usize,
        chunk: usize,
        rate: impl Fn(usize) -> f64,
    ) -> Result<Vec<f64>, EvalError> {
        let rows = segment.len().saturating_sub(1) / seq;
        let mut losses = Vec::new();
        for _ in 0..self.options.epochs {
            for first in (0..rows).step_by(self.options.batch_rows) {
                let last = (first + self.options.batch_rows).min(rows);
                let batch = &segment[first * seq..last * seq + 1];
                engine.gradient(batch, seq, &self.params, &self.options.fake_quant).await?;
                losses.push(self.update(engine, rate(losses.len()), chunk).await?);
            }
        }
        Ok(losses)
    }

    /// Steps of one call of [`Self::adapt`] over `rows` rows.
    pub fn steps_for(&self, rows: usize) -> usize {
        self.options.epochs * rows.div_ceil(self.options.batch_rows)
    }

    /// Updates by the accumulated gradient; the loss that it was taken at. The only wait of a step.
    async fn update(&mut self, engine: &mut Engine<'_>, rate: f64, chunk: usize) -> Result<f64, EvalError> {
        let t = i32::try_from(self.steps + 1).unwrap_or(i32::MAX);
        let scale = Tensor::scalar(rate);
        let bias1 = Tensor::scalar(1.0 - BETA1.powi(t));
        let bias2 = Tensor::scalar(1.0 - BETA2.powi(t));
        let inputs = [("lr_scale", &scale), ("bias1", &bias1), ("bias2", &bias2)];
        engine.backend().submit(self.update, &inputs)?;
        let norm = engine.backend().read_output(self.update, "grad_norm").await?.item();
        if !norm.is_finite() {
            return Err(EvalError::Diverged { chunk, step: self.steps, norm });
        }
        self.steps += 1;
        Ok(engine.backend().read_state(STEP_LOSS).await?.item())
    }

    /// [`adapted_digest`] of `model`, the digest of the unadapted model, and the parameters as they are now, which must be the
    /// same on all ranks.
    pub async fn digest(&self, engine: &mut Engine<'_>, model: [u8; 32]) -> Result<[u8; 32], EvalError> {
        let mut adapted = Vec::with_capacity(self.shapes.len());
        for name in self.shapes.keys() {
            adapted.push(engine.backend().read_state(name).await?);
        }
        let digest = adapted_digest(model, &adapted);
        agree(engine.collective(), "adapted weights", &digest)?;
        Ok(digest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cosine_starts_at_one_and_ends_at_zero() {
        assert_eq!((cosine(0, 4), cosine(0, 1)), (1.0, 1.0));
        assert!((cosine(1, 4) - 0.75).abs() < 1e-15 && cosine(3, 4).abs() < 1e-15);
    }
}
