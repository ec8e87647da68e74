//! Code on a device: what was made before, or the compiler's, loaded as a module once per source and form.

use super::Device;
use crate::cache;
use crate::code::{CodeError, Unit};
use crate::devices::{driver_version, reason};
use crate::driver::Driver;
use crate::kernel::{Kernel, Storage};
use crate::nvrtc::{Nvrtc, too_new};
use cudarc::driver::{CudaModule, DriverError, sys};
use cudarc::nvrtc::Ptx;
use golf_core::backend::BackendError;
use std::sync::Arc;

impl Device {
    /// Compiles `unit` for this device, and caches the code.
    fn compile(&mut self, unit: Unit) -> Result<Vec<u8>, CodeError> {
        let arch = self.info.arch();
        let nvrtc = match self.nvrtc {
            Some(nvrtc) => nvrtc,
            None => *self.nvrtc.insert(Nvrtc::load().map_err(|error| unit.absent(&arch, error))?),
        };
        let code = nvrtc.compile(unit.source, &arch, unit.storage)?.code;
        // A cache that cannot be written costs the next start its time.
        let _ = cache::store(&unit.file_name(&arch), &code);
        Ok(code)
    }

    /// The code of the kernel's source for activations of this form.
    pub(super) fn module(
        &mut self,
        kernel: &Kernel,
        storage: Storage,
    ) -> Result<Arc<CudaModule>, BackendError> {
        if let Some(module) = self.modules.get(&(kernel.source.file, storage)) {
            return Ok(Arc::clone(module));
        }
        let unit = Unit { source: kernel.source, storage };
        let made = unit.load(&self.info.arch());
        let known = made.map(|code| self.context.load_module(Ptx::from_binary(code))).transpose();
        let module = match known {
            Err(error) if !is_about_code(error) => return Err(self.failed(error)),
            Ok(Some(module)) => module,
            // Code that the driver does not take is another driver's.
            made => {
                let (backend, entry) = (self.name(), kernel.entry.to_owned());
                let code = self.compile(unit);
                let code = code.map_err(|error| {
                    let refused = made
                        .err()
                        .map(|e| format!("\nthe driver does not take what is there: {}", reason(&e)));
                    let message = format!("{error}{}", refused.unwrap_or_default());
                    BackendError::Kernel { backend, kernel: entry, message }
                })?;
                self.context
                    .load_module(Ptx::from_binary(code))
                    .map_err(|error| self.refused(kernel, error))?
            }
        };
        self.modules.insert((kernel.source.file, storage), Arc::clone(&module));
        Ok(module)
    }

    /// The error for code that was just compiled and that the driver does not take: of a newer CUDA than the driver's it
    /// takes none.
    fn refused(&self, kernel: &Kernel, error: DriverError) -> BackendError {
        let versions = driver_version().ok().zip(self.nvrtc.map(|nvrtc| nvrtc.version));
        match versions.and_then(|(driver, nvrtc)| too_new(nvrtc, driver)).filter(|_| is_about_code(error)) {
            Some(cause) => BackendError::Kernel {
                backend: self.name(),
                kernel: kernel.entry.to_owned(),
                message: format!("{}: {cause}", reason(&error)),
            },
            None => self.failed(error),
        }
    }
}

/// Whether the driver says that it was given the wrong code, and not that something else is wrong.
fn is_about_code(error: DriverError) -> bool {
    use sys::CUresult as C;
    matches!(
        error.0,
        C::CUDA_ERROR_INVALID_IMAGE
            | C::CUDA_ERROR_NO_BINARY_FOR_GPU
            | C::CUDA_ERROR_INVALID_SOURCE
            | C::CUDA_ERROR_UNSUPPORTED_PTX_VERSION
    )
}
