//! Adapters and devices: which GPUs there are, and one of them opened with exactly the limits that golf needs.

use crate::lower::Capabilities;
use golf_core::backend::BackendError;
use std::sync::{Arc, Mutex};
use thiserror::Error;

/// Why no device could be opened.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// There is no adapter at all.
    #[error(
        "no GPU adapter found\nhint: install a Vulkan driver (Debian: `mesa-vulkan-drivers` for a software one), or run on the CPU"
    )]
    NoAdapter,
    /// There is no adapter with this number.
    #[error("no GPU adapter {index}: there are {count}\nhint: `golf doctor` lists them")]
    NoSuchAdapter {
        /// The number asked for.
        index: usize,
        /// How many there are.
        count: usize,
    },
    /// The adapter is below WebGPU's defaults in something that the kernels rely on.
    #[error("adapter `{adapter}` is too small: `{limit}`: needed {needed}, available {available}")]
    TooSmall {
        /// Name of the adapter.
        adapter: String,
        /// Name of the limit, as WebGPU spells it.
        limit: &'static str,
        /// What the kernels need.
        needed: u64,
        /// What there is.
        available: u64,
    },
    /// The driver refused.
    #[error("adapter `{adapter}` could not be opened: {reason}")]
    Refused {
        /// Name of the adapter.
        adapter: String,
        /// What the driver said.
        reason: String,
    },
}

/// Reads one limit.
type LimitOf = fn(&wgpu::Limits) -> u64;

/// What the kernels rely on: WebGPU's default limits, by the names that WebGPU gives them.
const NEEDED: [(&str, u64, LimitOf); 6] = [
    ("maxStorageBuffersPerShaderStage", 8, |l| l.max_storage_buffers_per_shader_stage.into()),
    ("maxComputeInvocationsPerWorkgroup", 256, |l| l.max_compute_invocations_per_workgroup.into()),
    ("maxComputeWorkgroupSizeX", 256, |l| l.max_compute_workgroup_size_x.into()),
    ("maxComputeWorkgroupStorageSize", 16_384, |l| l.max_compute_workgroup_storage_size.into()),
    ("maxComputeWorkgroupsPerDimension", 65_535, |l| l.max_compute_workgroups_per_dimension.into()),
    ("maxStorageBufferBindingSize", 128 << 20, |l| l.max_storage_buffer_binding_size),
];

/// An adapter that was found.
pub struct Adapter {
    inner: wgpu::Adapter,
}

impl Adapter {
    /// What the driver says of it.
    pub fn info(&self) -> wgpu::AdapterInfo {
        self.inner.get_info()
    }

    /// Its limits.
    pub fn limits(&self) -> wgpu::Limits {
        self.inner.limits()
    }

    /// The optional features that golf can use, by WebGPU's names, and whether the adapter has them.
    pub fn features(&self) -> Vec<(&'static str, bool)> {
        let has = self.inner.features();
        FEATURES.iter().map(|(name, feature)| (*name, has.contains(*feature))).collect()
    }

    /// Whether it computes on the CPU.
    pub fn is_software(&self) -> bool {
        self.info().device_type == wgpu::DeviceType::Cpu
    }

    /// The limits that kernels rely on: WebGPU's name, its default, and what the adapter has.
    pub fn needed_limits(&self) -> Vec<(&'static str, u64, u64)> {
        let limits = self.limits();
        NEEDED.iter().map(|(name, needed, of)| (*name, *needed, of(&limits))).collect()
    }

    /// What the kernels may use on it.
    pub fn capabilities(&self) -> Capabilities {
        capabilities(self.inner.features() & wanted())
    }
}

const FEATURES: [(&str, wgpu::Features); 3] = [
    ("subgroups", wgpu::Features::SUBGROUP),
    ("shader-f16", wgpu::Features::SHADER_F16),
    ("timestamp-query", wgpu::Features::TIMESTAMP_QUERY),
];

fn wanted() -> wgpu::Features {
    FEATURES.iter().fold(wgpu::Features::empty(), |all, (_, feature)| all | *feature)
}

fn capabilities(features: wgpu::Features) -> Capabilities {
    Capabilities {
        subgroups: features.contains(wgpu::Features::SUBGROUP),
        f16: features.contains(wgpu::Features::SHADER_F16),
    }
}

fn instance() -> wgpu::Instance {
    wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle())
}

/// All adapters, discrete GPUs first, software last; the order is that of `wgpu:N`.
#[cfg(not(target_arch = "wasm32"))]
pub async fn adapters() -> Vec<Adapter> {
    let rank = |info: &wgpu::AdapterInfo| match info.device_type {
        wgpu::DeviceType::DiscreteGpu => 0,
        wgpu::DeviceType::IntegratedGpu => 1,
        wgpu::DeviceType::VirtualGpu => 2,
        wgpu::DeviceType::Other => 3,
        wgpu::DeviceType::Cpu => 4,
    };
    let mut found = instance().enumerate_adapters(wgpu::Backends::all()).await;
    found.sort_by_key(|adapter| rank(&adapter.get_info()));
    found.into_iter().map(|inner| Adapter { inner }).collect()
}

/// The adapter that the browser offers, if any.
#[cfg(target_arch = "wasm32")]
pub async fn adapters() -> Vec<Adapter> {
    let options = wgpu::RequestAdapterOptions {
        power_preference: wgpu::PowerPreference::HighPerformance,
        ..Default::default()
    };
    instance().request_adapter(&options).await.into_iter().map(|inner| Adapter { inner }).collect()
}

/// An open device.
pub(crate) struct Gpu {
    pub device: wgpu::Device,
    pub queue: wgpu::Queue,
    pub name: String,
    pub limits: wgpu::Limits,
    pub capabilities: Capabilities,
    /// Why the device was lost, once it was.
    lost: Arc<Mutex<Option<String>>>,
    /// The first error that no call has reported yet.
    fault: Arc<Mutex<Option<String>>>,
}

impl Gpu {
    /// Opens adapter number `index` of [`adapters`].
    pub async fn open(index: usize) -> Result<Gpu, DeviceError> {
        let mut found = adapters().await;
        let count = found.len();
        if count == 0 {
            return Err(DeviceError::NoAdapter);
        }
        if index >= count {
            return Err(DeviceError::NoSuchAdapter { index, count });
        }
        Gpu::on(found.swap_remove(index)).await
    }

    async fn on(adapter: Adapter) -> Result<Gpu, DeviceError> {
        // Browsers leave the name empty.
        let name = Some(adapter.info().name).filter(|name| !name.is_empty());
        let name = name.unwrap_or_else(|| "the browser's adapter".to_owned());
        let limits = adapter.limits();
        suffices(&name, &limits)?;
        let features = adapter.inner.features() & wanted();
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("golf"),
            required_features: features,
            required_limits: requested(&limits),
            ..Default::default()
        };
        let refused = |e: wgpu::RequestDeviceError| DeviceError::Refused {
            adapter: name.clone(),
            reason: e.to_string(),
        };
        let (device, queue) = adapter.inner.request_device(&descriptor).await.map_err(refused)?;
        let (lost, fault) =
            (Arc::<Mutex<Option<String>>>::default(), Arc::<Mutex<Option<String>>>::default());
        let sink = Arc::clone(&lost);
        device.set_device_lost_callback(move |reason, message| {
            keep_first(&sink, format!("{reason:?}: {message}"));
        });
        let sink = Arc::clone(&fault);
        device.on_uncaptured_error(Arc::new(move |error| keep_first(&sink, error.to_string())));
        let limits = device.limits();
        Ok(Gpu { device, queue, name, limits, capabilities: capabilities(features), lost, fault })
    }

    /// Fails when the device is gone or an earlier call went wrong behind its back.
    pub fn check(&self) -> Result<(), BackendError> {
        let lost = self.lost.lock().expect("no holder of this lock panics").clone();
        if let Some(reason) = lost {
            return Err(BackendError::Lost { backend: self.backend_name(), reason });
        }
        match self.fault.lock().expect("no holder of this lock panics").take() {
            Some(message) => Err(BackendError::Driver { backend: self.backend_name(), message }),
            None => Ok(()),
        }
    }

    /// Name for messages and receipts.
    pub fn backend_name(&self) -> String {
        format!("wgpu ({})", self.name)
    }

    /// Translates an error that a scope caught.
    pub fn caught(&self, error: wgpu::Error, what: &str) -> BackendError {
        let backend = self.backend_name();
        match error {
            wgpu::Error::OutOfMemory { .. } => {
                BackendError::OutOfMemory { backend, what: what.to_owned(), room: None }
            }
            wgpu::Error::Validation { description, .. } | wgpu::Error::Internal { description, .. } => {
                BackendError::Driver { backend, message: format!("{what}: {description}") }
            }
        }
    }
}

/// Whether an adapter with these limits runs every kernel.
fn suffices(adapter: &str, limits: &wgpu::Limits) -> Result<(), DeviceError> {
    let short = NEEDED.iter().find(|(_, needed, of)| of(limits) < *needed);
    match short {
        None => Ok(()),
        Some(&(limit, needed, of)) => {
            let available = of(limits);
            Err(DeviceError::TooSmall { adapter: adapter.to_owned(), limit, needed, available })
        }
    }
}

/// WebGPU's defaults, but buffers as large as the adapter has them.
fn requested(adapter: &wgpu::Limits) -> wgpu::Limits {
    wgpu::Limits {
        max_buffer_size: adapter.max_buffer_size,
        max_storage_buffer_binding_size: adapter.max_storage_buffer_binding_size,
        ..wgpu::Limits::default()
    }
}

fn keep_first(sink: &Mutex<Option<String>>, message: String) {
    sink.lock().expect("no holder of this lock panics").get_or_insert(message);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn webgpus_defaults_suffice() {
        assert_eq!(suffices("any", &wgpu::Limits::default()), Ok(()));
    }

    /// OpenGL ES 3.1 and old phones: half the storage buffers.
    #[test]
    fn an_adapter_below_them_is_refused_with_the_limit_what_is_needed_and_what_is_there() {
        let error =
            suffices("an old phone", &wgpu::Limits::downlevel_defaults()).expect_err("it is too small");
        let text =
            "adapter `an old phone` is too small: `maxStorageBuffersPerShaderStage`: needed 8, available 4";
        assert_eq!(error.to_string(), text);
    }
}
