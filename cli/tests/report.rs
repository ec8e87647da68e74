//! `report.md` and `loss.svg` of a run, at its end and on request.

use golf_core::train::Recipe;
use golf_core::train::recipe::Precision;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

/// Events of a run on two CPUs that was killed after step 3, went on from step 2, and ended.
fn events() -> String {
    events_on("cpu", Precision::F32)
}

/// The same on two of another device.
fn events_on(backend: &str, precision: Precision) -> String {
    let preset = golf_core::train::preset("nano", false).unwrap();
    let recipe = Recipe { precision, ..preset.recipe };
    let config = golf_core::train::identity::canonical(&preset.model, &recipe);
    let start = format!(
        r#"{{"schema_version":1,"event":"start","config_hash":"c0ffee","config":{config},"data":"d","parameters":20000,"backend":"{backend}","version":"0.1.0","train_tokens":9,"ranks":2}}"#
    );
    let step = |n: u64, loss: f64, ms: f64| {
        format!(
            r#"{{"schema_version":1,"event":"step","step":{n},"iterations":4,"loss":{loss},"grad_norm":1.0,"lr_scale":1.0,"momentum":0.9,"tokens":64,"train_ms":{ms},"fake_quant":false}}"#
        )
    };
    [
        start.clone(),
        step(1, 4.0, 10.0),
        step(2, 3.5, 20.0),
        step(3, 99.0, 25.0),
        start,
        r#"{"schema_version":1,"event":"resume","step":2,"train_ms":20.0,"path":"x"}"#.into(),
        step(3, 3.0, 30.0),
        step(4, 2.5, 40.0),
        r#"{"schema_version":1,"event":"validation","step":4,"iterations":4,"loss":2.6,"bpb":1.9,"tokens":9,"bytes":20,"train_ms":40.0}"#.into(),
        r#"{"schema_version":1,"event":"artifact","path":"a","bytes":12345,"content_hash":"ab12","weights":"ema","used":{"train":40.0,"calibrate":0.0,"quantize":5.0,"compress":5.0,"evaluate":0.0}}"#.into(),
        r#"{"schema_version":1,"event":"averaged","weights":"ema","loss":2.55,"bpb":1.875,"tokens":9,"bytes":20,"used":{"train":40.0,"calibrate":0.0,"quantize":5.0,"compress":5.0,"evaluate":20.0}}"#.into(),
        r#"{"schema_version":1,"event":"final","loss":2.7,"bpb":2.0,"tokens":9,"bytes":20,"used":{"train":40.0,"calibrate":0.0,"quantize":5.0,"compress":5.0,"evaluate":30.0}}"#.into(),
    ]
    .join("\n")
}

fn report(folder: &Path, more: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_golf")).arg("report").arg(folder).args(more).output().unwrap()
}

#[test]
fn a_report_says_what_the_events_say_and_counts_resumed_steps_once() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("metrics.jsonl"), events()).unwrap();
    let receipt = folder.path().join("ttt.json");
    let json = r#"{"run":{"method":"score-first"},"totals":{"val_bpb":1.8,"val_loss":2.4}}"#;
    fs::write(&receipt, json).unwrap();
    let trace = folder.path().join("trace.json");
    let plan = ["plan", "trace", "nano", "--phase", "update", "-r", "1", "-o", "json"];
    let timed = Command::new(env!("CARGO_BIN_EXE_golf")).args(plan).output().unwrap();
    assert!(timed.status.success(), "{}", String::from_utf8_lossy(&timed.stderr));
    fs::write(&trace, timed.stdout).unwrap();
    let [receipt, trace] = [receipt, trace].map(|path| path.display().to_string());
    let output = report(folder.path(), &["--peak", "0.1", "--receipt", &receipt, "--trace", &trace]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let page = fs::read_to_string(folder.path().join("report.md")).unwrap();
    for part in [
        "4 steps of 64 tokens on 2 rank(s) of `cpu`, resumed 1 times",
        "12345 bytes = 0.012 MB",
        "10.00 ms",
        "6400 ",
        "MFU = tokens per second × FLOP per token / (2 rank(s) × 0.1 TFLOP/s)",
        "Quantization costs +0.1500 nats per token, +0.1250 bits per byte",
        "score-first test-time training",
        "c0ffee",
        "## Time by op\n\nnano update, ",
        "newton_schulz",
    ] {
        assert!(page.contains(part), "`{part}` in:\n{page}");
    }
    let row = |line: &str| {
        page.lines().any(|l| line.split(' ').all(|cell| l.split_whitespace().any(|c| c == cell)))
    };
    assert!(
        row("2.6000 1.9000") && row("2.5500 1.8750") && row("2.7000 2.0000") && row("2.4000 1.8000"),
        "{page}"
    );
    assert!(row("train 0.0 50.0") && row("evaluate 0.0 37.5"), "{page}");
    let svg = fs::read_to_string(folder.path().join("loss.svg")).unwrap();
    let line = svg.split("points=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    assert_eq!(line.split(' ').count(), 4, "the step of the killed process is gone: {line}");
    assert_eq!(svg.matches("<circle").count(), 1);
}

/// The page of a run with these events.
fn page(events: &str, more: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("metrics.jsonl"), events).unwrap();
    let output = report(folder.path(), more);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    fs::read_to_string(folder.path().join("report.md")).unwrap()
}

/// The number in the row of a table that begins with `name`.
fn figure(page: &str, name: &str) -> f64 {
    let row = page.lines().find(|line| line.trim_start_matches(['|', ' ']).starts_with(name)).expect(page);
    let cell = row.rsplit('|').nth(1).unwrap();
    cell.split_whitespace().next().unwrap().parse().unwrap()
}

#[test]
fn utilization_is_that_of_all_devices_and_a_known_device_has_its_peak() {
    let given = page(&events(), &["--peak", "0.001"]);
    let reached = figure(&given, "model TFLOP/s, 2 rank(s)");
    // Two ranks do the step's tokens together: each reaches half of that.
    let expected = reached / 2.0 / 0.001 * 100.0;
    assert!((figure(&given, "MFU") - expected).abs() < 0.1 + expected * 0.1, "{expected}: {given}");
    let unknown = page(&events(), &[]);
    assert!(unknown.contains("No MFU: no peak is known of `cpu`. `golf report RUN --peak"), "{unknown}");
    let h100 = "cuda:0 (NVIDIA H100 80GB HBM3)";
    let known = page(&events_on(h100, Precision::Bf16), &[]);
    assert!(
        known.contains("(2 rank(s) × 989.4 TFLOP/s)") && known.contains("NVIDIA's data sheet"),
        "{known}"
    );
    let single = page(&events_on(h100, Precision::F32), &[]);
    assert!(single.contains("No MFU: products are in f32"), "{single}");
}

#[test]
fn a_report_without_timed_plans_says_how_to_time_them() {
    let page = page(&events_on("cuda:0 (NVIDIA H200)", Precision::Bf16), &[]);
    let recipe = golf_core::train::preset("nano", false).unwrap().recipe;
    let [rows, window] = [recipe.rows(), recipe.train_seq_len];
    for phase in ["gradient", "update"] {
        let line = format!(
            "golf plan trace nano --phase {phase} --rows {rows} --window {window} --device cuda --precision bf16 -o json > {phase}.json\n"
        );
        assert!(page.contains(&line), "`{line}` in:\n{page}");
    }
}

#[test]
fn the_cost_of_quantization_is_that_of_the_weights_that_were_quantized() {
    let lines = |wanted: &dyn Fn(&str) -> bool| -> String {
        events().lines().filter(|line| wanted(line)).collect::<Vec<_>>().join("\n")
    };
    // An older run, whose averages nobody scored.
    let unscored = page(&lines(&|line| !line.contains("averaged")), &[]);
    assert!(unscored.contains("The ema weights were not scored before quantization"), "{unscored}");
    // Live weights were validated after the last step.
    let live =
        lines(&|line| !line.contains("averaged")).replace("\"weights\":\"ema\"", "\"weights\":\"live\"");
    let live = page(&live, &[]);
    assert!(live.contains("Quantization costs +0.1000 nats per token, +0.1000 bits per byte"), "{live}");
    let silent = |line: &str| !["averaged", "validation", "final"].iter().any(|event| line.contains(event));
    let silent = page(&lines(&silent), &[]);
    assert!(silent.contains("no validation shards") && !silent.contains("Quantization costs"), "{silent}");
}

#[test]
fn what_is_no_run_is_refused_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |text: Option<&str>, message: &str| {
        if let Some(text) = text {
            fs::write(folder.path().join("metrics.jsonl"), text).unwrap();
        }
        let output = report(folder.path(), &[]);
        let log = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(1) && log.contains(message), "{log}");
    };
    refused(None, "give the output folder of a run");
    refused(Some(""), "tells of no step");
    refused(Some("{\"event\":\"stop\"}\n{"), "line 2");
}
