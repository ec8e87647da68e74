//! The backends under test, as data. One that this machine does not have is skipped with its reason, unless the
//! environment variable `REQUIRE_BACKENDS` (names joined by commas) asks for it.

use golf_core::backend::Backend;
use golf_core::cpu::Cpu;
use golf_cuda::{Cuda, Device, Driver, Emulator, Order};
use golf_wgpu::Wgpu;

/// One backend.
pub struct Candidate {
    /// Its name, as in `REQUIRE_BACKENDS`.
    pub name: &'static str,
    /// Unit roundoff of its arithmetic.
    pub unit: f64,
    /// Makes one, with poisoned buffers or without, or says why there is none.
    pub make: fn(poison: bool) -> Result<Box<dyn Backend>, String>,
}

/// Every backend of the project but the oracle.
pub const CANDIDATES: &[Candidate] = &[
    Candidate { name: "cpu", unit: crate::tolerance::F32, make: cpu },
    Candidate { name: "wgpu", unit: crate::tolerance::F32, make: wgpu },
    Candidate { name: "cuda", unit: crate::tolerance::F32, make: cuda },
    Candidate { name: "cuda-emulated", unit: crate::tolerance::F32, make: cuda_emulated },
];

fn cpu(poison: bool) -> Result<Box<dyn Backend>, String> {
    let cpu = Cpu::new();
    Ok(Box::new(if poison { cpu.with_poison() } else { cpu }))
}

/// The first adapter, whatever it is: a software one counts.
fn wgpu(poison: bool) -> Result<Box<dyn Backend>, String> {
    let wgpu = crate::run::wait(Wgpu::open(0)).map_err(|error| error.to_string())?;
    Ok(Box::new(if poison { wgpu.with_poison() } else { wgpu }))
}

/// The first NVIDIA GPU.
fn cuda(poison: bool) -> Result<Box<dyn Backend>, String> {
    Device::open(0).map(|device| over(device, poison)).map_err(|error| error.to_string())
}

/// CUDA's kernels on the host's C++ compiler: it shows their results, not their speed.
fn cuda_emulated(poison: bool) -> Result<Box<dyn Backend>, String> {
    Emulator::new(Order::Forwards).map(|device| over(device, poison)).map_err(|error| error.to_string())
}

fn over<D: Driver + 'static>(driver: D, poison: bool) -> Box<dyn Backend> {
    let cuda = Cuda::over(driver);
    Box::new(if poison { cuda.with_poison() } else { cuda })
}

/// The backends that this machine has, poisoned. Panics when a required one is missing or unknown.
pub fn available() -> Vec<(&'static Candidate, Box<dyn Backend>)> {
    let required = std::env::var("REQUIRE_BACKENDS").unwrap_or_default();
    let required: Vec<&str> = required.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
    for name in &required {
        assert!(
            CANDIDATES.iter().any(|c| c.name == *name),
            "`REQUIRE_BACKENDS` names an unknown backend `{name}`"
        );
    }
    let mut found = Vec::new();
    for candidate in CANDIDATES {
        match (candidate.make)(true) {
            Ok(backend) => found.push((candidate, backend)),
            Err(reason) if required.contains(&candidate.name) => {
                panic!("backend `{}` is required but unavailable: {reason}", candidate.name)
            }
            Err(reason) => println!("SKIPPED backend `{}`: {reason}", candidate.name),
        }
    }
    found
}
