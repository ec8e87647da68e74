//! A device under test: a fresh backend per part of a replay, driven without waiting.

use super::fault::Fault;
use crate::device::Target;
use golf_core::backend::{Backend, ExecutableId};
use golf_core::graph::Graph;
use golf_core::plan::{Plan, PlanOptions};
use golf_core::tensor::Tensor;
use std::collections::BTreeMap;

/// A backend with its states.
pub struct Session {
    backend: Box<dyn Backend>,
    plans: PlanOptions,
}

impl Session {
    /// A fresh backend of this device.
    pub fn new(device: Target) -> Result<Self, Fault> {
        Ok(Self { backend: device.open()?, plans: device.plans })
    }

    /// A fresh backend that holds these parameters.
    pub fn with_states(device: Target, states: &BTreeMap<String, Tensor>) -> Result<Self, Fault> {
        let mut session = Self::new(device)?;
        for (name, tensor) in states {
            session.write(name, tensor)?;
        }
        Ok(session)
    }

    /// The backend itself, for the evaluator.
    pub fn backend(&mut self) -> &mut dyn Backend {
        &mut *self.backend
    }

    /// Creates or overwrites a state.
    pub fn write(&mut self, name: &str, tensor: &Tensor) -> Result<(), Fault> {
        Ok(self.backend.write_state(name, tensor)?)
    }

    /// The values of a state.
    pub fn state(&mut self, name: &str) -> Result<Vec<f64>, Fault> {
        Ok(pollster::block_on(self.backend.read_state(name))?.to_f64())
    }

    /// Plans and compiles a graph.
    pub fn compile(&mut self, name: &str, graph: &Graph) -> Result<ExecutableId, Fault> {
        let plan = Plan::new(name, graph, self.plans);
        Ok(pollster::block_on(self.backend.compile(plan))?)
    }

    /// Runs a compiled plan.
    pub fn submit(&mut self, executable: ExecutableId, inputs: &[(&str, &Tensor)]) -> Result<(), Fault> {
        Ok(self.backend.submit(executable, inputs)?)
    }

    /// An output of the last run.
    pub fn output(&mut self, executable: ExecutableId, name: &str) -> Result<Tensor, Fault> {
        Ok(pollster::block_on(self.backend.read_output(executable, name))?)
    }

    /// Runs a graph once and returns its outputs in order.
    pub fn evaluate(&mut self, graph: &Graph, inputs: &[(&str, &Tensor)]) -> Result<Vec<Tensor>, Fault> {
        let executable = self.compile("selftest", graph)?;
        self.submit(executable, inputs)?;
        graph.outputs().iter().map(|(name, _)| self.output(executable, name)).collect()
    }
}
