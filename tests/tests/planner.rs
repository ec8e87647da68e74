//! The planner over random graphs: plans are executed symbolically, so that any clobbered or dead value shows, and
//! numerically, so that its passes can be seen to change nothing.

use golf_core::backend::Backend;
use golf_core::cpu::Cpu;
use golf_core::graph::{Graph, Origin, ValueId};
use golf_core::ops::{
    Accumulate, Add, AddScaled, Average, LeakyReluSquared, Linear, NesterovMomentum, Op, ResidualMix,
    ResidualMixGrad, RmsNorm, RmsNormGrad, ScaleByGrad,
};
use golf_core::plan::{Fusion, Plan, PlanOptions, SlotKind};
use golf_core::reference::Reference;
use golf_core::tensor::{Tensor, TensorType};
use golf_tests::draw::Draw;
use golf_tests::run::wait;
use proptest::prelude::*;
use std::collections::{BTreeMap, HashMap};

const N: usize = 6;
const D: usize = 4;
const STATES: usize = 3;

/// One random node: which op, and which values it takes (modulo what there is).
#[derive(Clone, Debug)]
struct Draft {
    op: usize,
    picks: [usize; 3],
}

/// A random graph: nodes, which values come out, which state takes which value.
#[derive(Clone, Debug)]
struct Recipe {
    nodes: Vec<Draft>,
    outputs: Vec<usize>,
    assigns: Vec<usize>,
}

fn recipe() -> impl Strategy<Value = Recipe> {
    let draft =
        (0..11usize, any::<[u16; 3]>()).prop_map(|(op, picks)| Draft { op, picks: picks.map(usize::from) });
    let nodes = prop::collection::vec(draft, 1..24);
    let picks = |len| prop::collection::vec(any::<u16>().prop_map(usize::from), len);
    (nodes, picks(1..4), picks(0..STATES + 1)).prop_map(|(nodes, outputs, assigns)| Recipe {
        nodes,
        outputs,
        assigns,
    })
}

fn state_name(index: usize) -> String {
    format!("state{index}")
}

/// Builds the graph: square-compatible matrices `[N, D]`, a weight, a scale, a scalar, three states.
fn build(recipe: &Recipe) -> Graph {
    let mut graph = Graph::new();
    let matrix = TensorType::f32(&[N, D]);
    let weight = graph.input("weight", TensorType::f32(&[D, D]));
    let scale = graph.input("scale", TensorType::f32(&[D]));
    let mix = graph.input("mix", TensorType::f32(&[2, D]));
    let keep = graph.scalar("keep");
    let states: Vec<ValueId> = (0..STATES).map(|i| graph.state(&state_name(i), matrix.clone())).collect();
    let mut pool = vec![graph.input("x", matrix.clone())];
    pool.extend(&states);
    for Draft { op, picks } in &recipe.nodes {
        let pick = |i: usize| pool[picks[i] % pool.len()];
        let [a, b] = [pick(0), pick(1)];
        let made = match op {
            0 => graph.push(Add, &[a, b]),
            1 => graph.push(AddScaled, &[a, scale, b]),
            2 => graph.push(RmsNorm { scale: 0.5 }, &[a]),
            3 => graph.push(Linear::NT, &[a, weight]),
            4 => graph.push(Accumulate, &[a, b, keep]),
            5 => graph.push(Average, &[a, b, keep]),
            6 => graph.push(LeakyReluSquared { slope: 0.5 }, &[a]),
            7 => graph.push(NesterovMomentum, &[a, b, keep, keep]),
            8 => graph.push(ResidualMix, &[a, b, mix]),
            9 => mixed_and_back(&mut graph, mix, [a, b, pick(2)]),
            _ => graph.push(ScaleByGrad, &[a, keep, b]).map(|made| vec![made[0]]),
        };
        pool.extend(made.expect("every value of the pool has one type"));
    }
    for (i, pick) in recipe.outputs.iter().enumerate() {
        graph.output(&format!("y{i}"), pool[pick % pool.len()]);
    }
    // Only computed values can be assigned.
    let computed = &pool[1 + STATES..];
    for (state, pick) in states.iter().zip(&recipe.assigns) {
        graph.assign(*state, computed[pick % computed.len()]);
    }
    graph
}

/// A mix of `x` and `x0` and its norm, and the gradient of both for `dy` in place of what others would make of the norm: all that
/// rewrites take for a block's, where what else a draft picks leaves it alone.
fn mixed_and_back(
    graph: &mut Graph,
    mix: ValueId,
    [x, x0, dy]: [ValueId; 3],
) -> Result<Vec<ValueId>, golf_core::ops::OpError> {
    let m = graph.apply(ResidualMix, &[x, x0, mix])?;
    let h = graph.apply(RmsNorm { scale: 0.5 }, &[m])?;
    let stem = graph.apply(Add, &[h, x0])?;
    let from_others = graph.apply(Add, &[m, dy])?;
    let from_norm = graph.apply(RmsNormGrad { scale: 0.5 }, &[m, h])?;
    let dm = graph.apply(Add, &[from_others, from_norm])?;
    let of_mix = graph.push(ResidualMixGrad, &[x, x0, mix, dm])?;
    let total = graph.apply(Add, &[stem, of_mix[1]])?;
    Ok(vec![h, of_mix[0], total])
}

/// Names of values as terms over inputs and states, so that a plan can be checked without numbers.
#[derive(Default)]
struct Terms(HashMap<String, usize>);

impl Terms {
    fn id(&mut self, term: String) -> usize {
        let next = self.0.len();
        *self.0.entry(term).or_insert(next)
    }

    /// The term of result `result` of an op; a copy is what it copies, a fused op its parts.
    fn apply(&mut self, op: &Op, operands: &[usize], result: usize) -> usize {
        match op {
            Op::Copy(_) => operands[0],
            Op::LinearActivation(fused) => {
                let product = self.apply(&Linear::NT.into(), operands, 0);
                self.apply(&LeakyReluSquared { slope: fused.slope }.into(), &[product], 0)
            }
            Op::LinearAddScaled(_) => {
                let product = self.apply(&Linear::NT.into(), &operands[2..], 0);
                self.apply(&AddScaled.into(), &[operands[0], operands[1], product], 0)
            }
            // A fused sum names the one that it overwrites first.
            Op::Add(_) => {
                let [a, b] = [operands[0].min(operands[1]), operands[0].max(operands[1])];
                self.id(format!("{op:?}{:?}.{result}", [a, b]))
            }
            Op::LinearAdd(fused) => {
                let product = self.apply(&fused.linear.clone().into(), &operands[..2], 0);
                self.apply(&Add.into(), &[operands[2], product], 0)
            }
            Op::LinearResidual(_) => {
                let product = self.apply(&Linear::NT.into(), &operands[1..], 0);
                self.apply(&Add.into(), &[operands[0], product], 0)
            }
            Op::ResidualMixNorm(fused) => {
                let m = self.apply(&ResidualMix.into(), operands, 0);
                if result == 0 { m } else { self.apply(&RmsNorm { scale: fused.scale }.into(), &[m], 0) }
            }
            Op::ResidualMixNormGrad(fused) => {
                let &[x, x0, mix, dh, dm] = operands else { unreachable!("five operands") };
                let m = self.apply(&ResidualMix.into(), &[x, x0, mix], 0);
                let grad = self.apply(&RmsNormGrad { scale: fused.scale }.into(), &[m, dh], 0);
                let g = self.apply(&Add.into(), &[dm, grad], 0);
                self.apply(&ResidualMixGrad.into(), &[x, x0, mix, g], result)
            }
            Op::ResidualMixNormGradAdd(fused) => {
                let made = self.apply(&fused.grad.clone().into(), &operands[..5], result);
                if result == 1 { self.apply(&Add.into(), &[operands[5], made], 0) } else { made }
            }
            Op::RmsNormGradAdd(fused) => {
                let grad = self.apply(&fused.grad.clone().into(), &operands[..2], 0);
                self.apply(&Add.into(), &[operands[2], grad], 0)
            }
            _ => self.id(format!("{op:?}{operands:?}.{result}")),
        }
    }
}

/// The term of every value of a graph.
fn terms_of(graph: &Graph, terms: &mut Terms) -> Vec<usize> {
    let mut ids: Vec<usize> = Vec::new();
    for value in graph.values() {
        ids.push(match &value.origin {
            Origin::Input(name) => terms.id(format!("input {name}")),
            Origin::State(name) => terms.id(format!("state {name}")),
            Origin::Node { node, result } => {
                let node = &graph.nodes()[*node];
                let operands: Vec<usize> = node.inputs.iter().map(|v| ids[v.index()]).collect();
                terms.apply(&node.op, &operands, *result)
            }
        });
    }
    ids
}

/// Runs a plan over terms instead of numbers; `None` is a slot whose value is dead. Returns what every slot ends with.
fn execute(plan: &Plan, terms: &mut Terms) -> Vec<Option<usize>> {
    let mut slots: Vec<Option<usize>> = vec![None; plan.slots.len()];
    for (slot, kind) in plan.slots.iter().map(|slot| &slot.kind).enumerate() {
        slots[slot] = match kind {
            SlotKind::Input(name) => Some(terms.id(format!("input {name}"))),
            SlotKind::State(name) => Some(terms.id(format!("state {name}"))),
            SlotKind::Scratch => None,
        };
    }
    for (index, step) in plan.steps.iter().enumerate() {
        let read = |slot: usize| {
            slots[slot].unwrap_or_else(|| panic!("step {index} reads dead slot s{slot}\n{plan}"))
        };
        let operands: Vec<usize> = step.inputs.iter().map(|o| read(o.slot)).collect();
        let pairs = step.op.def().in_place();
        for (result, output) in step.outputs.iter().enumerate() {
            assert!(plan.slots[output.slot].words >= output.ty.words(), "a result fits its slot");
            let others = step.outputs.iter().enumerate().filter(|(other, _)| *other != result);
            assert!(
                others.into_iter().all(|(_, o)| o.slot != output.slot),
                "results have slots of their own"
            );
            let partner = pairs.iter().find(|(r, _)| *r == result).map(|(_, operand)| *operand);
            for (operand, input) in step.inputs.iter().enumerate() {
                assert_eq!(
                    input.slot == output.slot,
                    partner == Some(operand),
                    "step {index}: exactly the in-place operand shares the result's slot\n{plan}"
                );
            }
        }
        for (result, output) in step.outputs.iter().enumerate() {
            slots[output.slot] = Some(terms.apply(&step.op, &operands, result));
        }
        step.frees.iter().for_each(|&slot| slots[slot] = None);
    }
    slots
}

/// Outputs and new states of a run.
fn results(
    backend: &mut dyn Backend,
    graph: &Graph,
    options: PlanOptions,
) -> (Vec<Tensor>, BTreeMap<String, Tensor>) {
    let mut draw = Draw::new(11);
    let matrix = [N, D];
    let states: Vec<Tensor> = (0..STATES).map(|_| draw.floats(&matrix, 1.0)).collect();
    for (i, state) in states.iter().enumerate() {
        backend.write_state(&state_name(i), state).expect("a new state");
    }
    let (x, weight) = (draw.floats(&matrix, 1.0), draw.floats(&[D, D], 0.5));
    let (scale, mix, keep) = (draw.floats(&[D], 1.0), draw.floats(&[2, D], 1.0), Tensor::scalar(0.5));
    let executable =
        wait(backend.compile(Plan::new("random", graph, options))).expect("states have one type");
    let inputs = [("x", &x), ("weight", &weight), ("scale", &scale), ("mix", &mix), ("keep", &keep)];
    backend.submit(executable, &inputs).expect("all inputs are given");
    let mut read =
        |name: &String| wait(backend.read_output(executable, name)).expect("an output of the graph");
    let outputs = graph.outputs().iter().map(|(name, _)| read(name)).collect();
    let states = (0..STATES).map(state_name);
    (
        outputs,
        states.map(|n| (n.clone(), wait(backend.read_state(&n)).expect("a state of the graph"))).collect(),
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_value_is_overwritten_or_dropped_while_it_is_alive(
        recipe in recipe(), reuse in any::<bool>(), fused in any::<bool>(),
    ) {
        let graph = build(&recipe);
        let mut terms = Terms::default();
        let values = terms_of(&graph, &mut terms);
        let fuse = if fused { Fusion::ALL } else { Fusion::NONE };
        let plan = Plan::new("random", &graph, PlanOptions { reuse, fuse });
        let slots = execute(&plan, &mut terms);
        for ((name, value), port) in graph.outputs().iter().zip(&plan.outputs) {
            prop_assert_eq!(slots[port.operand.slot], Some(values[value.index()]), "output {}\n{}", name, plan);
        }
        for (state, value) in graph.assigns() {
            let Origin::State(name) = &graph.values()[state.index()].origin else { unreachable!("only states") };
            let port = Plan::port(&plan.states, name).expect("an assigned state has a slot");
            prop_assert_eq!(slots[port.operand.slot], Some(values[value.index()]), "state {}\n{}", name, plan);
        }
        let assigned: Vec<_> = graph.assigns().iter().map(|(state, _)| *state).collect();
        for port in &plan.states {
            let origin = Origin::State(port.name.clone());
            let value = graph.values().iter().position(|v| v.origin == origin).expect("a state of the graph");
            if assigned.iter().all(|state| state.index() != value) {
                prop_assert_eq!(slots[port.operand.slot], Some(values[value]), "unassigned state {}", port.name);
            }
        }
    }

    #[test]
    fn reuse_fusion_and_poison_change_no_result(recipe in recipe()) {
        let graph = build(&recipe);
        let (on, off) = (PlanOptions::default(), PlanOptions { reuse: false, fuse: Fusion::NONE });
        let want = results(&mut Cpu::with_threads(1), &graph, off);
        prop_assert_eq!(&results(&mut Cpu::with_threads(1), &graph, on), &want);
        prop_assert_eq!(&results(&mut Cpu::with_threads(1).with_poison(), &graph, on), &want);
        let oracle = results(&mut Reference::new(), &graph, off);
        prop_assert_eq!(&results(&mut Reference::with_poison(), &graph, on), &oracle);
        for (got, want) in want.0.iter().zip(&oracle.0) {
            let close = |(a, b): (&f64, &f64)| (a - b).abs() <= 1e-4 * (1.0 + b.abs());
            prop_assert!(got.to_f64().iter().zip(want.f64s()).all(close));
        }
    }

    #[test]
    fn reuse_never_needs_more_memory(recipe in recipe()) {
        let graph = build(&recipe);
        let bytes = |reuse| Plan::new("random", &graph, PlanOptions { reuse, ..PlanOptions::default() }).scratch_bytes();
        prop_assert!(bytes(true) <= bytes(false));
    }

    #[test]
    fn dead_nodes_vanish(recipe in recipe()) {
        let graph = build(&recipe);
        let mut longer = graph.clone();
        let output = graph.outputs()[0].1;
        longer.apply(Add, &[output, output]).expect("one type");
        let plan = |graph: &Graph| Plan::new("random", graph, PlanOptions::default());
        prop_assert_eq!(plan(&graph), plan(&longer));
    }

    #[test]
    fn the_dump_depends_on_nothing_but_the_graph(recipe in recipe()) {
        let plan = || Plan::new("random", &build(&recipe), PlanOptions::default());
        prop_assert_eq!(plan().to_string(), plan().to_string());
        prop_assert_eq!(plan().hash(), plan().hash());
    }
}
