//! From texts to shards to a model and back: `golf data`, and `golf verify` on everything that a run writes.

use golf_core::artifact::{Artifact, Limits};
use golf_core::tokenizer::{Tokenizer, train_bpe};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const ARTICLE: &str =
    "The first address of the president speaks of peace. The people of the states are many.";

fn document(number: usize) -> String {
    format!(
        "{ARTICLE} It is the address number {number} of the president to the people of the states: \u{e9}\u{4e16}."
    )
}

/// The text of twelve documents, an empty line apart.
fn text() -> String {
    (0..12).map(document).collect::<Vec<_>>().join("\n\n")
}

fn golf(arguments: &[&str], paths: &[&Path]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_golf")).args(arguments).args(paths).output().expect("the command starts")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned()
}

/// A folder of one test.
struct Site(tempfile::TempDir);

impl Site {
    fn new() -> Site {
        Site(tempfile::tempdir().expect("a folder"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

/// `golf-train` of the smallest preset; what it says.
fn train(data: &Path, out: &Path, more: &[&str]) -> Output {
    let mut train = Command::new(env!("CARGO_BIN_EXE_golf-train"));
    train
        .args(["--preset", "nano", "--quiet"])
        .args(more)
        .arg("--data")
        .arg(data)
        .arg("--out")
        .arg(out)
        .env_clear();
    train.output().expect("the command starts")
}

/// An artifact with a tokenizer that was learned from [`text`].
fn with_tokenizer(site: &Site, name: &str) -> Tokenizer {
    let (data, out) = (site.path("data"), site.path("first"));
    fs::create_dir(&data).expect("a fresh folder");
    let tokens: Vec<u16> = (0..1500u32).map(|i| (i * i / 7 % 64) as u16).collect();
    golf_core::data::shard::write(&data.join("t_train_000000.bin"), &tokens).expect("a shard");
    let output = train(&data, &out, &["--iterations", "1", "--set", "vocab=512"]);
    assert!(output.status.success(), "{}", said(&output));
    let bytes = fs::read(out.join("artifact.bin")).expect("what the run wrote");
    let tokenizer = train_bpe([text().as_str()], 340).expect("a text to learn from");
    let mut artifact = Artifact::decode(&bytes, &Limits::default()).expect("what a run wrote");
    artifact.tokenizer = Some(tokenizer.to_compact());
    artifact.tokenizer_identity = Some(tokenizer.identity());
    fs::write(site.path(name), artifact.encode().expect("a sound artifact")).expect("a writable folder");
    tokenizer
}

/// Shards of [`text`] in `shards`, made with the tokenizer in `model.bin`; the manifest.
fn tokenized(site: &Site) -> Value {
    fs::write(site.path("a.txt"), text()).expect("a writable folder");
    let arguments = ["data", "tokenize", "--json", "--held-out", "first:2", "--tokenizer"];
    let (model, out) = (site.path("model.bin"), site.path("shards"));
    let output = golf(&arguments, &[&model, Path::new("--out"), &out, &site.path("a.txt")]);
    assert!(output.status.success(), "{}", said(&output));
    serde_json::from_slice(&output.stdout).expect("the manifest")
}

#[test]
fn texts_become_shards_that_a_run_learns_from_and_that_decode_to_the_texts() {
    let site = Site::new();
    let tokenizer = with_tokenizer(&site, "model.bin");
    let manifest = tokenized(&site);
    assert_eq!([&manifest["train"]["documents"], &manifest["val"]["documents"]], [10, 2]);
    assert_eq!(manifest["tokenizer"], Value::from(golf_core::digest::hex(&tokenizer.identity())));

    let shard = fs::read(site.path("shards/text_val_000000.bin")).expect("the held-out shard");
    let ids: Vec<u32> =
        shard[1024..].chunks_exact(2).map(|pair| u32::from(u16::from_le_bytes([pair[0], pair[1]]))).collect();
    let bos = tokenizer.bos().expect("a trained tokenizer has one");
    let documents: Vec<&[u32]> = ids.split(|id| *id == bos).skip(1).collect();
    let decoded = documents.iter().map(|ids| tokenizer.decode(ids).expect("its own ids"));
    assert_eq!(decoded.collect::<Vec<_>>(), [document(0), document(1)]);

    let (shards, model, out) = (site.path("shards"), site.path("model.bin"), site.path("run"));
    let output = train(&shards, &out, &["--iterations", "2", "--tokenizer", &model.display().to_string()]);
    assert!(output.status.success(), "{}", said(&output));
    let artifact = fs::read(out.join("artifact.bin")).expect("what the run wrote");
    let artifact = Artifact::decode(&artifact, &Limits::default()).expect("sound");
    assert_eq!(artifact.tokenizer_identity, Some(tokenizer.identity()));

    let again = golf(
        &["data", "tokenize", "--tokenizer"],
        &[&model, Path::new("--out"), &shards, &site.path("a.txt")],
    );
    assert_eq!(again.status.code(), Some(1));
    assert!(said(&again).contains("is already there"), "{}", said(&again));
}

#[test]
fn a_damaged_shard_is_named_and_fails_the_check() {
    let site = Site::new();
    with_tokenizer(&site, "model.bin");
    tokenized(&site);
    let shards = site.path("shards");
    let whole = golf(&["data", "verify"], &[&shards]);
    assert_eq!(whole.status.code(), Some(0), "{}", said(&whole));
    assert!(said(&whole).contains("manifest, 2 shards"), "{}", said(&whole));

    let path = shards.join("text_train_000000.bin");
    let sound = fs::read(&path).expect("a shard");
    let mut bytes = sound.clone();
    bytes[1024 + 20] ^= 1;
    fs::write(&path, &bytes).expect("a writable folder");
    let damaged = golf(&["data", "verify", "--json"], &[&shards]);
    assert_eq!(damaged.status.code(), Some(3));
    assert!(said(&damaged).contains("text_train_000000.bin`: expected SHA-256"), "{}", said(&damaged));

    fs::write(&path, &sound[..sound.len() - 3]).expect("a writable folder");
    let cut = golf(&["data", "verify"], &[&shards]);
    assert_eq!(cut.status.code(), Some(3), "{}", said(&cut));

    // Without a manifest: the header, and ids where a vocabulary is named.
    let bare = site.path("data/t_train_000000.bin");
    for (vocab, code) in [("64", 0), ("3", 3)] {
        let output = golf(&["data", "verify", "--vocab", vocab], &[&bare]);
        assert_eq!(output.status.code(), Some(code), "{}", said(&output));
    }
}

#[test]
fn what_a_run_and_an_evaluation_write_is_whole_and_any_change_shows() {
    let site = Site::new();
    with_tokenizer(&site, "model.bin");
    fs::write(site.path("a.txt"), text()).expect("a writable folder");
    let receipt = site.path("receipt.json");
    let (model, texts) = (site.path("model.bin"), site.path("a.txt"));
    let flags = ["eval", "--quiet", "--window", "64", "--receipt"];
    let output = golf(&flags, &[&receipt, Path::new("--text"), &texts, &model]);
    assert!(output.status.success(), "{}", said(&output));
    let checkpoint = fs::read_dir(site.path("first"))
        .expect("the run's folder")
        .map(|entry| entry.expect("an entry").path());
    let checkpoint = checkpoint.filter(|path| path.extension().is_some_and(|e| e == "safetensors")).max();
    let files = [model, receipt, checkpoint.expect("a checkpoint")];

    let whole = golf(&["verify"], &files.each_ref().map(|path| path.as_path()));
    assert_eq!(whole.status.code(), Some(0), "{}", said(&whole));
    for kind in ["artifact, ", "receipt, ", "checkpoint, "] {
        assert!(said(&whole).contains(kind), "{}", said(&whole));
    }
    for path in &files {
        let sound = fs::read(path).expect("a file");
        let mut bytes = sound.clone();
        // A digit of a receipt's first chunk; anywhere else in the others.
        let digit = String::from_utf8_lossy(&sound).find("\"nll\": ").map(|at| at + 7);
        let at = if path.extension().is_some_and(|e| e == "json") {
            digit.expect("a sum")
        } else {
            sound.len() / 2
        };
        bytes[at] = if bytes[at] == b'1' { b'2' } else { b'1' };
        fs::write(path, &bytes).expect("a writable folder");
        let damaged = golf(&["verify", "--json"], &[path]);
        assert_eq!(damaged.status.code(), Some(3), "{}: {}", path.display(), said(&damaged));
        let told: Value = serde_json::from_slice(&damaged.stdout).expect("one object");
        assert_eq!(told[path.display().to_string()]["ok"], false);
        fs::write(path, &sound).expect("a writable folder");
    }
    let nothing = golf(&["verify"], &[&site.path("nothing.bin")]);
    assert_eq!(nothing.status.code(), Some(3));
}
