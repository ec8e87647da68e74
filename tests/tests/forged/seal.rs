//! A receipt sealed anew, as a forger who read the format would: written from its description, not with its code.

use golf_core::digest::hex;
use golf_core::eval::Receipt;
use golf_core::eval::receipt::{ChunkRecord, TotalsRecord};
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::f64::consts::LN_2;

fn hash(previous: &str, value: &impl Serialize) -> String {
    let json = serde_json::to_vec(value).expect("plain data");
    hex(&Sha256::new().chain_update(previous).chain_update(json).finalize())
}

/// Recomputes sums, links and head.
pub fn seal(receipt: &mut Receipt) {
    let bpb = |nll: f64, bytes: u64| (bytes > 0).then(|| nll / (LN_2 * bytes as f64));
    let (mut nll, mut tokens, mut bytes) = (0.0, 0, 0);
    let mut previous = hash("golf receipt 1", &receipt.run);
    for chunk in &mut receipt.chunks {
        chunk.bpb = bpb(chunk.nll, chunk.bytes);
        chunk.link = String::new();
        chunk.link = hash(&previous, chunk);
        previous = chunk.link.clone();
        nll += chunk.nll;
        tokens += chunk.tokens;
        bytes += chunk.bytes;
    }
    let raw = receipt.run.source.raw_bytes.filter(|_| receipt.coverage.duplicates == 0);
    receipt.totals = TotalsRecord {
        tokens,
        bytes,
        nll,
        val_loss: (tokens > 0).then(|| nll / tokens as f64),
        val_bpb: bpb(nll, bytes),
        bytes_per_token: (tokens > 0).then(|| bytes as f64 / tokens as f64),
        raw_bpb: raw.and_then(|raw| bpb(nll, raw)),
    };
    receipt.head = hash(&previous, &(&receipt.totals, &receipt.coverage));
}

/// Numbers the chunks anew.
pub fn renumber(chunks: &mut [ChunkRecord]) {
    chunks.iter_mut().enumerate().for_each(|(index, chunk)| chunk.index = index);
}

/// SHA-256 of the model's own digest: the weights of a run that never adapts.
pub fn weights_of(model_sha256: &str) -> String {
    let byte = |i: usize| u8::from_str_radix(&model_sha256[2 * i..2 * i + 2], 16).expect("hexadecimal");
    hex(&Sha256::digest((0..32).map(byte).collect::<Vec<u8>>()))
}

/// A made-up hash.
pub fn any_hash(seed: &str) -> String {
    hex(&Sha256::digest(seed))
}
