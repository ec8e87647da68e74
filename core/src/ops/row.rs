//! `row`: `(w[r,d]) → w[index][d]`, and its gradient `row_grad`: `(dy[d]) → [r,d]`, zero but for that row. There are no
//! views, so a row of a small matrix of vectors (the skip weights) is copied out.

use super::args::Args;
use super::{OpDef, OpError, Site};
use crate::graph::{Graph, ValueId};
use crate::tensor::{Tensor, TensorType};

/// One row of a matrix.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Which row.
    pub index: usize,
}

/// A matrix with one non-zero row.
#[derive(Clone, Debug, PartialEq)]
pub struct RowGrad {
    /// Rows of the matrix.
    pub rows: usize,
    /// Which row.
    pub index: usize,
}

impl OpDef for Row {
    fn name(&self) -> &'static str {
        "row"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, OpError> {
        let args = Args::new(self.name(), inputs, 1)?;
        let [rows, d] = args.matrix(0)?;
        args.ensure(0, self.index < rows, format!("more than {} rows", self.index))?;
        Ok(vec![TensorType::f32(&[d])])
    }

    fn eval(&self, inputs: &[&Tensor], outputs: &mut [Tensor]) {
        let d = inputs[0].shape()[1];
        outputs[0].f64s_mut().copy_from_slice(&inputs[0].f64s()[self.index * d..][..d]);
    }

    fn grad(&self, graph: &mut Graph, site: &Site<'_>) -> Result<Vec<Option<ValueId>>, OpError> {
        let rows = graph.ty(site.inputs[0]).shape[0];
        Ok(vec![Some(graph.push(RowGrad { rows, index: self.index }, &[site.grad(0)])?[0])])
    }
}

impl OpDef for RowGrad {
    fn name(&self) -> &'static str {
        "row_grad"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, OpError> {
        let args = Args::new(self.name(), inputs, 1)?;
        let ty = args.any_float(0)?;
        args.ensure(0, ty.shape.len() == 1 && self.index < self.rows, "a vector `f32[d]`")?;
        Ok(vec![TensorType::f32(&[self.rows, ty.shape[0]])])
    }

    fn eval(&self, inputs: &[&Tensor], outputs: &mut [Tensor]) {
        let dy = inputs[0].f64s();
        outputs[0].f64s_mut()[self.index * dy.len()..][..dy.len()].copy_from_slice(dy);
    }
}
