//! Running again: the only proof that scores are the model's.
//!
//! Bit-equal on the same device and backend. Elsewhere rounding differs, and the scores may differ by at most
//! [`TOLERANCE`] nats per token in every chunk: a fiftieth of the 0.005 that a record needs.

use super::{Case, Judgement, Run, within};

/// Most difference of a chunk, in nats per token.
pub(super) const TOLERANCE: f64 = 1e-4;

const COMPARED: &str = "scores and weights of chunks that were run again, the receipt's";

pub(super) fn judge(_: &Case, run: &Run) -> Judgement {
    let Some(replay) = &run.replay else {
        return Judgement::cannot_tell(COMPARED, "nothing was run again: --replay N with the text");
    };
    let (chunks, receipt) = match (&replay.outcome, &run.receipt) {
        (Ok(chunks), Some(receipt)) if !chunks.is_empty() => (chunks, receipt),
        (Err(reason), _) => return Judgement::cannot_tell(COMPARED, reason.clone()),
        _ => return Judgement::cannot_tell(COMPARED, "nothing was run again"),
    };
    let (device, stated) = (&replay.device, &receipt.run.device);
    let where_ = format!("{} of {} chunks on {device}", chunks.len(), receipt.chunks.len());
    if let Some(worst) = chunks.iter().find(|chunk| !within(chunk.difference(), TOLERANCE)) {
        let evidence = format!(
            "chunk {}: {:.6} nats in the receipt, {:.6} when run again ({:.1e} a token; {where_})",
            worst.index,
            worst.recorded,
            worst.replayed,
            worst.difference()
        );
        return Judgement::fail(COMPARED, evidence);
    }
    if chunks.iter().all(|chunk| chunk.same_scores && chunk.same_weights) {
        return Judgement::pass(COMPARED, format!("{where_}, bit-equal"));
    }
    let worst = chunks.iter().map(|chunk| chunk.difference()).fold(0.0, f64::max);
    let evidence = format!(
        "{where_}, within {worst:.1e} nats a token (tolerance {TOLERANCE:.0e}), not bit-equal: the receipt is from `{stated}`"
    );
    Judgement::pass(COMPARED, evidence)
}
