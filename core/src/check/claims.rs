//! `submission.json` says what the evidence says (#2076: summaries that are not those of the logs).

use super::size::total;
use super::{Case, Judgement, within};

/// Half a unit of the fourth decimal, to which scores are commonly rounded.
const ROUNDING: f64 = 5e-5;

const COMPARED: &str = "numbers of submission.json, files and receipts";

pub(super) fn judge(case: &Case) -> Judgement {
    let Some(claims) = &case.claims else {
        return Judgement::cannot_tell(COMPARED, "no submission.json");
    };
    let mut agreed = Vec::new();
    for (key, own, tolerance) in evidence(case) {
        match (claims.numbers.get(key), own) {
            (Some(claimed), Some(own)) if !within(claimed - own, tolerance) => {
                return Judgement::fail(COMPARED, format!("`{key}` is {claimed}, the evidence says {own}"));
            }
            (Some(_), Some(_)) => agreed.push(key),
            _ => {}
        }
    }
    match agreed.is_empty() {
        true => Judgement::cannot_tell(COMPARED, "no number that the evidence covers"),
        false => Judgement::pass(COMPARED, format!("{} agree", agreed.join(", "))),
    }
}

/// Keys with what the evidence says, and how far a claim may be off.
fn evidence(case: &Case) -> [(&'static str, Option<f64>, f64); 4] {
    let mean = |of: fn(&crate::eval::receipt::TotalsRecord) -> Option<f64>| {
        let values: Option<Vec<f64>> =
            case.runs.iter().map(|run| of(&run.receipt.as_ref()?.totals)).collect();
        let values = values.filter(|values| !values.is_empty())?;
        Some(values.iter().sum::<f64>() / values.len() as f64)
    };
    let shipped = case.runs.iter().any(|run| !run.shipped.is_empty());
    let largest = case.runs.iter().map(|run| total(case, run)).max().filter(|_| shipped);
    let code: u64 = case.shared.iter().map(|file| file.bytes).sum();
    [
        ("val_bpb", mean(|totals| totals.val_bpb), ROUNDING),
        ("val_loss", mean(|totals| totals.val_loss), ROUNDING),
        ("bytes_total", largest.map(|bytes| bytes as f64), 0.0),
        ("bytes_code", (!case.shared.is_empty()).then_some(code as f64), 0.0),
    ]
}
