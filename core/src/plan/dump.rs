//! Canonical text of a plan: reads like a hand-written forward and backward; kept as snapshots and hashed into outputs.

use super::{Operand, Plan, SlotKind};
use crate::digest::sha256_hex;
use std::fmt;

fn operands(list: &[Operand]) -> String {
    list.iter().map(|o| format!("s{}:{}", o.slot, o.ty)).collect::<Vec<_>>().join(", ")
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scratch, states) = (self.scratch_bytes(), self.state_bytes());
        writeln!(f, "plan {}: {} steps, {} slots", self.name, self.steps.len(), self.slots.len())?;
        writeln!(f, "memory: {scratch} bytes scratch, {states} bytes states; {} flops", self.flops())?;
        for (index, slot) in self.slots.iter().enumerate() {
            match &slot.kind {
                SlotKind::Input(name) => writeln!(f, "s{index} input `{name}` {} words", slot.words)?,
                SlotKind::State(name) => writeln!(f, "s{index} state `{name}` {} words", slot.words)?,
                SlotKind::Scratch => writeln!(f, "s{index} scratch {} words", slot.words)?,
            }
        }
        for (index, step) in self.steps.iter().enumerate() {
            let (results, inputs) = (operands(&step.outputs), operands(&step.inputs));
            writeln!(f, "{index:4} {results} = {:?}({inputs})  # {}", step.op, step.label)?;
        }
        for port in &self.outputs {
            writeln!(f, "output `{}` = s{}", port.name, port.operand.slot)?;
        }
        Ok(())
    }
}

impl Plan {
    /// SHA-256 of the canonical text, in hexadecimal.
    pub fn hash(&self) -> String {
        sha256_hex(self.to_string().as_bytes())
    }
}
