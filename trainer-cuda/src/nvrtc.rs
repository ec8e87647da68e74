//! NVIDIA's run-time compiler: from a `.cu` file to the code of one architecture. It needs no GPU.
//!
//! It is a shared library found at run time: in the folder that `GOLF_NVRTC` names, where toolkits and Python packages have it,
//! or where the system's loader looks. Kernels include nothing but this crate's own headers, so no toolkit has to be there.
//! Its functions are bound here, because the CUDA bindings would load the library by name, and so perhaps another one.

#![allow(unsafe_code)]

use crate::kernel::{HEADERS, Source, Storage};
use crate::library::{LoadError, function, load};
use libloading::Library;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::path::PathBuf;
use std::ptr;
use std::sync::OnceLock;
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
    /// The library has no code for an architecture.
    #[error(
        "NVRTC {}.{} has no code for `{arch}`, but for {known}\nhint: install the NVRTC of a CUDA version that knows this GPU, and name its folder in `GOLF_NVRTC`",
        version.0, version.1
    )]
    Architecture {
        /// The architecture asked for.
        arch: String,
        /// Version of the library.
        version: (i32, i32),
        /// Those that it knows.
        known: String,
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

type Handle = *mut c_void;
type Texts = *const *const c_char;

/// The functions of the library, as its header declares them; a result of 0 is success.
#[derive(Debug)]
struct Functions {
    version: unsafe extern "C" fn(*mut c_int, *mut c_int) -> c_int,
    error: unsafe extern "C" fn(c_int) -> *const c_char,
    known: unsafe extern "C" fn(*mut c_int) -> c_int,
    list_known: unsafe extern "C" fn(*mut c_int) -> c_int,
    create: unsafe extern "C" fn(*mut Handle, *const c_char, *const c_char, c_int, Texts, Texts) -> c_int,
    destroy: unsafe extern "C" fn(*mut Handle) -> c_int,
    compile: unsafe extern "C" fn(Handle, c_int, Texts) -> c_int,
    log_size: unsafe extern "C" fn(Handle, *mut usize) -> c_int,
    log: unsafe extern "C" fn(Handle, *mut c_char) -> c_int,
    code_size: unsafe extern "C" fn(Handle, *mut usize) -> c_int,
    code: unsafe extern "C" fn(Handle, *mut c_char) -> c_int,
}

impl Functions {
    fn load() -> Result<Self, NvrtcError> {
        // The compiler loads its built-ins by name, and some releases do not look beside themselves.
        let names = ["libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so.11.2", "libnvrtc.so"];
        let library =
            load("libnvrtc.so", Some("libnvrtc-builtins.so"), &names).map_err(|error| match error {
                LoadError::Missing { searched } => NvrtcError::Missing { searched },
                LoadError::Unloadable { path, reason } => NvrtcError::Unloadable { path, reason },
            })?;
        let old = |error: libloading::Error| NvrtcError::Call { call: "dlsym", reason: error.to_string() };
        Self::of(library).map_err(old)
    }

    fn of(library: &'static Library) -> Result<Self, libloading::Error> {
        // SAFETY: the types are those of the library's header since CUDA 11.2.
        unsafe {
            Ok(Self {
                version: function(library, "nvrtcVersion")?,
                error: function(library, "nvrtcGetErrorString")?,
                known: function(library, "nvrtcGetNumSupportedArchs")?,
                list_known: function(library, "nvrtcGetSupportedArchs")?,
                create: function(library, "nvrtcCreateProgram")?,
                destroy: function(library, "nvrtcDestroyProgram")?,
                compile: function(library, "nvrtcCompileProgram")?,
                log_size: function(library, "nvrtcGetProgramLogSize")?,
                log: function(library, "nvrtcGetProgramLog")?,
                code_size: function(library, "nvrtcGetCUBINSize")?,
                code: function(library, "nvrtcGetCUBIN")?,
            })
        }
    }

    fn check(&self, call: &'static str, code: c_int) -> Result<(), NvrtcError> {
        if code == 0 {
            return Ok(());
        }
        // SAFETY: the function returns a static string that ends in zero, whatever the code.
        let reason = unsafe { CStr::from_ptr((self.error)(code)) }.to_string_lossy().into_owned();
        Err(NvrtcError::Call { call, reason })
    }
}

/// The loaded compiler.
#[derive(Clone, Copy, Debug)]
pub struct Nvrtc {
    /// Major and minor version.
    pub version: (i32, i32),
    functions: &'static Functions,
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
    /// Loads the library, which stays loaded.
    pub fn load() -> Result<Self, NvrtcError> {
        static LOADED: OnceLock<Functions> = OnceLock::new();
        let functions = match LOADED.get() {
            Some(functions) => functions,
            None => {
                let functions = Functions::load()?;
                LOADED.get_or_init(|| functions)
            }
        };
        let (mut major, mut minor) = (0, 0);
        // SAFETY: both pointers are to live integers.
        functions.check("nvrtcVersion", unsafe { (functions.version)(&mut major, &mut minor) })?;
        Ok(Self { version: (major, minor), functions })
    }

    /// The code of `source` for a device of `arch`, such as `sm_90`, and activations of this form.
    pub fn compile(&self, source: &Source, arch: &str, storage: Storage) -> Result<Compilation, NvrtcError> {
        let program = Program::new(source, self.functions)?;
        let target = source.target(arch);
        let target = format!("--gpu-architecture={}", target.as_deref().unwrap_or(arch));
        let options = OPTIONS.iter().copied().chain(storage.define()).chain([target.as_str()]);
        let compiled = program.compile(&options.map(text).collect::<Vec<_>>());
        let log = program.log();
        match compiled {
            SUCCESS => Ok(Compilation { code: program.code()?, log }),
            INVALID_OPTION => Err(self.without(arch)?),
            _ => Err(NvrtcError::Rejected { file: source.file, arch: arch.to_owned(), log }),
        }
    }

    /// The error for an architecture that the library does not know.
    fn without(&self, arch: &str) -> Result<NvrtcError, NvrtcError> {
        let mut count = 0;
        // SAFETY: the pointer is to a live integer.
        self.functions.check("nvrtcGetNumSupportedArchs", unsafe { (self.functions.known)(&mut count) })?;
        let mut known = vec![0; usize::try_from(count).unwrap_or(0)];
        // SAFETY: the list has as many places as the library asked for.
        let listed = unsafe { (self.functions.list_known)(known.as_mut_ptr()) };
        self.functions.check("nvrtcGetSupportedArchs", listed)?;
        let known: Vec<String> = known.iter().map(|number| format!("`sm_{number}`")).collect();
        let (arch, known) = (arch.to_owned(), known.join(", "));
        Ok(NvrtcError::Architecture { arch, version: self.version, known })
    }
}

/// What to do about a compiler whose code the driver does not take: drivers run code of their own CUDA's major version and of
/// older ones. `None` where it does.
pub fn too_new(nvrtc: (i32, i32), driver: (i32, i32)) -> Option<String> {
    let told = || {
        format!(
            "NVRTC {}.{} makes code for drivers of CUDA {} and newer, and this one is of {}.{}\nhint: name the folder of an NVRTC {} in `GOLF_NVRTC` (PyPI has it as `nvidia-cuda-nvrtc-cu{}`), or install a newer driver",
            nvrtc.0, nvrtc.1, nvrtc.0, driver.0, driver.1, driver.0, driver.0
        )
    };
    (nvrtc.0 > driver.0).then(told)
}

/// Results of a compilation that are told apart.
const SUCCESS: c_int = 0;
const INVALID_OPTION: c_int = 5;

fn text(text: &str) -> CString {
    CString::new(text).expect("sources, names and options of this crate hold no zero byte")
}

fn pointers(texts: &[CString]) -> Vec<*const c_char> {
    texts.iter().map(|text| text.as_ptr()).collect()
}

/// A source in the compiler's hands.
struct Program {
    handle: Handle,
    functions: &'static Functions,
}

impl Program {
    fn new(source: &Source, functions: &'static Functions) -> Result<Self, NvrtcError> {
        let (name, body) = (text(source.file), text(source.text));
        let headers: Vec<CString> = HEADERS.iter().map(|header| text(header.text)).collect();
        let names: Vec<CString> = HEADERS.iter().map(|header| text(header.file)).collect();
        let (headers, names, count) = (pointers(&headers), pointers(&names), HEADERS.len() as c_int);
        let mut handle = ptr::null_mut();
        let (body, name, headers, names) = (body.as_ptr(), name.as_ptr(), headers.as_ptr(), names.as_ptr());
        // SAFETY: every string ends in zero and outlives the call, which copies them; both lists have the given length.
        let code = unsafe { (functions.create)(&mut handle, body, name, count, headers, names) };
        functions.check("nvrtcCreateProgram", code)?;
        Ok(Self { handle, functions })
    }

    /// Compiles it; the code of the result, of which the log says more.
    fn compile(&self, options: &[CString]) -> c_int {
        let options = pointers(options);
        // SAFETY: the program is live, and the list has the given length.
        unsafe { (self.functions.compile)(self.handle, options.len() as c_int, options.as_ptr()) }
    }

    /// What the compiler said; nothing where it does not tell.
    fn log(&self) -> String {
        let mut size = 0;
        // SAFETY: the program is live, and the pointer is to a live integer.
        let sized = unsafe { (self.functions.log_size)(self.handle, &mut size) };
        let mut log = vec![0u8; size];
        // SAFETY: `log` has the size that the library asked for.
        let told = sized == 0 && unsafe { (self.functions.log)(self.handle, log.as_mut_ptr().cast()) } == 0;
        let said = log.split(|&byte| byte == 0).next().filter(|_| told).unwrap_or_default();
        String::from_utf8_lossy(said).into_owned()
    }

    fn code(&self) -> Result<Vec<u8>, NvrtcError> {
        let mut size = 0;
        // SAFETY: the program is live and compiled; the pointer is to a live integer.
        let sized = unsafe { (self.functions.code_size)(self.handle, &mut size) };
        self.functions.check("nvrtcGetCUBINSize", sized)?;
        let mut code = vec![0u8; size];
        // SAFETY: `code` has the size that the library asked for.
        let given = unsafe { (self.functions.code)(self.handle, code.as_mut_ptr().cast()) };
        self.functions.check("nvrtcGetCUBIN", given)?;
        Ok(code)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // SAFETY: the program is live, and this is its last use. There is nobody to tell of a failure.
        let _ = unsafe { (self.functions.destroy)(&mut self.handle) };
    }
}
