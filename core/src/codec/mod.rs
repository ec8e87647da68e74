//! Codecs: lossless byte compressors behind one table, the best of which is kept for every stream.
//!
//! | id | codec | bytes of a stream | encoder | decoder |
//! |---|---|---|---|---|
//! | 0 | store | the raw bytes | – | – |
//! | 1 | zstd | one frame (RFC 8878) with its content size and nothing optional: no checksum, no dictionary | `zstd`, level 22, window 8 MiB | `ruzstd` |
//! | 2 | lzma | LZMA1: properties byte, dictionary size (u32, little-endian), range-coded data without end marker | `lzma-rust2`, preset 9, longest matches, `pb = 0` | `lzma-rs` |
//! | 3 | brotli | one stream (RFC 7932) with a window of at most 16 MiB | `brotli`, quality 11, window 16 MiB | `brotli` |
//! | 4 | mixer | shapes, then range-coded bits: [`mixer`] | ours | ours |
//!
//! The first four see bytes. The mixer sees quantized matrices ([`Symbols`]) and models their rows and columns.
//!
//! Decoding is the same Rust code on every target, so a browser reads exactly what a server reads. So is encoding
//! with the mixer; the other encoders are native, and on `wasm32` what is not symbols is stored. Encoders run on one
//! thread each with fixed settings, so the same bytes in give the same bytes out.
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
pub mod mixer;
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
    /// Context mixing over the rows and columns of quantized matrices.
    Mixer = 4,
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
    pub const ALL: [Codec; 5] = [Codec::Store, Codec::Zstd, Codec::Lzma, Codec::Brotli, Codec::Mixer];

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
            Codec::Mixer => "mixer",
        }
    }
}

/// Quantized matrices one after another, row by row: what the mixer needs to know of a stream.
#[derive(Clone, Copy, Debug)]
pub struct Symbols<'a> {
    /// Bits of a symbol, 1 to 8. Symbol `s` is the integer `s - 2^(bits-1)`.
    pub bits: u32,
    /// Rows and columns of each matrix, none of them 0.
    pub matrices: &'a [(usize, usize)],
    /// One byte a symbol, as many as the matrices hold.
    pub bytes: &'a [u8],
}

/// Revision of the encoders of this target: raised when a crate or a setting changes the compressed bytes; 0 where
/// there is none but the mixer.
pub const ENCODER_REVISION: u8 = encode::REVISION;

/// Compresses `raw` with one codec; `None` where this target has no encoder for it. The mixer takes `raw` for a row of
/// 8-bit symbols; for matrices there is [`encode_symbols`].
pub fn encode(codec: Codec, raw: &[u8]) -> Option<Vec<u8>> {
    match codec {
        Codec::Store => Some(raw.to_vec()),
        Codec::Mixer if raw.is_empty() => Some(mixer::encode(raw, 8, &[])),
        Codec::Mixer => Some(mixer::encode(raw, 8, &[(1, raw.len())])),
        _ => encode::ENCODERS.iter().find(|(own, _)| *own == codec).map(|(_, encode)| encode(raw)),
    }
}

/// Compresses quantized matrices with the mixer.
///
/// Panics if the symbols are not what [`Symbols`] says.
pub fn encode_symbols(symbols: Symbols<'_>) -> Vec<u8> {
    mixer::encode(symbols.bytes, symbols.bits, symbols.matrices)
}

/// Whether the byte codecs are worth trying on `raw` against a stream of `rival` bytes: always on small ones, otherwise if
/// a fast Zstandard already comes as low, which is what repetitions do and weights do not.
pub fn may_beat(raw: &[u8], rival: usize) -> bool {
    encode::may_beat(raw, rival)
}

/// Compresses `raw` with every byte codec of this target and keeps the smallest result; of equals, the lowest id.
pub fn encode_best(raw: &[u8]) -> (Codec, Vec<u8>) {
    let smallest = encode::candidates(raw).into_iter().min_by_key(|(codec, bytes)| (bytes.len(), *codec));
    match smallest {
        Some(best) if best.1.len() < raw.len() => best,
        _ => (Codec::Store, raw.to_vec()),
    }
}

/// A target whose only encoder is ours.
#[cfg(target_arch = "wasm32")]
mod encode {
    use super::Codec;

    pub(super) const REVISION: u8 = 0;
    pub(super) const ENCODERS: [(Codec, fn(&[u8]) -> Vec<u8>); 0] = [];

    pub(super) fn candidates(_raw: &[u8]) -> Vec<(Codec, Vec<u8>)> {
        Vec::new()
    }

    pub(super) fn may_beat(raw: &[u8], rival: usize) -> bool {
        raw.len() < rival
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
        Codec::Mixer => mixer::decode(bytes, raw_len)?,
    };
    if raw.len() == raw_len {
        Ok(raw)
    } else {
        Err(CodecError::Length { codec: codec.name(), expected: raw_len, got: raw.len() })
    }
}
