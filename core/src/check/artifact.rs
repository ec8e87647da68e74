//! The receipt's model is the artifact at hand: its file, its content, its configuration.

use super::{Case, Judgement, Run};
use crate::digest::hex;

const COMPARED: &str = "hashes of the artifact, those in the receipt";

pub(super) fn judge(_: &Case, run: &Run) -> Judgement {
    let (Some(artifact), Some(receipt)) = (&run.artifact, &run.receipt) else {
        let missing = if run.artifact.is_none() { "no artifact" } else { "no receipt" };
        return Judgement::cannot_tell(COMPARED, missing);
    };
    let stated = &receipt.run;
    let file = stated.source.artifact_sha256.as_ref();
    let content = hex(&artifact.model.digest());
    let hashes = [
        ("file", file.unwrap_or(&artifact.sha256), &artifact.sha256),
        ("content", &stated.model_sha256, &content),
        ("configuration", &stated.config_sha256, &hex(&artifact.model.config_digest())),
    ];
    for (what, stated, computed) in hashes {
        if stated != computed {
            let evidence = format!("{what}: the receipt has `{stated}`, the artifact `{computed}`");
            return Judgement::fail(COMPARED, evidence);
        }
    }
    let how = if file.is_some() { "file and content" } else { "content; the receipt names no file" };
    Judgement::pass(COMPARED, format!("{how}: sha256 {}…", &content[..12]))
}

/// Whether the artifact is the one that the receipt names; rules that compare further say so where it is not.
pub(super) fn is_that_of_the_receipt(run: &Run) -> bool {
    match (&run.artifact, &run.receipt) {
        (Some(artifact), Some(receipt)) => receipt.run.model_sha256 == hex(&artifact.model.digest()),
        _ => false,
    }
}
