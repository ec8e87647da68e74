//! The evaluator against the independent oracle's fixtures: window plans, sliding sums, score-first adaptation.

use golf_core::eval::{
    AdaptOptions, EvalOptions, Evaluator, Marks, ModelWeights, Receipt, Source, Stream, Trainable,
    TttOptimizer, WindowPlan, WindowRule,
};
use golf_core::model::{ModelConfig, parameters};
use golf_core::quant::fake::FakeQuantRule;
use golf_core::reference::Reference;
use golf_core::tensor::Tensor;
use pollster::block_on;
use safetensors::SafeTensors;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The oracle's fixtures, or `None` (said on stderr) where they are not there.
fn golden() -> Option<PathBuf> {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    let folder = std::env::var_os("GOLF_SHARED").map_or_else(beside, PathBuf::from).join("golden");
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("skipped: no fixtures in `{}`; set GOLF_SHARED", folder.display());
    None
}

struct Case {
    name: String,
    json: Value,
    bytes: Vec<u8>,
}

impl Case {
    fn all() -> Vec<Case> {
        let Some(folder) = golden() else { return Vec::new() };
        let mut cases = Vec::new();
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|e| e == "json") && path.with_extension("safetensors").exists() {
                let json = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
                let bytes = std::fs::read(path.with_extension("safetensors")).unwrap();
                cases.push(Case { name: path.file_stem().unwrap().to_string_lossy().into(), json, bytes });
            }
        }
        cases
    }

    fn floats(&self, name: &str) -> Vec<f64> {
        let file = SafeTensors::deserialize(&self.bytes).unwrap();
        let view = file.tensor(name).unwrap_or_else(|_| panic!("{}: no `{name}`", self.name));
        match view.dtype() {
            safetensors::Dtype::F32 => {
                view.data().as_chunks::<4>().0.iter().map(|b| f64::from(f32::from_le_bytes(*b))).collect()
            }
            safetensors::Dtype::F64 => {
                view.data().as_chunks::<8>().0.iter().map(|b| f64::from_le_bytes(*b)).collect()
            }
            other => panic!("{}: `{name}` is {other:?}", self.name),
        }
    }

    fn ints(&self, name: &str) -> Vec<i32> {
        let file = SafeTensors::deserialize(&self.bytes).unwrap();
        let view = file.tensor(name).unwrap_or_else(|_| panic!("{}: no `{name}`", self.name));
        view.data().as_chunks::<4>().0.iter().map(|b| i32::from_le_bytes(*b)).collect()
    }

    fn model(&self) -> ModelWeights {
        let config: ModelConfig = serde_json::from_value(self.json["config"].clone()).unwrap();
        let value = |name: &str| self.floats(&format!("param/{name}")).iter().map(|x| *x as f32).collect();
        let tensors = parameters(&config).into_iter();
        let tensors = tensors.map(|p| (p.name.clone(), Tensor::f32(&p.shape, value(&p.name))));
        ModelWeights::new(config, tensors.collect(), [0; 32]).unwrap()
    }

    fn count(&self, block: &str, key: &str) -> usize {
        self.json[block][key].as_u64().unwrap() as usize
    }

    fn adaptation(&self) -> AdaptOptions {
        let ttt = &self.json["ttt"];
        let optimizer = match ttt["opt"].as_str().unwrap() {
            "sgd" => TttOptimizer::Sgd { momentum: ttt["momentum"].as_f64().unwrap() },
            _ => TttOptimizer::Adamw,
        };
        let trainable = match ttt["selection"].as_str().unwrap() {
            "all" => Trainable::All,
            "s861" => Trainable::Mlp,
            "s585" => Trainable::LastBlocks(2),
            other => panic!("selection `{other}`"),
        };
        let rules = match ttt["fake_quant_while_adapting"].as_bool().unwrap() {
            true => serde_json::from_value(self.json["qat"]["rules"].clone()).unwrap(),
            false => BTreeMap::<String, FakeQuantRule>::new(),
        };
        AdaptOptions {
            trainable,
            optimizer,
            lr: ttt["lr0"].as_f64().unwrap(),
            epochs: self.count("ttt", "epochs"),
            batch_rows: self.count("ttt", "batch_rows"),
            clip: ttt["clip"].as_f64().unwrap(),
            fake_quant: rules,
        }
    }
}

struct Run {
    nll: Vec<f64>,
    receipt: Receipt,
    states: BTreeMap<String, Tensor>,
}

fn run(model: &ModelWeights, tokens: Vec<i32>, options: EvalOptions, adapt: Option<AdaptOptions>) -> Run {
    let target_bytes = vec![1; tokens.len() - 1];
    let stream = Stream { tokens, target_bytes, source: Source::default(), marks: Marks::default() };
    let mut backend = Reference::new();
    let mut evaluator = block_on(Evaluator::new(&mut backend, model, stream, options, adapt)).unwrap();
    let mut nll = Vec::new();
    while let Some(chunk) = evaluator.next_chunk() {
        let scored = block_on(evaluator.score(chunk)).unwrap();
        nll.extend(scored.targets().map(|(_, nll)| nll));
        block_on(evaluator.adapt(scored)).unwrap();
    }
    let receipt = evaluator.receipt().unwrap();
    receipt.verify().unwrap();
    Run { nll, receipt, states: block_on(evaluator.snapshot()).unwrap().states }
}

const RULES: [(&str, WindowRule); 3] = [
    ("original", WindowRule::Original),
    ("original_min1", WindowRule::OriginalMin1),
    ("exact", WindowRule::Exact),
];

fn close(got: f64, expected: f64, limit: f64, what: &str) {
    assert!((got - expected).abs() <= limit, "{what}: expected {expected}, got {got}");
}

#[test]
fn window_plans_equal_the_oracle_s() {
    for case in Case::all() {
        if let Some(plans) = case.json.get("plans").and_then(Value::as_object) {
            for (sizes, rules) in plans {
                let n: Vec<usize> = sizes.split('_').map(|part| part[1..].parse().unwrap()).collect();
                for (name, rule) in RULES {
                    let plan = WindowPlan::new(rule, n[0], n[1], n[2]).unwrap();
                    let got: Vec<[usize; 3]> =
                        plan.iter().map(|w| [w.start, w.end, w.first_scored]).collect();
                    assert_eq!(serde_json::to_value(got).unwrap(), rules[name], "{sizes} {name}");
                }
            }
        }
        if case.json.get("slide").is_none() {
            continue;
        }
        let (window, stride) = (case.count("slide", "T"), case.count("slide", "stride"));
        for (name, rule) in RULES {
            let plan = WindowPlan::new(rule, case.count("slide", "targets"), window, stride).unwrap();
            let got: Vec<i32> =
                plan.iter().flat_map(|w| [w.start, w.end, w.first_scored].map(|x| x as i32)).collect();
            assert_eq!(got, case.ints(&format!("slide.{name}.plan")), "{} {name}", case.name);
        }
    }
}

#[test]
fn sliding_scores_equal_the_oracle_s() {
    for case in Case::all().iter().filter(|case| case.json.get("slide").is_some()) {
        let model = case.model();
        for (name, rule) in RULES {
            let options = EvalOptions {
                rule,
                window: case.count("slide", "T"),
                stride: case.count("slide", "stride"),
                chunk: 100,
                ..EvalOptions::default()
            };
            let got = run(&model, case.ints("slide.stream"), options, None);
            let expected = case.floats(&format!("slide.{name}.nll"));
            assert_eq!(got.nll.len(), expected.len(), "{} {name}", case.name);
            for (got, expected) in got.nll.iter().zip(&expected) {
                close(*got, *expected, 1e-6 * expected.abs(), &format!("{} {name}", case.name));
            }
            let sum = case.json["slide"][name]["nll_sum"].as_f64().unwrap();
            close(got.receipt.totals.nll, sum, 1e-9 * sum, &format!("{} {name} sum", case.name));
        }
    }
}

#[test]
fn score_first_adaptation_follows_the_oracle_s_trajectory() {
    for case in Case::all().iter().filter(|case| case.json.get("ttt").is_some()) {
        let model = case.model();
        let options = EvalOptions {
            rule: WindowRule::Original,
            window: case.count("ttt", "T"),
            stride: case.count("ttt", "stride"),
            chunk: case.count("ttt", "chunk"),
            ..EvalOptions::default()
        };
        let got = run(&model, case.ints("ttt.stream"), options, Some(case.adaptation()));
        let sums = case.floats("ttt.chunk_nll_sum");
        let counts = case.ints("ttt.chunk_count");
        assert_eq!(got.receipt.chunks.len(), sums.len(), "{}", case.name);
        for (record, (sum, count)) in got.receipt.chunks.iter().zip(sums.iter().zip(&counts)) {
            assert_eq!(record.tokens, *count as u64, "{} chunk {}", case.name, record.index);
            close(record.nll, *sum, 1e-9 * sum, &format!("{} chunk {}", case.name, record.index));
        }
        let sample = case.floats("ttt.final.sample");
        let order = case.json["param_order"].as_array().unwrap();
        for (name, expected) in order.iter().zip(sample.chunks(64)) {
            let name = name.as_str().unwrap();
            let Some(tensor) = got.states.get(name) else { continue };
            let values = tensor.to_f64();
            let (n, k) = (values.len(), values.len().min(64));
            let largest = values.iter().fold(0.0f64, |m, x| m.max(x.abs()));
            for i in 0..k {
                close(values[i * n / k], expected[i], 1e-6 * largest, &format!("{} {name}", case.name));
            }
        }
    }
}
