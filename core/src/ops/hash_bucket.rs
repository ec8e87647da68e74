//! `hash_bucket`: `(tokens i32[n]) → buckets i32[n]`: the row of a hashed n-gram table for every position.
//!
//! Windows of `seq` tokens are independent: a position without enough predecessors in its window gets the reserved
//! last bucket (bigram v2 instead takes 0 as the predecessor). Multipliers: openai/parameter-golf PRs #264, #861, #951,
//! #1216 and #1019.

use super::args::Args;
use super::{OpDef, OpError};
use crate::tensor::{Tensor, TensorType};

/// Which hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HashKind {
    /// `(36313·x xor 27191·p) mod (buckets-1)`.
    BigramV1,
    /// `(1009·p + x) mod buckets`.
    BigramV2,
    /// `(m₀·x xor m₁·p₁ xor m₂·p₂) mod (buckets-1)` with these multipliers.
    Trigram([u64; 3]),
}

impl HashKind {
    /// The trigram hash of PR #951.
    pub const TRIGRAM_S951: HashKind = HashKind::Trigram([73856, 19349, 83492]);
    /// The trigram hash of PR #1216.
    pub const TRIGRAM_S1216: HashKind = HashKind::Trigram([17291, 36313, 27191]);
    /// The trigram hash of PR #1019, looked up in the bigram table.
    pub const TRIGRAM_P1019: HashKind = HashKind::Trigram([36313, 27191, 51497]);
}

/// A hash as numbers, for kernels that know one form: products of multipliers and tokens, joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashTerms {
    /// Multipliers of the token and its predecessors.
    pub multipliers: [u64; 3],
    /// Predecessors that it needs.
    pub back: usize,
    /// Products are added, and a missing predecessor is token 0; otherwise they are joined by exclusive or, and a position
    /// without its predecessors gets the last bucket.
    pub adds: bool,
    /// What the joined products are reduced by.
    pub modulus: usize,
}

impl HashKind {
    /// Of a table of `buckets` rows.
    pub fn terms(self, buckets: usize) -> HashTerms {
        let (multipliers, back, adds, modulus) = match self {
            HashKind::BigramV1 => ([36313, 27191, 0], 1, false, buckets - 1),
            HashKind::BigramV2 => ([1, 1009, 0], 1, true, buckets),
            HashKind::Trigram(multipliers) => (multipliers, 2, false, buckets - 1),
        };
        HashTerms { multipliers, back, adds, modulus }
    }
}

/// Buckets of the current token and its predecessors.
#[derive(Clone, Debug, PartialEq)]
pub struct HashBucket {
    /// The hash.
    pub kind: HashKind,
    /// Rows of the table.
    pub buckets: usize,
    /// Tokens of a window.
    pub seq: usize,
}

impl HashBucket {
    /// The bucket of position `t` of a window.
    pub fn bucket(&self, window: &[i32], t: usize) -> i32 {
        let at = |back: usize| window[t - back] as u64;
        let (all, open) = (self.buckets as u64, self.buckets as u64 - 1);
        let bucket = match self.kind {
            HashKind::BigramV1 if t < 1 => open,
            HashKind::BigramV1 => ((36313 * at(0)) ^ (27191 * at(1))) % open,
            HashKind::BigramV2 => (1009 * if t < 1 { 0 } else { at(1) } + at(0)) % all,
            HashKind::Trigram(_) if t < 2 => open,
            HashKind::Trigram([m0, m1, m2]) => ((m0 * at(0)) ^ (m1 * at(1)) ^ (m2 * at(2))) % open,
        };
        bucket as i32
    }
}

impl OpDef for HashBucket {
    fn name(&self) -> &'static str {
        "hash_bucket"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, OpError> {
        let args = Args::new(self.name(), inputs, 1)?;
        let n = args.ids(0)?;
        args.windows(0, n, self.seq)?;
        Ok(vec![TensorType::i32(&[n])])
    }

    fn eval(&self, inputs: &[&Tensor], outputs: &mut [Tensor]) {
        let out = outputs[0].i32s_mut().chunks_exact_mut(self.seq);
        for (window, out) in inputs[0].i32s().chunks_exact(self.seq).zip(out) {
            for (t, bucket) in out.iter_mut().enumerate() {
                *bucket = self.bucket(window, t);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_match_the_published_hashes() {
        let last = |kind, buckets, window: &[i32]| {
            HashBucket { kind, buckets, seq: window.len() }.bucket(window, window.len() - 1)
        };
        let v1: Vec<i32> =
            [2048, 3072, 8192, 10240, 20480].map(|b| last(HashKind::BigramV1, b, &[2, 3])).into();
        assert_eq!(v1, [1556, 2564, 7664, 5614, 15849]);
        assert_eq!(last(HashKind::BigramV1, 20480, &[1023, 512]), 5640);
        for (window, want) in [([2, 3], 2021), ([1023, 512], 527), ([37, 1], 470)] {
            assert_eq!(last(HashKind::BigramV2, 4096, &window), want);
        }
        let s951 = HashKind::TRIGRAM_S951;
        let s1216 = HashKind::TRIGRAM_S1216;
        for (window, a, b) in [([1, 2, 3], 2207, 2), ([10, 1023, 512], 8884, 417), ([1000, 37, 1], 4177, 131)]
        {
            assert_eq!((last(s951, 10240, &window), last(s1216, 512, &window)), (a, b));
        }
    }
}
