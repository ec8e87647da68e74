//! Starts the ranks of one machine as processes of this very program, holds their rendezvous, and ends them together.
//!
//! Where a launcher starts one process on each of several machines, each of these is a supervisor, and that of the first
//! holds the rendezvous of all ranks at the launcher's address. The ranks see the variables that torchrun would set. The supervisor computes nothing: it passes signals on, and when a
//! rank ends badly it names it and ends the others, which have had time to end by themselves.

use super::environment::{Membership, OWN_TOKEN};
use super::rendezvous::{self, RendezvousError};
use super::{Patience, lifeline};
use crate::exit::Status;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use thiserror::Error;

/// Pause between two looks at the ranks.
const TICK: Duration = Duration::from_millis(20);
/// How much longer than a rank's own grace the supervisor waits before it kills.
const AFTER: Duration = Duration::from_secs(2);

/// Variables of a launcher that would mean something else to the ranks.
const OUTER: [&str; 4] =
    ["GOLF_PORT", "TORCHELASTIC_USE_AGENT_STORE", "TORCHELASTIC_RUN_ID", "TORCHELASTIC_RESTART_COUNT"];

/// Why the ranks did not run to their end.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SupervisorError {
    /// A rank cannot be started.
    #[error("cannot start rank {rank}: {source}")]
    Start {
        /// The rank.
        rank: usize,
        /// What the system said.
        source: io::Error,
    },
    /// The rendezvous cannot be opened.
    #[error(transparent)]
    Rendezvous(#[from] RendezvousError),
    /// The system does not say how a rank is.
    #[error("cannot watch rank {rank}: {source}")]
    Watch {
        /// The rank.
        rank: usize,
        /// What the system said.
        source: io::Error,
    },
    /// A rank ended badly, and the run with it.
    #[error("rank {rank} ended with {how}; the other ranks were ended")]
    Rank {
        /// The first one.
        rank: usize,
        /// Its exit code or signal.
        how: String,
    },
}

/// The ranks to start, and where they meet.
struct Team {
    /// Ranks of this machine.
    here: usize,
    /// The first of them.
    first: usize,
    /// Ranks of all machines.
    size: usize,
    address: String,
    port: u16,
    token: String,
    /// The rendezvous, if it is this process's to hold.
    rendezvous: Option<TcpListener>,
}

impl Team {
    /// All ranks, on this machine.
    fn of_machine(ranks: usize) -> Result<Self, RendezvousError> {
        let address = Ipv4Addr::LOCALHOST;
        let listen = |source| RendezvousError::Listen { address: format!("{address}:0"), source };
        let listener = TcpListener::bind((address, 0)).map_err(listen)?;
        let port = listener.local_addr().map_err(listen)?.port();
        Ok(Self {
            here: ranks,
            first: 0,
            size: ranks,
            address: address.to_string(),
            port,
            token: format!("{}-{port}", std::process::id()),
            rendezvous: Some(listener),
        })
    }

    /// As many ranks on each machine, this being one of those that a launcher numbers.
    fn of_node(node: &Membership, ranks: usize) -> Result<Self, RendezvousError> {
        let Membership { rank, size, address, port, token, .. } = node;
        Ok(Self {
            here: ranks,
            first: rank * ranks,
            size: size * ranks,
            address: address.clone(),
            port: *port,
            // Never empty, and another than that of ranks which the launcher starts itself.
            token: format!("nodes.{token}"),
            rendezvous: (*rank == 0).then(|| rendezvous::open(address, *port)).transpose()?,
        })
    }
}

/// A rank's process.
struct Rank {
    number: usize,
    child: Child,
    lifeline: Option<ChildStdin>,
    ended: Option<ExitStatus>,
}

/// The ranks, killed when dropped.
struct Ranks(Vec<Rank>);

impl Drop for Ranks {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Runs `ranks` ranks with the arguments of this process to their end: all there are, or those of the machine that a
/// launcher calls `node`. `signal` gives the number of the last signal received.
pub fn supervise(
    ranks: usize,
    node: Option<&Membership>,
    patience: Patience,
    signal: impl Fn() -> Option<u8>,
) -> Result<Status, SupervisorError> {
    let mut team = node.map_or_else(|| Team::of_machine(ranks), |node| Team::of_node(node, ranks))?;
    let rendezvous = team.rendezvous.take();
    let mut ranks = Ranks::start(&team)?;
    let deadline = Instant::now() + patience.gathering();
    if let Some(listener) = rendezvous {
        // Ranks that miss others are told by the rendezvous, and end with that message.
        thread::spawn(move || rendezvous::hold(&listener, &team.token, team.size, deadline));
    }
    ranks.watch(patience, signal)
}

impl Ranks {
    fn start(team: &Team) -> Result<Self, SupervisorError> {
        let mut ranks = Ranks(Vec::with_capacity(team.here));
        for local in 0..team.here {
            let rank = team.first + local;
            let start = |source| SupervisorError::Start { rank, source };
            let mut command = Command::new(std::env::current_exe().map_err(start)?);
            command.args(std::env::args_os().skip(1)).stdin(Stdio::piped());
            for (name, value) in [
                ("RANK", rank.to_string()),
                ("WORLD_SIZE", team.size.to_string()),
                ("LOCAL_RANK", local.to_string()),
                ("LOCAL_WORLD_SIZE", team.here.to_string()),
                ("MASTER_ADDR", team.address.clone()),
                ("MASTER_PORT", team.port.to_string()),
                (OWN_TOKEN, team.token.clone()),
            ] {
                command.env(name, value);
            }
            for name in OUTER {
                command.env_remove(name);
            }
            #[cfg(unix)]
            std::os::unix::process::CommandExt::process_group(&mut command, 0);
            let mut child = command.spawn().map_err(start)?;
            let lifeline = child.stdin.take();
            ranks.0.push(Rank { number: rank, child, lifeline, ended: None });
        }
        Ok(ranks)
    }

    /// Until all have ended.
    fn watch(
        &mut self,
        patience: Patience,
        signal: impl Fn() -> Option<u8>,
    ) -> Result<Status, SupervisorError> {
        let mut passed = None;
        let mut first_failure: Option<Instant> = None;
        while self.poll()? {
            if let (None, Some(number)) = (passed, signal()) {
                passed = Some(number);
                let lifelines = self.0.iter_mut().filter_map(|rank| rank.lifeline.as_mut());
                lifelines.for_each(|pipe| lifeline::pass_on(pipe, number));
            }
            if self.failures().next().is_some() {
                let since = *first_failure.get_or_insert_with(Instant::now);
                // The others notice the failure themselves, and say what they saw.
                if since.elapsed() > patience.grace() + AFTER {
                    self.kill();
                }
            }
            thread::sleep(TICK);
        }
        self.verdict()
    }

    /// Looks at every rank; whether any still runs.
    fn poll(&mut self) -> Result<bool, SupervisorError> {
        let mut running = false;
        for rank in self.0.iter_mut().filter(|rank| rank.ended.is_none()) {
            let watch = |source| SupervisorError::Watch { rank: rank.number, source };
            rank.ended = rank.child.try_wait().map_err(watch)?;
            running |= rank.ended.is_none();
        }
        Ok(running)
    }

    /// Ranks that did not come to a verdict.
    fn failures(&self) -> impl Iterator<Item = (usize, &ExitStatus)> {
        let ended = self.0.iter().filter_map(|rank| Some((rank.number, rank.ended.as_ref()?)));
        ended.filter(|(_, status)| verdict(status).is_none())
    }

    /// How the run ended, when all ranks have.
    fn verdict(&self) -> Result<Status, SupervisorError> {
        // A rank that was killed is the cause of what the others say; they end with codes of their own.
        let killed = self.failures().find(|(_, status)| status.code().is_none());
        if let Some((rank, status)) = killed.or_else(|| self.failures().next()) {
            return Err(SupervisorError::Rank { rank, how: how(status) });
        }
        let mut verdicts = self.0.iter().filter_map(|rank| verdict(rank.ended.as_ref()?));
        Ok(verdicts.find(|status| *status != Status::Done).unwrap_or(Status::Done))
    }

    fn kill(&mut self) {
        for rank in self.0.iter_mut().filter(|rank| rank.ended.is_none()) {
            // It may have ended meanwhile.
            let _gone = rank.child.kill();
            let _gone = rank.child.wait();
        }
    }
}

/// What a rank found that ran to its end.
fn verdict(status: &ExitStatus) -> Option<Status> {
    Status::of_code(status.code()?)
}

fn how(status: &ExitStatus) -> String {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(status) {
        return format!("signal {signal}");
    }
    status.code().map_or_else(|| status.to_string(), |code| format!("exit code {code}"))
}
