//! The future has no say in the present (C1 of #1017).

use super::{Case, Judgement, Run};

const COMPARED: &str = "scores before t, with the tokens from t on replaced";

pub(super) fn judge(_: &Case, run: &Run) -> Judgement {
    match &run.probe {
        None => Judgement::cannot_tell(COMPARED, "not probed: needs the artifact"),
        Some(Err(reason)) => Judgement::cannot_tell(COMPARED, reason.clone()),
        Some(Ok(probe)) => match probe.future {
            (cuts, None) => Judgement::pass(COMPARED, format!("{cuts} cuts on {}, bit-equal", probe.device)),
            (_, Some(change)) => Judgement::fail(
                COMPARED,
                format!(
                    "position {}: {} nats, {} with other tokens from {} on",
                    change.position, change.before, change.after, change.replaced
                ),
            ),
        },
    }
}
