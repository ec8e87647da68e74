//! `softcap`: `(z) → cap·tanh(z/cap)`, for logits that are wanted themselves (generation); training and scoring use
//! `head_cross_entropy`. Gradient: `dz = dy·(1 - tanh²(z/cap))`. Source: Gemma 2, arXiv:2408.00118.

use super::args::Args;
use super::{OpDef, OpError, Site};
use crate::graph::{Graph, ValueId};
use crate::tensor::{Tensor, TensorType};

/// Squashes values into ±cap.
#[derive(Clone, Debug, PartialEq)]
pub struct Softcap {
    /// The bound.
    pub cap: f64,
}

/// `(z, dy) → dz`.
#[derive(Clone, Debug, PartialEq)]
pub struct SoftcapGrad {
    /// The bound.
    pub cap: f64,
}

impl OpDef for Softcap {
    fn name(&self) -> &'static str {
        "softcap"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, OpError> {
        Ok(vec![Args::new(self.name(), inputs, 1)?.any_float(0)?])
    }

    fn eval(&self, inputs: &[&Tensor], outputs: &mut [Tensor]) {
        for (y, z) in outputs[0].f64s_mut().iter_mut().zip(inputs[0].f64s()) {
            *y = self.cap * (z / self.cap).tanh();
        }
    }

    fn grad(&self, graph: &mut Graph, site: &Site<'_>) -> Result<Vec<Option<ValueId>>, OpError> {
        Ok(vec![Some(graph.push(SoftcapGrad { cap: self.cap }, &[site.inputs[0], site.grad(0)])?[0])])
    }
}

impl OpDef for SoftcapGrad {
    fn name(&self) -> &'static str {
        "softcap_grad"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, OpError> {
        let args = Args::new(self.name(), inputs, 2)?;
        let ty = args.any_float(0)?;
        args.float(1, &ty.shape)?;
        Ok(vec![ty])
    }

    fn eval(&self, inputs: &[&Tensor], outputs: &mut [Tensor]) {
        let (z, dy) = (inputs[0].f64s(), inputs[1].f64s());
        for (i, dz) in outputs[0].f64s_mut().iter_mut().enumerate() {
            *dz = dy[i] * (1.0 - (z[i] / self.cap).tanh().powi(2));
        }
    }
}
