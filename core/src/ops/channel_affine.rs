//! `channel_affine`: `(x[n,d], scale[d], bias[d]) → scale ⊙ x + bias` (the affine MLP activation of PR #861).
//! Gradient: `dx = scale ⊙ dy`, `dscale = Σ_n x ⊙ dy`, `dbias = Σ_n dy`.

use super::args::Args;
use super::{OpDef, OpError, Site};
use crate::graph::{Graph, ValueId};
use crate::tensor::{Tensor, TensorType};

/// Scale and bias per channel.
#[derive(Clone, Debug, PartialEq)]
pub struct ChannelAffine;

/// `(x[n,d], scale[d], dy[n,d]) → (dx[n,d], dscale[d], dbias[d])`.
#[derive(Clone, Debug, PartialEq)]
pub struct ChannelAffineGrad;

impl OpDef for ChannelAffine {
    fn name(&self) -> &'static str {
        "channel_affine"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, OpError> {
        let args = Args::new(self.name(), inputs, 3)?;
        let [n, d] = args.matrix(0)?;
        args.float(1, &[d])?;
        args.float(2, &[d])?;
        Ok(vec![TensorType::f32(&[n, d])])
    }

    fn eval(&self, inputs: &[&Tensor], outputs: &mut [Tensor]) {
        let (x, scale, bias) = (inputs[0].f64s(), inputs[1].f64s(), inputs[2].f64s());
        let d = scale.len();
        for (i, y) in outputs[0].f64s_mut().iter_mut().enumerate() {
            *y = scale[i % d] * x[i] + bias[i % d];
        }
    }

    fn grad(&self, graph: &mut Graph, site: &Site<'_>) -> Result<Vec<Option<ValueId>>, OpError> {
        let out = graph.push(ChannelAffineGrad, &[site.inputs[0], site.inputs[1], site.grad(0)])?;
        Ok(out.into_iter().map(Some).collect())
    }
}

impl OpDef for ChannelAffineGrad {
    fn name(&self) -> &'static str {
        "channel_affine_grad"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, OpError> {
        let args = Args::new(self.name(), inputs, 3)?;
        let [n, d] = args.matrix(0)?;
        args.float(1, &[d])?;
        args.float(2, &[n, d])?;
        Ok(vec![TensorType::f32(&[n, d]), TensorType::f32(&[d]), TensorType::f32(&[d])])
    }

    fn eval(&self, inputs: &[&Tensor], outputs: &mut [Tensor]) {
        let (x, scale, dy) = (inputs[0].f64s(), inputs[1].f64s(), inputs[2].f64s());
        let d = scale.len();
        let [dx, dscale, dbias] = outputs else { unreachable!("three results") };
        let (dx, dscale, dbias) = (dx.f64s_mut(), dscale.f64s_mut(), dbias.f64s_mut());
        for i in 0..x.len() {
            dx[i] = scale[i % d] * dy[i];
            dscale[i % d] += x[i] * dy[i];
            dbias[i % d] += dy[i];
        }
    }
}
