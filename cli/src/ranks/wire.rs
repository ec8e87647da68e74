//! The form of what ranks send each other over a socket.
//!
//! A frame: kind `u8`, length of the name `u16`, length of the payload `u64`, name, payload; numbers little-endian. Greetings
//! before the first frame are JSON behind a `u32` length.

use golf_core::collective::{Event, Progress};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io::{self, Error, ErrorKind, Read, Write};
use std::sync::Arc;

const PART: u8 = 1;
const ABORT: u8 = 2;
const LEFT: u8 = 3;
const ALIVE: u8 = 4;
const AT: u8 = 5;

/// Bytes read at a time; memory grows with what arrives, not with what a header claims.
const CHUNK: usize = 1 << 20;
/// Payloads up to this size are copied behind their header.
const SMALL: usize = 1 << 14;
/// Longest greeting.
const GREETING: u32 = 1 << 16;

/// Writes an event; [`Event::Gone`], which the absence of all others means, and [`Event::Noticed`], which is this rank's own, have no
/// form.
pub(super) fn write_event(out: &mut impl Write, event: &Event) -> io::Result<()> {
    let reason_of =
        |culprit: usize, reason: &str| [&(culprit as u32).to_le_bytes(), reason.as_bytes()].concat();
    match event {
        Event::Part { call, bytes } => write_frame(out, PART, call, bytes),
        Event::Abort { culprit, reason } => write_frame(out, ABORT, "", &reason_of(*culprit, reason)),
        Event::Left => write_frame(out, LEFT, "", &[]),
        Event::Alive => write_frame(out, ALIVE, "", &[]),
        Event::At(Progress { queued, begun, done }) => {
            write_frame(out, AT, "", &[queued, begun, done].map(|number| number.to_le_bytes()).concat())
        }
        Event::Gone { .. } | Event::Noticed(_) => Ok(()),
    }
}

fn write_frame(out: &mut impl Write, kind: u8, name: &str, payload: &[u8]) -> io::Result<()> {
    let name = &name.as_bytes()[..name.len().min(usize::from(u16::MAX))];
    let mut head = vec![kind];
    head.extend((name.len() as u16).to_le_bytes());
    head.extend((payload.len() as u64).to_le_bytes());
    head.extend(name);
    if payload.len() > SMALL {
        out.write_all(&head)?;
        return out.write_all(payload);
    }
    // One packet and not two.
    head.extend(payload);
    out.write_all(&head)
}

/// Reads an event; `None` where the stream ends between two. `progress` is told of every chunk of a long payload.
pub(super) fn read_event(input: &mut impl Read, mut progress: impl FnMut()) -> io::Result<Option<Event>> {
    let mut kind = [0u8];
    if input.read(&mut kind)? == 0 {
        return Ok(None);
    }
    let (mut name_len, mut payload_len) = ([0; 2], [0; 8]);
    input.read_exact(&mut name_len)?;
    input.read_exact(&mut payload_len)?;
    let mut name = vec![0; usize::from(u16::from_le_bytes(name_len))];
    input.read_exact(&mut name)?;
    let payload = read_payload(input, u64::from_le_bytes(payload_len), &mut progress)?;
    let event = match kind[0] {
        PART => Event::Part { call: String::from_utf8_lossy(&name).into_owned(), bytes: Arc::new(payload) },
        ABORT if payload.len() >= 4 => {
            let (culprit, reason) = payload.split_at(4);
            let culprit = u32::from_le_bytes(culprit.try_into().expect("split at 4")) as usize;
            Event::Abort { culprit, reason: String::from_utf8_lossy(reason).into_owned() }
        }
        LEFT => Event::Left,
        ALIVE => Event::Alive,
        AT if payload.len() == 24 => {
            let number =
                |i: usize| u64::from_le_bytes(payload[8 * i..8 * i + 8].try_into().expect("8 bytes"));
            Event::At(Progress { queued: number(0), begun: number(1), done: number(2) })
        }
        kind => return Err(Error::new(ErrorKind::InvalidData, format!("a frame of unknown kind {kind}"))),
    };
    Ok(Some(event))
}

fn read_payload(input: &mut impl Read, len: u64, progress: &mut impl FnMut()) -> io::Result<Vec<u8>> {
    let mut payload = Vec::new();
    while (payload.len() as u64) < len {
        let start = payload.len();
        let step = (len - start as u64).min(CHUNK as u64) as usize;
        payload.resize(start + step, 0);
        input.read_exact(&mut payload[start..])?;
        progress();
    }
    Ok(payload)
}

/// Writes a greeting.
pub(super) fn write_greeting<T: Serialize>(out: &mut impl Write, greeting: &T) -> io::Result<()> {
    let text = serde_json::to_vec(greeting)?;
    out.write_all(&[&(text.len() as u32).to_le_bytes()[..], &text].concat())
}

/// Reads a greeting; an error of kind [`ErrorKind::InvalidData`] for anything else.
pub(super) fn read_greeting<T: DeserializeOwned>(input: &mut impl Read) -> io::Result<T> {
    let mut len = [0; 4];
    input.read_exact(&mut len)?;
    let len = u32::from_le_bytes(len);
    if len > GREETING {
        return Err(Error::new(ErrorKind::InvalidData, "no greeting"));
    }
    let mut text = vec![0; len as usize];
    input.read_exact(&mut text)?;
    serde_json::from_slice(&text).map_err(|error| Error::new(ErrorKind::InvalidData, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_back_as_they_were_sent() {
        let events = [
            Event::Part { call: "gradients, step 3".into(), bytes: Arc::new(vec![7; 2 * CHUNK + 5]) },
            Event::Part { call: String::new(), bytes: Arc::default() },
            Event::Abort { culprit: 6, reason: "disk voll: \u{fc}".into() },
            Event::Alive,
            Event::At(Progress { queued: 3, begun: 2, done: u64::MAX }),
            Event::Left,
        ];
        let mut bytes = Vec::new();
        events.iter().for_each(|event| write_event(&mut bytes, event).unwrap());
        let mut input = &bytes[..];
        let mut chunks = 0;
        for event in &events {
            assert_eq!(read_event(&mut input, || chunks += 1).unwrap().as_ref(), Some(event));
        }
        assert_eq!(read_event(&mut input, || ()).unwrap(), None);
        assert_eq!(chunks, 3 + 1 + 1, "every payload shows progress, a long one with every chunk");
    }

    #[test]
    fn torn_and_foreign_bytes_are_errors_in_bounded_memory() {
        let mut whole = Vec::new();
        write_event(&mut whole, &Event::Part { call: "x".into(), bytes: Arc::new(vec![1; 9]) }).unwrap();
        for len in 1..whole.len() {
            assert!(read_event(&mut &whole[..len], || ()).is_err(), "{len} bytes");
        }
        let mut huge = vec![PART, 0, 0];
        huge.extend(u64::MAX.to_le_bytes());
        assert!(read_event(&mut &huge[..], || ()).is_err());
        assert!(read_event(&mut &[9u8; 200][..], || ()).is_err());
        assert!(read_greeting::<String>(&mut &b"GET / HTTP/1.1\r\n"[..]).is_err());
    }
}
