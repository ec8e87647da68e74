//! The plans of `golf-core` on NVIDIA GPUs, through CUDA.
//!
//! | file | what it is |
//! |---|---|
//! | `kernel`, `launch`, `lower` | a CUDA function as data; a launch of one; a step of a plan as launches. No GPU needed |
//! | `kernels/` | one `.cu` and one lowering per op, `shared/` headers, and the one match over all ops |
//! | `gemm` | a product as a library takes it: column-major, in bf16 |
//! | `pending`, `join` | all launches of a plan, and where each binding lies; those of one kernel over many tensors as one |
//! | `rows` | what a kernel over many tensors is told of each |
//! | `exec`, `tables` | a plan's buffers, launches and results on a device; constant tables |
//! | `hopper` | whether Hopper's own products are used: once compared with those of any tensor cores |
//! | `products` | who forms which product: a library, once compared with our own kernel, or that |
//! | `driver` | what a device is: memory, kernels, launches in order |
//! | `devices`, `device`, `cublaslt/`, `nvrtc`, `library`, `staging` | the driver of a real GPU, its product library and its compiler, all found at run time |
//! | `code`, `cache`, `ahead` | what the compiler made: its files and their names, where they lie, all of them made ahead |
//! | `ranks`, `nccl/` | states summed between devices, NVIDIA's library that does it, and a thread that notices where it hangs |
//! | `emulate` | a driver for the host's C++ compiler: results without a GPU, for tests (feature `emulate`) |
//! | `footprint` | memory of a plan, known without a device |
//!
//! Invariant: two runs of a plan on one device give the same bits: no atomics on floats, every sum in a fixed order.
//! Weights stay packed on the device. The host waits for the device only where it reads. A machine without CUDA is a
//! value of type [`DeviceError`], never a panic.

#![deny(unsafe_code)]

mod ahead;
mod cache;
mod code;
mod cublaslt;
mod device;
mod devices;
mod driver;
#[cfg(feature = "emulate")]
mod emulate;
mod exec;
mod footprint;
mod gemm;
mod hopper;
mod join;
mod kernel;
pub mod kernels;
mod launch;
mod library;
mod lower;
mod nccl;
mod nvrtc;
mod pending;
mod products;
mod ranks;
mod rows;
mod staging;
mod tables;

pub use ahead::{AheadError, Code, Filled, Made, compile_ahead};
pub use cache::{KERNELS, folder as cache_folder, folders as code_folders};
pub use code::{CodeError, Unit, units};
pub use cublaslt::version as cublaslt_version;
pub use device::{Buffer, Device};
pub use devices::{DeviceError, DeviceInfo, devices};
pub use driver::Driver;
#[cfg(feature = "emulate")]
pub use emulate::{Compiled, Emulator, EmulatorError, Fidelity, Memory, Order, Recording};
pub use footprint::Footprint;
pub use gemm::{Columns, Gemm, Onto, Stored};
pub use hopper::{HopperError, WGMMA};
pub use kernel::{ELEMENTS, HEADERS, Kernel, PIECE, Param, Source, Storage};
pub use lower::{Binding, Launch, Lowering, Precision, Products, Table};
pub use nccl::{Nccl, nccl_version};
pub use nvrtc::{Compilation, Nvrtc, NvrtcError, Usage, too_new};
pub use products::{ProductError, library_products};
pub use ranks::{DeviceCollective, Link, Move};
pub use rows::Row;

use exec::{Executable, State, States, allocate, words_of};
use golf_core::backend::{
    Backend, BackendError, ExecutableId, Executables, LocalFuture, TraceEntry, check_inputs,
};
use golf_core::plan::Plan;
use golf_core::tensor::{DType, Data, Tensor, TensorType};
use pending::Options;
use products::Chosen;
use tables::Tables;

/// The backend: a device with its states and compiled plans.
pub struct Cuda<D: Driver = Device> {
    driver: D,
    states: States<D::Buffer>,
    executables: Executables<Executable<D>>,
    tables: Tables<D::Buffer>,
    /// Who forms which product in bf16.
    chosen: Chosen<D::Product>,
    /// Whether Hopper's products were compared with others.
    hopper_checked: bool,
    notes: Vec<String>,
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
        Self {
            driver,
            states: States::new(),
            executables: Executables::default(),
            tables: Tables::default(),
            chosen: Chosen::default(),
            hopper_checked: false,
            notes: Vec::new(),
            options: Options::default(),
        }
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

    /// Launches every tensor by itself where one launch would do for many, to find the kernel at fault. Applies to plans
    /// compiled from now on.
    pub fn with_tensors_apart(mut self) -> Self {
        self.options.apart = true;
        self
    }

    /// Whether plans compiled so far use Hopper's products of warpgroups; where a device has them and they are not used, a note
    /// says why.
    pub fn uses_wgmma(&self) -> bool {
        self.options.wgmma
    }

    /// The device.
    pub fn driver(&self) -> &D {
        &self.driver
    }

    /// Bytes of all buffers: states, plans, tables.
    pub fn buffer_bytes(&self) -> u64 {
        let states: u64 = self.states.values().map(|state| state.ty.bytes() as u64).sum();
        let plans: u64 = self.executables.iter().map(|executable| executable.bytes).sum();
        states + plans + self.tables.bytes()
    }

    /// Runs a plan call by call; its steps with the time that each took on the device.
    pub fn trace(
        &mut self,
        executable: ExecutableId,
        inputs: &[(&str, &Tensor)],
    ) -> Result<Vec<TraceEntry>, BackendError> {
        let executable = &self.executables[executable];
        executable.load(&mut self.driver, &check_inputs(&executable.plan, inputs)?)?;
        executable.trace(&mut self.driver)
    }

    /// Runs a plan; after every part of it, `after` is called with the part's number.
    fn run(
        &mut self,
        executable: ExecutableId,
        inputs: &[(&str, &Tensor)],
        after: &mut dyn FnMut(&mut D, usize) -> Result<(), BackendError>,
    ) -> Result<(), BackendError> {
        let Cuda { driver, executables, notes, .. } = self;
        let executable = &mut executables[executable];
        let inputs = check_inputs(&executable.plan, inputs)?;
        executable.load(driver, &inputs)?;
        let refusal = executable.run(driver, after)?;
        let plan = &executable.plan.name;
        notes.extend(refusal.map(|reason| format!("plan `{plan}` is launched call by call: {reason}")));
        Ok(())
    }

    /// Decides once whether Hopper's products are used, when a plan could use them.
    fn check_hopper(&mut self, plan: &Plan) -> Result<(), BackendError> {
        let asked = self.options.precision == Precision::Bf16 && hopper::concerns(plan);
        if self.hopper_checked || !asked || !self.driver.has_wgmma() || !hopper::allowed() {
            return Ok(());
        }
        self.hopper_checked = true;
        match hopper::checked(&mut self.driver, self.options)? {
            Ok(()) => self.options.wgmma = true,
            Err(reason) => self.notes.push(reason.to_string()),
        }
        Ok(())
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
            self.check_hopper(&plan)?;
            let Cuda { driver, states, executables, tables, chosen, notes, options, .. } = self;
            notes.extend(chosen.extend(driver, &plan, *options)?.iter().map(ToString::to_string));
            Ok(executables.push(Executable::new(driver, plan, states, tables, chosen, *options)?))
        })
    }

    fn release(&mut self, executable: ExecutableId) {
        self.executables.remove(executable);
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
        self.run(executable, inputs, &mut |_, _| Ok(()))
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
            Ok(tensor(ty, self.driver.read(buffer, ty.words())?))
        })
    }

    fn notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes)
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
