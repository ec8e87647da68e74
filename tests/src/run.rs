//! Runs graphs on backends, waiting for what a backend does asynchronously.

use crate::cases::Case;
use golf_core::backend::{Backend, BackendError};
use golf_core::graph::Graph;
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
