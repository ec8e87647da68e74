//! The page: Markdown, one section per question.

use super::Beside;
use super::history::History;
use crate::cmd::inspect::CAP_BYTES;
use crate::cmd::plan::Trace;
use crate::table::markdown;
use golf_core::model::gpt::{Weights, Window};
use golf_core::model::graphs::score_graph;
use golf_core::plan::{Plan, PlanOptions};

/// A score of the run's model.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Score {
    /// Which weights, under which rule.
    pub what: String,
    /// Nats per token.
    pub loss: Option<f64>,
    /// Bits per byte.
    pub bpb: Option<f64>,
}

/// The whole page.
pub(super) fn page(history: &History, Beside { receipts, traces, peak }: &Beside) -> String {
    let (scores, speed) = (scores(history, receipts), speed(history, *peak));
    let sections = [head(history), scores, speed, step(traces), budget(history), size(history)];
    sections.into_iter().flatten().collect::<Vec<_>>().join("\n\n") + "\n"
}

fn head(history: &History) -> Option<String> {
    let start = &history.start;
    let (model, last) = (&start.config.model, history.steps.last()?);
    let resumed = match history.resumed {
        0 => String::new(),
        times => format!(", resumed {times} times"),
    };
    Some(format!(
        "# Training report\n\n{} parameters: {} layers of {}, vocabulary {}. {} steps of {} tokens on {} rank(s) of `{}`{resumed}; golf {}.\n\nConfiguration `{}`.\n\n![Loss over steps](loss.svg)",
        start.parameters,
        model.layers,
        model.dim,
        model.vocab,
        last.step,
        last.tokens,
        start.ranks,
        start.backend,
        start.version,
        start.config_hash
    ))
}

fn scores(history: &History, receipts: &[Score]) -> Option<String> {
    let mut rows: Vec<Score> = Vec::new();
    if let Some(live) = history.validations.last() {
        let what = format!("weights after step {}, validation", live.step);
        rows.push(Score { what, loss: Some(live.loss), bpb: live.bpb });
    }
    if let (Some(last), Some(artifact)) = (&history.last, &history.artifact) {
        let what = format!("artifact ({} weights, quantized), validation", artifact.weights);
        rows.push(Score { what, loss: Some(last.loss), bpb: last.bpb });
    }
    rows.extend(receipts.iter().cloned());
    let number = |value: Option<f64>| value.map_or_else(String::new, |v| format!("{v:.4}"));
    let cells = |s: Score| vec![s.what, number(s.loss), number(s.bpb)];
    let rows: Vec<Vec<String>> = rows.into_iter().map(cells).collect();
    let note =
        "Validation reads whole rows that do not overlap: a monitor. Honest scores are those of receipts.";
    let table = || markdown(&["model", "nats per token", "bits per byte"], &rows);
    (!rows.is_empty()).then(|| format!("## Bits per byte\n\n{}\n\n{note}", table()))
}

fn speed(history: &History, peak: Option<f64>) -> Option<String> {
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
        vec!["tokens per second at the median".to_owned(), format!("{rate:.0}")],
    ];
    let mut notes = String::new();
    if let Some(flops) = flops_per_token(history) {
        rows.push(vec![
            "model FLOP per token, forward and backward".to_owned(),
            format!("{:.1} M", flops / 1e6),
        ]);
        rows.push(vec!["model TFLOP/s".to_owned(), format!("{:.4}", rate * flops / 1e12)]);
        notes = "Model FLOP: three times those of the scoring plan's products and attention (causal half)."
            .to_owned();
        if let Some(peak) = peak {
            rows.push(vec!["MFU".to_owned(), format!("{:.1} %", rate * flops / 1e12 / peak * 100.0)]);
            notes += &format!(" MFU = tokens per second × FLOP per token / {peak} TFLOP/s.");
        }
    }
    Some(format!("## Speed\n\n{}\n\n{notes}", markdown(&["", ""], &rows)))
}

/// Three times the scoring plan's operations per token; `None` for a model that this version cannot build.
fn flops_per_token(history: &History) -> Option<f64> {
    let config = &history.start.config;
    let seq = config.recipe.train_seq_len;
    let graph = score_graph(&config.model, &Weights::default(), Window { rows: 1, seq }).ok()?;
    Some(3.0 * Plan::new("score", &graph, PlanOptions::default()).flops() as f64 / seq as f64)
}

/// Where the time of a step goes.
fn step(traces: &[Trace]) -> Option<String> {
    let tables: Vec<String> = traces.iter().map(Trace::markdown).collect();
    (!tables.is_empty()).then(|| format!("## Time by op\n\n{}", tables.join("\n\n")))
}

fn budget(history: &History) -> Option<String> {
    let total: f64 = history.used.iter().map(|(_, ms)| ms).sum();
    let row = |(phase, ms): &(String, f64)| {
        vec![phase.clone(), format!("{:.1} s", ms / 1e3), format!("{:.1} %", ms / total * 100.0)]
    };
    let rows: Vec<Vec<String>> = history.used.iter().filter(|(_, ms)| *ms > 0.0).map(row).collect();
    (total > 0.0).then(|| format!("## Time by phase\n\n{}", markdown(&["phase", "time", "share"], &rows)))
}

fn size(history: &History) -> Option<String> {
    let artifact = history.artifact.as_ref()?;
    let bytes = artifact.bytes as f64;
    Some(format!(
        "## Artifact\n\n{} bytes = {:.3} MB = {:.3} MiB, {:.1} % of {CAP_BYTES}; {:.3} bytes per parameter. Content `{}`.",
        artifact.bytes,
        bytes / 1e6,
        bytes / f64::from(1 << 20),
        bytes / CAP_BYTES as f64 * 100.0,
        bytes / history.start.parameters as f64,
        artifact.content_hash
    ))
}
