//! The fast CPU backend: f32, SIMD, all cores; plain single-threaded SIMD on wasm32.
//!
//! Invariant: the same inputs give the same bits for any number of threads. Work is cut into pieces of a size fixed by
//! the shapes alone, every piece writes memory of its own, and sums over pieces are formed in the order of the pieces.
//! Nothing but small per-thread scratch is allocated during a run. It is not the oracle: that is [`crate::reference`].

mod buffer;
mod exec;
mod kernels;
mod launch;
mod packed;
mod product;
mod rope;
mod rows;
mod select;
mod simd;
mod threads;

use crate::backend::{
    Backend, BackendError, ExecutableId, Executables, LocalFuture, TraceEntry, check_inputs,
};
use crate::plan::Plan;
use crate::tensor::{Tensor, TensorType};
use buffer::Buffer;
use exec::{Executable, Workspace};
use std::collections::BTreeMap;
use std::future::ready;
use threads::Threads;

/// A state and its type.
struct State {
    ty: TensorType,
    buffer: Buffer,
}

impl State {
    fn zeros(ty: &TensorType) -> Self {
        Self { ty: ty.clone(), buffer: Buffer::zeros(ty.words()) }
    }
}

/// The backend: states, compiled plans, a pool of threads.
pub struct Cpu {
    states: BTreeMap<String, State>,
    executables: Executables<Executable>,
    workspace: Workspace,
}

impl Default for Cpu {
    fn default() -> Self {
        Self::new()
    }
}

impl Cpu {
    /// A backend on every core, through the process-wide thread pool.
    pub fn new() -> Self {
        Self::on(Threads::shared())
    }

    /// A backend with a pool of `n` threads of its own; on wasm32 always one.
    pub fn with_threads(n: usize) -> Self {
        Self::on(Threads::own(n))
    }

    fn on(threads: Threads) -> Self {
        Self {
            states: BTreeMap::new(),
            executables: Executables::default(),
            workspace: Workspace::new(threads),
        }
    }

    /// The vector instructions that kernels use on this machine, such as `AVX-512`.
    pub fn instructions() -> &'static str {
        simd::instructions()
    }

    /// Fills results with NaN before every kernel and dead slots with NaN after, so that a kernel that leaves a result
    /// undefined, or a plan that reads a dead value, shows.
    pub fn with_poison(mut self) -> Self {
        self.workspace.poison = true;
        self
    }

    /// Bytes of all buffers: states, plans, scratch.
    pub fn buffer_bytes(&self) -> u64 {
        let states: u64 = self.states.values().map(|state| state.buffer.bytes()).sum();
        states + self.executables.iter().map(Executable::bytes).sum::<u64>() + self.workspace.bytes()
    }

    /// Times every step; see [`Cpu::take_trace`].
    pub fn with_trace(mut self) -> Self {
        self.workspace.trace = Some(Vec::new());
        self
    }

    /// The steps that ran since the last call, in order; empty unless tracing is on.
    pub fn take_trace(&mut self) -> Vec<TraceEntry> {
        self.workspace.trace.as_mut().map(std::mem::take).unwrap_or_default()
    }
}

impl Backend for Cpu {
    fn name(&self) -> String {
        "cpu".to_owned()
    }

    fn compile(&mut self, plan: Plan) -> LocalFuture<'_, Result<ExecutableId, BackendError>> {
        for port in &plan.states {
            let ty = &port.operand.ty;
            let state = self.states.entry(port.name.clone()).or_insert_with(|| State::zeros(ty));
            if state.ty != *ty {
                let (name, expected, got) = (port.name.clone(), state.ty.clone(), ty.clone());
                return Box::pin(ready(Err(BackendError::StateType { name, expected, got })));
            }
        }
        self.workspace.prepare(&plan);
        Box::pin(ready(Ok(self.executables.push(Executable::new(plan)))))
    }

    fn release(&mut self, executable: ExecutableId) {
        self.executables.remove(executable);
    }

    fn write_state(&mut self, name: &str, tensor: &Tensor) -> Result<(), BackendError> {
        let ty = tensor.ty();
        if let Some(state) = self.states.get(name).filter(|state| state.ty != *ty) {
            let (expected, got) = (state.ty.clone(), ty.clone());
            return Err(BackendError::StateType { name: name.to_owned(), expected, got });
        }
        self.states.entry(name.to_owned()).or_insert_with(|| State::zeros(ty)).buffer.write(tensor);
        Ok(())
    }

    fn read_state<'a>(&'a mut self, name: &'a str) -> LocalFuture<'a, Result<Tensor, BackendError>> {
        let found = self.states.get(name).map(|state| state.buffer.read(&state.ty));
        Box::pin(ready(found.ok_or_else(|| BackendError::UnknownState { name: name.to_owned() })))
    }

    fn submit(&mut self, executable: ExecutableId, inputs: &[(&str, &Tensor)]) -> Result<(), BackendError> {
        let executable = &mut self.executables[executable];
        let inputs = check_inputs(executable.plan(), inputs)?;
        executable.load(&inputs);
        executable.exchange_states(&mut self.states);
        executable.run(&mut self.workspace);
        executable.save_outputs();
        executable.exchange_states(&mut self.states);
        Ok(())
    }

    fn read_output<'a>(
        &'a mut self,
        executable: ExecutableId,
        name: &'a str,
    ) -> LocalFuture<'a, Result<Tensor, BackendError>> {
        let executable = &self.executables[executable];
        let plan = executable.plan();
        let unknown = || BackendError::UnknownOutput { plan: plan.name.clone(), name: name.to_owned() };
        Box::pin(ready(executable.output(name).ok_or_else(unknown)))
    }
}
