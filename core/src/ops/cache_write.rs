//! `cache_write`: `(cache[w,d], x[n,d], position i32[1]) → cache[w,d]`, in place: rows `position .. position + n` become
//! `x`, the others stay. `position + n ≤ w`. How keys, values and embeddings of earlier tokens outlive a decode step.

use super::args::Args;
use super::{OpDef, OpError};
use crate::tensor::{Tensor, TensorType};

/// Rows of a cache overwritten from a run-time position on.
#[derive(Clone, Debug, PartialEq)]
pub struct CacheWrite;

impl OpDef for CacheWrite {
    fn name(&self) -> &'static str {
        "cache_write"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, OpError> {
        let args = Args::new(self.name(), inputs, 3)?;
        let ([w, d], [n, width]) = (args.matrix(0)?, args.matrix(1)?);
        args.ensure(1, n <= w && width == d, format!("at most {w} rows of {d} columns"))?;
        args.position(2)?;
        Ok(vec![TensorType::f32(&[w, d])])
    }

    fn eval(&self, inputs: &[&Tensor], outputs: &mut [Tensor]) {
        let (x, position) = (inputs[1].f64s(), inputs[2].i32s()[0] as usize);
        let d = inputs[1].shape()[1];
        outputs[0].f64s_mut()[position * d..][..x.len()].copy_from_slice(x);
    }

    fn in_place(&self) -> &'static [(usize, usize)] {
        &[(0, 0)]
    }
}
