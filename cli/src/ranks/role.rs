//! Which part this process plays in a run: it works alone, is one of several ranks, or starts and ends those.

use super::environment::{EnvironmentError, Membership, membership, variables};
use super::signals::{self, Signals};
use super::sockets::SocketTransport;
use super::{Patience, join, lifeline, supervisor};
use crate::exit::Outcome;
use std::error::Error;
use thiserror::Error;

/// The part.
enum Role {
    /// One process does all.
    Alone,
    /// This process starts so many ranks.
    Supervisor(usize),
    /// A launcher, or a supervisor, started this process among others.
    Rank(Membership),
}

impl Role {
    /// By the environment and the number of ranks that the command line asks for.
    fn of(asked: Option<usize>) -> Result<Role, EnvironmentError> {
        Ok(match (membership(&variables(), asked)?, asked) {
            (Some(member), _) if member.size > 1 => Role::Rank(member),
            (None, Some(ranks)) if ranks > 1 => Role::Supervisor(ranks),
            _ => Role::Alone,
        })
    }
}

/// What a rank has that a process alone has not.
pub struct Part {
    /// Its connections.
    pub transport: SocketTransport,
    /// Signals, its own and those of its supervisor.
    pub signals: Signals,
    /// Number of this rank.
    pub rank: usize,
    /// Number of this rank on its machine, where that is known.
    pub local_rank: Option<usize>,
    /// Ranks on this machine, where that is known.
    pub local_size: Option<usize>,
}

/// A failure on one of several ranks.
#[derive(Debug, Error)]
#[error("rank {rank}: {source}")]
struct RankError {
    rank: usize,
    source: Box<dyn Error>,
}

/// Does `work` in the part that the environment and `asked`, the number of ranks on the command line, give this process.
pub fn run(
    asked: Option<usize>,
    patience: Patience,
    work: impl FnOnce(Option<&mut Part>) -> Outcome,
) -> Outcome {
    match Role::of(asked)? {
        Role::Alone => work(None),
        Role::Supervisor(ranks) => {
            let signals = signals::install()?;
            Ok(supervisor::supervise(ranks, patience, || signals.received())?)
        }
        Role::Rank(member) => as_rank(&member, patience, |part| work(Some(part))),
    }
}

/// Meets the other ranks, does `work`, and parts from them; they learn if it fails.
fn as_rank(member: &Membership, patience: Patience, work: impl FnOnce(&mut Part) -> Outcome) -> Outcome {
    let rank = member.rank;
    let failed = |source: Box<dyn Error>| Box::new(RankError { rank, source });
    let signals = signals::install().map_err(|error| failed(error.into()))?;
    if member.hosted {
        lifeline::hold(std::io::stdin(), signals.relay());
    }
    let transport = join(member, patience).map_err(|error| failed(error.into()))?;
    let (local_rank, local_size) = (member.local_rank, member.local_size);
    let mut part = Part { transport, signals, rank, local_rank, local_size };
    let outcome = work(&mut part);
    match &outcome {
        Ok(_) => part.transport.finish(),
        Err(error) => part.transport.fail(&error.to_string()),
    }
    Ok(outcome.map_err(failed)?)
}
