//! `embed`: `(ids i32[n], table[v,d]) → table[ids][n,d]`. The table may be quantized.
//! Gradient: `embed_grad`, `(ids, dy[n,d]) → dtable[v,d]`, rows summed in an order that ids alone decide, so that the
//! result does not depend on the number of threads.

use super::args::Args;
use super::{OpDef, OpError, Site, floats};
use crate::graph::{Graph, ValueId};
use crate::tensor::{Tensor, TensorType};

/// Row lookup.
#[derive(Clone, Debug, PartialEq)]
pub struct Embed;

/// Sums the rows of `dy` that share an id.
#[derive(Clone, Debug, PartialEq)]
pub struct EmbedGrad {
    /// Rows of the table.
    pub rows: usize,
}

impl OpDef for Embed {
    fn name(&self) -> &'static str {
        "embed"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, OpError> {
        let args = Args::new(self.name(), inputs, 2)?;
        let n = args.ids(0)?;
        let [_, d] = args.weight(1)?;
        Ok(vec![TensorType::f32(&[n, d])])
    }

    fn eval(&self, inputs: &[&Tensor], outputs: &mut [Tensor]) {
        let (ids, table) = (inputs[0].i32s(), floats(inputs[1]));
        let d = inputs[1].shape()[1];
        for (y, &id) in outputs[0].f64s_mut().chunks_exact_mut(d).zip(ids) {
            y.copy_from_slice(&table[id as usize * d..][..d]);
        }
    }

    fn grad(&self, graph: &mut Graph, site: &Site<'_>) -> Result<Vec<Option<ValueId>>, OpError> {
        let rows = graph.ty(site.inputs[1]).shape[0];
        let table = graph.push(EmbedGrad { rows }, &[site.inputs[0], site.grad(0)])?[0];
        Ok(vec![None, Some(table)])
    }
}

impl OpDef for EmbedGrad {
    fn name(&self) -> &'static str {
        "embed_grad"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, OpError> {
        let args = Args::new(self.name(), inputs, 2)?;
        let n = args.ids(0)?;
        let [m, d] = args.matrix(1)?;
        args.ensure(1, m == n, format!("`f32[{n},{d}]`"))?;
        Ok(vec![TensorType::f32(&[self.rows, d])])
    }

    fn eval(&self, inputs: &[&Tensor], outputs: &mut [Tensor]) {
        let (ids, dy) = (inputs[0].i32s(), inputs[1].f64s());
        let d = inputs[1].shape()[1];
        let table = outputs[0].f64s_mut();
        for (row, &id) in dy.chunks_exact(d).zip(ids) {
            for (sum, x) in table[id as usize * d..][..d].iter_mut().zip(row) {
                *sum += x;
            }
        }
    }
}
