//! Launches over many tensors: the bits of launches over each by itself, whatever the order of threads, and who is told the
//! time of what. Emulated.

use golf_core::backend::{Backend, ExecutableId};
use golf_core::graph::Graph;
use golf_core::model::parameters;
use golf_core::ops::{Copy, Mean};
use golf_core::optim::{Group, Optimizer, Rule, average_graph};
use golf_core::plan::{Plan, PlanOptions};
use golf_core::tensor::{Tensor, TensorType};
use golf_core::train::{groups, preset};
use golf_cuda::{Cuda, Emulator, Footprint, Order, Precision};
use pollster::block_on;
use std::collections::BTreeMap;

type Shapes = BTreeMap<String, Vec<usize>>;

/// An emulated device; `None`, said aloud, where there is no C++ compiler.
fn emulated(test: &str, order: Order) -> Option<Cuda<Emulator>> {
    Emulator::new(order).map_err(|reason| println!("SKIPPED {test}: {reason}")).map(Cuda::over).ok()
}

fn plan(name: &str, graph: &Graph) -> Plan {
    Plan::new(name, graph, PlanOptions::default())
}

/// Shapes and the update of the smallest preset.
fn nano() -> (Shapes, Optimizer) {
    let preset = preset("nano", false).expect("a preset");
    let shapes = parameters(&preset.model).into_iter().map(|p| (p.name, p.shape)).collect();
    (shapes, groups::optimizer(&preset.model, &preset.recipe))
}

/// Vectors and matrices of all lengths under every rule, so many that a block has to look for its row.
fn mixed() -> (Shapes, Optimizer) {
    let lengths = [1, 2047, 2048, 2049, 5000].into_iter().cycle();
    let vectors = (0..300).zip(lengths).map(|(i, n)| (format!("a{i:03}"), vec![n]));
    let matrices = (0..5).map(|i| (format!("b{i}"), if i % 2 == 0 { vec![40, 70] } else { vec![70, 40] }));
    let mut shapes: Shapes = vectors.chain(matrices).collect();
    shapes.extend((0..3).map(|i| (format!("c{i}"), vec![3, 1000 * i + 1])));
    let of = |letter: char| shapes.keys().filter(|name| name.starts_with(letter)).cloned().collect();
    let adamw = Rule::AdamW { beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weight_decay: 0.1 };
    let group = |rule, letter| Group { rule, lr: 0.02, params: of(letter) };
    let groups = vec![
        group(adamw, 'a'),
        group(Rule::Muon { weight_decay: 0.04, decay_first: true }, 'b'),
        group(Rule::Sgd { momentum: 0.9 }, 'c'),
    ];
    (shapes, Optimizer { groups, clip: 1.0, counted_only: Vec::new() })
}

/// Numbers that follow from a state's name alone.
fn drawn(name: &str, ty: &TensorType) -> Tensor {
    let mut draw = name.bytes().fold(7u32, |hash, byte| hash.wrapping_mul(31).wrapping_add(u32::from(byte)));
    // Second moments are not negative.
    let floor = if name.starts_with("v/") { 0.0 } else { -0.5 };
    let entry = |_| {
        draw = draw.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (draw >> 8) as f32 / (1u32 << 24) as f32 + floor
    };
    Tensor::f32(&ty.shape, (0..ty.numel()).map(entry).collect())
}

/// Writes every state of `plans`, compiles them, runs each twice, call by call and as a recording; bits of all states.
fn run(mut cuda: Cuda<Emulator>, plans: &[Plan]) -> BTreeMap<String, Vec<u32>> {
    let mut states = BTreeMap::new();
    for port in plans.iter().flat_map(|plan| &plan.states) {
        cuda.write_state(&port.name, &drawn(&port.name, &port.operand.ty)).expect("a state");
        states.insert(port.name.clone(), Vec::new());
    }
    for plan in plans {
        let executable = block_on(cuda.compile(plan.clone())).expect("it compiles");
        (0..2).for_each(|_| submit(&mut cuda, plan, executable));
    }
    for (name, bits) in &mut states {
        let tensor = block_on(cuda.read_state(name)).expect("a state");
        *bits = tensor.to_f32().iter().map(|x| x.to_bits()).collect();
    }
    states
}

/// Runs a plan whose inputs are scalars.
fn submit(cuda: &mut Cuda<Emulator>, plan: &Plan, executable: ExecutableId) {
    let scalars: Vec<Tensor> =
        (0..plan.inputs.len()).map(|i| Tensor::f32(&[], vec![0.9 - 0.1 * i as f32])).collect();
    let inputs: Vec<(&str, &Tensor)> =
        plan.inputs.iter().map(|port| port.name.as_str()).zip(&scalars).collect();
    cuda.submit(executable, &inputs).expect("it runs");
}

#[test]
fn tensors_together_have_the_bits_of_tensors_apart() {
    for (shapes, optimizer) in [nano(), mixed()] {
        let update = plan("update", &optimizer.update_graph(&shapes).expect("valid shapes"));
        let average = plan("average", &average_graph(&shapes).expect("valid shapes"));
        let plans = [update, average];
        for precision in [Precision::F32, Precision::Bf16] {
            let test = "tensors_together_have_the_bits_of_tensors_apart";
            let Some(cuda) = emulated(test, Order::Forwards) else { return };
            let apart = run(cuda.with_precision(precision).with_tensors_apart(), &plans);
            for order in [Order::Forwards, Order::Backwards] {
                let cuda = emulated(test, order).expect("it was there").with_precision(precision);
                let together = run(cuda, &plans);
                let differing = apart.iter().find(|(name, bits)| together[*name] != **bits);
                assert_eq!(differing.map(|(name, _)| name), None, "{precision:?} {order:?}");
            }
            let poisoned = emulated(test, Order::Forwards).expect("it was there").with_precision(precision);
            assert!(run(poisoned.with_poison(), &plans) == apart, "{precision:?}, poisoned");
        }
    }
}

#[test]
fn a_rank_gives_the_tensors_that_it_owns_the_bits_that_one_rank_gives_them() {
    let test = "a_rank_gives_the_tensors_that_it_owns_the_bits_that_one_rank_gives_them";
    let (shapes, optimizer) = mixed();
    let owned = |name: &str| name.ends_with(['0', '3']);
    let squares = plan("squares", &optimizer.squares_graph(&shapes, |_| true).expect("valid shapes"));
    let some = plan("update", &optimizer.owned_update_graph(&shapes, owned).expect("valid shapes"));
    let all = plan("update", &optimizer.update_graph(&shapes).expect("valid shapes"));
    let Some(cuda) = emulated(test, Order::Forwards) else { return };
    let some = run(cuda, &[squares, some]);
    let all = run(emulated(test, Order::Forwards).expect("it was there"), &[all]);
    let owned = || all.iter().filter(|(name, _)| owned(name));
    assert!((100..300).contains(&owned().count()), "{}", owned().count());
    let differing = owned().find(|(name, bits)| some[*name] != **bits);
    assert_eq!(differing.map(|(name, _)| name), None);
}

#[test]
fn time_of_many_tensors_is_that_of_the_first() {
    let Some(mut cuda) = emulated("time_of_many_tensors_is_that_of_the_first", Order::Forwards) else {
        return;
    };
    let (shapes, optimizer) = nano();
    let update = plan("update", &optimizer.update_graph(&shapes).expect("valid shapes"));
    let executable = block_on(cuda.compile(update.clone())).expect("it compiles");
    let scalars: Vec<Tensor> = update.inputs.iter().map(|_| Tensor::f32(&[], vec![0.5])).collect();
    let inputs: Vec<(&str, &Tensor)> =
        update.inputs.iter().map(|port| port.name.as_str()).zip(&scalars).collect();
    let entries = cuda.trace(executable, &inputs).expect("it runs");
    assert_eq!(entries.len(), update.steps.len());
    let mut elsewhere = 0;
    for (number, entry) in entries.iter().enumerate() {
        match entry.timed_with {
            None => assert!(entry.seconds > 0.0, "step {number}, {}", entry.op),
            Some(first) => {
                elsewhere += 1;
                assert_eq!((entry.seconds, entry.op), (0.0, entries[first].op), "step {number}");
                assert!(first < number && entries[first].timed_with.is_none(), "step {number}");
            }
        }
    }
    // All sums of squares but the first, at least.
    assert!(elsewhere >= shapes.len() - 1, "{elsewhere} of {}", entries.len());
}

#[test]
fn tables_of_rows_are_in_the_footprint() {
    let Some(mut cuda) = emulated("tables_of_rows_are_in_the_footprint", Order::Forwards) else { return };
    let (shapes, optimizer) = mixed();
    let update = plan("update", &optimizer.update_graph(&shapes).expect("valid shapes"));
    let footprint = Footprint::of(&update, Precision::F32);
    block_on(cuda.compile(update)).expect("it compiles");
    assert_eq!(cuda.buffer_bytes(), footprint.total());
}

#[test]
fn sums_that_share_scratch_memory_are_not_joined() {
    let test = "sums_that_share_scratch_memory_are_not_joined";
    let Some(mut cuda) = emulated(test, Order::Forwards) else { return };
    let mut graph = Graph::new();
    for i in 0..3usize {
        let x = graph.state(&format!("x{i}"), TensorType::f32(&[20_000]));
        let mean = graph.apply(Mean, &[x]).expect("a tensor of floats");
        let copy = graph.apply(Copy, &[mean]).expect("a scalar");
        graph.output(&format!("mean{i}"), copy);
        let x = Tensor::f32(&[20_000], vec![i as f32 + 1.0; 20_000]);
        cuda.write_state(&format!("x{i}"), &x).expect("a state");
    }
    let plan = plan("means", &graph);
    let executable = block_on(cuda.compile(plan)).expect("it compiles");
    cuda.submit(executable, &[]).expect("it runs");
    for i in 0..3usize {
        let mean = block_on(cuda.read_output(executable, &format!("mean{i}"))).expect("an output");
        assert_eq!(mean.to_f32(), [i as f32 + 1.0]);
    }
}
