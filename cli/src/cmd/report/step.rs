//! Where the time of a step goes: timed plans, or the commands that time them.
//!
//! A run does not say it itself. Its host queues a step and waits once, so what the host's clock shows of gradients, sums and
//! update is when they were queued; to wait after each of them would make a step that is not the run's.

use super::history::History;
use crate::cmd::plan::Trace;
use crate::peaks::cuda_device;
use golf_core::train::recipe::Precision;
use golf_core::train::session::ARTIFACT;
use golf_core::train::{Recipe, preset, presets};
use std::path::Path;

/// The section: `traces`, or how to get them for the run in `folder`.
pub(super) fn step(folder: &Path, history: &History, traces: &[Trace]) -> Option<String> {
    let tables: Vec<String> = traces.iter().map(Trace::markdown).collect();
    let text = if tables.is_empty() { commands(folder, history)? } else { tables.join("\n\n") };
    Some(format!("## Time by op\n\n{text}"))
}

/// What to run on the run's device; `None` where there is nothing to time, or nothing that times.
fn commands(folder: &Path, history: &History) -> Option<String> {
    let (start, recipe) = (&history.start, &history.start.config.recipe);
    let device = device(&start.backend)?;
    let known = presets::names()
        .into_iter()
        .find(|name| preset(name, false).is_some_and(|known| known.model == start.config.model));
    // An artifact does not say how it was trained, so there is no update of it.
    let (model, phases) = match known {
        Some(name) => (name.to_owned(), &["gradient", "update"][..]),
        None if history.artifact.is_some() => {
            (format!("'{}'", folder.join(ARTIFACT).display()), &["gradient"][..])
        }
        None => return None,
    };
    let Recipe { train_seq_len: window, precision, .. } = recipe;
    let (rows, precision) = (recipe.rows(), if *precision == Precision::Bf16 { "bf16" } else { "f32" });
    let line = |phase: &&str| {
        format!(
            "golf plan trace {model} --phase {phase} --rows {rows} --window {window} --device {device} --precision {precision} -o json > {phase}.json"
        )
    };
    let files: Vec<String> = phases.iter().map(|phase| format!("--trace {phase}.json")).collect();
    let lines: Vec<String> = phases
        .iter()
        .map(line)
        .chain([format!("golf report '{}' {}", folder.display(), files.join(" "))])
        .collect();
    let gradients = recipe.runs() / start.ranks.max(1);
    let divided = match start.ranks {
        0 | 1 => "",
        _ => " Several ranks divide the update, and what they exchange is in neither.",
    };
    Some(format!(
        "Not measured during the run, whose host waits for its device once a step. On that device, these commands time what a step does: {gradients} gradient(s) on each rank, then an update.{divided}\n\n```\n{}\n```",
        lines.join("\n")
    ))
}

/// The value of `--device` for a backend that times its steps.
fn device(backend: &str) -> Option<&'static str> {
    match backend {
        "cpu" => Some("cpu"),
        name if name.starts_with("wgpu ") => Some("wgpu"),
        name => cuda_device(name).map(|_| "cuda"),
    }
}
