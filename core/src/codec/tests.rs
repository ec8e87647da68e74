//! Codecs round-trip, agree with the reference decoders and refuse what they must.

use proptest::prelude::*;

use super::*;

fn limits() -> CodecLimits {
    CodecLimits::default()
}

/// `raw` under one given codec.
fn encode_with(codec: Codec, raw: &[u8]) -> Vec<u8> {
    encode(codec, raw).expect("every codec has an encoder here")
}

/// Bytes that look like quantized weights: a bell around 32.
fn weights(len: usize, mut seed: u64) -> Vec<u8> {
    let mut next = || {
        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (seed >> 56) as u8
    };
    (0..len).map(|_| (0..4).map(|_| next() >> 4).sum()).collect()
}

/// Bytes that nothing compresses.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 88172645463325252u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..len).map(|_| next()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn every_codec_returns_what_it_was_given(raw in prop::collection::vec(0u8..9, 0..3000)) {
        for codec in Codec::ALL {
            let bytes = encode_with(codec, &raw);
            prop_assert_eq!(&decode(codec, &bytes, raw.len(), &limits()).unwrap(), &raw, "{}", codec.name());
        }
    }

    #[test]
    fn damaged_streams_never_panic_and_never_change_length(
        raw in prop::collection::vec(0u8..40, 1..600), at in any::<prop::sample::Index>(), flip in 1u8..=255
    ) {
        for codec in [Codec::Zstd, Codec::Lzma, Codec::Brotli, Codec::Mixer] {
            let mut bytes = encode_with(codec, &raw);
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
            if let Ok(got) = decode(codec, &bytes, raw.len(), &limits()) {
                prop_assert_eq!(got.len(), raw.len());
            }
        }
    }

    #[test]
    fn noise_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..300), len in 0usize..5000) {
        for codec in Codec::ALL {
            let mut framed = bytes.clone();
            if codec == Codec::Zstd {
                framed.splice(0..0, [0x28, 0xb5, 0x2f, 0xfd]);
            }
            if let Ok(got) = decode(codec, &framed, len, &limits()) {
                prop_assert_eq!(got.len(), len);
            }
        }
    }
}

#[test]
fn our_zstd_decoder_agrees_with_the_reference_one() {
    for len in [1, 100, 5_000, 300_000] {
        let raw = weights(len, len as u64);
        let frame = encode_with(Codec::Zstd, &raw);
        assert_eq!(::zstd::bulk::decompress(&frame, len).unwrap(), raw);
        assert_eq!(decode(Codec::Zstd, &frame, len, &limits()).unwrap(), raw);
    }
}

#[test]
fn streams_longer_than_the_window_round_trip() {
    let raw: Vec<u8> = weights(1 << 16, 7).into_iter().cycle().take(9 << 20).collect();
    let frame = encode_with(Codec::Zstd, &raw);
    assert!(decode(Codec::Zstd, &frame, raw.len(), &limits()).unwrap() == raw);
}

#[test]
fn the_smallest_wins_and_store_wins_ties() {
    let noise = noise(200);
    assert_eq!(encode_best(&noise), (Codec::Store, noise));
    assert_eq!(encode_best(&[]), (Codec::Store, vec![]));
    let raw = weights(20_000, 3);
    let (codec, bytes) = encode_best(&raw);
    for (other, candidate) in encode::candidates(&raw) {
        assert!((bytes.len(), codec) <= (candidate.len(), other));
    }
    assert_eq!(encode_best(&raw), (codec, bytes));
}

#[test]
fn a_wrong_length_is_refused_by_every_codec() {
    let raw = weights(4000, 1);
    for codec in Codec::ALL {
        let bytes = encode_with(codec, &raw);
        for len in [0, 1, 3999, 4001, 1 << 20] {
            assert!(decode(codec, &bytes, len, &limits()).is_err(), "{} as {len} bytes", codec.name());
        }
    }
}

#[test]
fn bytes_after_the_stream_are_refused_by_every_codec() {
    let raw = weights(4000, 1);
    for codec in [Codec::Zstd, Codec::Lzma, Codec::Brotli, Codec::Mixer] {
        let mut bytes = encode_with(codec, &raw);
        bytes.push(0);
        let error = decode(codec, &bytes, raw.len(), &limits()).unwrap_err();
        assert!(matches!(error, CodecError::TrailingBytes { count: 1, .. }), "{error}");
    }
    let mut twice = encode_with(Codec::Zstd, &raw);
    twice.extend_from_within(..);
    let error = decode(Codec::Zstd, &twice, raw.len(), &limits()).unwrap_err();
    assert!(matches!(error, CodecError::TrailingBytes { .. }), "{error}");
}

#[test]
fn truncated_streams_are_refused_at_every_length() {
    let raw = weights(500, 5);
    for codec in Codec::ALL {
        let bytes = encode_with(codec, &raw);
        for len in 0..bytes.len() {
            assert!(decode(codec, &bytes[..len], raw.len(), &limits()).is_err(), "{} at {len}", codec.name());
        }
    }
}

#[test]
fn a_fast_pass_finds_the_streams_that_byte_codecs_win() {
    let bell = weights(1 << 16, 9);
    let matrices = [(256, 256)];
    let mixed = encode_symbols(Symbols { bits: 6, matrices: &matrices, bytes: &bell }).len();
    assert!(mixed < encode_best(&bell).1.len() && !may_beat(&bell, mixed));
    let repeated: Vec<u8> = weights(1 << 12, 9).repeat(16);
    let mixed = encode_symbols(Symbols { bits: 6, matrices: &matrices, bytes: &repeated }).len();
    assert!(encode_best(&repeated).1.len() < mixed && may_beat(&repeated, mixed));
}

#[test]
fn windows_beyond_the_limit_are_refused() {
    // Window descriptor 0xa8: exponent 21, 2 GiB; content size 300 in the two-byte form (minus 256).
    let frame = [0x28, 0xb5, 0x2f, 0xfd, 0x40, 0xa8, 44, 0, 1, 0, 0];
    let error = decode(Codec::Zstd, &frame, 300, &limits()).unwrap_err();
    assert!(matches!(error, CodecError::WindowTooLarge { codec: "zstd", .. }), "{error}");
    let mut bytes = encode_with(Codec::Lzma, &weights(500, 5));
    bytes[1..5].fill(0xff);
    let error = decode(Codec::Lzma, &bytes, 500, &limits()).unwrap_err();
    assert!(matches!(error, CodecError::WindowTooLarge { codec: "lzma", got: 0xffff_ffff, .. }), "{error}");
}

#[test]
fn ids_outside_the_table_are_refused() {
    for codec in Codec::ALL {
        assert_eq!(Codec::from_id(codec as u8).unwrap(), codec);
    }
    assert!(matches!(Codec::from_id(5), Err(CodecError::Unknown { id: 5 })));
}
