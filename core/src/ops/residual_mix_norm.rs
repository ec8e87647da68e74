//! `residual_mix_norm`: `(x[n,d], x0[n,d], mix[2,d]) → (m, h)`, a block's [`ResidualMix`] and the [`RmsNorm`] of it in one pass:
//! `m = mix[0]⊙x + mix[1]⊙x0`, `h = scale·m / sqrt(mean_d m² + ε)`.
//!
//! `residual_mix_norm_grad`: `(x, x0, mix, dh, dm) → (dx, dx0, dmix)`, `dx` in place of `dm`: the gradient of both, where `dm` is
//! what the stream `m` has from others. With `g = dm + ∂h/∂m·dh`: `dx = mix[0]⊙g`, `dx0 = mix[1]⊙g`,
//! `dmix = [Σ_n x⊙g, Σ_n x0⊙g]`. `m` is formed again from what is read anyway, so nobody keeps it, and `g` is never in memory.
//!
//! `residual_mix_norm_grad_add`: `(x, x0, mix, dh, dm, sum) → (dx, sum + dx0, dmix)`, in place of `dm` and of `sum`: the stem
//! enters every block, and its gradient adds up over them.
//!
//! All are made by [`crate::plan::fuse`]; they stand after differentiation and have no gradient.

use super::args::Args;
use super::{OpDef, OpError, ResidualMix, ResidualMixGrad, RmsNorm, RmsNormGrad};
use crate::tensor::{Tensor, TensorType};

/// Learned blend of the residual stream and the stem, and its normalization.
#[derive(Clone, Debug, PartialEq)]
pub struct ResidualMixNorm {
    /// Factor on the normalized result.
    pub scale: f64,
}

/// `(x, x0, mix, dh, dm) → (dx, dx0, dmix)`.
#[derive(Clone, Debug, PartialEq)]
pub struct ResidualMixNormGrad {
    /// Factor on the normalized result.
    pub scale: f64,
}

/// `(x, x0, mix, dh, dm, sum) → (dx, sum + dx0, dmix)`.
#[derive(Clone, Debug, PartialEq)]
pub struct ResidualMixNormGradAdd {
    /// The gradient.
    pub grad: ResidualMixNormGrad,
}

/// A tensor of zeros for [`OpDef::eval`].
fn zeros(like: &Tensor) -> Tensor {
    Tensor::f64(like.shape(), vec![0.0; like.ty().numel()])
}

impl OpDef for ResidualMixNorm {
    fn name(&self) -> &'static str {
        "residual_mix_norm"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, OpError> {
        Args::new(self.name(), inputs, 3)?;
        let m = ResidualMix.infer(inputs)?.remove(0);
        Ok(vec![m.clone(), m])
    }

    fn eval(&self, inputs: &[&Tensor], outputs: &mut [Tensor]) {
        let [m, h] = outputs else { unreachable!("two results") };
        ResidualMix.eval(inputs, std::slice::from_mut(m));
        RmsNorm { scale: self.scale }.eval(&[m], std::slice::from_mut(h));
    }
}

impl OpDef for ResidualMixNormGrad {
    fn name(&self) -> &'static str {
        "residual_mix_norm_grad"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, OpError> {
        let args = Args::new(self.name(), inputs, 5)?;
        let m = ResidualMix.infer(&inputs[..3])?.remove(0);
        args.float(3, &m.shape)?;
        args.float(4, &m.shape)?;
        Ok(vec![m.clone(), m, inputs[2].clone()])
    }

    fn eval(&self, inputs: &[&Tensor], outputs: &mut [Tensor]) {
        let &[x, x0, mix, dh, dm] = inputs else { unreachable!("five operands") };
        let mut m = [zeros(x)];
        ResidualMix.eval(&[x, x0, mix], &mut m);
        // The gradient of every row is added to what is there.
        let mut g = [dm.clone()];
        RmsNormGrad { scale: self.scale }.eval(&[&m[0], dh], &mut g);
        ResidualMixGrad.eval(&[x, x0, mix, &g[0]], outputs);
    }

    fn in_place(&self) -> &'static [(usize, usize)] {
        &[(0, 4)]
    }
}

impl OpDef for ResidualMixNormGradAdd {
    fn name(&self) -> &'static str {
        "residual_mix_norm_grad_add"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, OpError> {
        let args = Args::new(self.name(), inputs, 6)?;
        let results = self.grad.infer(&inputs[..5])?;
        args.float(5, &results[1].shape)?;
        Ok(results)
    }

    fn eval(&self, inputs: &[&Tensor], outputs: &mut [Tensor]) {
        let sum = outputs[1].clone();
        self.grad.eval(&inputs[..5], outputs);
        for (dx0, sum) in outputs[1].f64s_mut().iter_mut().zip(sum.f64s()) {
            *dx0 += sum;
        }
    }

    fn in_place(&self) -> &'static [(usize, usize)] {
        &[(0, 4), (1, 5)]
    }
}
