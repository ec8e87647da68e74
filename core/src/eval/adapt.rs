//! Test-time training: which parameters move, by which rule, how far.
//!
//! One [`Adapter`] lives through a whole stream, so that momentum and moments carry over from chunk to chunk, as in
//! PRs #461, #549, #585, #861 and #1216. It knows nothing of legality; its owners decide what it may see.

use super::engine::Engine;
use super::error::EvalError;
use super::ranks::agree;
use super::weights::adapted_digest;
use crate::backend::ExecutableId;
use crate::model::graphs::STEP_LOSS;
use crate::model::{ModelConfig, parameters};
use crate::optim::{Group, Optimizer, Rule, moment_name, second_moment_name};
use crate::quant::fake::FakeQuantRule;
use crate::tensor::{Tensor, TensorType};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Parameters that adaptation may change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trainable {
    /// All (PRs #549, #1216).
    #[default]
    All,
    /// MLP matrices and everything called a scale, that is names with `up_proj`, `down_proj`, `gate_proj` or `scale`
    /// (PR #861), `mlp.fc` and `mlp.proj` in models that use those names.
    Mlp,
    /// The last blocks and everything called norm, scale or `lm_head` (PR #585 with 2).
    LastBlocks(usize),
    /// These.
    Named(Vec<String>),
}

impl Trainable {
    /// The selected parameters, in the model's order.
    pub fn select(&self, config: &ModelConfig) -> Vec<String> {
        let has = |name: &str, keys: &[&str]| keys.iter().any(|key| name.contains(key));
        let selected = |name: &str, block: Option<usize>| match self {
            Trainable::All => true,
            Trainable::Mlp => {
                has(name, &["up_proj", "down_proj", "gate_proj", "scale", "mlp.fc", "mlp.proj"])
            }
            Trainable::LastBlocks(n) => {
                block.is_some_and(|b| b + n >= config.layers) || has(name, &["norm", "scale", "lm_head"])
            }
            Trainable::Named(names) => names.iter().any(|n| n == name),
        };
        let all = parameters(config).into_iter();
        all.filter(|p| selected(&p.name, p.block())).map(|p| p.name).collect()
    }
}

/// Update rule of adaptation.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TttOptimizer {
    /// SGD with momentum.
    Sgd {
        /// Momentum, 0.9 in every published system.
        momentum: f64,
    },
    /// AdamW without decay, β = (0.9, 0.999), ε = 1e-8.
    Adamw,
}

impl TttOptimizer {
    fn rule(self) -> Rule {
        match self {
            TttOptimizer::Sgd { momentum } => Rule::Sgd { momentum },
            TttOptimizer::Adamw => {
                Rule::AdamW { beta1: BETA1, beta2: BETA2, epsilon: 1e-8, weight_decay: 0.0 }
            }
        }
    }
}

const BETA1: f64 = 0.9;
const BETA2: f64 = 0.999;

/// How to adapt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AdaptOptions {
    /// Parameters that move.
    pub trainable: Trainable,
    /// The rule.
    pub optimizer: TttOptimizer,
    /// Learning rate before the schedule.
    pub lr: f64,
    /// Passes over each chunk (over the stream, for the illegal variant).
    pub epochs: usize,
    /// Rows of an optimizer step; the last step of a pass may have fewer.
    pub batch_rows: usize,
    /// Limit of the global gradient norm over the trainable parameters; 0 is off.
    pub clip: f64,
    /// Fake quantization of weights while adapting (PR #1216); scoring never has it.
    pub fake_quant: BTreeMap<String, FakeQuantRule>,
}

impl Default for AdaptOptions {
    /// PR #549: SGD on everything, learning rate 0.002, 3 epochs, 32 rows, clip 1.
    fn default() -> Self {
        Self {
            trainable: Trainable::All,
            optimizer: TttOptimizer::Sgd { momentum: 0.9 },
            lr: 2e-3,
            epochs: 3,
            batch_rows: 32,
            clip: 1.0,
            fake_quant: BTreeMap::new(),
        }
    }
}

impl AdaptOptions {
    fn check(&self) -> Result<(), EvalError> {
        let fail = |field, expected, got: String| Err(EvalError::Adaptation { field, expected, got });
        if self.epochs == 0 {
            return fail("epochs", "at least 1", self.epochs.to_string());
        }
        if self.batch_rows == 0 {
            return fail("batch_rows", "at least 1", self.batch_rows.to_string());
        }
        for (field, value) in [("lr", self.lr), ("clip", self.clip)] {
            if !(value.is_finite() && value >= 0.0) {
                return fail(field, "finite and not negative", value.to_string());
            }
        }
        Ok(())
    }

    /// The parameters that move. Errors: none selected, or a named one that the model lacks.
    pub(super) fn selection(&self, config: &ModelConfig) -> Result<Vec<String>, EvalError> {
        self.check()?;
        let selected = self.trainable.select(config);
        if let Trainable::Named(names) = &self.trainable
            && let Some(name) = names.iter().find(|name| !selected.contains(name))
        {
            return Err(EvalError::UnknownTrainable { name: name.clone() });
        }
        if selected.is_empty() { Err(EvalError::NothingToAdapt) } else { Ok(selected) }
    }
}

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
    use crate::model::presets::model;

    fn numel(preset: &str, trainable: Trainable) -> usize {
        let config = model(preset).expect("a listed preset exists");
        let names: BTreeSet<String> = trainable.select(&config).into_iter().collect();
        parameters(&config).iter().filter(|p| names.contains(&p.name)).map(|p| p.numel()).sum()
    }

    #[test]
    fn the_selection_of_pr585_has_its_published_size() {
        assert_eq!(numel("pr585", Trainable::LastBlocks(2)), 5_780_500);
    }

    #[test]
    fn the_mlp_selection_leaves_attention_and_embeddings_alone() {
        for preset in ["pr861", "pr549"] {
            let config = model(preset).expect("a listed preset exists");
            let names = Trainable::Mlp.select(&config);
            assert!(names.iter().all(|n| !n.contains("attn.") && !n.contains("tok_emb")), "{names:?}");
            let matrices = names.iter().filter(|n| n.contains("mlp.") && n.ends_with(".weight")).count();
            assert_eq!(matrices, 2 * config.layers, "{preset}");
        }
    }

    #[test]
    fn the_cosine_starts_at_one_and_ends_at_zero() {
        assert_eq!((cosine(0, 4), cosine(0, 1)), (1.0, 1.0));
        assert!((cosine(1, 4) - 0.75).abs() < 1e-15 && cosine(3, 4).abs() < 1e-15);
    }

    #[test]
    fn options_that_cannot_work_are_refused_by_name() {
        let config = model("baseline").expect("a listed preset exists");
        let refused = |options: AdaptOptions| options.selection(&config).unwrap_err();
        let epochs = refused(AdaptOptions { epochs: 0, ..Default::default() });
        assert!(matches!(epochs, EvalError::Adaptation { field: "epochs", .. }));
        let lr = refused(AdaptOptions { lr: f64::NAN, ..Default::default() });
        assert!(matches!(lr, EvalError::Adaptation { field: "lr", .. }));
        let named = Trainable::Named(vec!["nope".into()]);
        let unknown = refused(AdaptOptions { trainable: named, ..Default::default() });
        assert_eq!(unknown, EvalError::UnknownTrainable { name: "nope".into() });
    }
}
