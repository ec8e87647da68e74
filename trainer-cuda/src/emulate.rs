//! The kernels on the host's C++ compiler: every index, barrier and sum of the `.cu` files themselves, checked where there
//! is no GPU.
//!
//! Invariant: nothing here changes a kernel. What it cannot show is speed, a race that no order of threads shows, and
//! the compiler of a GPU. Buffers end in guard words, so a write beyond the end is an error of the launch.

#![allow(unsafe_code)]

mod compile;
mod memory;

use crate::driver::Driver;
use crate::gemm::{Gemm, interpret};
use crate::kernel::{Kernel, Param, Storage};
use crate::products::ProductError;
use crate::rows::{self, Row};
use golf_core::backend::{BackendError, Room};
use golf_core::ops::LinearForm;
use libloading::Library;
use std::cell::Cell;
use std::collections::HashMap;
use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::process::Command;
use std::rc::Rc;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;
use thiserror::Error;

pub use memory::Memory;
use memory::Share;

/// Why there is no emulation on this machine.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EmulatorError {
    /// Fibers and the section of shared memory are those of Linux with glibc.
    #[error("CUDA is emulated on Linux with glibc only")]
    Unsupported,
    /// No compiler.
    #[error("no C++ compiler: tried {tried}\nhint: install g++ or clang++, or name one in `CXX`")]
    NoCompiler {
        /// Commands that were tried.
        tried: String,
    },
}

/// In which order the threads of a block, and blocks, run between waits. Results that depend on it are races.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// First to last.
    Forwards,
    /// Last to first.
    Backwards,
}

/// The emulated device.
pub struct Emulator {
    compiler: String,
    /// What the compiler says that it is: another one makes other code.
    version: String,
    order: Order,
    libraries: HashMap<(&'static str, Storage), Rc<Library>>,
    products: Option<Fidelity>,
    /// What stands in for Hopper's products of warpgroups; none if `None`.
    wgmma: Option<Fidelity>,
    /// Calls of a recording that is being made.
    recording: Option<Vec<Call>>,
    replays: usize,
    /// Bytes of the device, and how many of them are in use.
    memory: u64,
    used: Rc<Cell<u64>>,
}

/// How far what stands in for a library, or for a GPU's instructions, is to be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fidelity {
    /// It forms products as described, and is believed.
    Right,
    /// The same, and it is compared with our own.
    Checked,
    /// It is compared, and takes every operand as it lies.
    Wrong,
    /// The device is lost, as after an instruction that a GPU cannot do.
    Fatal,
}

/// A call that was recorded.
enum Call {
    Copy {
        from: Memory,
        to: Memory,
        words: usize,
    },
    Launch {
        function: Compiled,
        kernel: &'static Kernel,
        blocks: usize,
        buffers: Vec<Memory>,
        params: Vec<Param>,
    },
    Multiply {
        gemm: Gemm,
        buffers: [Memory; 4],
        offset: usize,
    },
}

/// Calls to be made again.
pub struct Recording(Vec<Call>);

/// A kernel of a loaded library.
#[derive(Clone)]
pub struct Compiled {
    launch: unsafe extern "C" fn(c_uint, c_uint, c_int, *mut *mut c_void) -> *const c_char,
    /// The code lives as long as its library.
    _library: Rc<Library>,
}

/// Shared memory and the scheduler are static in a library, and libraries are shared by all emulators of a process.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

impl Emulator {
    /// Finds a compiler: `CXX`, else `c++`, `g++` or `clang++`.
    pub fn new(order: Order) -> Result<Self, EmulatorError> {
        if cfg!(not(all(target_os = "linux", target_env = "gnu"))) {
            return Err(EmulatorError::Unsupported);
        }
        let named = std::env::var("CXX").ok();
        let candidates: Vec<&str> = named.as_deref().into_iter().chain(["c++", "g++", "clang++"]).collect();
        for compiler in &candidates {
            if let Ok(output) = Command::new(compiler).arg("--version").output() {
                let version = String::from_utf8_lossy(&output.stdout).into_owned();
                let compiler = (*compiler).to_owned();
                return Ok(Self {
                    compiler,
                    version,
                    order,
                    libraries: HashMap::new(),
                    products: None,
                    wgmma: None,
                    recording: None,
                    replays: 0,
                    memory: u64::MAX,
                    used: Rc::default(),
                });
            }
        }
        let tried: Vec<String> = candidates.iter().map(|name| format!("`{name}`")).collect();
        Err(EmulatorError::NoCompiler { tried: tried.join(", ") })
    }

    /// With a library of products, which there is none of unless said.
    pub fn with_library(self, fidelity: Fidelity) -> Self {
        Self { products: Some(fidelity), ..self }
    }

    /// With Hopper's products of warpgroups, which it has none of unless said. They are compared with others in any case.
    pub fn with_wgmma(self, fidelity: Fidelity) -> Self {
        Self { wgmma: Some(fidelity), ..self }
    }

    /// What the compiler is told beside the form of activations.
    fn define(&self) -> Option<&'static str> {
        (self.wgmma == Some(Fidelity::Wrong)).then_some("-DTILES_LIE_OTHERWISE")
    }

    /// With so many bytes of memory; unlimited unless said.
    pub fn with_memory(self, bytes: u64) -> Self {
        Self { memory: bytes, ..self }
    }

    /// How often recordings were played.
    pub fn replays(&self) -> usize {
        self.replays
    }

    /// Refuses what a device cannot do while it records.
    fn outside_recordings(&self, what: &str) -> Result<(), BackendError> {
        if self.recording.is_none() {
            return Ok(());
        }
        let message = format!("{what} in a recording");
        Err(BackendError::Driver { backend: self.name(), message })
    }

    fn failed(&self, kernel: &Kernel, message: String) -> BackendError {
        BackendError::Kernel { backend: self.name(), kernel: kernel.entry.to_owned(), message }
    }

    /// [`Driver::function`] for a kernel of any file, which holds `kernels`.
    pub fn function_in(
        &mut self,
        kernel: &Kernel,
        storage: Storage,
        kernels: &[&Kernel],
    ) -> Result<Compiled, BackendError> {
        let library = self.library(kernel, storage, kernels)?;
        let missing = |error: libloading::Error| self.failed(kernel, error.to_string());
        let name = format!("golf_signature_{}", kernel.entry);
        // SAFETY: `GOLF_ENTRY` in `emulate.h` defines the function with this type.
        let signature = unsafe { library.get::<unsafe extern "C" fn() -> *const c_char>(name.as_bytes()) };
        // SAFETY: it takes nothing and returns a static string that ends in zero.
        let signature = unsafe { CStr::from_ptr(signature.map_err(missing)?()) };
        let (expected, got) = (as_declared(kernel, storage), signature.to_string_lossy());
        if expected != got {
            return Err(self.failed(kernel, format!("signature: expected `{expected}`, got `{got}`")));
        }
        let name = format!("golf_launch_{}", kernel.entry);
        // SAFETY: as above.
        let launch = *unsafe { library.get(name.as_bytes()) }.map_err(missing)?;
        Ok(Compiled { launch, _library: library })
    }
}

/// The letters of a kernel as its parameters' types tell them: activations are told from floats only where they are none.
fn as_declared(kernel: &Kernel, storage: Storage) -> String {
    let letter = |letter: char| match (letter, storage) {
        ('h', _) | ('a', Storage::Full) => 'r',
        ('H', _) | ('o', Storage::Full) => 'w',
        (letter, _) => letter,
    };
    let of = |letters: &str| letters.chars().map(letter).collect::<String>();
    let Some(row) = kernel.row() else { return of(kernel.signature) };
    // The table comes first, and the number of rows before other scalars.
    let (pointers, scalars) = kernel.shared().split_at(kernel.pointers().len());
    format!("{}|{}u{scalars}", of(row), of(pointers))
}

impl Driver for Emulator {
    type Buffer = Memory;
    type Function = Compiled;
    type Product = Gemm;
    type Recording = Recording;
    type Moment = Instant;

    fn name(&self) -> String {
        "cuda-emulated".to_owned()
    }

    fn has_wgmma(&self) -> bool {
        self.wgmma.is_some()
    }

    fn allocate(&mut self, words: usize, what: &str) -> Result<Memory, BackendError> {
        self.outside_recordings("an allocation")?;
        if words == 0 {
            let message = format!("an allocation of nothing, for {what}");
            return Err(BackendError::Driver { backend: self.name(), message });
        }
        let (bytes, free) = (4 * words as u64, self.memory - self.used.get());
        if bytes > free {
            let room = Some(Room { wanted: bytes, free, at_start: self.memory, total: self.memory });
            return Err(BackendError::OutOfMemory { backend: self.name(), what: what.to_owned(), room });
        }
        self.used.set(self.used.get() + bytes);
        Ok(Memory::new(words, Rc::new(Share { bytes, used: Rc::clone(&self.used) })))
    }

    fn table(&mut self, rows: &[Row<Memory>]) -> Result<Memory, BackendError> {
        let words = rows::table(rows, |memory| memory.pointer() as u64);
        let table = self.allocate(words.len(), "rows of a kernel")?;
        self.upload(&words, &table)?;
        Ok(table.naming(rows.iter().flat_map(|row| row.pointers.iter().cloned())))
    }

    fn upload(&mut self, words: &[u32], to: &Memory) -> Result<(), BackendError> {
        self.outside_recordings("an upload")?;
        to.with(|memory| memory[..words.len()].copy_from_slice(words));
        Ok(())
    }

    fn copy(&mut self, from: &Memory, to: &Memory, words: usize) -> Result<(), BackendError> {
        if let Some(calls) = &mut self.recording {
            calls.push(Call::Copy { from: from.clone(), to: to.clone(), words });
            return Ok(());
        }
        let copied = from.with(|memory| memory[..words].to_vec());
        self.upload(&copied, to)
    }

    fn read(&mut self, from: &Memory, words: usize) -> Result<Vec<u32>, BackendError> {
        self.outside_recordings("a read")?;
        Ok(from.with(|memory| memory[..words].to_vec()))
    }

    fn function(&mut self, kernel: &'static Kernel, storage: Storage) -> Result<Compiled, BackendError> {
        let mut kernels = crate::kernels::all();
        kernels.retain(|other| other.source == kernel.source);
        self.function_in(kernel, storage, &kernels)
    }

    fn launch(
        &mut self,
        function: &Compiled,
        kernel: &'static Kernel,
        blocks: usize,
        buffers: &[Memory],
        params: &[Param],
    ) -> Result<(), BackendError> {
        if let Some(calls) = &mut self.recording {
            let (function, buffers, params) = (function.clone(), buffers.to_vec(), params.to_vec());
            calls.push(Call::Launch { function, kernel, blocks, buffers, params });
            return Ok(());
        }
        if self.wgmma == Some(Fidelity::Fatal) && kernel.source.is_for_hopper() {
            let reason = format!("kernel `{}`: illegal instruction", kernel.entry);
            return Err(BackendError::Lost { backend: self.name(), reason });
        }
        let mut pointers: Vec<*mut u32> = buffers.iter().map(Memory::pointer).collect();
        let mut scalars: Vec<u32> = params.iter().map(|param| param.word()).collect();
        let pointers = pointers.iter_mut().map(|pointer| std::ptr::from_mut(pointer).cast::<c_void>());
        let scalars = scalars.iter_mut().map(|scalar| std::ptr::from_mut(scalar).cast::<c_void>());
        let mut arguments: Vec<*mut c_void> = pointers.chain(scalars).collect();
        let (threads, backwards) = (kernel.threads as c_uint, c_int::from(self.order == Order::Backwards));
        // A panic elsewhere leaves the libraries as they were between launches.
        let alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: `function` checked that the arguments are those of the kernel's signature, which `Launch::new` checks
        // against these; pointers are to live buffers that nothing else uses during the call.
        let failure =
            unsafe { (function.launch)(blocks as c_uint, threads, backwards, arguments.as_mut_ptr()) };
        drop(alone);
        if !failure.is_null() {
            // SAFETY: a failure is a static string that ends in zero.
            let message = unsafe { CStr::from_ptr(failure) }.to_string_lossy().into_owned();
            return Err(self.failed(kernel, message));
        }
        if let Some(i) = buffers.iter().position(|memory| !memory.is_guarded()) {
            return Err(self.failed(kernel, format!("wrote outside buffer {i}")));
        }
        let mut named = buffers.iter().flat_map(|memory| memory.named.iter());
        match named.position(|memory| !memory.is_guarded()) {
            None => Ok(()),
            Some(i) => Err(self.failed(kernel, format!("wrote outside buffer {i} of its rows"))),
        }
    }

    fn products(&mut self, gemm: &Gemm) -> Result<Vec<Gemm>, ProductError> {
        let missing = || ProductError::Missing { reason: "none is emulated".to_owned() };
        self.products.map(|_| vec![*gemm]).ok_or_else(missing)
    }

    fn is_checked(&self) -> bool {
        self.products != Some(Fidelity::Right)
    }

    fn multiply(
        &mut self,
        gemm: &Gemm,
        [a, b, onto, y]: [&Memory; 4],
        offset: usize,
    ) -> Result<(), BackendError> {
        if let Some(calls) = &mut self.recording {
            let buffers = [a, b, onto, y].map(Memory::clone);
            calls.push(Call::Multiply { gemm: *gemm, buffers, offset });
            return Ok(());
        }
        let (a, b) = (a.with(|memory| memory.to_vec()), b.with(|memory| memory.to_vec()));
        // Entry `i` of bf16 is the low or the high half of a word, and the upper half of its float.
        let entry = |words: &[u32], i: usize| f32::from_bits(words[i / 2] >> (16 * (i % 2)) << 16);
        let [_, _, n] = gemm.entries();
        let mut gemm = *gemm;
        if self.products == Some(Fidelity::Wrong) {
            gemm.form = LinearForm::Nn;
        }
        let range = offset..offset + n;
        // What it is added to, which may lie where the result will.
        let mut sums: Vec<f32> = onto.with(|memory| {
            if !gemm.half {
                return bytemuck::cast_slice(&memory[range.clone()]).to_vec();
            }
            let entries: &[half::bf16] = bytemuck::cast_slice(memory);
            entries[range.clone()].iter().map(|entry| entry.to_f32()).collect()
        });
        interpret(&gemm, &|i| entry(&b, i), &|i| entry(&a, i), &mut sums);
        y.with(|memory| {
            if !gemm.half {
                return bytemuck::cast_slice_mut(&mut memory[range]).copy_from_slice(&sums);
            }
            let entries: &mut [half::bf16] = bytemuck::cast_slice_mut(memory);
            entries[range].iter_mut().zip(sums).for_each(|(to, y)| *to = half::bf16::from_f32(y));
        });
        Ok(())
    }

    fn record(
        &mut self,
        calls: &mut dyn FnMut(&mut Self) -> Result<(), BackendError>,
    ) -> Result<Recording, BackendError> {
        self.recording = Some(Vec::new());
        let called = calls(self);
        let recorded = self.recording.take().unwrap_or_default();
        called.map(|()| Recording(recorded))
    }

    fn replay(&mut self, Recording(calls): &Recording) -> Result<(), BackendError> {
        self.replays += 1;
        for call in calls {
            match call {
                Call::Copy { from, to, words } => self.copy(from, to, *words)?,
                Call::Launch { function, kernel, blocks, buffers, params } => {
                    self.launch(function, kernel, *blocks, buffers, params)?;
                }
                Call::Multiply { gemm, buffers, offset } => {
                    self.multiply(gemm, buffers.each_ref(), *offset)?
                }
            }
        }
        Ok(())
    }

    fn moment(&mut self) -> Result<Instant, BackendError> {
        Ok(Instant::now())
    }

    fn seconds(&mut self, from: &Instant, to: &Instant) -> Result<f64, BackendError> {
        Ok(to.duration_since(*from).as_secs_f64())
    }
}
