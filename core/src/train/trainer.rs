//! One training step on a backend, and the states that it moves.
//!
//! Order of a step, as the published scripts have it: factor on the rates from the clock, fake-quantization trigger,
//! gradients of all micro-batches, clip and update of every group, then the average. All weights, moments and averages are
//! states of the backend; the trainer holds only counters. It knows no files and no clock.
//!
//! Invariant: the states named by [`Trainer::snapshot`], [`Progress`] and the position in the data determine everything
//! that follows.

use super::error::{NonFinite, TrainError};
use super::groups::{fake_quantized, optimizer};
use super::recipe::{EmaStart, Qat, Recipe};
use super::schedule;
use crate::backend::{Backend, ExecutableId};
use crate::data::{Batch, TokenStream};
use crate::model::gpt::{Weights, Window};
use crate::model::graphs::{grad_name, gradient_graph};
use crate::model::init::initialize;
use crate::model::{ModelConfig, Role, parameters};
use crate::optim::{
    Optimizer, Rule, average_graph, average_name, average_restart_graph, moment_name, second_moment_name,
};
use crate::plan::{Plan, PlanOptions};
use crate::tensor::Tensor;
use half::bf16;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Counters of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Progress {
    /// Steps done.
    pub step: u64,
    /// Whether training sees quantized weights.
    pub fake_quant: bool,
    /// Weights that the average holds: snapshots, or updates since its last start.
    pub averaged: u64,
}

/// What a step did.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepReport {
    /// Its number, from 0.
    pub step: u64,
    /// Mean nll before the update, in nats per token.
    pub loss: f64,
    /// Global gradient norm before clipping.
    pub grad_norm: f64,
    /// Factor on all rates.
    pub lr_scale: f64,
    /// Muon's momentum.
    pub momentum: f64,
    /// Whether fake quantization began with this step.
    pub fake_quant_began: bool,
}

/// A model in training.
pub struct Trainer<'a> {
    backend: &'a mut dyn Backend,
    model: ModelConfig,
    recipe: Recipe,
    shapes: BTreeMap<String, Vec<usize>>,
    optimizer: Optimizer,
    gradient: ExecutableId,
    update: ExecutableId,
    average: Option<Averages>,
    progress: Progress,
}

/// Plans over the averages.
#[derive(Clone, Copy)]
struct Averages {
    update: ExecutableId,
    restart: ExecutableId,
}

async fn compile(
    backend: &mut dyn Backend,
    name: &str,
    graph: crate::graph::Graph,
) -> Result<ExecutableId, TrainError> {
    Ok(backend.compile(Plan::new(name, &graph, PlanOptions::default())).await?)
}

impl<'a> Trainer<'a> {
    /// Puts freshly initialized weights on a backend that holds no states yet, and compiles the plans.
    pub async fn new(
        backend: &'a mut dyn Backend,
        model: &ModelConfig,
        recipe: &Recipe,
    ) -> Result<Trainer<'a>, TrainError> {
        model.check()?;
        recipe.check()?;
        for (name, tensor) in initialize(model, recipe.init, recipe.seed) {
            backend.write_state(&name, &tensor)?;
        }
        let shapes: BTreeMap<_, _> = parameters(model).into_iter().map(|p| (p.name, p.shape)).collect();
        let optimizer = optimizer(model, recipe);
        let fake_quant = recipe.qat == Qat::Always;
        let gradient = compile_gradient(backend, model, recipe, &optimizer, fake_quant).await?;
        let update = compile(backend, "update", optimizer.update_graph(&shapes)?).await?;
        let average = if recipe.ema_enabled || recipe.swa_enabled {
            let update = compile(backend, "average", average_graph(&shapes)?).await?;
            let restart = compile(backend, "average_restart", average_restart_graph(&shapes)?).await?;
            Some(Averages { update, restart })
        } else {
            None
        };
        let progress = Progress { fake_quant, ..Progress::default() };
        let (model, recipe) = (model.clone(), recipe.clone());
        let mut trainer =
            Trainer { backend, model, recipe, shapes, optimizer, gradient, update, average, progress };
        if trainer.recipe.ema_enabled && trainer.recipe.ema_start == EmaStart::Initial {
            trainer.restart_average()?;
        }
        Ok(trainer)
    }

    /// Counters.
    pub fn progress(&self) -> Progress {
        self.progress
    }

    /// The backend, between steps.
    pub fn backend(&mut self) -> &mut dyn Backend {
        &mut *self.backend
    }

    /// Every state that the run depends on, by name: parameters, moments, averages.
    pub async fn snapshot(&mut self) -> Result<Vec<(String, Tensor)>, TrainError> {
        let mut states = Vec::new();
        for name in self.state_names() {
            let tensor = self.backend.read_state(&name).await?;
            states.push((name, tensor));
        }
        Ok(states)
    }

    /// Puts back what [`Trainer::snapshot`] and [`Trainer::progress`] gave, in full.
    pub async fn restore(
        &mut self,
        states: &[(String, Tensor)],
        progress: Progress,
    ) -> Result<(), TrainError> {
        for (name, tensor) in states {
            self.backend.write_state(name, tensor)?;
        }
        if progress.fake_quant != self.progress.fake_quant {
            self.gradient = self.compile_gradient(progress.fake_quant).await?;
        }
        self.progress = progress;
        Ok(())
    }

    /// Names of all states of a run.
    pub fn state_names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.shapes.keys().cloned().collect();
        for group in &self.optimizer.groups {
            names.extend(group.params.iter().map(|p| moment_name(p)));
            if matches!(group.rule, Rule::AdamW { .. }) {
                names.extend(group.params.iter().map(|p| second_moment_name(p)));
            }
        }
        if self.average.is_some() {
            names.extend(self.shapes.keys().map(|p| average_name(p)));
        }
        names
    }

    /// One step, after `elapsed_ms` of training.
    pub async fn step(
        &mut self,
        stream: &mut TokenStream,
        elapsed_ms: f64,
    ) -> Result<StepReport, TrainError> {
        let step = self.progress.step;
        let lr_scale = schedule::lr_scale(&self.recipe, step, elapsed_ms);
        let fake_quant_began = self.maybe_quantize(lr_scale, elapsed_ms).await?;
        let loss = self.accumulate(stream).await?;
        if !loss.is_finite() {
            return Err(self.not_finite("loss", loss).await?);
        }
        let momentum = schedule::momentum(&self.recipe, step);
        let grad_norm = self.apply(lr_scale, momentum).await?;
        if !grad_norm.is_finite() {
            return Err(self.not_finite("gradient norm", grad_norm).await?);
        }
        self.progress.step += 1;
        self.average(lr_scale).await?;
        Ok(StepReport { step, loss, grad_norm, lr_scale, momentum, fake_quant_began })
    }

    /// Switches fake quantization on when its time has come; whether it did.
    async fn maybe_quantize(&mut self, lr_scale: f64, elapsed_ms: f64) -> Result<bool, TrainError> {
        let threshold = self.recipe.qat_threshold;
        let due = match self.recipe.qat {
            Qat::Never | Qat::Always => false,
            Qat::LrScale => lr_scale < threshold,
            Qat::Clock => {
                schedule::budget_fraction(&self.recipe, self.progress.step, elapsed_ms) >= threshold
            }
        };
        if self.progress.fake_quant || !due {
            return Ok(false);
        }
        self.gradient = self.compile_gradient(true).await?;
        self.progress.fake_quant = true;
        if self.recipe.ema_enabled && self.recipe.ema_restart_at_qat {
            self.restart_average()?;
        }
        Ok(true)
    }

    async fn compile_gradient(&mut self, fake_quant: bool) -> Result<ExecutableId, TrainError> {
        compile_gradient(&mut *self.backend, &self.model, &self.recipe, &self.optimizer, fake_quant).await
    }

    /// Gradients of a step in the `grad/` states; the mean loss.
    async fn accumulate(&mut self, stream: &mut TokenStream) -> Result<f64, TrainError> {
        let (seq, rows) = (self.recipe.train_seq_len, self.recipe.rows());
        let runs = self.recipe.train_batch_tokens / (rows * seq);
        let share = Tensor::scalar(1.0 / runs as f64);
        let mut sum = 0.0;
        let mut first = true;
        for _ in 0..self.recipe.grad_accum_steps {
            let Batch { inputs, targets, .. } = stream.batch(self.recipe.take_tokens(), seq, 0, 1)?;
            for (x, y) in inputs.chunks(rows * seq).zip(targets.chunks(rows * seq)) {
                let (x, y) = (Tensor::i32(&[x.len()], x.to_vec()), Tensor::i32(&[y.len()], y.to_vec()));
                let keep = Tensor::scalar(if first { 0.0 } else { 1.0 });
                let inputs = [("tokens", &x), ("targets", &y), ("share", &share), ("keep", &keep)];
                self.backend.submit(self.gradient, &inputs)?;
                sum += self.backend.read_output(self.gradient, "loss").await?.item();
                first = false;
            }
        }
        Ok(sum / runs as f64)
    }

    /// Clips and updates; the gradient norm before.
    async fn apply(&mut self, lr_scale: f64, momentum: f64) -> Result<f64, TrainError> {
        let t = self.progress.step + 1;
        let scalars = [
            ("lr_scale", lr_scale),
            ("mu", momentum),
            ("bias1", schedule::bias_correction(self.recipe.beta1, t)),
            ("bias2", schedule::bias_correction(self.recipe.beta2, t)),
        ]
        .map(|(name, value)| (name, Tensor::scalar(value)));
        let inputs: Vec<(&str, &Tensor)> = scalars.iter().map(|(name, value)| (*name, value)).collect();
        self.backend.submit(self.update, &inputs)?;
        Ok(self.backend.read_output(self.update, "grad_norm").await?.item())
    }

    /// Takes the weights after a step into the average, where it is time.
    async fn average(&mut self, lr_scale: f64) -> Result<(), TrainError> {
        let Some(Averages { update, .. }) = self.average else { return Ok(()) };
        let count = self.progress.averaged;
        let keep = if self.recipe.ema_enabled {
            if count == 0 {
                return self.restart_average();
            }
            self.recipe.ema_decay
        } else if lr_scale < self.recipe.swa_below && self.progress.step.is_multiple_of(self.recipe.swa_every)
        {
            count as f64 / (count + 1) as f64
        } else {
            return Ok(());
        };
        self.backend.submit(update, &[("keep", &Tensor::scalar(keep))])?;
        self.progress.averaged += 1;
        if self.recipe.ema_bf16_tables { self.round_tables().await } else { Ok(()) }
    }

    fn restart_average(&mut self) -> Result<(), TrainError> {
        if let Some(Averages { restart, .. }) = self.average {
            self.backend.submit(restart, &[])?;
            self.progress.averaged = 1;
        }
        Ok(())
    }

    /// Rounds the averages of embeddings and tables to bf16, as scripts that average in the parameter's type do.
    async fn round_tables(&mut self) -> Result<(), TrainError> {
        for param in parameters(&self.model) {
            if !matches!(param.role, Role::Token | Role::Table) {
                continue;
            }
            let name = average_name(&param.name);
            let values = self.backend.read_state(&name).await?.to_f32();
            let rounded = values.into_iter().map(|x| bf16::from_f32(x).to_f32()).collect();
            self.backend.write_state(&name, &Tensor::f32(&param.shape, rounded))?;
        }
        Ok(())
    }

    /// The error for a value that is not finite: looks through all parameters, then all gradients.
    async fn not_finite(&mut self, what: &'static str, value: f64) -> Result<TrainError, TrainError> {
        let names: Vec<String> = self.shapes.keys().cloned().collect();
        let sources = names.iter().map(|n| (n.clone(), NonFinite::Parameter(n.clone())));
        let gradients = names.iter().map(|n| (grad_name(n), NonFinite::Gradient(n.clone())));
        let mut tensor = NonFinite::Activation;
        for (state, source) in sources.chain(gradients) {
            let finite = match self.backend.read_state(&state).await {
                Ok(values) => values.to_f64().iter().all(|x| x.is_finite()),
                // Without a gradient of its own it is not at fault.
                Err(crate::backend::BackendError::UnknownState { .. }) => true,
                Err(error) => return Err(error.into()),
            };
            if !finite {
                tensor = source;
                break;
            }
        }
        Ok(TrainError::NotFinite { step: self.progress.step, what, value, tensor })
    }
}

async fn compile_gradient(
    backend: &mut dyn Backend,
    model: &ModelConfig,
    recipe: &Recipe,
    optimizer: &Optimizer,
    fake_quant: bool,
) -> Result<ExecutableId, TrainError> {
    let weights = if fake_quant { fake_quantized(model, recipe) } else { Weights::default() };
    let window = Window { rows: recipe.rows(), seq: recipe.train_seq_len };
    let name = if fake_quant { "gradient_fake_quant" } else { "gradient" };
    compile(backend, name, gradient_graph(model, &weights, window, &optimizer.parameters())?).await
}
