//! The receipt in itself: hashes that bind what they stand for, totals that are sums.
//!
//! What this finds is an edit by someone who did not make the chain anew; the other rules are for those who did.

use super::{Case, Judgement, Run};

const COMPARED: &str = "hashes and sums computed from the records, those in the receipt";

pub(super) fn judge(_: &Case, run: &Run) -> Judgement {
    let Some(receipt) = &run.receipt else {
        return Judgement::cannot_tell(COMPARED, "no receipt");
    };
    match receipt.verify_chain().and_then(|()| receipt.verify_sums()) {
        Ok(()) => {
            let head = receipt.head.get(..12).unwrap_or(&receipt.head);
            Judgement::pass(COMPARED, format!("{} chunks, head {head}…", receipt.chunks.len()))
        }
        Err(error) => Judgement::fail(COMPARED, error.to_string()),
    }
}
