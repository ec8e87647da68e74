//! `rms_norm`: `(x[n,d]) → scale · x / sqrt(mean_d x² + ε)`, no learned weight; `scale` is the block's LN scale.
//!
//! ε is the f32 machine epsilon whatever the working precision (PyTorch ≥ 2.7 with `eps=None`). Gradient, with
//! `r = 1/sqrt(mean x² + ε)` and `g = scale·dy`: `dx = r·(g - x·r²·mean(g ⊙ x))`. Source: Zhang & Sennrich, arXiv:1910.07467.

use super::args::Args;
use super::{OpDef, OpError, Site};
use crate::graph::{Graph, ValueId};
use crate::tensor::{Tensor, TensorType};

/// ε under the root.
pub const RMS_EPSILON: f64 = 1.1920929e-7;

/// Root-mean-square normalization of every row.
#[derive(Clone, Debug, PartialEq)]
pub struct RmsNorm {
    /// Factor on the result.
    pub scale: f64,
}

/// `(x[n,d], dy[n,d]) → dx[n,d]`.
#[derive(Clone, Debug, PartialEq)]
pub struct RmsNormGrad {
    /// Factor on the forward result.
    pub scale: f64,
}

/// `(x[n,d], dy[n,d], sum[n,d]) → sum + dx` in place of `sum`: the gradient of a stream that a norm branches off. Made by
/// [`crate::plan::fuse`]; it has no gradient.
#[derive(Clone, Debug, PartialEq)]
pub struct RmsNormGradAdd {
    /// The gradient.
    pub grad: RmsNormGrad,
}

/// `1 / sqrt(mean x² + ε)` of one row.
pub(super) fn inverse_rms(x: &[f64]) -> f64 {
    1.0 / (x.iter().map(|v| v * v).sum::<f64>() / x.len() as f64 + RMS_EPSILON).sqrt()
}

/// Gradient of `x·inverse_rms(x)` for one row, added to `dx`.
pub(super) fn add_row_grad(x: &[f64], g: &[f64], dx: &mut [f64]) {
    let r = inverse_rms(x);
    let dot = x.iter().zip(g).map(|(x, g)| x * g).sum::<f64>() / x.len() as f64;
    for i in 0..x.len() {
        dx[i] += r * (g[i] - x[i] * r * r * dot);
    }
}

impl OpDef for RmsNorm {
    fn name(&self) -> &'static str {
        "rms_norm"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, OpError> {
        let args = Args::new(self.name(), inputs, 1)?;
        let [n, d] = args.matrix(0)?;
        Ok(vec![TensorType::f32(&[n, d])])
    }

    fn eval(&self, inputs: &[&Tensor], outputs: &mut [Tensor]) {
        let d = inputs[0].shape()[1];
        for (x, y) in inputs[0].f64s().chunks_exact(d).zip(outputs[0].f64s_mut().chunks_exact_mut(d)) {
            let r = inverse_rms(x) * self.scale;
            for i in 0..d {
                y[i] = x[i] * r;
            }
        }
    }

    fn grad(&self, graph: &mut Graph, site: &Site<'_>) -> Result<Vec<Option<ValueId>>, OpError> {
        Ok(vec![Some(graph.push(RmsNormGrad { scale: self.scale }, &[site.inputs[0], site.grad(0)])?[0])])
    }
}

impl OpDef for RmsNormGrad {
    fn name(&self) -> &'static str {
        "rms_norm_grad"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, OpError> {
        let args = Args::new(self.name(), inputs, 2)?;
        let [n, d] = args.matrix(0)?;
        args.float(1, &[n, d])?;
        Ok(vec![TensorType::f32(&[n, d])])
    }

    fn eval(&self, inputs: &[&Tensor], outputs: &mut [Tensor]) {
        let d = inputs[0].shape()[1];
        let rows = inputs[0].f64s().chunks_exact(d).zip(inputs[1].f64s().chunks_exact(d));
        for ((x, dy), dx) in rows.zip(outputs[0].f64s_mut().chunks_exact_mut(d)) {
            let g: Vec<f64> = dy.iter().map(|v| v * self.scale).collect();
            add_row_grad(x, &g, dx);
        }
    }
}

impl OpDef for RmsNormGradAdd {
    fn name(&self) -> &'static str {
        "rms_norm_grad_add"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, OpError> {
        let args = Args::new(self.name(), inputs, 3)?;
        let dx = self.grad.infer(&inputs[..2])?;
        args.float(2, &dx[0].shape)?;
        Ok(dx)
    }

    fn eval(&self, inputs: &[&Tensor], outputs: &mut [Tensor]) {
        // The gradient of every row is added to what is there.
        self.grad.eval(&inputs[..2], outputs);
    }

    fn in_place(&self) -> &'static [(usize, usize)] {
        &[(0, 2)]
    }
}
