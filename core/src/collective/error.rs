//! Why ranks cannot go on together.

use crate::backend::BackendError;
use std::time::Duration;
use thiserror::Error;

/// Why a collective failed on this rank. Every variant names the rank at fault, but [`CollectiveError::Backend`]
/// and a [`CollectiveError::Stuck`] to which all ranks came.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum CollectiveError {
    /// A rank reported a failure of its own.
    #[error("rank {rank} failed: {reason}")]
    Failed {
        /// The rank.
        rank: usize,
        /// What it said, or what another rank saw of it.
        reason: String,
    },
    /// A rank ended without a word.
    #[error("rank {rank} is gone (`{call}`): {reason}")]
    Lost {
        /// The rank.
        rank: usize,
        /// Where this rank stood.
        call: String,
        /// How it shows.
        reason: String,
    },
    /// A rank shows no sign of life.
    #[error("rank {rank} hangs: no sign of life for {:.1} s, while this rank waits for it in `{call}`", silence.as_secs_f64())]
    Silent {
        /// The rank.
        rank: usize,
        /// Where this rank waits.
        call: String,
        /// Since its last sign of life.
        silence: Duration,
    },
    /// A rank lives but does not come.
    #[error("ranks {ranks:?} did not arrive at `{call}` within {:.1} s", waited.as_secs_f64())]
    Late {
        /// The ranks.
        ranks: Vec<usize>,
        /// Where this rank waits.
        call: String,
        /// How long it waited.
        waited: Duration,
    },
    /// A collective on devices does not end.
    #[error(
        "`{call}` hangs on the devices, for {:.1} s now: {}",
        waited.as_secs_f64(),
        standings(unqueued, computing, within)
    )]
    Stuck {
        /// The collective.
        call: String,
        /// Since this rank's device came to it.
        waited: Duration,
        /// Ranks whose host is not known to have queued it.
        unqueued: Vec<usize>,
        /// Ranks whose device is not known to have come to it.
        computing: Vec<usize>,
        /// Ranks whose device is in it.
        within: Vec<usize>,
    },
    /// Two ranks make different calls.
    #[error(
        "rank {rank} is at `{got}`: expected `{expected}`\nhint: all ranks must run the same program with the same settings"
    )]
    OutOfStep {
        /// The other rank.
        rank: usize,
        /// This rank's call.
        expected: String,
        /// Its call.
        got: String,
    },
    /// A rank sent something of another size or type.
    #[error(
        "rank {rank} sent {got} to `{call}`: expected {expected} floats of this rank's width\nhint: all ranks must run the same program on the same kind of device with the same settings"
    )]
    Payload {
        /// The rank.
        rank: usize,
        /// The call.
        call: String,
        /// How many floats would fit.
        expected: usize,
        /// What came.
        got: String,
    },
    /// This rank's device.
    #[error(transparent)]
    Backend(#[from] BackendError),
}

impl CollectiveError {
    /// The rank at fault; `None` where that is the rank that has this error, or nobody knows.
    pub fn culprit(&self) -> Option<usize> {
        match self {
            CollectiveError::Failed { rank, .. }
            | CollectiveError::Lost { rank, .. }
            | CollectiveError::Silent { rank, .. }
            | CollectiveError::OutOfStep { rank, .. }
            | CollectiveError::Payload { rank, .. } => Some(*rank),
            CollectiveError::Late { ranks, .. } => ranks.first().copied(),
            CollectiveError::Stuck { unqueued, computing, .. } => {
                unqueued.iter().chain(computing).next().copied()
            }
            CollectiveError::Backend(_) => None,
        }
    }
}

/// Where ranks are that do not come together.
fn standings(unqueued: &[usize], computing: &[usize], within: &[usize]) -> String {
    let mut said = format!("ranks {within:?} are in it");
    if !computing.is_empty() {
        said += &format!(", the devices of ranks {computing:?} have not come to it");
    }
    if !unqueued.is_empty() {
        said += &format!(", the hosts of ranks {unqueued:?} have not queued it");
    }
    if computing.is_empty() && unqueued.is_empty() {
        said += ", and no rank is late: a device of theirs, or the connection between them, is at fault";
    }
    said
}
