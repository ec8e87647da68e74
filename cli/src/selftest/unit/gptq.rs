//! GPTQ: integers under fixed steps, the search over percentiles, and the two published recursions.

use super::Site;
use crate::selftest::fault::Fault;
use crate::selftest::fixture::Node;
use crate::selftest::quantized::{Ties, compare_integers, compare_scales};
use crate::selftest::report::CaseReport;
use crate::selftest::tolerance::Quantity;
use golf_core::quant::gptq::{Gptq, GptqOptions, published, sigma_steps};
use golf_core::quant::scheme::PERCENTILES;
use golf_core::quant::{Scales, Scheme};
use half::f16;

/// Weights `[rows, cols]` and the Hessian `[cols, cols]` of their inputs.
struct Layer {
    rows: usize,
    cols: usize,
    weights: Vec<f32>,
    hessian: Vec<f32>,
}

/// Replays the block.
pub fn replay(site: &Site<'_>, report: &mut CaseReport) -> Result<(), Fault> {
    let node = site.fixture.json().field("gptq")?;
    node.acknowledge_fields(&["block_sizes_checked", "ints_identical_in_float32_and_float64", "attempts"]);
    let weights = site.fixture.singles("gptq.w")?;
    let [rows, cols] = weights.shape[..] else {
        let name = "gptq.w".to_owned();
        return Err(Fault::TensorShape { name, expected: vec![1, 1], got: weights.shape });
    };
    let hessian = site.fixture.singles("gptq.h")?.values;
    let layer = Layer { rows, cols, weights: weights.values, hessian };
    fixed_steps(site, &node, &layer, report)?;
    percentiles(site, &node, &layer, report)?;
    published_forms(site, &node, &layer, report)
}

fn singles(steps: &[f16]) -> Vec<f32> {
    steps.iter().map(|s| s.to_f32()).collect()
}

fn fixed_steps(
    site: &Site<'_>,
    node: &Node<'_>,
    layer: &Layer,
    report: &mut CaseReport,
) -> Result<(), Fault> {
    let (c, damping): (u32, f64) = (node.get("c")?, node.get("damp")?);
    let rule: String = node.get("scale_rule")?;
    let sigmas = (rule.strip_prefix("fp16("))
        .and_then(|rest| rest.strip_suffix(&format!(" * row std (unbiased) / {c})")))
        .and_then(|k| k.parse().ok())
        .ok_or_else(|| node.refuse("a `scale_rule` `fp16(K * row std (unbiased) / C)`"))?;
    let scale = site.fixture.halves("gptq.scale")?.values;
    let got = sigma_steps(&layer.weights, layer.cols, sigmas, c);
    report.equal("gptq.scale", "", &got, &scale);
    let steps = singles(&scale);
    let dead: usize = node.get("dead_column")?;
    let mut gptq_error = f64::NAN;
    for (act_order, name) in [(true, "gptq.q"), (false, "gptq.no_actorder.q")] {
        let gptq = Gptq::new(&layer.hessian, GptqOptions { damping, act_order })?;
        let got = gptq.quantize(&layer.weights, &steps, c)?;
        let expected = site.fixture.bytes(name)?.values;
        compare_integers(report, "gptq.q", name, &got, &expected, Ties(0));
        let column: Vec<i8> = got.iter().copied().skip(dead).step_by(layer.cols).collect();
        report.equal("gptq.dead_column", name, &column, &vec![0; layer.rows]);
        if act_order {
            gptq_error = layer.output_error(&got, &steps);
        }
    }
    let bound = f64::from(c);
    let nearest = |(i, w): (usize, &f32)| {
        (f64::from(*w) / f64::from(steps[i / layer.cols])).round_ties_even().clamp(-bound, bound) as i8
    };
    let nearest: Vec<i8> = layer.weights.iter().enumerate().map(nearest).collect();
    let errors = node.field("objective_trace_EHE")?;
    for (key, got) in [("gptq", gptq_error), ("round_to_nearest", layer.output_error(&nearest, &steps))] {
        report.compare("gptq.objective", Quantity::Error, key, &[got], &[errors.get(key)?]);
    }
    Ok(())
}

impl Layer {
    /// `Σ_rows e H eᵀ` of the errors `e = w - q·Δ`: what GPTQ lowers.
    fn output_error(&self, q: &[i8], steps: &[f32]) -> f64 {
        let mut total = 0.0;
        for (row, step) in steps.iter().enumerate() {
            let at = row * self.cols;
            let e: Vec<f64> = (at..at + self.cols)
                .map(|i| f64::from(self.weights[i]) - f64::from(q[i]) * f64::from(*step))
                .collect();
            for (i, h) in self.hessian.chunks(self.cols).enumerate() {
                total += e[i] * h.iter().zip(&e).map(|(h, e)| f64::from(*h) * e).sum::<f64>();
            }
        }
        total
    }
}

fn percentiles(
    site: &Site<'_>,
    node: &Node<'_>,
    layer: &Layer,
    report: &mut CaseReport,
) -> Result<(), Fault> {
    let damping = node.get("damp")?;
    let node = node.field("percentile")?;
    let gptq = Gptq::new(&layer.hessian, GptqOptions { damping, act_order: true })?;
    let (got, chosen) = gptq.quantize_percentile(&layer.weights, layer.rows, node.get("c")?)?;
    report.equal("gptq.percentile", "chosen", &[PERCENTILES[chosen]], &[node.get("chosen")?]);
    let expected = site.fixture.bytes("gptq.percentile.q")?.values;
    compare_integers(report, "gptq.percentile", "q", &got.q, &expected, Ties(0));
    compare_scales(report, "gptq.percentile", "scale", &got, site.fixture, "gptq.percentile.scale")
}

fn published_forms(
    site: &Site<'_>,
    node: &Node<'_>,
    layer: &Layer,
    report: &mut CaseReport,
) -> Result<(), Fault> {
    let form = node.field("s585_form")?;
    form.expect("order", &"ascending diagonal".to_owned())?;
    // The published forms have a Hessian of their own: they leave dead columns in.
    let hessian = site.fixture.singles("gptq.s585_form.h")?.values;
    let steps = site.fixture.singles("gptq.s585_form.scale")?.values;
    let halves: Vec<f16> = steps.iter().map(|&s| f16::from_f32(s)).collect();
    let shape = [layer.rows, layer.cols];
    if let Scales::PerRow(got) = Scheme::S585.quantize(&shape, &layer.weights).scales {
        report.equal("gptq.s585_form", "scale", &got, &halves);
    }
    let got = published::s585(&layer.weights, &hessian, &steps, form.get("c")?)?;
    let expected = site.fixture.bytes("gptq.s585_form.q")?.values;
    compare_integers(report, "gptq.s585_form", "q", &got, &expected, Ties(0));

    let form = node.field("s1216_form")?;
    form.expect("order", &"natural".to_owned())?;
    form.expect("scale_rule", &"percentile search, fp16".to_owned())?;
    let c = form.get("c")?;
    let scale = site.fixture.halves("gptq.s1216_form.scale")?.values;
    if let Scales::PerRow(got) = (Scheme::Percentile { c }).quantize(&shape, &layer.weights).scales {
        report.equal("gptq.s1216_form", "scale", &got, &scale);
    }
    let got = published::s1216(&layer.weights, &hessian, &singles(&scale), c)?;
    let expected = site.fixture.bytes("gptq.s1216_form.q")?.values;
    compare_integers(report, "gptq.s1216_form", "q", &got, &expected, Ties(0));
    Ok(())
}
