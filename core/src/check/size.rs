//! Bytes as shipped, decimal: model and code together, for every run (README of the challenge; #1412, #1835).

use super::{Case, Judgement, Run, ShippedFile};

/// The cap, in bytes: sixteen million, not 16 MiB.
pub const CAP_BYTES: u64 = 16_000_000;

const COMPARED: &str = "lengths of the files, 16,000,000";

/// Bytes that count for `run`.
pub(super) fn total(case: &Case, run: &Run) -> u64 {
    run.shipped.iter().chain(&case.shared).map(|file| file.bytes).sum()
}

pub(super) fn judge(case: &Case, run: &Run) -> Judgement {
    let files: Vec<&ShippedFile> = run.shipped.iter().chain(&case.shared).collect();
    if files.is_empty() {
        return Judgement::cannot_tell(COMPARED, "no file that ships: give the artifact or its folder");
    }
    let total = total(case, run);
    let (mb, mib) = (total as f64 / 1e6, total as f64 / f64::from(1 << 20));
    let list: Vec<String> = files.iter().map(|file| format!("{} {}", file.name, file.bytes)).collect();
    let evidence = format!("{total} bytes = {mb:.3} MB = {mib:.3} MiB: {}", list.join(", "));
    match total {
        ..=CAP_BYTES => Judgement::pass(COMPARED, evidence),
        _ => Judgement::fail(COMPARED, format!("{} bytes over: {evidence}", total - CAP_BYTES)),
    }
}
