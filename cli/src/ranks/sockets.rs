//! A transport over one connection per pair of ranks.
//!
//! Per connection a thread reads everything at once into the inbox, so that no rank ever waits for another to read; a
//! further thread sends signs of life. What a rank sees of the others while it computes reaches it at its next call; if it
//! does not come to one in time, its process is ended.

use super::Patience;
use super::rendezvous::RendezvousError;
use super::wire::{read_event, write_event};
use golf_core::collective::{Call, CollectiveError, Delivery, Event, Inbox, Message, Transport};
use std::io::{self, BufReader};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Exit code of a rank that is ended because of another.
const ENDED: i32 = 1;
/// How long a rank that is done waits for the others to read what it said.
const FAREWELL: Duration = Duration::from_secs(5);
/// Least time between two signs of life that a long message gives.
const PROGRESS: Duration = Duration::from_millis(200);

/// The writing halves of all connections, by rank.
type Peers = Arc<Vec<Option<Mutex<TcpStream>>>>;

/// One rank's connections to all others.
pub struct SocketTransport {
    rank: usize,
    peers: Peers,
    inbox: Inbox,
    readers: Vec<JoinHandle<()>>,
    /// The run is over for this rank.
    over: Arc<AtomicBool>,
    patience: Patience,
}

impl SocketTransport {
    /// The transport of `rank` over `streams` to every other rank, by rank.
    pub fn new(
        rank: usize,
        streams: Vec<Option<TcpStream>>,
        patience: Patience,
    ) -> Result<Self, RendezvousError> {
        let size = streams.len();
        let (sender, receiver) = channel();
        let over = Arc::new(AtomicBool::new(false));
        let mut readers = Vec::new();
        for (from, stream) in streams.iter().enumerate() {
            let Some(stream) = stream else { continue };
            let prepared = prepare(stream, patience).map_err(|error| RendezvousError::Links {
                rank,
                others: vec![from],
                reason: error.to_string(),
            })?;
            let (sender, watchdog) = (sender.clone(), Watchdog { rank, over: over.clone(), patience });
            readers.push(thread::spawn(move || read_all(prepared, from, &sender, &watchdog)));
        }
        let peers: Peers = Arc::new(streams.into_iter().map(|stream| stream.map(Mutex::new)).collect());
        let transport = Self {
            rank,
            peers: peers.clone(),
            inbox: Inbox::new(rank, size, receiver, patience.limits()),
            readers,
            over: over.clone(),
            patience,
        };
        thread::spawn(move || show_life(&peers, &over, patience.silence / 5));
        Ok(transport)
    }

    /// Says that this rank's run is over and well, and waits a moment for the others to say so too.
    pub fn finish(mut self) {
        self.tell(&Event::Left);
        self.part();
    }

    /// Ends the run on all ranks because this one failed.
    pub fn fail(mut self, reason: &str) {
        self.abort(self.rank, reason);
        self.part();
    }

    /// Sends to one rank, unless it is gone, which its reader notices.
    fn send(&self, rank: usize, event: &Event) -> Result<(), CollectiveError> {
        let Some(peer) = &self.peers[rank] else { return Ok(()) };
        let mut stream = peer.lock().unwrap_or_else(PoisonError::into_inner);
        match write_event(&mut *stream, event) {
            Err(error) if is_timeout(&error) => {
                let call = if let Event::Part { call, .. } = event { call.clone() } else { String::new() };
                Err(CollectiveError::Silent { rank, call, silence: self.patience.silence })
            }
            _ => Ok(()),
        }
    }

    fn tell(&mut self, event: &Event) {
        if self.over.swap(true, Ordering::SeqCst) {
            return;
        }
        for rank in 0..self.peers.len() {
            // A rank that does not even read is ended by its own silence.
            let _gone = self.send(rank, event);
        }
    }

    /// Closes the writing halves and waits until the others have closed theirs: a connection closed with bytes unread would
    /// take back what was sent last.
    fn part(&mut self) {
        for peer in self.peers.iter().flatten() {
            let stream = peer.lock().unwrap_or_else(PoisonError::into_inner);
            let _closed_already = stream.shutdown(Shutdown::Write);
        }
        let deadline = Instant::now() + FAREWELL.min(self.patience.silence);
        while Instant::now() < deadline && !self.readers.iter().all(JoinHandle::is_finished) {
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Transport for SocketTransport {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.peers.len()
    }

    fn exchange(&mut self, call: Call<'_>, outgoing: Vec<Message>) -> Result<Vec<Message>, CollectiveError> {
        let size = self.size();
        // Everybody begins with the rank above itself, so that no rank is written to by all at once.
        for rank in (1..size).map(|step| (self.rank + step) % size) {
            self.send(rank, &Event::Part { call: call.name.to_owned(), bytes: outgoing[rank].clone() })?;
        }
        self.inbox.collect(call, outgoing[self.rank].clone())
    }

    fn abort(&mut self, culprit: usize, reason: &str) {
        self.tell(&Event::Abort { culprit, reason: reason.to_owned() });
    }
}

/// Ends this process when the run is over elsewhere and this rank does not come to notice.
struct Watchdog {
    rank: usize,
    over: Arc<AtomicBool>,
    patience: Patience,
}

impl Watchdog {
    fn warn(&self, what: String) {
        let (rank, over, grace) = (self.rank, self.over.clone(), self.patience.grace());
        thread::spawn(move || {
            thread::sleep(grace);
            if !over.load(Ordering::SeqCst) {
                eprintln!(
                    "error: rank {rank}: {what}; this rank did not come to its next collective within {:.0} s",
                    grace.as_secs_f64()
                );
                std::process::exit(ENDED);
            }
        });
    }
}

/// A stream's reading half, after its options are set.
fn prepare(stream: &TcpStream, patience: Patience) -> io::Result<TcpStream> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(None)?;
    // A rank that is stopped does not read: writing to it must end too.
    stream.set_write_timeout(Some(patience.silence))?;
    stream.try_clone()
}

/// Delivers all that comes from rank `from`.
fn read_all(stream: TcpStream, from: usize, inbox: &Sender<Delivery>, watchdog: &Watchdog) {
    let mut input = BufReader::new(stream);
    let mut last = Instant::now();
    let mut done = false;
    loop {
        let progress = || {
            if last.elapsed() > PROGRESS {
                last = Instant::now();
                // Nobody listens any more when this rank is done itself.
                let _done = inbox.send(Delivery { from, event: Event::Alive });
            }
        };
        let event = match read_event(&mut input, progress) {
            Ok(Some(event)) => event,
            Ok(None) if done => return,
            Ok(None) => Event::Gone { reason: "its connection closed".to_owned() },
            Err(_) if done => return,
            Err(error) => Event::Gone { reason: error.to_string() },
        };
        match &event {
            Event::Abort { culprit, reason } => watchdog.warn(format!("rank {culprit} failed: {reason}")),
            Event::Gone { reason } => watchdog.warn(format!("rank {from} is gone: {reason}")),
            _ => {}
        }
        done |= matches!(event, Event::Left | Event::Abort { .. });
        let gone = matches!(event, Event::Gone { .. });
        let _done = inbox.send(Delivery { from, event });
        if gone {
            return;
        }
    }
}

/// Sends signs of life until the run is over.
fn show_life(peers: &Peers, over: &AtomicBool, pause: Duration) {
    while !over.load(Ordering::SeqCst) {
        for peer in peers.iter().flatten() {
            // A connection in use shows life by itself.
            if let Ok(mut stream) = peer.try_lock() {
                let _gone = write_event(&mut *stream, &Event::Alive);
            }
        }
        thread::sleep(pause);
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}
