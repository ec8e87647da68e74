//! A whole run: resume, the loop of steps with validation, checkpoints and signals, then calibration and the artifact.
//!
//! Order at the end: last checkpoint, artifact, and only then the final validation of the artifact as read back from
//! disk. A failed checkpoint is a warning while older ones exist to fall back on; a failed artifact is an error.
//!
//! On several ranks all run this loop in step: rank 0 alone reads the clock, reads and writes files and finishes the
//! artifact; what it decides it tells the others, and a signal to any rank stops all after the same step.

use super::checkpoint::{Checkpoint, CheckpointError, Meta, RunConfig};
use super::clock::{BudgetClock, Phase, Used};
use super::error::TrainError;
use super::finish::{self, Origin, Source};
use super::identity::{canonical, config_hash};
use super::metrics::{Event, Sink, StopReason};
use super::ranks;
use super::recipe::Recipe;
use super::resume::find;
use super::share::Reduction;
use super::trainer::{StepReport, Trainer};
use super::validation::{Score, Validation};
use crate::backend::Backend;
use crate::collective::{Alone, Collective, CollectiveError};
use crate::compress::Method;
use crate::data::TokenStream;
use crate::digest::hex;
use crate::model::ModelConfig;
use crate::model::params::parameter_count;
use crate::tensor::Tensor;
use crate::tokenizer::Tokenizer;
use std::path::{Path, PathBuf};

/// File name of the artifact in the output folder.
pub const ARTIFACT: &str = "artifact.bin";

/// Where a run begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resume {
    /// From initial weights.
    Off,
    /// From the newest checkpoint of the output folder that is sound, or from initial weights.
    Auto,
    /// From this checkpoint.
    From(PathBuf),
}

/// Time between checkpoints.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Every {
    /// Only at the end and on a signal.
    Never,
    /// So many steps.
    Steps(u64),
    /// So many seconds of training.
    Seconds(f64),
}

/// A run.
pub struct Job<'a> {
    /// Structure.
    pub model: ModelConfig,
    /// Training.
    pub recipe: Recipe,
    /// Training shards, checked against the vocabulary.
    pub train: TokenStream,
    /// Held-out tokens.
    pub validation: Option<Validation>,
    /// Goes into the artifact.
    pub tokenizer: Option<&'a Tokenizer>,
    /// Folder of checkpoints and artifact; exists.
    pub out: PathBuf,
    /// Where to begin.
    pub resume: Resume,
    /// Time between checkpoints.
    pub checkpoint_every: Every,
    /// Checkpoints to keep, at least 1.
    pub checkpoint_keep: usize,
    /// Steps between validations; 0 is only at the end.
    pub validate_every: u64,
    /// Asked after every step: whether to save and return.
    pub interrupted: &'a dyn Fn() -> bool,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// With an artifact.
    Finished {
        /// Its path.
        artifact: PathBuf,
        /// Its size.
        bytes: u64,
        /// Validation loss of the artifact.
        score: Option<Score>,
    },
    /// With a checkpoint, on request.
    Interrupted,
}

/// Runs `job` on a backend that holds no states.
pub async fn run(
    backend: &mut dyn Backend,
    job: Job<'_>,
    sink: &mut dyn Sink,
) -> Result<Outcome, TrainError> {
    run_on_ranks(&mut Alone::new(backend), Reduction::InOrder, job, sink).await
}

/// Runs `job` as one of several ranks, on a backend that holds no states. Every rank calls this with equal jobs (output
/// folder and resuming matter on rank 0 only) and gets the same outcome; when one fails, all do.
pub async fn run_on_ranks(
    collective: &mut dyn Collective,
    reduction: Reduction,
    job: Job<'_>,
    sink: &mut dyn Sink,
) -> Result<Outcome, TrainError> {
    let result = run_here(collective, reduction, job, sink).await;
    if let Err(error) = &result {
        ranks::abort(collective, error);
    }
    result
}

async fn run_here(
    collective: &mut dyn Collective,
    reduction: Reduction,
    mut job: Job<'_>,
    sink: &mut dyn Sink,
) -> Result<Outcome, TrainError> {
    let hash = config_hash(&job.model, &job.recipe);
    let origin = Origin { config_hash: hash.clone(), data: job.train.identity() };
    ranks::check_equal(collective, &origin)?;
    let start = Event::Start {
        config_hash: hash,
        config: canonical(&job.model, &job.recipe),
        data: origin.data.clone(),
        parameters: parameter_count(&job.model),
        backend: collective.backend().name(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        train_tokens: job.train.tokens(),
        ranks: collective.size(),
    };
    sink.event(&start);
    let first = collective.rank() == 0;
    let trainer = Trainer::new(collective, &job.model, &job.recipe, reduction).await?;
    let found = if first { find(&job, &origin, sink)? } else { None };
    let mut run = Run {
        clock: BudgetClock::system(Used::default()),
        saved: None,
        last_save_ms: 0.0,
        trainer,
        origin,
        sink,
    };
    run.tell_notes();
    run.resume(&mut job, found).await?;
    if !run.train(&mut job).await? {
        return Ok(Outcome::Interrupted);
    }
    run.finish(&mut job).await
}

/// A run in progress.
struct Run<'a, 'b> {
    trainer: Trainer<'a>,
    clock: BudgetClock,
    origin: Origin,
    sink: &'b mut dyn Sink,
    /// Step of the newest checkpoint on disk.
    saved: Option<u64>,
    last_save_ms: f64,
}

impl Run<'_, '_> {
    /// Goes on from what rank 0 found.
    async fn resume(
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
        job.train.seek(meta.position)?;
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

    fn is_first(&mut self) -> bool {
        self.trainer.collective().rank() == 0
    }

    /// The loop; false when interrupted.
    async fn train(&mut self, job: &mut Job<'_>) -> Result<bool, TrainError> {
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
    fn tell_notes(&mut self) {
        let step = self.trainer.progress().step;
        for message in self.trainer.backend().notes() {
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
    async fn save(&mut self, job: &Job<'_>) -> Result<Result<(), TrainError>, TrainError> {
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
        let (position, used) = (job.train.position(), self.clock.used());
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

    async fn finish(mut self, job: &mut Job<'_>) -> Result<Outcome, TrainError> {
        let progress = self.trainer.progress();
        if let Err(error) = self.save(job).await? {
            let message = format!("no final checkpoint: {error}");
            self.sink.event(&Event::Warning { step: progress.step, message });
        }
        let path = job.out.join(ARTIFACT);
        let bytes = if self.is_first() { self.write_artifact(job, &path).await? } else { 0 };
        let bytes = ranks::from_first(self.trainer.collective(), "the artifact", bytes)?;
        if ranks::any(self.trainer.collective(), "interruption", (job.interrupted)())? {
            return Ok(Outcome::Interrupted);
        }
        let score = self.score_artifact(job, &path).await?;
        Ok(Outcome::Finished { artifact: path, bytes, score })
    }

    /// Averages, prunes, quantizes and writes; the size of the file.
    async fn write_artifact(&mut self, job: &mut Job<'_>, path: &Path) -> Result<u64, TrainError> {
        self.clock.enter(Phase::Calibrate);
        let progress = self.trainer.progress();
        let source = Source::choose(&job.recipe, progress);
        let (model, recipe, backend) = (&job.model, &job.recipe, self.trainer.backend());
        let weights = finish::weights(backend, model, source).await?;
        let calibration = finish::calibrate(backend, model, recipe, &weights, &mut job.train).await?;
        self.clock.enter(Phase::Quantize);
        self.warn_of_late_calibration(recipe, progress.step);
        let tensors = finish::quantize(model, recipe, weights, calibration.as_ref())?;
        self.clock.enter(Phase::Compress);
        let artifact = finish::assemble(model, recipe, tensors, job.tokenizer, &self.origin);
        let (artifact, bytes) = finish::write(artifact, recipe, path)?;
        self.clock.stop();
        if recipe.target_bytes > 0 && bytes > recipe.target_bytes {
            let message = format!("the artifact has {bytes} bytes, its target is {}", recipe.target_bytes);
            self.sink.event(&Event::Warning { step: progress.step, message });
        }
        self.sink.event(&Event::Artifact {
            path: path.display().to_string(),
            bytes,
            content_hash: hex(&artifact.content_hash()),
            weights: source.name(),
            used: self.clock.used(),
        });
        Ok(bytes)
    }

    /// Calibration reads training data, which the challenge allows inside the cap only.
    fn warn_of_late_calibration(&mut self, recipe: &Recipe, step: u64) {
        let (used, cap) = (self.clock.used(), recipe.max_wallclock_seconds * 1e3);
        let late = used.train + used.calibrate - cap;
        if recipe.method != Method::Nearest && cap > 0.0 && late > 0.0 {
            let message = format!(
                "calibration on training data ended {:.1} s after the cap: raise `calibration_reserve_seconds`",
                late / 1e3
            );
            self.sink.event(&Event::Warning { step, message });
        }
    }

    async fn score_artifact(&mut self, job: &mut Job<'_>, path: &Path) -> Result<Option<Score>, TrainError> {
        let Some(validation) = &mut job.validation else { return Ok(None) };
        self.clock.enter(Phase::Evaluate);
        if self.trainer.collective().rank() == 0 {
            finish::load_back(self.trainer.backend(), path)?;
        }
        self.trainer.spread().await?;
        let config = finish::exported_config(&job.model, &job.recipe);
        let score = validation.score(self.trainer.collective(), &config).await?;
        self.clock.stop();
        let Score { loss, bpb, tokens, bytes } = score;
        self.sink.event(&Event::Final { loss, bpb, tokens, bytes, used: self.clock.used() });
        Ok(Some(score))
    }
}
