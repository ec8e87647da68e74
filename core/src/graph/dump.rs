//! Canonical text of a graph: equal graphs print equal text, so a dump can be hashed or kept as a snapshot.

use super::{Graph, Origin, ValueId};
use std::fmt;

impl fmt::Display for ValueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "%{}", self.index())
    }
}

fn list(values: &[ValueId]) -> String {
    values.iter().map(ValueId::to_string).collect::<Vec<_>>().join(", ")
}

impl fmt::Display for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, value) in self.values().iter().enumerate() {
            match &value.origin {
                Origin::Input(name) => writeln!(f, "%{index} = input `{name}` : {}", value.ty)?,
                Origin::State(name) => writeln!(f, "%{index} = state `{name}` : {}", value.ty)?,
                Origin::Node { .. } => {}
            }
        }
        for node in self.nodes() {
            let types: Vec<String> = node.outputs.iter().map(|v| self.ty(*v).to_string()).collect();
            let (results, operands, types) = (list(&node.outputs), list(&node.inputs), types.join(", "));
            writeln!(f, "{results} = {:?}({operands}) : {types}  # {}", node.op, node.label)?;
        }
        for (state, value) in self.assigns() {
            writeln!(f, "assign {state} <- {value}")?;
        }
        for (name, value) in self.outputs() {
            writeln!(f, "output `{name}` = {value}")?;
        }
        Ok(())
    }
}
