//! The backends under test, as data. One that this machine does not have is skipped with its reason, unless the
//! environment variable `REQUIRE_BACKENDS` (names joined by commas) asks for it.

use golf_core::backend::Backend;
use golf_core::cpu::Cpu;
use golf_wgpu::Wgpu;

/// One backend.
pub struct Candidate {
    /// Its name, as in `REQUIRE_BACKENDS`.
    pub name: &'static str,
    /// Unit roundoff of its arithmetic.
    pub unit: f64,
    /// Makes one whose buffers are poisoned, or says why there is none.
    pub make: fn() -> Result<Box<dyn Backend>, String>,
}

/// Every backend of the project but the oracle.
pub const CANDIDATES: &[Candidate] = &[
    Candidate { name: "cpu", unit: crate::tolerance::F32, make: || Ok(Box::new(Cpu::new().with_poison())) },
    Candidate { name: "wgpu", unit: crate::tolerance::F32, make: wgpu },
];

/// The first adapter, whatever it is: a software one counts.
fn wgpu() -> Result<Box<dyn Backend>, String> {
    match crate::run::wait(Wgpu::open(0)) {
        Ok(backend) => Ok(Box::new(backend.with_poison())),
        Err(error) => Err(error.to_string()),
    }
}

/// The backends that this machine has. Panics when a required one is missing or unknown.
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
        match (candidate.make)() {
            Ok(backend) => found.push((candidate, backend)),
            Err(reason) if required.contains(&candidate.name) => {
                panic!("backend `{}` is required but unavailable: {reason}", candidate.name)
            }
            Err(reason) => println!("SKIPPED backend `{}`: {reason}", candidate.name),
        }
    }
    found
}
