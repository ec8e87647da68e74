//! The native encoders, each at its strongest setting and on one thread.

use std::io::Write;

use brotli::enc::BrotliEncoderParams;
use lzma_rust2::{LzmaOptions, LzmaWriter};
use rayon::prelude::*;
use zstd::zstd_safe::CParameter;

use super::Codec;

/// See [`super::ENCODER_REVISION`].
pub(super) const REVISION: u8 = 2;
/// Level of Zstandard: the highest.
const ZSTD_LEVEL: i32 = 22;
/// Window of Zstandard, log2: what every reader must accept (RFC 8878 recommends supporting 8 MiB).
const ZSTD_WINDOW_LOG: u32 = 23;
/// Quality of Brotli: the highest.
const BROTLI_QUALITY: i32 = 11;
/// Window of Brotli, log2: the largest without the large-window extension.
const BROTLI_WINDOW_LOG: i32 = 24;
/// Dictionary bounds of LZMA, in bytes.
const LZMA_DICTIONARY: std::ops::RangeInclusive<usize> = 4096..=64 << 20;

/// Memory is the only thing that these encoders can run out of when they write to a vector.
const IN_MEMORY: &str = "encoding from memory to memory cannot fail";

/// One encoder; its output is what [`super::decode`] reads.
pub(super) type Encoder = fn(&[u8]) -> Vec<u8>;

/// The encoder of every codec that compresses, slowest first so that threads stay busy.
pub(super) const ENCODERS: [(Codec, Encoder); 3] =
    [(Codec::Brotli, brotli), (Codec::Lzma, lzma), (Codec::Zstd, zstd)];

/// `raw` under every codec that compresses, in no particular order.
pub(super) fn candidates(raw: &[u8]) -> Vec<(Codec, Vec<u8>)> {
    ENCODERS.into_par_iter().map(|(codec, encode)| (codec, encode(raw))).collect()
}

/// Level of the fast pass that guesses what the strong ones can do.
const PROBE_LEVEL: i32 = 3;

/// Streams up to so many bytes are tried with everything: it takes no time.
const SMALL: usize = 4096;
/// Window of the fast pass, log2: as far as any of the codecs looks back.
const PROBE_WINDOW_LOG: u32 = 26;

/// See [`super::may_beat`].
pub(super) fn may_beat(raw: &[u8], rival: usize) -> bool {
    if raw.len() <= SMALL {
        return true;
    }
    let mut probe = zstd::bulk::Compressor::new(PROBE_LEVEL).expect(IN_MEMORY);
    let far = [CParameter::EnableLongDistanceMatching(true), CParameter::WindowLog(PROBE_WINDOW_LOG)];
    far.into_iter().for_each(|parameter| probe.set_parameter(parameter).expect("26 is a valid window log"));
    probe.compress(raw).expect(IN_MEMORY).len() <= rival
}

fn zstd(raw: &[u8]) -> Vec<u8> {
    let mut encoder = zstd::bulk::Compressor::new(ZSTD_LEVEL).expect(IN_MEMORY);
    encoder.set_parameter(CParameter::WindowLog(ZSTD_WINDOW_LOG)).expect("23 is a valid window log");
    encoder.compress(raw).expect(IN_MEMORY)
}

fn lzma(raw: &[u8]) -> Vec<u8> {
    let mut options = LzmaOptions::with_preset(9);
    options.nice_len = LzmaOptions::NICE_LEN_MAX;
    // Weights have no four-byte rhythm: position bits would only dilute the statistics.
    options.pb = 0;
    options.dict_size = raw.len().clamp(*LZMA_DICTIONARY.start(), *LZMA_DICTIONARY.end()) as u32;
    let mut bytes = vec![options.get_props()];
    bytes.extend(options.dict_size.to_le_bytes());
    let mut writer = LzmaWriter::new_no_header(bytes, &options, false).expect("these options are valid");
    writer.write_all(raw).expect(IN_MEMORY);
    writer.finish().expect(IN_MEMORY)
}

fn brotli(raw: &[u8]) -> Vec<u8> {
    let params = BrotliEncoderParams {
        quality: BROTLI_QUALITY,
        lgwin: BROTLI_WINDOW_LOG,
        size_hint: raw.len(),
        ..BrotliEncoderParams::default()
    };
    let mut bytes = Vec::new();
    brotli::BrotliCompress(&mut &raw[..], &mut bytes, &params).expect(IN_MEMORY);
    bytes
}
