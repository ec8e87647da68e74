//! From training to a submission by the commands that people type, and what happens when something in it is not true.

use golf_core::data::corpus::{self, CorpusOptions};
use golf_core::data::{HeldOut, Separation};
use golf_core::tokenizer::Tokenizer;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const SEEDS: [&str; 3] = ["1", "2", "3"];

struct Site {
    folder: tempfile::TempDir,
}

fn model() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../core/src/tokenizer/testdata/dummy_bytes.model")
}

fn prose(seed: u64, documents: usize) -> String {
    const WORDS: [&str; 12] =
        ["the", "river", "stone", "and", "over", "slow", "under", "light", "café", "wind", "a", "of"];
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        WORDS[(state >> 33) as usize % WORDS.len()]
    };
    let mut document = || (0..30).map(|_| next()).collect::<Vec<_>>().join(" ");
    (0..documents).map(|_| document()).collect::<Vec<_>>().join("\n\n")
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

impl Site {
    fn new() -> Site {
        let site = Site { folder: tempfile::tempdir().expect("a temporary folder") };
        fs::create_dir(site.path("data")).expect("a writable folder");
        fs::write(site.path("train.txt"), prose(1, 60)).expect("a writable folder");
        fs::write(site.path("val.txt"), prose(2, 8)).expect("a writable folder");
        let tokenizer = fs::read(model()).expect("a file of the repository");
        let tokenizer = Tokenizer::from_sentencepiece(&tokenizer).expect("a sound tokenizer");
        let options = CorpusOptions {
            folder: site.path("data"),
            name: "t".to_owned(),
            separation: Separation::EmptyLine,
            held_out: HeldOut::Nothing,
            bos: tokenizer.bos().expect("a marker") as u16,
            vocab: tokenizer.len(),
            shard_tokens: 100_000,
            tokenizer: String::new(),
        };
        corpus::build(&[site.path("train.txt")], &options, |text| tokenizer.encode(text)).expect("a corpus");
        site
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs a binary with arguments in which `@name` is a file of this folder.
    fn run(&self, binary: &str, arguments: &str) -> Output {
        let file = |a: &str| match a.strip_prefix('@') {
            Some(name) => self.path(name).display().to_string(),
            None => a.replace('_', " "),
        };
        let mut command = Command::new(binary);
        command.args(arguments.split_whitespace().map(file)).env_clear();
        command.output().expect("the command starts")
    }

    fn golf(&self, arguments: &str) -> Output {
        self.run(env!("CARGO_BIN_EXE_golf"), arguments)
    }

    fn train(&self, seed: &str) {
        let flags = format!("--preset nano --device cpu --data @data --out @runs/{seed} --seed {seed}");
        let mut command = Command::new(env!("CARGO_BIN_EXE_golf-train"));
        let file = |a: &str| {
            a.strip_prefix('@').map_or_else(|| a.to_owned(), |n| self.path(n).display().to_string())
        };
        command.args(flags.split_whitespace().map(file)).arg("--tokenizer").arg(model()).env_clear();
        let output = command.output().expect("the command starts");
        assert!(output.status.success(), "{}", stderr(&output));
    }

    fn evaluate(&self, seed: &str) {
        let flags = format!(
            "@runs/{seed}/artifact.bin --text @val.txt --window 32 --ttt score-first --ttt-chunk 256 \
             --receipt @runs/{seed}/receipt.json --json --quiet"
        );
        let output = self.run(env!("CARGO_BIN_EXE_golf-eval"), &flags);
        assert!(output.status.success(), "{}", stderr(&output));
        fs::write(self.path(&format!("runs/{seed}/eval.json")), &output.stdout).expect("a writable folder");
    }
}

#[test]
fn a_run_of_three_seeds_becomes_a_submission_only_while_everything_in_it_holds() {
    let site = Site::new();
    for seed in SEEDS {
        site.train(seed);
        site.evaluate(seed);
    }
    let all = "--text @val.txt --train @train.txt --replay 2 --probe 8";
    let check = site.golf(&format!("check @runs {all}"));
    assert_eq!(check.status.code(), Some(0), "{}{}", stdout(&check), stderr(&check));
    assert!(stdout(&check).contains("bit-equal") && stdout(&check).contains("0 FAIL, 1 CANNOT TELL"));
    assert!(stdout(&check).contains("CANNOT TELL is not a pass"), "{}", stdout(&check));

    let stats = site.golf("stats @runs --baseline 99 --json");
    let report: Value = serde_json::from_slice(&stats.stdout).expect("one JSON object");
    assert_eq!((report["val_bpb"]["runs"].as_u64(), stats.status.code()), (Some(3), Some(0)));
    assert!(report["baseline"]["better"]["p"].as_f64().expect("a test") < 0.01, "{report}");

    let words = "--author A_Person --github-id a-person --name A_name --blurb What_it_does. --baseline 99";
    let submit = site.golf(&format!("submission @runs {all} {words}"));
    assert_eq!(submit.status.code(), Some(0), "{}{}", stdout(&submit), stderr(&submit));
    let json = fs::read(site.path("runs/submission.json")).expect("written");
    let json: Value = serde_json::from_slice(&json).expect("JSON");
    assert_eq!((&json["author"], &json["seeds"]), (&"A Person".into(), &serde_json::json!([1, 2, 3])));
    assert_eq!(json["val_bpb"], report["val_bpb"]["mean"]);
    let readme = fs::read_to_string(site.path("runs/README.md")).expect("written");
    assert!(readme.contains("| PASS") && readme.contains("same-config"), "{readme}");
    let check = site.golf(&format!("check @runs {all} --json"));
    let found: Value = serde_json::from_slice(&check.stdout).expect("one JSON object");
    assert_eq!((&found["fail"], &found["cannot_tell"]), (&0.into(), &0.into()), "{found}");

    // One evaluation took too long.
    let report = fs::read_to_string(site.path("runs/2/eval.json")).expect("a report");
    let mut slow: Value = serde_json::from_str(&report).expect("JSON");
    slow["seconds"] = 601.into();
    fs::write(site.path("runs/2/eval.json"), slow.to_string()).expect("a writable folder");
    let check = site.golf("check @runs");
    assert_eq!(check.status.code(), Some(3));
    let refused = site.golf(&format!("submission @runs {words} --out @elsewhere"));
    assert_eq!(refused.status.code(), Some(3), "{}", stdout(&refused));
    assert!(stderr(&refused).contains("FAIL eval-budget: 2: 601.0 s"), "{}", stderr(&refused));
    assert!(!site.path("elsewhere/submission.json").exists());
    // An edited receipt is not averaged either.
    let receipt = fs::read(site.path("runs/3/receipt.json")).expect("a receipt");
    let mut receipt: Value = serde_json::from_slice(&receipt).expect("JSON");
    receipt["totals"]["val_bpb"] = 0.5.into();
    fs::write(site.path("runs/3/receipt.json"), receipt.to_string()).expect("a writable folder");
    let stats = site.golf("stats @runs");
    assert_eq!(stats.status.code(), Some(3), "{}", stdout(&stats));
    assert!(stdout(&stats).contains("FAIL receipt: 3: "), "{}", stdout(&stats));
}

#[test]
fn an_audit_says_what_is_shared_and_exits_with_three() {
    let site = Site::new();
    let clean = site.golf("data audit @train.txt @val.txt");
    assert_eq!(clean.status.code(), Some(0), "{}{}", stdout(&clean), stderr(&clean));
    let same = site.golf("data audit @val.txt @val.txt --json --memory 1");
    assert_eq!(same.status.code(), Some(3));
    let report: Value = serde_json::from_slice(&same.stdout).expect("one JSON object");
    assert_eq!(report["overlap"]["documents_found"], 8);
    assert_eq!(report["ngram_share"], 1.0);
    // A folder of shards has a training side, and here no validation side.
    let missing = site.golf("data audit @data @data");
    assert_eq!(missing.status.code(), Some(1));
    assert!(stderr(&missing).contains("hint: "), "{}", stderr(&missing));
    let kinds = site.golf("data audit @data @val.txt");
    assert!(
        stderr(&kinds).contains("training data are tokens, validation data are words"),
        "{}",
        stderr(&kinds)
    );
}

#[test]
fn what_cannot_be_checked_is_said_with_the_way_out() {
    let site = Site::new();
    fs::create_dir(site.path("empty")).expect("a writable folder");
    let empty = site.golf("check @empty");
    assert_eq!(empty.status.code(), Some(1));
    assert!(
        stderr(&empty).contains("holds no run") && stderr(&empty).contains("hint: "),
        "{}",
        stderr(&empty)
    );
    let text = site.golf("check @val.txt");
    assert!(stderr(&text).contains("is no receipt"), "{}", stderr(&text));
    let stats = site.golf("stats @empty");
    assert_eq!(stats.status.code(), Some(1));
}
