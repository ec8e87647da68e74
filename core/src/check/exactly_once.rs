//! Every target once: no tail left out, no chunk scored again, no choosing among passes (C4 of #1017; #959).
//!
//! Beside the receipt's own proof, the windows are planned anew and every chunk must have as many scores as the plan
//! gives it.

use super::{Case, Judgement, Run, Text};
use crate::eval::receipt::RunRecord;
use crate::eval::{Receipt, WindowError, WindowPlan, document_starts};

/// Most targets of a stream: 2^34. A receipt may state any number, hashing its bitmap may not take forever.
const MAX_TARGETS: usize = 1 << 34;

const COMPARED: &str = "bitmap and counts of the receipt, windows planned anew";

/// Whether the receipt's own proof holds; what is counted over an incomplete stream means nothing.
pub(super) fn is_complete(receipt: &Receipt) -> bool {
    receipt.run.targets <= MAX_TARGETS && receipt.verify_coverage().is_ok()
}

pub(super) fn judge(_: &Case, run: &Run) -> Judgement {
    let Some(receipt) = &run.receipt else {
        return Judgement::cannot_tell(COMPARED, "no receipt");
    };
    let stated = &receipt.run;
    if stated.targets > MAX_TARGETS {
        return Judgement::fail(COMPARED, format!("{} targets are more than any text has", stated.targets));
    }
    if let Err(error) = receipt.verify_coverage() {
        return Judgement::fail(COMPARED, error.to_string());
    }
    if receipt.coverage.duplicates > 0 {
        let duplicates = receipt.coverage.duplicates;
        let evidence = format!("{duplicates} scores are repeats (windows as published)");
        return Judgement::fail(COMPARED, evidence);
    }
    let plan = match plan(stated, run.text.as_ref()) {
        Some(Ok(plan)) => plan,
        Some(Err(error)) => return Judgement::fail(COMPARED, format!("windows: {error}")),
        None => {
            let missing = "windows stop at documents: planning them anew needs --text or --tokens";
            return Judgement::cannot_tell(COMPARED, missing);
        }
    };
    match difference(&plan, receipt) {
        Some(evidence) => Judgement::fail(COMPARED, evidence),
        None => {
            let (targets, count) = (stated.targets, stated.windows.count);
            Judgement::pass(COMPARED, format!("{targets} targets in {count} windows, no repeats"))
        }
    }
}

/// The windows as the run describes them; `None` where documents are needed and there is no text.
fn plan(run: &RunRecord, text: Option<&Text>) -> Option<Result<WindowPlan, WindowError>> {
    let starts = match (run.windows.documents, text) {
        (..=1, _) => vec![0],
        (_, Some(text)) => {
            let tokens = text.stream.tokens.get(..run.targets.checked_add(1)?)?;
            document_starts(tokens, *tokens.first()?)
        }
        (_, None) => return None,
    };
    let windows = &run.windows;
    Some(WindowPlan::with_documents(windows.rule, run.targets, windows.window, windows.stride, starts))
}

fn difference(plan: &WindowPlan, receipt: &Receipt) -> Option<String> {
    let run = &receipt.run;
    if plan.count() != run.windows.count || plan.documents() != run.windows.documents.max(1) {
        let (got, expected) = (run.windows.count, plan.count());
        return Some(format!("{got} windows are stated, the plan has {expected}"));
    }
    let (chunk, last) = (run.chunk.max(1), receipt.chunks.len().saturating_sub(1));
    let mut scored = vec![0u64; receipt.chunks.len()];
    for span in plan.iter() {
        scored[(span.first_scored / chunk).min(last)] += span.scored() as u64;
    }
    let differs =
        scored.iter().zip(&receipt.chunks).position(|(expected, record)| record.tokens != *expected);
    differs.map(|at| {
        let (got, expected) = (receipt.chunks[at].tokens, scored[at]);
        format!("chunk {at}: {got} scores, the plan gives it {expected}")
    })
}
