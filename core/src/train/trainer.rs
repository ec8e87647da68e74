//! One training step on a backend, and the states that it moves.
//!
//! Order of a step, as the published scripts have it: factor on the rates from the clock, fake-quantization trigger,
//! gradients of all micro-batches, clip and update of every group, then the average. All weights, moments and averages are
//! states of the backend; the trainer holds only counters. It knows no files and no clock.
//!
//! The host waits for the device once, when all of a step is queued and the next one's tokens are read. What it then finds not finite has changed no weight:
//! an update without a finite norm does nothing.
//!
//! On several ranks each does its share of the micro-batches and of the update ([`super::share`]); what a step reports is the
//! same on all of them.
//!
//! Invariant: the states named by [`Trainer::snapshot`], [`Progress`] and the position in the data determine everything
//! that follows.

use super::average::{self, Averages, Due};
use super::divergence::first_non_finite;
use super::error::TrainError;
use super::feed::{Cut, Feed, MicroBatch};
use super::groups::{fake_quantized, optimizer};
use super::recipe::{EmaStart, Qat, QatRounding, Recipe};
use super::schedule;
use super::share::{Reduction, SharedUpdate};
use crate::backend::{Backend, ExecutableId};
use crate::collective::{Call, Collective};
use crate::model::gpt::{SHARPNESS, Weights, Window};
use crate::model::graphs::{STEP_LOSS, gradient_graph};
use crate::model::init::initialize;
use crate::model::{ModelConfig, parameters};
use crate::optim::{Optimizer, Rule, average_name, moment_name, second_moment_name};
use crate::plan::{Plan, PlanOptions};
use crate::tensor::Tensor;
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
    collective: &'a mut dyn Collective,
    reduction: Reduction,
    model: ModelConfig,
    recipe: Recipe,
    cut: Cut,
    shapes: BTreeMap<String, Vec<usize>>,
    optimizer: Optimizer,
    gradient: ExecutableId,
    update: Update,
    average: Option<Averages>,
    progress: Progress,
}

/// How gradients become weights.
enum Update {
    /// One plan clips and updates everything.
    Alone(ExecutableId),
    /// Ranks divide the work.
    Shared(Box<SharedUpdate>),
}

pub(super) async fn compile(
    backend: &mut dyn Backend,
    name: &str,
    graph: crate::graph::Graph,
) -> Result<ExecutableId, TrainError> {
    Ok(backend.compile(Plan::new(name, &graph, PlanOptions::default())).await?)
}

impl<'a> Trainer<'a> {
    /// Puts freshly initialized weights on a backend that holds no states yet, and compiles the plans. Ranks start equal: the
    /// weights follow from the seed.
    pub async fn new(
        collective: &'a mut dyn Collective,
        model: &ModelConfig,
        recipe: &Recipe,
        reduction: Reduction,
    ) -> Result<Trainer<'a>, TrainError> {
        model.check()?;
        recipe.check()?;
        let cut = Cut::new(recipe, collective.rank(), collective.size())?;
        // Where sums have an order of their own, keeping micro-batches in order gains nothing.
        let reduction = if collective.ordered() { reduction } else { Reduction::Once };
        let backend = collective.backend();
        for (name, tensor) in initialize(model, recipe.init, recipe.seed) {
            backend.write_state(&name, &tensor)?;
        }
        let shapes: BTreeMap<_, _> = parameters(model).into_iter().map(|p| (p.name, p.shape)).collect();
        let optimizer = optimizer(model, recipe);
        let fake_quant = recipe.qat == Qat::Always;
        let gradient = compile_gradient(backend, model, recipe, &optimizer, fake_quant).await?;
        let average = Averages::compile(backend, recipe, &shapes).await?;
        let update = if collective.size() == 1 {
            let graph = optimizer.update_graph(&shapes)?;
            Update::Alone(compile(collective.backend(), "update", graph).await?)
        } else {
            Update::Shared(Box::new(SharedUpdate::compile(collective, &optimizer, &shapes).await?))
        };
        let progress = Progress { fake_quant, ..Progress::default() };
        let (model, recipe) = (model.clone(), recipe.clone());
        let mut trainer = Trainer {
            collective,
            reduction,
            model,
            recipe,
            cut,
            shapes,
            optimizer,
            gradient,
            update,
            average,
            progress,
        };
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
        self.collective.backend()
    }

    /// The ranks, between steps.
    pub fn collective(&mut self) -> &mut dyn Collective {
        &mut *self.collective
    }

    /// Makes every state that the run depends on current on this rank. All ranks do this together.
    pub async fn gather(&mut self) -> Result<(), TrainError> {
        match &self.update {
            Update::Alone(_) => Ok(()),
            Update::Shared(update) => update.gather_moments(self.collective).await,
        }
    }

    /// Every state that the run depends on, by name: parameters, moments, averages. On several ranks, [`Trainer::gather`]
    /// comes first.
    pub async fn snapshot(&mut self) -> Result<Vec<(String, Tensor)>, TrainError> {
        let mut states = Vec::new();
        for name in self.state_names() {
            let tensor = self.collective.backend().read_state(&name).await?;
            states.push((name, tensor));
        }
        Ok(states)
    }

    /// Gives every rank all states as rank 0 has them.
    pub async fn spread(&mut self) -> Result<(), TrainError> {
        let names = self.state_names();
        Ok(self.collective.broadcast(Call::unlimited("the states to resume from"), &names).await?)
    }

    /// Puts back what [`Trainer::snapshot`] and [`Trainer::progress`] gave, in full.
    pub async fn restore(
        &mut self,
        states: &[(String, Tensor)],
        progress: Progress,
    ) -> Result<(), TrainError> {
        for (name, tensor) in states {
            self.backend().write_state(name, tensor)?;
        }
        if progress.fake_quant != self.progress.fake_quant {
            self.replace_gradient(progress.fake_quant).await?;
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
    pub async fn step(&mut self, feed: &mut Feed, elapsed_ms: f64) -> Result<StepReport, TrainError> {
        let step = self.progress.step;
        let lr_scale = schedule::lr_scale(&self.recipe, step, elapsed_ms);
        let fake_quant_began = self.maybe_quantize(lr_scale, elapsed_ms).await?;
        let sharpness = schedule::sharpness(&self.recipe, step, elapsed_ms);
        self.accumulate(feed, sharpness).await?;
        let momentum = schedule::momentum(&self.recipe, step);
        let update = self.apply(lr_scale, momentum).await?;
        self.progress.step += 1;
        self.average(lr_scale).await?;
        if self.progress.step < self.recipe.iterations {
            feed.read_ahead(&self.cut);
        }
        let loss = self.backend().read_state(STEP_LOSS).await?.item();
        let grad_norm = self.backend().read_output(update, "grad_norm").await?.item();
        for (what, value) in [("loss", loss), ("gradient norm", grad_norm)] {
            if !value.is_finite() {
                let names: Vec<String> = self.shapes.keys().cloned().collect();
                let tensor = first_non_finite(self.backend(), &names).await?;
                return Err(TrainError::NotFinite { step, what, value, tensor });
            }
        }
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
        self.replace_gradient(true).await?;
        self.progress.fake_quant = true;
        if self.recipe.ema_enabled && self.recipe.ema_restart_at_qat {
            self.restart_average()?;
        }
        Ok(true)
    }

    /// Puts the plan with or without fake quantization in the place of the other one. Both at once would not fit a GPU that a
    /// micro-batch fills.
    async fn replace_gradient(&mut self, fake_quant: bool) -> Result<(), TrainError> {
        let backend = self.collective.backend();
        backend.release(self.gradient);
        self.gradient =
            compile_gradient(backend, &self.model, &self.recipe, &self.optimizer, fake_quant).await?;
        Ok(())
    }

    /// Queues this rank's micro-batches of a step, whose gradients and losses add up in states.
    async fn accumulate(&mut self, feed: &mut Feed, sharpness: f64) -> Result<(), TrainError> {
        for (done, micro_batch) in feed.step(&self.cut)?.iter().enumerate() {
            self.fold(done).await?;
            self.gradient(micro_batch, done, sharpness).await?;
        }
        Ok(())
    }

    /// Before this rank's `done`-th micro-batch of a step: brings the sum so far to rank 0, where sums are kept in order.
    async fn fold(&mut self, done: usize) -> Result<(), TrainError> {
        match &self.update {
            Update::Shared(update) if done > 0 && self.reduction == Reduction::InOrder => {
                update.fold(self.collective, self.progress.step).await
            }
            _ => Ok(()),
        }
    }

    /// Queues this rank's `done`-th micro-batch of a step; with the last one, the sums over all ranks.
    async fn gradient(
        &mut self,
        MicroBatch { tokens, targets }: &MicroBatch,
        done: usize,
        sharpness: f64,
    ) -> Result<(), TrainError> {
        let share = Tensor::scalar(1.0 / self.recipe.runs() as f64);
        // In order, the sum so far lies on rank 0 alone.
        let elsewhere = self.reduction == Reduction::InOrder && self.collective.rank() > 0;
        let keep = Tensor::scalar(if done == 0 || elsewhere { 0.0 } else { 1.0 });
        let sharpness = Tensor::scalar(sharpness);
        let mut inputs = vec![("tokens", tokens), ("targets", targets), ("share", &share), ("keep", &keep)];
        if self.progress.fake_quant && self.recipe.qat_rounding == QatRounding::Soft {
            inputs.push((SHARPNESS, &sharpness));
        }
        match &self.update {
            Update::Shared(update) if (done + 1) * self.collective.size() == self.recipe.runs() => {
                update.last_gradient(self.collective, self.gradient, &inputs, self.progress.step).await
            }
            _ => Ok(self.collective.backend().submit(self.gradient, &inputs)?),
        }
    }

    /// Queues clip and update; the plan whose output is the gradient norm before.
    async fn apply(&mut self, lr_scale: f64, momentum: f64) -> Result<ExecutableId, TrainError> {
        let t = self.progress.step + 1;
        let scalars = [
            ("lr_scale", lr_scale),
            ("mu", momentum),
            ("bias1", schedule::bias_correction(self.recipe.beta1, t)),
            ("bias2", schedule::bias_correction(self.recipe.beta2, t)),
        ]
        .map(|(name, value)| (name, Tensor::scalar(value)));
        let inputs: Vec<(&str, &Tensor)> = scalars.iter().map(|(name, value)| (*name, value)).collect();
        match &self.update {
            Update::Alone(update) => {
                self.collective.backend().submit(*update, &inputs)?;
                Ok(*update)
            }
            Update::Shared(update) => update.run(self.collective, &inputs, self.progress.step).await,
        }
    }

    /// Takes the weights after a step into the average, where it is time.
    async fn average(&mut self, lr_scale: f64) -> Result<(), TrainError> {
        let Some(average) = &self.average else { return Ok(()) };
        let Progress { step, averaged, .. } = self.progress;
        let backend = self.collective.backend();
        match average::due(&self.recipe, step, averaged, lr_scale) {
            None => Ok(()),
            Some(Due::Restart) => self.restart_average(),
            Some(Due::Keep(keep)) => {
                average.update(backend, keep)?;
                self.progress.averaged += 1;
                if self.recipe.ema_bf16_tables {
                    average::round_tables(backend, &self.model).await
                } else {
                    Ok(())
                }
            }
        }
    }

    fn restart_average(&mut self) -> Result<(), TrainError> {
        if let Some(average) = &self.average {
            average.restart(self.collective.backend())?;
            self.progress.averaged = 1;
        }
        Ok(())
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
