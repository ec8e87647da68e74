//! Outer codings of a model file: which there are, and how they are undone under limits.
//!
//! A file is a payload (a torch ZIP or safetensors) under zero or more codings: zlib (the challenge's baseline),
//! zstd (PR #264, #585, #861), xz or legacy lzma (PR #549, #1216), brotli and the byte shuffle `BSHF` (PR #1089).
//! Codings are recognised by their first bytes, brotli (which has none) by trying it last.
//!
//! Invariant: no layer grows beyond `min(raw_bytes, max(ratio_floor, ratio × compressed))`, dictionaries and
//! windows are bounded, and bytes after the end of a stream are an error. What is inside the payload is not looked
//! at here.

use std::borrow::Cow;
use std::fmt;
use std::io::{self, Read};

use thiserror::Error;

use super::Limits;

/// Longest chain of codings: a compressor over a byte shuffle is 2, the rest is margin.
const MAX_CODINGS: usize = 4;
/// Largest zstd window (level 22 uses 128 MiB).
const ZSTD_WINDOW: u64 = 128 << 20;
/// Largest memory of an LZMA decoder in KiB (preset 9 has a 64 MiB dictionary).
const LZMA_KIB: u32 = 96 << 10;
/// Step by which decompressed data is taken.
const STEP: usize = 1 << 16;

/// One outer coding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Coding {
    /// RFC 1950.
    Zlib,
    /// One Zstandard frame.
    Zstd,
    /// One `.xz` stream.
    Xz,
    /// The older `.lzma` format.
    Lzma,
    /// RFC 7932.
    Brotli,
    /// `BSHF`, a stride byte, then the bytes at positions 0, 1, … modulo the stride, plane by plane.
    ByteShuffle,
}

impl fmt::Display for Coding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Coding::Zlib => "zlib",
            Coding::Zstd => "zstd",
            Coding::Xz => "xz",
            Coding::Lzma => "lzma",
            Coding::Brotli => "brotli",
            Coding::ByteShuffle => "byte shuffle",
        })
    }
}

/// What lies under the codings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Payload {
    /// A ZIP as `torch.save` writes it.
    TorchZip,
    /// A safetensors file.
    Safetensors,
}

/// A payload with its codings removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unwrapped<'a> {
    /// The codings, outermost first.
    pub codings: Vec<Coding>,
    /// Kind of the payload.
    pub payload: Payload,
    /// The payload; borrowed when there was no coding.
    pub bytes: Cow<'a, [u8]>,
}

/// Why a file could not be unwrapped.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ContainerError {
    /// Nothing there.
    #[error("the file is empty: expected a torch or safetensors model")]
    Empty,
    /// No known first bytes, and not brotli over something known.
    #[error(
        "unknown file type, first bytes {head:02x?}: expected a torch ZIP or safetensors, plain or under zlib, zstd, xz, lzma, brotli or `BSHF`"
    )]
    Unknown {
        /// Up to 8 first bytes.
        head: Vec<u8>,
    },
    /// A known format that this importer does not read.
    #[error("{what} is not supported\nhint: {hint}")]
    Unsupported {
        /// The format.
        what: &'static str,
        /// What to do instead.
        hint: &'static str,
    },
    /// A stream is damaged.
    #[error("damaged {coding} stream of {compressed} bytes: {source}")]
    Damaged {
        /// The coding.
        coding: Coding,
        /// Bytes of the coded stream.
        compressed: usize,
        /// What the decoder said.
        source: io::Error,
    },
    /// A layer decompresses to more than its limit.
    #[error("the {coding} stream of {compressed} bytes expands too far: expected at most {limit} bytes")]
    TooLarge {
        /// The coding.
        coding: Coding,
        /// Bytes of the coded stream.
        compressed: usize,
        /// The limit that was passed.
        limit: u64,
    },
    /// Bytes after the end of a stream.
    #[error("{count} bytes after the end of the {coding} stream: expected none")]
    Trailing {
        /// The coding.
        coding: Coding,
        /// How many.
        count: usize,
    },
    /// More codings inside each other than any real file has.
    #[error("more than {limit} codings inside each other")]
    TooDeep {
        /// The limit.
        limit: usize,
    },
    /// A byte shuffle whose stride is 0.
    #[error("byte shuffle with stride {stride}: expected at least 1")]
    Stride {
        /// The stride byte.
        stride: u8,
    },
}

/// What the first bytes say.
enum Sniffed {
    Payload(Payload),
    Coded(Coding),
    Refused(ContainerError),
    Nothing,
}

/// Removes every outer coding of `bytes`.
pub fn unwrap<'a>(bytes: &'a [u8], limits: &Limits) -> Result<Unwrapped<'a>, ContainerError> {
    if bytes.is_empty() {
        return Err(ContainerError::Empty);
    }
    let mut bytes = Cow::Borrowed(bytes);
    let mut codings = Vec::new();
    loop {
        let coding = match sniff(&bytes) {
            Sniffed::Payload(payload) => return Ok(Unwrapped { codings, payload, bytes }),
            Sniffed::Refused(error) => return Err(error),
            Sniffed::Coded(coding) => coding,
            Sniffed::Nothing => {
                let inner = try_brotli(&bytes, limits)?;
                codings.push(Coding::Brotli);
                bytes = Cow::Owned(inner);
                continue;
            }
        };
        if codings.len() == MAX_CODINGS {
            return Err(ContainerError::TooDeep { limit: MAX_CODINGS });
        }
        codings.push(coding);
        bytes = Cow::Owned(decode(coding, &bytes, limits)?);
    }
}

fn sniff(bytes: &[u8]) -> Sniffed {
    const MAGICS: [(&[u8], Coding); 4] = [
        (&[0x28, 0xb5, 0x2f, 0xfd], Coding::Zstd),
        (&[0xfd, b'7', b'z', b'X', b'Z', 0], Coding::Xz),
        (b"BSHF", Coding::ByteShuffle),
        // Properties lc=3 lp=0 pb=2 and a dictionary that is a multiple of 64 KiB: what Python writes.
        (&[0x5d, 0, 0], Coding::Lzma),
    ];
    if bytes.starts_with(b"PK\x03\x04") {
        return Sniffed::Payload(Payload::TorchZip);
    }
    if looks_like_safetensors(bytes) {
        return Sniffed::Payload(Payload::Safetensors);
    }
    if bytes.starts_with(b"PGRP") {
        return Sniffed::Refused(ContainerError::Unsupported {
            what: "the per-group container `PGRP`",
            hint: "export the state dict as safetensors with the system that wrote the file",
        });
    }
    if bytes.starts_with(&[0x80, 0x02]) {
        return Sniffed::Refused(ContainerError::Unsupported {
            what: "a bare pickle (torch before 1.6, or `pickle.dump`)",
            hint: "save the state dict again with a current torch, or as safetensors",
        });
    }
    if let Some(&(_, coding)) = MAGICS.iter().find(|(magic, _)| bytes.starts_with(magic)) {
        return Sniffed::Coded(coding);
    }
    match bytes {
        // RFC 1950: deflate with a window of at most 32 KiB, no preset dictionary, header divisible by 31.
        [cmf, flg, ..]
            if cmf & 0x0f == 8
                && cmf >> 4 <= 7
                && flg & 0x20 == 0
                && (u16::from(*cmf) << 8 | u16::from(*flg)) % 31 == 0 =>
        {
            Sniffed::Coded(Coding::Zlib)
        }
        _ => Sniffed::Nothing,
    }
}

fn looks_like_safetensors(bytes: &[u8]) -> bool {
    let Some((length, rest)) = bytes.split_first_chunk::<8>() else { return false };
    let length = u64::from_le_bytes(*length);
    length >= 2 && length <= rest.len() as u64 && rest[0] == b'{'
}

/// Tries brotli, which has no magic: success means that something known comes out.
fn try_brotli(bytes: &[u8], limits: &Limits) -> Result<Vec<u8>, ContainerError> {
    match decode(Coding::Brotli, bytes, limits) {
        Ok(inner) if !matches!(sniff(&inner), Sniffed::Nothing) => Ok(inner),
        Err(error @ ContainerError::TooLarge { .. }) => Err(error),
        _ => Err(ContainerError::Unknown { head: bytes[..bytes.len().min(8)].to_vec() }),
    }
}

fn decode(coding: Coding, bytes: &[u8], limits: &Limits) -> Result<Vec<u8>, ContainerError> {
    let damaged = |source| ContainerError::Damaged { coding, compressed: bytes.len(), source };
    let limit = limits.raw_bytes.min(limits.ratio_floor.max(limits.ratio.saturating_mul(bytes.len() as u64)));
    let read = |reader: &mut dyn Read| read_bounded(reader, coding, bytes.len(), limit);
    let (raw, rest) = match coding {
        Coding::Zlib => {
            let mut reader = flate2::bufread::ZlibDecoder::new(bytes);
            (read(&mut reader)?, reader.into_inner().len())
        }
        Coding::Zstd => {
            let mut reader = ruzstd::decoding::StreamingDecoder::new_with_max_window_size(bytes, ZSTD_WINDOW)
                .map_err(|error| damaged(io::Error::other(error)))?;
            (read(&mut reader)?, reader.into_inner().len())
        }
        Coding::Xz => {
            let mut reader = lzma_rust2::XzReader::new_mem_limit(bytes, false, LZMA_KIB);
            (read(&mut reader)?, reader.into_inner().len())
        }
        Coding::Lzma => {
            let mut reader = lzma_rust2::LzmaReader::new_mem_limit(bytes, LZMA_KIB, None).map_err(damaged)?;
            (read(&mut reader)?, reader.into_inner().len())
        }
        Coding::Brotli => (read(&mut brotli::Decompressor::new(bytes, STEP))?, 0),
        Coding::ByteShuffle => (unshuffle(bytes)?, 0),
    };
    if rest > 0 {
        return Err(ContainerError::Trailing { coding, count: rest });
    }
    Ok(raw)
}

/// Reads to the end, but never keeps more than `limit` bytes and one step.
fn read_bounded(
    reader: &mut dyn Read,
    coding: Coding,
    compressed: usize,
    limit: u64,
) -> Result<Vec<u8>, ContainerError> {
    let mut raw = Vec::new();
    let mut step = vec![0; STEP];
    loop {
        match reader.read(&mut step) {
            Ok(0) => return Ok(raw),
            Ok(n) if (raw.len() + n) as u64 > limit => {
                return Err(ContainerError::TooLarge { coding, compressed, limit });
            }
            Ok(n) => raw.extend_from_slice(&step[..n]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(source) => return Err(ContainerError::Damaged { coding, compressed, source }),
        }
    }
}

/// Undoes the byte shuffle; the first `length mod stride` planes are one byte longer than the others.
fn unshuffle(bytes: &[u8]) -> Result<Vec<u8>, ContainerError> {
    let Some((&stride, planes)) = bytes.get(4..).and_then(<[u8]>::split_first) else {
        return Err(ContainerError::Stride { stride: 0 });
    };
    if stride == 0 {
        return Err(ContainerError::Stride { stride });
    }
    let (stride, mut source) = (usize::from(stride), planes.iter());
    let mut raw = vec![0; planes.len()];
    for first in 0..stride {
        // `raw` comes before `source` so that the shorter side never consumes an element too many.
        raw.iter_mut().skip(first).step_by(stride).zip(source.by_ref()).for_each(|(to, from)| *to = *from);
    }
    Ok(raw)
}

#[cfg(test)]
mod tests;
