//! `xsa`: exclusive self-attention: remove from each head's output its projection on the token's own value.
//!
//! `(y[n,h·c], v[n,g·c]) → z[n,h·c]`: `z = y - (y·v̂)v̂`, `v̂ = v/max(‖v‖, 1e-12)` of the head's group. Gradient, with
//! `a = y·v̂`: `dy = dz - (dz·v̂)v̂`; `dv̂ = -[(dz·v̂)y + a·dz]` summed over the group; `dv = (dv̂ - (dv̂·v̂)v̂)/‖v‖`, or
//! `dv̂/1e-12` where the norm is clamped. Source: openai/parameter-golf PR #287.

use super::args::Args;
use super::{OpDef, OpError, Site};
use crate::graph::{Graph, ValueId};
use crate::tensor::{Tensor, TensorType};

/// Smallest norm that a value is divided by.
const MIN_NORM: f64 = 1e-12;

/// Projection removal.
#[derive(Clone, Debug, PartialEq)]
pub struct Xsa {
    /// Query heads.
    pub heads: usize,
    /// Key/value heads.
    pub kv_heads: usize,
}

/// `(y, v, dz) → (dy, dv)`.
#[derive(Clone, Debug, PartialEq)]
pub struct XsaGrad {
    /// Query heads.
    pub heads: usize,
    /// Key/value heads.
    pub kv_heads: usize,
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Unit value and its clamped norm.
fn unit(v: &[f64]) -> (Vec<f64>, f64) {
    let norm = dot(v, v).sqrt().max(MIN_NORM);
    (v.iter().map(|v| v / norm).collect(), norm)
}

impl OpDef for Xsa {
    fn name(&self) -> &'static str {
        "xsa"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, OpError> {
        let args = Args::new(self.name(), inputs, 2)?;
        let [n, cols] = args.matrix(0)?;
        args.ensure(
            0,
            cols.is_multiple_of(self.heads),
            format!("columns divisible by {} heads", self.heads),
        )?;
        args.float(1, &[n, cols / self.heads * self.kv_heads])?;
        Ok(vec![TensorType::f32(&[n, cols])])
    }

    fn eval(&self, inputs: &[&Tensor], outputs: &mut [Tensor]) {
        let width = inputs[0].shape()[1] / self.heads;
        let group = self.heads / self.kv_heads;
        let z = outputs[0].f64s_mut().chunks_exact_mut(width);
        for (index, (y, z)) in inputs[0].f64s().chunks_exact(width).zip(z).enumerate() {
            let (unit, _) = unit(&inputs[1].f64s()[index / group * width..][..width]);
            let a = dot(y, &unit);
            for c in 0..width {
                z[c] = y[c] - a * unit[c];
            }
        }
    }

    fn grad(&self, graph: &mut Graph, site: &Site<'_>) -> Result<Vec<Option<ValueId>>, OpError> {
        let op = XsaGrad { heads: self.heads, kv_heads: self.kv_heads };
        let out = graph.push(op, &[site.inputs[0], site.inputs[1], site.grad(0)])?;
        Ok(out.into_iter().map(Some).collect())
    }
}

impl OpDef for XsaGrad {
    fn name(&self) -> &'static str {
        "xsa_grad"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, OpError> {
        let args = Args::new(self.name(), inputs, 3)?;
        let out = Xsa { heads: self.heads, kv_heads: self.kv_heads }.infer(&inputs[..2])?;
        args.float(2, &out[0].shape)?;
        Ok(vec![inputs[0].clone(), inputs[1].clone()])
    }

    fn eval(&self, inputs: &[&Tensor], outputs: &mut [Tensor]) {
        let width = inputs[0].shape()[1] / self.heads;
        let group = self.heads / self.kv_heads;
        let (y, v, dz) = (inputs[0].f64s(), inputs[1].f64s(), inputs[2].f64s());
        let [dy, dv] = outputs else { unreachable!("two results") };
        let (dy, dv) = (dy.f64s_mut(), dv.f64s_mut());
        for (owner, (v, dv)) in v.chunks_exact(width).zip(dv.chunks_exact_mut(width)).enumerate() {
            let (unit, norm) = unit(v);
            let mut dunit = vec![0.0; width];
            for index in owner * group..(owner + 1) * group {
                let at = index * width..(index + 1) * width;
                let (y, dz, dy) = (&y[at.clone()], &dz[at.clone()], &mut dy[at]);
                let (a, g) = (dot(y, &unit), dot(dz, &unit));
                for c in 0..width {
                    dy[c] = dz[c] - g * unit[c];
                    dunit[c] -= g * y[c] + a * dz[c];
                }
            }
            let along = if norm > MIN_NORM { dot(&dunit, &unit) } else { 0.0 };
            for c in 0..width {
                dv[c] = (dunit[c] - along * unit[c]) / norm;
            }
        }
    }
}
