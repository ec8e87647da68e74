//! The backends under test, as data. One that this machine does not have is skipped with its reason.
//!
//! Environment variables choose, by names joined by commas, of which an unknown one is an error: what `REQUIRE_BACKENDS` names
//! must be there; what `ONLY_BACKENDS` names must be there too, and nothing else is tested. `GOLF_DEVICE` (`cuda:N`) says which
//! NVIDIA GPU is meant; without it, or where it names no such GPU, it is the first.

use golf_core::backend::Backend;
use golf_core::cpu::Cpu;
use golf_cuda::{Cuda, Device, Driver, Emulator, Order};
use golf_wgpu::Wgpu;
use std::env::var;
use std::fmt::Display;

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

/// The NVIDIA GPU that is meant.
fn cuda(poison: bool) -> Result<Box<dyn Backend>, String> {
    Device::open(gpu_number()).map(|device| over(device, poison)).map_err(|error| error.to_string())
}

/// CUDA's kernels on the host's C++ compiler: it shows their results, not their speed.
fn cuda_emulated(poison: bool) -> Result<Box<dyn Backend>, String> {
    Emulator::new(Order::Forwards).map(|device| over(device, poison)).map_err(|error| error.to_string())
}

fn over<D: Driver + 'static>(driver: D, poison: bool) -> Box<dyn Backend> {
    let cuda = Cuda::over(driver);
    Box::new(if poison { cuda.with_poison() } else { cuda })
}

/// Number of the NVIDIA GPU that `GOLF_DEVICE` means.
pub fn gpu_number() -> usize {
    numbered(&var("GOLF_DEVICE").unwrap_or_default()).unwrap_or_else(|got| {
        panic!("`GOLF_DEVICE` names no device `{got}`: expected the number of a GPU behind `cuda:`")
    })
}

/// The number behind `cuda:`; 0 for all other devices.
fn numbered(device: &str) -> Result<usize, &str> {
    device.strip_prefix("cuda:").map_or(Ok(0), |digits| digits.parse().map_err(|_| device))
}

/// What the environment says of a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Never,
    IfThere,
    Always,
}

/// What these values of `REQUIRE_BACKENDS` and `ONLY_BACKENDS` say of the backend `name`.
fn asked(name: &str, required: &str, only: &str) -> Result<Asked, String> {
    let [required, only] = [names("REQUIRE_BACKENDS", required)?, names("ONLY_BACKENDS", only)?];
    Ok(match (only.contains(&name), required.contains(&name)) {
        (true, _) => Asked::Always,
        (false, _) if !only.is_empty() => Asked::Never,
        (false, true) => Asked::Always,
        (false, false) => Asked::IfThere,
    })
}

/// The backends that `variable` names.
fn names<'a>(variable: &str, value: &'a str) -> Result<Vec<&'a str>, String> {
    let names: Vec<&str> = value.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
    match names.iter().find(|name| CANDIDATES.iter().all(|candidate| candidate.name != **name)) {
        Some(unknown) => Err(format!(
            "`{variable}` names an unknown backend `{unknown}`\nhint: there are {}",
            CANDIDATES.iter().map(|candidate| candidate.name).collect::<Vec<_>>().join(", ")
        )),
        None => Ok(names),
    }
}

/// The backend `name`, if the environment lets it be tested and `make` makes one; what is left out is said. Panics where it is
/// asked for and not there.
pub fn open<T, E: Display>(name: &str, make: impl FnOnce() -> Result<T, E>) -> Option<T> {
    let [required, only] =
        ["REQUIRE_BACKENDS", "ONLY_BACKENDS"].map(|variable| var(variable).unwrap_or_default());
    let asked = asked(name, &required, &only).unwrap_or_else(|error| panic!("{error}"));
    if asked == Asked::Never {
        println!("SKIPPED backend `{name}`: `ONLY_BACKENDS` is {only}");
        return None;
    }
    match make() {
        Ok(made) => Some(made),
        Err(reason) => {
            assert!(asked != Asked::Always, "backend `{name}` is required but unavailable: {reason}");
            println!("SKIPPED backend `{name}`: {reason}");
            None
        }
    }
}

/// The backends that are tested on this machine, poisoned. Panics when one that is asked for is missing or unknown.
pub fn available() -> Vec<(&'static Candidate, Box<dyn Backend>)> {
    let made = CANDIDATES
        .iter()
        .map(|candidate| Some((candidate, open(candidate.name, || (candidate.make)(true))?)));
    made.flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backend_is_asked_for_by_name_and_shuts_the_others_out_only_where_it_is_the_only_one() {
        let of = |name, required, only| asked(name, required, only).expect("known names");
        assert_eq!(of("cuda", "", ""), Asked::IfThere);
        assert_eq!(
            [of("cpu", "cpu, wgpu", ""), of("cuda", "cpu, wgpu", "")],
            [Asked::Always, Asked::IfThere]
        );
        assert_eq!(
            ["cuda", "cpu", "cuda-emulated"].map(|name| of(name, "cpu", "cuda")),
            [Asked::Always, Asked::Never, Asked::Never]
        );
    }

    #[test]
    fn an_unknown_backend_is_an_error_that_names_the_variable_and_the_choices() {
        for (required, only, variable) in
            [("cuda0", "", "REQUIRE_BACKENDS"), ("", "cpu,gpu", "ONLY_BACKENDS")]
        {
            let error = asked("cpu", required, only).expect_err("an unknown name");
            assert!(error.contains(variable) && error.contains("cuda-emulated"), "{error}");
        }
    }

    #[test]
    fn a_gpu_is_meant_by_the_number_behind_cuda() {
        assert_eq!(
            ["", "cuda", "cpu", "wgpu:3", "cuda:0", "cuda:7"].map(numbered),
            [0, 0, 0, 0, 0, 7].map(Ok)
        );
        assert_eq!(["cuda:", "cuda:x"].map(numbered), ["cuda:", "cuda:x"].map(Err));
    }
}
