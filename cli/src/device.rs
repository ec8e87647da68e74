//! Which executor a command runs on.

use clap::ValueEnum;
use golf_core::backend::Backend;
use golf_core::cpu::Cpu;
use golf_core::reference::Reference;

/// An executor by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Device {
    /// Fast f32 on all cores.
    Cpu,
    /// The f64 oracle: exact and slow.
    Reference,
}

impl Device {
    /// Opens the device; `threads` of `None` means all cores.
    pub fn open(self, threads: Option<usize>) -> Box<dyn Backend> {
        match (self, threads) {
            (Device::Cpu, None) => Box::new(Cpu::new()),
            (Device::Cpu, Some(n)) => Box::new(Cpu::with_threads(n)),
            (Device::Reference, _) => Box::new(Reference::new()),
        }
    }
}
