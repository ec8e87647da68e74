//! A model case: its configuration, parameters and batches, and the parts that are replayed on them.
//!
//! Which parts exist follows from the JSON blocks; nothing depends on the case's name or sizes.

use super::fault::Fault;
use super::fixture::Fixture;
use super::report::CaseReport;
use super::tolerance::Quantity;
use super::{adaptation, export, fake_quant, forward, training, windows};
use crate::device::Target;
use golf_core::model::gpt::Window;
use golf_core::model::{ModelConfig, parameters};
use golf_core::ops::RMS_EPSILON;
use golf_core::tensor::Tensor;
use std::collections::BTreeMap;

/// Inputs and targets of one step, `rows · seq` each.
pub struct Batch {
    /// Input ids.
    pub tokens: Tensor,
    /// The next id of every input.
    pub targets: Tensor,
}

/// A model case under replay.
pub struct Case<'a> {
    /// Its files.
    pub fixture: &'a Fixture,
    /// Where it is replayed.
    pub device: Target,
    /// Structure of the model.
    pub config: ModelConfig,
    /// Names of the parameters in the order of digests and samples, those without elements included.
    pub order: Vec<String>,
    /// Listed parameters without elements, such as the skip weights of a single layer. They are no parameters here.
    pub empty: BTreeMap<String, Vec<usize>>,
    /// Parameters in single precision, as stored.
    pub params: BTreeMap<String, Tensor>,
    /// Shapes of the parameters.
    pub shapes: BTreeMap<String, Vec<usize>>,
    /// Extents of a batch.
    pub window: Window,
    /// Batches of the training steps; the first is used for everything else.
    pub batches: Vec<Batch>,
}

/// Replays every part of a model case.
pub fn replay(fixture: &Fixture, device: Target, report: &mut CaseReport) {
    let case = match Case::new(fixture, device) {
        Ok(case) => case,
        Err(fault) => return report.refuse("case", fault),
    };
    report.attempt("structure", |report| case.structure(report));
    report.attempt("forward", |report| forward::replay(&case, report));
    let json = fixture.json();
    let parts: [(&str, Part); 5] = [
        ("training", training::replay),
        ("qat", fake_quant::replay),
        ("export", export::replay),
        ("slide", windows::replay),
        ("ttt", adaptation::replay),
    ];
    for (block, part) in parts {
        if let Some(node) = json.find(block) {
            report.attempt(block, |report| part(&case, &node, report));
        }
    }
}

type Part = fn(&Case<'_>, &super::fixture::Node<'_>, &mut CaseReport) -> Result<(), Fault>;

impl<'a> Case<'a> {
    fn new(fixture: &'a Fixture, device: Target) -> Result<Self, Fault> {
        let json = fixture.json();
        let config: ModelConfig = json.get("config")?;
        config.check()?;
        let order: Vec<String> = json.get("param_order")?;
        let shapes: BTreeMap<_, _> = parameters(&config).into_iter().map(|p| (p.name, p.shape)).collect();
        let empty = empty_parameters(fixture, &order)?;
        let mut sorted: Vec<&String> = order.iter().filter(|name| !empty.contains_key(*name)).collect();
        sorted.sort();
        if !sorted.into_iter().eq(shapes.keys()) {
            let names: Vec<&String> = shapes.keys().collect();
            return Err(json.field("param_order")?.refuse(format!("the parameters {names:?} in some order")));
        }
        let mut params = BTreeMap::new();
        for (name, shape) in &shapes {
            let key = format!("param/{name}");
            let stored = fixture.singles(&key)?;
            if stored.shape != *shape {
                return Err(Fault::TensorShape { name: key, expected: shape.clone(), got: stored.shape });
            }
            params.insert(name.clone(), Tensor::f32(shape, stored.values));
        }
        let window = Window { rows: json.get("batch")?, seq: json.get("T")? };
        for (key, extent) in [("batch", window.rows), ("T", window.seq)] {
            if extent == 0 {
                return Err(json.field(key)?.refuse("at least 1"));
            }
        }
        let batches = batches(fixture, window)?;
        Ok(Self { fixture, device, config, order, empty, params, shapes, window, batches })
    }

    /// Numbers that follow from the configuration.
    fn structure(&self, report: &mut CaseReport) -> Result<(), Fault> {
        let (json, c) = (self.fixture.json(), &self.config);
        // What the oracle lost in single precision is a remark; `conditioning` measures for itself.
        json.acknowledge_fields(&["case", "weights_seed", "float32_deviation"]);
        let got = [c.head_dim(), c.kv_dim(), c.encoder_layers(), c.skip_count()];
        for (key, got) in ["head_dim", "kv_dim", "n_encoder", "n_skip"].into_iter().zip(got) {
            report.equal("structure", key, &[got], &[json.get(key)?]);
        }
        let owners: Vec<usize> = (0..c.layers).map(|i| c.kv_owner(i)).collect();
        report.equal("structure", "kv_owner", &owners, &json.get::<Vec<usize>>("kv_owner")?);
        report.equal("structure", "rms_eps", &[RMS_EPSILON], &[json.get("rms_eps")?]);
        let base = c.rope_base_for(self.window.seq);
        report.compare("rope_base", Quantity::Schedule, "", &[base], &[json.get("rope_base_used")?]);
        Ok(())
    }

    /// Parameters in double precision.
    pub fn initial(&self, name: &str) -> Vec<f64> {
        self.params.get(name).map(Tensor::to_f64).unwrap_or_default()
    }

    /// Names of the model's parameters: the order without what has no elements.
    pub fn names(&self) -> impl Iterator<Item = &String> {
        self.order.iter().filter(|name| !self.empty.contains_key(*name))
    }

    /// A name list of the fixture without what has no elements.
    pub fn without_empty(&self, names: Vec<String>) -> Vec<String> {
        names.into_iter().filter(|name| !self.empty.contains_key(name)).collect()
    }
}

/// Parameters of the fixture that have no elements, with their shapes.
fn empty_parameters(fixture: &Fixture, order: &[String]) -> Result<BTreeMap<String, Vec<usize>>, Fault> {
    let mut empty = BTreeMap::new();
    for name in order {
        let shape = fixture.singles(&format!("param/{name}"))?.shape;
        if shape.contains(&0) {
            empty.insert(name.clone(), shape);
        }
    }
    Ok(empty)
}

fn batches(fixture: &Fixture, window: Window) -> Result<Vec<Batch>, Fault> {
    let stored = fixture.ints("train.tokens")?;
    let steps = stored.shape.first().copied().unwrap_or(0);
    let expected = vec![steps.max(1), window.rows, window.seq + 1];
    if stored.shape != expected {
        return Err(Fault::TensorShape { name: "train.tokens".to_owned(), expected, got: stored.shape });
    }
    let shift = |rows: &[i32], by: usize| {
        let ids: Vec<i32> =
            rows.chunks(window.seq + 1).flat_map(|row| row[by..by + window.seq].to_vec()).collect();
        Tensor::i32(&[window.tokens()], ids)
    };
    let batch = |rows: &[i32]| Batch { tokens: shift(rows, 0), targets: shift(rows, 1) };
    Ok(stored.values.chunks(window.rows * (window.seq + 1)).map(batch).collect())
}
