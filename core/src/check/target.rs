//! A prediction does not know what it predicts (C2 of #1017; #2018, n-gram keys that hold the target).

use super::{Case, Judgement, Run};

const COMPARED: &str = "predictions for position t, with token t replaced";

pub(super) fn judge(_: &Case, run: &Run) -> Judgement {
    match &run.probe {
        None => Judgement::cannot_tell(COMPARED, "not probed: needs the artifact"),
        Some(Err(reason)) => Judgement::cannot_tell(COMPARED, reason.clone()),
        Some(Ok(probe)) => match probe.target {
            (count, None) => {
                Judgement::pass(COMPARED, format!("{count} targets on {}, bit-equal", probe.device))
            }
            (_, Some(change)) => Judgement::fail(
                COMPARED,
                format!(
                    "position {}: token {} scores {} nats, {} when another token stands there",
                    change.position, change.token, change.before, change.after
                ),
            ),
        },
    }
}
