//! The other ranks as every thread of this one's process sees them: where to write to them, when they were last heard, how far
//! their devices are, and how the run ends on all of them.
//!
//! A rank that waits for a message notices a failure itself. One that computes, or waits for its device, does not: so what a
//! reader or a [`Lookout`] notices ends this process if the rank does not come to notice in time.

use super::Patience;
use super::wire::write_event;
use golf_core::collective::{CollectiveError, Delivery, Event, Limits, Lookout, Progress, Seen};
use std::io;
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Exit code of a rank that is ended because of another.
const ENDED: i32 = 1;

/// All other ranks.
pub(super) struct Peers {
    rank: usize,
    patience: Patience,
    /// The writing halves of all connections, by rank.
    streams: Vec<Option<Mutex<TcpStream>>>,
    /// This rank's own inbox.
    inbox: Sender<Delivery>,
    /// The run is over for this rank, and all were told.
    over: AtomicBool,
    /// This rank's own thread knows it too.
    parts: AtomicBool,
    known: Mutex<Known>,
}

/// What is known of the run.
struct Known {
    /// How far this rank's device is, where it works with others.
    own: Option<Progress>,
    /// When each rank was last heard, and how far it was.
    heard: Vec<(Instant, Progress)>,
    /// The first failure of another rank.
    fault: Option<Delivery>,
}

impl Peers {
    /// The peers of `rank` at the other ends of `streams`, by rank.
    pub fn new(
        rank: usize,
        patience: Patience,
        streams: Vec<Option<TcpStream>>,
        inbox: Sender<Delivery>,
    ) -> Self {
        let heard = vec![(Instant::now(), Progress::default()); streams.len()];
        let streams = streams.into_iter().map(|stream| stream.map(Mutex::new)).collect();
        let known = Mutex::new(Known { own: None, heard, fault: None });
        let (over, parts) = (AtomicBool::new(false), AtomicBool::new(false));
        Self { rank, patience, streams, inbox, over, parts, known }
    }

    /// Number of ranks.
    pub fn size(&self) -> usize {
        self.streams.len()
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends to one rank, unless it is gone, which its reader notices.
    pub fn send(&self, rank: usize, event: &Event) -> Result<(), CollectiveError> {
        let Some(stream) = &self.streams[rank] else { return Ok(()) };
        let mut stream = stream.lock().unwrap_or_else(PoisonError::into_inner);
        match write_event(&mut *stream, event) {
            Err(error) if is_timeout(&error) => {
                let call = if let Event::Part { call, .. } = event { call.clone() } else { String::new() };
                Err(CollectiveError::Silent { rank, call, silence: self.patience.silence })
            }
            _ => Ok(()),
        }
    }

    /// Tells all how the run ended for this rank, once.
    pub fn tell_end(&self, event: &Event) {
        if self.over.swap(true, Ordering::SeqCst) {
            return;
        }
        for rank in 0..self.size() {
            // A rank that does not even read is ended by its own silence.
            let _gone = self.send(rank, event);
        }
    }

    /// Closes the writing halves.
    pub fn close(&self) {
        self.parts.store(true, Ordering::SeqCst);
        for stream in self.streams.iter().flatten() {
            let stream = stream.lock().unwrap_or_else(PoisonError::into_inner);
            let _closed_already = stream.shutdown(Shutdown::Write);
        }
    }

    /// Sends signs of life until the run is over.
    pub fn show_life(&self, pause: Duration) {
        while !self.over.load(Ordering::SeqCst) {
            let event = self.known().own.map_or(Event::Alive, Event::At);
            for stream in self.streams.iter().flatten() {
                // A connection in use shows life by itself.
                if let Ok(mut stream) = stream.try_lock() {
                    let _gone = write_event(&mut *stream, &event);
                }
            }
            thread::sleep(pause);
        }
    }

    /// Notes what came from a rank, and hands it to this one.
    pub fn deliver(self: &Arc<Self>, from: usize, event: Event) {
        match &event {
            Event::Abort { culprit, reason } => self.warn(format!("rank {culprit} failed: {reason}")),
            Event::Gone { reason } => self.warn(format!("rank {from} is gone: {reason}")),
            _ => {}
        }
        let mut known = self.known();
        known.heard[from].0 = Instant::now();
        if let Event::At(progress) = event {
            known.heard[from].1 = progress;
        }
        if known.fault.is_none() && matches!(event, Event::Abort { .. } | Event::Gone { .. }) {
            known.fault = Some(Delivery { from, event: event.clone() });
        }
        drop(known);
        // Nobody listens any more when this rank is done itself.
        let _done = self.inbox.send(Delivery { from, event });
    }

    /// Ends this process when the run is over elsewhere and this rank does not come to notice.
    fn warn(self: &Arc<Self>, what: String) {
        let peers = self.clone();
        thread::spawn(move || {
            thread::sleep(peers.patience.grace());
            if !peers.over.load(Ordering::SeqCst) {
                peers.exit(&format!("{what}; this rank did not come to its next collective"));
            }
        });
    }

    fn exit(&self, what: &str) -> ! {
        eprintln!("error: rank {}: {what} within {:.0} s", self.rank, self.patience.grace().as_secs_f64());
        std::process::exit(ENDED);
    }
}

/// What a thread beside the rank's own has of its peers.
pub(super) struct Outlook(pub Arc<Peers>);

impl Lookout for Outlook {
    fn rank(&self) -> usize {
        self.0.rank
    }

    fn limits(&self) -> Limits {
        self.0.patience.limits()
    }

    fn tell(&self, progress: Progress) {
        let mut known = self.0.known();
        known.own = Some(progress);
        known.heard[self.0.rank].1 = progress;
    }

    fn seen(&self) -> Vec<Seen> {
        let own = self.0.rank;
        let seen = |(rank, (at, progress)): (usize, &(Instant, Progress))| Seen {
            progress: *progress,
            silence: if rank == own { Duration::ZERO } else { at.elapsed() },
        };
        self.0.known().heard.iter().enumerate().map(seen).collect()
    }

    fn fault(&self, call: &str) -> Option<CollectiveError> {
        let Delivery { from, event } = self.0.known().fault.clone()?;
        match event {
            Event::Abort { culprit, reason } => Some(CollectiveError::Failed { rank: culprit, reason }),
            Event::Gone { reason } => {
                Some(CollectiveError::Lost { rank: from, call: call.to_owned(), reason })
            }
            _ => None,
        }
    }

    fn end(&self, error: &CollectiveError) {
        let peers = self.0.clone();
        // Should this rank wait for a message and not for its device.
        let _done = peers.inbox.send(Delivery { from: peers.rank, event: Event::Noticed(error.clone()) });
        let (culprit, reason) = match error {
            CollectiveError::Failed { rank, reason } => (*rank, reason.clone()),
            _ => (error.culprit().unwrap_or(peers.rank), error.to_string()),
        };
        peers.tell_end(&Event::Abort { culprit, reason });
        let said = error.to_string();
        thread::spawn(move || {
            thread::sleep(peers.patience.grace());
            if !peers.parts.load(Ordering::SeqCst) {
                peers.exit(&format!("{said}; this rank did not end"));
            }
        });
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}
