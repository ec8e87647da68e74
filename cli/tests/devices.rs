//! Devices as their users meet them: what `golf doctor` finds, what `--device` refuses, what plans take. Everything here
//! passes on machines with adapters and without.

use serde_json::Value;
use std::process::{Command, Output};

fn golf(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_golf"));
    command.args(args);
    command
}

/// The same on a machine without a Vulkan driver.
fn without_adapters(args: &[&str]) -> Command {
    let mut command = golf(args);
    command.env("VK_ICD_FILENAMES", "/nonexistent").env("VK_DRIVER_FILES", "/nonexistent");
    command
}

fn output(mut command: Command) -> (Output, String, String) {
    let output = command.output().expect("the command starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    (output, out, err)
}

fn stdout(command: Command) -> String {
    let (output, out, err) = output(command);
    assert!(output.status.success(), "{err}");
    out
}

fn json(command: Command) -> Value {
    serde_json::from_str(&stdout(command)).expect("JSON on stdout")
}

/// What the command says on stderr when it ends with `code`.
fn refusal(command: Command, code: i32) -> String {
    let (output, _, err) = output(command);
    assert_eq!(output.status.code(), Some(code), "{err}");
    err
}

/// Rows of `golf doctor` of one kind.
fn of_kind<'a>(devices: &'a [Value], kind: &'static str) -> impl Iterator<Item = &'a Value> {
    devices.iter().filter(move |row| row["kind"] == kind)
}

#[test]
fn doctor_says_what_there_is_of_cuda_or_what_is_missing() {
    let report = json(golf(&["doctor", "--json"]));
    for part in ["driver", "nvrtc"] {
        let part = &report["cuda"][part];
        assert!(
            part["version"].is_string() || part["problem"].as_str().is_some_and(|p| p.contains("hint:")),
            "{part}"
        );
    }
    let gpus = of_kind(report["devices"].as_array().expect("a list"), "cuda").count();
    if gpus == 0 {
        let err = refusal(golf(&["bench", "--device", "cuda"]), 1);
        assert!(err.contains("CUDA") && !err.contains("panicked"), "{err}");
    }
}

#[test]
fn doctor_lists_the_cpu_first_and_every_adapter_by_the_name_that_device_takes() {
    let report = json(golf(&["doctor", "--json"]));
    let devices = report["devices"].as_array().expect("a list");
    assert_eq!(devices[0]["device"], "cpu");
    assert!(devices[0]["threads"].as_u64() >= Some(1) && devices[0]["instructions"].is_string());
    for (index, adapter) in of_kind(devices, "wgpu").enumerate() {
        assert_eq!(adapter["device"], format!("wgpu:{index}"));
        let limits = adapter["limits"].as_array().expect("a list");
        assert!(limits.iter().any(|limit| limit["name"] == "maxStorageBufferBindingSize"));
        assert!(adapter["features"]["timestamp-query"].is_boolean());
        let kernels = adapter["kernels"].as_object().expect("kernels by op");
        let linear = kernels["linear"].as_array().expect("names");
        // Scoring reads packed weights, gradients plain ones.
        for variant in ["f32", "packed"] {
            assert!(linear.iter().any(|name| name.as_str().is_some_and(|name| name.contains(variant))));
        }
        assert!(["attention_grad", "adamw", "newton_schulz"].iter().all(|op| kernels.contains_key(*op)));
    }
    let text = stdout(golf(&["doctor"]));
    assert!(text.contains("| cpu "), "{text}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_machine_without_adapters_is_no_error_and_says_what_to_do() {
    let report = json(without_adapters(&["doctor", "--json"]));
    assert_eq!(of_kind(report["devices"].as_array().expect("a list"), "wgpu").count(), 0);
    assert!(report["hints"][0].as_str().is_some_and(|hint| hint.contains("hint:")), "{report}");
    let err = refusal(without_adapters(&["plan", "trace", "baseline", "--device", "wgpu"]), 1);
    assert!(err.contains("no GPU adapter found") && err.contains("hint:"), "{err}");
}

#[cfg(target_os = "linux")]
#[test]
fn auto_falls_back_to_the_cpu_and_says_why() {
    let args = ["plan", "trace", "baseline", "--window", "16", "-r", "1", "--device", "auto", "-o", "json"];
    let (output, out, err) = output(without_adapters(&args));
    assert!(output.status.success(), "{err}");
    // A driver may have its own say.
    assert_eq!(err.matches("device: cpu (auto: no GPU adapter)").count(), 1, "{err}");
    let report: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(report["backend"], "cpu");
}

#[test]
fn an_adapter_that_is_not_there_is_an_error_that_counts_those_that_are() {
    let report = json(golf(&["doctor", "--json"]));
    let adapters = of_kind(report["devices"].as_array().expect("a list"), "wgpu").count();
    let err = refusal(golf(&["plan", "trace", "baseline", "--device", "wgpu:99"]), 1);
    if adapters > 0 {
        assert!(err.contains(&format!("no GPU adapter 99: there are {adapters}")), "{err}");
    }
    assert!(err.contains("hint:"), "{err}");
}

/// A gradient of eight windows of a 27 M model takes gigabytes. On a software adapter, whose memory is the process's own, a
/// limit of the process makes it run out.
#[cfg(target_os = "linux")]
#[test]
fn a_device_without_memory_left_is_an_error_that_names_what_did_not_fit() {
    let adapters = pollster::block_on(golf_wgpu::adapters());
    let Some(software) = adapters.iter().position(golf_wgpu::Adapter::is_software) else {
        let required = std::env::var("REQUIRE_BACKENDS").unwrap_or_default();
        assert!(
            !required.contains("wgpu") || !adapters.is_empty(),
            "backend `wgpu` is required but unavailable"
        );
        eprintln!("skipped: no software adapter, and a hardware one does not run out on demand");
        return;
    };
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -v 1600000; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_golf")]);
    command.args(["plan", "trace", "pr549", "--phase", "gradient", "--window", "1024", "--rows", "8"]);
    command.args(["-r", "1", "--device", &format!("wgpu:{software}")]);
    let err = refusal(command, 1);
    assert!(err.contains("is out of memory: slot ") && err.contains("of plan `pr549 gradient`"), "{err}");
    assert!(err.contains("hint: take fewer tokens at once"), "{err}");
}

#[test]
fn a_plan_beyond_the_devices_buffers_is_an_error_that_names_the_limit_the_need_and_what_there_is() {
    if pollster::block_on(golf_wgpu::adapters()).is_empty() {
        let required = std::env::var("REQUIRE_BACKENDS").unwrap_or_default();
        assert!(!required.contains("wgpu"), "backend `wgpu` is required but unavailable");
        eprintln!("skipped: no GPU adapter");
        return;
    }
    // The residual stream alone: 32,768 windows of 1024 tokens of 512 floats.
    let args = ["plan", "trace", "baseline", "--window", "1024", "--rows", "32768", "--device", "wgpu"];
    let err = refusal(golf(&args), 1);
    assert!(
        err.contains("is too small: ") && err.contains("`maxStorageBufferBindingSize`: needed "),
        "{err}"
    );
    assert!(err.contains("available ") && err.contains("hint: "), "{err}");
}

#[test]
fn a_device_that_is_none_is_a_usage_error_with_the_choices() {
    for command in
        [&["bench"][..], &["selftest", "--golden", "."], &["eval", "x", "--text", "x"], &["plan", "trace"]]
    {
        let err = refusal(golf(&[command, &["--device", "gpu"]].concat()), 2);
        assert!(err.contains("`auto`, `cpu`, `reference`, `wgpu`, `wgpu:N`, `cuda` or `cuda:N`"), "{err}");
    }
    let err = refusal(golf(&["train", "--data", ".", "--device", "gpu"]), 1);
    assert!(err.contains("`auto`, `cpu`, `reference`, `wgpu`, `wgpu:N`, `cuda` or `cuda:N`"), "{err}");
}

#[test]
fn twenty_seven_million_int6_parameters_score_within_120_megabytes() {
    let text = stdout(golf(&["plan", "show", "pr549", "--bits", "6", "--window", "1024", "--summary"]));
    let line = text.lines().find(|line| line.starts_with("buffers on a GPU: ")).expect("the footprint");
    let total = line.split("total ").nth(1).and_then(|rest| rest.split(' ').next());
    let total: f64 = total.and_then(|number| number.parse().ok()).expect("a number of megabytes");
    // The weights alone: 27 million at 6 bits are 20 MB.
    assert!((20.0..=120.0).contains(&total), "{line}");
}

#[test]
fn a_trace_accounts_for_every_step() {
    let args =
        ["plan", "trace", "baseline", "--window", "32", "--phase", "gradient", "-r", "1", "-o", "json"];
    let report = json(golf(&args));
    let (steps, ops) =
        (report["steps"].as_array().expect("a list"), report["ops"].as_array().expect("a list"));
    assert_eq!(report["total"]["steps"].as_u64(), Some(steps.len() as u64));
    assert_eq!(ops.iter().filter_map(|op| op["steps"].as_u64()).sum::<u64>(), steps.len() as u64);
    assert!(report["total"]["seconds"].as_f64() > Some(0.0));
    let err = refusal(golf(&["plan", "trace", "baseline", "--device", "reference"]), 1);
    assert!(err.contains("hint:"), "{err}");
}

#[test]
fn the_cpu_agrees_with_the_oracle_at_every_step_and_a_tolerance_of_nothing_is_missed() {
    let diff = |more: &[&str]| golf(&[&["plan", "diff", "baseline", "--window", "8"], more].concat());
    assert!(stdout(diff(&["--bits", "6"])).contains("within 1e-4 of the oracle"));
    assert!(stdout(diff(&["--phase", "gradient", "--no-fuse", "--poison"])).contains("within 1e-4"));
    assert!(stdout(diff(&["--phase", "decode", "--new", "3"])).contains("within 1e-4"));
    let (output, out, _) = output(diff(&["--tolerance", "0"]));
    assert_eq!(output.status.code(), Some(3));
    assert!(out.starts_with("step ") && out.contains("expected"), "{out}");
}

#[test]
fn a_bench_row_has_the_columns_of_llama_bench() {
    let args = ["bench", "--model", "baseline", "--window", "16", "--generate", "2", "-r", "1", "-o"];
    let csv = stdout(golf(&[&args[..], &["csv"]].concat()));
    assert!(csv.starts_with("model,size,params,backend,threads,test,t/s"), "{csv}");
    let rows = json(golf(&[&args[..], &["json", "--bits", "6"]].concat()));
    let tests: Vec<_> = rows.as_array().expect("a list").iter().map(|row| row["test"].clone()).collect();
    assert_eq!(tests, ["pp16", "tg2", "ttt16"]);
    // 17 million parameters; matrices in six bits, embeddings in eight.
    assert!(rows[0]["size_bytes"].as_u64().is_some_and(|bytes| (12_000_000..16_000_000).contains(&bytes)));
}
