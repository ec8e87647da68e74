//! Hashes of documents and n-grams, and sets of them.

use super::NGRAM;
use sha2::{Digest, Sha256};
use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};

/// A set of values that are hashes already.
pub(super) type HashSet64 = HashSet<u64, BuildHasherDefault<Identity>>;

/// Takes a `u64` as its own hash.
#[derive(Default)]
pub(super) struct Identity(u64);

impl Hasher for Identity {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("only `u64` keys are hashed, through `write_u64`")
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }
}

/// The first half of the SHA-256 of a document's symbols.
pub(super) fn document_hash(symbols: &[u64]) -> u128 {
    let mut hash = Sha256::new();
    symbols.iter().for_each(|symbol| hash.update(symbol.to_le_bytes()));
    let digest: [u8; 32] = hash.finalize().into();
    u128::from_le_bytes(*digest.first_chunk().expect("32 bytes hold 16"))
}

/// Odd multiplier of the rolling polynomial.
const BASE: u64 = 0x9e37_79b9_7f4a_7c15;

/// Spreads a value over all 64 bits (the finalizer of SplitMix64, Steele et al. 2014).
pub(super) fn mixed(mut value: u64) -> u64 {
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// Position and hash of every n-gram, by a rolling polynomial over mixed symbols.
pub(super) fn ngrams(symbols: &[u64]) -> impl Iterator<Item = (usize, u64)> + '_ {
    let oldest = (1..NGRAM).fold(1u64, |power, _| power.wrapping_mul(BASE));
    let value = |symbol: u64| mixed(symbol.wrapping_add(BASE));
    let mut rolling = 0u64;
    symbols.iter().enumerate().filter_map(move |(at, &symbol)| {
        if at >= NGRAM {
            rolling = rolling.wrapping_sub(value(symbols[at - NGRAM]).wrapping_mul(oldest));
        }
        rolling = rolling.wrapping_mul(BASE).wrapping_add(value(symbol));
        (at + 1 >= NGRAM).then(|| (at + 1 - NGRAM, mixed(rolling)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ngram_hashes_alike_wherever_it_stands() {
        let symbols: Vec<u64> = (0..60).map(|i| i * i % 23).collect();
        let all: Vec<(usize, u64)> = ngrams(&symbols).collect();
        assert_eq!(all.len(), 60 - NGRAM + 1);
        for &(at, hash) in &all {
            assert_eq!(ngrams(&symbols[at..at + NGRAM]).next(), Some((0, hash)), "at {at}");
        }
        assert_eq!(ngrams(&symbols[..NGRAM - 1]).count(), 0);
    }
}
