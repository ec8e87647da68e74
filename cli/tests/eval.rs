//! `golf import` and `golf-eval` as their users run them: published numbers, refusals, exit codes, kill and resume.

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

/// The shared fixtures, or `None` (said on stderr) where they are not there.
fn shared() -> Option<PathBuf> {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    let folder = std::env::var_os("GOLF_SHARED").map_or_else(beside, PathBuf::from);
    if folder.join("artifacts").is_dir() {
        return Some(folder);
    }
    eprintln!("skipped: no `artifacts` in `{}`; set GOLF_SHARED", folder.display());
    None
}

struct Place {
    shared: PathBuf,
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Option<Place> {
        Some(Place { shared: shared()?, folder: tempfile::tempdir().expect("a temporary folder") })
    }

    fn out(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn import(&self, artifact: &str, tokenizer: &str, out: &str, more: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_golf"))
            .arg("import")
            .arg(self.shared.join("artifacts").join(artifact))
            .arg("--tokenizer")
            .arg(self.shared.join("tokenizers").join(tokenizer))
            .arg("-o")
            .arg(self.out(out))
            .args(more)
            .output()
            .expect("the command starts")
    }

    fn official(&self, artifact: &str, out: &str) {
        let output = self.import(artifact, "fineweb_1024_official_rebuilt.model", out, &[]);
        assert!(output.status.success(), "{}", text(&output.stderr));
    }

    fn eval(&self, artifact: &str, more: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_golf-eval"));
        command.arg(self.out(artifact)).args(more);
        if !more.contains(&"--text") && !more.contains(&"--tokens") {
            command.arg("--text").arg(self.shared.join("text/wikitext2_valid.txt"));
        }
        command
    }

    fn json(&self, artifact: &str, more: &[&str]) -> Value {
        let output = self.eval(artifact, more).arg("--json").output().expect("the command starts");
        assert!(output.status.success(), "{}", text(&output.stderr));
        serde_json::from_slice(&output.stdout).expect("one JSON object")
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn bpb(report: &Value, expected: f64, limit: f64) {
    let got = report["val_bpb"].as_f64().expect("a number");
    assert!((got - expected).abs() <= limit, "expected {expected}, got {got}");
}

const SAM: &str = "SamTruss.final_model.int8.ptz";
const NOLAN: &str = "nolanvild.final_model.int8.ptz";

#[test]
fn an_imported_public_artifact_scores_what_its_author_s_loader_gives() {
    let Some(place) = Place::new() else { return };
    place.official(SAM, "sam.bin");
    let report = place.json("sam.bin", &["--window", "1024", "--windows", "16"]);
    bpb(&report, 2.634_753, 1e-5);
    assert_eq!((&report["tokens"], &report["bytes"]), (&Value::from(16_384), &Value::from(34_209)));
    assert_eq!((&report["windows"], &report["duplicates"]), (&Value::from(16), &Value::from(0)));
    assert_eq!(
        (&report["illegal"], &report["marks"]),
        (&Value::from(false), &Value::from(Vec::<Value>::new()))
    );
    assert!(report["raw_bytes"].as_u64() > report["bytes"].as_u64());
    assert!(report.get("chunks").is_none());
}

#[test]
fn the_tokenizer_that_circulates_under_the_official_name_is_refused_or_marked() {
    let Some(place) = Place::new() else { return };
    let refused = place.import(SAM, "fineweb_1024_bpe.model", "sam.bin", &[]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("hint: "), "{}", text(&refused.stderr));
    assert!(!place.out("sam.bin").exists());

    let forced = place.import(SAM, "fineweb_1024_bpe.model", "sam.bin", &["--force-tokenizer"]);
    assert!(forced.status.success(), "{}", text(&forced.stderr));
    let report = place.json("sam.bin", &["--window", "256", "--windows", "2", "--allow-lossy-tokenizer"]);
    let marks = report["marks"].as_array().expect("marks");
    assert!(marks.iter().any(|m| m.as_str().is_some_and(|m| m.starts_with("forced tokenizer"))), "{marks:?}");
    assert!(!report["warnings"].as_array().expect("worse than uniform").is_empty());
}

#[test]
fn another_tokenizer_than_the_artifact_s_is_refused_with_both_identities() {
    let Some(place) = Place::new() else { return };
    place.official(NOLAN, "n.bin");
    let other = place.shared.join("tokenizers/fineweb_1024_bpe.model");
    let output =
        place.eval("n.bin", &["--windows", "1"]).arg("--tokenizer").arg(other).output().expect("starts");
    assert_eq!(output.status.code(), Some(1));
    let message = text(&output.stderr);
    assert!(message.contains("expected identity 79b7f32d") && message.contains("hint: "), "{message}");
}

#[test]
fn bad_input_is_named_with_its_place_and_the_right_exit_code() {
    let Some(place) = Place::new() else { return };
    place.official(NOLAN, "n.bin");
    let file = |name: &str, bytes: &[u8]| {
        std::fs::write(place.out(name), bytes).expect("a writable folder");
        place.out(name).to_string_lossy().into_owned()
    };
    let run = |more: &[&str]| {
        let output = place.eval("n.bin", more).output().expect("starts");
        (output.status.code(), text(&output.stderr))
    };
    let bad = file("bad.txt", b"fine until here \xff and on");
    let (code, message) = run(&["--text", &bad]);
    assert_eq!(code, Some(1));
    assert!(message.contains("byte 0xff at offset 16"), "{message}");
    let short = file("short.txt", b"a few words");
    let (code, message) = run(&["--text", &short, "--targets", "5000"]);
    assert_eq!(code, Some(1));
    assert!(message.contains("expected at least 5000 targets"), "{message}");
    let empty = file("empty.txt", b"");
    let (code, message) = run(&["--text", &empty]);
    assert_eq!(code, Some(1));
    assert!(message.contains("expected at least 1 target"), "{message}");
    let (code, _) = run(&["--text", &short, "--tokens", &short]);
    assert_eq!(code, Some(2));
    let (code, _) = run(&["--text", &short, "--window", "0"]);
    assert_eq!(code, Some(2));
    let (code, message) = run(&["--text", &short, "--ttt", "train-then-score", "--resume", "x"]);
    assert_eq!(code, Some(2), "{message}");
}

#[test]
fn a_tokenizer_that_drops_bytes_stops_the_run_unless_it_is_allowed_and_marked() {
    let Some(place) = Place::new() else { return };
    let forced = place.import(NOLAN, "fineweb_1024_bpe.model", "n.bin", &["--force-tokenizer"]);
    assert!(forced.status.success(), "{}", text(&forced.stderr));
    let path = place.out("snow.txt");
    std::fs::write(&path, "some words and then a \u{2603} that it does not know").expect("a writable folder");
    let path = path.to_string_lossy();
    let output = place.eval("n.bin", &["--text", &path]).output().expect("starts");
    assert_eq!(output.status.code(), Some(3));
    assert!(text(&output.stderr).contains("at byte 22 of the text"), "{}", text(&output.stderr));
    let report = place.json("n.bin", &["--text", &path, "--allow-lossy-tokenizer"]);
    assert!(report["marks"].to_string().contains("lossy tokenizer"));
}

#[test]
fn train_then_score_is_marked_wherever_it_shows() {
    let Some(place) = Place::new() else { return };
    place.official(NOLAN, "n.bin");
    let receipt = place.out("receipt.json");
    let flags = ["--window", "128", "--windows", "4", "--ttt", "train-then-score", "--ttt-epochs", "2"];
    let output = place.eval("n.bin", &flags).arg("--receipt").arg(&receipt).output().expect("starts");
    assert!(text(&output.stdout).starts_with("MARKED illegal: train-then-score"), "{}", text(&output.stdout));
    let receipt: Value = serde_json::from_slice(&std::fs::read(receipt).expect("written")).expect("JSON");
    assert_eq!(receipt["run"]["marks"]["illegal"], "train-then-score");
    let report = place.json("n.bin", &flags);
    assert_eq!(report["illegal"], Value::from(true));
}

fn wait_for(path: &Path, child: &mut std::process::Child) {
    let started = Instant::now();
    while !path.exists() && child.try_wait().expect("a child").is_none() {
        assert!(started.elapsed() < Duration::from_secs(120), "no state after two minutes");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_killed_and_resumed_evaluation_has_the_receipt_of_an_uninterrupted_one() {
    let Some(place) = Place::new() else { return };
    place.official(NOLAN, "n.bin");
    let flags = "--window 128 --windows 48 --ttt score-first --ttt-chunk 512 --ttt-optimizer adamw --quiet";
    let flags: Vec<&str> = flags.split(' ').collect();
    let run = |name: &str, state: Option<&Path>| {
        let mut command = place.eval("n.bin", &flags);
        command.arg("--receipt").arg(place.out(&format!("{name}.json")));
        command.arg("--per-token").arg(place.out(&format!("{name}.jsonl")));
        state.map(|state| command.arg("--resume").arg(state));
        command
    };
    assert!(run("whole", None).output().expect("starts").status.success());
    let state = place.out("state");
    let mut child = run("parts", Some(&state)).stdout(std::process::Stdio::null()).spawn().expect("starts");
    wait_for(&state, &mut child);
    child.kill().expect("a child");
    child.wait().expect("a child");
    assert!(!place.out("parts.json").exists(), "it was killed before its end");
    assert!(run("parts", Some(&state)).output().expect("starts").status.success());
    for kind in ["json", "jsonl"] {
        let read = |name: &str| std::fs::read(place.out(&format!("{name}.{kind}"))).expect("written");
        assert!(read("whole") == read("parts"), "{kind} differs");
    }
}
