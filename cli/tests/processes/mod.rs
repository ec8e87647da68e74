//! Ranks as seen from outside: which processes they are, and how they end.

use std::fs;
use std::process::{Child, Command, Output};
use std::thread;
use std::time::{Duration, Instant};

/// Waits for the end of a process, which must come within `limit`.
pub fn end(mut child: Child, limit: Duration) -> Output {
    let begin = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if begin.elapsed() > limit {
            child.kill().unwrap();
            panic!(
                "still running after {limit:?}: {}",
                String::from_utf8_lossy(&child.wait_with_output().unwrap().stderr)
            );
        }
        thread::sleep(Duration::from_millis(20));
    }
    child.wait_with_output().unwrap()
}

/// The processes that `parent` started, in the order of their ranks.
pub fn ranks_of(parent: u32) -> Vec<u32> {
    let rank = |pid: u32| {
        let variables = fs::read(format!("/proc/{pid}/environ")).ok()?;
        let mut variables = variables.split(|b| *b == 0).map(String::from_utf8_lossy);
        variables.find_map(|v| v.strip_prefix("RANK=")?.parse::<usize>().ok())
    };
    let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap();
    let children = children.split_whitespace().map(|pid| pid.parse().unwrap());
    let mut found: Vec<(usize, u32)> = children.filter_map(|pid| Some((rank(pid)?, pid))).collect();
    found.sort_unstable();
    found.into_iter().map(|(_, pid)| pid).collect()
}

/// Sends a signal.
pub fn send(signal: &str, pid: u32) {
    assert!(Command::new("kill").args([signal, &pid.to_string()]).status().unwrap().success());
}

/// Whether a process runs: neither gone nor only waiting to be reaped.
fn runs(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')')
        .next()
        .is_some_and(|rest| !rest.trim_start().is_empty() && !rest.trim_start().starts_with('Z'))
}

/// Waits until all of `pids` have ended, which must be within `limit`.
pub fn all_end(pids: &[u32], limit: Duration) {
    let begin = Instant::now();
    while pids.iter().any(|&pid| runs(pid)) {
        assert!(
            begin.elapsed() < limit,
            "ranks go on: {:?}",
            pids.iter().filter(|&&p| runs(p)).collect::<Vec<_>>()
        );
        thread::sleep(Duration::from_millis(20));
    }
}
