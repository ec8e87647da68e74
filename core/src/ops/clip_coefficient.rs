//! `sum_squares`: `(x) → Σx² []`, and `clip_coefficient`: `(Σx²[]) → (norm[], coefficient[])` with
//! `coefficient = min(1, limit / (norm + 1e-6))`, or 1 when the limit is 0: clipping by global norm. The sum is
//! accumulated in f64 by every backend that has it.
//!
//! Of a norm that is not finite the coefficient is NaN, whatever the limit, and an update whose coefficient is not finite
//! changes nothing: `adamw` and `sgd` leave their states alone, `nesterov_momentum` its moment, with `u = 0`. So the host need
//! not look at the norm before the update is queued, and what it finds afterwards are the weights that the gradient was taken at.

use super::args::Args;
use super::{OpDef, OpError};
use crate::tensor::{Tensor, TensorType};

/// Sum of squares of a tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct SumSquares;

/// Factor that brings a gradient of the given squared norm under a limit.
#[derive(Clone, Debug, PartialEq)]
pub struct ClipCoefficient {
    /// Largest allowed norm; 0 switches clipping off.
    pub limit: f64,
}

impl ClipCoefficient {
    /// `(norm, coefficient)` for a sum of squares.
    pub fn of(&self, sum_squares: f64) -> (f64, f64) {
        let norm = sum_squares.sqrt();
        let factor = self.limit / (norm + 1e-6);
        let coefficient = match () {
            () if !norm.is_finite() => f64::NAN,
            () if self.limit > 0.0 && factor < 1.0 => factor,
            () => 1.0,
        };
        (norm, coefficient)
    }
}

impl OpDef for SumSquares {
    fn name(&self) -> &'static str {
        "sum_squares"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, OpError> {
        Args::new(self.name(), inputs, 1)?.any_float(0)?;
        Ok(vec![TensorType::f32(&[])])
    }

    fn eval(&self, inputs: &[&Tensor], outputs: &mut [Tensor]) {
        outputs[0].f64s_mut()[0] = inputs[0].f64s().iter().map(|x| x * x).sum();
    }
}

impl OpDef for ClipCoefficient {
    fn name(&self) -> &'static str {
        "clip_coefficient"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, OpError> {
        Args::new(self.name(), inputs, 1)?.single(0)?;
        Ok(vec![TensorType::f32(&[]), TensorType::f32(&[])])
    }

    fn eval(&self, inputs: &[&Tensor], outputs: &mut [Tensor]) {
        let (norm, coefficient) = self.of(inputs[0].item());
        outputs[0].f64s_mut()[0] = norm;
        outputs[1].f64s_mut()[0] = coefficient;
    }
}
