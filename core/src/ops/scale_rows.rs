//! `scale_rows`: `(w[r,c], s[r]) → s ⊙ w`, row by row. Gradient: `dw = s ⊙ dy`, `ds = Σ_c w ⊙ dy`.
//!
//! A learned scale per channel behind a product, `s ⊙ (x·wᵀ)`, is the product with scaled rows, `x·(s ⊙ w)ᵀ`. In training that
//! form keeps nothing of an activation's size for the scale's gradient, and moves nothing of it.

use super::args::Args;
use super::{OpDef, OpError, Site};
use crate::graph::{Graph, ValueId};
use crate::tensor::{Tensor, TensorType};

/// A matrix with a learned scale per row.
#[derive(Clone, Debug, PartialEq)]
pub struct ScaleRows;

/// `(w[r,c], s[r], dy[r,c]) → (dw[r,c], ds[r])`.
#[derive(Clone, Debug, PartialEq)]
pub struct ScaleRowsGrad;

impl OpDef for ScaleRows {
    fn name(&self) -> &'static str {
        "scale_rows"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, OpError> {
        let args = Args::new(self.name(), inputs, 2)?;
        let [rows, cols] = args.matrix(0)?;
        args.float(1, &[rows])?;
        Ok(vec![TensorType::f32(&[rows, cols])])
    }

    fn eval(&self, inputs: &[&Tensor], outputs: &mut [Tensor]) {
        let (w, s, cols) = (inputs[0].f64s(), inputs[1].f64s(), inputs[0].shape()[1]);
        for (i, y) in outputs[0].f64s_mut().iter_mut().enumerate() {
            *y = s[i / cols] * w[i];
        }
    }

    fn grad(&self, graph: &mut Graph, site: &Site<'_>) -> Result<Vec<Option<ValueId>>, OpError> {
        let out = graph.push(ScaleRowsGrad, &[site.inputs[0], site.inputs[1], site.grad(0)])?;
        Ok(out.into_iter().map(Some).collect())
    }
}

impl OpDef for ScaleRowsGrad {
    fn name(&self) -> &'static str {
        "scale_rows_grad"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, OpError> {
        let args = Args::new(self.name(), inputs, 3)?;
        let [rows, cols] = args.matrix(0)?;
        args.float(1, &[rows])?;
        args.float(2, &[rows, cols])?;
        Ok(vec![TensorType::f32(&[rows, cols]), TensorType::f32(&[rows])])
    }

    fn eval(&self, inputs: &[&Tensor], outputs: &mut [Tensor]) {
        let (w, s, dy, cols) = (inputs[0].f64s(), inputs[1].f64s(), inputs[2].f64s(), inputs[0].shape()[1]);
        let [dw, ds] = outputs else { unreachable!("two results") };
        let (dw, ds) = (dw.f64s_mut(), ds.f64s_mut());
        for i in 0..w.len() {
            dw[i] = s[i / cols] * dy[i];
            ds[i / cols] += w[i] * dy[i];
        }
    }
}
