//! `attention`: causal softmax attention inside windows of `seq` tokens, grouped queries.
//!
//! `(q[n,h·c], k[n,g·c], v[n,g·c]) → (y[n,h·c], lse[n,h])`; query head `i` reads key/value head `i / (h/g)`. With
//! `s_ij = q_i·k_j / √c`, `y_i = Σ_{j≤i} softmax_j(s_ij) v_j` and `lse_i = ln Σ_{j≤i} e^{s_ij}`.
//!
//! Gradient, with `p_ij = e^{s_ij - lse_i}` and `δ_i = dy_i·y_i`: `dv_j = Σ_i p_ij dy_i`,
//! `ds_ij = p_ij (dy_i·v_j - δ_i)`, `dq_i = Σ_j ds_ij k_j / √c`, `dk_j = Σ_i ds_ij q_i / √c`. No kernel keeps the
//! `t × t` matrix. Sources: Dao et al., arXiv:2205.14135; Ainslie et al., arXiv:2305.13245.

use super::args::Args;
use super::{OpDef, OpError, Site};
use crate::graph::{Graph, ValueId};
use crate::tensor::{Tensor, TensorType};

/// Causal grouped-query attention.
#[derive(Clone, Debug, PartialEq)]
pub struct Attention {
    /// Query heads.
    pub heads: usize,
    /// Key/value heads.
    pub kv_heads: usize,
    /// Tokens of a window.
    pub seq: usize,
}

/// `(q, k, v, y, lse, dy) → (dq, dk, dv)`.
#[derive(Clone, Debug, PartialEq)]
pub struct AttentionGrad {
    /// Query heads.
    pub heads: usize,
    /// Key/value heads.
    pub kv_heads: usize,
    /// Tokens of a window.
    pub seq: usize,
}

/// Offsets of one query head in one window, shared by both directions.
struct HeadView {
    start: usize,
    seq: usize,
    width: usize,
    q: (usize, usize),
    kv: (usize, usize),
}

impl HeadView {
    /// Every (window, query head) of a tensor of `n` tokens.
    fn all(n: usize, q_cols: usize, heads: usize, kv_heads: usize, seq: usize) -> Vec<HeadView> {
        let width = q_cols / heads;
        let mut views = Vec::new();
        for start in (0..n).step_by(seq) {
            for h in 0..heads {
                let kv = (kv_heads * width, h / (heads / kv_heads) * width);
                views.push(HeadView { start, seq, width, q: (q_cols, h * width), kv });
            }
        }
        views
    }

    fn q_row(&self, t: usize) -> std::ops::Range<usize> {
        let from = (self.start + t) * self.q.0 + self.q.1;
        from..from + self.width
    }

    fn kv_row(&self, t: usize) -> std::ops::Range<usize> {
        let from = (self.start + t) * self.kv.0 + self.kv.1;
        from..from + self.width
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn add_scaled(y: &mut [f64], factor: f64, x: &[f64]) {
    for (y, x) in y.iter_mut().zip(x) {
        *y += factor * x;
    }
}

impl OpDef for Attention {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, OpError> {
        let args = Args::new(self.name(), inputs, 3)?;
        let [n, q_cols] = args.matrix(0)?;
        args.windows(0, n, self.seq)?;
        args.ensure(
            0,
            q_cols.is_multiple_of(self.heads),
            format!("columns divisible by {} heads", self.heads),
        )?;
        let kv_cols = q_cols / self.heads * self.kv_heads;
        args.float(1, &[n, kv_cols])?;
        args.float(2, &[n, kv_cols])?;
        Ok(vec![TensorType::f32(&[n, q_cols]), TensorType::f32(&[n, self.heads])])
    }

    fn eval(&self, inputs: &[&Tensor], outputs: &mut [Tensor]) {
        let [n, q_cols] = [inputs[0].shape()[0], inputs[0].shape()[1]];
        let (q, k, v) = (inputs[0].f64s(), inputs[1].f64s(), inputs[2].f64s());
        let [y, lse] = outputs else { unreachable!("two results") };
        let (y, lse) = (y.f64s_mut(), lse.f64s_mut());
        for (index, view) in HeadView::all(n, q_cols, self.heads, self.kv_heads, self.seq).iter().enumerate()
        {
            let scale = 1.0 / (view.width as f64).sqrt();
            for i in 0..view.seq {
                let s: Vec<f64> =
                    (0..=i).map(|j| dot(&q[view.q_row(i)], &k[view.kv_row(j)]) * scale).collect();
                let max = s.iter().fold(f64::NEG_INFINITY, |a, &b| a.max(b));
                let total = max + s.iter().map(|s| (s - max).exp()).sum::<f64>().ln();
                lse[(view.start + i) * self.heads + index % self.heads] = total;
                for (j, s) in s.iter().enumerate() {
                    add_scaled(&mut y[view.q_row(i)], (s - total).exp(), &v[view.kv_row(j)]);
                }
            }
        }
    }

    fn grad(&self, graph: &mut Graph, site: &Site<'_>) -> Result<Vec<Option<ValueId>>, OpError> {
        let Attention { heads, kv_heads, seq } = *self;
        let &[q, k, v] = site.inputs else { unreachable!("three operands") };
        let operands = [q, k, v, site.outputs[0], site.outputs[1], site.grad(0)];
        let out = graph.push(AttentionGrad { heads, kv_heads, seq }, &operands)?;
        Ok(out.into_iter().map(Some).collect())
    }

    fn flops(&self, inputs: &[&TensorType]) -> u64 {
        // Two products over the causal half of the score matrix.
        let [n, q_cols] = [inputs[0].shape[0], inputs[0].shape[1]];
        2 * (n * self.seq * q_cols) as u64
    }
}

impl OpDef for AttentionGrad {
    fn name(&self) -> &'static str {
        "attention_grad"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, OpError> {
        let args = Args::new(self.name(), inputs, 6)?;
        let Self { heads, kv_heads, seq } = *self;
        Attention { heads, kv_heads, seq }.infer(&inputs[..3])?;
        let [n, q_cols] = args.matrix(0)?;
        args.float(3, &[n, q_cols])?;
        args.float(4, &[n, heads])?;
        args.float(5, &[n, q_cols])?;
        Ok(vec![inputs[0].clone(), inputs[1].clone(), inputs[2].clone()])
    }

    fn eval(&self, inputs: &[&Tensor], outputs: &mut [Tensor]) {
        let [n, q_cols] = [inputs[0].shape()[0], inputs[0].shape()[1]];
        let [q, k, v, y, lse, dy] = [0, 1, 2, 3, 4, 5].map(|i| inputs[i].f64s());
        let [dq, dk, dv] = outputs else { unreachable!("three results") };
        let (dq, dk, dv) = (dq.f64s_mut(), dk.f64s_mut(), dv.f64s_mut());
        for (index, view) in HeadView::all(n, q_cols, self.heads, self.kv_heads, self.seq).iter().enumerate()
        {
            let scale = 1.0 / (view.width as f64).sqrt();
            for i in 0..view.seq {
                let qi = view.q_row(i);
                let total = lse[(view.start + i) * self.heads + index % self.heads];
                let delta = dot(&dy[qi.clone()], &y[qi.clone()]);
                for j in 0..=i {
                    let kj = view.kv_row(j);
                    let p = (dot(&q[qi.clone()], &k[kj.clone()]) * scale - total).exp();
                    let ds = p * (dot(&dy[qi.clone()], &v[kj.clone()]) - delta) * scale;
                    add_scaled(&mut dv[kj.clone()], p, &dy[qi.clone()]);
                    add_scaled(&mut dq[qi.clone()], ds, &k[kj.clone()]);
                    add_scaled(&mut dk[kj], ds, &q[qi.clone()]);
                }
            }
        }
    }

    fn flops(&self, inputs: &[&TensorType]) -> u64 {
        // Five products, one of them the recomputed scores.
        let [n, q_cols] = [inputs[0].shape[0], inputs[0].shape[1]];
        5 * (n * self.seq * q_cols) as u64
    }
}
