//! Where the tokens of a run stand: the four places of the model where a token looks at others.
//!
//! Scoring and training see whole windows. Decoding sees a few new tokens at a run-time position, behind caches that hold
//! what earlier tokens left: keys and values of every layer (`cache/k.{layer}`, `cache/v.{layer}`), and the normalized
//! embedding that the smear gate blends in (`cache/smear`). A cache's row is its token's position, so what is not yet
//! written is never read, and nothing needs to be cleared.

use super::Gpt;
use crate::graph::ValueId;
use crate::ops::{
    Attention, AttentionCached, CacheWrite, HASH_HISTORY, HashBucket, HashBucketAt, HashKind, OpError,
    QkNormRope, QkNormRopeAt, SmearGate, SmearGateCached,
};
use crate::tensor::TensorType;

/// Where the tokens of a run stand.
#[derive(Clone, Copy)]
pub(super) enum Place {
    /// Whole windows of `seq` tokens.
    Windows { seq: usize },
    /// New tokens from a run-time position of one window on, behind the caches.
    Cached { window: usize, position: ValueId },
}

impl Place {
    /// Tokens of a window, for which the rotary base holds.
    fn window(self) -> usize {
        match self {
            Place::Windows { seq } => seq,
            Place::Cached { window, .. } => window,
        }
    }
}

impl Gpt<'_> {
    /// Table rows that a hash selects.
    pub(super) fn buckets(
        &mut self,
        kind: HashKind,
        buckets: usize,
        tokens: ValueId,
    ) -> Result<ValueId, OpError> {
        match self.place {
            Place::Windows { seq } => self.graph.apply(HashBucket { kind, buckets, seq }, &[tokens]),
            Place::Cached { position, .. } => {
                let before = self.graph.input("before", TensorType::i32(&[HASH_HISTORY]));
                self.graph.apply(HashBucketAt { kind, buckets }, &[tokens, before, position])
            }
        }
    }

    /// Every token's `x` blended with its predecessor's.
    pub(super) fn smear(&mut self, x: ValueId, gate: ValueId) -> Result<ValueId, OpError> {
        match self.place {
            Place::Windows { seq } => self.graph.apply(SmearGate { seq }, &[x, gate]),
            Place::Cached { window, position } => {
                let cache = self.remember("cache/smear", x, window, position)?;
                self.graph.apply(SmearGateCached, &[x, gate, cache, position])
            }
        }
    }

    /// Normalized and rotated heads.
    pub(super) fn rotate(
        &mut self,
        x: ValueId,
        heads: usize,
        gain: Option<ValueId>,
    ) -> Result<ValueId, OpError> {
        let (rope_dims, base) = (self.config.rope_dims, self.config.rope_base_for(self.place.window()));
        match self.place {
            Place::Windows { seq } => {
                let operands: Vec<ValueId> = [x].into_iter().chain(gain).collect();
                self.graph.apply(QkNormRope { heads, seq, rope_dims, base }, &operands)
            }
            Place::Cached { window, position } => {
                let operands: Vec<ValueId> = [x, position].into_iter().chain(gain).collect();
                self.graph.apply(QkNormRopeAt { heads, window, rope_dims, base }, &operands)
            }
        }
    }

    /// What every token reads from those up to itself.
    pub(super) fn attend(&mut self, layer: usize, [q, k, v]: [ValueId; 3]) -> Result<ValueId, OpError> {
        let (heads, kv_heads) = (self.config.heads, self.config.kv_heads);
        match self.place {
            Place::Windows { seq } => self.graph.apply(Attention { heads, kv_heads, seq }, &[q, k, v]),
            Place::Cached { window, position } => {
                let k = self.remember(&format!("cache/k.{layer}"), k, window, position)?;
                let v = self.remember(&format!("cache/v.{layer}"), v, window, position)?;
                self.graph.apply(AttentionCached { heads, kv_heads }, &[q, k, v, position])
            }
        }
    }

    /// The cache `name` with the rows of the new tokens written.
    fn remember(
        &mut self,
        name: &str,
        x: ValueId,
        window: usize,
        position: ValueId,
    ) -> Result<ValueId, OpError> {
        let width = self.graph.ty(x).shape[1];
        let cache = self.graph.state(name, TensorType::f32(&[window, width]));
        let written = self.graph.apply(CacheWrite, &[cache, x, position])?;
        self.graph.assign(cache, written);
        Ok(written)
    }
}
