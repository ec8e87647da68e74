//! `sum_squares`: `(x) → Σx² []`, and `clip_coefficient`: `(s₁[], …, s_k[]) → (norm[], coefficient[])` of any number of such
//! sums, with `norm = √(s₁ + … + s_k)` and `coefficient = min(1, limit / (norm + 1e-6))`, or 1 when the limit is 0: clipping by
//! global norm. A sum of squares is accumulated in f64 by every backend that has it; sums of tensors are added in the order of
//! the operands, so that the norm has the same bits wherever they were formed.
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

/// Factor that brings a gradient under a limit, given the sums of squares of its tensors.
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
        let args = Args::one_or_more(self.name(), inputs)?;
        (0..inputs.len()).try_for_each(|i| args.single(i))?;
        Ok(vec![TensorType::f32(&[]), TensorType::f32(&[])])
    }

    fn eval(&self, inputs: &[&Tensor], outputs: &mut [Tensor]) {
        let (norm, coefficient) = self.of(inputs.iter().map(|squares| squares.item()).sum());
        outputs[0].f64s_mut()[0] = norm;
        outputs[1].f64s_mut()[0] = coefficient;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_norm_is_of_one_sum_or_more() {
        let op = ClipCoefficient { limit: 1.0 };
        let (scalar, vector) = (TensorType::f32(&[]), TensorType::f32(&[2]));
        assert_eq!(op.infer(&[&scalar; 300]).map(|types| types.len()), Ok(2));
        assert!(matches!(op.infer(&[]), Err(OpError::Arity { expected: 1, got: 0, .. })));
        assert!(matches!(op.infer(&[&scalar, &vector]), Err(OpError::Operand { operand: 1, .. })));
    }
}
