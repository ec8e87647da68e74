//! An NVIDIA GPU through the CUDA driver.

#![allow(unsafe_code)]

mod modules;

use crate::cublaslt::{Addresses, CublasLt, Product};
use crate::devices::{DeviceError, DeviceInfo, closed, context, info, milliseconds, reason, start};
use crate::driver::Driver;
use crate::footprint::WORKSPACE;
use crate::gemm::Gemm;
use crate::kernel::{Kernel, Param, Storage};
use crate::nvrtc::Nvrtc;
use crate::products::ProductError;
use crate::rows::{self, Row};
use crate::staging::{LONGEST, Staging};
use cudarc::driver::{
    CudaContext, CudaEvent, CudaFunction, CudaGraph, CudaModule, CudaStream, DriverError, result, sys,
};
use golf_core::backend::{BackendError, Room};
use std::collections::HashMap;
use std::ffi::c_void;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};

/// An open GPU: its context, one stream, and the modules loaded so far.
pub struct Device {
    index: usize,
    info: DeviceInfo,
    /// Bytes that were free when it was opened.
    free_at_start: u64,
    context: Arc<CudaContext>,
    stream: Arc<CudaStream>,
    /// Modules by source file and by what activations are in it.
    modules: HashMap<(&'static str, Storage), Arc<CudaModule>>,
    /// The compiler, once something had to be compiled.
    nvrtc: Option<Nvrtc>,
    /// The library of products and its workspace, or why it is not used, once a product was asked for.
    library: Option<Result<Library, ProductError>>,
    staging: Staging,
    halt: Halt,
}

/// A queue of work beside a device's own.
pub(crate) struct Beside(Arc<CudaStream>);

impl Beside {
    /// The driver's name for it.
    pub(crate) fn handle(&self) -> sys::CUstream {
        self.0.cu_stream()
    }

    /// The context that it is in.
    pub(crate) fn context(&self) -> &Arc<CudaContext> {
        self.0.context()
    }

    /// An event behind all work that is queued here: `spare`, or a new one.
    pub(crate) fn event(&self, spare: Option<CudaEvent>) -> Result<CudaEvent, DriverError> {
        let Some(event) = spare else { return self.0.record_event(None) };
        event.record(&self.0).map(|()| event)
    }
}

/// Why nothing is to be read of a device any more: work on it was stopped in the middle. Shared with the thread that does that.
#[derive(Clone, Default)]
pub(crate) struct Halt(Arc<OnceLock<String>>);

impl Halt {
    /// The first reason stays.
    pub(crate) fn set(&self, reason: &str) {
        let _first = self.0.set(reason.to_owned());
    }
}

struct Library {
    cublaslt: CublasLt,
    workspace: Buffer,
}

/// Memory of a device.
#[derive(Clone)]
pub struct Buffer(Rc<Allocation>);

struct Allocation {
    pointer: sys::CUdeviceptr,
    context: Arc<CudaContext>,
    /// Buffers whose addresses it holds.
    _named: Vec<Buffer>,
}

impl Drop for Allocation {
    fn drop(&mut self) {
        // A context that cannot be bound is gone, and its memory with it.
        if self.context.bind_to_thread().is_ok() {
            // SAFETY: the pointer came from `malloc_sync` in this context, and this is its last use. The call waits for
            // work that may still use it. There is nobody to tell of a failure.
            let _ = unsafe { result::free_sync(self.pointer) };
        }
    }
}

impl Buffer {
    /// Where it begins in the device's memory.
    pub(crate) fn address(&self) -> u64 {
        self.0.pointer
    }
}

impl Device {
    /// Opens GPU number `index`.
    pub fn open(index: usize) -> Result<Self, DeviceError> {
        let count = start()?;
        if index >= count {
            return Err(DeviceError::NoSuchDevice { index, count });
        }
        let context = context(index)?;
        let made = info(index).and_then(|info| Ok((info, context.new_stream()?, context.mem_get_info()?)));
        let (info, stream, (free, _)) = made.map_err(|error| closed(index, &error))?;
        let staging = Staging::new(Arc::clone(&context));
        Ok(Self {
            index,
            info,
            free_at_start: free as u64,
            context,
            stream,
            modules: HashMap::new(),
            nvrtc: None,
            library: None,
            staging,
            halt: Halt::default(),
        })
    }

    /// What it is.
    pub fn info(&self) -> &DeviceInfo {
        &self.info
    }

    /// An error of the driver as a backend's: what destroys a context is told from what does not.
    pub(crate) fn failed(&self, error: DriverError) -> BackendError {
        use sys::CUresult as C;
        let (backend, reason) = (self.name(), reason(&error));
        match error.0 {
            C::CUDA_ERROR_ILLEGAL_ADDRESS
            | C::CUDA_ERROR_MISALIGNED_ADDRESS
            | C::CUDA_ERROR_LAUNCH_FAILED
            | C::CUDA_ERROR_LAUNCH_TIMEOUT
            | C::CUDA_ERROR_ASSERT
            | C::CUDA_ERROR_HARDWARE_STACK_ERROR
            | C::CUDA_ERROR_ILLEGAL_INSTRUCTION
            | C::CUDA_ERROR_INVALID_ADDRESS_SPACE
            | C::CUDA_ERROR_INVALID_PC
            | C::CUDA_ERROR_CONTAINED
            | C::CUDA_ERROR_NVLINK_UNCORRECTABLE
            | C::CUDA_ERROR_ECC_UNCORRECTABLE
            | C::CUDA_ERROR_DEVICE_UNAVAILABLE
            | C::CUDA_ERROR_CONTEXT_IS_DESTROYED => BackendError::Lost { backend, reason },
            _ => BackendError::Driver { backend, message: reason },
        }
    }

    /// A second queue.
    pub(crate) fn beside(&self) -> Result<Beside, BackendError> {
        self.context.new_stream().map(Beside).map_err(|error| self.failed(error))
    }

    /// Lets what is queued on `beside` from now on wait for what was queued on this device.
    pub(crate) fn fork(&self, beside: &Beside) -> Result<(), BackendError> {
        beside.0.join(&self.stream).map_err(|error| self.failed(error))
    }

    /// Lets what is queued on this device from now on wait for what was queued on `beside`.
    pub(crate) fn join(&self, beside: &Beside) -> Result<(), BackendError> {
        self.stream.join(&beside.0).map_err(|error| self.failed(error))
    }

    /// What tells that nothing is to be read of it any more.
    pub(crate) fn halt(&self) -> Halt {
        self.halt.clone()
    }

    /// A failure of the link to other devices; what made nobody believe it any more comes first.
    pub(crate) fn link_failed(&self, message: String) -> BackendError {
        let message = self.halt.0.get().cloned().unwrap_or(message);
        BackendError::Driver { backend: self.name(), message }
    }

    pub(crate) fn bind(&self) -> Result<(), BackendError> {
        self.context.bind_to_thread().map_err(|error| self.failed(error))
    }

    /// The library of products, loaded and given its workspace on first use.
    fn library(&mut self) -> &Result<Library, ProductError> {
        if self.library.is_none() {
            self.library = Some(self.load_library());
        }
        self.library.as_ref().expect("it was just set")
    }

    fn load_library(&mut self) -> Result<Library, ProductError> {
        let failed = |error: BackendError| ProductError::Missing { reason: error.to_string() };
        self.bind().map_err(failed)?;
        let cublaslt = CublasLt::load()?;
        let workspace = self.allocate(WORKSPACE / 4, "workspace of cuBLASLt").map_err(failed)?;
        Ok(Library { cublaslt, workspace })
    }

    /// Memory of `words` words, zeroed, that keeps the buffers that it names.
    fn memory(&mut self, words: usize, what: &str, named: Vec<Buffer>) -> Result<Buffer, BackendError> {
        self.bind()?;
        let bytes = 4 * words;
        // SAFETY: the context is bound.
        let pointer = unsafe { result::malloc_sync(bytes) }.map_err(|error| match error.0 {
            sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY => {
                let free = self.context.mem_get_info().map_or(0, |(free, _)| free as u64);
                let (wanted, at_start, total) = (bytes as u64, self.free_at_start, self.info.memory);
                let room = Some(Room { wanted, free, at_start, total });
                BackendError::OutOfMemory { backend: self.name(), what: what.to_owned(), room }
            }
            _ => self.failed(error),
        })?;
        let allocation = Allocation { pointer, context: Arc::clone(&self.context), _named: named };
        let buffer = Buffer(Rc::new(allocation));
        // SAFETY: the allocation has these bytes.
        let zeroed = unsafe { result::memset_d8_async(pointer, 0, bytes, self.stream.cu_stream()) };
        zeroed.map_err(|error| self.failed(error))?;
        Ok(buffer)
    }
}

impl Driver for Device {
    type Buffer = Buffer;
    type Function = CudaFunction;
    type Product = Product;
    type Recording = CudaGraph;
    type Moment = CudaEvent;

    fn name(&self) -> String {
        format!("cuda:{} ({})", self.index, self.info.name)
    }

    fn has_wgmma(&self) -> bool {
        self.info.compute == (9, 0)
    }

    fn allocate(&mut self, words: usize, what: &str) -> Result<Buffer, BackendError> {
        self.memory(words, what, Vec::new())
    }

    fn table(&mut self, rows: &[Row<Buffer>]) -> Result<Buffer, BackendError> {
        let words = rows::table(rows, Buffer::address);
        let named = rows.iter().flat_map(|row| row.pointers.iter().cloned()).collect();
        let table = self.memory(words.len(), "rows of a kernel", named)?;
        self.upload(&words, &table)?;
        Ok(table)
    }

    fn upload(&mut self, words: &[u32], to: &Buffer) -> Result<(), BackendError> {
        self.bind()?;
        let done = if 4 * words.len() <= LONGEST {
            self.staging.upload(words, to.0.pointer, &self.stream)
        } else {
            // SAFETY: callers write no more words than the buffer has; `words` lives until the stream was waited for. Of memory
            // that is not pinned nothing says when the driver reads it.
            let queued = unsafe { result::memcpy_htod_async(to.0.pointer, words, self.stream.cu_stream()) };
            let waited = self.stream.synchronize();
            queued.and(waited)
        };
        done.map_err(|error| self.failed(error))
    }

    fn copy(&mut self, from: &Buffer, to: &Buffer, words: usize) -> Result<(), BackendError> {
        self.bind()?;
        let (from, to) = (from.0.pointer, to.0.pointer);
        // SAFETY: callers copy no more words than both buffers have.
        let done = unsafe { result::memcpy_dtod_async(to, from, 4 * words, self.stream.cu_stream()) };
        done.map_err(|error| self.failed(error))
    }

    fn read(&mut self, from: &Buffer, words: usize) -> Result<Vec<u32>, BackendError> {
        self.bind()?;
        let mut read = vec![0u32; words];
        // SAFETY: callers read no more words than the buffer has; `read` lives until the stream is waited for.
        let copied = unsafe { result::memcpy_dtoh_async(&mut read, from.0.pointer, self.stream.cu_stream()) };
        let waited = self.stream.synchronize();
        if let Some(reason) = self.halt.0.get() {
            return Err(self.link_failed(reason.clone()));
        }
        copied.and(waited).map_err(|error| self.failed(error))?;
        Ok(read)
    }

    fn function(&mut self, kernel: &'static Kernel, storage: Storage) -> Result<CudaFunction, BackendError> {
        let module = self.module(kernel, storage)?;
        module.load_function(kernel.entry).map_err(|error| self.failed(error))
    }

    fn launch(
        &mut self,
        function: &CudaFunction,
        kernel: &'static Kernel,
        blocks: usize,
        buffers: &[Buffer],
        params: &[Param],
    ) -> Result<(), BackendError> {
        self.bind()?;
        let mut pointers: Vec<sys::CUdeviceptr> = buffers.iter().map(|buffer| buffer.0.pointer).collect();
        let mut scalars: Vec<u32> = params.iter().map(|param| param.word()).collect();
        let pointers = pointers.iter_mut().map(|pointer| std::ptr::from_mut(pointer).cast::<c_void>());
        let scalars = scalars.iter_mut().map(|scalar| std::ptr::from_mut(scalar).cast::<c_void>());
        let mut arguments: Vec<*mut c_void> = pointers.chain(scalars).collect();
        let (grid, block) = ((blocks as u32, 1, 1), (kernel.threads as u32, 1, 1));
        // A struct of scalars is one argument: the driver reads all of it from the place of its first word, behind which the
        // others lie, and leaves the rest of the list alone.
        // SAFETY: the arguments are those of the kernel's signature, which `Launch::new` checks and the emulation
        // compares with the source; the driver copies them before the call returns; buffers are live, those that a table
        // names with it, and freeing one waits for the device.
        let launched = unsafe {
            result::launch_kernel(
                function.cu_function(),
                grid,
                block,
                0,
                self.stream.cu_stream(),
                &mut arguments,
            )
        };
        launched.map_err(|error| self.failed(error))
    }

    fn products(&mut self, gemm: &Gemm) -> Result<Vec<Product>, ProductError> {
        let library = self.library().as_ref().map_err(Clone::clone)?;
        library.cublaslt.prepare(gemm)
    }

    fn is_checked(&self) -> bool {
        true
    }

    fn multiply(
        &mut self,
        product: &Product,
        [a, b, onto, y]: [&Buffer; 4],
        offset: usize,
    ) -> Result<(), BackendError> {
        self.bind()?;
        let Some(Ok(Library { cublaslt, workspace })) = &self.library else {
            unreachable!("the product came from the library")
        };
        let offset = (product.result_bytes() * offset) as u64;
        // The library's first operand is our right one.
        let at = Addresses {
            left: b.0.pointer,
            right: a.0.pointer,
            onto: onto.0.pointer + offset,
            result: y.0.pointer + offset,
            workspace: workspace.0.pointer,
        };
        // SAFETY: lowering gives a product buffers with its entries; the workspace was allocated in full.
        let done = unsafe { cublaslt.multiply(product, &at, self.stream.cu_stream()) };
        done.map_err(|error| BackendError::Driver {
            backend: self.name(),
            message: format!("cuBLASLt: {error}"),
        })
    }

    fn record(
        &mut self,
        calls: &mut dyn FnMut(&mut Self) -> Result<(), BackendError>,
    ) -> Result<CudaGraph, BackendError> {
        // Other threads may use other GPUs meanwhile.
        let mode = sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;
        self.stream.begin_capture(mode).map_err(|error| self.failed(error))?;
        let called = calls(self);
        // Ends the capture whether or not all calls were taken.
        let graph = self.stream.end_capture(sys::CUgraphInstantiate_flags_enum(0));
        called?;
        let graph = graph.map_err(|error| self.failed(error))?;
        graph.ok_or_else(|| {
            let message = "the capture of a plan was invalidated".to_owned();
            BackendError::Driver { backend: self.name(), message }
        })
    }

    fn replay(&mut self, graph: &CudaGraph) -> Result<(), BackendError> {
        graph.launch().map_err(|error| self.failed(error))
    }

    fn moment(&mut self) -> Result<CudaEvent, BackendError> {
        let timed = Some(sys::CUevent_flags::CU_EVENT_DEFAULT);
        self.stream.record_event(timed).map_err(|error| self.failed(error))
    }

    fn seconds(&mut self, from: &CudaEvent, to: &CudaEvent) -> Result<f64, BackendError> {
        let waited = from.synchronize().and_then(|()| to.synchronize());
        let elapsed = waited.and_then(|()| milliseconds(from.cu_event(), to.cu_event()));
        elapsed.map(|ms| f64::from(ms) / 1e3).map_err(|error| self.failed(error))
    }
}
