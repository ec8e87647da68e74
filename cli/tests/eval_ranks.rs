//! `golf-eval` on several processes: the receipt of one, and what happens when a rank dies.
#![cfg(target_os = "linux")]

mod processes;
mod small;

use processes::{all_end, end, ranks_of, send};
use serde_json::Value;
use small::{TEXT, artifact};
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::Duration;

/// Test-time training whose steps have three micro-batches of four rows, two, and one for the last.
const TTT: [&str; 8] =
    ["--ttt", "score-first", "--ttt-chunk", "100", "--ttt-batch-rows", "5", "--batch-tokens", "32"];

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("model.bin"), artifact()).unwrap();
    fs::write(folder.path().join("text.txt"), TEXT.repeat(12)).unwrap();
    folder
}

fn command(folder: &Path, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_golf-eval"));
    command.current_dir(folder).env_clear().stdin(Stdio::null());
    command.args(["model.bin", "--text", "text.txt", "--device", "cpu", "--threads", "1"]).args(more);
    command
}

/// Receipt, scores of every target, and the report of a run to its end.
fn run(folder: &Path, more: &[&str]) -> (String, String, Value) {
    let files = ["--receipt", "receipt.json", "--per-token", "scores.jsonl", "--json"];
    let output = command(folder, &[&files[..], more].concat()).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
    (read("receipt.json"), read("scores.jsonl"), serde_json::from_slice(&output.stdout).unwrap())
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn any_number_of_processes_gives_the_receipt_and_the_scores_of_one() {
    let folder = folder();
    let sliding: &[&str] = &["--stride", "3", "--batch-tokens", "48"];
    let adamw = [&TTT[..], &["--ttt-optimizer", "adamw", "--compare"]].concat();
    let illegal = [&TTT[2..], &["--ttt", "train-then-score"]].concat();
    for more in [sliding, &TTT, &adamw, &illegal] {
        let (receipt, scores, report) = run(folder.path(), more);
        for ranks in ["2", "3"] {
            let (shared, same, again) = run(folder.path(), &[more, &["--ranks", ranks]].concat());
            assert!(shared == receipt && same == scores, "{ranks} ranks, {more:?}");
            for key in ["val_bpb", "bpb_without_ttt", "chunks"] {
                assert_eq!(again.get(key), report.get(key), "{key}");
            }
        }
    }
}

#[test]
fn a_run_of_two_ranks_goes_on_with_three() {
    let folder = folder();
    let (receipt, scores, _) = run(folder.path(), &TTT);
    let resumed =
        [&TTT[..], &["--resume", "state", "--receipt", "receipt.json", "--per-token", "scores.jsonl"]]
            .concat();
    let _old = fs::remove_file(folder.path().join("receipt.json"));
    let child = command(folder.path(), &[&resumed[..], &["--ranks", "2"]].concat())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    while !folder.path().join("state").exists() {
        thread::sleep(Duration::from_millis(1));
    }
    let ranks = ranks_of(child.id());
    send("-KILL", ranks[1]);
    let output = end(child, Duration::from_secs(30));
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("rank 1 ended with signal 9"), "{}", stderr(&output));
    all_end(&ranks, Duration::from_secs(1));
    assert!(!folder.path().join("receipt.json").exists(), "a run that ended badly has no receipt");
    let (again, same, report) =
        run(folder.path(), &[&TTT[..], &["--resume", "state", "--ranks", "3"]].concat());
    assert!(report["resumed_at_chunk"].as_u64() > Some(0), "{report}");
    assert!(again == receipt && same == scores);
}
