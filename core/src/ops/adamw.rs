//! `adamw`: decoupled AdamW (Loshchilov & Hutter, arXiv:1711.05101), in place on parameter and moments.
//!
//! `(p, m, v, g, clip[], lr_scale[], bias1[], bias2[]) → (p, m, v)` with `η = lr·lr_scale`, `g ← clip·g`:
//! `p ← (1-η·wd)·p`, `m ← β₁m + (1-β₁)g`, `v ← β₂v + (1-β₂)g²`, `p ← p - η/bias1 · m / (√v/√bias2 + ε)`.
//! `bias1 = 1-β₁ᵗ`, `bias2 = 1-β₂ᵗ` for step number t from 1, computed by the caller in f64. A `clip` that is not finite changes nothing.

use super::args::Args;
use super::{OpDef, OpError};
use crate::tensor::{Tensor, TensorType};

/// One AdamW update.
#[derive(Clone, Debug, PartialEq)]
pub struct AdamW {
    /// Learning rate before the schedule's factor.
    pub lr: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub epsilon: f64,
}

impl OpDef for AdamW {
    fn name(&self) -> &'static str {
        "adamw"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, OpError> {
        let args = Args::new(self.name(), inputs, 8)?;
        let ty = args.any_float(0)?;
        for i in 1..4 {
            args.float(i, &ty.shape)?;
        }
        for i in 4..8 {
            args.single(i)?;
        }
        Ok(vec![ty.clone(), ty.clone(), ty])
    }

    fn eval(&self, inputs: &[&Tensor], outputs: &mut [Tensor]) {
        let g = inputs[3].f64s();
        let [clip, lr_scale, bias1, bias2] = [4, 5, 6, 7].map(|i| inputs[i].item());
        if !clip.is_finite() {
            return;
        }
        let lr = self.lr * lr_scale;
        let [p, m, v] = outputs else { unreachable!("three results") };
        let (p, m, v) = (p.f64s_mut(), m.f64s_mut(), v.f64s_mut());
        for i in 0..g.len() {
            let gi = clip * g[i];
            m[i] = self.beta1 * m[i] + (1.0 - self.beta1) * gi;
            v[i] = self.beta2 * v[i] + (1.0 - self.beta2) * gi * gi;
            p[i] *= 1.0 - lr * self.weight_decay;
            p[i] -= lr / bias1 * m[i] / (v[i].sqrt() / bias2.sqrt() + self.epsilon);
        }
    }

    fn in_place(&self) -> &'static [(usize, usize)] {
        &[(0, 0), (1, 1), (2, 2)]
    }
}
