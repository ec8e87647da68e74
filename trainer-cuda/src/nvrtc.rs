//! NVIDIA's run-time compiler: from a `.cu` file to the code of one architecture. It needs no GPU.
//!
//! It is a shared library found at run time: in the folder that `GOLF_NVRTC` names, under `CUDA_PATH`, or where the
//! system's loader looks. Kernels include nothing but this crate's own headers, so no toolkit has to be there.

#![allow(unsafe_code)]

use crate::kernel::{HEADERS, Source, Storage};
use crate::library::{Unloadable, preload, searched};
use cudarc::nvrtc::{result, sys};
use std::ffi::{CString, c_char, c_int};
use std::path::PathBuf;
use thiserror::Error;

/// Why a kernel could not be compiled.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum NvrtcError {
    /// The library is not there.
    #[error(
        "NVRTC (`libnvrtc`) was not found in {searched}\nhint: install the CUDA toolkit or the PyPI package `nvidia-cuda-nvrtc`, and name the library's folder in `GOLF_NVRTC`; or run `golf kernels --out DIR` of this version where there is one, and name that folder in `GOLF_KERNELS`"
    )]
    Missing {
        /// Where it was looked for.
        searched: String,
    },
    /// A library is there and cannot be loaded.
    #[error("`{path}` cannot be loaded: {reason}")]
    Unloadable {
        /// The file.
        path: PathBuf,
        /// What the loader said.
        reason: String,
    },
    /// The compiler rejected a source.
    #[error("`{file}` does not compile for `{arch}`:\n{log}")]
    Rejected {
        /// The source's name.
        file: &'static str,
        /// The architecture.
        arch: String,
        /// What the compiler said.
        log: String,
    },
    /// A call failed for another reason.
    #[error("NVRTC: `{call}` failed: {reason}")]
    Call {
        /// Name of the function.
        call: &'static str,
        /// Its code.
        reason: String,
    },
}

/// The loaded compiler.
#[derive(Clone, Copy, Debug)]
pub struct Nvrtc {
    /// Major and minor version.
    pub version: (i32, i32),
}

/// What became of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compilation {
    /// Code of one architecture, an ELF file.
    pub code: Vec<u8>,
    /// What the compiler said: registers, shared memory and spills of every kernel.
    pub log: String,
}

/// What a kernel needs of a multiprocessor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Registers of a thread.
    pub registers: usize,
    /// Bytes that a thread stores and loads because registers did not suffice.
    pub spilled: usize,
    /// Bytes of shared memory of a block.
    pub shared: usize,
}

impl Usage {
    /// The larger one of every number.
    pub fn most(self, other: Usage) -> Usage {
        Usage {
            registers: self.registers.max(other.registers),
            spilled: self.spilled.max(other.spilled),
            shared: self.shared.max(other.shared),
        }
    }
}

impl Compilation {
    /// Whether the compiler makes products of a warpgroup wait for each other, which costs what they are for.
    pub fn serializes_products(&self) -> bool {
        self.log.contains("wgmma.mma_async instructions are serialized")
    }

    /// What the compiler said of the kernel `entry`, if it did.
    pub fn usage(&self, entry: &str) -> Option<Usage> {
        let (_, said) = self.log.split_once(&format!("entry function '{entry}'"))?;
        let said = said.split("entry function").next().unwrap_or(said);
        let stored = number_before(said, " bytes spill stores")?;
        let loaded = number_before(said, " bytes spill loads")?;
        // Without shared memory the compiler does not mention it.
        let shared = number_before(said, " bytes smem").unwrap_or(0);
        Some(Usage { registers: number_before(said, " registers")?, spilled: stored + loaded, shared })
    }
}

/// The number that stands before `words`.
fn number_before(text: &str, words: &str) -> Option<usize> {
    let (before, _) = text.split_once(words)?;
    before.rsplit(' ').next()?.parse().ok()
}

/// Options beside the architecture. Division and square root are IEEE's, denormal numbers are kept.
pub(crate) const OPTIONS: &[&str] = &[
    "--std=c++17",
    "--ftz=false",
    "--prec-div=true",
    "--prec-sqrt=true",
    "--fmad=true",
    "--ptxas-options=--verbose",
];

impl Nvrtc {
    /// Loads the library.
    pub fn load() -> Result<Self, NvrtcError> {
        // The compiler loads its built-ins by name, and some releases do not look beside themselves.
        for stem in ["libnvrtc-builtins.so", "libnvrtc.so"] {
            preload(stem).map_err(|Unloadable { path, reason }| NvrtcError::Unloadable { path, reason })?;
        }
        // SAFETY: loading looks for a library and runs its initializers; NVIDIA's have no preconditions.
        if !unsafe { sys::is_culib_present() } {
            return Err(NvrtcError::Missing { searched: searched() });
        }
        let (mut major, mut minor) = (0, 0);
        // SAFETY: the library is present, and both pointers are to live integers.
        let code = unsafe { sys::nvrtcVersion(&mut major, &mut minor) };
        check("nvrtcVersion", code)?;
        Ok(Self { version: (major, minor) })
    }

    /// The code of `source` for a device of `arch`, such as `sm_90`, and activations of this form.
    pub fn compile(&self, source: &Source, arch: &str, storage: Storage) -> Result<Compilation, NvrtcError> {
        let program = Program::new(source)?;
        let target = source.target(arch);
        let target = format!("--gpu-architecture={}", target.as_deref().unwrap_or(arch));
        let options: Vec<&str> =
            OPTIONS.iter().copied().chain(storage.define()).chain([target.as_str()]).collect();
        // SAFETY: the program is live.
        let compiled = unsafe { result::compile_program(program.0, &options) };
        // SAFETY: the program is live.
        let log = unsafe { result::get_program_log(program.0) }.unwrap_or_default();
        let bytes: Vec<u8> = log.iter().map(|&c| c as u8).take_while(|&c| c != 0).collect();
        let log = String::from_utf8_lossy(&bytes).into_owned();
        if compiled.is_err() {
            return Err(NvrtcError::Rejected { file: source.file, arch: arch.to_owned(), log });
        }
        let mut size = 0;
        // SAFETY: the program is live and compiled; the pointer is to a live integer.
        check("nvrtcGetCUBINSize", unsafe { sys::nvrtcGetCUBINSize(program.0, &mut size) })?;
        let mut code = vec![0u8; size];
        // SAFETY: `code` has the size that the library asked for.
        check("nvrtcGetCUBIN", unsafe { sys::nvrtcGetCUBIN(program.0, code.as_mut_ptr().cast::<c_char>()) })?;
        Ok(Compilation { code, log })
    }
}

/// A source in the compiler's hands.
struct Program(sys::nvrtcProgram);

impl Program {
    fn new(source: &Source) -> Result<Self, NvrtcError> {
        let text =
            |text: &str| CString::new(text).expect("sources and names of this crate hold no zero byte");
        let (name, body) = (text(source.file), text(source.text));
        let headers: Vec<CString> = HEADERS.iter().map(|header| text(header.text)).collect();
        let names: Vec<CString> = HEADERS.iter().map(|header| text(header.file)).collect();
        let pointers = |strings: &[CString]| strings.iter().map(|s| s.as_ptr()).collect::<Vec<_>>();
        let (headers, names, mut program) = (pointers(&headers), pointers(&names), std::ptr::null_mut());
        // SAFETY: every string ends in zero and outlives the call, which copies them; both lists have the given length.
        let code = unsafe {
            sys::nvrtcCreateProgram(
                &mut program,
                body.as_ptr(),
                name.as_ptr(),
                HEADERS.len() as c_int,
                headers.as_ptr(),
                names.as_ptr(),
            )
        };
        check("nvrtcCreateProgram", code)?;
        Ok(Self(program))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // SAFETY: the program is live, and this is its last use. There is nobody to tell of a failure.
        let _ = unsafe { result::destroy_program(self.0) };
    }
}

fn check(call: &'static str, code: sys::nvrtcResult) -> Result<(), NvrtcError> {
    code.result().map_err(|error| NvrtcError::Call { call, reason: format!("{:?}", error.0) })
}
