//! Liveness and placement: which value lies in which slot, and for how long.

use super::{Operand, Plan, PlanOptions, Port, Slot, SlotKind, Step, order};
use crate::graph::{Graph, Node, Origin, ValueId};
use crate::ops::Copy;

/// A value that is read after the last step.
const FOREVER: usize = usize::MAX;

struct Placer<'a> {
    graph: &'a Graph,
    options: PlanOptions,
    /// Position (in execution order) of the last reader of every value.
    last_use: Vec<usize>,
    /// Slot of every placed value.
    place: Vec<Option<usize>>,
    slots: Vec<Slot>,
    free: Vec<usize>,
    steps: Vec<Step>,
}

/// Places every live value of `graph`.
pub(super) fn place(name: &str, graph: &Graph, options: PlanOptions) -> Plan {
    let order = order::sums_first(graph, live_nodes(graph));
    let last_use = last_uses(graph, &order);
    let place = vec![None; graph.values().len()];
    let mut placer = Placer { graph, options, last_use, place, slots: vec![], free: vec![], steps: vec![] };
    let (inputs, states) = placer.place_ends(&order);
    for (position, &node) in order.iter().enumerate() {
        placer.place_node(position, &graph.nodes()[node]);
    }
    let outputs = placer.place_outputs();
    placer.copy_assigned();
    Plan { name: name.to_owned(), slots: placer.slots, steps: placer.steps, inputs, states, outputs }
}

/// Indices of the nodes that an output or an assigned state depends on, in order.
pub(super) fn live_nodes(graph: &Graph) -> Vec<usize> {
    let mut needed = vec![false; graph.values().len()];
    graph.outputs().iter().for_each(|(_, v)| needed[v.index()] = true);
    graph.assigns().iter().for_each(|(_, v)| needed[v.index()] = true);
    let mut live = Vec::new();
    for (index, node) in graph.nodes().iter().enumerate().rev() {
        if node.outputs.iter().any(|v| needed[v.index()]) {
            node.inputs.iter().for_each(|v| needed[v.index()] = true);
            live.push(index);
        }
    }
    live.reverse();
    live
}

fn last_uses(graph: &Graph, order: &[usize]) -> Vec<usize> {
    let mut last = vec![0; graph.values().len()];
    for (position, &node) in order.iter().enumerate() {
        graph.nodes()[node].inputs.iter().for_each(|v| last[v.index()] = position);
    }
    graph.outputs().iter().for_each(|(_, v)| last[v.index()] = FOREVER);
    for (_, value) in graph.assigns() {
        // Assigned values are kept to the end, where those not yet in their state's slot are copied there.
        last[value.index()] = FOREVER;
    }
    last
}

impl Placer<'_> {
    fn operand(&self, value: ValueId) -> Operand {
        let slot = self.place[value.index()].expect("a value is placed before it is read");
        Operand { slot, ty: self.graph.ty(value).clone() }
    }

    fn new_slot(&mut self, words: usize, kind: SlotKind) -> usize {
        self.slots.push(Slot { words, kind });
        self.slots.len() - 1
    }

    /// Gives inputs and states that are read or assigned their own slots.
    fn place_ends(&mut self, order: &[usize]) -> (Vec<Port>, Vec<Port>) {
        let mut touched = vec![false; self.graph.values().len()];
        order
            .iter()
            .for_each(|&n| self.graph.nodes()[n].inputs.iter().for_each(|v| touched[v.index()] = true));
        self.graph.outputs().iter().for_each(|(_, v)| touched[v.index()] = true);
        self.graph.assigns().iter().for_each(|(s, v)| [s, v].iter().for_each(|v| touched[v.index()] = true));
        let (mut inputs, mut states) = (Vec::new(), Vec::new());
        for (index, value) in self.graph.values().iter().enumerate().filter(|(i, _)| touched[*i]) {
            let (name, kind, ports) = match &value.origin {
                Origin::Input(name) => (name, SlotKind::Input(name.clone()), &mut inputs),
                Origin::State(name) => (name, SlotKind::State(name.clone()), &mut states),
                Origin::Node { .. } => continue,
            };
            self.slots.push(Slot { words: value.ty.words(), kind });
            let slot = self.slots.len() - 1;
            self.place[index] = Some(slot);
            ports.push(Port { name: name.clone(), operand: Operand { slot, ty: value.ty.clone() } });
        }
        (inputs, states)
    }

    /// A scratch slot of at least `words`: the tightest free one, else the largest free one grown, else a new one.
    fn take_scratch(&mut self, words: usize) -> usize {
        let fits = |&&slot: &&usize| self.slots[slot].words >= words;
        let tightest = self.free.iter().filter(fits).min_by_key(|&&s| (self.slots[s].words, s)).copied();
        let chosen =
            tightest.or_else(|| self.free.iter().max_by_key(|&&s| (self.slots[s].words, s)).copied());
        let Some(slot) = chosen else { return self.new_slot(words, SlotKind::Scratch) };
        self.free.retain(|&s| s != slot);
        self.slots[slot].words = self.slots[slot].words.max(words);
        slot
    }

    fn place_node(&mut self, position: usize, node: &Node) {
        let pairs = node.op.def().in_place();
        let mut inputs: Vec<Operand> = node.inputs.iter().map(|&v| self.operand(v)).collect();
        let mut handed_over = Vec::new();
        for (result, &value) in node.outputs.iter().enumerate() {
            let ty = self.graph.ty(value).clone();
            let slot = match pairs.iter().find(|(r, _)| *r == result) {
                None => self.take_scratch(ty.words()),
                Some(&(_, operand)) => {
                    let slot = self.overwrite(position, node, operand, value);
                    inputs[operand].slot = slot;
                    handed_over.push(slot);
                    slot
                }
            };
            self.place[value.index()] = Some(slot);
        }
        let outputs: Vec<Operand> = node.outputs.iter().map(|&v| self.operand(v)).collect();
        let frees = self.release(position, node, &handed_over);
        self.steps.push(Step { op: node.op.clone(), label: node.label.clone(), inputs, outputs, frees });
    }

    /// The slot in which an in-place op may overwrite operand `operand` of `node` to make `new`.
    fn overwrite(&mut self, position: usize, node: &Node, operand: usize, new: ValueId) -> usize {
        let (old, ty) = (node.inputs[operand], self.graph.ty(new).clone());
        let slot = self.operand(old).slot;
        // An op that reads the value through another operand too would read what it has overwritten.
        let read_once = node.inputs.iter().filter(|v| **v == old).count() == 1;
        let dies = self.last_use[old.index()] == position && read_once;
        let ours = match &self.slots[slot].kind {
            SlotKind::Scratch => true,
            SlotKind::Input(_) => false,
            SlotKind::State(_) => self.graph.assigns().contains(&(old, new)),
        };
        if dies && ours {
            return slot;
        }
        let copy = Operand { slot: self.take_scratch(ty.words()), ty: ty.clone() };
        self.push_copy("copy for an in-place op", Operand { slot, ty }, copy.clone());
        copy.slot
    }

    fn push_copy(&mut self, label: &str, from: Operand, to: Operand) {
        let (inputs, outputs) = (vec![from], vec![to]);
        self.steps.push(Step { op: Copy.into(), label: label.to_owned(), inputs, outputs, frees: vec![] });
    }

    /// Frees the scratch slots of values that nobody reads after this node, except those handed over to a result.
    fn release(&mut self, position: usize, node: &Node, handed_over: &[usize]) -> Vec<usize> {
        let unread = node.outputs.iter().filter(|v| self.last_use[v.index()] == 0);
        let dying = node.inputs.iter().filter(|v| self.last_use[v.index()] == position);
        let mut frees: Vec<usize> = Vec::new();
        for value in dying.chain(unread) {
            let slot = self.place[value.index()].expect("operands and results are placed");
            let kept = node.inputs.contains(value) && handed_over.contains(&slot);
            if matches!(self.slots[slot].kind, SlotKind::Scratch) && !kept && !frees.contains(&slot) {
                frees.push(slot);
            }
        }
        if self.options.reuse {
            self.free.extend(&frees);
        }
        frees
    }

    /// Copies assigned values that were not computed in their state's slot.
    fn copy_assigned(&mut self) {
        for &(state, value) in self.graph.assigns() {
            let (from, to) = (self.operand(value), self.operand(state));
            if from.slot == to.slot {
                continue;
            }
            assert!(
                matches!(self.graph.values()[value.index()].origin, Origin::Node { .. }),
                "a state is assigned a computed value (insert a `copy`)"
            );
            self.push_copy("assign", from, to);
        }
    }

    /// Where the results of the run lie. The old value of a state that gets a new one is copied out of its way.
    fn place_outputs(&mut self) -> Vec<Port> {
        let mut ports = Vec::new();
        for (name, value) in self.graph.outputs() {
            let mut operand = self.operand(*value);
            if self.graph.assigns().iter().any(|(state, _)| state == value) {
                let slot = self.take_scratch(operand.ty.words());
                let copy = Operand { slot, ty: operand.ty.clone() };
                self.push_copy("old value of a state", operand, copy.clone());
                operand = copy;
            }
            ports.push(Port { name: name.clone(), operand });
        }
        ports
    }
}
