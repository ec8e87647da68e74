//! NVIDIA's library of collectives between GPUs, found at run time: the [`Link`] of ranks that own a GPU each.
//!
//! Its functions are bound in `functions`, because the library goes by a name (`libnccl.so.2`) that the CUDA bindings do not
//! look for. Ranks use it together or not at all: one without it, or whose GPU another rank has, is told by all. What it does on
//! the devices is looked after by `watch`.

mod functions;
mod watch;

use crate::Cuda;
use crate::device::{Beside, Buffer, Device};
use crate::ranks::{Link, Move};
use functions::{Communicator, Functions, UniqueId};
use golf_core::backend::BackendError;
use golf_core::collective::{Call, CollectiveError, Transport};
use std::sync::Arc;
use watch::Watch;

/// Version of the library, or why it is not used.
pub fn nccl_version() -> Result<(i32, i32), String> {
    let version = Functions::load()?.version()?;
    // 22304 is 2.23.4; before version 2.9 there was a digit less.
    Ok(if version >= 10_000 {
        (version / 10_000, version / 100 % 100)
    } else {
        (version / 1000, version / 100 % 10)
    })
}

/// The GPUs of all ranks, connected.
pub struct Nccl {
    /// Ends before what it looks after.
    watch: Option<Watch>,
    communicator: Arc<Communicator>,
    /// Where moves are queued, so that the device's own work goes on beside them.
    beside: Beside,
}

impl Nccl {
    /// Connects `cuda` to the GPUs of the other ranks of `transport`. The inner result is the same on all of them: a reason
    /// means that none of them has a link.
    pub fn meet(
        cuda: &Cuda<Device>,
        transport: &mut dyn Transport,
    ) -> Result<Result<Nccl, String>, CollectiveError> {
        let functions = agree(transport, "NCCL", Functions::load())?;
        let functions = match functions {
            Ok(functions) => functions,
            Err(reason) => return Ok(Err(reason)),
        };
        if transport.rank() == 0 {
            functions.lacks().inspect(|what| eprintln!("warning: {what}"));
        }
        let mut id = UniqueId([0; 128]);
        if transport.rank() == 0 {
            match functions.unique_id() {
                Ok(made) => id = made,
                // The others have no identifier then; what they do with none fails as well, and all agree below.
                Err(reason) => eprintln!("warning: {reason}"),
            }
        }
        let message = Arc::new(id.0.to_vec());
        let ids = transport.exchange(Call::step("NCCL's identifier"), vec![message; transport.size()])?;
        if let Ok(first) = <[u8; 128]>::try_from(ids[0].as_slice()) {
            id = UniqueId(first);
        }
        let joined = join(functions, cuda, id, [transport.rank(), transport.size()]);
        let joined = joined.and_then(|communicator| {
            let beside = cuda.driver().beside().map_err(|error| error.to_string())?;
            Ok((Arc::new(communicator), beside))
        });
        let joined = agree(transport, "NCCL's communicator", joined)?;
        Ok(joined.map(|(communicator, beside)| {
            let watch = |lookout| Watch::begin(&beside, communicator.clone(), lookout, cuda.driver().halt());
            Nccl { watch: transport.lookout().map(watch), communicator, beside }
        }))
    }
}

fn join(
    functions: Functions,
    cuda: &Cuda<Device>,
    id: UniqueId,
    part: [usize; 2],
) -> Result<Communicator, String> {
    if id.0 == [0; 128] {
        return Err("rank 0 made no identifier".to_owned());
    }
    cuda.driver().bind().map_err(|error| error.to_string())?;
    functions.join(id, part)
}

/// `own`, where every rank has one; otherwise the reason of the first that has none.
fn agree<T>(
    transport: &mut dyn Transport,
    name: &str,
    own: Result<T, String>,
) -> Result<Result<T, String>, CollectiveError> {
    let message = Arc::new(own.as_ref().err().map_or(Vec::new(), |reason| reason.clone().into_bytes()));
    let messages = transport.exchange(Call::step(name), vec![message; transport.size()])?;
    let refusal = messages.iter().enumerate().find(|(_, message)| !message.is_empty());
    Ok(match refusal {
        Some((rank, reason)) => Err(format!("rank {rank}: {}", String::from_utf8_lossy(reason))),
        None => own,
    })
}

impl Link<Device> for Nccl {
    fn run(
        &mut self,
        device: &mut Device,
        call: &str,
        moves: &[(Buffer, usize, Move)],
    ) -> Result<(), BackendError> {
        device.bind()?;
        device.fork(&self.beside)?;
        if let Some(watch) = &self.watch {
            watch.begins(call, &self.beside).map_err(|error| device.failed(error))?;
        }
        let queued = self.communicator.queue(moves, self.beside.handle().cast());
        queued.map_err(|message| device.link_failed(message))?;
        match &self.watch {
            Some(watch) => watch.ends(&self.beside).map_err(|error| device.failed(error)),
            None => Ok(()),
        }
    }

    fn join(&mut self, device: &mut Device) -> Result<(), BackendError> {
        device.join(&self.beside)
    }
}
