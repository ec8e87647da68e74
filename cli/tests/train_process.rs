//! `golf-train` as a process: killed, interrupted, on a full disk, with damaged files and bad input.
//!
//! The runs are the `nano` preset, most on the oracle: no wall clock decides what they compute, so two runs of the same settings
//! must write the same artifact, byte for byte, whatever happens to the process in between.

mod site;

use site::{ARTIFACT, Site, names_in, shard, signal, stderr, tokens};
use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

#[test]
fn twenty_kills_at_random_points_do_not_change_a_byte_of_the_artifact() {
    let site = Site::new();
    let begin = Instant::now();
    // On the backend that people use, with as many threads as it likes.
    let cpu = ["--device", "cpu"];
    let expected = site.finish("whole", &cpu);
    let whole = begin.elapsed();
    let mut entropy = std::collections::hash_map::RandomState::new();
    let (mut kills, mut runs) = (0, 0);
    while kills < 20 {
        let out = format!("killed{runs}");
        let mut child = site.command(&out, &cpu).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(whole.mul_f64(random(&mut entropy)));
        if child.try_wait().unwrap().is_none() {
            child.kill().unwrap();
            kills += 1;
        }
        // A killed run is started again, and may be killed again; a finished one makes way for the next.
        if child.wait().unwrap().success() {
            runs += 1;
        }
    }
    for run in 0..=runs {
        let out = format!("killed{run}");
        assert_eq!(site.finish(&out, &cpu), expected, "run {run} after {kills} kills");
        let left: Vec<String> =
            names_in(&site.path(&out)).into_iter().filter(|n| n.starts_with(".partial")).collect();
        assert!(left.is_empty(), "half-written files stay: {left:?}");
        let events = fs::read_to_string(site.path(&out).join("metrics.jsonl")).unwrap();
        for line in events.lines() {
            let event: serde_json::Value = serde_json::from_str(line).expect("every line is whole");
            assert_eq!(event["schema_version"], 1);
        }
    }
    println!("{kills} kills in {} runs of {whole:?} each", runs + 1);
}

/// A number in [0, 1) that differs from run to run of the test.
fn random(state: &mut std::collections::hash_map::RandomState) -> f64 {
    use std::hash::BuildHasher;
    *state = std::collections::hash_map::RandomState::new();
    (state.hash_one(0u64) >> 11) as f64 / (1u64 << 53) as f64
}

#[test]
fn a_signal_saves_and_exits_with_its_number_and_the_run_goes_on_where_it_was() {
    let site = Site::new();
    let long = ["--iterations", "60"];
    let expected = site.finish("whole", &long);
    for (name, code, step) in [("-TERM", 143, 4), ("-INT", 130, 7)] {
        let mut child = site.start_until("out", &["--iterations", "60", "--checkpoint-every", "never"], step);
        signal(&child, name);
        assert_eq!(child.wait().unwrap().code(), Some(code));
        assert_eq!(site.checkpoints("out").len(), 1, "saved once");
        assert!(!site.path("out").join(ARTIFACT).exists(), "not finished");
        // Log lines end with step 10, so the signal came long before the last of 60 steps.
        // The next process must begin after what this one saved.
        let events = fs::read_to_string(site.path("out/metrics.jsonl")).unwrap();
        assert!(events.lines().last().unwrap().contains("\"event\":\"interrupted\""), "{name}");
        fs::rename(site.path("out"), site.path(name)).unwrap();
        assert_eq!(site.finish(name, &long), expected, "after {name}");
    }
}

#[test]
fn a_damaged_newest_checkpoint_gives_way_to_the_one_before() {
    let site = Site::new();
    let expected = site.finish("out", &[]);
    assert_eq!(
        site.checkpoints("out"),
        ["checkpoint-00000027.safetensors", "checkpoint-00000030.safetensors"]
    );
    let newest = site.path("out/checkpoint-00000030.safetensors");
    let sound = fs::read(&newest).unwrap();
    let mut flipped = sound.clone();
    flipped[sound.len() / 2] ^= 1;
    for damaged in [&flipped[..], &sound[..sound.len() / 2], b""] {
        fs::write(&newest, damaged).unwrap();
        fs::remove_file(site.path("out").join(ARTIFACT)).unwrap();
        let output = site.run("out", &[]);
        assert!(output.status.success(), "{}", stderr(&output));
        assert!(stderr(&output).contains("trying an older checkpoint"), "{}", stderr(&output));
        assert!(String::from_utf8_lossy(&output.stdout).contains("resumed: step:27"));
        assert_eq!(fs::read(site.path("out").join(ARTIFACT)).unwrap(), expected);
    }
}

#[test]
fn another_configuration_or_other_shards_are_not_resumed() {
    let site = Site::new();
    site.finish("out", &[]);
    let other = site.run("out", &["--seed", "7"]);
    assert_eq!(other.status.code(), Some(1));
    assert!(stderr(&other).contains("another configuration"), "{}", stderr(&other));
    let fresh = site.run("out", &["--resume", "off"]);
    assert!(stderr(&fresh).contains("holds checkpoints already"), "{}", stderr(&fresh));
    fs::write(site.path("data/t_train_000001.bin"), shard(&tokens(2, 701))).unwrap();
    let moved = site.run("out", &[]);
    assert!(stderr(&moved).contains("other training shards"), "{}", stderr(&moved));
}

#[test]
fn a_full_disk_keeps_the_older_checkpoint_and_the_run() {
    let site = Site::new();
    let mountable = Command::new("unshare").args(["--mount", "true"]).status().is_ok_and(|s| s.success());
    if !mountable {
        println!("skipped: no mount namespaces here, so no small disk; see the file-size test");
        return;
    }
    let expected = site.finish("whole", &[]);
    fs::create_dir(site.path("disk")).unwrap();
    fs::create_dir(site.path("kept")).unwrap();
    // A checkpoint has about 450 kB: one fits beside the rest, two do not.
    let script = "mount -t tmpfs -o size=700k tmpfs \"$DISK\" && \"$@\"; code=$?; cp \"$DISK\"/* \"$KEPT\"; exit $code";
    let output = Command::new("unshare")
        .args(["--mount", "sh", "-c", script, "sh", env!("CARGO_BIN_EXE_golf-train")])
        .args(site.arguments("disk", &[]))
        .env("DISK", site.path("disk"))
        .env("KEPT", site.path("kept"))
        .output()
        .unwrap();
    let log = stderr(&output);
    if log.contains("mount:") {
        println!("skipped: a small disk cannot be mounted here: {log}");
        return;
    }
    assert!(output.status.success(), "{log}");
    assert!(log.contains("no checkpoint, the older one stays") && log.contains("No space left"), "{log}");
    assert_eq!(site.checkpoints("kept"), ["checkpoint-00000003.safetensors"]);
    assert_eq!(fs::read(site.path("kept").join(ARTIFACT)).unwrap(), expected);
    fs::remove_file(site.path("kept").join(ARTIFACT)).unwrap();
    assert_eq!(site.finish("kept", &[]), expected, "from the checkpoint that stayed");
}

#[cfg(unix)]
#[test]
fn a_checkpoint_that_cannot_grow_to_its_size_harms_nothing() {
    let site = Site::new();
    let expected = site.finish("whole", &[]);
    let script = "ulimit -f 200; trap '' XFSZ; exec \"$@\"";
    let output = Command::new("bash")
        .args(["-c", script, "bash", env!("CARGO_BIN_EXE_golf-train")])
        .args(site.arguments("out", &[]))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).contains("no checkpoint, the older one stays"), "{}", stderr(&output));
    assert_eq!(site.checkpoints("out"), Vec::<String>::new());
    assert_eq!(fs::read(site.path("out").join(ARTIFACT)).unwrap(), expected);
}

#[test]
fn a_diverging_run_names_the_step_and_the_tensor() {
    let site = Site::new();
    let output = site.run("out", &["--set", "matrix_lr=1e300", "--set", "scalar_lr=1e300"]);
    assert_eq!(output.status.code(), Some(1));
    let log = stderr(&output);
    assert!(
        log.starts_with("error: step ")
            && log.contains("the first non-finite tensor is")
            && log.contains('`'),
        "{log}"
    );
    assert!(!site.path("out").join(ARTIFACT).exists());
}

#[test]
fn bad_shards_stop_a_run_before_it_begins() {
    let broken = |name: &str, bytes: Vec<u8>, expected: &str| {
        let site = Site::new();
        fs::write(site.path("data").join(name), bytes).unwrap();
        let output = site.run("out", &[]);
        assert_eq!(output.status.code(), Some(1));
        let log = stderr(&output);
        assert!(log.contains(expected) && log.contains(name), "{log}");
        assert!(!site.path("out").exists(), "nothing was begun");
    };
    let whole = shard(&tokens(2, 700));
    broken("t_train_000001.bin", Vec::new(), "is empty");
    broken("t_train_000001.bin", whole[..whole.len() - 2].to_vec(), "truncated");
    let mut ids = tokens(2, 700);
    ids[123] = 64;
    broken(
        "t_train_000001.bin",
        shard(&ids),
        "token 123 (offset 1270) is 64: expected less than the vocabulary of 64",
    );
    broken("t_val_000000.bin", shard(&ids), "token 123");
}

#[test]
fn flags_beat_the_environment_which_beats_the_file() {
    let site = Site::new();
    fs::write(site.path("run.toml"), "[recipe]\niterations = 7\nseed = 8\nmatrix_lr = 0.5\n").unwrap();
    let file = site.path("run.toml").display().to_string();
    let output = site
        .command("out", &["--config", &file, "--seed", "9", "--print-config"])
        .env("SEED", "10")
        .env("ITERATIONS", "500")
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    for line in [
        "seed = 9  (flag --seed)",
        "iterations = 500  (env ITERATIONS)",
        &format!("matrix_lr = 0.5  (file {file})"),
    ] {
        assert!(printed.lines().any(|l| l == line), "`{line}` in:\n{printed}");
    }
    assert!(printed.contains("config hash: "));
    let unknown = site.run("out", &["--set", "iteration=5"]);
    assert!(stderr(&unknown).contains("did you mean `iterations`?"), "{}", stderr(&unknown));
    assert!(!site.path("out").exists());
}

#[test]
fn two_processes_do_not_train_in_one_folder() {
    let site = Site::new();
    let mut child = site.start_until("out", &["--iterations", "100000"], 2);
    let second = site.run("out", &["--iterations", "100000"]);
    assert!(stderr(&second).contains("another process"), "{}", stderr(&second));
    signal(&child, "-TERM");
    let begin = Instant::now();
    assert_eq!(child.wait().unwrap().code(), Some(143));
    assert!(begin.elapsed() < Duration::from_secs(20), "the step in flight ends soon");
}
