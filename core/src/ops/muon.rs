//! Muon (Jordan et al., kellerjordan.github.io/posts/muon): momentum, orthogonalization, update.
//!
//! * `nesterov_momentum`: `(m, g, clip[], mu[]) → (m, u)`: `m ← μ·m + clip·g` in place, `u = clip·g + μ·m`; a `clip` that is not finite
//!   leaves `m` alone, and `u` is 0.
//! * `newton_schulz`: `(u₁[r,c], …, u_k[r,c]) → (o₁[r,c], …, o_k[r,c])` in place, a bank of matrices of one shape, each by
//!   itself: `x = u/(‖u‖_F + 1e-7)` (transposed when `r > c`), five times `a = x·xᵀ`, `x ← c₀·x + (c₁·a + c₂·a·a)·x`. The
//!   coefficients do not converge to 1: singular values end near 0.7–1.2. What a matrix becomes does not depend on the
//!   others, to the bit wherever kernels of the project form the products: they are one step so that a GPU can form them at once.
//! * `muon_apply`: `(w[r,c], o[r,c], lr_scale[]) → w` in place: `η = lr·lr_scale·√max(1, r/c)`,
//!   `w ← (1 - lr·lr_scale·wd)·w - η·o`, or with `decay_first` off the update first and then the decay.

use super::args::Args;
use super::{OpDef, OpError};
use crate::tensor::{Tensor, TensorType};

/// Quintic coefficients, one application per iteration.
pub const NEWTON_SCHULZ_COEFFICIENTS: [f64; 3] = [3.4445, -4.7750, 2.0315];

/// Momentum with Nesterov look-ahead.
#[derive(Clone, Debug, PartialEq)]
pub struct NesterovMomentum;

/// Most matrices of one `newton_schulz` step. A bank is alive as a whole, in place, and a backend that stacks it takes about
/// three times as much again while the step runs. 32 matrices of 512 × 512 are 512 tiles of 128 × 128: more would not keep
/// a large GPU busier.
pub const LARGEST_BANK: usize = 32;

/// Approximate orthogonalization by Newton–Schulz iteration, of 1 to [`LARGEST_BANK`] matrices.
#[derive(Clone, Debug, PartialEq)]
pub struct NewtonSchulz {
    /// Number of iterations, at least one.
    pub steps: usize,
}

/// Weight decay and update.
#[derive(Clone, Debug, PartialEq)]
pub struct MuonApply {
    /// Learning rate before the schedule's factor.
    pub lr: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// Decay before the update (all systems but PR #861).
    pub decay_first: bool,
}

impl MuonApply {
    /// Factors `(before, update, after)`: `w ← after·(before·w - update·o)`.
    pub fn factors(&self, lr_scale: f64, rows: usize, cols: usize) -> (f64, f64, f64) {
        let lr = self.lr * lr_scale;
        let (decay, update) =
            (1.0 - lr * self.weight_decay, lr * (rows as f64 / cols as f64).max(1.0).sqrt());
        if self.decay_first { (decay, update, 1.0) } else { (1.0, update, decay) }
    }
}

impl OpDef for NesterovMomentum {
    fn name(&self) -> &'static str {
        "nesterov_momentum"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, OpError> {
        let args = Args::new(self.name(), inputs, 4)?;
        let ty = args.any_float(0)?;
        args.float(1, &ty.shape)?;
        args.single(2)?;
        args.single(3)?;
        Ok(vec![ty.clone(), ty])
    }

    fn eval(&self, inputs: &[&Tensor], outputs: &mut [Tensor]) {
        let (g, clip, mu) = (inputs[1].f64s(), inputs[2].item(), inputs[3].item());
        let [m, u] = outputs else { unreachable!("two results") };
        let (m, u) = (m.f64s_mut(), u.f64s_mut());
        if !clip.is_finite() {
            return u.fill(0.0);
        }
        for i in 0..g.len() {
            m[i] = mu * m[i] + clip * g[i];
            u[i] = clip * g[i] + mu * m[i];
        }
    }

    fn in_place(&self) -> &'static [(usize, usize)] {
        &[(0, 0)]
    }
}

/// `a·b` for row-major square-ish matrices `[r,k]·[k,c]`, or `a·bᵀ` with `b` stored `[c,k]`.
fn product(a: &[f64], b: &[f64], [r, c, k]: [usize; 3], transposed: bool) -> Vec<f64> {
    let mut y = vec![0.0; r * c];
    for i in 0..r {
        for j in 0..c {
            y[i * c + j] =
                (0..k).map(|l| a[i * k + l] * if transposed { b[j * k + l] } else { b[l * c + j] }).sum();
        }
    }
    y
}

fn transpose(x: &[f64], rows: usize, cols: usize) -> Vec<f64> {
    (0..cols * rows).map(|i| x[i % rows * cols + i / rows]).collect()
}

/// Every result is its own operand; pairs beyond the number of operands name nothing.
const ONE_BY_ONE: [(usize, usize); LARGEST_BANK] = {
    let mut pairs = [(0, 0); LARGEST_BANK];
    let mut i = 0;
    while i < LARGEST_BANK {
        pairs[i] = (i, i);
        i += 1;
    }
    pairs
};

impl NewtonSchulz {
    /// The definition, for a bank; what an iteration stores goes through `stored` first, where a device rounds it.
    pub(crate) fn eval_stored(
        &self,
        inputs: &[&Tensor],
        outputs: &mut [Tensor],
        stored: &mut dyn FnMut(&mut [f64]),
    ) {
        for (u, o) in inputs.iter().zip(outputs) {
            let shape = [u.shape()[0], u.shape()[1]];
            o.f64s_mut().copy_from_slice(&self.orthogonalized(u.f64s(), shape, stored));
        }
    }

    /// The same for one row-major matrix.
    fn orthogonalized(
        &self,
        u: &[f64],
        [rows, cols]: [usize; 2],
        stored: &mut dyn FnMut(&mut [f64]),
    ) -> Vec<f64> {
        let flip = rows > cols;
        let (r, c) = if flip { (cols, rows) } else { (rows, cols) };
        let norm = u.iter().map(|x| x * x).sum::<f64>().sqrt() + 1e-7;
        let mut x = if flip { transpose(u, rows, cols) } else { u.to_vec() };
        x.iter_mut().for_each(|x| *x /= norm);
        stored(&mut x);
        let [c0, c1, c2] = NEWTON_SCHULZ_COEFFICIENTS;
        for _ in 0..self.steps {
            let mut a = product(&x, &x, [r, r, c], true);
            stored(&mut a);
            let mut aa = product(&a, &a, [r, r, r], false);
            stored(&mut aa);
            let mut b: Vec<f64> = a.iter().zip(&aa).map(|(a, aa)| c1 * a + c2 * aa).collect();
            stored(&mut b);
            let mut bx = product(&b, &x, [r, c, r], false);
            stored(&mut bx);
            x.iter_mut().zip(&bx).for_each(|(x, bx)| *x = c0 * *x + bx);
            stored(&mut x);
        }
        if flip { transpose(&x, r, c) } else { x }
    }
}

impl OpDef for NewtonSchulz {
    fn name(&self) -> &'static str {
        "newton_schulz"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, OpError> {
        let args = Args::some(self.name(), inputs, LARGEST_BANK)?;
        let [r, c] = args.matrix(0)?;
        (1..inputs.len()).try_for_each(|i| args.float(i, &[r, c]))?;
        Ok(vec![TensorType::f32(&[r, c]); inputs.len()])
    }

    fn eval(&self, inputs: &[&Tensor], outputs: &mut [Tensor]) {
        self.eval_stored(inputs, outputs, &mut |_| ());
    }

    fn in_place(&self) -> &'static [(usize, usize)] {
        &ONE_BY_ONE
    }

    fn flops(&self, inputs: &[&TensorType]) -> u64 {
        let (rows, cols) = (inputs[0].shape[0] as u64, inputs[0].shape[1] as u64);
        let (r, c) = (rows.min(cols), rows.max(cols));
        (inputs.len() * self.steps) as u64 * 2 * (2 * r * r * c + r * r * r)
    }
}

impl OpDef for MuonApply {
    fn name(&self) -> &'static str {
        "muon_apply"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, OpError> {
        let args = Args::new(self.name(), inputs, 3)?;
        let [r, c] = args.matrix(0)?;
        args.float(1, &[r, c])?;
        args.single(2)?;
        Ok(vec![TensorType::f32(&[r, c])])
    }

    fn eval(&self, inputs: &[&Tensor], outputs: &mut [Tensor]) {
        let [r, c] = [inputs[0].shape()[0], inputs[0].shape()[1]];
        let (before, update, after) = self.factors(inputs[2].item(), r, c);
        for (w, o) in outputs[0].f64s_mut().iter_mut().zip(inputs[1].f64s()) {
            *w = after * (before * *w - update * o);
        }
    }

    fn in_place(&self) -> &'static [(usize, usize)] {
        &[(0, 0)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bank_is_of_one_shape_and_bounded() {
        let op = NewtonSchulz { steps: 5 };
        let (wide, tall) = (TensorType::f32(&[2, 3]), TensorType::f32(&[3, 2]));
        assert_eq!(op.infer(&[&wide, &wide]), Ok(vec![wide.clone(), wide.clone()]));
        let error = op.infer(&[&wide, &wide, &tall]).expect_err("another shape").to_string();
        assert_eq!(error, "`newton_schulz`: operand 2: expected `f32[2,3]`, got `f32[3,2]`");
        let error = op.infer(&[&wide; LARGEST_BANK + 1]).expect_err("one too many").to_string();
        assert_eq!(error, "`newton_schulz`: expected 1 to 32 operands, got 33");
        assert!(matches!(op.infer(&[]), Err(OpError::Count { got: 0, .. })));
    }

    #[test]
    fn the_work_of_a_bank_is_that_of_its_matrices() {
        let (op, ty) = (NewtonSchulz { steps: 5 }, TensorType::f32(&[4, 6]));
        assert_eq!(op.flops(&[&ty; 3]), 3 * op.flops(&[&ty]));
    }
}
