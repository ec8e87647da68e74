//! Ten minutes of evaluation, adaptation included. A receipt holds no time, so that a resumed run has the same one; the
//! report that goes with it does.

use super::train_budget::BUDGET_SECONDS;
use super::{Case, Judgement, Run};

const COMPARED: &str = "seconds in eval.json, 600 s";

pub(super) fn judge(_: &Case, run: &Run) -> Judgement {
    let Some(report) = &run.report else {
        return Judgement::cannot_tell(COMPARED, "no eval.json: keep what `golf eval --json` prints");
    };
    match &run.receipt {
        Some(receipt) if receipt.head == report.receipt_head => {}
        Some(_) => return Judgement::fail(COMPARED, "eval.json goes with another receipt"),
        None => return Judgement::cannot_tell(COMPARED, "eval.json without its receipt"),
    }
    if report.resumed_at_chunk > 0 {
        let missing = format!("the {} chunks before the resumption are not timed", report.resumed_at_chunk);
        return Judgement::cannot_tell(COMPARED, missing);
    }
    let evidence = format!("{:.1} s on {}", report.seconds, report.device);
    match report.seconds <= BUDGET_SECONDS {
        true => Judgement::pass(COMPARED, evidence),
        false => Judgement::fail(COMPARED, evidence),
    }
}
