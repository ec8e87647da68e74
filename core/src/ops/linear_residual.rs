//! `linear_residual`: `(x[n,m], a[n,k], w[m,k]) → x + a·wᵀ`: a sublayer's last product joins the residual stream, and the
//! stream as it was stays. `w` may be quantized.
//!
//! Made by [`crate::plan::fuse`] from `linear` and `add` where nobody else reads the product and the stream is read again
//! (where it is not, [`super::LinearAdd`] overwrites it); it stands after differentiation and has no gradient. Accumulation
//! is in f32 or wider.

use super::args::Args;
use super::{Linear, OpDef, OpError};
use crate::tensor::{Tensor, TensorType};

/// Layer's map, added to the residual stream.
#[derive(Clone, Debug, PartialEq)]
pub struct LinearResidual;

impl OpDef for LinearResidual {
    fn name(&self) -> &'static str {
        "linear_residual"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, OpError> {
        let args = Args::new(self.name(), inputs, 3)?;
        let product = Linear::NT.infer(&inputs[1..])?;
        args.float(0, &product[0].shape)?;
        Ok(product)
    }

    fn eval(&self, inputs: &[&Tensor], outputs: &mut [Tensor]) {
        Linear::NT.eval(&inputs[1..], outputs);
        for (y, x) in outputs[0].f64s_mut().iter_mut().zip(inputs[0].f64s()) {
            *y += x;
        }
    }

    fn flops(&self, inputs: &[&TensorType]) -> u64 {
        Linear::NT.flops(&inputs[1..])
    }
}
