//! Commands in pipelines: whoever reads may leave early.
#![cfg(unix)]

use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};

const SIGPIPE: i32 = 13;
const GOLF: &str = env!("CARGO_BIN_EXE_golf");

/// A small model of the first run, with its tokenizer.
const ARTIFACT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../www/public/models/first-run.bin");

/// Runs a command whose reader has left before it prints.
fn ends_like_a_unix_tool(program: &str, args: &[&str]) {
    let (reader, writer) = std::io::pipe().expect("the system gives a pipe");
    drop(reader);
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null()).stdout(writer).stderr(Stdio::piped());
    let output = command.output().expect("the command starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.signal(), Some(SIGPIPE), "{program}: {said}");
    assert!(said.is_empty(), "{program}: {said}");
}

#[test]
fn a_closed_pipe_ends_every_program_without_a_panic() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let text = folder.path().join("text.txt");
    std::fs::write(&text, "the state of the Union").expect("the folder takes a file");
    let text = text.to_str().expect("the path is UTF-8");
    ends_like_a_unix_tool(GOLF, &["inspect", ARTIFACT]);
    ends_like_a_unix_tool(GOLF, &["generate", ARTIFACT, "--tokens", "2"]);
    ends_like_a_unix_tool(env!("CARGO_BIN_EXE_golf-eval"), &[ARTIFACT, "--text", text, "--quiet"]);
    ends_like_a_unix_tool(env!("CARGO_BIN_EXE_golf-train"), &["--preset", "baseline", "--print-config"]);
}
