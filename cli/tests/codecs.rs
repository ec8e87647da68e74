//! `golf bench codecs` as its users run it: on an artifact, on floats, and on what it cannot use.

use golf_core::artifact::{Artifact, ArtifactTensor, TensorData};
use golf_core::digest::sha256_hex;
use golf_core::model::ModelConfig;
use half::f16;
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

const ROWS: usize = 96;
const COLS: usize = 64;
const CODECS: [&str; 5] = ["zlib -9", "zstd -22", "xz -9e", "brotli -11", "mixer"];

/// Integers in ±15, small ones more often, the same on every machine; rows of even number have half the spread.
fn integers() -> Vec<i8> {
    let mut state = 1u32;
    let mut noise = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f64::from(state >> 8) / f64::from(1 << 24) - 0.5
    };
    let entry = |i: usize| {
        let sum: f64 = (0..4).map(|_| noise()).sum();
        (sum * if (i / COLS).is_multiple_of(2) { 4.0 } else { 8.0 }).round().clamp(-15.0, 15.0) as i8
    };
    (0..ROWS * COLS).map(entry).collect()
}

fn artifact(path: &Path, data: TensorData) {
    let name = "blocks.0.mlp.fc.weight".to_owned();
    let file = Artifact {
        config: ModelConfig::default(),
        tensors: vec![ArtifactTensor { name, shape: vec![ROWS, COLS], data }],
        tokenizer: None,
        tokenizer_identity: None,
        provenance: None,
    };
    fs::write(path, file.encode().expect("a sound artifact")).expect("a writable folder");
}

fn bench(path: &Path, flags: &[&str]) -> Output {
    let mut golf = Command::new(env!("CARGO_BIN_EXE_golf"));
    golf.args(["bench", "codecs"]).arg(path).args(flags).output().expect("the command starts")
}

fn json(output: &Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("one JSON object")
}

#[test]
fn every_codec_gives_back_the_integers_of_the_artifact() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("model.bin");
    let q = integers();
    artifact(&path, TensorData::Quantized { bits: 5, q: q.clone(), scales: vec![f16::ONE; ROWS] });
    let report = json(&bench(&path, &["-o", "json"]));
    let file = &report["files"][0];
    // Symbols as the artifact's writer numbers them.
    let symbols: Vec<u8> = q.iter().map(|&q| (i32::from(q) + 16) as u8).collect();
    assert_eq!(file["sha256"], sha256_hex(&symbols));
    assert_eq!(file["weights"], q.len());
    let rows = file["rows"].as_array().expect("rows");
    assert_eq!(rows.iter().map(|row| row["codec"].as_str().expect("a name")).collect::<Vec<_>>(), CODECS);
    let bytes = |row: &Value| row["bytes"].as_u64().expect("a number");
    for row in rows {
        assert_eq!((&row["equal"], &row["decoded_sha256"]), (&Value::Bool(true), &file["sha256"]), "{row}");
        assert!(bytes(row) < q.len() as u64, "{row}");
    }
    // Two kinds of rows: what knows rows beats a histogram of the whole.
    let entropy = file["entropy_bits"].as_f64().expect("a number") * q.len() as f64 / 8.0;
    assert!((bytes(&rows[4]) as f64) < entropy, "{} for {entropy}", bytes(&rows[4]));
}

#[test]
fn floats_are_quantized_first_and_only_on_request() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("model.bin");
    let values = integers().into_iter().map(|q| f16::from_f32(f32::from(q) / 7.0)).collect();
    artifact(&path, TensorData::F16(values));
    let refused = bench(&path, &[]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("`--bits 6` makes some"), "{refused:?}");
    let bits = |flags: &[&str]| {
        let report = json(&bench(&path, &[&["-o", "json"], flags].concat()));
        report["files"][0]["rows"][4]["bits_per_weight"].as_f64().expect("a number")
    };
    let (wide, narrow) = (bits(&["--bits", "6"]), bits(&["--bits", "5", "--sigmas", "8"]));
    assert!(narrow < wide && wide < 6.0, "{narrow} {wide}");
}
