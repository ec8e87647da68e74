//! What a launcher says about this process, in the variables that it sets: a table, and the rules for reading it.
//!
//! Rows are in order of precedence, innermost launcher first: torchrun is often started by Slurm, and MPI's `mpirun` inside a
//! Slurm allocation, which then sees variables of both. `RANK` and `WORLD_SIZE` that no torchrun set must agree with what a
//! launcher says: left over in a shell they would make every process believe that it is alone.

use super::hostlist::first_host;
use std::collections::BTreeMap;
use std::env;
use thiserror::Error;

/// Variables by name.
pub type Variables = BTreeMap<String, String>;

/// Marks processes that this program started itself; its value is the token.
pub const OWN_TOKEN: &str = "GOLF_LAUNCH";
/// Port of the rendezvous, whatever the launcher says.
pub const OWN_PORT: &str = "GOLF_PORT";
/// Port where nobody names one: torchrun's.
const DEFAULT_PORT: u16 = 29_500;

/// Which variables a launcher sets. Of several names the first that is set counts.
#[derive(Clone, Copy, Debug)]
struct Launcher {
    name: &'static str,
    rank: &'static str,
    size: &'static [&'static str],
    local_rank: &'static str,
    local_size: &'static [&'static str],
    /// Identifies the job, the same on all ranks.
    job: &'static [&'static str],
    /// Without this variable the others mean something else.
    needs: Option<&'static str>,
}

/// All launchers.
const LAUNCHERS: &[Launcher] = &[
    Launcher {
        name: "torchrun",
        rank: "RANK",
        size: &["WORLD_SIZE"],
        local_rank: "LOCAL_RANK",
        local_size: &["LOCAL_WORLD_SIZE"],
        job: &[OWN_TOKEN, "TORCHELASTIC_RUN_ID", "TORCHELASTIC_RESTART_COUNT"],
        needs: None,
    },
    Launcher {
        name: "Open MPI",
        rank: "OMPI_COMM_WORLD_RANK",
        size: &["OMPI_COMM_WORLD_SIZE"],
        local_rank: "OMPI_COMM_WORLD_LOCAL_RANK",
        local_size: &["OMPI_COMM_WORLD_LOCAL_SIZE"],
        job: &["PMIX_NAMESPACE", "OMPI_MCA_ess_base_jobid"],
        needs: None,
    },
    Launcher {
        name: "MPI (PMI)",
        rank: "PMI_RANK",
        size: &["PMI_SIZE"],
        local_rank: "MPI_LOCALRANKID",
        local_size: &["MPI_LOCALNRANKS"],
        job: &["PMI_JOBID"],
        needs: None,
    },
    // A batch script sees the allocation's numbers too, but is one process: only a step is launched.
    Launcher {
        name: "Slurm",
        rank: "SLURM_PROCID",
        size: &["SLURM_STEP_NUM_TASKS", "SLURM_NTASKS"],
        local_rank: "SLURM_LOCALID",
        local_size: &[],
        job: &["SLURM_JOB_ID", "SLURM_STEP_ID"],
        needs: Some("SLURM_STEP_ID"),
    },
    // An indexed job does not tell its size: the pod's specification sets `WORLD_SIZE` to the job's `completions`.
    Launcher {
        name: "Kubernetes",
        rank: "JOB_COMPLETION_INDEX",
        size: &["WORLD_SIZE"],
        local_rank: "",
        local_size: &[],
        job: &["JOB_NAME"],
        needs: None,
    },
];

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
    /// Host of the rendezvous.
    pub address: String,
    /// Its port.
    pub port: u16,
    /// Tells this job's ranks from another's.
    pub token: String,
    /// Whether the rendezvous is somebody else's to hold; otherwise it is rank 0's.
    pub hosted: bool,
}

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
    /// `--ranks` under a launcher.
    #[error(
        "`--ranks {asked}` under {launcher}, which started {size} ranks already\nhint: leave out `--ranks`"
    )]
    AlreadyLaunched {
        /// As asked.
        asked: usize,
        /// Who started this process.
        launcher: &'static str,
        /// Number of ranks.
        size: usize,
    },
}

/// Every variable of this process's environment that is text and not empty.
pub fn variables() -> Variables {
    let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        Some((name.into_string().ok()?, value.into_string().ok()?))
    };
    env::vars_os().filter_map(text).filter(|(_, value)| !value.is_empty()).collect()
}

/// Who this process is by its variables; `None` where no launcher started it. `asked` is the number of ranks that the
/// command line wants started.
pub fn membership(
    variables: &Variables,
    asked: Option<usize>,
) -> Result<Option<Membership>, EnvironmentError> {
    let mut found = None;
    for launcher in LAUNCHERS {
        found = launcher.ranks(variables)?.map(|(rank, size)| (launcher, rank, size));
        if found.is_some() {
            break;
        }
    }
    let Some((launcher, rank, size)) = found else { return half(variables).map_or(Ok(None), Err) };
    check_agreement(variables, launcher, rank, size)?;
    let own = variables.contains_key(OWN_TOKEN);
    if let Some(asked) = asked.filter(|_| !own) {
        return Err(EnvironmentError::AlreadyLaunched { asked, launcher: launcher.name, size });
    }
    let (local_rank, local_size) = (number(variables, launcher.local_rank)?, launcher.local_size(variables)?);
    let address = address(variables, launcher, size, local_size)?;
    Ok(Some(Membership {
        launcher: launcher.name,
        rank,
        size,
        local_rank,
        local_size,
        address,
        port: port(variables)?,
        token: launcher.token(variables),
        hosted: own,
    }))
}

impl Launcher {
    /// Rank and size; `None` where the variables are not all there.
    fn ranks(&self, variables: &Variables) -> Result<Option<(usize, usize)>, EnvironmentError> {
        let present = self.needs.is_none_or(|name| variables.contains_key(name));
        let (Some(rank), Some((name, size)), true) =
            (number(variables, self.rank)?, first_number(variables, self.size)?, present)
        else {
            return Ok(None);
        };
        if rank >= size {
            return Err(EnvironmentError::OutOfRange { name: self.rank, got: rank, of: name, size });
        }
        Ok(Some((rank, size)))
    }

    fn local_size(&self, variables: &Variables) -> Result<Option<usize>, EnvironmentError> {
        let (rank, size) = (number(variables, self.local_rank)?, first_number(variables, self.local_size)?);
        let Some((of, size)) = size else { return Ok(None) };
        match rank {
            Some(got) if got >= size => {
                Err(EnvironmentError::OutOfRange { name: self.local_rank, got, of, size })
            }
            _ => Ok(Some(size)),
        }
    }

    fn token(&self, variables: &Variables) -> String {
        let values = self.job.iter().filter_map(|name| variables.get(*name));
        values.map(String::as_str).collect::<Vec<_>>().join(".")
    }
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
    for other in &LAUNCHERS[1..] {
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
    if let Some(address) = variables.get("MASTER_ADDR") {
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
    // Jobs that share a node should not share a port.
    let job = number(variables, "SLURM_JOB_ID")?;
    Ok(job.map_or(DEFAULT_PORT, |job| 20_000 + (job % 20_000) as u16))
}

fn number(variables: &Variables, name: &'static str) -> Result<Option<usize>, EnvironmentError> {
    let Some(text) = variables.get(name) else { return Ok(None) };
    let wrong = || EnvironmentError::NotANumber { name, got: text.clone() };
    text.trim().parse().map(Some).map_err(|_| wrong())
}

fn first_number(
    variables: &Variables,
    names: &'static [&'static str],
) -> Result<Option<(&'static str, usize)>, EnvironmentError> {
    let set = names.iter().find(|name| variables.contains_key(**name));
    let Some(name) = set else { return Ok(None) };
    Ok(number(variables, name)?.map(|value| (*name, value)))
}

#[cfg(test)]
mod tests;
