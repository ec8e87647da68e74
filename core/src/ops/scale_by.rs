//! `scale_by`: `(x, s) → s·x` for a learned scalar `s` of shape `[]` or `[1]`.
//! Gradient: `dx = s·dy`, `ds = Σ x·dy`.

use super::args::Args;
use super::{OpDef, OpError, Site};
use crate::graph::{Graph, ValueId};
use crate::tensor::{Tensor, TensorType};

/// A tensor times a learned scalar.
#[derive(Clone, Debug, PartialEq)]
pub struct ScaleBy;

/// `(x, s, dy) → (dx, ds)`.
#[derive(Clone, Debug, PartialEq)]
pub struct ScaleByGrad;

impl OpDef for ScaleBy {
    fn name(&self) -> &'static str {
        "scale_by"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, OpError> {
        let args = Args::new(self.name(), inputs, 2)?;
        args.single(1)?;
        Ok(vec![args.any_float(0)?])
    }

    fn eval(&self, inputs: &[&Tensor], outputs: &mut [Tensor]) {
        let s = inputs[1].item();
        for (y, x) in outputs[0].f64s_mut().iter_mut().zip(inputs[0].f64s()) {
            *y = s * x;
        }
    }

    fn grad(&self, graph: &mut Graph, site: &Site<'_>) -> Result<Vec<Option<ValueId>>, OpError> {
        let out = graph.push(ScaleByGrad, &[site.inputs[0], site.inputs[1], site.grad(0)])?;
        Ok(out.into_iter().map(Some).collect())
    }
}

impl OpDef for ScaleByGrad {
    fn name(&self) -> &'static str {
        "scale_by_grad"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, OpError> {
        let args = Args::new(self.name(), inputs, 3)?;
        args.single(1)?;
        let ty = args.any_float(0)?;
        args.float(2, &ty.shape)?;
        Ok(vec![ty, inputs[1].clone()])
    }

    fn eval(&self, inputs: &[&Tensor], outputs: &mut [Tensor]) {
        let (x, s, dy) = (inputs[0].f64s(), inputs[1].item(), inputs[2].f64s());
        outputs[0].f64s_mut().iter_mut().zip(dy).for_each(|(dx, dy)| *dx = s * dy);
        outputs[1].f64s_mut()[0] = x.iter().zip(dy).map(|(x, dy)| x * dy).sum();
    }
}
