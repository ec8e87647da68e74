//! Validation documents that were trained on (#2127: 15 of 34 submissions, by a default of the data script).

use super::{Case, Judgement};

const COMPARED: &str = "documents and 13-grams of the validation data, the training data";

pub(super) fn judge(case: &Case) -> Judgement {
    let Some(overlap) = &case.overlap else {
        return Judgement::cannot_tell(COMPARED, "no data: --train PATH and --val PATH");
    };
    let evidence = overlap.summary();
    match overlap.is_clean() {
        true => Judgement::pass(COMPARED, evidence),
        false => Judgement::fail(COMPARED, evidence),
    }
}
