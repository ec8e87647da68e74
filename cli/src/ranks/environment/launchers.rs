//! The table of launchers: which variables each sets, and how they are read.
//!
//! Rows are in order of precedence, innermost launcher first: torchrun is often started by Slurm, and MPI's `mpirun` inside a
//! Slurm allocation, which then sees variables of both.

use super::{EnvironmentError, OWN_TOKEN, Variables};

/// Which variables a launcher sets. Of several names the first that is set counts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Launcher {
    pub name: &'static str,
    pub rank: &'static str,
    size: &'static [&'static str],
    pub local_rank: &'static str,
    local_size: &'static [&'static str],
    /// Number of machines, each of which has a process at least.
    nodes: Option<&'static str>,
    /// Processes that the job wants on every machine, of a launcher that starts one: its numbers are those of machines.
    pub wanted: Option<&'static str>,
    /// Identifies the job, the same on all ranks.
    job: &'static [&'static str],
    /// Without this variable the others mean something else.
    needs: Option<&'static str>,
}

/// A launcher that says nothing.
const SILENT: Launcher = Launcher {
    name: "",
    rank: "",
    size: &[],
    local_rank: "",
    local_size: &[],
    nodes: None,
    wanted: None,
    job: &[],
    needs: None,
};

/// What identifies a job of torchrun, or of this program's own ranks.
const TORCHRUN_JOB: &[&str] = &[OWN_TOKEN, "TORCHELASTIC_RUN_ID", "TORCHELASTIC_RESTART_COUNT"];

/// All launchers.
pub(super) const LAUNCHERS: &[Launcher] = &[
    Launcher {
        name: "torchrun",
        rank: "RANK",
        size: &["WORLD_SIZE"],
        local_rank: "LOCAL_RANK",
        local_size: &["LOCAL_WORLD_SIZE"],
        job: TORCHRUN_JOB,
        needs: Some("LOCAL_RANK"),
        ..SILENT
    },
    // What torchrun takes its flags from, for a process where torchrun was expected: Kubeflow's pods, one on each machine.
    // Some of its releases set `RANK` to the machine's number and `WORLD_SIZE` to the number of processes.
    Launcher {
        name: "Kubeflow",
        rank: "PET_NODE_RANK",
        size: &["PET_NNODES"],
        wanted: Some("PET_NPROC_PER_NODE"),
        job: TORCHRUN_JOB,
        ..SILENT
    },
    // Whoever sets no number on the machine may count machines or processes; the command line tells.
    Launcher {
        name: "a launcher that sets `RANK`",
        rank: "RANK",
        size: &["WORLD_SIZE"],
        job: TORCHRUN_JOB,
        ..SILENT
    },
    Launcher {
        name: "Open MPI",
        rank: "OMPI_COMM_WORLD_RANK",
        size: &["OMPI_COMM_WORLD_SIZE"],
        local_rank: "OMPI_COMM_WORLD_LOCAL_RANK",
        local_size: &["OMPI_COMM_WORLD_LOCAL_SIZE"],
        job: &["PMIX_NAMESPACE", "OMPI_MCA_ess_base_jobid"],
        ..SILENT
    },
    Launcher {
        name: "MPI (PMI)",
        rank: "PMI_RANK",
        size: &["PMI_SIZE"],
        local_rank: "MPI_LOCALRANKID",
        local_size: &["MPI_LOCALNRANKS"],
        job: &["PMI_JOBID"],
        ..SILENT
    },
    // A batch script sees the allocation's numbers too, but is one process: only a step is launched.
    Launcher {
        name: "Slurm",
        rank: "SLURM_PROCID",
        size: &["SLURM_STEP_NUM_TASKS", "SLURM_NTASKS"],
        local_rank: "SLURM_LOCALID",
        nodes: Some("SLURM_STEP_NUM_NODES"),
        job: &["SLURM_JOB_ID", "SLURM_STEP_ID"],
        needs: Some("SLURM_STEP_ID"),
        ..SILENT
    },
    // An indexed job does not tell its size: the pod's specification sets `WORLD_SIZE` to the job's `completions`.
    Launcher {
        name: "Kubernetes",
        rank: "JOB_COMPLETION_INDEX",
        size: &["WORLD_SIZE"],
        job: &["JOB_NAME"],
        ..SILENT
    },
];

impl Launcher {
    /// Rank and size; `None` where the variables are not all there.
    pub fn ranks(&self, variables: &Variables) -> Result<Option<(usize, usize)>, EnvironmentError> {
        if self.needs.is_some_and(|name| !variables.contains_key(name)) {
            return Ok(None);
        }
        let Some(rank) = number(variables, self.rank)? else { return Ok(None) };
        let Some((name, size)) = first_number(variables, self.size)? else { return Ok(None) };
        if rank >= size {
            return Err(EnvironmentError::OutOfRange { name: self.rank, got: rank, of: name, size });
        }
        Ok(Some((rank, size)))
    }

    /// Processes on this machine, of `size` in all; `None` where nothing says.
    pub fn local_size(&self, variables: &Variables, size: usize) -> Result<Option<usize>, EnvironmentError> {
        let Some((of, local)) = first_number(variables, self.local_size)? else {
            let nodes = self.nodes.map_or(Ok(None), |name| number(variables, name))?;
            return Ok((nodes == Some(size)).then_some(1));
        };
        match number(variables, self.local_rank)? {
            Some(got) if got >= local => {
                Err(EnvironmentError::OutOfRange { name: self.local_rank, got, of, size: local })
            }
            _ => Ok(Some(local)),
        }
    }

    /// Processes that this machine should have; `None` where nothing says, or says that torchrun is to find out.
    pub fn wanted(&self, variables: &Variables) -> Option<usize> {
        let count = variables.get(self.wanted?)?.trim().parse().ok()?;
        (count > 0).then_some(count)
    }

    /// What the ranks of one job have in common.
    pub fn token(&self, variables: &Variables) -> String {
        let values = self.job.iter().filter_map(|name| variables.get(*name));
        values.map(String::as_str).collect::<Vec<_>>().join(".")
    }
}

/// The number that a variable holds, if it is set.
pub(super) fn number(variables: &Variables, name: &'static str) -> Result<Option<usize>, EnvironmentError> {
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
