//! A connection between every two ranks: each reaches those below it and waits for those above.

use super::environment::Membership;
use super::rendezvous::RendezvousError;
use super::wire::{read_greeting, write_greeting};
use serde::{Deserialize, Serialize};
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

const PROTOCOL: &str = "golf link 1";
/// Pause between two attempts.
const PAUSE: Duration = Duration::from_millis(20);
/// Longest time that a connection may take to open, or to say whose it is.
const GREETING: Duration = Duration::from_secs(5);

#[derive(Serialize, Deserialize)]
struct Hello {
    protocol: String,
    token: String,
    rank: usize,
}

/// Connections to all other ranks, by rank; `None` in this rank's place.
pub fn connect(
    member: &Membership,
    listener: &TcpListener,
    addresses: &[SocketAddr],
    deadline: Instant,
) -> Result<Vec<Option<TcpStream>>, RendezvousError> {
    let mut links: Vec<Option<TcpStream>> = (0..member.size).map(|_| None).collect();
    for (rank, address) in addresses.iter().enumerate().take(member.rank) {
        let fail = |error: io::Error| {
            let reason = format!("`{address}`: {error}");
            RendezvousError::Links { rank: member.rank, others: vec![rank], reason }
        };
        let mut stream = TcpStream::connect_timeout(address, GREETING).map_err(fail)?;
        let (protocol, token) = (PROTOCOL.to_owned(), member.token.clone());
        write_greeting(&mut stream, &Hello { protocol, token, rank: member.rank }).map_err(fail)?;
        links[rank] = Some(stream);
    }
    let fail =
        |others: Vec<usize>, reason: String| RendezvousError::Links { rank: member.rank, others, reason };
    let mut last = "no connection came".to_owned();
    let missing = |links: &[Option<TcpStream>]| -> Vec<usize> {
        (member.rank + 1..member.size).filter(|&rank| links[rank].is_none()).collect()
    };
    listener.set_nonblocking(true).map_err(|error| fail(missing(&links), error.to_string()))?;
    while !missing(&links).is_empty() {
        if Instant::now() > deadline + GREETING {
            return Err(fail(missing(&links), last));
        }
        match listener.accept() {
            Ok((mut stream, from)) => match greet(&mut stream, member, &links) {
                Ok(rank) => links[rank] = Some(stream),
                // A stranger, or a rank of another job: the right one may still come.
                Err(error) => last = format!("`{from}`: {error}"),
            },
            Err(_) => thread::sleep(PAUSE),
        }
    }
    Ok(links)
}

/// The rank above this one at the other end of a new connection.
fn greet(stream: &mut TcpStream, member: &Membership, links: &[Option<TcpStream>]) -> io::Result<usize> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(GREETING))?;
    let hello: Hello = read_greeting(stream)?;
    stream.set_read_timeout(None)?;
    let expected = hello.protocol == PROTOCOL
        && hello.token == member.token
        && (member.rank + 1..member.size).contains(&hello.rank)
        && links[hello.rank].is_none();
    if expected {
        Ok(hello.rank)
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidData, "no rank of this job"))
    }
}
