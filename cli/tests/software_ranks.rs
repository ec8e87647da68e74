//! Ranks with a device each, on the software CUDA device: what they sum, through the hosts or by NCCL, and how a run ends whose
//! devices wait for each other in vain.
#![cfg(all(target_os = "linux", target_env = "gnu"))]

// What this file does not use of them, others do.
#[allow(dead_code)]
mod site;
#[allow(dead_code)]
mod software;

use site::{ARTIFACT, shard, stderr, tokens};
use software::{Training, counts, device, succeeded};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// With text enough for every micro-batch of two ranks.
fn training(device: &Path) -> Training<'_> {
    let training = Training::new(device);
    fs::write(training.site.path("data/t_train_000000.bin"), shard(&tokens(1, 3000))).unwrap();
    training
}

#[test]
fn two_ranks_on_two_devices_sum_through_the_hosts_and_give_the_bytes_of_one() {
    let Some(device) = device() else { return };
    let training = training(device);
    let more = ["--set", "train_batch_tokens=128", "--set", "micro_batch_rows=1"];
    let (expected, _) = training.finish("one", &more);
    let through_the_hosts = |out: &str, ranks: &[&str], collectives: &str, reason: &str| {
        let mut command = training.command(out, &[&more[..], ranks].concat());
        command.env("GOLF_SOFTWARE_CUDA_DEVICES", "2").env("GOLF_SOFTWARE_CUDA_COLLECTIVES", collectives);
        let said = stderr(&succeeded(&mut command));
        let warning = "warning: gradients are summed through the hosts";
        assert_eq!(said.matches(warning).count(), 1, "{said}");
        assert!(said.contains(reason), "{said}");
        assert_eq!(said.matches(" graphs\n").count(), 2, "both ranks work: {said}");
        assert_eq!(training.artifact(out), expected);
    };
    through_the_hosts("two", &["--gpus", "2"], "no", "libnccl.so.2");
    // NCCL does not connect a device with itself.
    through_the_hosts("shared", &["--ranks", "2", "--device", "cuda:1"], "yes", "ncclCommInitRank");
}

#[test]
fn two_ranks_on_two_devices_sum_on_the_devices_and_give_the_bytes_of_one() {
    let Some(device) = device() else { return };
    let training = training(device);
    // A micro-batch for each: then sums have the order of one rank, if the library's are in rank order.
    let more = ["--set", "train_batch_tokens=128", "--set", "micro_batch_rows=4"];
    let (expected, _) = training.finish("one", &more);
    let mut command = training.command("two", &[&more[..], &["--gpus", "2"]].concat());
    let said = stderr(&succeeded(command.env("GOLF_SOFTWARE_CUDA_DEVICES", "2")));
    assert!(!said.contains("through the hosts"), "{said}");
    assert_eq!(said.matches(" collectives\n").count(), 2, "both ranks use the library: {said}");
    assert_eq!(training.artifact("two"), expected);
}

/// A run on two devices whose ranks may be silent for two seconds.
fn two(training: &Training, out: &str) -> Command {
    let more = ["--set", "train_batch_tokens=128", "--set", "micro_batch_rows=4", "--gpus", "2"];
    let mut command = training.command(out, &[&more[..], &["--set", "rank_timeout=2"]].concat());
    command.env("GOLF_SOFTWARE_CUDA_DEVICES", "2");
    command
}

/// What is said by a run that ends because rank 1 does `how` in its fifth collective.
fn stalled(training: &Training, how: &str, collectives: &str) -> String {
    let out = format!("{collectives}-{how}");
    let mut command = two(training, &out);
    command.env("GOLF_SOFTWARE_CUDA_STALL", format!("1:5:{how}"));
    command.env("GOLF_SOFTWARE_CUDA_COLLECTIVES", collectives);
    let begin = Instant::now();
    let output = command.output().unwrap();
    let said = stderr(&output);
    println!("{out}: all ended after {:?}: {said}", begin.elapsed());
    assert_eq!(output.status.code(), Some(1), "{out}: {said}");
    assert!(said.contains("`gradient norm, step 1`"), "{out}: {said}");
    assert!(!training.site.path(&out).join(ARTIFACT).exists(), "{out}");
    said
}

#[test]
fn a_collective_that_hangs_on_the_devices_ends_all_ranks_and_is_named() {
    let Some(device) = device() else { return };
    let training = training(device);
    let cases = [
        ("fail", "rank 1 failed: NCCL: `gradient norm, step 1` on the devices: another rank is gone"),
        ("hang", "ranks [0, 1] are in it, and no rank is late"),
        ("stop", "rank 1 hangs: no sign of life for "),
        ("kill", "rank 1 ended with signal 9"),
    ];
    std::thread::scope(|scope| {
        for (how, seen) in cases {
            let training = &training;
            scope.spawn(move || {
                let said = stalled(training, how, "yes");
                assert!(said.contains(seen), "{how}: {said}");
            });
        }
    });
}

#[test]
fn a_device_that_computes_for_longer_than_a_rank_may_be_silent_is_waited_for() {
    let Some(device) = device() else { return };
    let training = training(device);
    let said = stderr(&succeeded(&mut two(&training, "fast")));
    let late = counts(&said)[0] * 3 / 4;
    let begin = Instant::now();
    succeeded(two(&training, "slow").env("GOLF_SOFTWARE_CUDA_SLOW", format!("1:{late}:5")));
    assert!(begin.elapsed() > Duration::from_secs(5));
    assert_eq!(training.artifact("slow"), training.artifact("fast"));
}

#[test]
fn an_nccl_that_cannot_be_aborted_is_used_and_told_once() {
    let Some(device) = device() else { return };
    let training = training(device);
    let mut old = two(&training, "out");
    let said = stderr(&succeeded(old.env("GOLF_SOFTWARE_CUDA_COLLECTIVES", "old")));
    assert_eq!(said.matches("warning: this NCCL has no `ncclCommAbort`").count(), 1, "{said}");
    assert!(!said.contains("through the hosts"), "{said}");
    let said = stalled(&training, "hang", "old");
    assert!(said.contains("are in it, and no rank is late"), "{said}");
}
