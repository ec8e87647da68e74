//! The plan: a graph made executable: ordered steps over reusable slots, still plain data.
//!
//! A *slot* is a buffer. Two values share a slot iff they are never alive together. A state has a slot of its own,
//! shared by name with every other plan on the same backend. An op that works in place finds its operand already in
//! the result's slot: the planner either hands the dying operand's slot over or inserts a `copy`.
//! Memory is known before the run; nothing is allocated during one.

mod activations;
mod dump;
pub mod fuse;
mod order;
mod slots;

use crate::graph::Graph;
use crate::ops::Op;
use crate::tensor::TensorType;

pub use activations::Activations;
pub use fuse::Fusion;

/// What a slot holds.
#[derive(Clone, Debug, PartialEq)]
pub enum SlotKind {
    /// An input of this name, written by the host before the run.
    Input(String),
    /// A state of this name, living across runs and plans.
    State(String),
    /// Values of this plan, one after the other.
    Scratch,
}

/// A buffer.
#[derive(Clone, Debug, PartialEq)]
pub struct Slot {
    /// Its size in 32-bit words.
    pub words: usize,
    /// Its use.
    pub kind: SlotKind,
}

/// A value placed in a slot.
#[derive(Clone, Debug, PartialEq)]
pub struct Operand {
    /// Index into [`Plan::slots`].
    pub slot: usize,
    /// Type of the value while this step runs.
    pub ty: TensorType,
}

/// One kernel launch.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// What is computed.
    pub op: Op,
    /// Where in the model it stands.
    pub label: String,
    /// Operands.
    pub inputs: Vec<Operand>,
    /// Results; those of in-place pairs share the operand's slot.
    pub outputs: Vec<Operand>,
    /// Scratch slots whose value nobody reads after this step.
    pub frees: Vec<usize>,
}

/// A named end of the plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Port {
    /// Its name.
    pub name: String,
    /// Where it lies.
    pub operand: Operand,
}

/// Ordered steps over slots.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// For messages and traces.
    pub name: String,
    /// Buffers.
    pub slots: Vec<Slot>,
    /// Launches in order.
    pub steps: Vec<Step>,
    /// Values that the host writes before a run.
    pub inputs: Vec<Port>,
    /// States that are read or written.
    pub states: Vec<Port>,
    /// Values that the host may read after a run.
    pub outputs: Vec<Port>,
}

/// Passes that can be switched off, to find the one at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlanOptions {
    /// Let values that are never alive together share a slot.
    pub reuse: bool,
    /// Rewrites that run neighbouring nodes as one.
    pub fuse: Fusion,
}

impl Default for PlanOptions {
    fn default() -> Self {
        Self { reuse: true, fuse: Fusion::ALL }
    }
}

impl Plan {
    /// Plans `graph`: fuses neighbouring nodes, drops those that reach neither an output nor a state, then places every
    /// value.
    pub fn new(name: &str, graph: &Graph, options: PlanOptions) -> Plan {
        slots::place(name, &fuse::fuse(graph, options.fuse), options)
    }

    /// Bytes of scratch memory.
    pub fn scratch_bytes(&self) -> usize {
        self.bytes_of(|kind| matches!(kind, SlotKind::Scratch))
    }

    /// Bytes of states.
    pub fn state_bytes(&self) -> usize {
        self.bytes_of(|kind| matches!(kind, SlotKind::State(_)))
    }

    fn bytes_of(&self, wanted: impl Fn(&SlotKind) -> bool) -> usize {
        self.slots.iter().filter(|s| wanted(&s.kind)).map(|s| s.words * 4).sum()
    }

    /// Floating-point operations of one run.
    pub fn flops(&self) -> u64 {
        self.steps.iter().map(Step::flops).sum()
    }

    /// Number of steps after which nothing reads or writes the state `name` any more.
    pub fn settled(&self, name: &str) -> Option<usize> {
        let slot = Plan::port(&self.states, name)?.operand.slot;
        if self.outputs.iter().any(|port| port.operand.slot == slot) {
            return Some(self.steps.len());
        }
        let touches =
            |step: &Step| step.inputs.iter().chain(&step.outputs).any(|operand| operand.slot == slot);
        Some(self.steps.iter().rposition(touches).map_or(0, |last| last + 1))
    }

    /// The port of this name.
    pub fn port<'a>(ports: &'a [Port], name: &str) -> Option<&'a Port> {
        ports.iter().find(|p| p.name == name)
    }
}

impl Step {
    /// Floating-point operations of this launch.
    pub fn flops(&self) -> u64 {
        let types: Vec<&TensorType> = self.inputs.iter().map(|o| &o.ty).collect();
        self.op.def().flops(&types)
    }

    /// Bytes of its operands and results, each once: what it moves at least.
    pub fn bytes(&self) -> u64 {
        let mut seen: Vec<usize> = Vec::new();
        let operands = self.inputs.iter().chain(&self.outputs);
        let fresh = operands.filter(|operand| {
            let first = !seen.contains(&operand.slot);
            seen.push(operand.slot);
            first
        });
        fresh.map(|operand| operand.ty.bytes() as u64).sum()
    }
}
