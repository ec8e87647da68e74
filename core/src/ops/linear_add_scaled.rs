//! `linear_add_scaled`: `(x[n,m], scale[m], a[n,k], w[m,k]) → x + scale ⊙ (a·wᵀ) [n,m]`: a sublayer's last map joining
//! the residual stream, so that the product is not written and read again. `w` may be quantized.
//!
//! Made by [`crate::plan::fuse`] from `linear` and `add_scaled` where nobody else reads the product; it stands after
//! differentiation and has no gradient. Accumulation is in f32 or wider.

use super::args::Args;
use super::{AddScaled, Linear, OpDef, OpError};
use crate::tensor::{Tensor, TensorType};

/// Matrix product, then the scaled residual addition.
#[derive(Clone, Debug, PartialEq)]
pub struct LinearAddScaled;

impl OpDef for LinearAddScaled {
    fn name(&self) -> &'static str {
        "linear_add_scaled"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, OpError> {
        let args = Args::new(self.name(), inputs, 4)?;
        let ([n, m], [rows, depth], [cols, width]) = (args.matrix(0)?, args.matrix(2)?, args.weight(3)?);
        args.float(1, &[m])?;
        args.ensure(2, rows == n, format!("{n} rows"))?;
        args.ensure(3, cols == m && width == depth, format!("{m} rows of {depth} columns"))?;
        Ok(vec![TensorType::f32(&[n, m])])
    }

    fn eval(&self, inputs: &[&Tensor], outputs: &mut [Tensor]) {
        let mut product = [outputs[0].clone()];
        Linear::NT.eval(&inputs[2..], &mut product);
        AddScaled.eval(&[inputs[0], inputs[1], &product[0]], outputs);
    }

    fn flops(&self, inputs: &[&TensorType]) -> u64 {
        Linear::NT.flops(&inputs[2..])
    }
}
