//! `average`: `(mean, x, keep[]) → keep·mean + (1-keep)·x` in place.
//!
//! An exponential average takes `keep = β`; a uniform average of snapshots takes `keep = k/(k+1)` for snapshot k from
//! 0. Always in f32: with β = 0.999 the increment is below half an ulp of a bf16 mean, which then stalls.

use super::args::Args;
use super::{OpDef, OpError};
use crate::tensor::{Tensor, TensorType};

/// Running average of a parameter.
#[derive(Clone, Debug, PartialEq)]
pub struct Average;

impl OpDef for Average {
    fn name(&self) -> &'static str {
        "average"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, OpError> {
        let args = Args::new(self.name(), inputs, 3)?;
        let ty = args.any_float(0)?;
        args.float(1, &ty.shape)?;
        args.single(2)?;
        Ok(vec![ty])
    }

    fn eval(&self, inputs: &[&Tensor], outputs: &mut [Tensor]) {
        let (x, keep) = (inputs[1].f64s(), inputs[2].item());
        for (mean, x) in outputs[0].f64s_mut().iter_mut().zip(x) {
            *mean = keep * *mean + (1.0 - keep) * x;
        }
    }

    fn in_place(&self) -> &'static [(usize, usize)] {
        &[(0, 0)]
    }
}
