//! The end of a run: the last checkpoint, calibration, the artifact, and only then scores: of the averages that it was made
//! of, and of the artifact as read back from disk.

use super::progress::Run;
use super::{ARTIFACT, Job, Outcome};
use crate::compress::Method;
use crate::digest::hex;
use crate::train::clock::Phase;
use crate::train::error::TrainError;
use crate::train::finish::{self, Source};
use crate::train::metrics::Event;
use crate::train::ranks;
use crate::train::recipe::Recipe;
use crate::train::validation::Score;
use std::path::Path;

impl Run<'_, '_> {
    pub async fn finish(mut self, job: &mut Job<'_>) -> Result<Outcome, TrainError> {
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
        self.score_averages(job, Source::choose(&job.recipe, progress)).await?;
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
        let stream = job.train.stream_mut();
        let calibration = finish::calibrate(backend, model, recipe, &weights, stream).await?;
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

    /// What the averages score that were quantized. Live weights were validated after the last step.
    async fn score_averages(&mut self, job: &mut Job<'_>, source: Source) -> Result<(), TrainError> {
        let Some(validation) = job.validation.as_mut().filter(|_| source != Source::Live) else {
            return Ok(());
        };
        self.clock.enter(Phase::Evaluate);
        // Every rank keeps averages of its own, equal ones.
        finish::load_averages(self.trainer.backend(), &job.model).await?;
        let Score { loss, bpb, tokens, bytes } =
            validation.score(self.trainer.collective(), &job.model).await?;
        self.clock.stop();
        let (weights, used) = (source.name(), self.clock.used());
        self.sink.event(&Event::Averaged { weights, loss, bpb, tokens, bytes, used });
        Ok(())
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
