//! The codecs of `golf bench codecs`, each at its strongest setting.
//!
//! Byte codecs get each stream by rows and by columns and keep the smaller result, as an artifact's writer would. Decoders
//! are those that read artifacts, where artifacts have the codec. Not here: measuring.

use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use golf_core::artifact::SymbolStream;
use golf_core::codec::{Codec, CodecLimits, Symbols, decode, encode, encode_symbols};
use lzma_rust2::{LzmaOptions, XzOptions, XzReader, XzWriter};
use std::error::Error;
use std::io::{Read, Write};

/// Bytes or why there are none.
type Bytes = Result<Vec<u8>, Box<dyn Error>>;

/// A codec of the table.
pub(super) struct Contender {
    pub name: &'static str,
    /// Compresses a stream whose symbols are given in some order.
    pub encode: fn(&SymbolStream, &[u8]) -> Bytes,
    /// Restores so many bytes.
    pub decode: fn(&[u8], usize) -> Bytes,
    /// Whether it sees bytes only, and so may gain from the other order.
    pub bytes_only: bool,
}

pub(super) const CONTENDERS: [Contender; 5] = [
    Contender { name: "zlib -9", encode: |_, raw| zlib(raw), decode: unzlib, bytes_only: true },
    Contender {
        name: "zstd -22",
        encode: |_, raw| native(Codec::Zstd, raw),
        decode: |bytes, len| restored(Codec::Zstd, bytes, len),
        bytes_only: true,
    },
    Contender { name: "xz -9e", encode: |_, raw| xz(raw), decode: unxz, bytes_only: true },
    Contender {
        name: "brotli -11",
        encode: |_, raw| native(Codec::Brotli, raw),
        decode: |bytes, len| restored(Codec::Brotli, bytes, len),
        bytes_only: true,
    },
    Contender {
        name: "mixer",
        encode: |stream, raw| {
            Ok(encode_symbols(Symbols { bits: stream.bits, matrices: &stream.matrices, bytes: raw }))
        },
        decode: |bytes, len| restored(Codec::Mixer, bytes, len),
        bytes_only: false,
    },
];

fn native(codec: Codec, raw: &[u8]) -> Bytes {
    Ok(encode(codec, raw).expect("native targets have every encoder"))
}

fn restored(codec: Codec, bytes: &[u8], len: usize) -> Bytes {
    Ok(decode(codec, bytes, len, &CodecLimits::default())?)
}

fn zlib(raw: &[u8]) -> Bytes {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(raw)?;
    Ok(encoder.finish()?)
}

fn unzlib(bytes: &[u8], len: usize) -> Bytes {
    let mut raw = Vec::with_capacity(len);
    ZlibDecoder::new(bytes).read_to_end(&mut raw)?;
    Ok(raw)
}

/// What `xz -9e` does: preset 9, matches as long as there are, a dictionary that holds everything.
fn xz(raw: &[u8]) -> Bytes {
    let mut options = XzOptions::with_preset(9);
    options.lzma_options.nice_len = LzmaOptions::NICE_LEN_MAX;
    let mut encoder = XzWriter::new(Vec::new(), options)?;
    encoder.write_all(raw)?;
    Ok(encoder.finish()?)
}

fn unxz(bytes: &[u8], len: usize) -> Bytes {
    let mut raw = Vec::with_capacity(len);
    XzReader::new(bytes, false).read_to_end(&mut raw)?;
    Ok(raw)
}
