//! `gated_skip`: `(x[n,d], s[n,d], weight[d], gate[d]) → γ⊙x + (1-γ)⊙weight⊙s`, `γ = sigmoid(gate)`: the U-Net
//! skip of PR #861. Gradient: `dx = γ⊙dy`, `ds = (1-γ)⊙weight⊙dy`, `dweight = Σ_n (1-γ)⊙s⊙dy`,
//! `dgate = Σ_n γ(1-γ)⊙(x - weight⊙s)⊙dy`.

use super::args::Args;
use super::{OpDef, OpError, Site};
use crate::graph::{Graph, ValueId};
use crate::tensor::{Tensor, TensorType};

/// Learned blend of a skip connection.
#[derive(Clone, Debug, PartialEq)]
pub struct GatedSkip;

/// `(x, s, weight, gate, dy) → (dx, ds, dweight, dgate)`.
#[derive(Clone, Debug, PartialEq)]
pub struct GatedSkipGrad;

pub(super) fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

impl OpDef for GatedSkip {
    fn name(&self) -> &'static str {
        "gated_skip"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, OpError> {
        let args = Args::new(self.name(), inputs, 4)?;
        let [n, d] = args.matrix(0)?;
        args.float(1, &[n, d])?;
        args.float(2, &[d])?;
        args.float(3, &[d])?;
        Ok(vec![TensorType::f32(&[n, d])])
    }

    fn eval(&self, inputs: &[&Tensor], outputs: &mut [Tensor]) {
        let [x, s, weight, gate] = [0, 1, 2, 3].map(|i| inputs[i].f64s());
        let d = gate.len();
        for (i, y) in outputs[0].f64s_mut().iter_mut().enumerate() {
            let gamma = sigmoid(gate[i % d]);
            *y = gamma * x[i] + (1.0 - gamma) * weight[i % d] * s[i];
        }
    }

    fn grad(&self, graph: &mut Graph, site: &Site<'_>) -> Result<Vec<Option<ValueId>>, OpError> {
        let &[x, s, weight, gate] = site.inputs else { unreachable!("four operands") };
        let out = graph.push(GatedSkipGrad, &[x, s, weight, gate, site.grad(0)])?;
        Ok(out.into_iter().map(Some).collect())
    }
}

impl OpDef for GatedSkipGrad {
    fn name(&self) -> &'static str {
        "gated_skip_grad"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, OpError> {
        let args = Args::new(self.name(), inputs, 5)?;
        GatedSkip.infer(&inputs[..4])?;
        let [n, d] = args.matrix(0)?;
        args.float(4, &[n, d])?;
        let (matrix, vector) = (TensorType::f32(&[n, d]), TensorType::f32(&[d]));
        Ok(vec![matrix.clone(), matrix, vector.clone(), vector])
    }

    fn eval(&self, inputs: &[&Tensor], outputs: &mut [Tensor]) {
        let [x, s, weight, gate, dy] = [0, 1, 2, 3, 4].map(|i| inputs[i].f64s());
        let d = gate.len();
        let [dx, ds, dweight, dgate] = outputs else { unreachable!("four results") };
        let (dx, ds, dweight, dgate) = (dx.f64s_mut(), ds.f64s_mut(), dweight.f64s_mut(), dgate.f64s_mut());
        for i in 0..x.len() {
            let (c, gamma) = (i % d, sigmoid(gate[i % d]));
            dx[i] = gamma * dy[i];
            ds[i] = (1.0 - gamma) * weight[c] * dy[i];
            dweight[c] += (1.0 - gamma) * s[i] * dy[i];
            dgate[c] += gamma * (1.0 - gamma) * (x[i] - weight[c] * s[i]) * dy[i];
        }
    }
}
