//! An evaluation that outlives its device: when the device is lost, another is opened and the run goes on from the last
//! committed chunk. The receipt is that of a run without accidents, on a deterministic device. Ranks do not go on: the others
//! have gone their way.

use super::EvalArgs;
use super::session::{Commit, Session};
use crate::device::{Device, Target};
use crate::ranks::device::Opened;
use crate::ranks::role::Part;
use golf_core::backend::BackendError;
use golf_core::eval::{EvalError, EvalOptions, ModelWeights, Receipt, Snapshot, Stream};
use std::error::Error;

/// Losses in a row, without a chunk between them, after which the run gives up.
const LOSSES: usize = 3;

/// A finished evaluation.
pub(super) struct Finished {
    pub receipt: Receipt,
    /// Chunks that an earlier process had committed.
    pub resumed_at_chunk: usize,
}

/// Runs an evaluation to its end.
pub(super) fn run(
    args: &EvalArgs,
    target: &Target,
    mut part: Option<&mut Part>,
    model: &ModelWeights,
    stream: &Stream,
    options: &EvalOptions,
) -> Result<Finished, Box<dyn Error>> {
    let (together, first) = (part.is_some(), part.as_ref().is_none_or(|part| part.rank == 0));
    let mut last = match args.resume.as_deref().filter(|path| first && path.exists()) {
        Some(path) => Some(Snapshot::load(path)?),
        None => None,
    };
    let resumed_at_chunk = committed(last.as_ref());
    let (mut losses, mut lose_after) = (0, args.lose_device_after);
    loop {
        let begun = committed(last.as_ref());
        let mut device = Opened::new(*target, part.as_deref())?;
        let switch = device.take_switch();
        let ranks = device.collective(part.as_deref_mut())?;
        let mut session = Session::start(args, ranks, model, stream.clone(), options.clone(), last.clone())?;
        let mut keep = |snapshot: Snapshot| {
            if let Some(path) = &args.resume {
                snapshot.save(path)?;
            }
            if let (Some(switch), Some(_)) = (&switch, lose_after.take_if(|n| *n <= snapshot.records.len())) {
                switch.destroy();
            }
            last = Some(snapshot);
            Ok(())
        };
        // A CPU is not lost, and its states are copied only where they are also saved.
        let wanted = first && (args.resume.is_some() || matches!(target.device, Device::Wgpu(_)));
        let mut commit: Commit<'_> = if wanted { Some(&mut keep) } else { None };
        let outcome = session.run(args, &mut commit);
        match outcome {
            Ok(()) => {
                let receipt = session.receipt()?;
                drop(session);
                if first && !args.quiet {
                    device.backend().notes().iter().for_each(|note| eprintln!("note: {note}"));
                }
                return Ok(Finished { receipt, resumed_at_chunk });
            }
            Err(error) if is_lost(&*error) && !together => {
                let done = committed(last.as_ref());
                losses = if done > begun { 1 } else { losses + 1 };
                if losses >= LOSSES {
                    return Err(error);
                }
                eprintln!("warning: {error}\nwarning: opening it again, {done} chunk(s) are committed");
            }
            Err(error) => return Err(error),
        }
    }
}

fn committed(snapshot: Option<&Snapshot>) -> usize {
    snapshot.map_or(0, |snapshot| snapshot.records.len())
}

fn is_lost(error: &(dyn Error + 'static)) -> bool {
    matches!(error.downcast_ref(), Some(EvalError::Backend(BackendError::Lost { .. })))
}
