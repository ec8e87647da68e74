//! `copy`: `(x) → x` in a buffer of its own. The planner inserts it; graphs seldom need it.

use super::args::Args;
use super::{OpDef, OpError, Site};
use crate::graph::{Graph, ValueId};
use crate::tensor::{Tensor, TensorType};

/// A copy of a float tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct Copy;

impl OpDef for Copy {
    fn name(&self) -> &'static str {
        "copy"
    }

    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, OpError> {
        let args = Args::new(self.name(), inputs, 1)?;
        Ok(vec![args.any_float(0)?])
    }

    fn eval(&self, inputs: &[&Tensor], outputs: &mut [Tensor]) {
        outputs[0].f64s_mut().copy_from_slice(inputs[0].f64s());
    }

    fn grad(&self, _graph: &mut Graph, site: &Site<'_>) -> Result<Vec<Option<ValueId>>, OpError> {
        Ok(vec![site.grads[0]])
    }
}
