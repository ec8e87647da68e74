//! What a run's weights score on their way into the artifact: as trained, averaged, quantized, and with test-time training.
//!
//! What quantization costs is the difference to the weights that were quantized, which are often averages and not the ones
//! that training ended with.

use super::history::{Artifact, History};
use crate::table::markdown;
use golf_core::train::session::ARTIFACT;
use std::path::Path;

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

/// What artifacts are made of that are not made of averages.
const LIVE: &str = "live";

/// The section for the run in `folder`.
pub(super) fn scores(folder: &Path, history: &History, receipts: &[Score]) -> String {
    let mut rows: Vec<Score> = Vec::new();
    if let Some(live) = history.validations.last() {
        let what = format!("live weights after step {}, validation", live.step);
        rows.push(Score { what, loss: Some(live.loss), bpb: live.bpb });
    }
    if let Some(artifact) = &history.artifact {
        if let Some(averaged) = &history.averaged {
            let what = format!("averaged weights ({}), validation", artifact.weights);
            rows.push(Score { what, loss: Some(averaged.loss), bpb: averaged.bpb });
        }
        if let Some(last) = &history.last {
            let pruned = if history.start.config.recipe.prune_fraction > 0.0 { "pruned and " } else { "" };
            let what = format!("artifact ({} weights, {pruned}quantized), validation", artifact.weights);
            rows.push(Score { what, loss: Some(last.loss), bpb: last.bpb });
        }
    }
    rows.extend(receipts.iter().cloned());
    let notes = notes(folder, history, receipts.is_empty());
    if rows.is_empty() {
        return format!("## Bits per byte\n\n{notes}");
    }
    let number = |value: Option<f64>| value.map_or_else(String::new, |v| format!("{v:.4}"));
    let cells = |s: Score| vec![s.what, number(s.loss), number(s.bpb)];
    let rows: Vec<Vec<String>> = rows.into_iter().map(cells).collect();
    format!(
        "## Bits per byte\n\n{}\n\n{notes}",
        markdown(&["model", "nats per token", "bits per byte"], &rows)
    )
}

/// What the rows mean, and how to get those that are missing.
fn notes(folder: &Path, history: &History, no_receipt: bool) -> String {
    let mut notes = Vec::new();
    if history.validations.is_empty() && history.last.is_none() {
        notes.push(
            "The run had no validation shards, so that it scored nothing: `golf-train --val PATH` names some."
                .to_owned(),
        );
    } else {
        notes.push("Validation reads whole rows that do not overlap: a monitor. Honest scores are those of receipts.".to_owned());
    }
    notes.extend(history.artifact.as_ref().and_then(|artifact| quantization(history, artifact)));
    if no_receipt && history.artifact.is_some() {
        let (artifact, folder) = (folder.join(ARTIFACT), folder.display());
        notes.push(format!(
            "With test-time training: `golf-eval '{}' --text FILE --ttt score-first --receipt ttt.json`, then `golf report '{folder}' --receipt ttt.json`.",
            artifact.display()
        ));
    }
    notes.join("\n\n")
}

/// What the way from float weights to the artifact costs.
fn quantization(history: &History, artifact: &Artifact) -> Option<String> {
    let (last, steps) = (history.last.as_ref()?, history.steps.last()?.step);
    let live = history.validations.last().filter(|live| live.step == steps);
    let before = match (&history.averaged, artifact.weights.as_str()) {
        (Some(averaged), _) => (averaged.loss, averaged.bpb),
        (None, LIVE) => live.map(|live| (live.loss, live.bpb))?,
        (None, weights) => {
            return Some(format!(
                "The {weights} weights were not scored before quantization, so what that costs is unknown: the first row is of other weights."
            ));
        }
    };
    let bits =
        before.1.zip(last.bpb).map(|(before, after)| format!(", {:+.4} bits per byte", after - before));
    Some(format!(
        "Quantization costs {:+.4} nats per token{}: the artifact against the weights that it was made of, on the same tokens.",
        last.loss - before.0,
        bits.unwrap_or_default()
    ))
}
