//! A transport over one connection per pair of ranks.
//!
//! Per connection a thread reads everything at once into the inbox, so that no rank ever waits for another to read; a
//! further thread sends signs of life. What a rank sees of the others while it computes reaches it at its next call; if it
//! does not come to one in time, its process is ended.

use super::Patience;
use super::peers::{Outlook, Peers};
use super::rendezvous::RendezvousError;
use super::wire::read_event;
use golf_core::collective::{Call, CollectiveError, Event, Inbox, Lookout, Message, Transport};
use std::io::{self, BufReader};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How long a rank that is done waits for the others to read what it said.
const FAREWELL: Duration = Duration::from_secs(5);
/// Least time between two signs of life that a long message gives.
const PROGRESS: Duration = Duration::from_millis(200);

/// One rank's connections to all others.
pub struct SocketTransport {
    rank: usize,
    peers: Arc<Peers>,
    inbox: Inbox,
    readers: Vec<JoinHandle<()>>,
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
        let prepared = |(from, stream): (usize, &Option<TcpStream>)| {
            let failed = |error: io::Error| RendezvousError::Links {
                rank,
                others: vec![from],
                reason: error.to_string(),
            };
            let stream = stream.as_ref()?;
            Some(prepare(stream, patience).map(|stream| (from, stream)).map_err(failed))
        };
        let reading: Vec<(usize, TcpStream)> =
            streams.iter().enumerate().filter_map(prepared).collect::<Result<_, _>>()?;
        let (sender, receiver) = channel();
        let peers = Arc::new(Peers::new(rank, patience, streams, sender));
        let readers = reading.into_iter().map(|(from, stream)| {
            let peers = peers.clone();
            thread::spawn(move || read_all(stream, from, &peers))
        });
        let transport = Self {
            rank,
            peers: peers.clone(),
            inbox: Inbox::new(rank, size, receiver, patience.limits()),
            readers: readers.collect(),
            patience,
        };
        thread::spawn(move || peers.show_life(patience.silence / 5));
        Ok(transport)
    }

    /// Says that this rank's run is over and well, and waits a moment for the others to say so too.
    pub fn finish(self) {
        self.peers.tell_end(&Event::Left);
        self.part();
    }

    /// Ends the run on all ranks because this one failed.
    pub fn fail(mut self, reason: &str) {
        self.abort(self.rank, reason);
        self.part();
    }

    /// Closes the writing halves and waits until the others have closed theirs: a connection closed with bytes unread would
    /// take back what was sent last.
    fn part(&self) {
        self.peers.close();
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
        self.peers.size()
    }

    fn exchange(&mut self, call: Call<'_>, outgoing: Vec<Message>) -> Result<Vec<Message>, CollectiveError> {
        let size = self.size();
        // Everybody begins with the rank above itself, so that no rank is written to by all at once.
        for rank in (1..size).map(|step| (self.rank + step) % size) {
            let event = Event::Part { call: call.name.to_owned(), bytes: outgoing[rank].clone() };
            self.peers.send(rank, &event)?;
        }
        self.inbox.collect(call, outgoing[self.rank].clone())
    }

    fn abort(&mut self, culprit: usize, reason: &str) {
        self.peers.tell_end(&Event::Abort { culprit, reason: reason.to_owned() });
    }

    fn lookout(&self) -> Option<Arc<dyn Lookout>> {
        Some(Arc::new(Outlook(self.peers.clone())))
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
fn read_all(stream: TcpStream, from: usize, peers: &Arc<Peers>) {
    let mut input = BufReader::new(stream);
    let mut last = Instant::now();
    let mut done = false;
    loop {
        let progress = || {
            if last.elapsed() > PROGRESS {
                last = Instant::now();
                peers.deliver(from, Event::Alive);
            }
        };
        let event = match read_event(&mut input, progress) {
            Ok(Some(event)) => event,
            Ok(None) if done => return,
            Ok(None) => Event::Gone { reason: "its connection closed".to_owned() },
            Err(_) if done => return,
            Err(error) => Event::Gone { reason: error.to_string() },
        };
        done |= matches!(event, Event::Left | Event::Abort { .. });
        let gone = matches!(event, Event::Gone { .. });
        peers.deliver(from, event);
        if gone {
            return;
        }
    }
}
