//! The page: Markdown, one section per question.

use super::Beside;
use super::history::History;
use super::scores::scores;
use super::speed::speed;
use super::step::step;
use crate::cmd::inspect::CAP_BYTES;
use crate::table::markdown;
use std::path::Path;

/// The whole page, of the run in `folder`.
pub(super) fn page(folder: &Path, history: &History, Beside { receipts, traces, peak }: &Beside) -> String {
    let (scores, speed) = (scores(folder, history, receipts), speed(history, *peak));
    let step = step(folder, history, traces);
    let sections = [head(history), Some(scores), speed, step, budget(history), size(history)];
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
