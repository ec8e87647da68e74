//! `fake_quant`: `(w[m,k]) → ŵ[m,k]`, every row rounded to the grid that the exporter would use, recomputed from the
//! live weight at every step. Gradient: straight through (`dw = dŵ`), clipped entries included (Bengio et al., arXiv:1308.3432).
//!
//! `soft_quant`: `(w[m,k], α) → ŵ[m,k]` on the same grid, rounded softly with sharpness `α` (a scalar given at every run).
//! Gradient: the slope of the staircase for a fixed step ([`crate::quant::soft`]); none towards `α`.

use super::args::Args;
use super::{OpDef, OpError, Site};
use crate::graph::{Graph, ValueId};
use crate::quant::fake::FakeQuantRule;
use crate::tensor::{Tensor, TensorType};

/// Quantize and dequantize.
#[derive(Clone, Debug, PartialEq)]
pub struct FakeQuant {
    /// Scale rule and integer range.
    pub rule: FakeQuantRule,
}

/// Quantize softly and dequantize.
#[derive(Clone, Debug, PartialEq)]
pub struct SoftQuant {
    /// Scale rule and integer range.
    pub rule: FakeQuantRule,
}

/// `(w[m,k], α, dŵ[m,k]) → dw[m,k]`.
#[derive(Clone, Debug, PartialEq)]
pub struct SoftQuantGrad {
    /// Scale rule and integer range.
    pub rule: FakeQuantRule,
}

impl OpDef for FakeQuant {
    fn name(&self) -> &'static str {
        "fake_quant"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, OpError> {
        let [m, k] = Args::new(self.name(), inputs, 1)?.matrix(0)?;
        Ok(vec![TensorType::f32(&[m, k])])
    }

    fn eval(&self, inputs: &[&Tensor], outputs: &mut [Tensor]) {
        self.rule.apply(inputs[0].shape()[1], inputs[0].f64s(), outputs[0].f64s_mut());
    }

    /// Integers jump at halves, and the rank of a percentile is rounded like the weights: 4e-6 of a gap for rows of 128. Which
    /// integer a weight near a half gets is for the rule's own arithmetic in single precision to say.
    fn eval_rounded(&self, inputs: &[&Tensor], outputs: &mut [Tensor]) {
        let weights = inputs[0].to_f32();
        let mut seen = vec![0.0; weights.len()];
        self.rule.apply(inputs[0].shape()[1], &weights, &mut seen);
        outputs[0] = Tensor::f64(inputs[0].shape(), seen.into_iter().map(f64::from).collect());
    }

    fn grad(&self, _graph: &mut Graph, site: &Site<'_>) -> Result<Vec<Option<ValueId>>, OpError> {
        Ok(vec![site.grads[0]])
    }
}

impl OpDef for SoftQuant {
    fn name(&self) -> &'static str {
        "soft_quant"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, OpError> {
        let args = Args::new(self.name(), inputs, 2)?;
        let [m, k] = args.matrix(0)?;
        args.single(1)?;
        Ok(vec![TensorType::f32(&[m, k])])
    }

    fn eval(&self, inputs: &[&Tensor], outputs: &mut [Tensor]) {
        let (w, sharpness) = (inputs[0], inputs[1].item());
        self.rule.soften(sharpness, w.shape()[1], w.f64s(), outputs[0].f64s_mut());
    }

    fn grad(&self, graph: &mut Graph, site: &Site<'_>) -> Result<Vec<Option<ValueId>>, OpError> {
        let grad = SoftQuantGrad { rule: self.rule };
        let dw = graph.push(grad, &[site.inputs[0], site.inputs[1], site.grad(0)])?[0];
        Ok(vec![Some(dw), None])
    }
}

impl OpDef for SoftQuantGrad {
    fn name(&self) -> &'static str {
        "soft_quant_grad"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, OpError> {
        let args = Args::new(self.name(), inputs, 3)?;
        let [m, k] = args.matrix(0)?;
        args.single(1)?;
        args.float(2, &[m, k])?;
        Ok(vec![TensorType::f32(&[m, k])])
    }

    fn eval(&self, inputs: &[&Tensor], outputs: &mut [Tensor]) {
        let (w, sharpness, dseen) = (inputs[0], inputs[1].item(), inputs[2].f64s());
        self.rule.soft_gradient(sharpness, w.shape()[1], w.f64s(), dseen, outputs[0].f64s_mut());
    }
}
