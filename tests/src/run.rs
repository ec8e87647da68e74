//! Runs graphs on backends, waiting for what a backend does asynchronously.

use crate::cases::Case;
use crate::draw::Draw;
use crate::models::{VOCAB, random_weights};
use golf_core::backend::{Backend, BackendError};
use golf_core::graph::{Graph, Origin};
use golf_core::model::ModelConfig;
use golf_core::model::gpt::Window;
use golf_core::plan::{Plan, PlanOptions};
use golf_core::tensor::Tensor;
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
