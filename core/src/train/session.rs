//! A whole run: resume, the loop of steps with validation, checkpoints and signals, then calibration and the artifact.
//!
//! Order at the end: last checkpoint, artifact, and only then the final validation of the artifact as read back from
//! disk. A failed checkpoint is a warning while older ones exist to fall back on; a failed artifact is an error.
//!
//! On several ranks all run this loop in step: rank 0 alone reads the clock, reads and writes files and finishes the
//! artifact; what it decides it tells the others, and a signal to any rank stops all after the same step.

mod closing;
mod progress;

use super::clock::{BudgetClock, Used};
use super::error::TrainError;
use super::feed::Feed;
use super::finish::Origin;
use super::identity::{canonical, config_hash};
use super::metrics::{Event, Sink};
use super::ranks;
use super::recipe::Recipe;
use super::resume::find;
use super::share::Reduction;
use super::trainer::Trainer;
use super::validation::{Score, Validation};
use crate::backend::Backend;
use crate::collective::{Alone, Collective};
use crate::model::ModelConfig;
use crate::model::params::parameter_count;
use crate::tokenizer::Tokenizer;
use progress::Run;
use std::path::PathBuf;

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
    pub train: Feed,
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
    let origin = Origin { config_hash: hash.clone(), data: job.train.stream().identity() };
    ranks::check_equal(collective, &origin)?;
    let start = Event::Start {
        config_hash: hash,
        config: canonical(&job.model, &job.recipe),
        data: origin.data.clone(),
        parameters: parameter_count(&job.model),
        backend: collective.backend().name(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        train_tokens: job.train.stream().tokens(),
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
        warm_ms: None,
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
