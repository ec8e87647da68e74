//! What scripts rely on: completions, exit codes, memory that is known before a run, kernels compiled ahead.

use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output};

fn golf(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_golf")).args(arguments).output().expect("the command starts")
}

fn json(arguments: &[&str]) -> Value {
    let output = golf(arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("one JSON object")
}

#[test]
fn every_program_has_completions_for_every_shell() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        for (program, flag) in [("golf", "selftest"), ("golf-train", "precision"), ("golf-eval", "ttt-chunk")]
        {
            let output = golf(&["completions", shell, "--program", program]);
            let text = String::from_utf8(output.stdout).expect("a script");
            assert!(output.status.success() && text.contains(flag), "{shell} {program}");
        }
    }
}

#[test]
fn the_memory_of_a_training_run_is_known_without_a_gpu() {
    let peak = |more: &[&str]| {
        let arguments = [&["plan", "show", "--device", "cuda", "--preset", "pr549", "--json"], more].concat();
        json(&arguments)
    };
    let told = peak(&[]);
    // One of eight GPUs: 786,432 tokens a step.
    assert_eq!([&told["rows"], &told["window"]], [48, 2048]);
    let of = |told: &Value| told["peak_bytes"].as_u64().expect("bytes");
    let plans = told["plans"].as_object().expect("plans");
    let sum: u64 = plans.values().map(|bytes| bytes.as_u64().expect("bytes")).sum();
    let states = told["states"].as_u64().expect("bytes");
    assert!(of(&told) < states + sum, "two plans of gradients are never there at once");
    assert!(of(&told) < 80_000_000_000, "it fits the GPU that it is meant for");
    assert!(of(&peak(&["--rows", "24"])) < of(&told) * 6 / 10);

    let text = String::from_utf8(golf(&["plan", "show", "--device", "cuda", "--preset", "pr549"]).stdout)
        .expect("text");
    assert!(text.contains(&format!("peak {} bytes", of(&told))), "{text}");
}

#[test]
fn a_plan_is_told_as_json_with_its_steps_and_its_memory() {
    let told = json(&["plan", "show", "nano", "--json"]);
    let steps = told["steps"].as_array().expect("steps");
    let flops: u64 = steps.iter().map(|step| step["flops"].as_u64().expect("a count")).sum();
    assert_eq!(told["flops"].as_u64(), Some(flops));
    assert!(told["memory"]["total"].as_u64() > told["memory"]["states"].as_u64());
    let told = json(&["plan", "diff", "nano", "--window", "16", "--device", "cpu", "--json"]);
    assert_eq!((told["ok"].as_bool(), told["steps"].as_u64()), (Some(true), Some(steps.len() as u64)));
}

/// Where there is a compiler, fills a folder, which later runs of this test find; elsewhere says so.
#[test]
fn kernels_compiled_ahead_are_found_and_not_compiled_again() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("kernels");
    let out = folder.to_str().expect("a name");
    let arguments = ["kernels", "--arch", "sm_90", "--out", out, "-o", "json"];
    let filled = golf(&arguments);
    let told = String::from_utf8_lossy(&filled.stderr);
    if told.contains("NVRTC (`libnvrtc`) was not found") && std::env::var_os("REQUIRE_NVRTC").is_none() {
        println!("SKIPPED kernels_compiled_ahead_are_found_and_not_compiled_again: {told}");
        return;
    }
    assert!(filled.status.success(), "{told}");
    let filled: Value = serde_json::from_slice(&filled.stdout).expect("one JSON object");
    let count = |told: &Value, key: &str| told[key].as_u64().expect("a count");
    let files = filled["files"].as_array().expect("files");
    assert_eq!(count(&filled, "compiled") + count(&filled, "there"), files.len() as u64);
    for file in files {
        let stored = folder.join(file["name"].as_str().expect("a name"));
        assert_eq!(stored.metadata().expect("it was made").len(), count(file, "bytes"), "{file}");
    }

    // What is lost is made again, and nothing else.
    let lost = &files[0]["name"];
    std::fs::remove_file(folder.join(lost.as_str().expect("a name"))).expect("it was there");
    let again = json(&arguments);
    assert_eq!([count(&again, "compiled"), count(&again, "there")], [1, files.len() as u64 - 1]);
    let made: Vec<&Value> =
        again["files"].as_array().expect("files").iter().filter(|f| !f["seconds"].is_null()).collect();
    assert_eq!(made.len(), 1);
    assert!(
        made[0]["name"] == *lost && count(made[0], "registers") > 0 && count(made[0], "spill_bytes") == 0
    );

    // A machine without a compiler.
    let empty = tempfile::tempdir().expect("a folder");
    let elsewhere = |arguments: &[&str]| -> Value {
        let mut command = Command::new(env!("CARGO_BIN_EXE_golf"));
        command.args(arguments).env("XDG_CACHE_HOME", empty.path()).env("GOLF_KERNELS", out);
        let output = command.env_remove("GOLF_NVRTC").env_remove("CUDA_PATH").output().expect("it starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).expect("one JSON object")
    };
    let there = elsewhere(&arguments);
    assert_eq!([count(&there, "compiled"), count(&there, "there")], [0, files.len() as u64]);
    assert!(there["nvrtc"].is_null(), "nobody asked for the compiler");
    let cuda = &elsewhere(&["doctor", "--json"])["cuda"];
    assert_eq!(cuda["kernel_folders"][0], out);
    let of_hopper = cuda["kernels"].as_array().expect("rows").iter().find(|row| row["arch"] == "sm_90");
    // A machine with a GPU of another architecture tells of that one only.
    if let Some(row) = of_hopper {
        assert_eq!([count(row, "compiled"), count(row, "files")], [files.len() as u64; 2]);
    }
}
