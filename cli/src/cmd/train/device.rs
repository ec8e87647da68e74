//! The device of a training, alone or as one of several ranks.

use super::error::StartError;
use super::role::Part;
use crate::config::RunSettings;
use crate::device::{Device, Target, own_gpu};
use golf_core::backend::Backend;
use golf_core::collective::HostCollective;
use golf_core::train::TrainError;
use golf_core::train::metrics::Sink;
use golf_core::train::recipe::Precision;
use golf_core::train::session::{self, Job, Outcome};
use golf_core::train::share::Reduction;
use golf_cuda::{Cuda, DeviceCollective, Nccl};
use std::error::Error;

/// An open device.
pub(super) enum Opened {
    /// One whose states are summed through the host.
    Any(Box<dyn Backend>),
    /// An NVIDIA GPU, which may be connected to those of other ranks.
    Cuda(Box<Cuda>),
}

impl Opened {
    /// Opens it. Ranks that share a machine share its cores, and `cuda` without a number is each one's own GPU.
    pub fn new(run: &RunSettings, precision: Precision, part: Option<&Part>) -> Result<Self, Box<dyn Error>> {
        let mut device: Device = run.device.parse().map_err(StartError::Device)?;
        if let ("cuda", Some(local)) = (run.device.as_str(), part.and_then(|part| part.local_rank)) {
            let visible = std::env::var("CUDA_VISIBLE_DEVICES").ok();
            device = Device::Cuda(own_gpu(local, visible.as_deref()));
        }
        let shared = part.and_then(|part| part.local_size).filter(|ranks| *ranks > 1);
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        let threads = match run.threads {
            0 => shared.map(|ranks| (cores() / ranks).max(1)),
            threads => Some(threads),
        };
        let target = Target { threads, precision, ..Target::from(device) };
        Ok(match device {
            Device::Cuda(index) => Opened::Cuda(Box::new(target.cuda(index)?)),
            _ => Opened::Any(target.open()?),
        })
    }

    /// The backend on it.
    pub fn backend(&mut self) -> &mut dyn Backend {
        match self {
            Opened::Any(backend) => backend.as_mut(),
            Opened::Cuda(cuda) => cuda.as_mut(),
        }
    }

    /// Trains as one of several ranks: GPUs by NCCL where all ranks have it, everything else through the host.
    pub async fn run_on_ranks(
        &mut self,
        part: &mut Part,
        reduction: Reduction,
        job: Job<'_>,
        sink: &mut dyn Sink,
    ) -> Result<Outcome, TrainError> {
        if let Opened::Cuda(cuda) = self {
            match Nccl::meet(cuda, &mut part.transport)? {
                Ok(nccl) => {
                    let mut ranks = DeviceCollective::new(cuda, &mut part.transport, nccl);
                    return session::run_on_ranks(&mut ranks, reduction, job, sink).await;
                }
                Err(reason) if part.rank == 0 => {
                    eprintln!(
                        "warning: gradients are summed through the hosts: {}",
                        reason.replace('\n', "; ")
                    );
                }
                Err(_) => {}
            }
        }
        let mut ranks = HostCollective::new(self.backend(), &mut part.transport);
        session::run_on_ranks(&mut ranks, reduction, job, sink).await
    }
}
