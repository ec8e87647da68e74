//! For the tests of single kernels beyond the conformance suite: one op on the first adapter.

use crate::{DeviceError, Wgpu};
use golf_core::backend::Backend;
use golf_core::graph::Graph;
use golf_core::ops::Op;
use golf_core::plan::{Plan, PlanOptions};
use golf_core::tensor::Tensor;
use pollster::block_on;

/// The first adapter, its buffers poisoned; `None`, said aloud, where there is none.
pub(super) fn open(test: &str) -> Option<Wgpu> {
    match block_on(Wgpu::open(0)) {
        Ok(gpu) => Some(gpu.with_poison()),
        Err(reason @ DeviceError::NoAdapter) => {
            println!("SKIPPED {test}: {reason}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// The first result of `op`.
pub(super) fn run(gpu: &mut Wgpu, op: impl Into<Op>, inputs: &[&Tensor]) -> Tensor {
    let mut graph = Graph::new();
    let names: Vec<String> = (0..inputs.len()).map(|i| format!("x{i}")).collect();
    let operands: Vec<_> =
        names.iter().zip(inputs).map(|(name, x)| graph.input(name, x.ty().clone())).collect();
    let result = graph.push(op, &operands).expect("the operands fit the op")[0];
    graph.output("y", result);
    let executable =
        block_on(gpu.compile(Plan::new("one op", &graph, PlanOptions::default()))).expect("it compiles");
    let named: Vec<_> = names.iter().map(String::as_str).zip(inputs.iter().copied()).collect();
    gpu.submit(executable, &named).expect("it runs");
    block_on(gpu.read_output(executable, "y")).expect("it is an output")
}
