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
fn rules(node: &Node<'_>) -> Result<BTreeMap<String, FakeQuantRule>, Fault> {
    let stored: BTreeMap<String, StoredRule> = node.get("rules")?;
    Ok(stored.into_iter().map(|(n, r)| (n, FakeQuantRule::new(r.kind, r.c))).collect())
}

/// The weights of a model under the fixture's rules; a fixture without them has no weight to quantize.
pub fn weights_of(case: &Case<'_>) -> Result<Weights, Fault> {
    let mut fake_quant = match case.fixture.json().find("qat") {
        Some(node) => rules(&node)?,
        None => BTreeMap::new(),
    };
    // The oracle lists a rule for an untied head, since its name matches, but its model reads the head's matrix as it is:
    // the rule's integers are compared, the model does without. Every published head is the tied embedding.
    fake_quant.remove("lm_head.weight");
    Ok(Weights { fake_quant, ..Weights::default() })
}

/// Replays the block.
pub fn replay(case: &Case<'_>, node: &Node<'_>, report: &mut CaseReport) -> Result<(), Fault> {
    for (name, rule) in rules(node)? {
        let Some([rows, cols]) = case.shapes.get(&name).map(Vec::as_slice) else {
            return Err(node.field("rules")?.refuse(format!("matrices of the model, not `{name}`")));
        };
        report.attempt("qat", |report| matrix(case, &name, rule, [*rows, *cols], report));
    }
    let (loss, grads) = gradients(case, &weights_of(case)?)?;
    let fixture = case.fixture;
    for (at, expected) in [("tensor", fixture.floats_of("qat.loss", &[])?), ("json", vec![node.get("loss")?])]
    {
        report.compare("qat.loss", Quantity::Loss, at, &[loss], &expected);
    }
    let summaries = Summaries { fixture, order: &case.order };
    summaries.gradients(report, "qat.grad", &grads)
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
    let neighbours =
        neighbours(report.precision(), cols, &tensor.to_f64(), &expected.values, &steps, &scales);
    compare_tied(report, name, &q, &expected.values, &neighbours);
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
        // In parts of the row's range, so that one wrong integer is a deviation of 1/c.
        let scale = scales[i / cols];
        let off = |q: i8| (seen - f64::from(q) * scale).abs();
        let off = if off(neighbours[i]) < off(q) { off(neighbours[i]) } else { off(q) };
        worst = nan_max(worst, ratio(off, scale * f64::from(rule.c)));
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

/// The other integer that each weight may have. It is the stored one, but for a weight of which single precision cannot
/// tell on which side of the half between two integers it lies, given the device's steps and the stored ones.
fn neighbours(
    precision: Precision,
    cols: usize,
    weights: &[f64],
    stored: &[i8],
    steps: &[f64],
    scales: &[f64],
) -> Vec<i8> {
    let other = |(i, (&weight, &q)): (usize, (&f64, &i8))| {
        let (step, scale) = (steps[i / cols], scales[i / cols]);
        let quotient = weight / scale;
        let side = (quotient - f64::from(q)).signum();
        let from_half = (quotient - f64::from(q) - 0.5 * side).abs();
        // The steps' difference, and three roundings of half a unit: the stored scale's, the division's, the step's own.
        let blur = ratio((step - scale).abs(), scale) + 1.5 * f64::from(f32::EPSILON);
        let tied = precision == Precision::F32 && from_half <= blur * quotient.abs();
        if tied { q.saturating_add(side as i8) } else { q }
    };
    weights.iter().zip(stored).enumerate().map(other).collect()
}

/// Integers: equal, but for those that may be their neighbour.
fn compare_tied(report: &mut CaseReport, name: &str, got: &[i8], stored: &[i8], neighbours: &[i8]) {
    let differing = got.iter().zip(stored).filter(|(g, s)| g != s).count();
    let ties = stored.iter().zip(neighbours).filter(|(s, n)| s != n).count();
    let explained = got.iter().zip(stored.iter().zip(neighbours)).all(|(g, (s, n))| g == s || g == n);
    if differing > 0 && explained {
        report.record_raised("qat.q", Measure::Count, differing as f64, ties as f64, name);
    } else {
        report.equal("qat.q", name, got, stored);
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_weight_on_the_edge_has_a_neighbour_and_only_in_single_precision() {
        let weights = [2.5, -2.5000002, 2.499, 0.0, -1.5];
        let stored = [2, -3, 2, 0, -2];
        let of = |precision| neighbours(precision, 5, &weights, &stored, &[1.0], &[1.0]);
        assert_eq!(of(Precision::F32), [3, -2, 2, 0, -1]);
        assert_eq!(of(Precision::F64), stored);
        // A step that is off blurs the edge by as much.
        let blurred = neighbours(Precision::F32, 5, &weights, &stored, &[1.001], &[1.0]);
        assert_eq!(blurred, [3, -2, 3, 0, -1]);
    }

    #[test]
    fn an_integer_that_is_no_neighbour_is_a_miss() {
        for (got, ok, raised) in
            [([2, 7], true, 0), ([3, 7], true, 1), ([1, 7], false, 0), ([3, 6], false, 0)]
        {
            let mut report = CaseReport::new("case", Precision::F32);
            compare_tied(&mut report, "w", &got, &[2, 7], &[3, 7]);
            assert_eq!((report.ok(), report.checks[0].raised), (ok, raised), "{got:?}");
        }
    }
}
