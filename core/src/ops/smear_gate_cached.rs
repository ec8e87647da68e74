//! `smear_gate_cached`: `(x[n,d], gate[d], cache[w,d], position i32[1]) → (1-g)⊙x_i + g⊙x_{i-1} [n,d]`,
//! `g = sigmoid(gate)`: [`super::SmearGate`] for tokens that stand at `position ..` of their window.
//!
//! The predecessor of the first token is row `position - 1` of `cache`, and zeros at position 0. No other row of the cache
//! is read. `position + n ≤ w`.

use super::args::Args;
use super::gated_skip::sigmoid;
use super::{OpDef, OpError};
use crate::tensor::{Tensor, TensorType};

/// Learned blend with the predecessor, at a run-time position.
#[derive(Clone, Debug, PartialEq)]
pub struct SmearGateCached;

impl OpDef for SmearGateCached {
    fn name(&self) -> &'static str {
        "smear_gate_cached"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, OpError> {
        let args = Args::new(self.name(), inputs, 4)?;
        let ([n, d], [w, _]) = (args.matrix(0)?, args.matrix(2)?);
        args.float(1, &[d])?;
        args.float(2, &[w, d])?;
        args.ensure(0, n <= w, format!("at most {w} rows"))?;
        args.position(3)?;
        Ok(vec![TensorType::f32(&[n, d])])
    }

    fn eval(&self, inputs: &[&Tensor], outputs: &mut [Tensor]) {
        let [x, gate, cache] = [0, 1, 2].map(|i| inputs[i].f64s());
        let (d, position) = (gate.len(), inputs[3].i32s()[0] as usize);
        for (i, y) in outputs[0].f64s_mut().iter_mut().enumerate() {
            let g = sigmoid(gate[i % d]);
            let before = match (i / d, position) {
                (0, 0) => 0.0,
                (0, _) => cache[(position - 1) * d + i],
                _ => x[i - d],
            };
            *y = (1.0 - g) * x[i] + g * before;
        }
    }
}
