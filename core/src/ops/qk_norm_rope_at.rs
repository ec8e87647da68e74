//! `qk_norm_rope_at`: `(x[n,h·c], position i32[1], gain[h]?) → y[n,h·c]`: [`QkNormRope`] for tokens that stand at
//! `position ..` of their window, so that row `i` is rotated by the angles of position `position + i`.
//! `position + n ≤ window`.

use super::args::Args;
use super::{OpDef, OpError, QkNormRope};
use crate::tensor::{Tensor, TensorType};

/// Normalized, rotated heads at a run-time position.
#[derive(Clone, Debug, PartialEq)]
pub struct QkNormRopeAt {
    /// Heads in a row.
    pub heads: usize,
    /// Tokens of a window, the bound of positions.
    pub window: usize,
    /// Rotated channels R of a head, even.
    pub rope_dims: usize,
    /// Rotary base for this window length.
    pub base: f64,
}

impl QkNormRopeAt {
    /// The op on a whole window.
    pub fn whole(&self) -> QkNormRope {
        QkNormRope { heads: self.heads, seq: self.window, rope_dims: self.rope_dims, base: self.base }
    }
}

impl OpDef for QkNormRopeAt {
    fn name(&self) -> &'static str {
        "qk_norm_rope_at"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, OpError> {
        let has_gain = inputs.len() == 3;
        let args = Args::new(self.name(), inputs, if has_gain { 3 } else { 2 })?;
        let [n, cols] = args.matrix(0)?;
        args.ensure(0, n <= self.window, format!("at most {} rows", self.window))?;
        args.heads(0, cols, self.heads)?;
        args.ensure(
            0,
            self.rope_dims <= cols / self.heads,
            format!("heads at least {} channels wide", self.rope_dims),
        )?;
        args.position(1)?;
        if has_gain {
            args.float(2, &[self.heads])?;
        }
        Ok(vec![TensorType::f32(&[n, cols])])
    }

    fn eval(&self, inputs: &[&Tensor], outputs: &mut [Tensor]) {
        let (width, position) = (inputs[0].shape()[1] / self.heads, inputs[1].i32s()[0] as usize);
        let (x, gain) = (inputs[0].f64s(), inputs.get(2).map(|gain| gain.f64s()));
        self.whole().eval_from(position, width, x, gain, outputs[0].f64s_mut());
    }
}
