//! The plans of `golf-core` on NVIDIA GPUs, through CUDA.
//!
//! | file | what it is |
//! |---|---|
//! | `kernel`, `lower` | a CUDA function as data; a step of a plan as launches of functions. No GPU needed |
//! | `kernels/` | one `.cu` and one lowering per op, `shared/` headers, and the one match over all ops |
//! | `exec`, `tables` | a plan's buffers, launches and results on a device |
//! | `driver` | what a device is: memory, kernels, launches in order |
//! | `device`, `nvrtc`, `cache` | the driver of a real GPU, found at run time; its compiler, and what that made before |
//! | `emulate` | a driver for the host's C++ compiler: results without a GPU, for tests (feature `emulate`) |
//! | `footprint` | memory of a plan, known without a device |
//!
//! Invariant: two runs of a plan on one device give the same bits: no atomics on floats, every sum in a fixed order.
//! Weights stay packed on the device. The host waits for the device only where it reads. A machine without CUDA is a
//! value of type [`DeviceError`], never a panic.

#![deny(unsafe_code)]

mod cache;
mod device;
mod driver;
#[cfg(feature = "emulate")]
mod emulate;
mod exec;
mod footprint;
mod kernel;
pub mod kernels;
mod lower;
mod nvrtc;
mod tables;

pub use device::{Buffer, Device, DeviceError, DeviceInfo, devices};
pub use driver::Driver;
#[cfg(feature = "emulate")]
pub use emulate::{Compiled, Emulator, EmulatorError, Memory, Order};
pub use footprint::Footprint;
pub use kernel::{ELEMENTS, HEADERS, Kernel, Param, Source};
pub use lower::{Binding, Launch, Lowering, Precision, Table};
pub use nvrtc::{Compilation, Nvrtc, NvrtcError};

use exec::{Executable, Options, State, States, allocate, words_of};
use golf_core::backend::{Backend, BackendError, ExecutableId, LocalFuture, check_inputs};
use golf_core::plan::Plan;
use golf_core::tensor::{DType, Data, Tensor, TensorType};
use tables::Tables;

/// The backend: a device with its states and compiled plans.
pub struct Cuda<D: Driver = Device> {
    driver: D,
    states: States<D::Buffer>,
    executables: Vec<Executable<D>>,
    tables: Tables<D::Buffer>,
    options: Options,
}

impl Cuda {
    /// Opens GPU number `index` as the driver counts them.
    pub fn open(index: usize) -> Result<Self, DeviceError> {
        Ok(Self::over(Device::open(index)?))
    }
}

impl<D: Driver> Cuda<D> {
    /// The backend over a driver.
    pub fn over(driver: D) -> Self {
        let (states, executables, tables) = (States::new(), Vec::new(), Tables::default());
        Self { driver, states, executables, tables, options: Options::default() }
    }

    /// Fills results with NaN before every step and dead slots with NaN after, so that a kernel that leaves a result
    /// undefined, or a plan that reads a dead value, shows. Applies to plans compiled from now on.
    pub fn with_poison(mut self) -> Self {
        self.options.poison = true;
        self
    }

    /// Forms products in this precision, f32 unless said. Applies to plans compiled from now on.
    pub fn with_precision(mut self, precision: Precision) -> Self {
        self.options.precision = precision;
        self
    }

    /// Bytes of all buffers: states, plans, tables.
    pub fn buffer_bytes(&self) -> u64 {
        let states: u64 = self.states.values().map(|state| state.ty.bytes() as u64).sum();
        let plans: u64 = self.executables.iter().map(|executable| executable.bytes).sum();
        states + plans + self.tables.bytes()
    }

    /// The state `name`, made as zeros where there is none.
    fn state(&mut self, name: &str, ty: &TensorType) -> Result<&State<D::Buffer>, BackendError> {
        if !self.states.contains_key(name) {
            let buffer = allocate(&mut self.driver, ty.words(), &format!("state `{name}`"))?;
            self.states.insert(name.to_owned(), State { ty: ty.clone(), buffer });
        }
        let state = &self.states[name];
        if state.ty == *ty {
            return Ok(state);
        }
        let (name, expected, got) = (name.to_owned(), state.ty.clone(), ty.clone());
        Err(BackendError::StateType { name, expected, got })
    }
}

impl<D: Driver> Backend for Cuda<D> {
    fn name(&self) -> String {
        self.driver.name()
    }

    fn compile(&mut self, plan: Plan) -> LocalFuture<'_, Result<ExecutableId, BackendError>> {
        Box::pin(async move {
            for port in &plan.states {
                self.state(&port.name, &port.operand.ty)?;
            }
            let Cuda { driver, states, executables, tables, options } = self;
            executables.push(Executable::new(driver, plan, states, tables, *options)?);
            Ok(ExecutableId(executables.len() - 1))
        })
    }

    fn write_state(&mut self, name: &str, tensor: &Tensor) -> Result<(), BackendError> {
        let buffer = self.state(name, tensor.ty())?.buffer.clone();
        self.driver.upload(&words_of(tensor), &buffer)
    }

    fn read_state<'a>(&'a mut self, name: &'a str) -> LocalFuture<'a, Result<Tensor, BackendError>> {
        Box::pin(async move {
            let Cuda { driver, states, .. } = self;
            let state =
                states.get(name).ok_or_else(|| BackendError::UnknownState { name: name.to_owned() })?;
            Ok(tensor(&state.ty, driver.read(&state.buffer, state.ty.words())?))
        })
    }

    fn submit(&mut self, executable: ExecutableId, inputs: &[(&str, &Tensor)]) -> Result<(), BackendError> {
        let executable = &self.executables[executable.0];
        let inputs = check_inputs(&executable.plan, inputs)?;
        executable.load(&mut self.driver, &inputs)?;
        executable.run(&mut self.driver)
    }

    fn read_output<'a>(
        &'a mut self,
        executable: ExecutableId,
        name: &'a str,
    ) -> LocalFuture<'a, Result<Tensor, BackendError>> {
        Box::pin(async move {
            let executable = &self.executables[executable.0];
            let plan = &executable.plan.name;
            let unknown = || BackendError::UnknownOutput { plan: plan.clone(), name: name.to_owned() };
            let (buffer, ty) = executable.output(name).ok_or_else(unknown)?;
            Ok(tensor(ty, self.driver.read(buffer, ty.words())?))
        })
    }
}

/// Words of the device as a host tensor.
fn tensor(ty: &TensorType, words: Vec<u32>) -> Tensor {
    let data = match ty.dtype {
        DType::F32 => Data::F32(bytemuck::cast_vec(words)),
        DType::I32 => Data::I32(bytemuck::cast_vec(words)),
        DType::Q4 | DType::Q5 | DType::Q6 | DType::Q8 => Data::Packed(words),
    };
    Tensor::new(ty.clone(), data)
}
