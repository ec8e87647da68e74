//! `golf generate` as its users run it.

use serde_json::Value;
use std::process::{Command, Output};

const ARTIFACT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../www/public/models/first-run.bin");
const PROMPT: &str = "Fellow citizens";

fn generate(more: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_golf"));
    command.args(["generate", ARTIFACT, "--prompt", PROMPT, "--tokens", "8"]).args(more);
    command.output().expect("the command starts")
}

fn json(more: &[&str]) -> Value {
    let output = generate(&[&["--json"], more].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON on stdout")
}

#[test]
fn a_seed_decides_the_text_and_greedy_needs_none() {
    assert_eq!(json(&["--seed", "3"])["text"], json(&["--seed", "3"])["text"]);
    assert_ne!(json(&["--seed", "3"])["text"], json(&["--seed", "4"])["text"]);
    let greedy = |seed| json(&["--temperature", "0", "--seed", seed])["text"].clone();
    assert_eq!(greedy("3"), greedy("4"));
    assert_eq!(json(&[])["tokens"], 8);
}

#[test]
fn the_text_on_the_terminal_is_the_prompt_and_what_json_holds() {
    let shown = generate(&[]);
    let text = json(&[])["text"].as_str().expect("a text").to_owned();
    assert_eq!(String::from_utf8_lossy(&shown.stdout), format!("{PROMPT}{text}\n"));
}

#[test]
fn a_negative_temperature_is_refused() {
    let output = generate(&["--temperature=-1"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("temperature"));
}
