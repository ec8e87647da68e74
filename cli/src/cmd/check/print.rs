//! Findings for people and for programs.

use golf_core::check::{Finding, Verdict};
use serde_json::{Value, json};

/// Number of findings with a verdict.
fn count(findings: &[Finding], verdict: Verdict) -> usize {
    findings.iter().filter(|finding| finding.verdict == verdict).count()
}

/// All findings as a table, then the sum.
pub(super) fn table(findings: &[Finding]) {
    let runs: Vec<&String> = findings.iter().filter_map(|finding| finding.run.as_ref()).collect();
    let several = runs.iter().any(|run| *run != runs[0]);
    for finding in findings {
        let run = finding.run.as_ref().filter(|_| several).map(|run| format!("{run}: ")).unwrap_or_default();
        let evidence = finding.evidence.replace('\n', "; ");
        println!("{:<12} {:<13} {run}{evidence}", finding.verdict.name(), finding.rule);
        println!("{:26} {} [{}]", "", finding.demand, finding.compared);
    }
    let [pass, fail, open] =
        [Verdict::Pass, Verdict::Fail, Verdict::CannotTell].map(|verdict| count(findings, verdict));
    println!();
    println!("{pass} PASS, {fail} FAIL, {open} CANNOT TELL");
    if open > 0 {
        println!("CANNOT TELL is not a pass: each line says what it would take.");
    }
}

/// The same as one object.
pub(super) fn json(findings: &[Finding]) -> Value {
    json!({
        "schema_version": 1,
        "pass": count(findings, Verdict::Pass),
        "fail": count(findings, Verdict::Fail),
        "cannot_tell": count(findings, Verdict::CannotTell),
        "findings": findings,
    })
}
