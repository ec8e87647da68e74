//! `linear`: the matrix product; transposition is an attribute, so no tensor is ever transposed in memory.
//!
//! | form | operands | result | use |
//! |---|---|---|---|
//! | `Nt` | `x[n,k]`, `w[m,k]` | `x·wᵀ [n,m]` | forward, weights stored `[out, in]`; `w` may be quantized |
//! | `Nn` | `a[n,m]`, `b[m,k]` | `a·b [n,k]` | gradient towards the input; `b` may be quantized |
//! | `Tn` | `a[n,m]`, `b[n,k]` | `aᵀ·b [m,k]` | gradient towards the weight |
//!
//! The three forms are closed under differentiation. Accumulation is in f32 or wider.

use super::args::Args;
use super::{OpDef, OpError, Site, floats};
use crate::graph::{Graph, ValueId};
use crate::tensor::{Tensor, TensorType};

/// Which operand is transposed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LinearForm {
    /// `x·wᵀ`.
    Nt,
    /// `a·b`.
    Nn,
    /// `aᵀ·b`.
    Tn,
}

/// Matrix product.
#[derive(Clone, Debug, PartialEq)]
pub struct Linear {
    /// Which operand is transposed.
    pub form: LinearForm,
}

impl Linear {
    /// `x·wᵀ`: a layer's map.
    pub const NT: Linear = Linear { form: LinearForm::Nt };
    /// `a·b`.
    pub const NN: Linear = Linear { form: LinearForm::Nn };
    /// `aᵀ·b`.
    pub const TN: Linear = Linear { form: LinearForm::Tn };

    /// `[rows, cols, depth]` of the product for operands of these shapes.
    pub fn extents(&self, a: &[usize], b: &[usize]) -> [usize; 3] {
        match self.form {
            LinearForm::Nt => [a[0], b[0], a[1]],
            LinearForm::Nn => [a[0], b[1], a[1]],
            LinearForm::Tn => [a[1], b[1], a[0]],
        }
    }
}

impl OpDef for Linear {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, OpError> {
        let args = Args::new(self.name(), inputs, 2)?;
        let a = args.matrix(0)?;
        let b = if self.form == LinearForm::Tn { args.matrix(1)? } else { args.weight(1)? };
        let (depth_a, depth_b) = match self.form {
            LinearForm::Nt => (a[1], b[1]),
            LinearForm::Nn => (a[1], b[0]),
            LinearForm::Tn => (a[0], b[0]),
        };
        args.ensure(1, depth_a == depth_b, format!("an inner extent of {depth_a} for form {:?}", self.form))?;
        let [rows, cols, _] = self.extents(&a, &b);
        Ok(vec![TensorType::f32(&[rows, cols])])
    }

    fn eval(&self, inputs: &[&Tensor], outputs: &mut [Tensor]) {
        let (a, b) = (inputs[0].f64s(), floats(inputs[1]));
        let [rows, cols, depth] = self.extents(inputs[0].shape(), inputs[1].shape());
        let y = outputs[0].f64s_mut();
        for i in 0..rows {
            for j in 0..cols {
                y[i * cols + j] = (0..depth)
                    .map(|l| match self.form {
                        LinearForm::Nt => a[i * depth + l] * b[j * depth + l],
                        LinearForm::Nn => a[i * depth + l] * b[l * cols + j],
                        LinearForm::Tn => a[l * rows + i] * b[l * cols + j],
                    })
                    .sum();
            }
        }
    }

    fn grad(&self, graph: &mut Graph, site: &Site<'_>) -> Result<Vec<Option<ValueId>>, OpError> {
        let (a, b, dy) = (site.inputs[0], site.inputs[1], site.grad(0));
        let (towards_a, towards_b) = match self.form {
            LinearForm::Nt => ((Linear::NN, [dy, b]), (Linear::TN, [dy, a])),
            LinearForm::Nn => ((Linear::NT, [dy, b]), (Linear::TN, [a, dy])),
            LinearForm::Tn => ((Linear::NT, [b, dy]), (Linear::NN, [a, dy])),
        };
        let da = if site.wanted[0] { Some(graph.push(towards_a.0, &towards_a.1)?[0]) } else { None };
        let db = if site.wanted[1] { Some(graph.push(towards_b.0, &towards_b.1)?[0]) } else { None };
        Ok(vec![da, db])
    }

    fn flops(&self, inputs: &[&TensorType]) -> u64 {
        let [rows, cols, depth] = self.extents(&inputs[0].shape, &inputs[1].shape);
        2 * (rows * cols * depth) as u64
    }
}
