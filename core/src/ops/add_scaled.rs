//! `add_scaled`: `(x[n,d], scale[d], y[n,d]) → x + scale ⊙ y`: a sublayer's output joining the residual stream.
//! Gradient: `dx = dz`, `dy = scale ⊙ dz`, `dscale = Σ_n y ⊙ dz`.

use super::args::Args;
use super::{OpDef, OpError, Site};
use crate::graph::{Graph, ValueId};
use crate::tensor::{Tensor, TensorType};

/// Residual addition with a learned scale per channel.
#[derive(Clone, Debug, PartialEq)]
pub struct AddScaled;

/// `(scale[d], y[n,d], dz[n,d]) → (dscale[d], dy[n,d])`.
#[derive(Clone, Debug, PartialEq)]
pub struct AddScaledGrad;

impl OpDef for AddScaled {
    fn name(&self) -> &'static str {
        "add_scaled"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, OpError> {
        let args = Args::new(self.name(), inputs, 3)?;
        let [n, d] = args.matrix(0)?;
        args.float(1, &[d])?;
        args.float(2, &[n, d])?;
        Ok(vec![TensorType::f32(&[n, d])])
    }

    fn eval(&self, inputs: &[&Tensor], outputs: &mut [Tensor]) {
        let (x, scale, y) = (inputs[0].f64s(), inputs[1].f64s(), inputs[2].f64s());
        let d = scale.len();
        for (i, z) in outputs[0].f64s_mut().iter_mut().enumerate() {
            *z = x[i] + scale[i % d] * y[i];
        }
    }

    fn grad(&self, graph: &mut Graph, site: &Site<'_>) -> Result<Vec<Option<ValueId>>, OpError> {
        let dz = site.grad(0);
        if !site.wanted[1] && !site.wanted[2] {
            return Ok(vec![Some(dz), None, None]);
        }
        let out = graph.push(AddScaledGrad, &[site.inputs[1], site.inputs[2], dz])?;
        Ok(vec![Some(dz), Some(out[0]), Some(out[1])])
    }
}

impl OpDef for AddScaledGrad {
    fn name(&self) -> &'static str {
        "add_scaled_grad"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, OpError> {
        let args = Args::new(self.name(), inputs, 3)?;
        let [n, d] = args.matrix(1)?;
        args.float(0, &[d])?;
        args.float(2, &[n, d])?;
        Ok(vec![TensorType::f32(&[d]), TensorType::f32(&[n, d])])
    }

    fn eval(&self, inputs: &[&Tensor], outputs: &mut [Tensor]) {
        let (scale, y, dz) = (inputs[0].f64s(), inputs[1].f64s(), inputs[2].f64s());
        let d = scale.len();
        let [dscale, dy] = outputs else { unreachable!("two results") };
        let (dscale, dy) = (dscale.f64s_mut(), dy.f64s_mut());
        for i in 0..y.len() {
            dscale[i % d] += y[i] * dz[i];
            dy[i] = scale[i % d] * dz[i];
        }
    }
}
