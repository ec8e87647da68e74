//! How ranks find each other: all greet one address, and get the addresses of all in return.
//!
//! Rank 0 holds the rendezvous, or the process that spawned it. It waits for every rank until
//! a deadline; then those that came are told who is missing. A rank of another job, of another size or of a number that is
//! taken is refused with the reason; what does not speak the protocol is ignored.

use super::environment::Membership;
use super::wire::{read_greeting, write_greeting};
use serde::{Deserialize, Serialize};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::thread;
use std::time::{Duration, Instant};
use thiserror::Error;

/// Says what protocol this is, and its version.
const PROTOCOL: &str = "golf rendezvous 1";
/// Pause between two attempts.
const PAUSE: Duration = Duration::from_millis(20);
/// Longest time that a connection may take to say who it is.
const GREETING: Duration = Duration::from_secs(5);
/// How much longer than the deadline a rank waits for the answer.
const ANSWER: Duration = Duration::from_secs(5);

/// Why the ranks do not come together.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RendezvousError {
    /// The port of the rendezvous or of a link cannot be opened.
    #[error(
        "cannot listen on `{address}`: {source}\nhint: another run may use this port; set `MASTER_PORT` (or `GOLF_PORT`) to a free one"
    )]
    Listen {
        /// The address.
        address: String,
        /// What the system said.
        source: io::Error,
    },
    /// Nobody answers at the rendezvous.
    #[error("nobody answers at `{address}` after {} s: {reason}\nhint: check `MASTER_ADDR` and `MASTER_PORT`, and that rank 0 runs", waited.as_secs())]
    NoAnswer {
        /// The address.
        address: String,
        /// How long this rank tried.
        waited: Duration,
        /// The last failure.
        reason: String,
    },
    /// The rendezvous turned this rank away.
    #[error("the rendezvous at `{address}` refuses rank {rank}: {reason}")]
    Refused {
        /// The address.
        address: String,
        /// This rank.
        rank: usize,
        /// Why.
        reason: String,
    },
    /// Ranks did not come in time.
    #[error("ranks {missing:?} of {size} did not come to the rendezvous within {} s", waited.as_secs())]
    Missing {
        /// The ranks.
        missing: Vec<usize>,
        /// Number of ranks.
        size: usize,
        /// How long the others waited.
        waited: Duration,
    },
    /// Ranks came to the rendezvous, but no connection to them can be made.
    #[error(
        "no connection between rank {rank} and ranks {others:?}: {reason}\nhint: every rank must reach every other; check firewalls and addresses"
    )]
    Links {
        /// This rank.
        rank: usize,
        /// The others.
        others: Vec<usize>,
        /// The last failure.
        reason: String,
    },
}

#[derive(Serialize, Deserialize)]
struct Hello {
    protocol: String,
    token: String,
    rank: usize,
    size: usize,
    /// Where this rank waits for links.
    port: u16,
}

#[derive(Serialize, Deserialize)]
enum Answer {
    /// Where every rank waits for links.
    Together {
        addresses: Vec<SocketAddr>,
    },
    Refused {
        reason: String,
    },
}

/// Comes to the rendezvous and waits for all ranks: the listener on which this rank waits for links, and where every rank
/// does.
pub fn meet(
    member: &Membership,
    deadline: Instant,
) -> Result<(TcpListener, Vec<SocketAddr>), RendezvousError> {
    let local = is_loopback(&member.address);
    let any = |ip: IpAddr| match ip {
        IpAddr::V4(_) => IpAddr::V4(if local { Ipv4Addr::LOCALHOST } else { Ipv4Addr::UNSPECIFIED }),
        IpAddr::V6(_) => IpAddr::V6(if local { Ipv6Addr::LOCALHOST } else { Ipv6Addr::UNSPECIFIED }),
    };
    if member.rank == 0 && !member.hosted {
        let listener = open(&member.address, member.port)?;
        let (token, size) = (member.token.clone(), member.size);
        // Rank 0 learns the outcome as the others do, by the answer to its greeting.
        thread::spawn(move || hold(&listener, &token, size, deadline));
    }
    let begin = Instant::now();
    let mut stream = reach(member, deadline)?;
    let unreachable = |error: io::Error| no_answer(member, begin, &error);
    let server = stream.peer_addr().map_err(unreachable)?.ip();
    let listener = listen(SocketAddr::new(any(server), 0))?;
    let port = listener.local_addr().map_err(unreachable)?.port();
    let (protocol, token) = (PROTOCOL.to_owned(), member.token.clone());
    let hello = Hello { protocol, token, rank: member.rank, size: member.size, port };
    write_greeting(&mut stream, &hello).map_err(unreachable)?;
    let patience = deadline.saturating_duration_since(Instant::now()) + ANSWER;
    stream.set_read_timeout(Some(patience)).map_err(unreachable)?;
    match read_greeting(&mut stream).map_err(unreachable)? {
        Answer::Together { mut addresses } => {
            // A rank beside the rendezvous may have come by an address that means another machine elsewhere.
            addresses.iter_mut().filter(|a| a.ip().is_loopback()).for_each(|a| a.set_ip(server));
            Ok((listener, addresses))
        }
        Answer::Refused { reason } => {
            Err(RendezvousError::Refused { address: place(member), rank: member.rank, reason })
        }
    }
}

/// Opens the rendezvous that others find at `address` and `port`: on all of this machine's addresses, unless that one is
/// its own alone.
pub fn open(address: &str, port: u16) -> Result<TcpListener, RendezvousError> {
    let ip = if is_loopback(address) { Ipv4Addr::LOCALHOST } else { Ipv4Addr::UNSPECIFIED };
    listen(SocketAddr::new(IpAddr::V4(ip), port))
}

/// Holds a rendezvous of `size` ranks that know `token` until all are there, or the deadline.
pub fn hold(
    listener: &TcpListener,
    token: &str,
    size: usize,
    deadline: Instant,
) -> Result<(), RendezvousError> {
    let begin = Instant::now();
    let mut present: Vec<Option<(TcpStream, SocketAddr)>> = (0..size).map(|_| None).collect();
    let fail = |source| RendezvousError::Listen { address: "the rendezvous".to_owned(), source };
    listener.set_nonblocking(true).map_err(fail)?;
    while present.iter().any(Option::is_none) {
        if Instant::now() > deadline {
            let missing: Vec<usize> = (0..size).filter(|&rank| present[rank].is_none()).collect();
            let error = RendezvousError::Missing { missing, size, waited: begin.elapsed() };
            // Rank 0 last: its process, in which this may run, ends on the answer.
            for (stream, _) in present.iter_mut().flatten().rev() {
                refuse(stream, error.to_string());
            }
            return Err(error);
        }
        let Ok((mut stream, from)) = listener.accept() else {
            thread::sleep(PAUSE);
            continue;
        };
        let Some(hello) = greet(&mut stream) else { continue };
        match objection(&hello, token, size, &present) {
            Some(reason) => refuse(&mut stream, reason),
            None => present[hello.rank] = Some((stream, SocketAddr::new(from.ip(), hello.port))),
        }
    }
    let addresses = present.iter().flatten().map(|(_, address)| *address).collect();
    let answer = Answer::Together { addresses };
    for (stream, _) in present.iter_mut().flatten().rev() {
        // A rank that died meanwhile is missed by those that link to it.
        let _gone = write_greeting(stream, &answer);
    }
    Ok(())
}

/// Who a connection says it is; `None` for a stranger.
fn greet(stream: &mut TcpStream) -> Option<Hello> {
    stream.set_nonblocking(false).ok()?;
    stream.set_read_timeout(Some(GREETING)).ok()?;
    stream.set_write_timeout(Some(GREETING)).ok()?;
    read_greeting::<Hello>(stream).ok().filter(|hello| hello.protocol == PROTOCOL)
}

/// Why a rank cannot take part.
fn objection<T>(hello: &Hello, token: &str, size: usize, present: &[Option<T>]) -> Option<String> {
    if hello.token != token {
        return Some(format!("it belongs to job `{}`, this is job `{token}`", hello.token));
    }
    if hello.size != size {
        return Some(format!("it expects {} ranks, this rendezvous {size}", hello.size));
    }
    match present.get(hello.rank) {
        None => Some(format!("expected a rank below {size}")),
        Some(Some(_)) => Some("another process has come with this number".to_owned()),
        Some(None) => None,
    }
}

fn refuse(stream: &mut TcpStream, reason: String) {
    // Whoever does not read the reason finds the connection closed.
    let _gone = write_greeting(stream, &Answer::Refused { reason });
}

fn listen(address: SocketAddr) -> Result<TcpListener, RendezvousError> {
    TcpListener::bind(address)
        .map_err(|source| RendezvousError::Listen { address: address.to_string(), source })
}

/// Connects to the rendezvous, however late it opens.
fn reach(member: &Membership, deadline: Instant) -> Result<TcpStream, RendezvousError> {
    let begin = Instant::now();
    loop {
        let reason = match (member.address.as_str(), member.port).to_socket_addrs().map(Iterator::collect) {
            Ok(found) => match connect_any(found) {
                Ok(stream) => return Ok(stream),
                Err(error) => error,
            },
            // A name that is not known yet may be in a moment.
            Err(error) => error,
        };
        if Instant::now() > deadline {
            return Err(no_answer(member, begin, &reason));
        }
        thread::sleep(PAUSE);
    }
}

fn connect_any(found: Vec<SocketAddr>) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in found {
        match TcpStream::connect_timeout(&address, GREETING) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn no_answer(member: &Membership, begin: Instant, reason: &io::Error) -> RendezvousError {
    RendezvousError::NoAnswer { address: place(member), waited: begin.elapsed(), reason: reason.to_string() }
}

fn place(member: &Membership) -> String {
    format!("{}:{}", member.address, member.port)
}

fn is_loopback(address: &str) -> bool {
    address == "localhost" || address.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}
