//! The loop of a run: steps, validation when it is due, checkpoints, and why it stops.
//!
//! Invariant: what depends on a clock, a file or a signal is decided by rank 0 and told to the others.

use super::{Every, Job};
use crate::collective::CollectiveError;
use crate::tensor::Tensor;
use crate::train::checkpoint::{Checkpoint, CheckpointError, Meta, RunConfig};
use crate::train::clock::{BudgetClock, Phase};
use crate::train::error::TrainError;
use crate::train::finish::{self, Origin};
use crate::train::metrics::{Event, Sink, StopReason};
use crate::train::ranks;
use crate::train::recipe::Recipe;
use crate::train::schedule;
use crate::train::trainer::{StepReport, Trainer};
use crate::train::validation::Score;
use std::path::{Path, PathBuf};

/// A run in progress.
pub(super) struct Run<'a, 'b> {
    pub trainer: Trainer<'a>,
    pub clock: BudgetClock,
    pub origin: Origin,
    pub sink: &'b mut dyn Sink,
    /// Step of the newest checkpoint on disk.
    pub saved: Option<u64>,
    pub last_save_ms: f64,
    /// Training time when the first steps were done, which load code and are slower.
    pub warm_ms: Option<f64>,
}

/// Steps that say nothing of how long the others take.
const FIRST_STEPS: u64 = 2;
/// Steps after which the others' time is known well enough.
const JUDGING_STEP: u64 = 10;

impl Run<'_, '_> {
    /// Goes on from what rank 0 found.
    pub async fn resume(
        &mut self,
        job: &mut Job<'_>,
        found: Option<(PathBuf, Checkpoint)>,
    ) -> Result<(), TrainError> {
        let (meta, states) = match found {
            Some((path, Checkpoint { meta, states })) => {
                self.check_states(&path, &states)?;
                let (step, train_ms, path) =
                    (meta.progress.step, meta.used.train, path.display().to_string());
                self.sink.event(&Event::Resume { step, train_ms, path });
                (Some(meta), states)
            }
            None => (None, Vec::new()),
        };
        let Some(meta) = ranks::from_first(self.trainer.collective(), "where to resume", meta)? else {
            return Ok(());
        };
        job.train.stream_mut().seek(meta.position)?;
        self.trainer.restore(&states, meta.progress).await?;
        self.trainer.spread().await?;
        self.clock = BudgetClock::system(meta.used);
        (self.saved, self.last_save_ms) = (Some(meta.progress.step), meta.used.train);
        Ok(())
    }

    /// Refuses a checkpoint without one of this run's states, or with others.
    fn check_states(&self, path: &Path, states: &[(String, Tensor)]) -> Result<(), CheckpointError> {
        let names = self.trainer.state_names();
        let got = states.iter().filter(|(name, _)| names.contains(name)).count();
        if got == names.len() && states.len() == names.len() {
            return Ok(());
        }
        Err(CheckpointError::States { path: path.to_path_buf(), expected: names.len(), got })
    }

    pub fn is_first(&mut self) -> bool {
        self.trainer.collective().rank() == 0
    }

    /// The loop; false when interrupted.
    pub async fn train(&mut self, job: &mut Job<'_>) -> Result<bool, TrainError> {
        let mut validated = None;
        loop {
            let step = self.trainer.progress().step;
            let reason = self.stop_reason(&job.recipe, step)?;
            let due = job.validate_every > 0 && step.is_multiple_of(job.validate_every);
            if (due || reason.is_some()) && validated != Some(step) {
                self.validate(job, step).await?;
                validated = Some(step);
            }
            if let Some(reason) = reason {
                self.clock.stop();
                let (iterations, train_ms) = (job.recipe.iterations, self.clock.train_ms());
                self.sink.event(&Event::Stop { step, iterations, reason, train_ms });
                return Ok(true);
            }
            self.clock.enter(Phase::Train);
            let elapsed = self.clock.train_ms();
            let elapsed = ranks::from_first(self.trainer.collective(), "the clock", elapsed)?;
            let report = self.trainer.step(&mut job.train, elapsed).await?;
            self.report(&job.recipe, report);
            self.tell_misfits(&job.recipe);
            self.tell_notes();
            if ranks::any(self.trainer.collective(), "interruption", (job.interrupted)())? {
                self.save(job).await??;
                self.clock.stop();
                let (step, train_ms) = (self.trainer.progress().step, self.clock.train_ms());
                self.sink.event(&Event::Interrupted { step, train_ms });
                return Ok(false);
            }
            self.maybe_save(job).await?;
        }
    }

    /// What the backend has to say, such as that a library is not used.
    pub fn tell_notes(&mut self) {
        let step = self.trainer.progress().step;
        for message in self.trainer.backend().notes() {
            self.sink.event(&Event::Warning { step, message });
        }
    }

    /// What of the schedule does not fit the budget, once: when a few steps have shown how long one takes.
    fn tell_misfits(&mut self, recipe: &Recipe) {
        let (step, now) = (self.trainer.progress().step, self.clock.train_ms());
        if step == FIRST_STEPS {
            self.warm_ms = Some(now);
        }
        let Some(warm) = self.warm_ms.filter(|_| step == JUDGING_STEP) else { return };
        let step_ms = (now - warm) / (JUDGING_STEP - FIRST_STEPS) as f64;
        let left = recipe.cap_ms().map_or(f64::INFINITY, |cap| (cap - now) / step_ms.max(1e-6));
        for message in schedule::misfits(recipe, recipe.iterations.min(step.saturating_add(left as u64))) {
            self.sink.event(&Event::Warning { step, message });
        }
    }

    fn stop_reason(&mut self, recipe: &Recipe, step: u64) -> Result<Option<StopReason>, TrainError> {
        if step >= recipe.iterations {
            return Ok(Some(StopReason::Iterations));
        }
        let over = recipe.cap_ms().is_some_and(|cap| self.clock.train_ms() >= cap);
        let over = ranks::from_first(self.trainer.collective(), "the budget", over)?;
        Ok(over.then_some(StopReason::WallclockCap))
    }

    fn report(&mut self, recipe: &Recipe, report: StepReport) {
        if report.fake_quant_began {
            self.sink.event(&Event::FakeQuant { step: report.step });
        }
        self.sink.event(&Event::Step {
            step: report.step + 1,
            iterations: recipe.iterations,
            loss: report.loss,
            grad_norm: report.grad_norm,
            lr_scale: report.lr_scale,
            momentum: report.momentum,
            tokens: recipe.train_batch_tokens,
            train_ms: self.clock.train_ms(),
            fake_quant: self.trainer.progress().fake_quant,
        });
    }

    /// Saves when it is time.
    async fn maybe_save(&mut self, job: &Job<'_>) -> Result<(), TrainError> {
        let due = match job.checkpoint_every {
            Every::Never => false,
            Every::Steps(steps) => self.trainer.progress().step.is_multiple_of(steps.max(1)),
            Every::Seconds(seconds) => self.clock.train_ms() - self.last_save_ms >= seconds * 1e3,
        };
        if ranks::from_first(self.trainer.collective(), "whether to save", due)?
            && let Err(error) = self.save(job).await?
        {
            // A full disk must not end a run that is otherwise well: the older checkpoint is still there.
            let step = self.trainer.progress().step;
            self.last_save_ms = self.clock.train_ms();
            let message = format!("no checkpoint, the older one stays: {error}");
            self.sink.event(&Event::Warning { step, message });
        }
        Ok(())
    }

    async fn validate(&mut self, job: &mut Job<'_>, step: u64) -> Result<(), TrainError> {
        let Some(validation) = &mut job.validation else { return Ok(()) };
        self.clock.enter(Phase::Evaluate);
        let Score { loss, bpb, tokens, bytes } =
            validation.score(self.trainer.collective(), &job.model).await?;
        self.clock.stop();
        let (iterations, train_ms) = (job.recipe.iterations, self.clock.train_ms());
        self.sink.event(&Event::Validation { step, iterations, loss, bpb, tokens, bytes, train_ms });
        Ok(())
    }

    /// Saves unless this step is saved already. An error outside is one of this run; one inside means that rank 0 could not
    /// write.
    pub async fn save(&mut self, job: &Job<'_>) -> Result<Result<(), TrainError>, TrainError> {
        let progress = self.trainer.progress();
        if self.saved == Some(progress.step) {
            return Ok(Ok(()));
        }
        self.trainer.gather().await?;
        let written = if self.is_first() { self.write_checkpoint(job).await } else { Ok(()) };
        let sound = ranks::from_first(self.trainer.collective(), "the checkpoint", written.is_ok())?;
        if sound {
            (self.saved, self.last_save_ms) = (Some(progress.step), self.clock.train_ms());
            return Ok(Ok(()));
        }
        let reason = || "its checkpoint was not written".to_owned();
        Ok(written.and_then(|()| Err(CollectiveError::Failed { rank: 0, reason: reason() }.into())))
    }

    async fn write_checkpoint(&mut self, job: &Job<'_>) -> Result<(), TrainError> {
        let progress = self.trainer.progress();
        let states = self.trainer.snapshot().await?;
        self.predict_size(job, progress.step, &states);
        let (position, used) = (job.train.stream().position(), self.clock.used());
        let Origin { config_hash, data } = &self.origin;
        let config = RunConfig { model: job.model.clone(), recipe: job.recipe.clone() };
        let meta = Meta { config: Some(config), ..Meta::new(config_hash, data, position, progress, used) };
        let path = Checkpoint { meta, states }.save(&job.out, job.checkpoint_keep)?;
        let bytes = std::fs::metadata(&path).map_or(0, |m| m.len());
        self.sink.event(&Event::Checkpoint { step: progress.step, path: path.display().to_string(), bytes });
        Ok(())
    }

    /// Tells how large the artifact would be now; not training time.
    fn predict_size(&mut self, job: &Job<'_>, step: u64, states: &[(String, Tensor)]) {
        self.clock.enter(Phase::Quantize);
        let state = |name: &str| states.iter().find(|(n, _)| n == name).map(|(_, tensor)| tensor);
        let tokenizer = job.tokenizer.map_or(0, |t| t.to_compact().len());
        let predicted = finish::predicted_bytes(&job.model, &job.recipe, state, tokenizer);
        self.sink.event(&Event::Size { step, predicted_bytes: predicted.round() as u64 });
        self.clock.enter(Phase::Train);
    }
}
