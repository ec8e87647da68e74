//! `fake_quant`: `(w[m,k]) → ŵ[m,k]`, every row rounded to the grid that the exporter would use, recomputed from the
//! live weight at every step. Gradient: straight through (`dw = dŵ`), clipped entries included (Bengio et al., arXiv:1308.3432).

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
