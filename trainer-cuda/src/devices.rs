//! Which NVIDIA GPUs there are, and why one cannot be opened. The driver is found at run time: a machine without one is an
//! error that says so.

#![allow(unsafe_code)]

use cudarc::driver::{CudaContext, DriverError, result, sys};
use std::sync::Arc;
use thiserror::Error;

/// Why a GPU could not be opened.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// The driver's library is not there.
    #[error("no CUDA driver (`libcuda`)\nhint: install NVIDIA's driver, or choose another device")]
    NoDriver,
    /// The driver is there and refuses to start.
    #[error("the CUDA driver does not start: {reason}\nhint: `nvidia-smi` says what it sees")]
    Refused {
        /// What the driver said.
        reason: String,
    },
    /// There is no such device.
    #[error("no CUDA device {index}: the driver lists {count}")]
    NoSuchDevice {
        /// Number asked for.
        index: usize,
        /// How many there are.
        count: usize,
    },
    /// A device did not open.
    #[error("CUDA device {index} cannot be opened: {reason}")]
    Closed {
        /// Its number.
        index: usize,
        /// What the driver said.
        reason: String,
    },
}

/// What there is to know of a GPU without using it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceInfo {
    /// Its name.
    pub name: String,
    /// Compute capability.
    pub compute: (i32, i32),
    /// Bytes of memory.
    pub memory: u64,
}

impl DeviceInfo {
    /// Architecture of the code that it runs best, such as `sm_90`.
    pub fn arch(&self) -> String {
        format!("sm_{}{}", self.compute.0, self.compute.1)
    }
}

/// Version of the driver and its GPUs in the driver's order.
pub fn devices() -> Result<((i32, i32), Vec<DeviceInfo>), DeviceError> {
    let count = start()?;
    let version = driver_version().map_err(|error| refused(&error))?;
    let infos = (0..count).map(|index| info(index).map_err(|error| closed(index, &error)));
    Ok((version, infos.collect::<Result<_, DeviceError>>()?))
}

/// The newest CUDA that the driver knows; it must be there.
pub(crate) fn driver_version() -> Result<(i32, i32), DriverError> {
    let mut version = 0;
    // SAFETY: the pointer is to a live integer.
    unsafe { sys::cuDriverGetVersion(&mut version) }.result()?;
    // 12040 is 12.4.
    Ok((version / 1000, version % 1000 / 10))
}

/// Starts the driver and counts the devices. Every other call into it panics where there is no library.
pub(crate) fn start() -> Result<usize, DeviceError> {
    // SAFETY: loading looks for a library and runs its initializers; NVIDIA's have no preconditions.
    if !unsafe { sys::is_culib_present() } {
        return Err(DeviceError::NoDriver);
    }
    result::init().map_err(|error| refused(&error))?;
    let count = result::device::get_count().map_err(|error| refused(&error))?;
    Ok(usize::try_from(count).unwrap_or(0))
}

pub(crate) fn refused(error: &DriverError) -> DeviceError {
    DeviceError::Refused { reason: reason(error) }
}

pub(crate) fn closed(index: usize, error: &DriverError) -> DeviceError {
    DeviceError::Closed { index, reason: reason(error) }
}

pub(crate) fn context(index: usize) -> Result<Arc<CudaContext>, DeviceError> {
    let context = CudaContext::new(index).map_err(|error| closed(index, &error))?;
    // With events for its own buffers the context would be waited for when a stream is made, and all contexts of a device are one:
    // where another thread records a plan on it, that wait is refused and spoils the recording.
    // SAFETY: the bindings' buffers, which need those events, are not used.
    unsafe { context.disable_event_tracking() };
    Ok(context)
}

/// Asked of the driver without opening the device: a context takes memory, and a busy device may have none.
pub(crate) fn info(index: usize) -> Result<DeviceInfo, DriverError> {
    use sys::CUdevice_attribute as Attribute;
    let device = result::device::get(index as i32)?;
    // SAFETY: the driver gave the device.
    let attribute = |which| unsafe { result::device::get_attribute(device, which) };
    let major = attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?;
    let minor = attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?;
    // SAFETY: as above.
    let memory = unsafe { result::device::total_mem(device) }? as u64;
    Ok(DeviceInfo { name: result::device::get_name(device)?, compute: (major, minor), memory })
}

/// Milliseconds between two events that have happened. Drivers before 12.8 have the older form of the call alone, and the
/// bindings, which know the newer one alone, would panic there.
pub(crate) fn milliseconds(from: sys::CUevent, to: sys::CUevent) -> Result<f32, DriverError> {
    type Elapsed = unsafe extern "C" fn(*mut f32, sys::CUevent, sys::CUevent) -> sys::CUresult;
    // SAFETY: an event exists, so the library is loaded; both names are of functions of this type.
    let elapsed = unsafe {
        let library = sys::culib();
        let newer = library.get::<Elapsed>(b"cuEventElapsedTime_v2");
        newer.or_else(|_| library.get::<Elapsed>(b"cuEventElapsedTime"))
    };
    let elapsed = elapsed.map_err(|_| DriverError(sys::CUresult::CUDA_ERROR_NOT_FOUND))?;
    let mut milliseconds = 0.0;
    // SAFETY: the events are live, as the pointer is.
    unsafe { elapsed(&mut milliseconds, from, to) }.result()?;
    Ok(milliseconds)
}

/// What the driver calls an error, and what it says of it.
pub(crate) fn reason(error: &DriverError) -> String {
    let text =
        |text: Result<&std::ffi::CStr, DriverError>| text.map(|t| t.to_string_lossy().into_owned()).ok();
    let (name, meaning) = (text(error.error_name()), text(error.error_string()));
    let code = || format!("code {}", error.0 as u32);
    format!("{} ({})", name.unwrap_or_else(code), meaning.unwrap_or_else(|| "no description".to_owned()))
}
