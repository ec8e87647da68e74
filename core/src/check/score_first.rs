//! Scoring comes before learning (C3 of #1017; rulings of #402 and #677).
//!
//! The chain shows that weights moved only after their chunk was committed, and by as many steps as the recipe takes.
//! That the first weights are the artifact's own, and not ones that have seen the text, follows from their hash, which is
//! computed here. Whether the scores are those of these weights only `replay` can tell.

use super::artifact::is_that_of_the_receipt;
use super::{Case, Judgement, Run};
use crate::digest::hex;
use crate::eval::{AdaptOptions, Method, Receipt};
use sha2::{Digest, Sha256};

const COMPARED: &str = "weights before and after every chunk, the artifact's weights";

pub(super) fn judge(_: &Case, run: &Run) -> Judgement {
    let Some(receipt) = &run.receipt else {
        return Judgement::cannot_tell(COMPARED, "no receipt");
    };
    let stated = &receipt.run;
    if stated.method == Method::TrainThenScore {
        return Judgement::fail(COMPARED, "the run trained on the text before scoring it, and says so");
    }
    if let Err(error) = receipt.verify_order() {
        return Judgement::fail(COMPARED, error.to_string());
    }
    let first = receipt.chunks.first().map(|chunk| chunk.weights_before.as_str());
    let adaptation = stated.adaptation.as_ref();
    let expected = match (stated.method, adaptation) {
        (Method::Fixed, None) => start_without_adaptation(&stated.model_sha256),
        (Method::ScoreFirst, Some(adapt)) => {
            if let Some(evidence) = steps(receipt, adapt) {
                return Judgement::fail(COMPARED, evidence);
            }
            let artifact = run.artifact.as_ref().filter(|_| is_that_of_the_receipt(run));
            let Some(artifact) = artifact else {
                let missing = "whether the first weights are the artifact's: no artifact of this receipt";
                return Judgement::cannot_tell(COMPARED, missing);
            };
            match artifact.model.start_digest(Some(adapt)) {
                Ok(digest) => hex(&digest),
                Err(error) => return Judgement::fail(COMPARED, format!("adaptation: {error}")),
            }
        }
        _ => return Judgement::fail(COMPARED, "the method and the adaptation options contradict each other"),
    };
    if first != Some(&expected) {
        let got = first.unwrap_or("nothing");
        let evidence = format!("chunk 0 was scored by weights `{got}`, the artifact's are `{expected}`");
        return Judgement::fail(COMPARED, evidence);
    }
    let steps: u64 = receipt.chunks.iter().map(|chunk| chunk.steps).sum();
    Judgement::pass(
        COMPARED,
        match stated.method {
            Method::Fixed => "the artifact's weights scored every chunk".to_owned(),
            _ => format!(
                "the artifact's weights scored chunk 0; {steps} steps, each after its chunk's commitment"
            ),
        },
    )
}

/// The hash of weights that never change: of the model's own.
fn start_without_adaptation(model: &str) -> String {
    let bytes = (0..model.len() / 2).map(|i| model.get(2 * i..2 * i + 2));
    let bytes: Option<Vec<u8>> = bytes.map(|pair| u8::from_str_radix(pair?, 16).ok()).collect();
    bytes.map_or_else(|| "no hash".to_owned(), |bytes| hex(&Sha256::digest(bytes)))
}

/// More or fewer optimizer steps than the recipe takes on a chunk.
fn steps(receipt: &Receipt, adapt: &AdaptOptions) -> Option<String> {
    let run = &receipt.run;
    for (at, record) in receipt.chunks.iter().enumerate() {
        let last = at + 1 == receipt.chunks.len();
        let rows = if last { 0 } else { run.chunk / run.windows.window.max(1) };
        let expected = adapt.epochs.saturating_mul(rows.div_ceil(adapt.batch_rows.max(1))) as u64;
        if record.steps != expected {
            return Some(format!(
                "chunk {at}: {} optimizer steps, its recipe takes {expected}",
                record.steps
            ));
        }
    }
    None
}
