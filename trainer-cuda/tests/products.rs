//! Products by a library, and plans that run as one recording: emulated, against the same work done otherwise.

use golf_core::backend::{Backend, ExecutableId};
use golf_core::graph::Graph;
use golf_core::ops::{AdamW, LeakyReluSquared, Linear, LinearForm};
use golf_core::plan::{Fusion, Plan, PlanOptions};
use golf_core::tensor::{Tensor, TensorType};
use golf_cuda::{Cuda, Emulator, Fidelity, Order, Precision};
use pollster::block_on;

/// An emulated device in bf16; `None`, said aloud, where there is no C++ compiler.
fn device(test: &str, library: Option<Fidelity>) -> Option<Cuda<Emulator>> {
    let emulator =
        Emulator::new(Order::Forwards).map_err(|reason| println!("SKIPPED {test}: {reason}")).ok()?;
    let emulator = match library {
        Some(fidelity) => emulator.with_library(fidelity),
        None => emulator,
    };
    Some(Cuda::over(emulator).with_poison().with_precision(Precision::Bf16))
}

/// The same numbers on every machine, in (-1, 1).
fn scrambled(n: usize, seed: u32) -> Vec<f32> {
    let hash = |i: usize| (i as u32).wrapping_add(seed).wrapping_mul(0x9e37_79b9).wrapping_add(12345);
    let mixed = |i: usize| (hash(i) ^ (hash(i) >> 15)).wrapping_mul(0x85eb_ca6b) as i32;
    (0..n).map(|i| mixed(i) as f32 / (1u32 << 31) as f32).collect()
}

/// A step of a model of one matrix: prediction, gradient, AdamW with a rate and corrections that change.
fn step() -> Plan {
    let mut graph = Graph::new();
    let x = graph.input("x", TensorType::f32(&[12, 10]));
    let dy = graph.input("dy", TensorType::f32(&[12, 6]));
    let scalars = ["clip", "lr_scale", "bias1", "bias2"].map(|name| graph.input(name, TensorType::f32(&[])));
    let states = ["w", "m/w", "v/w"].map(|name| graph.state(name, TensorType::f32(&[6, 10])));
    let [w, m, v] = states;
    let y = graph.push(Linear::NT, &[x, w]).expect("the operands fit")[0];
    let dw = graph.push(Linear::TN, &[dy, x]).expect("the operands fit")[0];
    let dx = graph.push(Linear::NN, &[dy, w]).expect("the operands fit")[0];
    let adamw = AdamW { lr: 0.1, weight_decay: 0.01, beta1: 0.9, beta2: 0.99, epsilon: 1e-8 };
    let [clip, lr_scale, bias1, bias2] = scalars;
    let updated = graph.push(adamw, &[w, m, v, dw, clip, lr_scale, bias1, bias2]).expect("the operands fit");
    states.into_iter().zip(updated).for_each(|(state, value)| graph.assign(state, value));
    graph.output("y", y);
    graph.output("dx", dx);
    Plan::new("step", &graph, PlanOptions::default())
}

/// Runs step `t` of `executable`; outputs and states afterwards.
fn run(cuda: &mut Cuda<Emulator>, executable: ExecutableId, t: u32) -> Vec<Vec<f32>> {
    let inputs = [
        ("x", Tensor::f32(&[12, 10], scrambled(120, 7 * t))),
        ("dy", Tensor::f32(&[12, 6], scrambled(72, t))),
    ];
    let bias = |beta: f64| Tensor::scalar(1.0 - beta.powi(t as i32 + 1));
    let scalars = [
        ("clip", Tensor::scalar(0.5)),
        ("lr_scale", Tensor::scalar(1.0 / f64::from(t + 1))),
        ("bias1", bias(0.9)),
        ("bias2", bias(0.99)),
    ];
    let inputs: Vec<(&str, &Tensor)> = inputs.iter().chain(&scalars).map(|(name, x)| (*name, x)).collect();
    cuda.submit(executable, &inputs).expect("it runs");
    let outputs = ["y", "dx"].map(|name| block_on(cuda.read_output(executable, name)).expect("an output"));
    let states = ["w", "m/w", "v/w"].map(|name| block_on(cuda.read_state(name)).expect("a state"));
    outputs.iter().chain(&states).map(Tensor::to_f32).collect()
}

#[test]
fn a_recording_has_the_bits_of_single_launches() {
    for library in [None, Some(Fidelity::Right)] {
        let test = "a_recording_has_the_bits_of_single_launches";
        let (Some(mut recorded), Some(mut single)) = (device(test, library), device(test, library)) else {
            return;
        };
        let start = Tensor::f32(&[6, 10], scrambled(60, 99));
        for cuda in [&mut recorded, &mut single] {
            cuda.write_state("w", &start).expect("a new state");
        }
        let executable = block_on(recorded.compile(step())).expect("it compiles");
        for t in 0..4 {
            // What is compiled anew runs call by call.
            let fresh = block_on(single.compile(step())).expect("it compiles");
            assert_eq!(run(&mut recorded, executable, t), run(&mut single, fresh, t), "step {t}");
        }
        assert_eq!((recorded.driver().replays(), single.driver().replays()), (3, 0));
    }
}

/// `y` of one product of odd extents.
fn product(cuda: &mut Cuda<Emulator>, form: LinearForm) -> Vec<f32> {
    let (rows, cols, depth) = (9, 7, 33);
    let (a, b) = match form {
        LinearForm::Nt => ([rows, depth], [cols, depth]),
        LinearForm::Nn => ([rows, depth], [depth, cols]),
        LinearForm::Tn => ([depth, rows], [depth, cols]),
    };
    let [a, b] =
        [(a, 1), (b, 2)].map(|(shape, seed)| Tensor::f32(&shape, scrambled(shape[0] * shape[1], seed)));
    let mut graph = Graph::new();
    let operands = [graph.input("a", a.ty().clone()), graph.input("b", b.ty().clone())];
    let y = graph.push(Linear { form }, &operands).expect("the operands fit")[0];
    graph.output("y", y);
    let executable = block_on(cuda.compile(Plan::new("product", &graph, PlanOptions::default())));
    let executable = executable.expect("it compiles");
    cuda.submit(executable, &[("a", &a), ("b", &b)]).expect("it runs");
    block_on(cuda.read_output(executable, "y")).expect("an output").to_f32()
}

#[test]
fn a_library_that_agrees_with_our_own_kernel_forms_products() {
    let test = "a_library_that_agrees_with_our_own_kernel_forms_products";
    let (Some(mut own), Some(mut library)) = (device(test, None), device(test, Some(Fidelity::Checked)))
    else {
        return;
    };
    for form in [LinearForm::Nt, LinearForm::Nn, LinearForm::Tn] {
        let (own, library) = (product(&mut own, form), product(&mut library, form));
        let largest = own.iter().zip(&library).map(|(x, y)| (x - y).abs()).fold(0.0, f32::max);
        assert!(largest <= 1e-5, "{form:?}: {largest}");
    }
    assert_eq!(library.notes(), [""; 0]);
    let notes = own.notes();
    assert!(matches!(&notes[..], [note] if note.contains("`libcublasLt`")), "{notes:?}");
}

#[test]
fn a_library_that_forms_something_else_is_told_and_not_used() {
    let test = "a_library_that_forms_something_else_is_told_and_not_used";
    let (Some(mut own), Some(mut library)) = (device(test, None), device(test, Some(Fidelity::Wrong))) else {
        return;
    };
    for form in [LinearForm::Nt, LinearForm::Tn] {
        assert_eq!(product(&mut own, form), product(&mut library, form), "{form:?}");
        let notes = library.notes();
        assert!(
            matches!(&notes[..], [note] if note.contains("9x7x33") && note.contains("is off by")),
            "{notes:?}"
        );
    }
}

#[test]
fn a_traced_plan_has_the_same_results_and_a_time_for_every_step() {
    let test = "a_traced_plan_has_the_same_results_and_a_time_for_every_step";
    let (Some(mut traced), Some(mut plain)) = (device(test, None), device(test, None)) else { return };
    let inputs =
        [("a", Tensor::f32(&[9, 33], scrambled(297, 1))), ("b", Tensor::f32(&[7, 33], scrambled(231, 2)))];
    let inputs = inputs.each_ref().map(|(name, tensor)| (*name, tensor));
    let mut graph = Graph::new();
    let [a, b] = inputs.map(|(name, tensor)| graph.input(name, tensor.ty().clone()));
    let y = graph.push(Linear::NT, &[a, b]).expect("the operands fit")[0];
    let z = graph.push(LeakyReluSquared { slope: 0.5 }, &[y]).expect("the operand fits")[0];
    graph.output("z", z);
    let plan = Plan::new("two steps", &graph, PlanOptions { fuse: Fusion::NONE, ..PlanOptions::default() });
    let compile = |cuda: &mut Cuda<Emulator>| block_on(cuda.compile(plan.clone())).expect("it compiles");
    let (timed, untimed) = (compile(&mut traced), compile(&mut plain));
    let steps = traced.trace(timed, &inputs).expect("it runs");
    plain.submit(untimed, &inputs).expect("it runs");
    assert_eq!(steps.iter().map(|step| step.op).collect::<Vec<_>>(), ["linear", "leaky_relu_squared"]);
    assert!(steps.iter().all(|step| step.seconds > 0.0), "{steps:?}");
    let z = |cuda: &mut Cuda<Emulator>, id| block_on(cuda.read_output(id, "z")).expect("an output").to_f32();
    assert_eq!(z(&mut traced, timed), z(&mut plain, untimed));
}
