//! `golf-train` on several processes: the same bytes as one, and what happens when a rank dies, hangs, is missing or foreign.
//!
//! The runs are the `nano` preset with eight micro-batches per step.
#![cfg(target_os = "linux")]

mod processes;
mod site;

use processes::{all_end, end, ranks_of, send};
use site::{ARTIFACT, Site, names_in, signal, stderr};
use std::fs;
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Eight micro-batches per step, on the backend that people use.
const EIGHT: [&str; 8] =
    ["--device", "cpu", "--threads", "1", "--set", "train_batch_tokens=128", "--set", "micro_batch_rows=1"];

fn with<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&EIGHT[..], more].concat()
}

/// What a launcher would set for a rank.
fn launched(command: &mut Command, [rank, size]: [usize; 2], port: u16) -> &mut Command {
    let (rank, size, port) = (rank.to_string(), size.to_string(), port.to_string());
    command.envs([
        ("RANK", rank),
        ("WORLD_SIZE", size),
        ("MASTER_ADDR", "127.0.0.1".into()),
        ("MASTER_PORT", port),
    ])
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn any_number_of_processes_writes_the_bytes_of_one() {
    let site = Site::new();
    let expected = site.finish("one", &with(&[]));
    for ranks in ["2", "4", "8"] {
        assert_eq!(site.finish(ranks, &with(&["--ranks", ranks])), expected, "{ranks} ranks");
        let left = names_in(&site.path(ranks));
        assert!(left.iter().all(|name| !name.starts_with(".partial")), "{left:?}");
        let events = fs::read_to_string(site.path(ranks).join("metrics.jsonl")).unwrap();
        assert!(
            events.lines().next().unwrap().contains(&format!("\"ranks\":{ranks}")),
            "rank 0 alone writes events"
        );
        assert_eq!(events.matches("\"event\":\"start\"").count(), 1);
    }
}

#[test]
fn processes_of_a_launcher_meet_and_write_the_same_bytes() {
    let site = Site::new();
    let expected = site.finish("one", &with(&[]));
    let port = free_port();
    // Rank 0, which holds the rendezvous, comes last.
    let start = |rank: usize| {
        let mut command = site.command("two", &with(&[]));
        launched(&mut command, [rank, 2], port).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let late = start(1);
    thread::sleep(Duration::from_millis(300));
    for child in [start(0), late] {
        let output = end(child, Duration::from_secs(60));
        assert!(output.status.success(), "{}", stderr(&output));
    }
    assert_eq!(fs::read(site.path("two").join(ARTIFACT)).unwrap(), expected);
}

/// One process on each of two machines, as a job of Kubeflow sets it up that wants two processes on each.
fn kubeflow(command: &mut Command, node: usize, port: u16) -> &mut Command {
    let (node, port) = (node.to_string(), port.to_string());
    command.envs([
        ("PET_NODE_RANK", node.clone()),
        ("PET_NNODES", "2".into()),
        ("PET_NPROC_PER_NODE", "2".into()),
        ("PET_MASTER_ADDR", "127.0.0.1".into()),
        ("PET_MASTER_PORT", port),
        // Processes, but the number of a machine.
        ("WORLD_SIZE", "4".into()),
        ("RANK", node),
    ])
}

#[test]
fn one_process_on_each_machine_starts_the_ranks_there_and_all_write_the_same_bytes() {
    let site = Site::new();
    let expected = site.finish("one", &with(&[]));
    for (out, flags) in [("asked", &["--ranks", "2"][..]), ("kubeflow", &[])] {
        let port = free_port();
        // The machine that holds the rendezvous comes last.
        let children = [1, 0].map(|node| {
            let mut command = site.command(out, &with(flags));
            match out {
                "asked" => launched(&mut command, [node, 2], port),
                _ => kubeflow(&mut command, node, port),
            };
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        });
        for child in children {
            let output = end(child, Duration::from_secs(60));
            assert!(output.status.success(), "{}", stderr(&output));
        }
        assert_eq!(fs::read(site.path(out).join(ARTIFACT)).unwrap(), expected, "{out}");
        let events = fs::read_to_string(site.path(out).join("metrics.jsonl")).unwrap();
        assert!(events.lines().next().unwrap().contains("\"ranks\":4"), "{out}: two on each machine");
    }
}

#[test]
fn a_machine_that_is_missing_is_named_by_its_ranks() {
    let site = Site::new();
    let mut command = site.command("out", &with(&["--ranks", "2", "--set", "rank_timeout=1"]));
    let port = free_port();
    let child = launched(&mut command, [0, 2], port).stderr(Stdio::piped()).stdout(Stdio::null()).spawn();
    let output = end(child.unwrap(), Duration::from_secs(30));
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("ranks [2, 3] of 4 did not come"), "{}", stderr(&output));
}

#[test]
fn a_killed_rank_ends_all_machines_and_is_named_with_its_number() {
    let site = Site::new();
    let port = free_port();
    let flags = with(&["--iterations", "100000", "--ranks", "2"]);
    let mut second = site.command("out", &flags);
    let second = launched(&mut second, [1, 2], port).stderr(Stdio::piped()).stdout(Stdio::null()).spawn();
    let second = second.unwrap();
    let mut first = site.command("out", &flags);
    let first = launched(&mut first, [0, 2], port).stderr(Stdio::piped()).stdout(Stdio::null()).spawn();
    let first = first.unwrap();
    let begin = Instant::now();
    let begun =
        || fs::read_to_string(site.path("out/metrics.jsonl")).is_ok_and(|events| events.contains("\"step\""));
    while !begun() {
        assert!(begin.elapsed() < Duration::from_secs(60), "no step");
        thread::sleep(Duration::from_millis(20));
    }
    let ranks = [ranks_of(first.id()), ranks_of(second.id())].concat();
    assert_eq!(ranks.len(), 4);
    send("-KILL", ranks[3]);
    let [first, second] = [first, second].map(|child| end(child, Duration::from_secs(30)));
    all_end(&ranks, Duration::from_secs(1));
    assert_eq!((first.status.code(), second.status.code()), (Some(1), Some(1)));
    assert!(stderr(&second).contains("rank 3 ended with signal 9"), "{}", stderr(&second));
    assert!(stderr(&first).contains("rank 3 is gone"), "{}", stderr(&first));
}

#[test]
fn a_signal_stops_all_ranks_after_the_same_step_and_another_number_goes_on() {
    let site = Site::new();
    let long = with(&["--iterations", "400", "--checkpoint-every", "never"]);
    let expected = site.finish("whole", &long);
    for (ranks, name, code, step) in [("4", "-TERM", 143, 4), ("2", "-INT", 130, 7)] {
        let child = site.start_until("out", &[&long[..], &["--ranks", ranks]].concat(), step);
        signal(&child, name);
        assert_eq!(end(child, Duration::from_secs(60)).status.code(), Some(code));
        assert_eq!(site.checkpoints("out").len(), 1, "saved once");
        fs::rename(site.path("out"), site.path(name)).unwrap();
        assert_eq!(site.finish(name, &[&long[..], &["--ranks", "8"]].concat()), expected, "after {name}");
    }
}

#[test]
fn a_signal_to_one_rank_stops_all() {
    let site = Site::new();
    let child = site.start_until("out", &with(&["--iterations", "100000", "--ranks", "4"]), 9);
    send("-TERM", ranks_of(child.id())[3]);
    assert_eq!(end(child, Duration::from_secs(60)).status.code(), Some(143));
    assert_eq!(site.checkpoints("out").len(), 2, "saved");
}

#[test]
fn a_killed_rank_ends_all_within_seconds_and_is_named() {
    for victim in [0, 2] {
        let site = Site::new();
        let child = site.start_until("out", &with(&["--iterations", "100000", "--ranks", "4"]), 3);
        let ranks = ranks_of(child.id());
        assert_eq!(ranks.len(), 4);
        let begin = Instant::now();
        send("-KILL", ranks[victim]);
        let output = end(child, Duration::from_secs(30));
        println!("rank {victim} killed: all ended after {:?}", begin.elapsed());
        assert_eq!(output.status.code(), Some(1));
        all_end(&ranks, Duration::from_secs(1));
        let log = stderr(&output);
        let (named, seen) = (format!("rank {victim} ended with signal 9"), format!("rank {victim} is gone"));
        assert!(log.contains(&named) && log.contains(&seen), "{log}");
    }
}

#[test]
fn a_stopped_rank_ends_all_and_is_named_with_the_collective() {
    let site = Site::new();
    let child = site.start_until(
        "out",
        &with(&["--iterations", "100000", "--ranks", "2", "--set", "rank_timeout=2"]),
        3,
    );
    let ranks = ranks_of(child.id());
    let begin = Instant::now();
    send("-STOP", ranks[1]);
    let output = end(child, Duration::from_secs(40));
    println!("rank 1 stopped: all ended after {:?}", begin.elapsed());
    assert_eq!(output.status.code(), Some(1));
    all_end(&ranks, Duration::from_secs(1));
    let log = stderr(&output);
    assert!(log.contains("error: rank 0: rank 1 hangs: no sign of life for") && log.contains('`'), "{log}");
}

#[test]
fn a_missing_rank_is_named_to_those_that_came() {
    let site = Site::new();
    let port = free_port();
    let start = |rank: usize| {
        let mut command = site.command("out", &with(&["--set", "rank_timeout=2"]));
        launched(&mut command, [rank, 4], port).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    };
    for child in [start(0), start(2)] {
        let output = end(child, Duration::from_secs(30));
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains("ranks [1, 3] of 4 did not come"), "{}", stderr(&output));
    }
    assert!(!site.path("out").exists(), "nothing was begun");
    let lonely = end(start(1), Duration::from_secs(30));
    assert!(stderr(&lonely).contains("nobody answers at"), "{}", stderr(&lonely));
}

#[test]
fn foreign_and_double_ranks_are_refused_without_harm_to_the_others() {
    let site = Site::new();
    let expected = site.finish("one", &with(&[]));
    let port = free_port();
    let start = |rank: usize, token: &str| {
        let mut command = site.command("out", &with(&[]));
        command.env("TORCHELASTIC_RUN_ID", token);
        launched(&mut command, [rank, 2], port).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let first = start(0, "mine");
    let foreign = end(start(1, "other"), Duration::from_secs(30));
    assert!(
        stderr(&foreign).contains("it belongs to job `other`, this is job `mine`"),
        "{}",
        stderr(&foreign)
    );
    let double = end(start(0, "mine"), Duration::from_secs(30));
    assert!(stderr(&double).contains("another run may use this port"), "{}", stderr(&double));
    let second = start(1, "mine");
    for child in [first, second] {
        let output = end(child, Duration::from_secs(60));
        assert!(output.status.success(), "{}", stderr(&output));
    }
    assert_eq!(fs::read(site.path("out").join(ARTIFACT)).unwrap(), expected);
}

#[test]
fn a_rank_that_fails_at_its_start_tells_the_others_why() {
    let site = Site::new();
    let port = free_port();
    let start = |rank: usize, more: &[&str]| {
        let mut command = site.command("out", &with(more));
        launched(&mut command, [rank, 2], port).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let (sound, broken) = (start(0, &[]), start(1, &["--tokenizer", "absent.model", "--set", "vocab=64"]));
    let output = end(broken, Duration::from_secs(30));
    assert!(stderr(&output).contains("rank 1: cannot read `absent.model`"), "{}", stderr(&output));
    let output = end(sound, Duration::from_secs(30));
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("rank 0: rank 1 failed: cannot read `absent.model`"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn ranks_do_not_outlive_their_supervisor() {
    let site = Site::new();
    let mut child = site.start_until("out", &with(&["--iterations", "100000", "--ranks", "2"]), 3);
    let ranks = ranks_of(child.id());
    child.kill().unwrap();
    child.wait().unwrap();
    all_end(&ranks, Duration::from_secs(20));
}

#[test]
fn contradictions_of_the_environment_are_errors_before_anything_begins() {
    let site = Site::new();
    for (variables, more, message) in [
        (&[("RANK", "1")][..], &[][..], "`RANK` is set and `WORLD_SIZE` is not"),
        (
            &[("RANK", "4"), ("WORLD_SIZE", "4"), ("MASTER_ADDR", "127.0.0.1")],
            &[],
            "`RANK` is 4: expected less than",
        ),
        (
            &[("RANK", "0"), ("WORLD_SIZE", "2"), ("LOCAL_RANK", "0"), ("MASTER_ADDR", "127.0.0.1")],
            &["--gpus", "2"],
            "`--gpus 2` under torchrun, which started 2 ranks already",
        ),
    ] {
        let output = site.command("out", &with(more)).envs(variables.iter().copied()).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains(message), "{}", stderr(&output));
    }
    let three = site.run("out", &with(&["--ranks", "3"]));
    assert!(stderr(&three).contains("3 ranks cannot share the 8 micro-batches"), "{}", stderr(&three));
}
