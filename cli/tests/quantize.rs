//! `golf quantize` and `golf export` as their users run them: from a run's checkpoint to a file of a given size and out again.

use serde_json::Value;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

/// A folder with a finished run of the `nano` preset.
struct Site {
    folder: tempfile::TempDir,
}

impl Site {
    fn new() -> Site {
        let site = Site { folder: tempfile::tempdir().expect("a folder") };
        let tokens: Vec<u16> = (0..3000u32).map(|i| ((i * i / 7 + 3 * i) % 64) as u16).collect();
        fs::create_dir(site.path("data")).expect("a fresh folder");
        golf_core::data::shard::write(&site.path("data/t_train_000000.bin"), &tokens).expect("a shard");
        let (data, run) = (site.path("data"), site.path("run"));
        let paths =
            ["--data", &data.display().to_string(), "--out", &run.display().to_string()].map(str::to_owned);
        let output = site.golf("train", &["--preset", "nano", "--quiet"], &paths);
        assert!(output.status.success(), "{}", text(&output.stderr));
        site
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn golf(&self, command: &str, flags: &[&str], paths: &[String]) -> Output {
        let mut golf = Command::new(env!("CARGO_BIN_EXE_golf"));
        golf.arg(command).args(flags).args(paths).output().expect("the command starts")
    }

    /// `golf quantize FILE -o OUT` with `flags`, as JSON.
    fn quantize(&self, file: &str, out: &str, flags: &[&str]) -> Result<Value, String> {
        let paths = [self.path(file), self.path(out)].map(|path| path.display().to_string());
        let paths = [paths[0].clone(), "-o".to_owned(), paths[1].clone()];
        let output = self.golf("quantize", &[flags, &["--json"]].concat(), &paths);
        match output.status.success() {
            true => Ok(serde_json::from_slice(&output.stdout).expect("one JSON object")),
            false => Err(text(&output.stderr)),
        }
    }

    fn export(&self, file: &str, out: &str) {
        let paths = [self.path(file), self.path(out)].map(|path| path.display().to_string());
        let output = self.golf("export", &[], &[paths[0].clone(), "-o".to_owned(), paths[1].clone()]);
        assert!(output.status.success(), "{}", text(&output.stderr));
    }

    fn checkpoint(&self) -> String {
        let names = fs::read_dir(self.path("run")).expect("the run's folder");
        let names = names.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
        format!("run/{}", names.filter(|name| name.starts_with("checkpoint-")).max().expect("a checkpoint"))
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_checkpoint_becomes_a_file_of_the_size_asked_for() {
    let site = Site::new();
    let checkpoint = site.checkpoint();
    let size_of = |form: &str| {
        let flags = ["--calib", "none", "--tensor", form, "--target-bytes", "1MB", "--quantizer", "ratio"];
        let report = site.quantize(&checkpoint, "out.bin", &flags).expect("room enough");
        report["bytes"].as_u64().expect("a number")
    };
    let (least, most) = (size_of(r"\.weight$=int4"), size_of(r"\.weight$=int8"));
    let calibrated = ["--calib-rows", "8", "--calib-seq", "16", "--plain", "256"];
    let mut losses = Vec::new();
    for share in [1, 2, 3] {
        let target = least + share * (most - least) / 4;
        let size = target.to_string();
        let flags = [&calibrated[..], &["--target-bytes", &size]].concat();
        let report = site.quantize(&checkpoint, "out.bin", &flags).expect("within the ladder");
        let bytes = fs::metadata(site.path("out.bin")).expect("the artifact").len();
        assert_eq!(report["bytes"], Value::from(bytes));
        assert!(bytes <= target && report["margin_bytes"] == target - bytes, "{bytes} of {target}");
        let calibration = &report["calibration"];
        assert_eq!(calibration["tokens"], Value::from(8 * 16));
        losses.push(calibration["predicted_increase"].as_f64().expect("a number"));
    }
    assert!(losses[0] > losses[1] && losses[1] > losses[2], "{losses:?}");
    let refused = site.quantize(&checkpoint, "out.bin", &["--calib", "none", "--target-bytes", "2kB"]);
    assert!(refused.expect_err("too small").contains("cannot reach 2000 bytes"));
    let paths = [site.path(&checkpoint), site.path("out.bin")].map(|path| path.display().to_string());
    let paths = [paths[0].clone(), "-o".to_owned(), paths[1].clone()];
    let output = site.golf("quantize", &["--calib", "none", "--target-bytes", "2kB"], &paths);
    assert_eq!(output.status.code(), Some(4), "the code of an exceeded budget");
    let binary = site.quantize(&checkpoint, "out.bin", &["--target-bytes", "15.95MiB"]);
    assert!(binary.expect_err("binary units").contains("16724787"));
}

#[test]
fn forms_asked_for_by_name_are_kept_and_the_same_settings_give_the_same_file() {
    let site = Site::new();
    let checkpoint = site.checkpoint();
    let flags = [
        "--target-bytes",
        "1MB",
        "--tensor",
        r"mlp=int5",
        "--tensor",
        "attn.*weight=fp16",
        "--calib-rows",
        "4",
        "--calib-seq",
        "16",
    ];
    let report = site.quantize(&checkpoint, "a.bin", &flags).expect("room enough");
    site.quantize(&checkpoint, "b.bin", &flags).expect("room enough");
    assert_eq!(fs::read(site.path("a.bin")).unwrap(), fs::read(site.path("b.bin")).unwrap());
    for tensor in report["tensors"].as_array().expect("a list") {
        let (name, form) = (tensor["name"].as_str().unwrap(), tensor["form"].as_str().unwrap());
        match name {
            name if name.contains("mlp.") => assert!(form.ends_with(" int5"), "{name} {form}"),
            name if name.contains("attn.") => assert_eq!(form, "fp16", "{name}"),
            _ => {}
        }
    }
}

#[test]
fn exported_files_are_quantized_like_the_artifact_they_came_from() {
    let site = Site::new();
    let flags =
        ["--calib", "none", "--tensor", r"\.weight$=int6", "--quantizer", "max", "--target-bytes", "1MB"];
    site.export("run/artifact.bin", "x.safetensors");
    let direct = site.quantize("run/artifact.bin", "direct.bin", &flags).expect("room enough");
    let around = site.quantize("x.safetensors", "around.bin", &flags).expect("room enough");
    assert_eq!(direct["tensors"], around["tensors"]);
    site.export("run/artifact.bin", "x.ptz");
    // A torch file says nothing of its model beyond names and shapes: without flags it is another one, with the same tensors.
    let torch = site.quantize("x.ptz", "torch.bin", &flags).expect("room enough");
    assert_eq!(direct["tensors"], torch["tensors"]);
}

#[test]
fn the_table_has_a_line_for_every_matrix_of_integers_whatever_its_steps() {
    let site = Site::new();
    let checkpoint = site.checkpoint();
    for quantizer in ["uniform", "auto", "max"] {
        let flags = ["--calib", "none", "--plain", "256", "--target-bytes", "1MB", "--quantizer", quantizer];
        let report = site.quantize(&checkpoint, "out.bin", &flags).expect("room enough");
        let tensors = report["tensors"].as_array().expect("rows");
        let (integers, plain): (Vec<&Value>, Vec<&Value>) =
            tensors.iter().partition(|t| t["quantized"] == true);
        assert!(integers.len() > 10 && plain.iter().all(|t| t["form"] == "fp16"), "{quantizer}: {tensors:?}");
        let paths = [site.path(&checkpoint), site.path("out.bin")].map(|path| path.display().to_string());
        let printed = site.golf("quantize", &flags, &[paths[0].clone(), "-o".to_owned(), paths[1].clone()]);
        let printed = text(&printed.stdout);
        let lines = printed.lines().filter(|line| line.contains(".weight")).count();
        assert_eq!(lines, integers.len(), "{printed}");
        assert!(printed.contains(&format!("plain       {} tensors", plain.len())), "{printed}");
    }
}
