//! Runs graphs on backends, waiting for what a backend does asynchronously.

use crate::cases::Case;
use crate::draw::Draw;
use crate::models::{VOCAB, random_weights};
use golf_core::backend::{Backend, BackendError};
use golf_core::graph::{Graph, Origin};
use golf_core::model::ModelConfig;
use golf_core::model::gpt::Window;
use golf_core::ops::{Copy, Embed, LinearAdd, LinearForm, Op};
use golf_core::plan::{Plan, PlanOptions};
use golf_core::tensor::{DType, Tensor, TensorType};
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

/// Waits for a future by polling it.
pub fn wait<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return value;
        }
        std::thread::yield_now();
    }
}

/// Plans and runs `graph`, and reads all its outputs in order.
pub fn run_graph(
    backend: &mut dyn Backend,
    graph: &Graph,
    options: PlanOptions,
    inputs: &[(&str, &Tensor)],
) -> Result<Vec<Tensor>, BackendError> {
    let executable = wait(backend.compile(Plan::new("test", graph, options)))?;
    backend.submit(executable, inputs)?;
    graph.outputs().iter().map(|(name, _)| wait(backend.read_output(executable, name))).collect()
}

/// The graph of one op: operands are inputs `x0`, `x1`, …, results are outputs `y0`, `y1`, ….
pub fn one_op(case: &Case) -> Graph {
    let mut graph = Graph::new();
    let operands: Vec<_> =
        case.inputs.iter().enumerate().map(|(i, x)| graph.input(&format!("x{i}"), x.ty().clone())).collect();
    let results = graph.push(case.op.clone(), &operands).expect("a case is well typed");
    results.into_iter().enumerate().for_each(|(i, y)| graph.output(&format!("y{i}"), y));
    graph
}

/// Runs a case and returns its results.
pub fn run_case(backend: &mut dyn Backend, case: &Case) -> Result<Vec<Tensor>, BackendError> {
    let names: Vec<String> = (0..case.inputs.len()).map(|i| format!("x{i}")).collect();
    let inputs: Vec<(&str, &Tensor)> = names.iter().map(String::as_str).zip(&case.inputs).collect();
    run_graph(backend, &one_op(case), PlanOptions::default(), &inputs)
}

/// Which matrices of a case are activations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// All but weights, as in a model.
    Natural,
    /// The first alone, as in no model.
    First,
}

/// The case inside of a model, as far as a backend can tell: operands come out of tables, and results go on to another op. So
/// they are activations, where the op has any.
pub fn in_a_flow(case: &Case, flow: Flow) -> Graph {
    let mut graph = Graph::new();
    let flows = flowing(case, flow);
    let operands: Vec<_> = (case.inputs.iter().enumerate())
        .map(|(i, x)| {
            let own = graph.input(&format!("x{i}"), x.ty().clone());
            if !flows[i] {
                return own;
            }
            let rows = graph.input(&format!("rows{i}"), TensorType::i32(&[x.shape()[0]]));
            graph.push(Embed, &[rows, own]).expect("a matrix is a table")[0]
        })
        .collect();
    let results = graph.push(case.op.clone(), &operands).expect("a case is well typed");
    for (i, y) in results.into_iter().enumerate() {
        let y =
            if is_matrix(graph.ty(y)) { graph.push(Copy, &[y]).expect("anything is copied")[0] } else { y };
        graph.output(&format!("y{i}"), y);
    }
    graph
}

/// Runs [`in_a_flow`].
pub fn run_in_a_flow(
    backend: &mut dyn Backend,
    case: &Case,
    flow: Flow,
) -> Result<Vec<Tensor>, BackendError> {
    let count = |x: &Tensor| x.shape().first().map_or(0, |rows| *rows as i32);
    let rows = |x: &Tensor| Tensor::i32(&[count(x) as usize], (0..count(x)).collect());
    let own = case.inputs.iter().enumerate().map(|(i, x)| (format!("x{i}"), x.clone()));
    let flows =
        flowing(case, flow).into_iter().zip(&case.inputs).enumerate().filter(|(_, (flows, _))| *flows);
    let inputs: Vec<(String, Tensor)> =
        own.chain(flows.map(|(i, (_, x))| (format!("rows{i}"), rows(x)))).collect();
    let inputs: Vec<(&str, &Tensor)> = inputs.iter().map(|(name, x)| (name.as_str(), x)).collect();
    run_graph(backend, &in_a_flow(case, flow), PlanOptions::default(), &inputs)
}

/// Which operands come out of a table.
fn flowing(case: &Case, flow: Flow) -> Vec<bool> {
    let weight = match &case.op {
        Op::Linear(linear) | Op::LinearAdd(LinearAdd { linear }) if linear.form == LinearForm::Tn => None,
        Op::Linear(_)
        | Op::LinearActivation(_)
        | Op::LinearAdd(_)
        | Op::HeadCrossEntropy(_)
        | Op::HeadCrossEntropyGrad(_) => Some(1),
        Op::LinearAddScaled(_) => Some(3),
        Op::LinearResidual(_)
        | Op::ResidualMix(_)
        | Op::ResidualMixGrad(_)
        | Op::ResidualMixNorm(_)
        | Op::ResidualMixNormGrad(_)
        | Op::ResidualMixNormGradAdd(_) => Some(2),
        _ => None,
    };
    let matrices = case.inputs.iter().map(|x| is_matrix(x.ty()));
    let natural: Vec<bool> = matrices.enumerate().map(|(i, matrix)| matrix && Some(i) != weight).collect();
    let first = natural.iter().position(|flows| *flows);
    let one = |i| Some(i) == first;
    natural.iter().enumerate().map(|(i, &flows)| flows && (flow == Flow::Natural || one(i))).collect()
}

fn is_matrix(ty: &TensorType) -> bool {
    ty.dtype == DType::F32 && ty.shape.len() == 2
}

/// Outputs and assigned states of one run of a small model's graph, with random weights and tokens.
pub fn model_results(
    backend: &mut dyn Backend,
    config: &ModelConfig,
    window: Window,
    graph: &Graph,
    options: PlanOptions,
) -> Vec<Tensor> {
    for (name, tensor) in random_weights(config, 3) {
        backend.write_state(&name, &tensor).expect("a parameter keeps its type");
    }
    let executable = wait(backend.compile(Plan::new("model", graph, options))).expect("the plan compiles");
    let mut draw = Draw::new(5);
    let [tokens, targets] = [0, 1].map(|_| draw.ids(window.tokens(), VOCAB));
    let (share, keep) = (Tensor::scalar(0.5), Tensor::scalar(0.0));
    let inputs = [("tokens", &tokens), ("targets", &targets), ("share", &share), ("keep", &keep)];
    backend.submit(executable, &inputs).expect("all inputs are given");
    let outputs = graph.outputs().iter().map(|(name, _)| wait(backend.read_output(executable, name)));
    let mut results: Vec<Tensor> = outputs.map(|y| y.expect("an output of the graph")).collect();
    for (state, _) in graph.assigns() {
        let Origin::State(name) = &graph.values()[state.index()].origin else { unreachable!("only states") };
        results.push(wait(backend.read_state(name)).expect("a state of the graph"));
    }
    results
}
