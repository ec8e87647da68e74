//! The programs on NVIDIA's interfaces, without a GPU: `trainer-cuda/software` has a driver, a compiler and a library of products
//! in their places, so all code of the CUDA backend runs but the GPU's own.
//!
//! The software driver runs work late and checks what a GPU would not: pointers, what lies beside an allocation, what may be
//! done during a capture. It says nothing of speed, nor of what NVIDIA's own code does.
#![cfg(all(target_os = "linux", target_env = "gnu"))]

// What this file does not use of it, others do.
#[allow(dead_code)]
mod site;
mod small;
mod software;

use golf_core::digest::sha256_hex;
use serde_json::Value;
use site::stderr;
use software::{Training, counts, device, on_device, root, succeeded};
use std::ffi::OsStr;
use std::fs;
use std::path::PathBuf;

#[test]
fn doctor_lists_the_device_and_its_libraries() {
    let Some(device) = device() else { return };
    let output = succeeded(&mut on_device(device, env!("CARGO_BIN_EXE_golf"), ["doctor", "--json"]));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let rows = report["devices"].as_array().unwrap();
    let row = rows.iter().find(|row| row["device"] == "cuda:0").expect("the device");
    assert_eq!(
        (row["name"].as_str(), row["compute"].as_str()),
        (Some("golf software CUDA device"), Some("9.0"))
    );
    assert_eq!(row["memory_bytes"].as_u64(), Some(8 << 30));
    for part in ["driver", "nvrtc", "cublaslt"] {
        assert_eq!(report["cuda"][part]["version"], "13.0", "{part}");
    }
    let mut command = on_device(device, env!("CARGO_BIN_EXE_golf"), ["doctor", "--json"]);
    command.env("GOLF_SOFTWARE_CUDA_DEVICES", "0").env("GOLF_SOFTWARE_CUDA_PRODUCTS", "no");
    command.env("GOLF_SOFTWARE_CUDA_COLLECTIVES", "no");
    let report: Value = serde_json::from_slice(&succeeded(&mut command).stdout).unwrap();
    for part in ["driver", "cublaslt", "nccl"] {
        assert!(report["cuda"][part]["problem"].is_string(), "{part}");
    }
}

#[test]
fn a_driver_that_is_older_than_the_compiler_is_told_what_it_needs() {
    let Some(device) = device() else { return };
    let older = |arguments: &[&str]| {
        let mut command = on_device(device, env!("CARGO_BIN_EXE_golf"), arguments);
        command.env("GOLF_SOFTWARE_CUDA_VERSION", "12040").output().unwrap()
    };
    let report: Value = serde_json::from_slice(&older(&["doctor", "--json"]).stdout).unwrap();
    let said =
        stderr(&older(&["bench", "--model", "nano", "--window", "8", "--tests", "pp", "--device", "cuda"]));
    for told in [report["hints"].to_string(), said] {
        let cause = "NVRTC 13.0 makes code for drivers of CUDA 13 and newer, and this one is of 12.4";
        assert!(told.contains(cause) && told.contains("`nvidia-cuda-nvrtc-cu12`"), "{told}");
    }
}

#[test]
fn fixtures_of_the_independent_implementation_are_met() {
    let Some(device) = device() else { return };
    let goldens = root().join("tests/goldens").display().to_string();
    let arguments = ["selftest", "--golden", &goldens, "--device", "cuda"];
    let output = succeeded(&mut on_device(device, env!("CARGO_BIN_EXE_golf"), arguments));
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("ok: 4 cases") && text.contains(" 0 missed"), "{text}");
}

#[test]
fn fixtures_of_single_ops_are_met_in_bf16_to_its_roundings() {
    let Some(device) = device() else { return };
    let folder = tempfile::tempdir().unwrap();
    for file in ["common.json", "common.safetensors"] {
        fs::copy(root().join("tests/goldens").join(file), folder.path().join(file)).unwrap();
    }
    let goldens = folder.path().display().to_string();
    let arguments = ["selftest", "--golden", &goldens, "--device", "cuda", "--precision", "bf16"];
    let output = succeeded(&mut on_device(device, env!("CARGO_BIN_EXE_golf"), arguments));
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("ok: 1 case") && text.contains(" 0 missed"), "{text}");
}

#[test]
fn one_training_another_and_a_resumed_one_end_in_the_same_bytes() {
    let Some(device) = device() else { return };
    for precision in ["f32", "bf16"] {
        let training = Training::new(device);
        let run =
            |out: &str, more: &[&str]| training.finish(out, &[&["--precision", precision], more].concat());
        let (expected, said) = run("a", &["--checkpoint-every", "2", "--set", "checkpoint_keep=9"]);
        let [kernels, functions, graphs] = counts(&said);
        assert!(kernels > 1000 && graphs > 10, "{said}");
        // Products that agree with our own kernels' are the library's, and none of them is refused.
        assert_eq!(functions > 100, precision == "bf16", "{said}");
        assert!(!said.contains("cuBLASLt"), "{said}");
        assert_eq!(run("b", &[]).0, expected, "{precision}");
        let checkpoint = training.site.path("a/checkpoint-00000002.safetensors").display().to_string();
        assert_eq!(run("c", &["--resume", &checkpoint]).0, expected, "{precision}, resumed");
        let mut backwards = training.command("d", &["--precision", precision]);
        succeeded(backwards.env("GOLF_SOFTWARE_CUDA_ORDER", "backwards"));
        assert_eq!(training.artifact("d"), expected, "{precision}, last thread first");
    }
}

#[test]
fn without_the_library_our_own_kernels_form_the_products_and_it_is_said_once() {
    let Some(device) = device() else { return };
    let training = Training::new(device);
    let mut command = training.command("out", &["--precision", "bf16"]);
    command.env("GOLF_SOFTWARE_CUDA_PRODUCTS", "no");
    let said = stderr(&succeeded(&mut command));
    assert_eq!(said.matches("cuBLASLt (`libcublasLt`) is not used").count(), 1, "{said}");
    assert_eq!(counts(&said)[1], 0, "{said}");
}

#[test]
fn products_that_the_library_refuses_are_its_second_choices_or_our_own_kernels() {
    let Some(device) = device() else { return };
    let training = Training::new(device);
    let run = |out: &str, products: &str| {
        let mut command = training.command(out, &["--precision", "bf16", "--iterations", "1"]);
        stderr(&succeeded(command.env("GOLF_SOFTWARE_CUDA_PRODUCTS", products)))
    };
    run("without", "no");
    let said = run("refused", "refused");
    assert!(said.contains("cuBLASLt does not take the product"), "{said}");
    assert_eq!(training.artifact("refused"), training.artifact("without"));
    let said = run("second", "first-refused");
    assert!(!said.contains("does not take") && counts(&said)[1] > 0, "{said}");
}

#[test]
fn a_device_without_memory_left_names_a_micro_batch_and_that_one_is_taken_unless_told() {
    let Some(device) = device() else { return };
    let training = Training::new(device);
    let run = |out: &str, rows: &str| {
        let more = ["--set", "train_batch_tokens=2048", "--set", "grad_accum_steps=1", "--set", rows];
        let more = [&more[..], &["--iterations", "1", "--precision", "f32"]].concat();
        let mut command = training.command(out, &more);
        command.env("GOLF_SOFTWARE_CUDA_MEMORY", "2000000").output().unwrap()
    };
    let refused = run("large", "micro_batch_rows=128");
    let said = stderr(&refused);
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains("is out of memory: slot ") && said.contains(" of 2.0 MB are free"), "{said}");
    let advised = said.split("hint: `--set ").nth(1).and_then(|rest| rest.split('`').next()).expect("a hint");
    assert!(advised.starts_with("micro_batch_rows="), "{said}");
    let taken = run("advised", advised);
    assert!(taken.status.success(), "{advised}: {}", stderr(&taken));
    let chosen = run("chosen", "micro_batch_rows=0");
    assert!(chosen.status.success(), "{}", stderr(&chosen));
    assert_eq!(training.artifact("chosen"), training.artifact("advised"));
}

#[test]
fn damaged_code_and_another_drivers_code_in_the_cache_are_compiled_again() {
    let Some(device) = device() else { return };
    let training = Training::new(device);
    let (expected, _) = training.finish("made", &["--iterations", "1"]);
    let folder = training.site.path("cache/golf/cuda");
    fs::create_dir_all(&folder).unwrap();
    let whole: Vec<(PathBuf, Vec<u8>)> = fs::read_dir(device.join("cache/golf/cuda"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (folder.join(path.file_name().unwrap()), fs::read(path).unwrap()))
        .collect();
    // What another driver's compiler may have made: it is whole, and this driver does not take it.
    let foreign = [b"\x7fELF", &[0; 96][..]].concat();
    let mut damaged = 0;
    for (i, (path, content)) in whole.iter().enumerate() {
        let wrong = match i % 8 {
            0 => content[..content.len() / 2].to_vec(),
            1 => Vec::new(),
            2 => [&foreign, sha256_hex(&foreign).as_bytes()].concat(),
            3 => [&content[..content.len() - 64], sha256_hex(b"other code").as_bytes()].concat(),
            _ => content.clone(),
        };
        damaged += usize::from(wrong != *content);
        fs::write(path, wrong).unwrap();
    }
    let mut command = training.command("again", &["--iterations", "1"]);
    succeeded(command.env("GOLF_SOFTWARE_CUDA_CACHE", training.site.path("cache")));
    assert_eq!(training.artifact("again"), expected);
    // The run uses some of the kernels, and what it made again is what was there.
    let whole_again = whole.iter().filter(|(path, content)| fs::read(path).unwrap() == *content).count();
    assert!(whole_again >= whole.len() - damaged + 4, "{whole_again} of {}, {damaged} damaged", whole.len());
}

#[test]
fn an_evaluation_has_the_receipt_of_another_and_the_score_of_the_cpu() {
    let Some(device) = device() else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    fs::write(path("model.bin"), small::artifact()).unwrap();
    fs::write(path("text.txt"), small::TEXT.repeat(6)).unwrap();
    let run = |name: &str, device_name: &str, precision: &str| {
        let (model, text, receipt) = (path("model.bin"), path("text.txt"), path(name));
        let fixed = [&model, "--text", &text, "--receipt", &receipt, "--json", "--ttt", "score-first"];
        let more = ["--ttt-chunk", "100", "--device", device_name, "--precision", precision];
        let arguments = [&fixed[..], &more[..]].concat();
        let output = succeeded(&mut on_device(device, env!("CARGO_BIN_EXE_golf-eval"), arguments));
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        (fs::read_to_string(receipt).unwrap(), report["val_bpb"].as_f64().expect("a score"))
    };
    let (_, cpu) = run("cpu.json", "cpu", "f32");
    for (precision, limit) in [("f32", 1e-5), ("bf16", 1e-2)] {
        let [first, second] = ["first.json", "second.json"].map(|name| run(name, "cuda", precision));
        assert_eq!(first, second, "{precision}");
        assert!((first.1 - cpu).abs() < limit * cpu, "{precision}: {} for {cpu}", first.1);
    }
}

#[test]
fn a_lost_device_ends_a_training_that_goes_on_from_its_checkpoint_and_an_evaluation_with_its_cause() {
    let Some(device) = device() else { return };
    let training = Training::new(device);
    let (expected, said) = training.finish("whole", &[]);
    let late = (counts(&said)[0] * 3 / 4).to_string();
    let more = ["--checkpoint-every", "1", "--resume", "auto"];
    let lost = training.command("lost", &more).env("GOLF_SOFTWARE_CUDA_FAIL_AT", late).output().unwrap();
    let said = stderr(&lost);
    assert_eq!(lost.status.code(), Some(1), "{said}");
    assert!(said.contains("was lost: CUDA_ERROR_ILLEGAL_ADDRESS"), "{said}");
    assert!(!training.site.checkpoints("lost").is_empty());
    assert_eq!(training.finish("lost", &more).0, expected);

    let (model, text) = (training.site.path("model.bin"), training.site.path("text.txt"));
    fs::write(&model, small::artifact()).unwrap();
    fs::write(&text, small::TEXT.repeat(6)).unwrap();
    let arguments = [
        model.as_os_str(),
        OsStr::new("--text"),
        text.as_os_str(),
        OsStr::new("--device"),
        OsStr::new("cuda"),
    ];
    let mut command = on_device(device, env!("CARGO_BIN_EXE_golf-eval"), arguments);
    let lost = command.env("GOLF_SOFTWARE_CUDA_FAIL_AT", "20").output().unwrap();
    let said = stderr(&lost);
    assert_eq!(lost.status.code(), Some(1), "{said}");
    // A process that lost a GPU does not get it back.
    assert!(said.contains("CUDA device 0 cannot be opened: CUDA_ERROR_ILLEGAL_ADDRESS"), "{said}");
}
