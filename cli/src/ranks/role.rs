//! Which part this process plays in a run: it works alone, is one of several ranks, or starts and ends those.

use super::environment::{self, Asked, EnvironmentError, Membership, Variables, membership, variables};
use super::signals::{self, Signals};
use super::sockets::SocketTransport;
use super::{Patience, join, lifeline, supervisor};
use crate::exit::Outcome;
use std::error::Error;
use thiserror::Error;

/// The part.
#[derive(Debug, PartialEq, Eq)]
enum Role {
    /// One process does all.
    Alone,
    /// This process starts so many ranks: all of them, or those of the machine that `node` numbers.
    Supervisor { ranks: usize, node: Option<Membership> },
    /// A launcher, or a supervisor, started this process among others.
    Rank(Membership),
}

impl Role {
    /// By the environment and the number of ranks that the command line asks for.
    fn of(variables: &Variables, asked: Option<Asked>) -> Result<Role, EnvironmentError> {
        let member = membership(variables)?;
        let launched = member.as_ref().filter(|member| !member.hosted);
        if let (Some(asked), Some(member)) = (asked, launched.filter(|member| !member.alone_here())) {
            let Membership { launcher, size, .. } = *member;
            return Err(EnvironmentError::AlreadyLaunched { asked, launcher, size });
        }
        let ranks = match &member {
            // Its supervisor has started what was asked for.
            Some(member) if member.hosted => None,
            _ => asked.map(|asked| asked.ranks).or(launched.and_then(|member| member.wanted)),
        };
        let node = member.filter(|member| member.size > 1);
        Ok(match (ranks, node) {
            (Some(ranks), node) if ranks > 1 => Role::Supervisor { ranks, node },
            (_, Some(member)) => Role::Rank(member),
            (_, None) => Role::Alone,
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

impl Part {
    /// Whether no other rank is known to work on this machine.
    pub fn alone_here(&self) -> bool {
        environment::alone_here(self.local_rank, self.local_size)
    }
}

/// A failure on one of several ranks.
#[derive(Debug, Error)]
#[error("rank {rank}: {source}")]
struct RankError {
    rank: usize,
    source: Box<dyn Error>,
}

/// Does `work` in the part that the environment and `asked`, the ranks of the command line, give this process.
pub fn run(
    asked: Option<Asked>,
    patience: Patience,
    work: impl FnOnce(Option<&mut Part>) -> Outcome,
) -> Outcome {
    match Role::of(&variables(), asked)? {
        Role::Alone => work(None),
        Role::Supervisor { ranks, node } => {
            let signals = signals::install()?;
            Ok(supervisor::supervise(ranks, node.as_ref(), patience, || signals.received())?)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn role(pairs: &str, asked: Option<Asked>) -> Result<Role, EnvironmentError> {
        let pair = |p: &str| p.split_once('=').map(|(k, v)| (k.to_owned(), v.to_owned()));
        Role::of(&pairs.split_whitespace().filter_map(pair).collect(), asked)
    }

    /// Ranks that a process starts, as which node; `None` where it starts none.
    fn starts(pairs: &str, asked: Option<Asked>) -> Option<(usize, Option<usize>)> {
        match role(pairs, asked).expect(pairs) {
            Role::Supervisor { ranks, node } => Some((ranks, node.map(|node| node.rank))),
            Role::Alone | Role::Rank(_) => None,
        }
    }

    /// Launchers that start one process on each of two machines, as the second of them sees it.
    const ONE_EACH: [&str; 6] = [
        "RANK=1 WORLD_SIZE=2 MASTER_ADDR=a",
        "PET_NODE_RANK=1 PET_NNODES=2 PET_MASTER_ADDR=a PET_NPROC_PER_NODE=auto",
        "JOB_COMPLETION_INDEX=1 WORLD_SIZE=2 MASTER_ADDR=a",
        "SLURM_STEP_ID=0 SLURM_PROCID=1 SLURM_NTASKS=2 SLURM_STEP_NUM_NODES=2 SLURM_LOCALID=0 SLURM_STEP_NODELIST=n[1-2]",
        "OMPI_COMM_WORLD_RANK=1 OMPI_COMM_WORLD_SIZE=2 OMPI_COMM_WORLD_LOCAL_RANK=0 OMPI_COMM_WORLD_LOCAL_SIZE=1 MASTER_ADDR=a",
        "RANK=1 WORLD_SIZE=2 LOCAL_RANK=0 LOCAL_WORLD_SIZE=1 MASTER_ADDR=a TORCHELASTIC_RUN_ID=r",
    ];

    #[test]
    fn ranks_that_are_asked_for_are_those_of_a_machine_where_a_launcher_starts_one_process() {
        for pairs in ONE_EACH {
            for asked in [Asked::of(Some(8), None), Asked::of(None, Some(8))] {
                assert_eq!(starts(pairs, asked), Some((8, Some(1))), "{pairs}");
            }
            for asked in [None, Asked::of(None, Some(1))] {
                assert!(matches!(role(pairs, asked), Ok(Role::Rank(member)) if member.rank == 1), "{pairs}");
            }
        }
    }

    #[test]
    fn one_machine_needs_no_rendezvous_of_a_launcher() {
        let alone = "SLURM_STEP_ID=0 SLURM_PROCID=0 SLURM_NTASKS=1 SLURM_STEP_NUM_NODES=1 SLURM_LOCALID=0";
        for pairs in ["", "RANK=0 WORLD_SIZE=1", alone] {
            assert_eq!(starts(pairs, Asked::of(None, Some(8))), Some((8, None)), "{pairs}");
            assert_eq!(role(pairs, None), Ok(Role::Alone), "{pairs}");
        }
    }

    #[test]
    fn a_job_that_says_how_many_processes_a_machine_has_needs_no_flag() {
        let job = "PET_NODE_RANK=0 PET_NNODES=2 PET_MASTER_ADDR=a PET_NPROC_PER_NODE=4 RANK=0 WORLD_SIZE=8";
        assert_eq!(starts(job, None), Some((4, Some(0))));
        assert_eq!(starts(job, Asked::of(Some(2), None)), Some((2, Some(0))), "the command line wins");
    }

    #[test]
    fn where_a_launcher_starts_every_rank_none_can_be_asked_for_and_the_flag_is_named() {
        let torchrun = "RANK=5 WORLD_SIZE=8 LOCAL_RANK=1 LOCAL_WORLD_SIZE=4 MASTER_ADDR=a";
        for (asked, flag, hint) in [
            (Asked::of(Some(4), None), "`--ranks 4` under torchrun", "leave out `--ranks`"),
            (Asked::of(None, Some(4)), "`--gpus 4` under torchrun", "say `--device cuda`"),
        ] {
            let error = role(torchrun, asked).expect_err(flag).to_string();
            assert!(error.contains(flag) && error.contains(hint), "{error}");
            // What a supervisor started has its arguments.
            let own = role(&format!("{torchrun} GOLF_LAUNCH=t"), asked);
            assert!(matches!(own, Ok(Role::Rank(member)) if member.hosted));
        }
    }
}
