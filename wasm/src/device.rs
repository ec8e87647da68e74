//! The choice of a device: the browser's GPU where it will do, otherwise the CPU, with the reason in words.

use golf_core::backend::Backend;
use golf_core::cpu::Cpu;
use golf_wgpu::{Adapter, DeviceError, Switch, Wgpu, adapters};
use serde::{Deserialize, Serialize};

const COMPLETE: &str = "WebGPU has an adapter with everything that the kernels need.";
const ASKED: &str = "WebGPU was asked for; its adapter is software and slower than the CPU with SIMD.";
const SOFTWARE: &str = "WebGPU offers only a software adapter, which is slower than the CPU with SIMD.";
const NO_ADAPTER: &str = "This browser offers no WebGPU adapter here, or has WebGPU switched off.";

/// What the user asked for.
#[derive(Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Prefer {
    Auto,
    Cpu,
    Webgpu,
}

/// What the user is told.
#[derive(Serialize)]
pub(crate) struct DeviceInfo {
    pub backend: &'static str,
    pub name: String,
    pub reason: String,
    pub features: Vec<&'static str>,
}

enum Kind {
    Cpu(Cpu),
    Gpu(Box<Wgpu>),
}

/// An open device.
pub(crate) struct Device {
    kind: Kind,
    pub info: DeviceInfo,
}

impl Device {
    /// The GPU when it has what the kernels need and is none in name only; under [`Prefer::Webgpu`] any GPU, or none.
    pub async fn open(prefer: Prefer) -> Result<Device, DeviceError> {
        if prefer == Prefer::Cpu {
            return Ok(Device::cpu("The CPU was asked for.".to_owned()));
        }
        let found = adapters().await;
        let software = found.first().is_some_and(|a| a.info().device_type == wgpu::DeviceType::Cpu);
        if software && prefer == Prefer::Auto {
            return Ok(Device::cpu(SOFTWARE.to_owned()));
        }
        match (Wgpu::open(0).await, prefer) {
            (Ok(gpu), _) => Ok(Device::gpu(gpu, found.first(), software)),
            (Err(error), Prefer::Webgpu) => Err(error),
            (Err(DeviceError::NoAdapter), _) => Ok(Device::cpu(NO_ADAPTER.to_owned())),
            (Err(error), _) => Ok(Device::cpu(format!("WebGPU is here, but will not do: {error}."))),
        }
    }

    fn cpu(reason: String) -> Device {
        let simd = cfg!(target_feature = "simd128");
        let name = if simd { "wasm simd128" } else { "wasm" }.to_owned();
        let features = if simd { vec!["simd128"] } else { Vec::new() };
        Device { kind: Kind::Cpu(Cpu::new()), info: DeviceInfo { backend: "cpu", name, reason, features } }
    }

    fn gpu(gpu: Wgpu, adapter: Option<&Adapter>, software: bool) -> Device {
        let (name, features) = adapter.map(|a| (a.info().name, a.features())).unwrap_or_default();
        let features = features.into_iter().filter(|(_, has)| *has).map(|(name, _)| name).collect();
        let reason = if software { ASKED } else { COMPLETE }.to_owned();
        let info = DeviceInfo { backend: "webgpu", name, reason, features };
        Device { kind: Kind::Gpu(Box::new(gpu)), info }
    }

    /// The backend without the states and plans of what ran on it before.
    pub fn cleared(&mut self) -> &mut dyn Backend {
        match &mut self.kind {
            Kind::Cpu(cpu) => {
                *cpu = Cpu::new();
                cpu
            }
            Kind::Gpu(gpu) => {
                gpu.clear();
                &mut **gpu
            }
        }
    }

    pub fn buffer_bytes(&self) -> u64 {
        match &self.kind {
            Kind::Cpu(cpu) => cpu.buffer_bytes(),
            Kind::Gpu(gpu) => gpu.buffer_bytes(),
        }
    }

    pub fn switch(&self) -> Option<Switch> {
        match &self.kind {
            Kind::Cpu(_) => None,
            Kind::Gpu(gpu) => Some(gpu.switch()),
        }
    }
}
