//! `add`: `(a, b) → a + b`, any shape. Gradient: passes through to both.
//! `accumulate`: `(sum, x, keep[]) → keep·sum + x` in place; with `keep = 0` the old sum is ignored, NaN or not.

use super::args::Args;
use super::{OpDef, OpError, Site};
use crate::graph::{Graph, ValueId};
use crate::tensor::{Tensor, TensorType};

/// Elementwise sum; autodiff joins several uses of a value with it.
#[derive(Clone, Debug, PartialEq)]
pub struct Add;

impl OpDef for Add {
    fn name(&self) -> &'static str {
        "add"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, OpError> {
        let args = Args::new(self.name(), inputs, 2)?;
        let ty = args.any_float(0)?;
        args.float(1, &ty.shape)?;
        Ok(vec![ty])
    }

    fn eval(&self, inputs: &[&Tensor], outputs: &mut [Tensor]) {
        let (a, b) = (inputs[0].f64s(), inputs[1].f64s());
        for (i, y) in outputs[0].f64s_mut().iter_mut().enumerate() {
            *y = a[i] + b[i];
        }
    }

    fn grad(&self, _graph: &mut Graph, site: &Site<'_>) -> Result<Vec<Option<ValueId>>, OpError> {
        Ok(vec![site.grads[0], site.grads[0]])
    }
}

/// Running sum held in a state, for gradient accumulation over micro-batches.
#[derive(Clone, Debug, PartialEq)]
pub struct Accumulate;

impl OpDef for Accumulate {
    fn name(&self) -> &'static str {
        "accumulate"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, OpError> {
        let args = Args::new(self.name(), inputs, 3)?;
        let ty = args.any_float(0)?;
        args.float(1, &ty.shape)?;
        args.single(2)?;
        Ok(vec![ty])
    }

    fn eval(&self, inputs: &[&Tensor], outputs: &mut [Tensor]) {
        let (x, keep) = (inputs[1].f64s(), inputs[2].item());
        for (i, sum) in outputs[0].f64s_mut().iter_mut().enumerate() {
            *sum = if keep == 0.0 { x[i] } else { keep * *sum + x[i] };
        }
    }

    fn in_place(&self) -> &'static [(usize, usize)] {
        &[(0, 0)]
    }
}
