//! Importing other people's models: torch `.pt`/`.ptz` files and safetensors, without running anything.
//!
//! The stages are separate and each has its own error: [`container`] undoes outer compression under hard limits,
//! [`torch_zip`] finds the entries of the ZIP, [`pickle`] interprets an allow-listed subset of the pickle language
//! into plain data, [`layouts`] turns the community's export layouts (or a raw state dict) into named tensors,
//! [`safetensors`] does the same for safetensors files, and [`shapes`] derives a model configuration from names
//! and shapes.
//!
//! Invariant: memory is bounded by [`Limits`] whatever the input says, nothing in a file is ever executed, and a
//! tensor that comes out is finite in shape, in bounds and complete.
//!
//! This is not a general unpickler and not a model registry: a file outside the listed layouts is refused by name.

pub mod banks;
pub mod container;
pub mod layouts;
pub mod pickle;
pub mod safetensors;
pub mod shapes;
pub mod storage;
pub mod tensor;
pub mod torch_zip;

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use thiserror::Error;

pub use container::{Coding, ContainerError, Payload};
pub use layouts::{Layout, LayoutError};
pub use pickle::PickleError;
pub use safetensors::SafetensorsError;
pub use shapes::{Assumptions, ShapeError};
pub use storage::StorageError;
pub use tensor::{FloatType, Imported, ImportedData, Rounding, Scales};
pub use torch_zip::TorchZipError;

/// Hard limits of an import; every one is checked before the allocation that it bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the file itself.
    pub file_bytes: u64,
    /// Bytes of any one decompressed layer, and of all decoded tensors together.
    pub raw_bytes: u64,
    /// Decompressed bytes per compressed byte, applied above [`Limits::ratio_floor`].
    pub ratio: u64,
    /// Decompressed bytes that are always acceptable, whatever the ratio.
    pub ratio_floor: u64,
    /// Bytes of the pickle program.
    pub pickle_bytes: u64,
    /// Tensors in one file.
    pub tensors: usize,
}

impl Default for Limits {
    /// 1 GiB of file and of raw data, 256-fold compression above 64 MiB, a 16 MiB pickle, 65,536 tensors.
    fn default() -> Self {
        Self {
            file_bytes: 1 << 30,
            raw_bytes: 1 << 30,
            ratio: 256,
            ratio_floor: 64 << 20,
            pickle_bytes: 16 << 20,
            tensors: 65_536,
        }
    }
}

/// What a file held.
#[derive(Clone, Debug, PartialEq)]
pub struct ImportedFile {
    /// Outer codings that were undone, outermost first.
    pub codings: Vec<Coding>,
    /// How the tensors were laid out.
    pub layout: Layout,
    /// The tensors in file order.
    pub tensors: Vec<Imported>,
}

/// Why an import failed; the stage is the variant.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The file could not be read.
    #[error("cannot read `{}`: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is larger than [`Limits::file_bytes`].
    #[error("file `{}` is too large: expected at most {limit} bytes", path.display())]
    FileTooLarge {
        /// The file.
        path: PathBuf,
        /// The limit in bytes.
        limit: u64,
    },
    /// Outer compression.
    #[error(transparent)]
    Container(#[from] ContainerError),
    /// The ZIP of a torch file.
    #[error(transparent)]
    TorchZip(#[from] TorchZipError),
    /// The pickle program of a torch file.
    #[error(transparent)]
    Pickle(#[from] PickleError),
    /// Names and roles of the tensors.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// A safetensors file.
    #[error(transparent)]
    Safetensors(#[from] SafetensorsError),
}

/// Imports a file's bytes: unwraps, parses, checks. See [`ImportError`] for what can go wrong.
pub fn import_bytes(bytes: &[u8], limits: &Limits) -> Result<ImportedFile, ImportError> {
    let unwrapped = container::unwrap(bytes, limits)?;
    let (layout, tensors) = match unwrapped.payload {
        Payload::Safetensors => (Layout::Safetensors, safetensors::read(&unwrapped.bytes, limits)?),
        Payload::TorchZip => {
            let zip = torch_zip::TorchZip::open(&unwrapped.bytes, limits)?;
            let value = pickle::load(zip.pickle(), limits)?;
            layouts::read(value, &zip, limits)?
        }
    };
    Ok(ImportedFile { codings: unwrapped.codings, layout, tensors })
}

/// Imports the file at `path`; reads at most [`Limits::file_bytes`] of it.
pub fn import_file(path: &Path, limits: &Limits) -> Result<ImportedFile, ImportError> {
    let fail = |source| ImportError::Read { path: path.to_path_buf(), source };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(fail)?;
    file.take(limits.file_bytes.saturating_add(1)).read_to_end(&mut bytes).map_err(fail)?;
    if bytes.len() as u64 > limits.file_bytes {
        return Err(ImportError::FileTooLarge { path: path.to_path_buf(), limit: limits.file_bytes });
    }
    import_bytes(&bytes, limits)
}
