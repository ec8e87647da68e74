//! The README of a submission: the same numbers for people, every rule with its verdict.

use super::Submission;
use crate::table::markdown;
use golf_core::check::{Case, Finding};
use golf_core::eval::{Method, Receipt, WindowRule};

/// How the scores were made, in a line.
pub(super) fn method(receipt: &Receipt) -> String {
    let (run, windows) = (&receipt.run, &receipt.run.windows);
    let how = match windows.rule {
        WindowRule::NonOverlapping => format!("non-overlapping windows of {}", windows.window),
        _ => format!("windows of {} every {}", windows.window, windows.stride),
    };
    let order = match (run.method, &run.adaptation) {
        (Method::ScoreFirst, Some(adapt)) => format!(
            "score-first test-time training in chunks of {} ({} epochs, learning rate {})",
            run.chunk, adapt.epochs, adapt.lr
        ),
        _ => "fixed weights".to_owned(),
    };
    format!("{how}, {order}")
}

/// The file.
pub(super) fn text(submission: &Submission, case: &Case, findings: &[Finding]) -> String {
    let mb = submission.bytes_total as f64 / 1e6;
    let sd = submission.val_bpb_std.map(|sd| format!(" (sd {sd:.6})")).unwrap_or_default();
    let mut parts = vec![
        format!("# {}", submission.name),
        submission.blurb.clone(),
        format!("**val_bpb {:.6}**{sd}, mean of {} run(s)", submission.val_bpb, case.runs.len()),
        format!(
            "{} bytes in all = {mb:.3} MB, {} of them code.",
            submission.bytes_total, submission.bytes_code
        ),
        format!("Evaluation: {}.", submission.method),
        seeds(submission),
    ];
    if let (Some(baseline), Some(p)) = (submission.baseline_bpb, submission.p_value) {
        let record = submission.p_value_for_record.map(|p| format!(", by 0.005 nats a token: p = {p:.2e}"));
        parts
            .push(format!("Below {baseline}: p = {p:.2e} (one-sided t test){}.", record.unwrap_or_default()));
    }
    parts.push("## Checks".to_owned());
    parts.push(checks(findings));
    parts.push("CANNOT TELL is not a pass: the evidence was not there.".to_owned());
    parts.push(format!(
        "Written by {} from receipts, logs and files; by {}.",
        submission.generator, submission.author
    ));
    parts.join("\n\n") + "\n"
}

fn seeds(submission: &Submission) -> String {
    let number = |value: Option<f64>, digits: usize| {
        value.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"))
    };
    let count = |value: Option<u64>| value.map_or_else(|| "-".to_owned(), |value| value.to_string());
    let rows: Vec<Vec<String>> = submission
        .seed_results
        .iter()
        .map(|(seed, run)| {
            vec![
                seed.clone(),
                number(run.val_bpb, 6),
                number(run.val_loss, 6),
                count(run.artifact_bytes),
                count(run.steps),
                number(run.train_seconds, 1),
                number(run.eval_seconds, 1),
            ]
        })
        .collect();
    let header = ["seed", "val_bpb", "val_loss", "artifact bytes", "steps", "train s", "eval s"];
    markdown(&header, &rows)
}

fn checks(findings: &[Finding]) -> String {
    let cell = |text: &str| text.replace('|', "\\|").replace('\n', "; ");
    let row = |finding: &Finding| {
        let run = finding.run.clone().unwrap_or_default();
        vec![finding.verdict.name().to_owned(), finding.rule.to_owned(), run, cell(&finding.evidence)]
    };
    markdown(&["verdict", "rule", "run", "evidence"], &findings.iter().map(row).collect::<Vec<_>>())
}
