//! `residual_mix`: `(x[n,d], x0[n,d], mix[2,d]) → mix[0]⊙x + mix[1]⊙x0`: the stem re-enters every block.
//! Gradient: `dx = mix[0]⊙dm`, `dx0 = mix[1]⊙dm`, `dmix = [Σ_n x⊙dm, Σ_n x0⊙dm]`.

use super::args::Args;
use super::{OpDef, OpError, Site};
use crate::graph::{Graph, ValueId};
use crate::tensor::{Tensor, TensorType};

/// Learned blend of the residual stream and the stem.
#[derive(Clone, Debug, PartialEq)]
pub struct ResidualMix;

/// `(x, x0, mix, dm) → (dx, dx0, dmix)`.
#[derive(Clone, Debug, PartialEq)]
pub struct ResidualMixGrad;

impl OpDef for ResidualMix {
    fn name(&self) -> &'static str {
        "residual_mix"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, OpError> {
        let args = Args::new(self.name(), inputs, 3)?;
        let [n, d] = args.matrix(0)?;
        args.float(1, &[n, d])?;
        args.float(2, &[2, d])?;
        Ok(vec![TensorType::f32(&[n, d])])
    }

    fn eval(&self, inputs: &[&Tensor], outputs: &mut [Tensor]) {
        let (x, x0, mix) = (inputs[0].f64s(), inputs[1].f64s(), inputs[2].f64s());
        let d = mix.len() / 2;
        for (i, m) in outputs[0].f64s_mut().iter_mut().enumerate() {
            *m = mix[i % d] * x[i] + mix[d + i % d] * x0[i];
        }
    }

    fn grad(&self, graph: &mut Graph, site: &Site<'_>) -> Result<Vec<Option<ValueId>>, OpError> {
        let &[x, x0, mix] = site.inputs else { unreachable!("three operands") };
        let out = graph.push(ResidualMixGrad, &[x, x0, mix, site.grad(0)])?;
        Ok(out.into_iter().map(Some).collect())
    }
}

impl OpDef for ResidualMixGrad {
    fn name(&self) -> &'static str {
        "residual_mix_grad"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, OpError> {
        let args = Args::new(self.name(), inputs, 4)?;
        let out = ResidualMix.infer(&inputs[..3])?;
        args.float(3, &out[0].shape)?;
        Ok(vec![out[0].clone(), out[0].clone(), inputs[2].clone()])
    }

    fn eval(&self, inputs: &[&Tensor], outputs: &mut [Tensor]) {
        let [x, x0, mix, dm] = [0, 1, 2, 3].map(|i| inputs[i].f64s());
        let d = mix.len() / 2;
        let [dx, dx0, dmix] = outputs else { unreachable!("three results") };
        let (dx, dx0, dmix) = (dx.f64s_mut(), dx0.f64s_mut(), dmix.f64s_mut());
        for i in 0..x.len() {
            let c = i % d;
            dx[i] = mix[c] * dm[i];
            dx0[i] = mix[d + c] * dm[i];
            dmix[c] += x[i] * dm[i];
            dmix[d + c] += x0[i] * dm[i];
        }
    }
}
