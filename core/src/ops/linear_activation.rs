//! `linear_activation`: `(a[n,k], w[m,k]) → leaky²(a·wᵀ) [n,m]`, where `leaky²(z) = (z if z ≥ 0 else slope·z)²`: the
//! map into an MLP and its activation in one pass, so that the product is not written and read again. `w` may be quantized.
//!
//! Made by [`crate::plan::fuse`] from `linear` and `leaky_relu_squared` where nobody else reads the product; it stands
//! after differentiation and has no gradient. Accumulation is in f32 or wider. Source: openai/parameter-golf PR #1450.

use super::{LeakyReluSquared, Linear, OpDef, OpError};
use crate::tensor::{Tensor, TensorType};

/// Matrix product, then the squared leaky rectifier.
#[derive(Clone, Debug, PartialEq)]
pub struct LinearActivation {
    /// Slope below zero.
    pub slope: f64,
}

impl OpDef for LinearActivation {
    fn name(&self) -> &'static str {
        "linear_activation"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, OpError> {
        super::args::Args::new(self.name(), inputs, 2)?;
        Linear::NT.infer(inputs)
    }

    fn eval(&self, inputs: &[&Tensor], outputs: &mut [Tensor]) {
        let mut product = [outputs[0].clone()];
        Linear::NT.eval(inputs, &mut product);
        LeakyReluSquared { slope: self.slope }.eval(&[&product[0]], outputs);
    }

    fn flops(&self, inputs: &[&TensorType]) -> u64 {
        Linear::NT.flops(inputs)
    }
}
