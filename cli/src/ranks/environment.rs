//! What a launcher says about this process, in the variables that it sets: a table, and the rules for reading it.
//!
//! A launcher starts every rank, or one process on each machine, which is to start the ranks there: [`Membership::alone_here`]
//! tells the two apart, as far as the variables do. `RANK` and `WORLD_SIZE` that no torchrun set must agree with what a
//! launcher says: left over in a shell they would make every process believe that it is alone.

mod error;
mod launchers;

use super::hostlist::first_host;
pub use error::EnvironmentError;
use launchers::{LAUNCHERS, Launcher, number};
use std::collections::BTreeMap;
use std::env;

/// Variables by name.
pub type Variables = BTreeMap<String, String>;

/// Marks processes that this program started itself; its value is the token.
pub const OWN_TOKEN: &str = "GOLF_LAUNCH";
/// Port of the rendezvous, whatever the launcher says.
pub const OWN_PORT: &str = "GOLF_PORT";
/// Port where nobody names one: torchrun's.
const DEFAULT_PORT: u16 = 29_500;

/// A flag that asks for ranks on this machine.
pub const RANKS: &str = "--ranks";
/// The same, with a GPU for each.
pub const GPUS: &str = "--gpus";

/// Ranks that the command line asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    /// By which flag.
    pub flag: &'static str,
    /// How many on a machine.
    pub ranks: usize,
}

impl Asked {
    /// By the values of `--ranks` and `--gpus`, of which one is given at most.
    pub fn of(ranks: Option<usize>, gpus: Option<usize>) -> Option<Asked> {
        let asked = |flag| move |ranks| Asked { flag, ranks };
        ranks.map(asked(RANKS)).or(gpus.map(asked(GPUS)))
    }
}

/// Who this process is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// Who started it.
    pub launcher: &'static str,
    /// Its number, from 0.
    pub rank: usize,
    /// Number of ranks.
    pub size: usize,
    /// Its number on this machine, where the launcher says.
    pub local_rank: Option<usize>,
    /// Ranks on this machine, where the launcher says.
    pub local_size: Option<usize>,
    /// Ranks that the launcher wants started on this machine, where it says.
    pub wanted: Option<usize>,
    /// Host of the rendezvous.
    pub address: String,
    /// Its port.
    pub port: u16,
    /// Tells this job's ranks from another's.
    pub token: String,
    /// Whether the rendezvous is somebody else's to hold; otherwise it is rank 0's.
    pub hosted: bool,
}

/// Every variable of this process's environment that is text and not empty.
pub fn variables() -> Variables {
    let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        Some((name.into_string().ok()?, value.into_string().ok()?))
    };
    env::vars_os().filter_map(text).filter(|(_, value)| !value.is_empty()).collect()
}

/// Who this process is by its variables; `None` where no launcher started it.
pub fn membership(variables: &Variables) -> Result<Option<Membership>, EnvironmentError> {
    let mut found = None;
    for launcher in LAUNCHERS {
        found = launcher.ranks(variables)?.map(|(rank, size)| (launcher, rank, size));
        if found.is_some() {
            break;
        }
    }
    let Some((launcher, rank, size)) = found else { return half(variables).map_or(Ok(None), Err) };
    check_agreement(variables, launcher, rank, size)?;
    let local_size = launcher.local_size(variables, size)?;
    Ok(Some(Membership {
        launcher: launcher.name,
        rank,
        size,
        local_rank: number(variables, launcher.local_rank)?,
        local_size,
        wanted: launcher.wanted(variables),
        address: address(variables, launcher, size, local_size)?,
        port: port(variables)?,
        token: launcher.token(variables),
        hosted: variables.contains_key(OWN_TOKEN),
    }))
}

impl Membership {
    /// Whether the launcher starts no other process on this machine, as far as it says.
    pub fn alone_here(&self) -> bool {
        alone_here(self.local_rank, self.local_size)
    }
}

/// The same by a process's number on its machine and the number of processes there.
pub fn alone_here(local_rank: Option<usize>, local_size: Option<usize>) -> bool {
    local_size.map_or(local_rank.is_none(), |size| size == 1)
}

/// The error for a lone half of `RANK` and `WORLD_SIZE`.
fn half(variables: &Variables) -> Option<EnvironmentError> {
    let set = |name: &str| variables.contains_key(name);
    let (given, missing) = match (set("RANK"), set("WORLD_SIZE")) {
        (true, false) => ("RANK", "WORLD_SIZE"),
        (false, true) => ("WORLD_SIZE", "RANK"),
        _ => return None,
    };
    Some(EnvironmentError::Half { given, missing })
}

/// `RANK` and `WORLD_SIZE` that neither torchrun nor this program set must be those of the launcher around.
fn check_agreement(
    variables: &Variables,
    launcher: &Launcher,
    rank: usize,
    size: usize,
) -> Result<(), EnvironmentError> {
    let nested = ["TORCHELASTIC_RUN_ID", OWN_TOKEN].iter().any(|name| variables.contains_key(*name));
    if launcher.rank != "RANK" || nested {
        return Ok(());
    }
    // Who counts machines has other numbers.
    for other in LAUNCHERS.iter().filter(|other| other.rank != launcher.rank && other.wanted.is_none()) {
        let Some((other_rank, other_size)) = other.ranks(variables)? else { continue };
        if (rank, size) != (other_rank, other_size) {
            let launcher = other.name;
            return Err(EnvironmentError::Conflict { rank, size, launcher, other_rank, other_size });
        }
    }
    Ok(())
}

fn address(
    variables: &Variables,
    launcher: &Launcher,
    size: usize,
    local_size: Option<usize>,
) -> Result<String, EnvironmentError> {
    if let Some(address) = ["MASTER_ADDR", "PET_MASTER_ADDR"].iter().find_map(|name| variables.get(*name)) {
        return Ok(address.clone());
    }
    for name in ["SLURM_STEP_NODELIST", "SLURM_JOB_NODELIST"] {
        if let Some(list) = variables.get(name) {
            let wrong = || EnvironmentError::Nodes { name, got: list.clone() };
            return first_host(list).ok_or_else(wrong);
        }
    }
    if size == 1 || local_size == Some(size) {
        return Ok("127.0.0.1".to_owned());
    }
    Err(EnvironmentError::NoAddress { launcher: launcher.name, size })
}

fn port(variables: &Variables) -> Result<u16, EnvironmentError> {
    let read = |name: &'static str| -> Result<Option<u16>, EnvironmentError> {
        let Some(text) = variables.get(name) else { return Ok(None) };
        let wrong = || EnvironmentError::NotANumber { name, got: text.clone() };
        text.parse().ok().filter(|port| *port > 0).map(Some).ok_or_else(wrong)
    };
    if let Some(port) = read(OWN_PORT)? {
        return Ok(port);
    }
    if let Some(port) = read("MASTER_PORT")? {
        // Torchrun's agent listens on this port itself and hands it to its store's clients.
        let taken = variables.get("TORCHELASTIC_USE_AGENT_STORE").is_some_and(|v| v == "True");
        return Ok(if taken { port.checked_add(1).unwrap_or(DEFAULT_PORT) } else { port });
    }
    if let Some(port) = read("PET_MASTER_PORT")? {
        return Ok(port);
    }
    // Jobs that share a node should not share a port.
    let job = number(variables, "SLURM_JOB_ID")?;
    Ok(job.map_or(DEFAULT_PORT, |job| 20_000 + (job % 20_000) as u16))
}

#[cfg(test)]
mod tests;
