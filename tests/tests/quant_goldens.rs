//! Quantization against an independent implementation: every integer, step and pruned weight of a goldens
//! folder.
//!
//! The folder is `GOLF_GOLDEN`, or `../shared/golden` beside the project root; without one the tests say so
//! and pass. Each case is one `.safetensors` file with a `.json` beside it; `common` holds what belongs to no
//! case.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use golf_core::quant::float::Float;
use golf_core::quant::gptq::{Gptq, GptqOptions, published, sigma_steps};
use golf_core::quant::nibble::{pack_nibbles, unpack_nibbles};
use golf_core::quant::prune::{is_prunable, prune};
use golf_core::quant::quantile::{magnitudes, quantile};
use golf_core::quant::scheme::{CLIP_QUANTILE, PERCENTILES};
use golf_core::quant::{ExportRecipe, Exported, FakeQuantKind, FakeQuantRule, Scales, Scheme, export};
use half::f16;
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;

/// Folder of fixtures; prints why there is none.
fn golden() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/golden");
    let folder = std::env::var_os("GOLF_GOLDEN").map_or(beside, PathBuf::from);
    if folder.is_dir() {
        return Some(folder);
    }
    // Past the test harness's capture of printed lines: a skip must be seen.
    let reason = format!("skipped: no goldens at `{}`; set GOLF_GOLDEN to their folder\n", folder.display());
    std::io::stderr().write_all(reason.as_bytes()).expect("stderr is open");
    None
}

/// One fixture file, its tensors decoded on demand.
struct Fixture {
    bytes: Vec<u8>,
    meta: Value,
}

impl Fixture {
    fn open(folder: &Path, case: &str) -> Self {
        let read =
            |ext: &str| fs::read(folder.join(format!("{case}.{ext}"))).expect("a case has both of its files");
        Self { bytes: read("safetensors"), meta: serde_json::from_slice(&read("json")).expect("valid json") }
    }

    fn tensors(&self) -> SafeTensors<'_> {
        SafeTensors::deserialize(&self.bytes).expect("valid safetensors")
    }
}

fn shape(file: &SafeTensors, name: &str) -> Vec<usize> {
    file.tensor(name).unwrap_or_else(|e| panic!("{name}: {e}")).shape().to_vec()
}

fn words<const N: usize, T>(
    file: &SafeTensors,
    name: &str,
    dtype: Dtype,
    decode: fn([u8; N]) -> T,
) -> Vec<T> {
    let view = file.tensor(name).unwrap_or_else(|e| panic!("{name}: {e}"));
    assert_eq!(view.dtype(), dtype, "{name}");
    view.data().chunks_exact(N).map(|b| decode(b.try_into().expect("chunks have N bytes"))).collect()
}

fn f32s(file: &SafeTensors, name: &str) -> Vec<f32> {
    words(file, name, Dtype::F32, f32::from_le_bytes)
}

fn f16s(file: &SafeTensors, name: &str) -> Vec<f16> {
    words(file, name, Dtype::F16, f16::from_le_bytes)
}

fn i8s(file: &SafeTensors, name: &str) -> Vec<i8> {
    words(file, name, Dtype::I8, i8::from_le_bytes)
}

/// Integers equal, but for at most `near_ties` that differ by one.
fn assert_integers(tag: &str, got: &[i8], want: &[i8], near_ties: u64) -> u64 {
    assert_eq!(got.len(), want.len(), "{tag}");
    let off: Vec<u32> = got.iter().zip(want).map(|(g, w)| i32::from(*g).abs_diff(i32::from(*w))).collect();
    let differing = off.iter().filter(|d| **d > 0).count() as u64;
    assert!(off.iter().all(|d| *d <= 1), "{tag}: an integer is off by more than one");
    assert!(differing <= near_ties, "{tag}: {differing} integers differ, {near_ties} may");
    differing
}

fn assert_scales(tag: &str, got: &Scales, file: &SafeTensors, name: &str) {
    match got {
        Scales::PerRow(steps) => assert_eq!(steps, &f16s(file, name), "{tag}"),
        Scales::Half(step) => assert_eq!(vec![*step], f16s(file, name), "{tag}"),
        Scales::Single(step) => assert_eq!(vec![*step], f32s(file, name), "{tag}"),
    }
}

/// Scheme of a fixture key such as `pct31`.
fn scheme_of_key(key: &str) -> Scheme {
    let digits = key.trim_start_matches(|c: char| c.is_ascii_alphabetic());
    let c = || digits.parse().expect("the key ends with its largest integer");
    match key.trim_end_matches(|c: char| c.is_ascii_digit()) {
        "q" => Scheme::Q8,
        "rowmax" => Scheme::RowMax { c: c() },
        "pct" => Scheme::Percentile { c: c() },
        "floor" => Scheme::PercentileFloor { c: c() },
        "ratio" => Scheme::Ratio { c: c() },
        "s" if digits == "585" => Scheme::S585,
        "s" if digits == "861" => Scheme::S861,
        _ => panic!("unknown quantizer `{key}` in the fixtures"),
    }
}

#[test]
fn every_quantizer_gives_the_integers_and_steps_of_the_oracle() {
    let Some(folder) = golden() else { return };
    let fixture = Fixture::open(&folder, "common");
    let file = fixture.tensors();
    let listed = fixture.meta["quant"].as_object().expect("`common.json` lists quantizers");
    let mut differing = 0;
    for (tag, info) in listed {
        let (matrix, key) = tag.split_once('.').expect("`<matrix>.<quantizer>`");
        let weights = format!("quant.{matrix}.w");
        let got = scheme_of_key(key).quantize(&shape(&file, &weights), &f32s(&file, &weights));
        let near_ties = info["near_ties"].as_u64().expect("a count");
        differing += assert_integers(tag, &got.q, &i8s(&file, &format!("quant.{tag}.q")), near_ties);
        assert_scales(tag, &got.scales, &file, &format!("quant.{tag}.scale"));
    }
    let vector = f32s(&file, "quant.vector.w");
    for (key, scheme) in [("q8", Scheme::Q8), ("c31", Scheme::RowMax { c: 31 })] {
        let got = scheme.quantize(&[vector.len()], &vector);
        differing += assert_integers(key, &got.q, &i8s(&file, &format!("quant.vector.{key}.q")), 0);
        assert_scales(key, &got.scales, &file, &format!("quant.vector.{key}.scale"));
    }
    println!("{} quantized tensors, {differing} integers differ at near ties", listed.len() + 2);
}

#[test]
fn quantiles_pruning_and_nibbles_equal_the_oracle() {
    let Some(folder) = golden() else { return };
    let fixture = Fixture::open(&folder, "common");
    let file = fixture.tensors();
    let mut compared = 0;
    for name in file.names() {
        let Some((matrix, what)) = name.strip_prefix("quant.").and_then(|rest| rest.split_once('.')) else {
            continue;
        };
        let weights = || f32s(&file, &format!("quant.{matrix}.w"));
        if let Some(p) = what.strip_prefix("row_quantile_") {
            let p = if p == "q8" { CLIP_QUANTILE } else { p.parse().expect("a probability") };
            let cols = shape(&file, &format!("quant.{matrix}.w"))[1];
            let mut scratch = Vec::new();
            let row_quantile = |row: &[f32]| {
                magnitudes(row, &mut scratch);
                quantile(&mut scratch, p)
            };
            let got: Vec<f32> = weights().chunks(cols).map(row_quantile).collect();
            assert_eq!(got, f32s(&file, name), "{name}");
        } else if let Some(fraction) = what.strip_prefix("pruned_") {
            let mut got = weights();
            prune(&mut got, fraction.parse().expect("a fraction"));
            assert_eq!(got, f32s(&file, name), "{name}");
        } else if let Some(source) = what.strip_prefix("nibbles_of_") {
            let source = format!("quant.{matrix}.{source}.q");
            let (q, cols) = (i8s(&file, &source), shape(&file, &source)[1]);
            assert_eq!(pack_nibbles(&q, cols), i8s(&file, name), "{name}");
            assert_eq!(unpack_nibbles(&i8s(&file, name), cols), q, "{name}");
        } else {
            continue;
        }
        compared += 1;
    }
    assert!(compared > 0, "the fixtures hold no quantiles");
    println!("{compared} tensors of quantiles, pruned weights and nibbles");
}

#[test]
fn gptq_gives_the_integers_of_the_oracle() {
    let Some(folder) = golden() else { return };
    let fixture = Fixture::open(&folder, "common");
    let (file, info) = (fixture.tensors(), &fixture.meta["gptq"]);
    let (w, h) = (f32s(&file, "gptq.w"), f32s(&file, "gptq.h"));
    let [rows, cols] = shape(&file, "gptq.w")[..] else { panic!("`gptq.w` is a matrix") };
    let c = info["c"].as_u64().expect("an integer bound") as u32;
    let damping = info["damp"].as_f64().expect("a fraction");
    let scale = f16s(&file, "gptq.scale");
    assert_eq!(sigma_steps(&w, cols, 3.0, c), scale, "steps from deviations");
    let steps: Vec<f32> = scale.iter().map(|s| s.to_f32()).collect();
    for (act_order, name) in [(true, "gptq.q"), (false, "gptq.no_actorder.q")] {
        let gptq = Gptq::new(&h, GptqOptions { damping, act_order }).expect("the fixture factors");
        assert_integers(name, &gptq.quantize(&w, &steps, c).expect("shapes agree"), &i8s(&file, name), 0);
    }
    let gptq = Gptq::new(&h, GptqOptions { damping, act_order: true }).expect("the fixture factors");
    let c = info["percentile"]["c"].as_u64().expect("an integer bound") as u32;
    let (matrix, chosen) = gptq.quantize_percentile(&w, rows, c).expect("shapes agree");
    assert_eq!(PERCENTILES[chosen], info["percentile"]["chosen"].as_f64().expect("a percentile"));
    assert_integers("gptq.percentile", &matrix.q, &i8s(&file, "gptq.percentile.q"), 0);
    assert_scales("gptq.percentile", &matrix.scales, &file, "gptq.percentile.scale");
}

#[test]
fn the_published_gptq_recursions_are_reproduced() {
    let Some(folder) = golden() else { return };
    let fixture = Fixture::open(&folder, "common");
    let (file, info) = (fixture.tensors(), &fixture.meta["gptq"]);
    let w = f32s(&file, "gptq.w");
    let c = |form: &str| info[form]["c"].as_u64().expect("an integer bound") as u32;
    // This fixture has its own Hessian: the published form leaves dead columns in.
    let h = f32s(&file, "gptq.s585_form.h");
    let got = published::s585(&w, &h, &f32s(&file, "gptq.s585_form.scale"), c("s585_form")).expect("factors");
    assert_integers("gptq.s585_form", &got, &i8s(&file, "gptq.s585_form.q"), 0);
    let steps: Vec<f32> = f16s(&file, "gptq.s1216_form.scale").iter().map(|s| s.to_f32()).collect();
    let got = published::s1216(&w, &h, &steps, c("s1216_form")).expect("factors");
    assert_integers("gptq.s1216_form", &got, &i8s(&file, "gptq.s1216_form.q"), 0);
}

/// Names of the model cases, in order.
fn cases(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("the folder exists");
    let files = entries.map(|e| e.expect("readable").file_name().into_string().expect("unicode file names"));
    let mut cases: Vec<String> =
        files.filter_map(|f| Some(f.strip_suffix(".safetensors")?.to_string())).collect();
    cases.retain(|case| case != "common");
    cases.sort();
    cases
}

/// Integers and steps of a rule in one precision.
fn fake<T: Float>(rule: FakeQuantRule, cols: usize, weights: &[T]) -> (Vec<i8>, Vec<T>) {
    let mut scratch = Vec::new();
    let steps: Vec<T> = weights.chunks(cols).map(|row| rule.step(row, &mut scratch)).collect();
    let integer = |(i, &w): (usize, &T)| rule.integer(w, steps[i / cols]).to_f64() as i8;
    (weights.iter().enumerate().map(integer).collect(), steps)
}

fn assert_close(tag: &str, got: impl Iterator<Item = f64>, want: &[f32], relative: f64) {
    for (g, &w) in got.zip(want) {
        assert!((g - f64::from(w)).abs() <= relative * f64::from(w).abs(), "{tag}: {g}, expected {w}");
    }
}

/// How far an `f32` step may be from the `f64` one: two roundings, and for a percentile also the rank's,
/// `cols·2^-23` of the gap between neighbours, which is at most the value itself.
fn single_precision_limit(rule: FakeQuantRule, cols: usize) -> f64 {
    let rank = if rule.kind == FakeQuantKind::S585 { cols as f64 } else { 0.0 };
    (rank + 2.0) * f64::from(f32::EPSILON)
}

#[test]
fn fake_quantization_equals_the_oracle_in_both_precisions() {
    let Some(folder) = golden() else { return };
    let mut compared = 0;
    for case in cases(&folder) {
        let fixture = Fixture::open(&folder, &case);
        let file = fixture.tensors();
        let Some(rules) = fixture.meta["qat"]["rules"].as_object() else { continue };
        for (name, rule) in rules {
            let tag = format!("{case} {name}");
            let kind: FakeQuantKind = serde_json::from_value(rule["kind"].clone()).expect("a known kind");
            let rule = FakeQuantRule::new(kind, rule["c"].as_u64().expect("an integer bound") as u32);
            let single = f32s(&file, &format!("param/{name}"));
            let double: Vec<f64> = single.iter().map(|&w| f64::from(w)).collect();
            let cols = shape(&file, &format!("param/{name}"))[1];
            let want = i8s(&file, &format!("qat.q/{name}"));
            let steps = f32s(&file, &format!("qat.scale/{name}"));
            let (q, got) = fake(rule, cols, &double);
            assert_integers(&tag, &q, &want, 0);
            assert_close(&tag, got.into_iter(), &steps, 6e-8);
            let (q, got) = fake(rule, cols, &single);
            assert_integers(&tag, &q, &want, 0);
            assert_close(&tag, got.into_iter().map(f64::from), &steps, single_precision_limit(rule, cols));
            compared += 1;
        }
    }
    println!("{compared} fake-quantized matrices, each in f32 and f64");
}

/// The recipe that a case's `export.system` names.
fn recipe(fixture: &Fixture) -> ExportRecipe {
    serde_json::from_value(fixture.meta["export"]["system"].clone()).expect("a known export system")
}

#[test]
fn recipes_fake_quantize_and_prune_the_tensors_that_the_oracle_does() {
    let Some(folder) = golden() else { return };
    for case in cases(&folder) {
        let fixture = Fixture::open(&folder, &case);
        if fixture.meta["export"].is_null() {
            continue;
        }
        let (file, info, recipe) = (fixture.tensors(), &fixture.meta["export"], recipe(&fixture));
        assert_eq!(info["prune_fraction"].as_f64(), Some(recipe.prune_fraction()), "{case}");
        let above = info["prune_if_elements_above"].as_u64().expect("a size") as usize;
        for name in fixture.meta["param_order"].as_array().expect("names").iter().filter_map(Value::as_str) {
            let shape = shape(&file, &format!("param/{name}"));
            let rule = recipe.fake_quant(name, &shape).map(|rule| serde_json::json!(rule));
            assert_eq!(rule.as_ref(), fixture.meta["qat"]["rules"].get(name), "{case} {name}");
            let pruned = recipe.prune_fraction() > 0.0 && is_prunable(&shape, above);
            let listed = info["pruned"].as_array().expect("names").iter().any(|n| n == name);
            assert_eq!(pruned, listed, "{case} {name}");
        }
    }
}

/// The parameters of a case after pruning, with their shapes.
fn pruned_params(fixture: &Fixture) -> BTreeMap<String, (Vec<usize>, Vec<f32>)> {
    let (file, info) = (fixture.tensors(), &fixture.meta["export"]);
    let fraction = info["prune_fraction"].as_f64().expect("a fraction");
    let listed = info["pruned"].as_array().expect("names");
    let one = |name: &str| {
        let mut values = f32s(&file, &format!("param/{name}"));
        if listed.iter().any(|n| n == name) {
            prune(&mut values, fraction);
        }
        (name.to_string(), (shape(&file, &format!("param/{name}")), values))
    };
    fixture.meta["param_order"].as_array().expect("names").iter().filter_map(Value::as_str).map(one).collect()
}

#[test]
fn exported_models_equal_the_oracle_tensor_by_tensor() {
    let Some(folder) = golden() else { return };
    let (mut quantized, mut passed, mut nibbles, mut differing, mut allowed) = (0, 0, 0, 0, 0);
    for case in cases(&folder) {
        let fixture = Fixture::open(&folder, &case);
        if fixture.meta["export"].is_null() {
            continue;
        }
        let (file, info) = (fixture.tensors(), &fixture.meta["export"]);
        let params = pruned_params(&fixture);
        let refs = params.iter().map(|(name, (shape, values))| (name.as_str(), &shape[..], &values[..]));
        let threshold = info["passthrough_max_elements"].as_u64().expect("a size") as usize;
        let layers = fixture.meta["config"]["layers"].as_u64().expect("a count") as usize;
        let exported = export(refs, recipe(&fixture), threshold, layers).expect("finite parameters");
        for (name, tensor) in exported {
            let (tag, want) = (format!("{case} {name}"), &info["scheme"][&name]);
            match tensor {
                Exported::F32(values) => {
                    assert_eq!(want["scheme"], "fp32", "{tag}");
                    assert_eq!(values, params[&name].1, "{tag}");
                    passed += 1;
                }
                Exported::F16(values) => {
                    assert_eq!(want["scheme"], "fp16", "{tag}");
                    assert_eq!(values, f16s(&file, &format!("export.value/{name}")), "{tag}");
                    passed += 1;
                }
                Exported::Quantized(scheme, got) => {
                    assert_eq!(
                        (&want["scheme"], &want["c"]),
                        (&scheme.name().into(), &scheme.c().into()),
                        "{tag}"
                    );
                    let near_ties = want["near_ties"].as_u64().expect("a count");
                    allowed += near_ties;
                    let q = i8s(&file, &format!("export.q/{name}"));
                    differing += assert_integers(&tag, &got.q, &q, near_ties);
                    assert_scales(&tag, &got.scales, &file, &format!("export.scale/{name}"));
                    quantized += 1;
                    if file.tensor(&format!("export.q4n/{name}")).is_ok() {
                        let packed = i8s(&file, &format!("export.q4n/{name}"));
                        assert_eq!(pack_nibbles(&got.q, got.cols), packed, "{tag}");
                        nibbles += 1;
                    }
                }
            }
        }
    }
    println!(
        "{quantized} quantized, {passed} plain, {nibbles} packed; {differing} of {allowed} near ties differ"
    );
}
