//! The plans of `golf-core` on any GPU: Vulkan, Metal, DirectX 12, and WebGPU in a browser, through wgpu and WGSL.
//!
//! | file | what it is |
//! |---|---|
//! | `device` | adapters, and one of them opened with WebGPU's default limits |
//! | `kernel`, `lower` | a shader as data; a step of a plan as launches of shaders. No GPU needed |
//! | `kernels/` | one `.wgsl` and one lowering per op, and the one match over all ops |
//! | `exec`, `pipelines`, `tables`, `read` | a plan's buffers, dispatches and results on a device |
//! | `footprint`, `trace`, `peak` | memory of a plan, known without a device; time of its steps, and the most that a device can do, measured on one |
//!
//! Invariant: two runs of a plan on one adapter give the same bits: no atomics on floats, every sum in a fixed order.
//! Weights stay packed on the device. The host waits for the device only where it reads.

#![forbid(unsafe_code)]

mod device;
mod exec;
mod footprint;
mod kernel;
pub mod kernels;
mod lower;
mod peak;
mod pipelines;
mod read;
mod tables;
mod trace;

pub use device::{Adapter, DeviceError, adapters};
pub use footprint::Footprint;
pub use kernel::{Kernel, MAX_STORAGE, PARAM_WORDS, Param};
pub use lower::{Binding, Capabilities, Launch, Lowering, Table};

use device::Gpu;
use exec::{Executable, States, allocate, words_of};
use golf_core::backend::{
    Backend, BackendError, ExecutableId, Executables, LocalFuture, TraceEntry, check_inputs,
};
use golf_core::plan::Plan;
use golf_core::tensor::{DType, Data, Tensor, TensorType};
use pipelines::Pipelines;
use read::read_words;
use tables::Tables;
use trace::run_traced;

/// A state and its buffer.
struct State {
    ty: TensorType,
    buffer: wgpu::Buffer,
}

/// The backend: a device with its states and compiled plans.
pub struct Wgpu {
    gpu: Gpu,
    states: States,
    executables: Executables<Executable>,
    pipelines: Pipelines,
    tables: Tables,
    poison: bool,
}

impl Wgpu {
    /// Opens adapter number `index` of [`adapters`]; 0 is the most capable one.
    pub async fn open(index: usize) -> Result<Wgpu, DeviceError> {
        Ok(Wgpu {
            gpu: Gpu::open(index).await?,
            states: States::new(),
            executables: Executables::default(),
            pipelines: Pipelines::default(),
            tables: Tables::default(),
            poison: false,
        })
    }

    /// Fills results with NaN before every step and dead slots with NaN after, so that a kernel that leaves a result
    /// undefined, or a plan that reads a dead value, shows. Applies to plans compiled from now on.
    pub fn with_poison(mut self) -> Self {
        self.poison = true;
        self
    }

    /// Bytes of all buffers: states, plans, tables.
    pub fn buffer_bytes(&self) -> u64 {
        let states: u64 = self.states.values().map(|state| state.buffer.size()).sum();
        let plans: u64 = self.executables.iter().map(|executable| executable.bytes).sum();
        states + plans + self.tables.bytes()
    }

    /// Forgets all states and plans; handles of plans are void from now on. What costs time to make again, the device,
    /// its pipelines and tables, stays. Memory is given back now and not when a browser collects its garbage.
    pub fn clear(&mut self) {
        self.executables.drain().for_each(Executable::destroy);
        std::mem::take(&mut self.states).into_values().for_each(|state| state.buffer.destroy());
    }

    /// Runs a plan with these inputs like [`Backend::submit`] and returns its steps with the device's own times; `None`
    /// where the device has no time stamps.
    pub async fn trace(
        &mut self,
        executable: ExecutableId,
        inputs: &[(&str, &Tensor)],
    ) -> Result<Option<Vec<TraceEntry>>, BackendError> {
        self.gpu.check()?;
        let executable = &self.executables[executable];
        let inputs = check_inputs(&executable.plan, inputs)?;
        executable.load(&self.gpu, &inputs);
        run_traced(&self.gpu, executable).await
    }

    /// What can destroy the device while an evaluation borrows it, to test what happens then.
    pub fn switch(&self) -> Switch {
        Switch(self.gpu.device.clone())
    }

    async fn state(&mut self, name: &str, ty: &TensorType) -> Result<(), BackendError> {
        match self.states.get(name) {
            Some(state) if state.ty == *ty => Ok(()),
            Some(state) => {
                let (name, expected, got) = (name.to_owned(), state.ty.clone(), ty.clone());
                Err(BackendError::StateType { name, expected, got })
            }
            None => {
                let buffer = allocate(&self.gpu, ty.words(), &format!("state `{name}`")).await?;
                self.states.insert(name.to_owned(), State { ty: ty.clone(), buffer });
                Ok(())
            }
        }
    }
}

impl Backend for Wgpu {
    fn name(&self) -> String {
        self.gpu.backend_name()
    }

    fn compile(&mut self, plan: Plan) -> LocalFuture<'_, Result<ExecutableId, BackendError>> {
        Box::pin(async move {
            self.gpu.check()?;
            for port in &plan.states {
                self.state(&port.name, &port.operand.ty).await?;
            }
            let Wgpu { gpu, states, executables, pipelines, tables, poison } = self;
            Ok(executables.push(Executable::new(gpu, plan, states, pipelines, tables, *poison).await?))
        })
    }

    fn release(&mut self, executable: ExecutableId) {
        self.executables.remove(executable).into_iter().for_each(Executable::destroy);
    }

    fn write_state(&mut self, name: &str, tensor: &Tensor) -> Result<(), BackendError> {
        self.gpu.check()?;
        if !self.states.contains_key(name) {
            // A buffer that does not fit is reported by the next call: errors of a device arrive late.
            let buffer = exec::allocate_now(&self.gpu, tensor.ty().words(), &format!("state `{name}`"))?;
            self.states.insert(name.to_owned(), State { ty: tensor.ty().clone(), buffer });
        }
        let state = &self.states[name];
        if state.ty != *tensor.ty() {
            let (expected, got) = (state.ty.clone(), tensor.ty().clone());
            return Err(BackendError::StateType { name: name.to_owned(), expected, got });
        }
        self.gpu.queue.write_buffer(&state.buffer, 0, bytemuck::cast_slice(&words_of(tensor)));
        Ok(())
    }

    fn read_state<'a>(&'a mut self, name: &'a str) -> LocalFuture<'a, Result<Tensor, BackendError>> {
        Box::pin(async move {
            let state =
                self.states.get(name).ok_or_else(|| BackendError::UnknownState { name: name.to_owned() })?;
            Ok(tensor(&state.ty, read_words(&self.gpu, &state.buffer, state.ty.words()).await?))
        })
    }

    fn submit(&mut self, executable: ExecutableId, inputs: &[(&str, &Tensor)]) -> Result<(), BackendError> {
        self.gpu.check()?;
        let executable = &self.executables[executable];
        let inputs = check_inputs(&executable.plan, inputs)?;
        executable.load(&self.gpu, &inputs);
        executable.run(&self.gpu);
        self.gpu.check()
    }

    fn read_output<'a>(
        &'a mut self,
        executable: ExecutableId,
        name: &'a str,
    ) -> LocalFuture<'a, Result<Tensor, BackendError>> {
        Box::pin(async move {
            let executable = &self.executables[executable];
            let plan = &executable.plan.name;
            let unknown = || BackendError::UnknownOutput { plan: plan.clone(), name: name.to_owned() };
            let (buffer, ty) = executable.output(name).ok_or_else(unknown)?;
            Ok(tensor(ty, read_words(&self.gpu, buffer, ty.words()).await?))
        })
    }
}

/// Destroys a device, as a driver reset or an unplugged GPU would.
pub struct Switch(wgpu::Device);

impl Switch {
    /// Every later call of the backend fails with [`BackendError::Lost`].
    pub fn destroy(&self) {
        self.0.destroy();
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
