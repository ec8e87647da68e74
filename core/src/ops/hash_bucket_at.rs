//! `hash_bucket_at`: `(tokens i32[n], before i32[2], position i32[1]) → buckets i32[n]`: [`HashBucket`] for tokens that
//! stand at `position ..` of their window.
//!
//! `before` holds the two tokens that stand before the first one, oldest first. Those that would stand before position
//! 0 do not exist and are not read, whatever they are; the buckets are then those of a window's first tokens.

use super::args::Args;
use super::{HashBucket, HashKind, OpDef, OpError};
use crate::tensor::{Tensor, TensorType};

/// Predecessors that a hash reads at most.
pub const HASH_HISTORY: usize = 2;

/// Buckets of tokens at a run-time position.
#[derive(Clone, Debug, PartialEq)]
pub struct HashBucketAt {
    /// The hash.
    pub kind: HashKind,
    /// Rows of the table.
    pub buckets: usize,
}

impl HashBucketAt {
    /// The buckets of `tokens` at `position ..`, behind the tokens `before`.
    pub fn fill(&self, tokens: &[i32], before: &[i32], position: usize, out: &mut [i32]) {
        let text: Vec<i32> = before.iter().chain(tokens).copied().collect();
        let hash = HashBucket { kind: self.kind, buckets: self.buckets, seq: HASH_HISTORY + 1 };
        for (i, bucket) in out.iter_mut().enumerate() {
            let back = (position + i).min(HASH_HISTORY);
            let last = HASH_HISTORY + i;
            *bucket = hash.bucket(&text[last - back..=last], back);
        }
    }
}

impl OpDef for HashBucketAt {
    fn name(&self) -> &'static str {
        "hash_bucket_at"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, OpError> {
        let args = Args::new(self.name(), inputs, 3)?;
        let n = args.ids(0)?;
        let before = args.ids(1)?;
        args.ensure(1, before == HASH_HISTORY, format!("`i32[{HASH_HISTORY}]`"))?;
        args.position(2)?;
        Ok(vec![TensorType::i32(&[n])])
    }

    fn eval(&self, inputs: &[&Tensor], outputs: &mut [Tensor]) {
        let position = inputs[2].i32s()[0] as usize;
        self.fill(inputs[0].i32s(), inputs[1].i32s(), position, outputs[0].i32s_mut());
    }
}
