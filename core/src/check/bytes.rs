//! The denominator: bytes charged to targets, against the raw text (#1271, #1289, #1719, #1734, #2138).
//!
//! A receipt alone shows whether it contradicts itself. Only the raw text shows whether the bytes are right.

use super::exactly_once::is_complete;
use super::text::is_whole;
use super::{Case, Judgement, Run, Text};
use crate::digest::hex;
use crate::eval::Receipt;
use sha2::{Digest, Sha256};

const COMPARED: &str = "bytes charged by the tokenizer's table over the raw text, the receipt's";

pub(super) fn judge(_: &Case, run: &Run) -> Judgement {
    let Some(receipt) = &run.receipt else {
        return Judgement::cannot_tell(COMPARED, "no receipt");
    };
    if receipt.run.marks.lossy_tokenizer {
        let evidence = "the receipt itself says that the tokenizer loses or invents bytes";
        return Judgement::fail(COMPARED, evidence);
    }
    if !is_complete(receipt) {
        return Judgement::cannot_tell(COMPARED, "not every target was scored once: see `exactly-once`");
    }
    if let Some(contradiction) = contradiction(receipt) {
        return Judgement::fail(COMPARED, contradiction);
    }
    match &run.text {
        None => Judgement::cannot_tell(COMPARED, "neither --text nor --tokens"),
        Some(text) if !is_whole(text, &receipt.run) => {
            Judgement::cannot_tell(COMPARED, "the tokens are not those of the text: see `text`")
        }
        Some(text) => against(text, receipt),
    }
}

/// Charged and normalized bytes of the receipt itself.
fn contradiction(receipt: &Receipt) -> Option<String> {
    let (charged, duplicates) = (receipt.totals.bytes, receipt.coverage.duplicates);
    let normalized = receipt.run.source.normalized_bytes.filter(|_| duplicates == 0)?;
    let percent = 100.0 * (charged as f64 / normalized.max(1) as f64 - 1.0);
    (charged != normalized).then(|| {
        format!("{charged} bytes are charged, the normalized text has {normalized} ({percent:+.2} %)")
    })
}

fn against(text: &Text, receipt: &Receipt) -> Judgement {
    let (stream, stated) = (&text.stream, &receipt.run);
    if stream.marks.lossy_tokenizer {
        return Judgement::fail(COMPARED, "the tokenizer loses or invents bytes on this text, unmarked");
    }
    let charged: u64 = stream.target_bytes.iter().map(|bytes| u64::from(*bytes)).sum();
    let mut hash = Sha256::new();
    stream.target_bytes.iter().for_each(|count| hash.update(count.to_le_bytes()));
    if hex(&hash.finalize()) != stated.target_bytes_sha256 {
        let got = receipt.totals.bytes;
        let percent = 100.0 * (got as f64 / charged.max(1) as f64 - 1.0);
        let evidence = format!(
            "another byte table: {got} bytes in the receipt, {charged} by the table ({percent:+.2} %)"
        );
        return Judgement::fail(COMPARED, evidence);
    }
    if receipt.coverage.duplicates == 0 && receipt.totals.bytes != charged {
        let got = receipt.totals.bytes;
        return Judgement::fail(COMPARED, format!("{got} bytes in the totals, {charged} by the table"));
    }
    let own = &stream.source;
    let pairs = [
        ("raw", own.raw_bytes, stated.source.raw_bytes),
        ("normalized", own.normalized_bytes, stated.source.normalized_bytes),
    ];
    for (what, own, stated) in pairs {
        if let (Some(own), Some(stated)) = (own, stated)
            && own != stated
        {
            return Judgement::fail(
                COMPARED,
                format!("{stated} {what} bytes in the receipt, the text has {own}"),
            );
        }
    }
    match (text.raw, own.raw_bytes) {
        (true, Some(raw)) => {
            Judgement::pass(COMPARED, format!("{charged} charged bytes, {raw} in the raw text"))
        }
        _ => Judgement::cannot_tell(
            COMPARED,
            format!(
                "{charged} bytes agree with the table over the shard; the raw text is not there (--text)"
            ),
        ),
    }
}
