//! `constant`: `() → value[]`: the seed of a gradient.

use super::args::Args;
use super::{OpDef, OpError};
use crate::tensor::{Tensor, TensorType};

/// A scalar known when the graph is built.
#[derive(Clone, Debug, PartialEq)]
pub struct Constant {
    /// The value.
    pub value: f64,
}

impl OpDef for Constant {
    fn name(&self) -> &'static str {
        "constant"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, OpError> {
        Args::new(self.name(), inputs, 0)?;
        Ok(vec![TensorType::f32(&[])])
    }

    fn eval(&self, _inputs: &[&Tensor], outputs: &mut [Tensor]) {
        outputs[0].f64s_mut()[0] = self.value;
    }
}
