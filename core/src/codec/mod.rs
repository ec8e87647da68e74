//! Codecs: lossless byte compressors behind one table, the best of which is kept for every stream.
//!
//! | id | codec | bytes of a stream | encoder | decoder |
//! |---|---|---|---|---|
//! | 0 | store | the raw bytes | – | – |
//! | 1 | zstd | one frame (RFC 8878) with its content size and nothing optional: no checksum, no dictionary | `zstd`, level 22, window 8 MiB | `ruzstd` |
//! | 2 | lzma | LZMA1: properties byte, dictionary size (u32, little-endian), range-coded data without end marker | `lzma-rust2`, preset 9, longest matches, `pb = 0` | `lzma-rs` |
//! | 3 | brotli | one stream (RFC 7932) with a window of at most 16 MiB | `brotli`, quality 11, window 16 MiB | `brotli` |
//!
//! Decoding is the same pure-Rust code on every target, so a browser reads exactly what a server reads. Encoding
//! needs the native encoders: on `wasm32` everything is stored. Encoders run on one thread each with fixed
//! settings, so the same bytes in give the same bytes out.
//!
//! Invariant: [`decode`] returns exactly the length it was asked for or an error, produces at most a few hundred
//! bytes more than that on the way, and allocates no more than the output plus the window limits of
//! [`CodecLimits`], whatever the input says. A codec does not know what its bytes mean; that is
//! [`crate::artifact`]'s business. A new codec is a variant, a row of the table and a file.

#![deny(unsafe_code)]

mod brotli;
#[cfg(not(target_arch = "wasm32"))]
mod encode;
mod error;
mod lzma;
#[cfg(test)]
mod tests;
mod zstd;

pub use error::CodecError;

/// A row of the table above. The discriminant is the id on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Codec {
    /// The bytes themselves.
    Store = 0,
    /// One Zstandard frame.
    Zstd = 1,
    /// Raw LZMA1 behind its five header bytes.
    Lzma = 2,
    /// One Brotli stream.
    Brotli = 3,
}

/// Bounds that a stream may not exceed, whatever it declares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CodecLimits {
    /// Largest Zstandard window, in bytes.
    pub zstd_window: u64,
    /// Largest LZMA dictionary, in bytes.
    pub lzma_dictionary: u32,
}

impl Default for CodecLimits {
    /// 8 MiB and 64 MiB.
    fn default() -> Self {
        Self { zstd_window: 8 << 20, lzma_dictionary: 64 << 20 }
    }
}

impl Codec {
    /// Every codec, by ascending id.
    pub const ALL: [Codec; 4] = [Codec::Store, Codec::Zstd, Codec::Lzma, Codec::Brotli];

    /// The codec with id `id`.
    pub fn from_id(id: u8) -> Result<Codec, CodecError> {
        Codec::ALL.into_iter().find(|codec| *codec as u8 == id).ok_or(CodecError::Unknown { id })
    }

    /// Name as tables and messages print it.
    pub fn name(self) -> &'static str {
        match self {
            Codec::Store => "store",
            Codec::Zstd => "zstd",
            Codec::Lzma => "lzma",
            Codec::Brotli => "brotli",
        }
    }
}

/// Revision of the encoders of this target: raised when a crate or a setting changes the compressed bytes; 0 where
/// there are none.
pub const ENCODER_REVISION: u8 = encode::REVISION;

/// Compresses `raw` with every codec of this target and keeps the smallest result; of equals, the lowest id.
pub fn encode_best(raw: &[u8]) -> (Codec, Vec<u8>) {
    let smallest = encode::candidates(raw).into_iter().min_by_key(|(codec, bytes)| (bytes.len(), *codec));
    match smallest {
        Some(best) if best.1.len() < raw.len() => best,
        _ => (Codec::Store, raw.to_vec()),
    }
}

/// [`encode_best`] of every stream, natively on all cores.
pub fn encode_best_of_each(streams: &[Vec<u8>]) -> Vec<(Codec, Vec<u8>)> {
    encode::best_of_each(streams)
}

/// The encoders of a target without any: nothing competes with storing.
#[cfg(target_arch = "wasm32")]
mod encode {
    use super::Codec;

    pub(super) const REVISION: u8 = 0;

    pub(super) fn candidates(_raw: &[u8]) -> Vec<(Codec, Vec<u8>)> {
        Vec::new()
    }

    pub(super) fn best_of_each(raw: &[Vec<u8>]) -> Vec<(Codec, Vec<u8>)> {
        raw.iter().map(|stream| super::encode_best(stream)).collect()
    }
}

/// Decompresses `bytes` into exactly `raw_len` bytes.
///
/// The caller has checked that `raw_len` bytes are affordable; the output is bounded by it, the working memory by
/// `limits`. Everything is consumed: bytes after the stream are an error.
pub fn decode(
    codec: Codec,
    bytes: &[u8],
    raw_len: usize,
    limits: &CodecLimits,
) -> Result<Vec<u8>, CodecError> {
    let raw = match codec {
        Codec::Store => bytes.to_vec(),
        Codec::Zstd => zstd::decode(bytes, raw_len, limits.zstd_window)?,
        Codec::Lzma => lzma::decode(bytes, raw_len, limits.lzma_dictionary)?,
        Codec::Brotli => brotli::decode(bytes, raw_len)?,
    };
    if raw.len() == raw_len {
        Ok(raw)
    } else {
        Err(CodecError::Length { codec: codec.name(), expected: raw_len, got: raw.len() })
    }
}
