//! `linear_add`: `(a, b, sum) → sum + a·b` in place of `sum`, in the forms of [`Linear`] whose result is an activation: a
//! gradient that several products add up to, without a pass over memory for every sum. `b` may be quantized.
//!
//! Made by [`crate::plan::fuse`] from `linear` and `add` where nobody else reads the product and the sum so far is read for
//! the last time; it stands after differentiation and has no gradient. Accumulation is in f32 or wider.

use super::args::Args;
use super::{Linear, OpDef, OpError};
use crate::tensor::{Tensor, TensorType};

/// Matrix product, added to what is there.
#[derive(Clone, Debug, PartialEq)]
pub struct LinearAdd {
    /// The product.
    pub linear: Linear,
}

impl OpDef for LinearAdd {
    fn name(&self) -> &'static str {
        "linear_add"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, OpError> {
        let args = Args::new(self.name(), inputs, 3)?;
        let product = self.linear.infer(&inputs[..2])?;
        args.float(2, &product[0].shape)?;
        Ok(product)
    }

    fn eval(&self, inputs: &[&Tensor], outputs: &mut [Tensor]) {
        let mut product = [outputs[0].clone()];
        self.linear.eval(&inputs[..2], &mut product);
        for (sum, term) in outputs[0].f64s_mut().iter_mut().zip(product[0].f64s()) {
            *sum += term;
        }
    }

    fn in_place(&self) -> &'static [(usize, usize)] {
        &[(0, 2)]
    }

    fn flops(&self, inputs: &[&TensorType]) -> u64 {
        self.linear.flops(&inputs[..2])
    }
}
