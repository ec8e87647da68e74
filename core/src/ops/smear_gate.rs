//! `smear_gate`: `(x[n,d], gate[d]) → (1-g)⊙x_t + g⊙x_{t-1}`, `g = sigmoid(gate)`: every token blends with its
//! predecessor; the first of each window of `seq` tokens sees zeros there.
//! Gradient: `dx_t = (1-g)⊙dy_t + g⊙dy_{t+1}`, `dgate = Σ_t g(1-g)⊙(x_{t-1} - x_t)⊙dy_t`.

use super::args::Args;
use super::gated_skip::sigmoid;
use super::{OpDef, OpError, Site};
use crate::graph::{Graph, ValueId};
use crate::tensor::{Tensor, TensorType};

/// Learned blend with the predecessor.
#[derive(Clone, Debug, PartialEq)]
pub struct SmearGate {
    /// Tokens of a window.
    pub seq: usize,
}

/// `(x, gate, dy) → (dx, dgate)`.
#[derive(Clone, Debug, PartialEq)]
pub struct SmearGateGrad {
    /// Tokens of a window.
    pub seq: usize,
}

impl OpDef for SmearGate {
    fn name(&self) -> &'static str {
        "smear_gate"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, OpError> {
        let args = Args::new(self.name(), inputs, 2)?;
        let [n, d] = args.matrix(0)?;
        args.windows(0, n, self.seq)?;
        args.float(1, &[d])?;
        Ok(vec![TensorType::f32(&[n, d])])
    }

    fn eval(&self, inputs: &[&Tensor], outputs: &mut [Tensor]) {
        let (x, gate) = (inputs[0].f64s(), inputs[1].f64s());
        let d = gate.len();
        for (i, y) in outputs[0].f64s_mut().iter_mut().enumerate() {
            let g = sigmoid(gate[i % d]);
            let before = if i / d % self.seq == 0 { 0.0 } else { x[i - d] };
            *y = (1.0 - g) * x[i] + g * before;
        }
    }

    fn grad(&self, graph: &mut Graph, site: &Site<'_>) -> Result<Vec<Option<ValueId>>, OpError> {
        let operands = [site.inputs[0], site.inputs[1], site.grad(0)];
        let out = graph.push(SmearGateGrad { seq: self.seq }, &operands)?;
        Ok(out.into_iter().map(Some).collect())
    }
}

impl OpDef for SmearGateGrad {
    fn name(&self) -> &'static str {
        "smear_gate_grad"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, OpError> {
        let args = Args::new(self.name(), inputs, 3)?;
        let out = SmearGate { seq: self.seq }.infer(&inputs[..2])?;
        args.float(2, &out[0].shape)?;
        Ok(vec![out[0].clone(), inputs[1].clone()])
    }

    fn eval(&self, inputs: &[&Tensor], outputs: &mut [Tensor]) {
        let (x, gate, dy) = (inputs[0].f64s(), inputs[1].f64s(), inputs[2].f64s());
        let d = gate.len();
        let [dx, dgate] = outputs else { unreachable!("two results") };
        let (dx, dgate) = (dx.f64s_mut(), dgate.f64s_mut());
        for i in 0..x.len() {
            let g = sigmoid(gate[i % d]);
            let t = i / d % self.seq;
            let before = if t == 0 { 0.0 } else { x[i - d] };
            let after = if t + 1 == self.seq { 0.0 } else { dy[i + d] };
            dx[i] = (1.0 - g) * dy[i] + g * after;
            dgate[i % d] += g * (1.0 - g) * (before - x[i]) * dy[i];
        }
    }
}
