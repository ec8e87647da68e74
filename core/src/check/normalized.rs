//! Probabilities that sum to 1 over the vocabulary (C2 of #1017; a blend of #886 summed to 277).

use super::{Case, Judgement, Run, within};

/// How far a sum of probabilities, or a score, may be off.
const TOLERANCE: f64 = 1e-5;

const COMPARED: &str = "Σ exp(-nll) over all tokens at every probed position, 1";

pub(super) fn judge(_: &Case, run: &Run) -> Judgement {
    let probe = match &run.probe {
        None => return Judgement::cannot_tell(COMPARED, "not probed: needs the artifact"),
        Some(Err(reason)) => return Judgement::cannot_tell(COMPARED, reason.clone()),
        Some(Ok(probe)) => probe,
    };
    let ((at, sum), (own_at, own)) = (probe.sum, probe.own);
    if !within(sum - 1.0, TOLERANCE) {
        return Judgement::fail(COMPARED, format!("position {at}: the probabilities sum to {sum:.6}"));
    }
    if !within(own, TOLERANCE) {
        let evidence =
            format!("position {own_at}: the real target scores {own:+.6} nats off its probability");
        return Judgement::fail(COMPARED, evidence);
    }
    let (positions, vocab, device) = (probe.positions, probe.vocab, &probe.device);
    let off = (sum - 1.0).abs();
    Judgement::pass(COMPARED, format!("{positions} positions × {vocab} tokens on {device}, off by {off:.1e}"))
}
