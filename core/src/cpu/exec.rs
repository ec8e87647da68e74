//! Runs a plan: its buffers, and step after step over them.
//!
//! For the time of a step its results' buffers are taken out of the table, so that a kernel holds them mutably beside
//! its operands without any unsafe code: the planner promises that only an in-place pair shares a slot.

use super::State;
use super::buffer::Buffer;
use super::launch::{Launch, Operand};
use super::rope::RopeTables;
use super::select;
use super::threads::Threads;
use crate::backend::TraceEntry;
use crate::plan::{Plan, SlotKind, Step};
use crate::tensor::Tensor;
use std::collections::BTreeMap;
use std::time::Instant;

/// What all executables of a backend share while running.
pub(super) struct Workspace {
    threads: Threads,
    scratch: Buffer,
    rope: RopeTables,
    pub poison: bool,
    pub trace: Option<Vec<TraceEntry>>,
}

impl Workspace {
    pub(super) fn new(threads: Threads) -> Self {
        let (scratch, rope) = (Buffer::default(), RopeTables::default());
        Self { threads, scratch, rope, poison: false, trace: None }
    }

    /// Size of the scratch memory that steps share.
    pub(super) fn bytes(&self) -> u64 {
        self.scratch.bytes()
    }

    /// Makes the tables that `plan` reads.
    pub(super) fn prepare(&mut self, plan: &Plan) {
        self.rope.prepare(plan);
    }
}

/// A plan with its buffers.
pub(super) struct Executable {
    plan: Plan,
    slots: Vec<Buffer>,
    /// Results that lie in a state's slot, which leaves after the run: their values, once it ran.
    saved: Vec<Option<Tensor>>,
}

impl Executable {
    /// Allocates inputs and scratch; states come and go with every run.
    pub(super) fn new(plan: Plan) -> Self {
        let words = |slot: &crate::plan::Slot| match slot.kind {
            SlotKind::State(_) => 0,
            SlotKind::Input(_) | SlotKind::Scratch => slot.words,
        };
        let slots = plan.slots.iter().map(|slot| Buffer::zeros(words(slot))).collect();
        let saved = vec![None; plan.outputs.len()];
        Self { plan, slots, saved }
    }

    pub(super) fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Size of its own buffers; between runs the states are with the backend.
    pub(super) fn bytes(&self) -> u64 {
        self.slots.iter().map(Buffer::bytes).sum()
    }

    /// Writes the inputs into their slots.
    pub(super) fn load(&mut self, inputs: &[&Tensor]) {
        for (port, tensor) in self.plan.inputs.iter().zip(inputs) {
            self.slots[port.operand.slot].write(tensor);
        }
    }

    /// Brings the plan's states in for a run, or back after it.
    pub(super) fn exchange_states(&mut self, states: &mut BTreeMap<String, State>) {
        for port in &self.plan.states {
            let state = states.get_mut(&port.name).expect("`compile` created every state of the plan");
            std::mem::swap(&mut self.slots[port.operand.slot], &mut state.buffer);
        }
    }

    /// Runs all steps.
    pub(super) fn run(&mut self, workspace: &mut Workspace) {
        let Workspace { threads, scratch, rope, poison, trace } = workspace;
        let (plan, slots) = (&self.plan, &mut self.slots);
        threads.enter(|| {
            for step in &plan.steps {
                let start = trace.as_ref().map(|_| Instant::now());
                run_step(step, slots, threads, scratch, rope, *poison);
                if let (Some(trace), Some(start)) = (trace.as_mut(), start) {
                    trace.push(TraceEntry::new(step, start.elapsed().as_secs_f64()));
                }
            }
        });
    }

    /// Keeps the results that lie in a state's slot.
    pub(super) fn save_outputs(&mut self) {
        for (port, saved) in self.plan.outputs.iter().zip(&mut self.saved) {
            let slot = port.operand.slot;
            if matches!(self.plan.slots[slot].kind, SlotKind::State(_)) {
                *saved = Some(self.slots[slot].read(&port.operand.ty));
            }
        }
    }

    /// A result of the last run; `None` when the plan has none of this name. Zeros before the first run.
    pub(super) fn output(&self, name: &str) -> Option<Tensor> {
        let index = self.plan.outputs.iter().position(|port| port.name == name)?;
        let operand = &self.plan.outputs[index].operand;
        if let Some(saved) = &self.saved[index] {
            return Some(saved.clone());
        }
        Some(match &self.plan.slots[operand.slot].kind {
            SlotKind::State(_) => Tensor::zeros(&operand.ty),
            SlotKind::Input(_) | SlotKind::Scratch => self.slots[operand.slot].read(&operand.ty),
        })
    }
}

fn run_step(
    step: &Step,
    slots: &mut [Buffer],
    threads: &Threads,
    scratch: &mut Buffer,
    rope: &RopeTables,
    poison: bool,
) {
    let mut taken: Vec<Buffer> = step.outputs.iter().map(|o| std::mem::take(&mut slots[o.slot])).collect();
    if poison {
        poison_results(step, &mut taken);
        scratch.words_mut().fill(f32::NAN);
    }
    // A taken buffer leaves an empty one behind: an in-place operand has no words of its own.
    let operand = |o: &'_ crate::plan::Operand| slots[o.slot].words().get(..o.ty.words()).unwrap_or(&[]);
    let inputs = step.inputs.iter().map(|o| Operand { ty: &o.ty, words: operand(o) }).collect();
    let results = taken.iter_mut().zip(&step.outputs);
    let outputs = results.map(|(buffer, o)| &mut buffer.words_mut()[..o.ty.words()]).collect();
    select::launch(&step.op, Launch { inputs, outputs, threads, scratch, rope });
    for (operand, buffer) in step.outputs.iter().zip(taken) {
        slots[operand.slot] = buffer;
    }
    if poison {
        step.frees.iter().for_each(|&slot| slots[slot].words_mut().fill(f32::NAN));
    }
}

/// Fills with NaN the results that are not computed in place.
fn poison_results(step: &Step, taken: &mut [Buffer]) {
    let pairs = step.op.def().in_place();
    for (result, buffer) in taken.iter_mut().enumerate() {
        if pairs.iter().all(|(r, _)| *r != result) {
            buffer.words_mut().fill(f32::NAN);
        }
    }
}
