//! The selftest on every device: over the committed goldens, over the whole set where it is there, and over goldens that
//! were damaged on purpose, which it must not pass.

use golf_cli::device::Device;
use golf_cli::selftest::{self, Report};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// The devices of every machine.
const DEVICES: [Device; 2] = [Device::Cpu, Device::Reference];

fn committed() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("goldens")
}

fn replay(folder: &Path, device: Device) -> Report {
    selftest::run(folder, device).expect("the folder can be listed")
}

#[test]
fn the_committed_goldens_pass_on_every_device() {
    for device in DEVICES {
        let report = replay(&committed(), device);
        assert!(report.ok, "{report}");
        assert_eq!(report.cases.len(), 4);
    }
}

#[test]
fn the_whole_set_passes_on_every_device_where_it_is_there() {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    let folder = std::env::var_os("GOLF_SHARED").map_or_else(beside, PathBuf::from).join("golden");
    if !folder.is_dir() {
        // Past the harness's capture of printed lines: a skip must be seen.
        let reason = format!("skipped: no goldens in `{}`; set GOLF_SHARED\n", folder.display());
        return std::io::stderr().write_all(reason.as_bytes()).expect("stderr is open");
    }
    for device in DEVICES {
        let report = replay(&folder, device);
        assert!(report.ok, "{report}");
    }
}

/// A folder that holds one committed case under another name, after `damage`.
struct Damaged {
    folder: TempDir,
    tensors: HashMap<String, (Dtype, Vec<usize>, Vec<u8>)>,
    json: Value,
}

impl Damaged {
    fn new(case: &str) -> Self {
        let read =
            |extension: &str| fs::read(committed().join(format!("{case}.{extension}"))).expect("committed");
        let bytes = read("safetensors");
        let file = SafeTensors::deserialize(&bytes).expect("valid safetensors");
        let owned = |(name, view): (&str, TensorView<'_>)| {
            (name.to_owned(), (view.dtype(), view.shape().to_vec(), view.data().to_vec()))
        };
        let tensors = file.iter().map(owned).collect();
        let json = serde_json::from_slice(&read("json")).expect("valid JSON");
        Self { folder: TempDir::new().expect("a temporary folder"), tensors, json }
    }

    /// Moves the middle value of a tensor by a tenth of the largest one, or an integer by 2.
    fn nudge(&mut self, name: &str) {
        let (dtype, _, bytes) = self.tensors.get_mut(name).unwrap_or_else(|| panic!("no tensor `{name}`"));
        match dtype {
            Dtype::F64 => nudge(bytes, f64::from_le_bytes, f64::to_le_bytes, |x, top| x + 0.1 * top),
            Dtype::F32 => nudge(bytes, f32::from_le_bytes, f32::to_le_bytes, |x, top| x + 0.1 * top),
            Dtype::F16 => nudge(bytes, half::f16::from_le_bytes, half::f16::to_le_bytes, |x, top| {
                half::f16::from_f32(x.to_f32() + 0.1 * top.to_f32())
            }),
            Dtype::I32 => nudge(bytes, i32::from_le_bytes, i32::to_le_bytes, |x, _| x + 2),
            Dtype::I8 => nudge(bytes, i8::from_le_bytes, i8::to_le_bytes, |x, _| x.wrapping_add(2)),
            other => panic!("`{name}` is {other:?}"),
        }
    }

    /// Makes a number of the JSON larger, a count by 1, another by a thousandth.
    fn change(&mut self, pointer: &str) {
        let number = self.json.pointer_mut(pointer).unwrap_or_else(|| panic!("no field `{pointer}`"));
        *number = match number.as_u64() {
            Some(count) => json!(count + 1),
            None => json!(number.as_f64().expect("a number") * 1.001),
        };
    }

    fn replay(&self, device: Device) -> Report {
        let views = self.tensors.iter().map(|(name, (dtype, shape, bytes))| {
            (name, TensorView::new(*dtype, shape.clone(), bytes).expect("the bytes fill the shape"))
        });
        let file = safetensors::serialize(views, None).expect("distinct names");
        fs::write(self.folder.path().join("renamed.safetensors"), file).expect("a writable folder");
        fs::write(self.folder.path().join("renamed.json"), self.json.to_string()).expect("a writable folder");
        replay(self.folder.path(), device)
    }
}

fn nudge<const N: usize, T: Copy + PartialOrd>(
    bytes: &mut [u8],
    decode: fn([u8; N]) -> T,
    encode: fn(T) -> [u8; N],
    change: impl Fn(T, T) -> T,
) {
    let values: Vec<T> =
        bytes.chunks_exact(N).map(|b| decode(b.try_into().expect("chunks have N bytes"))).collect();
    let top = values.iter().copied().fold(values[0], |a, b| if b > a { b } else { a });
    let middle = values.len() / 2;
    bytes[middle * N..][..N].copy_from_slice(&encode(change(values[middle], top)));
}

/// Quantities that missed.
fn missed(report: &Report) -> Vec<&str> {
    let checks = report.cases.iter().flat_map(|case| &case.checks);
    checks.filter(|check| !check.ok).map(|check| check.quantity.as_str()).collect()
}

/// Damages every other place of a case, then the rest: just the quantities named beside them must miss. Were one judged by
/// another's place, it would miss or pass in the wrong half.
fn every_other(case: &str, rows: &[(&str, &str)], damage: fn(&mut Damaged, &str)) {
    for half in [0, 1] {
        let rows = || rows.iter().skip(half).step_by(2);
        let mut damaged = Damaged::new(case);
        rows().for_each(|(place, _)| damage(&mut damaged, place));
        let report = damaged.replay(Device::Cpu);
        let mut expected: Vec<&str> = rows().flat_map(|(_, quantities)| quantities.split(' ')).collect();
        let mut got = missed(&report);
        expected.sort_unstable();
        got.sort_unstable();
        assert_eq!(got, expected, "{report}");
    }
}

#[test]
fn the_name_of_a_case_plays_no_role() {
    for case in ["s861", "s951_16l", "one_layer", "common"] {
        let report = Damaged::new(case).replay(Device::Cpu);
        assert!(report.ok, "{report}");
    }
}

#[test]
fn a_changed_value_is_a_miss_of_its_quantity_and_of_no_other() {
    // The second are names apart: integers and scales are also compared as the weights that they make.
    let model = [
        ("logits", "logits"),
        ("nll", "nll"),
        ("loss", "loss"),
        ("grad/blocks.1.mlp.fc.weight", "grad"),
        ("step.losses", "step.losses"),
        ("step.grad_norms", "step.grad_norms"),
        ("step1.sample", "step1.sample"),
        ("step3.digest", "step3.digest"),
        ("average3.sample", "average3.sample"),
        ("average3.digest", "average3.digest"),
        ("qat.q/blocks.0.mlp.fc.weight", "qat.q qat.weights"),
        ("qat.scale/blocks.0.mlp.fc.weight", "qat.scale qat.weights"),
        ("qat.loss", "qat.loss"),
        ("qat.grad.digest", "qat.grad.digest"),
        ("qat.grad.sample", "qat.grad.sample"),
        ("export.q/blocks.0.attn.c_q.weight", "export.q"),
        ("export.scale/blocks.0.attn.c_q.weight", "export.scale"),
        ("export.q4n/blocks.0.mlp.fc.weight", "export.q4n"),
        ("export.value/tok_emb.weight", "export.value"),
        ("export.nll", "export.nll"),
        ("export.loss", "export.loss"),
        ("slide.original.plan", "slide.plan"),
        ("slide.exact.nll", "slide.nll"),
        ("ttt.chunk_nll_sum", "ttt.chunk_nll_sum"),
        ("ttt.chunk_count", "ttt.chunk_count"),
        ("ttt.digest", "ttt.digest"),
        ("ttt.final.sample", "ttt.final.sample"),
    ];
    let unit = [
        ("ns5.3.output", "ns5.output"),
        ("ns5.0.singular_values", "ns5.singular_values"),
        ("muon.decay_last.w3", "muon.decay_last"),
        ("adamw.v3", "adamw"),
        ("kernel.attention.d_k", "kernel.attention"),
        ("kernel.rope16of64.out", "kernel.rope16of64"),
        ("kernel.softcap_ce.d_z", "kernel.softcap_ce"),
        ("hash.trigram_s951.10240", "hash"),
        ("rope.r16.sin", "rope"),
        ("quant.0.pct31.q", "quant.q"),
        ("quant.0.s585.scale", "quant.scale"),
        ("quant.0.pruned_0.15", "quant.pruned"),
        ("gptq.q", "gptq.q"),
    ];
    every_other("s951_16l", &model, Damaged::nudge);
    every_other("common", &unit, Damaged::nudge);
}

#[test]
fn a_changed_number_in_the_json_is_a_miss_of_its_quantity_and_of_no_other() {
    let model = [
        ("/kv_owner/1", "structure"),
        ("/rope_base_used", "rope_base"),
        ("/loss", "loss"),
        ("/training/losses/2", "training.losses"),
        ("/slide/exact/nll_sum", "slide.nll_sum"),
        ("/slide/original/windows", "slide.counts"),
        ("/ttt/nll_sum", "ttt.nll_sum"),
        ("/export/loss", "export.loss"),
    ];
    let unit = [
        ("/lr_scale/3/value", "lr_scale"),
        ("/momentum/1/value", "momentum"),
        ("/plans/N75_T32_S8/exact/2/0", "plans"),
        ("/planner_counts/stride64", "planner_counts"),
        ("/param_counts/s585", "param_counts"),
        ("/gptq/percentile/chosen", "gptq.percentile"),
    ];
    every_other("s861", &model, Damaged::change);
    every_other("common", &unit, Damaged::change);
}

#[test]
fn what_is_not_understood_is_a_miss() {
    let mut tensor = Damaged::new("s861");
    tensor.tensors.insert("grad/nobody".to_owned(), (Dtype::F32, vec![1], vec![0; 4]));
    let mut part = Damaged::new("common");
    part.tensors.insert("kernel.convolution.x".to_owned(), (Dtype::F32, vec![1], vec![0; 4]));
    part.tensors.insert("kernel.convolution.out".to_owned(), (Dtype::F32, vec![1], vec![0; 4]));
    let mut damaged = vec![tensor, part];
    for pointer in ["", "/config", "/training", "/training/groups/0", "/export", "/slide/exact", "/ttt"] {
        let mut field = Damaged::new("s861");
        field.json.pointer_mut(pointer).expect("a block")["novelty"] = json!(1);
        damaged.push(field);
    }
    for mut value in [("/ttt/opt", json!("lion")), ("/export/system", json!("s9999"))] {
        let mut field = Damaged::new("s861");
        *field.json.pointer_mut(value.0).expect("a field") = value.1.take();
        damaged.push(field);
    }
    for damaged in damaged {
        let report = damaged.replay(Device::Cpu);
        assert!(!report.ok && report.misses() > 0, "{report}");
    }
}

#[test]
fn a_missing_tensor_is_a_miss_and_the_other_parts_still_run() {
    let mut damaged = Damaged::new("s861");
    damaged.tensors.remove("step3.sample");
    let report = damaged.replay(Device::Cpu);
    assert_eq!(missed(&report), ["step3"], "{report}");
    assert!(report.cases[0].checks.iter().any(|check| check.quantity == "ttt.digest" && check.ok));
}

#[test]
fn only_parameters_without_elements_may_be_unknown() {
    for (shape, bytes) in [(vec![0, 30], 0), (vec![1, 30], 120)] {
        let mut damaged = Damaged::new("one_layer");
        let order = damaged.json["param_order"].as_array_mut().expect("a list");
        let at = order.iter().position(|name| name == "skip_weights").expect("listed");
        order[at] = json!("nobody");
        for prefix in ["param", "grad"] {
            damaged.tensors.remove(&format!("{prefix}/skip_weights"));
            let empty = (Dtype::F32, shape.clone(), vec![0; bytes]);
            damaged.tensors.insert(format!("{prefix}/nobody"), empty);
        }
        let report = damaged.replay(Device::Cpu);
        let refused = missed(&report).contains(&"case");
        assert_eq!(refused, bytes > 0, "{report}");
    }
}

/// A quantity of a damaged case on a device: whether it passed, and how often by a raised limit.
fn outcome(damaged: &Damaged, device: Device, quantity: &str) -> (bool, usize, String) {
    let report = damaged.replay(device);
    let row = report.cases[0].checks.iter().find(|check| check.quantity == quantity).expect("compared");
    (row.ok, row.raised, report.to_string())
}

#[test]
fn a_wrong_number_is_a_miss_whatever_the_fixture_says_of_single_precision() {
    for lost in [0.0, 1e3] {
        let mut damaged = Damaged::new("one_layer");
        damaged.json["loss"] = json!(damaged.json["loss"].as_f64().expect("a number") + 2e-5);
        damaged.json["float32_deviation"]["loss_abs"] = json!(lost);
        for device in [Device::Cpu, Device::Reference] {
            let (ok, raised, text) = outcome(&damaged, device, "loss");
            assert_eq!((ok, raised), (false, 0), "{text}");
        }
    }
    for quantity in ["ttt.final.sample", "ttt.digest"] {
        let mut damaged = Damaged::new("one_layer");
        damaged.nudge(quantity);
        let (ok, _, text) = outcome(&damaged, Device::Cpu, quantity);
        assert!(!ok, "{text}");
    }
}

#[test]
fn cases_in_folders_below_are_replayed_too() {
    let below = TempDir::new().expect("a temporary folder");
    fs::create_dir_all(below.path().join("a/b")).expect("a writable folder");
    for extension in ["json", "safetensors"] {
        let file = format!("one_layer.{extension}");
        fs::copy(committed().join(&file), below.path().join("a/b").join(&file)).expect("a writable folder");
    }
    let report = replay(below.path(), Device::Cpu);
    assert!(report.ok && report.cases[0].case == "a/b/one_layer", "{report}");
}

#[test]
fn half_a_case_and_an_empty_folder_do_not_pass() {
    let folder = TempDir::new().expect("a temporary folder");
    let report = replay(folder.path(), Device::Cpu);
    assert!(!report.ok && report.cases.is_empty() && report.to_string().contains("no case"));
    fs::write(folder.path().join("case.json"), "{}").expect("a writable folder");
    assert_eq!(missed(&replay(folder.path(), Device::Cpu)), ["case"]);
    fs::write(folder.path().join("case.safetensors"), "short").expect("a writable folder");
    assert_eq!(missed(&replay(folder.path(), Device::Cpu)), ["case"]);
    assert!(selftest::run(&folder.path().join("nowhere"), Device::Cpu).is_err());
}
