//! The scored tokens are the text's: all of them, and no others (#121, #124, #2109).

use super::{Case, Judgement, Run, Text};
use crate::digest::hex;
use crate::eval::receipt::RunRecord;
use sha2::{Digest, Sha256};

const COMPARED: &str = "tokens encoded from the text, the receipt's hash and number of them";

/// SHA-256 of the first `targets + 1` tokens, as receipts state it.
pub(super) fn tokens_hash(text: &Text, targets: usize) -> Option<String> {
    let tokens = text.stream.tokens.get(..targets.checked_add(1)?)?;
    let mut hash = Sha256::new();
    tokens.iter().for_each(|id| hash.update(id.to_le_bytes()));
    Some(hex(&hash.finalize()))
}

/// Whether the receipt scored exactly the tokens of `text`; rules that go on from there say so where it did not.
pub(super) fn is_whole(text: &Text, run: &RunRecord) -> bool {
    text.stream.tokens.len() == run.targets.saturating_add(1)
        && tokens_hash(text, run.targets).as_ref() == Some(&run.tokens_sha256)
}

pub(super) fn judge(_: &Case, run: &Run) -> Judgement {
    let (Some(text), Some(receipt)) = (&run.text, &run.receipt) else {
        let missing = match run.receipt {
            None => "no receipt",
            Some(_) => "neither --text nor --tokens, or no tokenizer",
        };
        return Judgement::cannot_tell(COMPARED, missing);
    };
    let (stated, targets) = (&receipt.run, text.stream.tokens.len().saturating_sub(1));
    let source = (&stated.source.text_sha256, &text.stream.source.text_sha256);
    let other_text = matches!(source, (Some(stated), Some(own)) if stated != own);
    let prefix = tokens_hash(text, stated.targets).as_ref() == Some(&stated.tokens_sha256);
    match (prefix, other_text) {
        (true, false) if stated.targets == targets => {
            let source = if text.raw { "raw text" } else { "shard" };
            Judgement::pass(COMPARED, format!("all {targets} targets of the {source}"))
        }
        (true, _) if stated.targets < targets => {
            let share = 100.0 * stated.targets as f64 / targets as f64;
            let got = stated.targets;
            Judgement::fail(
                COMPARED,
                format!("{got} of {targets} targets ({share:.1} %): the tail is missing"),
            )
        }
        (_, true) => Judgement::fail(COMPARED, "the receipt is of another text or shard"),
        _ if stated.targets > targets => {
            let got = stated.targets;
            Judgement::fail(COMPARED, format!("{got} targets are claimed, the text has {targets}"))
        }
        _ => Judgement::fail(COMPARED, "the text has other tokens: another tokenizer or an altered text"),
    }
}
