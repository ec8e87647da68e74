//! Why a launcher's variables make no sense.

use super::{Asked, GPUS};
use thiserror::Error;

/// Why the variables make no sense.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EnvironmentError {
    /// A value that is no number.
    #[error("environment variable `{name}`: expected a whole number, got `{got}`")]
    NotANumber {
        /// The variable.
        name: &'static str,
        /// Its value.
        got: String,
    },
    /// One variable of a pair.
    #[error(
        "environment variable `{given}` is set and `{missing}` is not\nhint: set both, or neither to train alone"
    )]
    Half {
        /// The one that is set.
        given: &'static str,
        /// The one that is not.
        missing: &'static str,
    },
    /// A rank outside its group.
    #[error("environment variable `{name}` is {got}: expected less than `{of}` = {size}")]
    OutOfRange {
        /// The rank's variable.
        name: &'static str,
        /// Its value.
        got: usize,
        /// The size's variable.
        of: &'static str,
        /// Its value.
        size: usize,
    },
    /// `RANK` and `WORLD_SIZE` against a launcher.
    #[error(
        "`RANK` = {rank}, `WORLD_SIZE` = {size}, but {launcher} says rank {other_rank} of {other_size}\nhint: unset `RANK` and `WORLD_SIZE`, which {launcher} did not set"
    )]
    Conflict {
        /// As in `RANK`.
        rank: usize,
        /// As in `WORLD_SIZE`.
        size: usize,
        /// Who else says something.
        launcher: &'static str,
        /// Its rank.
        other_rank: usize,
        /// Its size.
        other_size: usize,
    },
    /// Nobody says where rank 0 is.
    #[error(
        "{launcher} started {size} ranks, but nothing says where rank 0 is\nhint: set `MASTER_ADDR` to the host of rank 0"
    )]
    NoAddress {
        /// Who started this process.
        launcher: &'static str,
        /// Number of ranks.
        size: usize,
    },
    /// A list of nodes that is none.
    #[error("environment variable `{name}`: expected a list of nodes, got `{got}`")]
    Nodes {
        /// The variable.
        name: &'static str,
        /// Its value.
        got: String,
    },
    /// `--ranks` or `--gpus` under a launcher that starts every rank itself.
    #[error(
        "`{} {}` under {launcher}, which started {size} ranks already\nhint: leave out `{}`{}",
        asked.flag,
        asked.ranks,
        asked.flag,
        if asked.flag == GPUS { " and say `--device cuda`, or have one process started on each machine" } else { "" }
    )]
    AlreadyLaunched {
        /// As asked.
        asked: Asked,
        /// Who started this process.
        launcher: &'static str,
        /// Number of ranks.
        size: usize,
    },
}
