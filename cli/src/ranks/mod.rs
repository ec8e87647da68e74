//! Ranks as processes: who they are, how they find each other, what carries bytes between them, who starts and ends them.
//!
//! [`environment`] reads what torchrun, MPI, Slurm or Kubernetes say about a process; [`supervisor`] starts the ranks of one
//! machine where there is no launcher; [`rendezvous`] brings all ranks together through one address, and [`links`] connects
//! every pair; [`sockets`] is the [`golf_core::collective::Transport`] over these connections, and `peers` what all threads of a
//! rank know of the others. [`role`] is what a command calls: it does its work alone, as a rank, or by starting ranks; [`device`]
//! is the device that it works on, and all ranks over it.
//!
//! Invariant: a rank that is missing, dead, silent or foreign ends the run on every rank within a known time, and is named.

pub mod device;
pub mod environment;
mod hostlist;
pub mod lifeline;
pub mod links;
mod peers;
pub mod rendezvous;
pub mod role;
pub mod signals;
pub mod sockets;
pub mod supervisor;
mod wire;

use environment::Membership;
use golf_core::collective::Limits;
use rendezvous::RendezvousError;
use sockets::SocketTransport;
use std::time::{Duration, Instant};

/// How long ranks wait for each other, all derived from one setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    silence: Duration,
}

impl Patience {
    /// Reads a number of seconds that ranks may be silent.
    pub fn seconds(text: &str) -> Result<f64, String> {
        let seconds = text.parse().ok().filter(|seconds| (0.1..=1e6).contains(seconds));
        seconds.ok_or_else(|| "expected 0.1..=1000000 seconds".to_owned())
    }

    /// A rank that gives no sign of life for so long hangs.
    pub fn of_silence(seconds: f64) -> Self {
        Self { silence: Duration::from_secs_f64(seconds) }
    }

    /// Longest time until all ranks have come: clusters start processes one after the other.
    pub fn gathering(self) -> Duration {
        5 * self.silence
    }

    /// Limits of the collectives: a rank that lives may lag ten times as long as one may be silent.
    pub fn limits(self) -> Limits {
        Limits { silence: Some(self.silence), lateness: 10 * self.silence }
    }

    /// How long a rank that does not notice the end of the run goes on.
    pub fn grace(self) -> Duration {
        self.silence.min(Duration::from_secs(10))
    }
}

/// Meets the other ranks and connects to all of them.
pub fn join(member: &Membership, patience: Patience) -> Result<SocketTransport, RendezvousError> {
    let deadline = Instant::now() + patience.gathering();
    let (listener, addresses) = rendezvous::meet(member, deadline)?;
    let streams = links::connect(member, &listener, &addresses, deadline)?;
    SocketTransport::new(member.rank, streams, patience)
}
