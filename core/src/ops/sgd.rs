//! `sgd`: gradient descent with heavy-ball momentum, in place on parameter and momentum buffer.
//!
//! `(p, m, g, clip[], lr_scale[]) → (p, m)`: `m ← μ·m + clip·g`, `p ← p - lr·lr_scale·m`. A zero buffer makes the
//! first step plain gradient descent. A `clip` that is not finite changes nothing.

use super::args::Args;
use super::{OpDef, OpError};
use crate::tensor::{Tensor, TensorType};

/// One SGD update.
#[derive(Clone, Debug, PartialEq)]
pub struct Sgd {
    /// Learning rate before the schedule's factor.
    pub lr: f64,
    /// Momentum μ.
    pub momentum: f64,
}

impl OpDef for Sgd {
    fn name(&self) -> &'static str {
        "sgd"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, OpError> {
        let args = Args::new(self.name(), inputs, 5)?;
        let ty = args.any_float(0)?;
        args.float(1, &ty.shape)?;
        args.float(2, &ty.shape)?;
        args.single(3)?;
        args.single(4)?;
        Ok(vec![ty.clone(), ty])
    }

    fn eval(&self, inputs: &[&Tensor], outputs: &mut [Tensor]) {
        let (g, clip, lr) = (inputs[2].f64s(), inputs[3].item(), self.lr * inputs[4].item());
        if !clip.is_finite() {
            return;
        }
        let [p, m] = outputs else { unreachable!("two results") };
        let (p, m) = (p.f64s_mut(), m.f64s_mut());
        for i in 0..g.len() {
            m[i] = self.momentum * m[i] + clip * g[i];
            p[i] -= lr * m[i];
        }
    }

    fn in_place(&self) -> &'static [(usize, usize)] {
        &[(0, 0), (1, 1)]
    }
}
