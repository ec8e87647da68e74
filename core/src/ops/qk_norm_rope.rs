//! `qk_norm_rope`: per head, normalize, rotate, and (queries) multiply by a learned gain.
//!
//! `(x[n,h·c], gain[h]?) → y[n,h·c]`: with `u = x/rms(x)` over the head's `c` channels and `θ_{t,i} = t·base^(-2i/R)`,
//! the first `R` channels are rotated by −θ, halves paired: `[u₁cosθ + u₂sinθ, u₂cosθ - u₁sinθ, rest]`; then `· gain[h]`.
//! `t` counts from 0 at the start of each window of `seq` tokens. Angles are formed in f64.
//! Gradient: `dgain[h] = Σ rotated·dy`; the rotation's transpose, then the gradient of `rms_norm`.
//! Sources: Henry et al., arXiv:2010.04245 (QK-norm); Su et al., arXiv:2104.09864 (RoPE).

use super::args::Args;
use super::rms_norm::{add_row_grad, inverse_rms};
use super::{OpDef, OpError, Site};
use crate::graph::{Graph, ValueId};
use crate::tensor::{Tensor, TensorType};

/// Normalized, rotated heads.
#[derive(Clone, Debug, PartialEq)]
pub struct QkNormRope {
    /// Heads in a row.
    pub heads: usize,
    /// Tokens of a window.
    pub seq: usize,
    /// Rotated channels R of a head, even.
    pub rope_dims: usize,
    /// Rotary base for this window length.
    pub base: f64,
}

/// `(x, gain?, dy) → (dx, dgain?)`.
#[derive(Clone, Debug, PartialEq)]
pub struct QkNormRopeGrad {
    /// The forward op.
    pub forward: QkNormRope,
}

/// Angle of channel pair `i` at position `t`.
pub fn rope_angle(t: usize, i: usize, rope_dims: usize, base: f64) -> f64 {
    t as f64 * base.powf(-2.0 * i as f64 / rope_dims as f64)
}

/// `f32[seq, rope_dims/2, 2]`: cosine and sine of every [`rope_angle`], for kernels without `f64`.
pub fn rope_table(seq: usize, rope_dims: usize, base: f64) -> Vec<f32> {
    let angles = (0..seq).flat_map(|t| (0..rope_dims / 2).map(move |i| rope_angle(t, i, rope_dims, base)));
    angles.flat_map(|angle| [angle.cos() as f32, angle.sin() as f32]).collect()
}

impl QkNormRope {
    /// Rotates `u` by −θ (`sign` 1) or back (`sign` −1).
    fn rotate(&self, u: &mut [f64], t: usize, sign: f64) {
        let half = self.rope_dims / 2;
        for i in 0..half {
            let (sin, cos) = rope_angle(t, i, self.rope_dims, self.base).sin_cos();
            let (a, b) = (u[i], u[i + half]);
            u[i] = a * cos + sign * b * sin;
            u[i + half] = b * cos - sign * a * sin;
        }
    }

    /// The op on heads `width` channels wide, for tokens that stand at `first ..` of a window.
    pub(super) fn eval_from(
        &self,
        first: usize,
        width: usize,
        x: &[f64],
        gain: Option<&[f64]>,
        out: &mut [f64],
    ) {
        for (index, (x, y)) in x.chunks_exact(width).zip(out.chunks_exact_mut(width)).enumerate() {
            let (t, h) = ((first + index / self.heads) % self.seq, index % self.heads);
            let r = inverse_rms(x);
            y.iter_mut().zip(x).for_each(|(y, x)| *y = x * r);
            self.rotate(y, t, 1.0);
            if let Some(gain) = gain {
                y.iter_mut().for_each(|y| *y *= gain[h]);
            }
        }
    }

    fn check(&self, args: &Args<'_>, has_gain: bool) -> Result<[usize; 2], OpError> {
        let [n, cols] = args.matrix(0)?;
        args.windows(0, n, self.seq)?;
        let width = cols / self.heads;
        args.ensure(
            0,
            cols.is_multiple_of(self.heads),
            format!("columns divisible by {} heads", self.heads),
        )?;
        args.ensure(0, self.rope_dims <= width, format!("heads at least {} channels wide", self.rope_dims))?;
        if has_gain {
            args.float(1, &[self.heads])?;
        }
        Ok([n, cols])
    }
}

impl OpDef for QkNormRope {
    fn name(&self) -> &'static str {
        "qk_norm_rope"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, OpError> {
        let args = Args::new(self.name(), inputs, if inputs.len() == 2 { 2 } else { 1 })?;
        let shape = self.check(&args, inputs.len() == 2)?;
        Ok(vec![TensorType::f32(&shape)])
    }

    fn eval(&self, inputs: &[&Tensor], outputs: &mut [Tensor]) {
        let (width, gain) = (inputs[0].shape()[1] / self.heads, inputs.get(1).map(|gain| gain.f64s()));
        self.eval_from(0, width, inputs[0].f64s(), gain, outputs[0].f64s_mut());
    }

    fn grad(&self, graph: &mut Graph, site: &Site<'_>) -> Result<Vec<Option<ValueId>>, OpError> {
        let mut operands = site.inputs.to_vec();
        operands.push(site.grad(0));
        let out = graph.push(QkNormRopeGrad { forward: self.clone() }, &operands)?;
        Ok(out.into_iter().map(Some).collect())
    }
}

impl OpDef for QkNormRopeGrad {
    fn name(&self) -> &'static str {
        "qk_norm_rope_grad"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, OpError> {
        let has_gain = inputs.len() == 3;
        let args = Args::new(self.name(), inputs, if has_gain { 3 } else { 2 })?;
        let shape = self.forward.check(&args, has_gain)?;
        args.float(inputs.len() - 1, &shape)?;
        let mut types = vec![TensorType::f32(&shape)];
        if has_gain {
            types.push(TensorType::f32(&[self.forward.heads]));
        }
        Ok(types)
    }

    fn eval(&self, inputs: &[&Tensor], outputs: &mut [Tensor]) {
        let QkNormRope { heads, seq, .. } = self.forward;
        let width = inputs[0].shape()[1] / heads;
        let gain = if inputs.len() == 3 { Some(inputs[1].f64s()) } else { None };
        let dy = inputs[inputs.len() - 1].f64s();
        let (dx, dgain) = outputs.split_first_mut().expect("`infer` gives at least one result");
        let dx = dx.f64s_mut();
        for (index, x) in inputs[0].f64s().chunks_exact(width).enumerate() {
            let (t, h) = (index / heads % seq, index % heads);
            let mut g = dy[index * width..][..width].to_vec();
            if let Some(gain) = gain {
                let r = inverse_rms(x);
                let mut rotated: Vec<f64> = x.iter().map(|x| x * r).collect();
                self.forward.rotate(&mut rotated, t, 1.0);
                dgain[0].f64s_mut()[h] += rotated.iter().zip(&g).map(|(a, b)| a * b).sum::<f64>();
                g.iter_mut().for_each(|g| *g *= gain[h]);
            }
            self.forward.rotate(&mut g, t, -1.0);
            add_row_grad(x, &g, &mut dx[index * width..][..width]);
        }
    }
}
