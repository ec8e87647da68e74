//! Ten minutes of training, calibration on training data included (#677: reading shards after the clock is training).

use super::{Case, Judgement, Run};

/// The budget, in seconds.
pub(super) const BUDGET_SECONDS: f64 = 600.0;

const COMPARED: &str = "times in metrics.jsonl, 600 s";

pub(super) fn judge(_: &Case, run: &Run) -> Judgement {
    let Some(log) = &run.log else {
        return Judgement::cannot_tell(COMPARED, "no metrics.jsonl");
    };
    let Some(used) = log.used else {
        return Judgement::cannot_tell(COMPARED, "metrics.jsonl ends before an artifact was written");
    };
    let seconds = (log.train_ms.max(used.train) + used.calibrate) / 1e3;
    let after = (used.quantize + used.compress) / 1e3;
    let evidence = format!(
        "{seconds:.1} s for {} steps on {}; {after:.1} s of quantizing and compressing not counted",
        log.steps, log.backend
    );
    match seconds <= BUDGET_SECONDS {
        true => Judgement::pass(COMPARED, evidence),
        false => Judgement::fail(COMPARED, evidence),
    }
}
