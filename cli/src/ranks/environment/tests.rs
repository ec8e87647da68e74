//! Every launcher's variables, and every way in which they contradict themselves.

use super::*;

fn variables(pairs: &str) -> Variables {
    let pair = |p: &str| p.split_once('=').map(|(k, v)| (k.to_owned(), v.to_owned()));
    pairs.split_whitespace().filter_map(pair).collect()
}

fn member(pairs: &str) -> Result<Option<Membership>, EnvironmentError> {
    membership(&variables(pairs))
}

const TORCHRUN: &str = "RANK=5 WORLD_SIZE=8 LOCAL_RANK=1 LOCAL_WORLD_SIZE=4 MASTER_ADDR=head MASTER_PORT=1234 TORCHELASTIC_RUN_ID=run7";
const SLURM: &str = "SLURM_PROCID=3 SLURM_NTASKS=16 SLURM_LOCALID=3 SLURM_JOB_ID=123456 SLURM_STEP_ID=2 SLURM_STEP_NODELIST=n[04-07]";

/// Variables; then launcher, rank and size, local size, address, port, run.
type Row = (&'static str, &'static str, (usize, usize), Option<usize>, &'static str, u16, &'static str);

#[test]
fn every_launcher_is_understood() {
    let rows: &[Row] = &[
        (TORCHRUN, "torchrun", (5, 8), Some(4), "head", 1234, "run7"),
        ("RANK=0 WORLD_SIZE=2 MASTER_ADDR=h", "a launcher that sets `RANK`", (0, 2), None, "h", 29_500, ""),
        (
            "PET_NODE_RANK=1 PET_NNODES=2 PET_NPROC_PER_NODE=8 PET_MASTER_ADDR=job-0 PET_MASTER_PORT=7 RANK=1 WORLD_SIZE=16",
            "Kubeflow",
            (1, 2),
            None,
            "job-0",
            7,
            "",
        ),
        (SLURM, "Slurm", (3, 16), None, "n04", 23_456, "123456.2"),
        (
            "OMPI_COMM_WORLD_RANK=1 OMPI_COMM_WORLD_SIZE=2 OMPI_COMM_WORLD_LOCAL_RANK=1 OMPI_COMM_WORLD_LOCAL_SIZE=2 PMIX_NAMESPACE=j1",
            "Open MPI",
            (1, 2),
            Some(2),
            "127.0.0.1",
            29_500,
            "j1",
        ),
        (
            "PMI_RANK=2 PMI_SIZE=4 MPI_LOCALRANKID=0 MPI_LOCALNRANKS=2 MASTER_ADDR=a",
            "MPI (PMI)",
            (2, 4),
            Some(2),
            "a",
            29_500,
            "",
        ),
        (
            "JOB_COMPLETION_INDEX=3 WORLD_SIZE=4 MASTER_ADDR=job-0.svc JOB_NAME=job",
            "Kubernetes",
            (3, 4),
            None,
            "job-0.svc",
            29_500,
            "job",
        ),
    ];
    for (pairs, launcher, ranks, local, address, port, token) in rows {
        let got = member(pairs).unwrap().expect(pairs);
        assert_eq!(
            (got.launcher, (got.rank, got.size), got.local_size),
            (*launcher, *ranks, *local),
            "{pairs}"
        );
        assert_eq!(
            (got.address.as_str(), got.port, got.token.as_str()),
            (*address, *port, *token),
            "{pairs}"
        );
        assert!(!got.hosted);
    }
}

#[test]
fn a_rank_knows_its_number_on_its_machine_where_the_launcher_does() {
    let local = |pairs: &str| member(pairs).unwrap().expect(pairs).local_rank;
    assert_eq!([TORCHRUN, SLURM, "RANK=0 WORLD_SIZE=2 MASTER_ADDR=h"].map(local), [Some(1), Some(3), None]);
}

#[test]
fn a_process_is_alone_on_its_machine_unless_its_launcher_says_otherwise() {
    let step = |nodes: &str| format!("{SLURM} SLURM_STEP_NUM_NODES={nodes}");
    for (pairs, alone) in [
        (TORCHRUN, false),
        ("RANK=0 WORLD_SIZE=2 MASTER_ADDR=h", true),
        ("RANK=0 WORLD_SIZE=2 LOCAL_RANK=0 MASTER_ADDR=h", false),
        ("RANK=0 WORLD_SIZE=2 LOCAL_RANK=0 LOCAL_WORLD_SIZE=1 MASTER_ADDR=h", true),
        (SLURM, false),
        (&step("4"), false),
        (&step("16"), true),
    ] {
        assert_eq!(member(pairs).unwrap().unwrap().alone_here(), alone, "{pairs}");
    }
}

#[test]
fn without_a_launcher_a_process_is_alone() {
    // A batch script has its allocation's numbers, and `salloc` too, but is no step.
    for pairs in
        ["", "MASTER_ADDR=x MASTER_PORT=5", "SLURM_PROCID=0 SLURM_NTASKS=8 SLURM_JOB_ID=1", "LOCAL_RANK=0"]
    {
        assert_eq!(member(pairs).unwrap(), None, "{pairs}");
    }
}

#[test]
fn the_innermost_launcher_counts() {
    let torchrun = member(&format!("{SLURM} {TORCHRUN}")).unwrap().unwrap();
    assert_eq!((torchrun.launcher, torchrun.rank), ("torchrun", 5));
    let mpi = format!("{SLURM} OMPI_COMM_WORLD_RANK=1 OMPI_COMM_WORLD_SIZE=2");
    assert_eq!(member(&mpi).unwrap().unwrap().launcher, "Open MPI");
    // Kubernetes' own variables beside those of an operator that agree.
    let operator = "RANK=1 WORLD_SIZE=2 MASTER_ADDR=a JOB_COMPLETION_INDEX=1";
    assert_eq!(member(operator).unwrap().unwrap().launcher, "a launcher that sets `RANK`");
    // torchrun in a pod of Kubeflow, whose variables its processes inherit.
    let pod = format!("{TORCHRUN} PET_NODE_RANK=0 PET_NNODES=2 PET_NPROC_PER_NODE=4");
    assert_eq!(member(&pod).unwrap().unwrap().launcher, "torchrun");
    // What this program started inside a step is its own.
    let own = member(&format!("{SLURM} RANK=1 WORLD_SIZE=2 MASTER_ADDR=a GOLF_LAUNCH=t")).unwrap().unwrap();
    assert_eq!((own.rank, own.token.as_str(), own.hosted), (1, "t", true));
}

#[test]
fn ports_come_from_the_most_specific_variable() {
    let port = |pairs: &str| member(&format!("RANK=0 WORLD_SIZE=1 {pairs}")).unwrap().unwrap().port;
    assert_eq!(port(""), 29_500);
    assert_eq!(port("MASTER_PORT=7"), 7);
    assert_eq!(port("MASTER_PORT=7 TORCHELASTIC_USE_AGENT_STORE=True"), 8);
    assert_eq!(port("MASTER_PORT=7 TORCHELASTIC_USE_AGENT_STORE=False"), 7);
    assert_eq!(port("MASTER_PORT=7 GOLF_PORT=9 TORCHELASTIC_USE_AGENT_STORE=True"), 9);
}

#[test]
fn a_restarted_job_has_another_token() {
    let token = |pairs: &str| member(pairs).unwrap().unwrap().token;
    assert_ne!(token(TORCHRUN), token(&format!("{TORCHRUN} TORCHELASTIC_RESTART_COUNT=1")));
    assert_ne!(token(SLURM), token(&SLURM.replace("STEP_ID=2", "STEP_ID=3")));
}

#[test]
fn nonsense_is_refused_by_name() {
    use EnvironmentError as E;
    let got = |text: &str| text.to_owned();
    let rows: &[(&str, E)] = &[
        ("RANK=1", E::Half { given: "RANK", missing: "WORLD_SIZE" }),
        ("WORLD_SIZE=4", E::Half { given: "WORLD_SIZE", missing: "RANK" }),
        ("RANK=x WORLD_SIZE=4", E::NotANumber { name: "RANK", got: got("x") }),
        ("RANK=-1 WORLD_SIZE=4", E::NotANumber { name: "RANK", got: got("-1") }),
        ("RANK=4 WORLD_SIZE=4", E::OutOfRange { name: "RANK", got: 4, of: "WORLD_SIZE", size: 4 }),
        ("RANK=0 WORLD_SIZE=0", E::OutOfRange { name: "RANK", got: 0, of: "WORLD_SIZE", size: 0 }),
        (
            "RANK=1 WORLD_SIZE=4 LOCAL_RANK=2 LOCAL_WORLD_SIZE=2 MASTER_ADDR=a",
            E::OutOfRange { name: "LOCAL_RANK", got: 2, of: "LOCAL_WORLD_SIZE", size: 2 },
        ),
        ("RANK=1 WORLD_SIZE=2", E::NoAddress { launcher: "a launcher that sets `RANK`", size: 2 }),
        ("PET_NODE_RANK=0 PET_NNODES=1:4", E::NotANumber { name: "PET_NNODES", got: got("1:4") }),
        ("JOB_COMPLETION_INDEX=0 WORLD_SIZE=2", E::NoAddress { launcher: "Kubernetes", size: 2 }),
        ("RANK=0 WORLD_SIZE=1 MASTER_PORT=0", E::NotANumber { name: "MASTER_PORT", got: got("0") }),
        ("RANK=0 WORLD_SIZE=1 GOLF_PORT=70000", E::NotANumber { name: "GOLF_PORT", got: got("70000") }),
        (
            "SLURM_PROCID=0 SLURM_NTASKS=2 SLURM_STEP_ID=0 SLURM_JOB_NODELIST=n[",
            E::Nodes { name: "SLURM_JOB_NODELIST", got: got("n[") },
        ),
    ];
    for (pairs, want) in rows {
        assert_eq!(member(pairs).unwrap_err(), *want, "{pairs}");
    }
}

#[test]
fn ranks_left_over_in_a_shell_do_not_make_every_process_believe_it_is_alone() {
    let error = member(&format!("{SLURM} RANK=0 WORLD_SIZE=1")).unwrap_err();
    let EnvironmentError::Conflict { rank: 0, size: 1, launcher: "Slurm", other_rank: 3, other_size: 16 } =
        error
    else {
        panic!("{error}")
    };
    let agreed = format!("{SLURM} RANK=3 WORLD_SIZE=16");
    assert_eq!(member(&agreed).unwrap().unwrap().rank, 3);
}
