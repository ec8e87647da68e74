//! `head_cross_entropy`: `(x[n,d], e[v,d], targets i32[n]) → (nll[n], lse[n])`: logits, softcap and cross-entropy in
//! one op, because its point is that the `n × v` logits are never stored. `e` may be quantized.
//!
//! `z = x·eᵀ`, `ℓ = cap·tanh(z/cap)`, `lse = ln Σ_v e^ℓ`, `nll = lse - ℓ[target]` in nats. Gradient, with
//! `p = e^{ℓ-lse}`: `dz = (p - 1[target])·dnll·(1 - (ℓ/cap)²)`, `dx = dz·e`, `de = dzᵀ·x`.

use super::args::Args;
use super::{OpDef, OpError, Site, floats};
use crate::graph::{Graph, ValueId};
use crate::tensor::{Tensor, TensorType};

/// Negative log-likelihood of every target.
#[derive(Clone, Debug, PartialEq)]
pub struct HeadCrossEntropy {
    /// Logits are squashed into ±softcap.
    pub softcap: f64,
}

/// `(x[n,d], e[v,d], targets[n], lse[n], dnll[n]) → (dx[n,d], de[v,d])`. Results that nobody reads are still produced
/// unless `wants_embedding` is off, in which case `de` is left out.
#[derive(Clone, Debug, PartialEq)]
pub struct HeadCrossEntropyGrad {
    /// As in the forward op.
    pub softcap: f64,
    /// Whether `de` is a result.
    pub wants_embedding: bool,
}

/// Softcapped logits of one row.
fn logits(x: &[f64], e: &[f64], cap: f64) -> Vec<f64> {
    let dot = |row: &[f64]| row.iter().zip(x).map(|(a, b)| a * b).sum::<f64>();
    e.chunks_exact(x.len()).map(|row| cap * (dot(row) / cap).tanh()).collect()
}

impl OpDef for HeadCrossEntropy {
    fn name(&self) -> &'static str {
        "head_cross_entropy"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, OpError> {
        let args = Args::new(self.name(), inputs, 3)?;
        let [n, d] = args.matrix(0)?;
        let [_, width] = args.weight(1)?;
        args.ensure(1, width == d, format!("{d} columns"))?;
        let targets = args.ids(2)?;
        args.ensure(2, targets == n, format!("`i32[{n}]`"))?;
        Ok(vec![TensorType::f32(&[n]), TensorType::f32(&[n])])
    }

    fn eval(&self, inputs: &[&Tensor], outputs: &mut [Tensor]) {
        let d = inputs[0].shape()[1];
        let (x, e, targets) = (inputs[0].f64s(), floats(inputs[1]), inputs[2].i32s());
        let [nll, lse] = outputs else { unreachable!("two results") };
        let (nll, lse) = (nll.f64s_mut(), lse.f64s_mut());
        for (i, x) in x.chunks_exact(d).enumerate() {
            let l = logits(x, &e, self.softcap);
            let max = l.iter().fold(f64::NEG_INFINITY, |a, &b| a.max(b));
            lse[i] = max + l.iter().map(|l| (l - max).exp()).sum::<f64>().ln();
            nll[i] = lse[i] - l[targets[i] as usize];
        }
    }

    fn grad(&self, graph: &mut Graph, site: &Site<'_>) -> Result<Vec<Option<ValueId>>, OpError> {
        let &[x, e, targets] = site.inputs else { unreachable!("three operands") };
        let op = HeadCrossEntropyGrad { softcap: self.softcap, wants_embedding: site.wanted[1] };
        let out = graph.push(op, &[x, e, targets, site.outputs[1], site.grad(0)])?;
        Ok(vec![Some(out[0]), out.get(1).copied(), None])
    }

    fn flops(&self, inputs: &[&TensorType]) -> u64 {
        2 * (inputs[0].numel() * inputs[1].shape[0]) as u64
    }
}

impl OpDef for HeadCrossEntropyGrad {
    fn name(&self) -> &'static str {
        "head_cross_entropy_grad"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, OpError> {
        let args = Args::new(self.name(), inputs, 5)?;
        HeadCrossEntropy { softcap: self.softcap }.infer(&inputs[..3])?;
        let [n, d] = args.matrix(0)?;
        args.float(3, &[n])?;
        args.float(4, &[n])?;
        let mut types = vec![TensorType::f32(&[n, d])];
        if self.wants_embedding {
            types.push(TensorType::f32(&args.weight(1)?));
        }
        Ok(types)
    }

    fn eval(&self, inputs: &[&Tensor], outputs: &mut [Tensor]) {
        let d = inputs[0].shape()[1];
        let (x, e, targets) = (inputs[0].f64s(), floats(inputs[1]), inputs[2].i32s());
        let (lse, dnll) = (inputs[3].f64s(), inputs[4].f64s());
        let (dx, de) = outputs.split_first_mut().expect("`infer` gives at least one result");
        let dx = dx.f64s_mut();
        for (i, x) in x.chunks_exact(d).enumerate() {
            for (v, l) in logits(x, &e, self.softcap).into_iter().enumerate() {
                let hit = if v == targets[i] as usize { 1.0 } else { 0.0 };
                let dz = ((l - lse[i]).exp() - hit) * dnll[i] * (1.0 - (l / self.softcap).powi(2));
                for c in 0..d {
                    dx[i * d + c] += dz * e[v * d + c];
                }
                if let Some(de) = de.first_mut() {
                    let de = &mut de.f64s_mut()[v * d..][..d];
                    de.iter_mut().zip(x).for_each(|(de, x)| *de += dz * x);
                }
            }
        }
    }

    fn flops(&self, inputs: &[&TensorType]) -> u64 {
        let products = if self.wants_embedding { 3 } else { 2 };
        products * 2 * (inputs[0].numel() * inputs[1].shape[0]) as u64
    }
}
