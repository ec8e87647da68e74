//! The device of a process that works alone or as one of several ranks, and the ranks over it.

use super::role::Part;
use crate::device::{Device, OpenError, Target, own_gpu};
use golf_core::backend::Backend;
use golf_core::collective::{Alone, Collective, CollectiveError, HostCollective};
use golf_cuda::{Cuda, DeviceCollective, Nccl};
use golf_wgpu::Switch;

/// An open device.
pub enum Opened {
    /// One whose states are summed through the host, and what can destroy it, if it can be lost.
    Any(Box<dyn Backend>, Option<Switch>),
    /// An NVIDIA GPU, which may be connected to those of other ranks.
    Cuda(Box<Cuda>),
}

impl Opened {
    /// Opens `target` as `part` has it.
    pub fn new(target: Target, part: Option<&Part>) -> Result<Self, OpenError> {
        if target.device == Device::Cuda(None) && part.is_none_or(Part::alone_here) {
            // A machine without a driver is told so when the device is opened.
            let (gpus, rank) =
                (golf_cuda::devices().map_or(0, |(_, gpus)| gpus.len()), part.map(|part| part.rank));
            unused(gpus, rank).iter().for_each(|note| eprintln!("{note}"));
        }
        let target = part.map_or(target, |part| of_rank(target, part)).settled();
        Ok(match target.device {
            Device::Cuda(index) => Opened::Cuda(Box::new(target.cuda(index)?)),
            _ => {
                let (backend, switch) = target.open_with_switch()?;
                Opened::Any(backend, switch)
            }
        })
    }

    /// What can destroy the device.
    pub fn take_switch(&mut self) -> Option<Switch> {
        match self {
            Opened::Any(_, switch) => switch.take(),
            Opened::Cuda(_) => None,
        }
    }

    /// Bytes of memory of a GPU that says so.
    pub fn total_memory(&self) -> Option<u64> {
        match self {
            Opened::Any(..) => None,
            Opened::Cuda(cuda) => Some(cuda.driver().info().memory),
        }
    }

    /// The backend on it.
    pub fn backend(&mut self) -> &mut dyn Backend {
        match self {
            Opened::Any(backend, _) => backend.as_mut(),
            Opened::Cuda(cuda) => cuda.as_mut(),
        }
    }

    /// All ranks, this one's states on this device: GPUs are connected by NCCL where all ranks have it, everything else through
    /// the hosts. Without a part, this process alone.
    pub fn collective<'a>(
        &'a mut self,
        part: Option<&'a mut Part>,
    ) -> Result<Box<dyn Collective + 'a>, CollectiveError> {
        let Some(part) = part else { return Ok(Box::new(Alone::new(self.backend()))) };
        let transport = &mut part.transport;
        match self {
            Opened::Any(backend, _) => Ok(Box::new(HostCollective::new(backend.as_mut(), transport))),
            Opened::Cuda(cuda) => match Nccl::meet(cuda, transport)? {
                Ok(nccl) => Ok(Box::new(DeviceCollective::new(cuda, transport, nccl))),
                Err(reason) => {
                    if part.rank == 0 {
                        let reason = reason.replace('\n', "; ");
                        eprintln!("warning: gradients are summed through the hosts: {reason}");
                    }
                    Ok(Box::new(HostCollective::new(cuda.as_mut(), transport)))
                }
            },
        }
    }
}

/// What to say where one process works on a machine with `gpus` GPUs, as `rank` of several if it is one.
fn unused(gpus: usize, rank: Option<usize>) -> Option<String> {
    let (who, scope) =
        rank.map_or_else(Default::default, |rank| (format!("rank {rank}: "), " on each machine"));
    (gpus > 1).then(|| {
        format!("{who}device: cuda:0, the first of {gpus} GPUs; `--gpus {gpus}` uses all{scope}, `--device cuda:0` only this one")
    })
}

/// Ranks that share a machine share its cores, and `cuda` without a number is each one's own GPU.
fn of_rank(target: Target, part: &Part) -> Target {
    let device = match (target.device, part.local_rank) {
        (Device::Cuda(None), Some(local)) => {
            let visible = std::env::var("CUDA_VISIBLE_DEVICES").ok();
            Device::Cuda(Some(own_gpu(local, visible.as_deref())))
        }
        (device, _) => device,
    };
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    let shared = part.local_size.filter(|ranks| *ranks > 1).map(|ranks| (cores() / ranks).max(1));
    Target { device, threads: target.threads.or(shared), ..target }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gpus_that_would_stand_idle_are_told() {
        assert_eq!((unused(0, None), unused(1, Some(3))), (None, None));
        let note = unused(8, Some(3)).expect("seven are idle");
        assert!(
            note.starts_with("rank 3: device: cuda:0, the first of 8") && note.contains("`--gpus 8`"),
            "{note}"
        );
        assert!(!unused(2, None).expect("one is idle").contains("each machine"));
    }
}
