//! Statistics as tables.

use super::{Comparison, Report, Scored};
use crate::statistics::{ALPHA, Group, Test};
use crate::table::markdown;

pub(super) fn table(report: &Report) {
    println!("{}", runs(&report.runs));
    println!("{}", groups(report));
    let (threshold, number) = (&report.threshold, |value: f64| format!("{value:.5}"));
    println!(
        "threshold: {} nats/token = {} bits/token = {} BPB at these tokens (read as nats/byte: {} BPB)",
        threshold.nats_per_token,
        number(threshold.bits_per_token),
        threshold.bpb.map_or_else(|| "?".to_owned(), number),
        number(threshold.bpb_if_nats_per_byte)
    );
    if let Some(comparison) = &report.baseline {
        compare("baseline", comparison);
        needed(comparison, report.val_bpb.runs);
    }
    if let (Some(comparison), Some(others)) = (&report.against, &report.against_runs) {
        println!("{}", runs(others));
        compare(&format!("mean of {} other runs (Welch)", others.len()), comparison);
    }
    for finding in &report.failed {
        let run = finding.run.as_ref().map(|run| format!("{run}: ")).unwrap_or_default();
        println!("FAIL {}: {run}{}", finding.rule, finding.evidence);
    }
}

fn runs(runs: &[Scored]) -> String {
    let row = |run: &Scored| {
        let seed = run.seed.map_or_else(|| "-".to_owned(), |seed| seed.to_string());
        vec![run.name.clone(), seed, format!("{:.6}", run.val_bpb), format!("{:.6}", run.val_loss)]
    };
    markdown(&["run", "seed", "val_bpb", "val_loss"], &runs.iter().map(row).collect::<Vec<_>>())
}

fn groups(report: &Report) -> String {
    let row = |name: &str, group: &Group| {
        let sd = group.sd.map_or_else(|| "-".to_owned(), |sd| format!("{sd:.6}"));
        vec![name.to_owned(), group.runs.to_string(), format!("{:.6}", group.mean), sd]
    };
    let rows = [
        row("val_bpb (bits/byte)", &report.val_bpb),
        row("val_loss (nats/token)", &report.val_loss),
        row("bits/token", &report.bits_per_token),
    ];
    markdown(&["score", "runs", "mean", "sd"], &rows)
}

fn compare(with: &str, comparison: &Comparison) {
    println!("against the {with}, {:.6} BPB: {:+.6} below", comparison.limit, comparison.below);
    test("below it", comparison.better.as_ref());
    test("below it by the threshold", comparison.record.as_ref());
}

fn test(claim: &str, test: Option<&Test>) {
    match test {
        None => println!("  {claim}: cannot tell, there is no spread (at least 2 different runs a group)"),
        Some(test) => {
            let verdict = if test.p < ALPHA { "significant" } else { "not significant" };
            println!(
                "  {claim}: p = {:.2e} one-sided, {:.2e} two-sided (t = {:.3}, df = {:.2}): {verdict} at {ALPHA}",
                test.p, test.p_two_sided, test.t, test.df
            );
        }
    }
}

fn needed(comparison: &Comparison, runs: usize) {
    let text = |needed: Option<usize>| match needed {
        Some(needed) => format!("{needed} runs"),
        None => "no number of runs as things are".to_owned(),
    };
    println!(
        "  needed for p < {ALPHA} if mean and spread stay: {}; by the threshold: {} (there are {runs})",
        text(comparison.runs_needed),
        text(comparison.runs_needed_for_record)
    );
}
