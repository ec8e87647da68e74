//! Collectives that do not end: a thread that looks after those that are queued on a device.
//!
//! A device that waits for another one says nothing, and the host behind it waits with it. So two events on the link's stream
//! mark where every collective begins and ends, and this thread looks at them. The first comes behind everything that was queued
//! before, so long work on the device, or a recording that is launched, is no wait. If the wait for the others is over, or the
//! library tells of a failure, all ranks are told, what the device holds is no longer believed, and the library's work on the
//! device is stopped, which wakes the host.
//!
//! Invariant: nobody waits for this thread, nor it for the device. Recordings are captured by their own threads alone, so what
//! another thread asks meanwhile does not spoil them.

use super::functions::Communicator;
use crate::device::{Beside, Halt};
use cudarc::driver::{CudaEvent, DriverError};
use golf_core::collective::{CollectiveError, Lookout, Progress, Wait};
use std::collections::VecDeque;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Time between two looks.
const TICK: Duration = Duration::from_millis(50);

/// The thread, ended when dropped.
pub(super) struct Watch {
    queue: Arc<Queue>,
    /// `None` when it is to end.
    end: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Collectives that are not known to be done.
#[derive(Default)]
struct Queue(Mutex<Queued>);

#[derive(Default)]
struct Queued {
    waiting: VecDeque<Collective>,
    /// How many were queued.
    count: u64,
    /// Events to be used again.
    spare: Vec<CudaEvent>,
}

/// One of them.
struct Collective {
    call: String,
    begin: CudaEvent,
    /// `None` while it is being queued.
    end: Option<CudaEvent>,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Queued> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queued {
    /// How far the device is; collectives that are done are forgotten.
    fn progress(&mut self) -> Result<Progress, DriverError> {
        while let Some(Collective { end: Some(end), .. }) = self.waiting.front() {
            if !end.try_is_complete()? {
                break;
            }
            let done = self.waiting.pop_front().expect("it was just seen");
            self.spare.extend([Some(done.begin), done.end].into_iter().flatten());
        }
        let done = self.count - self.waiting.len() as u64;
        let begins = self.waiting.front().map_or(Ok(false), |first| first.begin.try_is_complete())?;
        Ok(Progress { queued: self.count, begun: done + u64::from(begins), done })
    }
}

impl Watch {
    /// Begins to watch what is queued on `beside`.
    pub fn begin(
        beside: &Beside,
        communicator: Arc<Communicator>,
        lookout: Arc<dyn Lookout>,
        halt: Halt,
    ) -> Self {
        let queue = Arc::<Queue>::default();
        let (end, ended) = channel();
        let (context, queued) = (beside.context().clone(), queue.clone());
        let limits = lookout.limits();
        let patience = limits.silence.unwrap_or(limits.lateness);
        let tick = TICK.min(patience / 8);
        let watch = move || {
            if context.bind_to_thread().is_err() {
                return;
            }
            let (mut wait, mut last) = (Wait::default(), Instant::now());
            while ended.recv_timeout(tick) == Err(RecvTimeoutError::Timeout) {
                let mut passed = last.elapsed();
                last = Instant::now();
                if passed > patience / 2 {
                    // This process was suspended, and has heard nobody meanwhile: time begins anew.
                    (wait, passed) = (Wait::default(), Duration::ZERO);
                }
                // What the device itself fails with it tells the host.
                let Ok(over) = look(&queued, &mut wait, passed, &communicator, &*lookout) else { return };
                if let Some(error) = over {
                    halt.set(&error.to_string());
                    lookout.end(&error);
                    return communicator.abort();
                }
            }
        };
        Self { queue, end: Some(end), thread: Some(thread::spawn(watch)) }
    }

    /// What is queued on `beside` from now on is the collective `call`.
    pub fn begins(&self, call: &str, beside: &Beside) -> Result<(), DriverError> {
        let begin = self.event(beside)?;
        let mut queued = self.queue.lock();
        queued.waiting.push_back(Collective { call: call.to_owned(), begin, end: None });
        queued.count += 1;
        Ok(())
    }

    /// All of it is queued.
    pub fn ends(&self, beside: &Beside) -> Result<(), DriverError> {
        let end = self.event(beside)?;
        let mut queued = self.queue.lock();
        queued.waiting.back_mut().expect("one that has no end is not forgotten").end = Some(end);
        Ok(())
    }

    /// An event behind what is queued so far. The driver may let a call wait for its device, so the queue is not held meanwhile.
    fn event(&self, beside: &Beside) -> Result<CudaEvent, DriverError> {
        let spare = self.queue.lock().spare.pop();
        beside.event(spare)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.end.take();
        // A panic of the thread has been printed.
        let _panicked = self.thread.take().map(JoinHandle::join);
    }
}

/// Looks once: why the collective in which the device is will not end, if that is so.
fn look(
    queue: &Queue,
    wait: &mut Wait,
    passed: Duration,
    communicator: &Communicator,
    lookout: &dyn Lookout,
) -> Result<Option<CollectiveError>, DriverError> {
    let (progress, call) = {
        let mut queued = queue.lock();
        (queued.progress()?, queued.waiting.front().map(|first| first.call.clone()))
    };
    lookout.tell(progress);
    let Some(call) = call.filter(|_| progress.begun > progress.done) else { return Ok(None) };
    let failed = |reason: String| CollectiveError::Failed {
        rank: lookout.rank(),
        reason: format!("NCCL: `{call}` on the devices: {reason}"),
    };
    let over = lookout.fault(&call).or_else(|| communicator.failure().map(failed));
    Ok(over.or_else(|| wait.look(&call, progress.begun, passed, &lookout.seen(), lookout.limits())))
}
