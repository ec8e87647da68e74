//! Seeds of one configuration, not several configurations of which the best are shown (#2124).

use super::{Case, Judgement};
use serde_json::Value;
use std::collections::BTreeSet;

const COMPARED: &str = "configurations in the runs' metrics.jsonl, seeds aside";

pub(super) fn judge(case: &Case) -> Judgement {
    if case.runs.len() < 2 {
        return Judgement::cannot_tell(COMPARED, "one run: nothing to compare");
    }
    let mut logs = Vec::new();
    for run in &case.runs {
        match &run.log {
            Some(log) => logs.push((run, log)),
            None => return Judgement::cannot_tell(COMPARED, format!("`{}` has no metrics.jsonl", run.name)),
        }
    }
    let (first, reference) = (logs[0].0, logs[0].1.config_without_seed());
    for (run, log) in &logs[1..] {
        if let Some((key, expected, got)) = difference("", &reference, &log.config_without_seed()) {
            let evidence = format!("`{key}` is {expected} in `{}`, {got} in `{}`", first.name, run.name);
            return Judgement::fail(COMPARED, evidence);
        }
        if log.data != logs[0].1.data {
            let evidence = format!("`{}` and `{}` had other training data", first.name, run.name);
            return Judgement::fail(COMPARED, evidence);
        }
    }
    if let Some(evidence) = other_evaluations(case) {
        return Judgement::fail(COMPARED, evidence);
    }
    let seeds: BTreeSet<Option<u64>> = logs.iter().map(|(_, log)| log.seed()).collect();
    if seeds.len() < logs.len() {
        return Judgement::fail(COMPARED, "two runs have the same seed: one sample is counted twice");
    }
    let seeds: Vec<String> = seeds.into_iter().flatten().map(|seed| seed.to_string()).collect();
    Judgement::pass(COMPARED, format!("{} runs, seeds {}", logs.len(), seeds.join(", ")))
}

/// The first key in which two configurations differ, with both values.
fn difference(path: &str, a: &Value, b: &Value) -> Option<(String, String, String)> {
    match (a, b) {
        (Value::Object(left), Value::Object(right)) => {
            let keys: BTreeSet<&String> = left.keys().chain(right.keys()).collect();
            let join = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
            keys.into_iter().find_map(|key| difference(&join(key), &a[key.as_str()], &b[key.as_str()]))
        }
        _ if a == b => None,
        _ => Some((path.to_owned(), a.to_string(), b.to_string())),
    }
}

/// Receipts of runs that were evaluated in different ways.
fn other_evaluations(case: &Case) -> Option<String> {
    let mut receipts = case.runs.iter().filter_map(|run| Some((run, &run.receipt.as_ref()?.run)));
    let (first, reference) = receipts.next()?;
    let same = |run: &crate::eval::receipt::RunRecord| {
        run.windows == reference.windows
            && run.method == reference.method
            && run.adaptation == reference.adaptation
            && run.tokens_sha256 == reference.tokens_sha256
    };
    let (run, _) = receipts.find(|(_, run)| !same(run))?;
    Some(format!("`{}` and `{}` were evaluated on other tokens or in another way", first.name, run.name))
}
