//! Which executor a command runs on: its name, what `auto` means here, and how it is opened.
//!
//! Not here: the flags ([`crate::flags`]) and what there is on a machine (`golf doctor`).

use golf_core::backend::Backend;
use golf_core::cpu::Cpu;
use golf_core::plan::PlanOptions;
use golf_core::reference::Reference;
use golf_core::train::recipe::Precision;
use golf_cuda::Cuda;
use golf_wgpu::{DeviceError, Switch, Wgpu, adapters};
use pollster::block_on;
use std::fmt;
use std::str::FromStr;
use thiserror::Error;

/// An executor by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Device {
    /// The first GPU that opens, else the CPU; never a GPU in software.
    Auto,
    /// Fast f32 on all cores.
    Cpu,
    /// The f64 oracle: exact and slow.
    Reference,
    /// An adapter of wgpu by its number in `golf doctor`; 0 is the most capable.
    Wgpu(usize),
    /// An NVIDIA GPU by the number that its driver gives it; without one the first, or the one of this rank.
    Cuda(Option<usize>),
}

/// Why a device did not open.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// An adapter of wgpu.
    #[error(transparent)]
    Wgpu(#[from] DeviceError),
    /// An NVIDIA GPU.
    #[error(transparent)]
    Cuda(#[from] golf_cuda::DeviceError),
    /// A device that forms products in f32 only.
    #[error(
        "device `{device}` forms products in f32, not in bf16\nhint: `--precision f32`, or an NVIDIA GPU (`--device cuda`)"
    )]
    Precision {
        /// The device.
        device: Device,
    },
}

/// A device name that is none.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("no device `{got}`: expected `auto`, `cpu`, `reference`, `wgpu`, `wgpu:N`, `cuda` or `cuda:N`")]
pub struct DeviceNameError {
    /// What was given.
    pub got: String,
}

impl FromStr for Device {
    type Err = DeviceNameError;

    fn from_str(text: &str) -> Result<Self, DeviceNameError> {
        let wrong = || DeviceNameError { got: text.to_owned() };
        // Digits only: `usize` also reads `+1`.
        let index = |digits: &str| digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok());
        match text {
            "auto" => Ok(Device::Auto),
            "cpu" => Ok(Device::Cpu),
            "reference" => Ok(Device::Reference),
            "wgpu" => Ok(Device::Wgpu(0)),
            "cuda" => Ok(Device::Cuda(None)),
            other => {
                let numbered = |prefix| other.strip_prefix(prefix).and_then(index).flatten();
                let wgpu = numbered("wgpu:").map(Device::Wgpu);
                wgpu.or_else(|| numbered("cuda:").map(Some).map(Device::Cuda)).ok_or_else(wrong)
            }
        }
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Device::Auto => f.write_str("auto"),
            Device::Cpu => f.write_str("cpu"),
            Device::Reference => f.write_str("reference"),
            Device::Wgpu(index) => write!(f, "wgpu:{index}"),
            Device::Cuda(None) => f.write_str("cuda"),
            Device::Cuda(Some(index)) => write!(f, "cuda:{index}"),
        }
    }
}

impl Device {
    /// How training forms products on it unless somebody says otherwise: on tensor cores, where there are any, as the
    /// published scripts do. Scores are in f32 unless asked for.
    pub fn training_precision(self) -> Precision {
        match self {
            Device::Cuda(_) => Precision::Bf16,
            Device::Auto | Device::Cpu | Device::Reference | Device::Wgpu(_) => Precision::F32,
        }
    }

    /// Tokens at a time that keep it busy in scoring and test-time training, as one of `ranks` that share a chunk.
    pub fn batch_tokens(self, ranks: usize) -> usize {
        match self {
            Device::Cuda(_) => (32_768 / ranks).max(4096),
            Device::Auto | Device::Cpu | Device::Reference | Device::Wgpu(_) => 8192,
        }
    }

    /// The device that `auto` means on this machine, said on stderr with the reason; any other device is itself.
    pub fn settled(self) -> Device {
        if self != Device::Auto {
            return self;
        }
        let found = block_on(adapters());
        let found: Vec<(String, bool)> =
            found.iter().map(|adapter| (adapter.info().name, adapter.is_software())).collect();
        let opens = |index| block_on(Wgpu::open(index)).map(drop);
        let (device, reason) = choose(&found, opens);
        eprintln!("device: {device} ({reason})");
        device
    }
}

/// The GPU of rank `local` of its machine, of those that this process sees (`CUDA_VISIBLE_DEVICES`): that of its number,
/// unless the launcher gave every rank one of its own.
pub fn own_gpu(local: usize, visible: Option<&str>) -> usize {
    let single = visible.is_some_and(|list| list.split(',').filter(|id| !id.trim().is_empty()).count() == 1);
    if single { 0 } else { local }
}

/// The first adapter of `found` (name, whether it is software) that is a GPU and opens, else the CPU; and why.
fn choose(
    found: &[(String, bool)],
    mut opens: impl FnMut(usize) -> Result<(), DeviceError>,
) -> (Device, String) {
    let mut refusals = Vec::new();
    for (index, (name, _)) in found.iter().enumerate().filter(|(_, (_, software))| !software) {
        match opens(index) {
            Ok(()) => return (Device::Wgpu(index), format!("auto: GPU `{name}`")),
            Err(error) => refusals.push(error.to_string().replace('\n', "; ")),
        }
    }
    let reason = match (found.is_empty(), refusals.is_empty()) {
        (true, _) => "no GPU adapter".to_owned(),
        (false, true) => "only GPUs in software".to_owned(),
        (false, false) => refusals.join("; "),
    };
    (Device::Cpu, format!("auto: {reason}"))
}

/// A device, and how a run uses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// The executor.
    pub device: Device,
    /// Threads of the CPU; `None` means all cores.
    pub threads: Option<usize>,
    /// Fill what no kernel may read with NaN.
    pub poison: bool,
    /// Seed of the roundings that the oracle adds to measure conditioning, those of `precision`; other devices round by
    /// themselves.
    pub noise: Option<u64>,
    /// Passes of the planner.
    pub plans: PlanOptions,
    /// How products are formed; a device that has no choice refuses all but f32.
    pub precision: Precision,
}

impl From<Device> for Target {
    fn from(device: Device) -> Self {
        Self {
            device,
            threads: None,
            poison: false,
            noise: None,
            plans: PlanOptions::default(),
            precision: Precision::F32,
        }
    }
}

impl Target {
    /// The same with `auto` settled.
    pub fn settled(self) -> Target {
        Target { device: self.device.settled(), ..self }
    }

    /// A CPU that holds no states.
    pub fn cpu(&self) -> Cpu {
        let cpu = self.threads.map_or_else(Cpu::new, Cpu::with_threads);
        if self.poison { cpu.with_poison() } else { cpu }
    }

    /// Adapter number `index` with no states.
    pub fn wgpu(&self, index: usize) -> Result<Wgpu, DeviceError> {
        let wgpu = block_on(Wgpu::open(index))?;
        Ok(if self.poison { wgpu.with_poison() } else { wgpu })
    }

    /// NVIDIA GPU number `index`, the first without one, with no states.
    pub fn cuda(&self, index: Option<usize>) -> Result<Cuda, golf_cuda::DeviceError> {
        let cuda = Cuda::open(index.unwrap_or(0))?.with_precision(cuda_precision(self.precision));
        Ok(if self.poison { cuda.with_poison() } else { cuda })
    }

    /// Refuses a precision that the device does not have.
    pub fn check_precision(&self) -> Result<(), OpenError> {
        match (self.device, self.precision) {
            (Device::Cuda(_), _) | (_, Precision::F32) => Ok(()),
            (Device::Reference, Precision::Bf16) if self.noise.is_some() => Ok(()),
            (device, Precision::Bf16) => Err(OpenError::Precision { device }),
        }
    }

    /// The device with no states.
    pub fn open(&self) -> Result<Box<dyn Backend>, OpenError> {
        Ok(self.open_with_switch()?.0)
    }

    /// The device with no states, and what can destroy it, if it is one that can be lost.
    pub fn open_with_switch(&self) -> Result<(Box<dyn Backend>, Option<Switch>), OpenError> {
        let settled = self.settled();
        settled.check_precision()?;
        let backend: Box<dyn Backend> = match settled.device {
            Device::Wgpu(index) => {
                let wgpu = self.wgpu(index)?;
                let switch = wgpu.switch();
                return Ok((Box::new(wgpu), Some(switch)));
            }
            Device::Cuda(index) => Box::new(self.cuda(index)?),
            Device::Reference => Box::new(match (self.noise, self.poison) {
                (Some(seed), _) if self.precision == Precision::Bf16 => {
                    Reference::with_noise(seed).with_bf16()
                }
                (Some(seed), _) => Reference::with_noise(seed),
                (None, true) => Reference::with_poison(),
                (None, false) => Reference::new(),
            }),
            Device::Cpu | Device::Auto => Box::new(self.cpu()),
        };
        Ok((backend, None))
    }

    /// Threads that compute; `None` where they are not the host's.
    pub fn host_threads(&self) -> Option<usize> {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        match self.device {
            Device::Wgpu(_) | Device::Cuda(_) => None,
            Device::Reference => Some(1),
            Device::Cpu | Device::Auto => Some(self.threads.unwrap_or_else(cores)),
        }
    }
}

/// The same in the words of the CUDA backend.
pub fn cuda_precision(precision: Precision) -> golf_cuda::Precision {
    match precision {
        Precision::F32 => golf_cuda::Precision::F32,
        Precision::Bf16 => golf_cuda::Precision::Bf16,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_precision_that_a_device_does_not_have_is_refused() {
        let target = |device| Target { precision: Precision::Bf16, ..Target::from(device) };
        for device in [Device::Cpu, Device::Reference, Device::Wgpu(0)] {
            let error = target(device).open().err().expect("no bf16 there").to_string();
            assert!(error.contains(&device.to_string()) && error.contains("--precision f32"), "{error}");
        }
        target(Device::Cuda(None)).check_precision().expect("CUDA has it");
    }

    #[test]
    fn a_rank_takes_the_gpu_of_its_number_or_the_only_one_it_sees() {
        assert_eq!(own_gpu(3, None), 3);
        assert_eq!(own_gpu(3, Some("0,1,2,3")), 3);
        assert_eq!(own_gpu(3, Some("6")), 0);
        assert_eq!(own_gpu(1, Some("GPU-5f1e,GPU-77aa")), 1);
    }

    #[test]
    fn device_names_are_read_as_they_are_printed() {
        for device in [
            Device::Auto,
            Device::Cpu,
            Device::Reference,
            Device::Wgpu(12),
            Device::Cuda(None),
            Device::Cuda(Some(3)),
        ] {
            assert_eq!(device.to_string().parse(), Ok(device));
        }
        assert_eq!("wgpu".parse(), Ok(Device::Wgpu(0)));
        assert_eq!("cuda:0".parse(), Ok(Device::Cuda(Some(0))));
    }

    #[test]
    fn other_names_are_refused_with_the_choices() {
        let huge = format!("wgpu:{}0", usize::MAX);
        for text in ["", "gpu", "CPU", "wgpu:", "wgpu:-1", "wgpu:+1", "wgpu:1x", "cuda:", "cuda0", &huge] {
            let error = text.parse::<Device>().expect_err(text).to_string();
            assert!(error.contains(&format!("`{text}`")) && error.contains("`cuda:N`"), "{error}");
        }
    }

    #[test]
    fn auto_takes_the_first_gpu_that_opens_and_never_software() {
        let found = |list: &[(&str, bool)]| -> Vec<(String, bool)> {
            list.iter().map(|(name, software)| ((*name).to_owned(), *software)).collect()
        };
        let broken = |index| match index {
            0 => Err(DeviceError::Refused { adapter: "a".to_owned(), reason: "busy".to_owned() }),
            _ => Ok(()),
        };
        let (a_b_soft, soft) = (found(&[("a", false), ("b", false), ("s", true)]), found(&[("s", true)]));
        assert_eq!(choose(&a_b_soft, |_| Ok(())).0, Device::Wgpu(0));
        assert_eq!(choose(&a_b_soft, broken).0, Device::Wgpu(1));
        assert_eq!(choose(&soft, |_| Ok(())).0, Device::Cpu);
        assert_eq!(choose(&[], |_| Ok(())), (Device::Cpu, "auto: no GPU adapter".to_owned()));
        let (device, reason) = choose(&found(&[("a", false)]), broken);
        assert!(device == Device::Cpu && reason.contains("busy"), "{reason}");
    }
}
