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

    fn grad(&self, _graph: &mut Graph, site: &Site<'_>) -> Result<Vec<Option<ValueId>>, OpError> {
        Ok(vec![site.grads[0]])
    }
}
