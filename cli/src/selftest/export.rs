//! The exporter: pruning, routing, integers, scales, nibbles and pass-through values of every parameter, and the score
//! of the dequantized model.

use super::case::Case;
use super::fault::Fault;
use super::fixture::{Fixture, Node};
use super::forward::score;
use super::quantized::{Ties, compare_integers, compare_scales};
use super::report::CaseReport;
use super::tolerance::Quantity;
use golf_core::model::gpt::Weights;
use golf_core::quant::nibble::{pack_nibbles, unpack_nibbles};
use golf_core::quant::prune::{is_prunable, prune};
use golf_core::quant::{ExportRecipe, Exported, Quantized, Scheme, export};
use golf_core::tensor::Tensor;
use serde::Deserialize;
use std::collections::BTreeMap;

/// How the fixture says that one tensor is stored.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredScheme {
    scheme: String,
    c: Option<u32>,
    near_ties: Option<usize>,
    zeros: Option<usize>,
    /// How close the oracle's choice was; nothing to compare.
    #[serde(rename = "selection_margin")]
    _selection_margin: Option<f64>,
}

/// Replays the block.
pub fn replay(case: &Case<'_>, node: &Node<'_>, report: &mut CaseReport) -> Result<(), Fault> {
    let params = pruned(case, node, report)?;
    let recipe: ExportRecipe = node.get("system")?;
    let views = params.iter().map(|(name, t)| (name.as_str(), t.shape(), t.f32s()));
    let exported = export(views, recipe, node.get("passthrough_max_elements")?, case.config.layers)?;
    let mut schemes: BTreeMap<String, StoredScheme> = node.get("scheme")?;
    let mut restored = BTreeMap::new();
    for (name, tensor) in &exported {
        let Some(stored) = schemes.remove(name) else {
            report.refuse("export.scheme", format!("`{name}` is not listed"));
            continue;
        };
        report.attempt("export", |report| one(case.fixture, name, tensor, &stored, report));
        restored.insert(name.clone(), Tensor::f32(&case.shapes[name], tensor.dequantize()));
    }
    for (name, shape) in &case.empty {
        let passed = schemes.remove(name).map(|stored| stored.scheme);
        let known = ["fp16", "fp32"].iter().any(|scheme| passed.as_deref() == Some(scheme));
        report.equal("export.scheme", name, &[known], &[true]);
        if passed.as_deref() == Some("fp16") {
            case.fixture.floats_of(&format!("export.value/{name}"), shape)?;
        }
    }
    schemes.keys().for_each(|name| report.refuse("export.scheme", format!("`{name}` is no parameter")));
    let nll = score(case, &restored, &Weights::default())?;
    let shape = [case.window.rows, case.window.seq];
    report.compare("export.nll", Quantity::Nll, "", &nll, &case.fixture.floats_of("export.nll", &shape)?);
    let loss = [nll.iter().sum::<f64>() / nll.len() as f64];
    report.compare(
        "export.loss",
        Quantity::Loss,
        "tensor",
        &loss,
        &case.fixture.floats_of("export.loss", &[])?,
    );
    report.compare("export.loss", Quantity::Loss, "json", &loss, &[node.get("loss")?]);
    let float = score(case, &case.params, &Weights::default())?;
    let loss = [float.iter().sum::<f64>() / float.len() as f64];
    report.compare("export.loss_float", Quantity::Loss, "json", &loss, &[node.get("loss_float")?]);
    Ok(())
}

/// The parameters as the exporter receives them.
fn pruned(
    case: &Case<'_>,
    node: &Node<'_>,
    report: &mut CaseReport,
) -> Result<BTreeMap<String, Tensor>, Fault> {
    let (fraction, above): (f64, usize) = (node.get("prune_fraction")?, node.get("prune_if_elements_above")?);
    let mut listed: Vec<String> = node.get("pruned")?;
    listed.sort();
    let chosen: Vec<String> = (case.shapes.iter())
        .filter(|(_, shape)| fraction > 0.0 && is_prunable(shape, above))
        .map(|(name, _)| name.clone())
        .collect();
    report.equal("export.pruned", "", &chosen, &listed);
    let mut params = case.params.clone();
    for name in &chosen {
        let mut values = params[name].to_f32();
        prune(&mut values, fraction);
        params.insert(name.clone(), Tensor::f32(&case.shapes[name], values));
    }
    Ok(params)
}

/// One exported tensor.
fn one(
    fixture: &Fixture,
    name: &str,
    got: &Exported,
    stored: &StoredScheme,
    report: &mut CaseReport,
) -> Result<(), Fault> {
    let (scheme, c) = match got {
        Exported::F32(_) => ("fp32", None),
        Exported::F16(_) => ("fp16", None),
        Exported::Quantized(scheme, _) => (scheme.name(), Some(scheme.c())),
    };
    report.equal("export.scheme", name, &[(scheme, c)], &[(stored.scheme.as_str(), stored.c)]);
    match got {
        // Single-precision values pass through unchanged and are not repeated in the fixture.
        Exported::F32(_) => Ok(()),
        Exported::F16(values) => {
            let expected = fixture.halves(&format!("export.value/{name}"))?;
            report.equal("export.value", name, values, &expected.values);
            Ok(())
        }
        Exported::Quantized(scheme, tensor) => quantized(fixture, name, *scheme, tensor, stored, report),
    }
}

fn quantized(
    fixture: &Fixture,
    name: &str,
    scheme: Scheme,
    got: &Quantized,
    stored: &StoredScheme,
    report: &mut CaseReport,
) -> Result<(), Fault> {
    let ties = Ties(stored.near_ties.unwrap_or(0));
    let expected = fixture.bytes(&format!("export.q/{name}"))?;
    compare_integers(report, "export.q", name, &got.q, &expected.values, ties);
    compare_scales(report, "export.scale", name, got, fixture, &format!("export.scale/{name}"))?;
    if let Some(zeros) = stored.zeros {
        let count = |q: &[i8]| q.iter().filter(|&&q| q == 0).count();
        report.equal("export.zeros", name, &[count(&expected.values)], &[zeros]);
    }
    let nibbles = format!("export.q4n/{name}");
    if fixture.has(&nibbles) && scheme == Scheme::Nibble {
        // The packed form of the expected integers, so that a near tie is not charged twice.
        let packed = fixture.bytes(&nibbles)?.values;
        report.equal("export.q4n", name, &pack_nibbles(&expected.values, got.cols), &packed);
        report.equal("export.q4n", name, &unpack_nibbles(&packed, got.cols), &expected.values);
    }
    Ok(())
}
