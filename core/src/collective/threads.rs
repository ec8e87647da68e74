//! A transport between threads of one process: channels that pass shared bytes.
//!
//! Every rank has one inbox, and every other rank a sender to it. A rank whose transport is dropped before its run was over,
//! because it panicked or returned early, is gone for the others.

use super::{Call, CollectiveError, Delivery, Event, Inbox, Limits, Message, Transport};
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

/// One rank's end of a group of threads.
pub struct ThreadTransport {
    rank: usize,
    peers: Vec<Sender<Delivery>>,
    inbox: Inbox,
    done: bool,
}

/// The ends of a group of `size` ranks, in rank order; a rank may come `lateness` later to a call than another.
pub fn group(size: usize, lateness: Duration) -> Vec<ThreadTransport> {
    let (senders, receivers): (Vec<_>, Vec<_>) = (0..size).map(|_| channel()).unzip();
    let limits = Limits { silence: None, lateness };
    let end = |(rank, receiver)| {
        let inbox = Inbox::new(rank, size, receiver, limits);
        ThreadTransport { rank, peers: senders.clone(), inbox, done: false }
    };
    receivers.into_iter().enumerate().map(end).collect()
}

impl ThreadTransport {
    /// Says that this rank's run is over and well.
    pub fn finish(mut self) {
        self.tell(&Event::Left);
        self.done = true;
    }

    /// Tells every other rank.
    fn tell(&self, event: &Event) {
        let others = self.peers.iter().enumerate().filter(|(rank, _)| *rank != self.rank);
        for (_, peer) in others {
            // A rank that is gone hears nothing; that it is gone shows when something is expected from it.
            let _gone = peer.send(Delivery { from: self.rank, event: event.clone() });
        }
    }
}

impl Transport for ThreadTransport {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.peers.len()
    }

    fn exchange(&mut self, call: Call<'_>, outgoing: Vec<Message>) -> Result<Vec<Message>, CollectiveError> {
        let mut own = Message::default();
        for (rank, bytes) in outgoing.into_iter().enumerate() {
            if rank == self.rank {
                own = bytes;
                continue;
            }
            let event = Event::Part { call: call.name.to_owned(), bytes };
            let _gone = self.peers[rank].send(Delivery { from: self.rank, event });
        }
        self.inbox.collect(call, own)
    }

    fn abort(&mut self, culprit: usize, reason: &str) {
        self.tell(&Event::Abort { culprit, reason: reason.to_owned() });
        self.done = true;
    }
}

impl Drop for ThreadTransport {
    fn drop(&mut self) {
        if !self.done {
            let how = if std::thread::panicking() { "its thread panicked" } else { "its thread ended" };
            self.tell(&Event::Gone { reason: how.to_owned() });
        }
    }
}
