//! The choice of a device: the browser's GPU where it will do, otherwise the CPU, with the reason in words.

use golf_core::backend::Backend;
use golf_core::cpu::Cpu;
use golf_wgpu::{DeviceError, Switch, Wgpu, adapters};
use serde::Serialize;

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
    pub async fn open(cpu: bool) -> Device {
        if cpu {
            return Device::cpu("The CPU was asked for.".to_owned());
        }
        match Wgpu::open(0).await {
            Ok(gpu) => Device::gpu(gpu).await,
            Err(DeviceError::NoAdapter) => Device::cpu(
                "This browser offers no WebGPU adapter here, or has WebGPU switched off.".to_owned(),
            ),
            Err(error) => Device::cpu(format!("WebGPU is here, but will not do: {error}.")),
        }
    }

    fn cpu(reason: String) -> Device {
        let simd = cfg!(target_feature = "simd128");
        let name = if simd { "wasm simd128" } else { "wasm" }.to_owned();
        let features = if simd { vec!["simd128"] } else { Vec::new() };
        Device { kind: Kind::Cpu(Cpu::new()), info: DeviceInfo { backend: "cpu", name, reason, features } }
    }

    async fn gpu(gpu: Wgpu) -> Device {
        let found = adapters().await;
        let (name, features) = found.first().map(|a| (a.info().name, a.features())).unwrap_or_default();
        let features = features.into_iter().filter(|(_, has)| *has).map(|(name, _)| name).collect();
        let reason = "WebGPU has an adapter with everything that the kernels need.".to_owned();
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
