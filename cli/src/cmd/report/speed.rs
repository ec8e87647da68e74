//! How fast a run was, and what part of its devices' peak that is.
//!
//! A step's tokens are those of all ranks, so its rate is divided by their number before it is compared with the peak of one
//! device: each rank has one.

use super::history::History;
use crate::peaks::{cuda_device, peak_tflops};
use crate::table::markdown;
use golf_core::model::gpt::{Weights, Window};
use golf_core::model::graphs::score_graph;
use golf_core::plan::{Plan, PlanOptions};
use golf_core::train::recipe::Precision;

/// The section; `given` is the peak of one device in TFLOP/s, which is otherwise that of a known one.
pub(super) fn speed(history: &History, given: Option<f64>) -> Option<String> {
    let pairs = history.steps.windows(2);
    let mut times: Vec<f64> = pairs.map(|p| p[1].train_ms - p[0].train_ms).filter(|ms| *ms > 0.0).collect();
    times.sort_by(f64::total_cmp);
    let at =
        |fraction: f64| Some(*times.get((fraction * times.len().saturating_sub(1) as f64).round() as usize)?);
    let (median, tokens) = (at(0.5)?, history.steps.last()?.tokens as f64);
    let rate = tokens / median * 1e3;
    let mut rows = vec![
        vec!["step time, median".to_owned(), format!("{median:.2} ms")],
        vec!["step time, 10 % to 90 %".to_owned(), format!("{:.2} to {:.2} ms", at(0.1)?, at(0.9)?)],
        vec!["tokens per second at the median, all ranks".to_owned(), format!("{rate:.0}")],
    ];
    let mut notes = String::new();
    if let Some(flops) = flops_per_token(history) {
        let (ranks, all) = (history.start.ranks.max(1), rate * flops / 1e12);
        rows.push(vec![
            "model FLOP per token, forward and backward".to_owned(),
            format!("{:.1} M", flops / 1e6),
        ]);
        rows.push(vec![format!("model TFLOP/s, {ranks} rank(s)"), format!("{all:.4}")]);
        notes = "Model FLOP: three times those of the scoring plan's products and attention (causal half)."
            .to_owned();
        match given.map_or_else(|| known(history), |peak| Ok((peak, "`--peak`".to_owned()))) {
            Ok((peak, source)) => {
                rows.push(vec!["MFU".to_owned(), format!("{:.1} %", all / (ranks as f64 * peak) * 100.0)]);
                notes += &format!(
                    " MFU = tokens per second × FLOP per token / ({ranks} rank(s) × {peak} TFLOP/s), a device for each rank; the peak is {source}."
                );
            }
            Err(reason) => {
                notes += &format!(
                    " No MFU: {reason}. `golf report RUN --peak TFLOPS` takes the peak of one rank's device, dense, in the precision of the run."
                );
            }
        }
    }
    Some(format!("## Speed\n\n{}\n\n{notes}", markdown(&["", ""], &rows)))
}

/// The peak of the run's device in TFLOP/s, and whose word that is; or why none is known.
fn known(history: &History) -> Result<(f64, String), String> {
    let backend = &history.start.backend;
    let device = cuda_device(backend).ok_or_else(|| format!("no peak is known of `{backend}`"))?;
    if history.start.config.recipe.precision != Precision::Bf16 {
        return Err("products are in f32, and the known peaks are those of bf16".to_owned());
    }
    let peak = peak_tflops(device).ok_or_else(|| format!("no peak is known of `{device}`"))?;
    Ok((peak, format!("the dense bf16 peak of `{device}` in NVIDIA's data sheet")))
}

/// Three times the scoring plan's operations per token; `None` for a model that this version cannot build.
fn flops_per_token(history: &History) -> Option<f64> {
    let config = &history.start.config;
    let seq = config.recipe.train_seq_len;
    let graph = score_graph(&config.model, &Weights::default(), Window { rows: 1, seq }).ok()?;
    Some(3.0 * Plan::new("score", &graph, PlanOptions::default()).flops() as f64 / seq as f64)
}
