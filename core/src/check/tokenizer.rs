//! The text was cut by the tokenizer that the model was trained with.

use super::{Case, Judgement, Run};

const COMPARED: &str = "tokenizer identity in the receipt, the artifact's";

pub(super) fn judge(_: &Case, run: &Run) -> Judgement {
    let Some(receipt) = &run.receipt else {
        return Judgement::cannot_tell(COMPARED, "no receipt");
    };
    if receipt.run.marks.forced_tokenizer {
        return Judgement::fail(COMPARED, "the receipt itself says that the tokenizer was forced");
    }
    let Some(artifact) = &run.artifact else {
        return Judgement::cannot_tell(COMPARED, "no artifact");
    };
    let (Some(own), Some(used)) = (&artifact.tokenizer_identity, &receipt.run.source.tokenizer_identity)
    else {
        let side = if artifact.tokenizer_identity.is_none() { "artifact" } else { "receipt" };
        return Judgement::cannot_tell(COMPARED, format!("the {side} names no tokenizer"));
    };
    match own == used {
        true => Judgement::pass(COMPARED, format!("identity {}…", own.get(..12).unwrap_or(own))),
        false => Judgement::fail(COMPARED, format!("the receipt used `{used}`, the artifact's is `{own}`")),
    }
}
