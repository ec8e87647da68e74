//! `attention_cached`: causal softmax attention of new tokens over a cache of keys and values.
//!
//! `(q[n,h·c], k[w,g·c], v[w,g·c], position i32[1]) → y[n,h·c]`; query head `i` reads key/value head `i / (h/g)`. The
//! queries stand at `position ..` of their window, and row `j` of the caches is the token at `j`: with
//! `s_ij = q_i·k_j / √c`, `y_i = Σ_{j ≤ position + i} softmax_j(s_ij) v_j`. Later rows of the caches are not read, whatever
//! they are. `position + n ≤ w`.

use super::args::Args;
use super::{OpDef, OpError};
use crate::tensor::{Tensor, TensorType};

/// Causal grouped-query attention over a cache.
#[derive(Clone, Debug, PartialEq)]
pub struct AttentionCached {
    /// Query heads.
    pub heads: usize,
    /// Key/value heads.
    pub kv_heads: usize,
}

impl OpDef for AttentionCached {
    fn name(&self) -> &'static str {
        "attention_cached"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, OpError> {
        let args = Args::new(self.name(), inputs, 4)?;
        let ([n, cols], [w, _]) = (args.matrix(0)?, args.matrix(1)?);
        args.heads(0, cols, self.heads)?;
        args.ensure(0, n <= w, format!("at most {w} rows"))?;
        let kv_cols = cols / self.heads * self.kv_heads;
        args.float(1, &[w, kv_cols])?;
        args.float(2, &[w, kv_cols])?;
        args.position(3)?;
        Ok(vec![TensorType::f32(&[n, cols])])
    }

    fn eval(&self, inputs: &[&Tensor], outputs: &mut [Tensor]) {
        let [q, k, v] = [0, 1, 2].map(|i| inputs[i].f64s());
        let (cols, kv_cols) = (inputs[0].shape()[1], inputs[1].shape()[1]);
        let (width, position) = (cols / self.heads, inputs[3].i32s()[0] as usize);
        let scale = 1.0 / (width as f64).sqrt();
        let heads = q.chunks_exact(width).zip(outputs[0].f64s_mut().chunks_exact_mut(width));
        for (index, (q, y)) in heads.enumerate() {
            let (i, h) = (index / self.heads, index % self.heads);
            let at = h / (self.heads / self.kv_heads) * width;
            let row = |j: usize| j * kv_cols + at..j * kv_cols + at + width;
            let dot = |k: &[f64]| q.iter().zip(k).map(|(a, b)| a * b).sum::<f64>() * scale;
            let s: Vec<f64> = (0..=position + i).map(|j| dot(&k[row(j)])).collect();
            let max = s.iter().fold(f64::NEG_INFINITY, |a, &b| a.max(b));
            let total = s.iter().map(|s| (s - max).exp()).sum::<f64>();
            for (j, s) in s.iter().enumerate() {
                let p = (s - max).exp() / total;
                y.iter_mut().zip(&v[row(j)]).for_each(|(y, v)| *y += p * v);
            }
        }
    }

    fn flops(&self, inputs: &[&TensorType]) -> u64 {
        // Two products over the whole cache: the position is known at run time only.
        let [n, cols] = [inputs[0].shape[0], inputs[0].shape[1]];
        4 * (n * inputs[1].shape[0] * cols) as u64
    }
}
