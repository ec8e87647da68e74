//! Codings come off in any order, stop at their limits, and never panic.

use std::io::Write;

use super::*;

/// A payload that is recognised as a ZIP and has an odd length.
fn payload() -> Vec<u8> {
    let mut bytes = b"PK\x03\x04".to_vec();
    bytes.extend((0..5001u32).map(|i| (i * i % 251) as u8));
    bytes
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn brotli_bytes(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    brotli::CompressorWriter::new(&mut out, 4096, 11, 24).write_all(bytes).unwrap();
    out
}

fn shuffle(bytes: &[u8], stride: usize) -> Vec<u8> {
    let planes = (0..stride).flat_map(|first| bytes.iter().copied().skip(first).step_by(stride));
    b"BSHF".iter().copied().chain([stride as u8]).chain(planes).collect()
}

fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut writer = lzma_rust2::XzWriter::new(Vec::new(), lzma_rust2::XzOptions::with_preset(9)).unwrap();
    writer.write_all(bytes).unwrap();
    writer.finish().unwrap()
}

fn lzma(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    lzma_rs::lzma_compress(&mut &bytes[..], &mut out).unwrap();
    out
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
}

fn coded() -> Vec<(Vec<Coding>, Vec<u8>)> {
    let p = payload();
    vec![
        (vec![], p.clone()),
        (vec![Coding::Zlib], zlib(&p)),
        (vec![Coding::Zstd], zstd(&p)),
        (vec![Coding::Xz], xz(&p)),
        (vec![Coding::Lzma], lzma(&p)),
        (vec![Coding::Brotli], brotli_bytes(&p)),
        (vec![Coding::ByteShuffle], shuffle(&p, 3)),
        (vec![Coding::Brotli, Coding::ByteShuffle], brotli_bytes(&shuffle(&p, 2))),
        (vec![Coding::Xz, Coding::ByteShuffle], xz(&shuffle(&p, 4))),
    ]
}

#[test]
fn every_coding_comes_off() {
    for (codings, bytes) in coded() {
        let unwrapped = unwrap(&bytes, &Limits::default()).unwrap();
        assert_eq!(unwrapped.codings, codings);
        assert_eq!(unwrapped.payload, Payload::TorchZip);
        assert_eq!(unwrapped.bytes.as_ref(), payload(), "{codings:?}");
    }
}

#[test]
fn every_coding_stops_at_the_limit() {
    let limits = Limits { raw_bytes: 1000, ..Limits::default() };
    for (codings, bytes) in coded().into_iter().filter(|(c, _)| c.len() == 1 && c[0] != Coding::ByteShuffle) {
        let error = unwrap(&bytes, &limits).unwrap_err();
        assert!(matches!(error, ContainerError::TooLarge { limit: 1000, .. }), "{codings:?}: {error}");
    }
}

#[test]
fn the_ratio_stops_a_bomb_before_the_size_does() {
    let bomb = zlib(&vec![0; 4 << 20]);
    let limits = Limits { ratio: 16, ratio_floor: 1 << 16, ..Limits::default() };
    let error = unwrap(&bomb, &limits).unwrap_err();
    let expected = (16 * bomb.len() as u64).max(1 << 16);
    assert!(matches!(error, ContainerError::TooLarge { limit, .. } if limit == expected), "{error}");
}

#[test]
fn bytes_after_a_stream_are_refused() {
    for encode in [zlib, zstd, xz] {
        let mut bytes = encode(&payload());
        bytes.extend([1, 2, 3]);
        let error = unwrap(&bytes, &Limits::default()).unwrap_err();
        assert!(matches!(error, ContainerError::Trailing { count: 3, .. }), "{error}");
    }
}

#[test]
fn truncated_and_flipped_streams_never_panic() {
    for (_, bytes) in coded() {
        for cut in (0..bytes.len()).step_by(97) {
            let _ = unwrap(&bytes[..cut], &Limits::default());
            let mut flipped = bytes.clone();
            flipped[cut] ^= 0x55;
            let _ = unwrap(&flipped, &Limits::default());
        }
    }
}
