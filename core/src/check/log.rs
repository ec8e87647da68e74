//! The training log is that of the artifact: no stale log, no edited configuration (#86, #1594, #2076).

use super::{Case, Judgement, Run};
use crate::digest::hex;

const COMPARED: &str = "hashes in metrics.jsonl, those of the artifact";

pub(super) fn judge(_: &Case, run: &Run) -> Judgement {
    let Some(log) = &run.log else {
        return Judgement::cannot_tell(COMPARED, "no metrics.jsonl");
    };
    let computed = log.computed_hash();
    if computed != log.config_hash {
        let stated = &log.config_hash;
        let evidence =
            format!("the configuration in the log has the hash `{computed}`, stated is `{stated}`");
        return Judgement::fail(COMPARED, evidence);
    }
    let Some(artifact) = &run.artifact else {
        return Judgement::cannot_tell(COMPARED, "no artifact");
    };
    let Some((content, bytes)) = &log.artifact else {
        return Judgement::fail(COMPARED, "the log ends before an artifact was written");
    };
    let provenance = artifact.content.provenance.clone().unwrap_or_default();
    let own = hex(&artifact.model.digest());
    let pairs = [
        ("content hash", content.clone(), Some(own)),
        ("bytes", bytes.to_string(), Some(artifact.bytes.to_string())),
        ("configuration", computed, provenance.config_hash),
        ("training data", log.data.clone(), provenance.data_hash),
    ];
    for (what, logged, own) in pairs {
        match own {
            Some(own) if own == logged => {}
            Some(own) => {
                let evidence = format!("{what}: the log has `{logged}`, the artifact `{own}`");
                return Judgement::fail(COMPARED, evidence);
            }
            None => return Judgement::cannot_tell(COMPARED, format!("the artifact states no {what}")),
        }
    }
    Judgement::pass(COMPARED, "content, size, configuration and training data agree")
}
