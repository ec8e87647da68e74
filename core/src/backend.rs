//! What a backend promises: it owns named states, compiles plans over them, and runs them.
//!
//! `compile` and the reads are async because a browser's GPU is; `submit` never waits. Everything above this
//! trait (evaluation, training) is written against `&mut dyn Backend` and runs anywhere.

use crate::plan::{Plan, Step};
use crate::tensor::{Tensor, TensorType};
use std::fmt;
use std::future::Future;
use std::ops::{Index, IndexMut};
use std::pin::Pin;
use thiserror::Error;

/// A future that stays on its thread.
pub type LocalFuture<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// Handle of a compiled plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ExecutableId(pub usize);

/// A backend's compiled plans, by handle.
#[derive(Debug)]
pub struct Executables<E>(Vec<Option<E>>);

impl<E> Default for Executables<E> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<E> Executables<E> {
    /// Keeps a plan. Handles are never given twice.
    pub fn push(&mut self, executable: E) -> ExecutableId {
        self.0.push(Some(executable));
        ExecutableId(self.0.len() - 1)
    }

    /// Gives a plan up.
    pub fn remove(&mut self, id: ExecutableId) -> Option<E> {
        self.0[id.0].take()
    }

    /// Gives all plans up.
    pub fn drain(&mut self) -> impl Iterator<Item = E> + '_ {
        self.0.drain(..).flatten()
    }

    /// The plans that are left.
    pub fn iter(&self) -> impl Iterator<Item = &E> {
        self.0.iter().flatten()
    }
}

const RELEASED: &str = "a plan is not used after its release";

impl<E> Index<ExecutableId> for Executables<E> {
    type Output = E;

    fn index(&self, id: ExecutableId) -> &E {
        self.0[id.0].as_ref().expect(RELEASED)
    }
}

impl<E> IndexMut<ExecutableId> for Executables<E> {
    fn index_mut(&mut self, id: ExecutableId) -> &mut E {
        self.0[id.0].as_mut().expect(RELEASED)
    }
}

/// What a device had when it had too little, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Asked for.
    pub wanted: u64,
    /// Free at that moment.
    pub free: u64,
    /// Free when the device was opened: what this process could have.
    pub at_start: u64,
    /// Of the device.
    pub total: u64,
}

impl fmt::Display for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [wanted, free, at_start, total] =
            [self.wanted, self.free, self.at_start, self.total].map(|bytes| bytes as f64 / 1e6);
        write!(
            f,
            ": wanted {wanted:.1} MB, {free:.1} MB of {total:.1} MB are free ({at_start:.1} MB at the start)"
        )
    }
}

/// Why a backend refused.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum BackendError {
    /// No state of this name exists.
    #[error("no state `{name}` on this backend")]
    UnknownState {
        /// Its name.
        name: String,
    },
    /// A state exists with another type.
    #[error("state `{name}`: expected `{expected}`, got `{got}`")]
    StateType {
        /// Its name.
        name: String,
        /// Type on the backend.
        expected: TensorType,
        /// Type asked for.
        got: TensorType,
    },
    /// An input of the plan was not given.
    #[error("plan `{plan}`: input `{name}` was not given")]
    MissingInput {
        /// Name of the plan.
        plan: String,
        /// Name of the input.
        name: String,
    },
    /// An input has the wrong type.
    #[error("plan `{plan}`: input `{name}`: expected `{expected}`, got `{got}`")]
    InputType {
        /// Name of the plan.
        plan: String,
        /// Name of the input.
        name: String,
        /// Type in the plan.
        expected: TensorType,
        /// Type given.
        got: TensorType,
    },
    /// An integer input holds an index outside the table that it selects from.
    #[error("plan `{plan}`: input `{name}`: index {value} at position {position}: expected 0..{bound}")]
    IndexOutOfRange {
        /// Name of the plan.
        plan: String,
        /// Name of the input.
        name: String,
        /// Position in the input.
        position: usize,
        /// The index.
        value: i32,
        /// Rows of the table.
        bound: usize,
    },
    /// The plan has no output of this name.
    #[error("plan `{plan}` has no output `{name}`")]
    UnknownOutput {
        /// Name of the plan.
        plan: String,
        /// Name of the output.
        name: String,
    },
    /// A buffer is larger than the device can address.
    #[error(
        "`{backend}` is too small: {what}: `{limit}`: needed {needed} bytes, available {available}\nhint: score fewer tokens at once, or run on the CPU"
    )]
    TooLarge {
        /// Name of the backend.
        backend: String,
        /// What the buffer is for.
        what: String,
        /// Name of the limit, as the device's interface spells it.
        limit: &'static str,
        /// Bytes asked for.
        needed: u64,
        /// Bytes that the limit allows.
        available: u64,
    },
    /// The device has no memory left.
    #[error(
        "`{backend}` is out of memory: {what}{}\nhint: take fewer tokens at once, or close what else uses the device",
        room.map_or(String::new(), |room| room.to_string())
    )]
    OutOfMemory {
        /// Name of the backend.
        backend: String,
        /// What the memory was for.
        what: String,
        /// How much there was, where the device says.
        room: Option<Room>,
    },
    /// The driver rejected a kernel.
    #[error("`{backend}` rejected kernel `{kernel}`: {message}")]
    Kernel {
        /// Name of the backend.
        backend: String,
        /// Name of the kernel.
        kernel: String,
        /// What the driver said.
        message: String,
    },
    /// The device is gone, and its states with it.
    #[error(
        "`{backend}` was lost: {reason}\nhint: open it again and resume from the last checkpoint, or the last committed chunk"
    )]
    Lost {
        /// Name of the backend.
        backend: String,
        /// What the driver said.
        reason: String,
    },
    /// The driver reported something else.
    #[error("`{backend}`: {message}")]
    Driver {
        /// Name of the backend.
        backend: String,
        /// What the driver said.
        message: String,
    },
}

/// One executed step of a traced run.
#[derive(Clone, Debug, PartialEq)]
pub struct TraceEntry {
    /// Where in the model the step stands.
    pub label: String,
    /// Name of the op.
    pub op: &'static str,
    /// Time in seconds.
    pub seconds: f64,
    /// Floating-point operations by the op's own count; 0 where negligible.
    pub flops: u64,
    /// Bytes of operands and results.
    pub bytes: u64,
    /// The earlier step that its work was timed with, where a device did that of both in one launch.
    pub timed_with: Option<usize>,
}

impl TraceEntry {
    /// The entry of `step`.
    pub fn new(step: &Step, seconds: f64) -> Self {
        let (label, op) = (step.label.clone(), step.op.def().name());
        Self { label, op, seconds, flops: step.flops(), bytes: step.bytes(), timed_with: None }
    }
}

/// A device with its states and compiled plans.
pub trait Backend {
    /// Name for messages and receipts, such as `cpu` or `reference`.
    fn name(&self) -> String;

    /// Compiles a plan, allocating (as zeros) states that do not exist yet.
    fn compile(&mut self, plan: Plan) -> LocalFuture<'_, Result<ExecutableId, BackendError>>;

    /// Gives back the memory of a compiled plan, whose handle is void from now on; its states stay.
    fn release(&mut self, executable: ExecutableId);

    /// Creates or overwrites a state.
    fn write_state(&mut self, name: &str, tensor: &Tensor) -> Result<(), BackendError>;

    /// Reads a state back.
    fn read_state<'a>(&'a mut self, name: &'a str) -> LocalFuture<'a, Result<Tensor, BackendError>>;

    /// Runs a plan with these inputs.
    fn submit(&mut self, executable: ExecutableId, inputs: &[(&str, &Tensor)]) -> Result<(), BackendError>;

    /// Reads an output of the plan's last run.
    fn read_output<'a>(
        &'a mut self,
        executable: ExecutableId,
        name: &'a str,
    ) -> LocalFuture<'a, Result<Tensor, BackendError>>;

    /// What there is to tell about the plans so far and has not been told yet, such as a library that is not used.
    fn notes(&mut self) -> Vec<String> {
        Vec::new()
    }
}

/// Finds and checks the inputs of a plan: present, of the right type, indices inside the tables that they select from.
pub fn check_inputs<'a>(plan: &Plan, inputs: &[(&str, &'a Tensor)]) -> Result<Vec<&'a Tensor>, BackendError> {
    let mut found = Vec::with_capacity(plan.inputs.len());
    for port in &plan.inputs {
        let (plan_name, name) = (plan.name.clone(), port.name.clone());
        let Some((_, tensor)) = inputs.iter().find(|(n, _)| *n == port.name) else {
            return Err(BackendError::MissingInput { plan: plan_name, name });
        };
        if *tensor.ty() != port.operand.ty {
            let (expected, got) = (port.operand.ty.clone(), tensor.ty().clone());
            return Err(BackendError::InputType { plan: plan_name, name, expected, got });
        }
        if let Some(bound) = index_bound(plan, port.operand.slot) {
            let outside = |(_, id): &(usize, &i32)| **id < 0 || **id as usize >= bound;
            if let Some((position, &value)) = tensor.i32s().iter().enumerate().find(outside) {
                return Err(BackendError::IndexOutOfRange { plan: plan_name, name, position, value, bound });
            }
        }
        found.push(*tensor);
    }
    Ok(found)
}

/// Rows of the smallest table that the integers in input slot `slot` select from, or positions of the tightest window
/// that they start in.
fn index_bound(plan: &Plan, slot: usize) -> Option<usize> {
    use crate::ops::Op;
    let bounds = plan.steps.iter().filter_map(|step| {
        let reads = |i: usize| step.inputs[i].slot == slot;
        let rows = |i: usize| step.inputs[i].ty.shape[0];
        // Where `new` tokens may start in a window.
        let starts = |window: usize, new: usize| Some(window - new + 1);
        match &step.op {
            Op::Embed(_) if reads(0) => Some(step.inputs[1].ty.shape[0]),
            Op::EmbedGrad(op) if reads(0) => Some(op.rows),
            Op::HeadCrossEntropy(_) | Op::HeadCrossEntropyGrad(_) if reads(2) => {
                Some(step.inputs[1].ty.shape[0])
            }
            Op::CacheWrite(_) if reads(2) => starts(rows(0), rows(1)),
            Op::QkNormRopeAt(op) if reads(1) => starts(op.window, rows(0)),
            Op::AttentionCached(_) if reads(3) => starts(rows(1), rows(0)),
            Op::SmearGateCached(_) if reads(3) => starts(rows(2), rows(0)),
            // Hashes take any token and any position, but no negative ones.
            Op::HashBucketAt(_) if reads(0) || reads(1) || reads(2) => Some(i32::MAX as usize),
            _ => None,
        }
    });
    bounds.min()
}
