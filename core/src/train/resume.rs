//! Where a run begins: which checkpoint of its output folder, if any.

use super::checkpoint::{self, Checkpoint, CheckpointError};
use super::error::TrainError;
use super::finish::Origin;
use super::metrics::{Event, Sink};
use super::session::{Job, Resume};
use crate::durable;
use std::path::{Path, PathBuf};

/// The checkpoint to begin with.
pub(super) fn find(
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
