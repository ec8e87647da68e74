//! `golf eval` on a GPU that is lost in the middle of a run.

mod small;

use serde_json::Value;
use small::{TEXT, artifact};
use std::fs;
use std::path::Path;
use std::process::Command;

/// The receipt of one run, and what it said on stderr.
fn receipt(folder: &Path, name: &str, more: &[&str]) -> (Value, String) {
    let path = folder.join(name);
    let mut command = Command::new(env!("CARGO_BIN_EXE_golf"));
    command.arg("eval").arg(folder.join("model.bin")).arg("--text").arg(folder.join("text.txt"));
    command.args(["--device", "wgpu", "--ttt", "score-first", "--ttt-chunk", "64", "--ttt-batch-rows", "2"]);
    command
        .arg("--receipt")
        .arg(&path)
        .arg("--per-token")
        .arg(folder.join(format!("{name}.jsonl")))
        .args(more);
    let output = command.output().expect("the command starts");
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{err}");
    (serde_json::from_slice(&fs::read(path).expect("a receipt was written")).expect("a receipt is JSON"), err)
}

#[test]
fn a_run_goes_on_from_the_last_committed_chunk_when_its_gpu_is_lost() {
    if pollster::block_on(golf_wgpu::adapters()).is_empty() {
        let required = std::env::var("REQUIRE_BACKENDS").unwrap_or_default();
        assert!(!required.contains("wgpu"), "backend `wgpu` is required but there is no adapter");
        eprintln!("skipped: no adapter to lose");
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    fs::write(folder.path().join("model.bin"), artifact()).expect("the artifact is written");
    fs::write(folder.path().join("text.txt"), TEXT.repeat(8)).expect("the text is written");
    let (expected, _) = receipt(folder.path(), "whole.json", &[]);
    let (got, said) = receipt(folder.path(), "lost.json", &["--lose-device-after", "2"]);
    assert!(said.contains("was lost") && said.contains("2 chunk(s) are committed"), "{said}");
    assert_eq!(got, expected);
    let lines = |name: &str| fs::read(folder.path().join(name)).expect("scores were written");
    assert_eq!(lines("lost.json.jsonl"), lines("whole.json.jsonl"));
    assert!(expected["chunks"].as_array().is_some_and(|chunks| chunks.len() > 3));
}
