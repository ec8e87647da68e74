//! A whole run: resume, the loop of steps with validation, checkpoints and signals, then calibration and the artifact.
//!
//! Order at the end: last checkpoint, artifact, and only then the final validation of the artifact as read back from
//! disk. A failed checkpoint is a warning while older ones exist to fall back on; a failed artifact is an error.

use super::checkpoint::{self, Checkpoint, CheckpointError, Meta, RunConfig};
use super::clock::{BudgetClock, Phase, Used};
use super::error::TrainError;
use super::finish::{self, Origin, Source};
use super::identity::{canonical, config_hash};
use super::metrics::{Event, Sink, StopReason};
use super::recipe::Recipe;
use super::trainer::{StepReport, Trainer};
use super::validation::{Score, Validation};
use crate::backend::Backend;
use crate::compress::Method;
use crate::data::TokenStream;
use crate::digest::hex;
use crate::durable;
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
    mut job: Job<'_>,
    sink: &mut dyn Sink,
) -> Result<Outcome, TrainError> {
    let hash = config_hash(&job.model, &job.recipe);
    let start = Event::Start {
        config_hash: hash.clone(),
        config: canonical(&job.model, &job.recipe),
        data: job.train.identity(),
        parameters: parameter_count(&job.model),
        backend: backend.name(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        train_tokens: job.train.tokens(),
    };
    sink.event(&start);
    let origin = Origin { config_hash: hash, data: job.train.identity() };
    let trainer = Trainer::new(backend, &job.model, &job.recipe).await?;
    let found = find(&job, &origin, sink)?;
    let mut run = Run {
        clock: BudgetClock::system(Used::default()),
        saved: None,
        last_save_ms: 0.0,
        trainer,
        origin,
        sink,
    };
    if let Some((path, checkpoint)) = found {
        run.resume(&mut job, &path, checkpoint).await?;
    }
    if !run.train(&mut job).await? {
        return Ok(Outcome::Interrupted);
    }
    run.finish(&mut job).await
}

/// The checkpoint to begin with.
fn find(
    job: &Job<'_>,
    origin: &Origin,
    sink: &mut dyn Sink,
) -> Result<Option<(PathBuf, Checkpoint)>, TrainError> {
    let clean = |source| CheckpointError::Io { path: job.out.clone(), action: "clean", source };
    durable::remove_partial(&job.out).map_err(clean)?;
    let load = |path: &Path| {
        let checkpoint = Checkpoint::load(path)?;
        checkpoint.check_identity(path, &origin.config_hash, &origin.data)?;
        Ok::<_, CheckpointError>(checkpoint)
    };
    let paths = match &job.resume {
        Resume::Off => return Ok(None),
        Resume::From(path) => return Ok(Some((path.clone(), load(path)?))),
        Resume::Auto => checkpoint::list(&job.out)?,
    };
    for path in paths {
        match load(&path) {
            Ok(checkpoint) => return Ok(Some((path, checkpoint))),
            Err(error) if error.is_foreign() => return Err(error.into()),
            Err(error) => {
                let message = format!("{error}; trying an older checkpoint");
                sink.event(&Event::Warning { step: 0, message });
            }
        }
    }
    Ok(None)
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
    async fn resume(
        &mut self,
        job: &mut Job<'_>,
        path: &Path,
        checkpoint: Checkpoint,
    ) -> Result<(), TrainError> {
        let Checkpoint { meta, states } = checkpoint;
        let names = self.trainer.state_names();
        let known = states.iter().filter(|(name, _)| names.contains(name)).count();
        if known != names.len() || states.len() != names.len() {
            let (path, expected) = (path.to_path_buf(), names.len());
            return Err(CheckpointError::States { path, expected, got: known }.into());
        }
        job.train.seek(meta.position)?;
        self.trainer.restore(&states, meta.progress).await?;
        self.clock = BudgetClock::system(meta.used);
        (self.saved, self.last_save_ms) = (Some(meta.progress.step), meta.used.train);
        let (step, train_ms, path) = (meta.progress.step, meta.used.train, path.display().to_string());
        self.sink.event(&Event::Resume { step, train_ms, path });
        Ok(())
    }

    /// The loop; false when interrupted.
    async fn train(&mut self, job: &mut Job<'_>) -> Result<bool, TrainError> {
        let mut validated = None;
        loop {
            let step = self.trainer.progress().step;
            let reason = self.stop_reason(&job.recipe, step);
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
            let report = self.trainer.step(&mut job.train, elapsed).await?;
            self.report(&job.recipe, report);
            if (job.interrupted)() {
                self.save(job).await?;
                self.clock.stop();
                let (step, train_ms) = (self.trainer.progress().step, self.clock.train_ms());
                self.sink.event(&Event::Interrupted { step, train_ms });
                return Ok(false);
            }
            if self.checkpoint_due(job.checkpoint_every)
                && let Err(error) = self.save(job).await
            {
                // A full disk must not end a run that is otherwise well: the older checkpoint is still there.
                let step = self.trainer.progress().step;
                self.last_save_ms = self.clock.train_ms();
                let message = format!("no checkpoint, the older one stays: {error}");
                self.sink.event(&Event::Warning { step, message });
            }
        }
    }

    fn stop_reason(&mut self, recipe: &Recipe, step: u64) -> Option<StopReason> {
        if step >= recipe.iterations {
            return Some(StopReason::Iterations);
        }
        let over = recipe.cap_ms().is_some_and(|cap| self.clock.train_ms() >= cap);
        over.then_some(StopReason::WallclockCap)
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

    fn checkpoint_due(&mut self, every: Every) -> bool {
        match every {
            Every::Never => false,
            Every::Steps(steps) => self.trainer.progress().step.is_multiple_of(steps.max(1)),
            Every::Seconds(seconds) => self.clock.train_ms() - self.last_save_ms >= seconds * 1e3,
        }
    }

    async fn validate(&mut self, job: &mut Job<'_>, step: u64) -> Result<(), TrainError> {
        let Some(validation) = &mut job.validation else { return Ok(()) };
        self.clock.enter(Phase::Evaluate);
        let Score { loss, bpb, tokens, bytes } = validation.score(self.trainer.backend(), &job.model).await?;
        self.clock.stop();
        let (iterations, train_ms) = (job.recipe.iterations, self.clock.train_ms());
        self.sink.event(&Event::Validation { step, iterations, loss, bpb, tokens, bytes, train_ms });
        Ok(())
    }

    /// Saves unless this step is saved already.
    async fn save(&mut self, job: &Job<'_>) -> Result<(), TrainError> {
        let progress = self.trainer.progress();
        if self.saved == Some(progress.step) {
            return Ok(());
        }
        let states = self.trainer.snapshot().await?;
        self.predict_size(job, progress.step, &states);
        let (position, used) = (job.train.position(), self.clock.used());
        let Origin { config_hash, data } = &self.origin;
        let config = RunConfig { model: job.model.clone(), recipe: job.recipe.clone() };
        let meta = Meta { config: Some(config), ..Meta::new(config_hash, data, position, progress, used) };
        let path = Checkpoint { meta, states }.save(&job.out, job.checkpoint_keep)?;
        (self.saved, self.last_save_ms) = (Some(progress.step), used.train);
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
        if let Err(error) = self.save(job).await {
            let message = format!("no final checkpoint: {error}");
            self.sink.event(&Event::Warning { step: progress.step, message });
        }
        self.clock.enter(Phase::Calibrate);
        let source = Source::choose(&job.recipe, progress);
        let (model, recipe, backend) = (&job.model, &job.recipe, self.trainer.backend());
        let weights = finish::weights(backend, model, source).await?;
        let calibration = finish::calibrate(backend, model, recipe, &weights, &mut job.train).await?;
        self.clock.enter(Phase::Quantize);
        self.warn_of_late_calibration(recipe, progress.step);
        let tensors = finish::quantize(model, recipe, weights, calibration.as_ref())?;
        self.clock.enter(Phase::Compress);
        let artifact = finish::assemble(model, recipe, tensors, job.tokenizer, &self.origin);
        let path = job.out.join(ARTIFACT);
        let (artifact, bytes) = finish::write(artifact, recipe, &path)?;
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
        if (job.interrupted)() {
            return Ok(Outcome::Interrupted);
        }
        let score = self.score_artifact(job, &path).await?;
        Ok(Outcome::Finished { artifact: path, bytes, score })
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
        let backend = self.trainer.backend();
        let artifact = finish::load_back(backend, path)?;
        let score = validation.score(backend, &artifact.config).await?;
        self.clock.stop();
        let Score { loss, bpb, tokens, bytes } = score;
        self.sink.event(&Event::Final { loss, bpb, tokens, bytes, used: self.clock.used() });
        Ok(Some(score))
    }
}
