//! `leaky_relu_squared`: `(z[n,d]) → (z if z ≥ 0 else slope·z)²`; slope 0 is relu². Gradient: `2z·dh` for `z ≥ 0`,
//! `2·slope²·z·dh` below. Sources: So et al., arXiv:2109.08668 (relu²); openai/parameter-golf PR #549 (slope 0.5).

use super::args::Args;
use super::{OpDef, OpError, Site};
use crate::graph::{Graph, ValueId};
use crate::tensor::{Tensor, TensorType};

/// Squared leaky rectifier.
#[derive(Clone, Debug, PartialEq)]
pub struct LeakyReluSquared {
    /// Slope below zero.
    pub slope: f64,
}

/// `(z[n,d], dh[n,d]) → dz[n,d]`.
#[derive(Clone, Debug, PartialEq)]
pub struct LeakyReluSquaredGrad {
    /// Slope below zero.
    pub slope: f64,
}

impl OpDef for LeakyReluSquared {
    fn name(&self) -> &'static str {
        "leaky_relu_squared"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, OpError> {
        Ok(vec![Args::new(self.name(), inputs, 1)?.any_float(0)?])
    }

    fn eval(&self, inputs: &[&Tensor], outputs: &mut [Tensor]) {
        for (h, &z) in outputs[0].f64s_mut().iter_mut().zip(inputs[0].f64s()) {
            *h = if z >= 0.0 { z } else { self.slope * z }.powi(2);
        }
    }

    fn grad(&self, graph: &mut Graph, site: &Site<'_>) -> Result<Vec<Option<ValueId>>, OpError> {
        let op = LeakyReluSquaredGrad { slope: self.slope };
        Ok(vec![Some(graph.push(op, &[site.inputs[0], site.grad(0)])?[0])])
    }
}

impl OpDef for LeakyReluSquaredGrad {
    fn name(&self) -> &'static str {
        "leaky_relu_squared_grad"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, OpError> {
        let args = Args::new(self.name(), inputs, 2)?;
        let ty = args.any_float(0)?;
        args.float(1, &ty.shape)?;
        Ok(vec![ty])
    }

    fn eval(&self, inputs: &[&Tensor], outputs: &mut [Tensor]) {
        let (z, dh) = (inputs[0].f64s(), inputs[1].f64s());
        for (i, dz) in outputs[0].f64s_mut().iter_mut().enumerate() {
            *dz = 2.0 * z[i] * dh[i] * if z[i] >= 0.0 { 1.0 } else { self.slope * self.slope };
        }
    }
}
