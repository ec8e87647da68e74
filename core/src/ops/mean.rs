//! `mean`: `(x[n]) → Σx/n []`, accumulated in f64; its gradient is `spread`: `(g[]) → [n]`, every entry `g/n`.

use super::args::Args;
use super::{OpDef, OpError, Site};
use crate::graph::{Graph, ValueId};
use crate::tensor::{Tensor, TensorType};

/// Mean of a vector.
#[derive(Clone, Debug, PartialEq)]
pub struct Mean;

/// A scalar divided evenly over `n` entries.
#[derive(Clone, Debug, PartialEq)]
pub struct Spread {
    /// Number of entries.
    pub n: usize,
}

impl OpDef for Mean {
    fn name(&self) -> &'static str {
        "mean"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, OpError> {
        let args = Args::new(self.name(), inputs, 1)?;
        let ty = args.any_float(0)?;
        args.ensure(0, ty.shape.len() == 1 && ty.shape[0] > 0, "a non-empty vector `f32[n]`")?;
        Ok(vec![TensorType::f32(&[])])
    }

    fn eval(&self, inputs: &[&Tensor], outputs: &mut [Tensor]) {
        let x = inputs[0].f64s();
        outputs[0].f64s_mut()[0] = x.iter().sum::<f64>() / x.len() as f64;
    }

    fn grad(&self, graph: &mut Graph, site: &Site<'_>) -> Result<Vec<Option<ValueId>>, OpError> {
        let n = graph.ty(site.inputs[0]).numel();
        Ok(vec![Some(graph.push(Spread { n }, &[site.grad(0)])?[0])])
    }
}

impl OpDef for Spread {
    fn name(&self) -> &'static str {
        "spread"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, OpError> {
        Args::new(self.name(), inputs, 1)?.single(0)?;
        Ok(vec![TensorType::f32(&[self.n])])
    }

    fn eval(&self, inputs: &[&Tensor], outputs: &mut [Tensor]) {
        outputs[0].f64s_mut().fill(inputs[0].item() / self.n as f64);
    }
}
