//! The receiving side of a transport: collects one message from every rank, or says which rank is at fault.
//!
//! Carriers (threads, sockets) deliver what they see as [`Event`]s, each from one rank and in that rank's order; what they
//! mean is decided here, once.

use super::transport::Message;
use super::{Call, CollectiveError, Patience, Progress};
use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

/// What a carrier saw of a rank.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Its message to this rank in its next call.
    Part {
        /// Name of the call.
        call: String,
        /// The message.
        bytes: Message,
    },
    /// It says that the run is over.
    Abort {
        /// The rank at fault.
        culprit: usize,
        /// Why.
        reason: String,
    },
    /// It ended before it said that it was done.
    Gone {
        /// How that shows.
        reason: String,
    },
    /// It ended after it said that it was done.
    Left,
    /// A sign of life.
    Alive,
    /// A sign of life of a rank whose device works with those of others.
    At(Progress),
    /// What a thread beside this rank's own noticed, which ends the run.
    Noticed(CollectiveError),
}

/// An event and the rank that it is about.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    /// The rank.
    pub from: usize,
    /// What happened.
    pub event: Event,
}

/// How long a rank waits for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest silence of a rank whose carrier gives signs of life; `None` where carriers give none.
    pub silence: Option<Duration>,
    /// Longest wait for a rank in a call of [`Patience::Step`].
    pub lateness: Duration,
}

/// Longest sleep between two looks at the clock.
const TICK: Duration = Duration::from_millis(100);

/// What has come in.
pub struct Inbox {
    rank: usize,
    deliveries: Receiver<Delivery>,
    parts: Vec<VecDeque<(String, Message)>>,
    /// How each rank ended, if it did.
    ended: Vec<Option<String>>,
    heard: Vec<Instant>,
    limits: Limits,
    /// The first failure: no later call succeeds.
    fault: Option<CollectiveError>,
}

impl Inbox {
    /// The inbox of `rank` among `size`.
    pub fn new(rank: usize, size: usize, deliveries: Receiver<Delivery>, limits: Limits) -> Self {
        let heard = vec![Instant::now(); size];
        let (parts, ended) = (vec![VecDeque::new(); size], vec![None; size]);
        Self { rank, deliveries, parts, ended, heard, limits, fault: None }
    }

    /// One message from every other rank, in rank order, with `own` in this rank's place. After a failure every call fails
    /// with it.
    pub fn collect(&mut self, call: Call<'_>, own: Message) -> Result<Vec<Message>, CollectiveError> {
        if let Some(fault) = &self.fault {
            return Err(fault.clone());
        }
        let collected = self.wait(call).and_then(|()| self.hand_over(call, own));
        self.fault = collected.as_ref().err().cloned();
        collected
    }

    /// Until a message from every other rank is there.
    fn wait(&mut self, call: Call<'_>) -> Result<(), CollectiveError> {
        let begin = Instant::now();
        // A failure that is already known comes before any wait.
        while let Ok(delivery) = self.deliveries.try_recv() {
            self.take(delivery)?;
        }
        loop {
            let missing = self.missing();
            if missing.is_empty() {
                return Ok(());
            }
            self.check(call, &missing, begin)?;
            match self.deliveries.recv_timeout(TICK) {
                Ok(delivery) => self.take(delivery)?,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    let reason = "nothing connects to it any more".to_owned();
                    return Err(CollectiveError::Lost {
                        rank: missing[0],
                        call: call.name.to_owned(),
                        reason,
                    });
                }
            }
        }
    }

    /// The messages that came, each of this very call.
    fn hand_over(&mut self, call: Call<'_>, own: Message) -> Result<Vec<Message>, CollectiveError> {
        let mut messages = Vec::with_capacity(self.parts.len());
        for (rank, queue) in self.parts.iter_mut().enumerate() {
            if rank == self.rank {
                messages.push(own.clone());
                continue;
            }
            let (got, bytes) = queue.pop_front().expect("no rank is missing");
            if got != call.name {
                return Err(CollectiveError::OutOfStep { rank, expected: call.name.to_owned(), got });
            }
            messages.push(bytes);
        }
        Ok(messages)
    }

    /// Ranks whose message to the present call has not come.
    fn missing(&self) -> Vec<usize> {
        let waiting = |rank: &usize| *rank != self.rank && self.parts[*rank].is_empty();
        (0..self.parts.len()).filter(waiting).collect()
    }

    fn take(&mut self, delivery: Delivery) -> Result<(), CollectiveError> {
        let Delivery { from, event } = delivery;
        self.heard[from] = Instant::now();
        match event {
            Event::Part { call, bytes } => self.parts[from].push_back((call, bytes)),
            Event::Abort { culprit, reason } => {
                return Err(CollectiveError::Failed { rank: culprit, reason });
            }
            // What it sent before still counts: this call may need no more of it.
            Event::Gone { reason } => self.ended[from] = Some(reason),
            Event::Left => self.ended[from] = Some("it ended its run before".to_owned()),
            Event::Alive | Event::At(_) => {}
            Event::Noticed(error) => return Err(error),
        }
        Ok(())
    }

    /// Gives up on ranks that cannot or do not come.
    fn check(&self, call: Call<'_>, missing: &[usize], begin: Instant) -> Result<(), CollectiveError> {
        let name = || call.name.to_owned();
        let ended = |&rank: &usize| self.ended[rank].clone().map(|reason| (rank, reason));
        if let Some((rank, reason)) = missing.iter().find_map(ended) {
            return Err(CollectiveError::Lost { rank, call: name(), reason });
        }
        if let Some(limit) = self.limits.silence {
            // Not before this wait: a process that was itself suspended has heard nobody for long.
            let silence = |rank: usize| self.heard[rank].max(begin).elapsed();
            if let Some(&rank) = missing.iter().find(|&&rank| silence(rank) > limit) {
                return Err(CollectiveError::Silent { rank, call: name(), silence: silence(rank) });
            }
        }
        let waited = begin.elapsed();
        if call.patience == Patience::Step && waited > self.limits.lateness {
            return Err(CollectiveError::Late { ranks: missing.to_vec(), call: name(), waited });
        }
        Ok(())
    }
}
