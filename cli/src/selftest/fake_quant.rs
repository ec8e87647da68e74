//! Fake quantization: integers and scales of every rule, and loss and straight-through gradients of the model.

use super::case::Case;
use super::fault::Fault;
use super::fixture::Node;
use super::forward::gradients;
use super::report::CaseReport;
use super::session::Session;
use super::summary::Summaries;
use super::tolerance::{Measure, Precision, Quantity, nan_max, ratio};
use golf_core::graph::Graph;
use golf_core::model::gpt::Weights;
use golf_core::ops::FakeQuant;
use golf_core::quant::float::Float;
use golf_core::quant::{FakeQuantKind, FakeQuantRule};
use golf_core::tensor::TensorType;
use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredRule {
    kind: FakeQuantKind,
    c: u32,
}

/// The rules of a `qat` block.
pub fn weights(node: &Node<'_>) -> Result<Weights, Fault> {
    let stored: BTreeMap<String, StoredRule> = node.get("rules")?;
    let fake_quant = stored.into_iter().map(|(n, r)| (n, FakeQuantRule::new(r.kind, r.c))).collect();
    Ok(Weights { fake_quant, ..Weights::default() })
}

/// Replays the block.
pub fn replay(case: &Case<'_>, node: &Node<'_>, report: &mut CaseReport) -> Result<(), Fault> {
    let weights = weights(node)?;
    for (name, &rule) in &weights.fake_quant {
        let Some([rows, cols]) = case.shapes.get(name).map(Vec::as_slice) else {
            return Err(node.field("rules")?.refuse(format!("matrices of the model, not `{name}`")));
        };
        report.attempt("qat", |report| matrix(case, name, rule, [*rows, *cols], report));
    }
    let (loss, grads) = gradients(case, &weights)?;
    report.compare("qat.loss", Quantity::Loss, "tensor", &[loss], &case.fixture.floats_of("qat.loss", &[])?);
    report.compare("qat.loss", Quantity::Loss, "json", &[loss], &[node.get("loss")?]);
    Summaries { fixture: case.fixture, order: &case.order }.gradients(report, "qat.grad", &grads)
}

/// One matrix: the rule by itself in the device's precision, and the op on the device.
fn matrix(
    case: &Case<'_>,
    name: &str,
    rule: FakeQuantRule,
    [rows, cols]: [usize; 2],
    report: &mut CaseReport,
) -> Result<(), Fault> {
    let expected = case.fixture.bytes(&format!("qat.q/{name}"))?;
    let scales = case.fixture.floats_of(&format!("qat.scale/{name}"), &[rows])?;
    if expected.shape != [rows, cols] {
        let name = format!("qat.q/{name}");
        return Err(Fault::TensorShape { name, expected: vec![rows, cols], got: expected.shape });
    }
    let tensor = &case.params[name];
    let (q, steps) = match report.precision() {
        Precision::F32 => integers(rule, cols, tensor.f32s()),
        Precision::F64 => integers(rule, cols, &tensor.to_f64()),
    };
    report.equal("qat.q", name, &q, &expected.values);
    let limit = scale_limit(report, rule, cols);
    report.record("qat.scale", Measure::OfEach, Measure::OfEach.deviation(&steps, &scales), limit, name);
    let mut graph = Graph::new();
    let w = graph.state(name, TensorType::f32(&[rows, cols]));
    let seen = graph.apply(FakeQuant { rule }, &[w])?;
    graph.output("seen", seen);
    let mut session = Session::new(case.device)?;
    session.write(name, tensor)?;
    let seen = session.evaluate(&graph, &[])?.remove(0).to_f64();
    let mut worst = 0.0;
    for (i, (seen, &q)) in seen.iter().zip(&expected.values).enumerate() {
        // In steps, so that one wrong integer is a deviation of 1; in parts of the row's range.
        let scale = scales[i / cols];
        worst = nan_max(worst, ratio((seen - f64::from(q) * scale).abs(), scale * f64::from(rule.c)));
    }
    report.record("qat.weights", Measure::OfMaximum, worst, limit, name);
    Ok(())
}

fn integers<T: Float>(rule: FakeQuantRule, cols: usize, weights: &[T]) -> (Vec<i8>, Vec<f64>) {
    let mut scratch = Vec::new();
    let (mut q, mut steps) = (Vec::with_capacity(weights.len()), Vec::new());
    for row in weights.chunks(cols) {
        let step = rule.step(row, &mut scratch);
        q.extend(row.iter().map(|&w| rule.integer(w, step).to_f64() as i8));
        steps.push(step.to_f64());
    }
    (q, steps)
}

/// How far a step may be from the oracle's: in f32 three roundings, and for a percentile also its rank's, `cols·ε` of
/// the gap between neighbours, which is at most the value itself.
fn scale_limit(report: &CaseReport, rule: FakeQuantRule, cols: usize) -> f64 {
    match report.precision() {
        Precision::F64 => Quantity::FakeQuant.rule(Precision::F64).1,
        Precision::F32 => {
            let rank = if rule.kind == FakeQuantKind::S585 { cols as f64 } else { 0.0 };
            (rank + 3.0) * f64::from(f32::EPSILON)
        }
    }
}
