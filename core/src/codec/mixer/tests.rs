//! Round trips, pinned bytes, what a malformed stream is refused for, and that the model sees what it is for.

use proptest::prelude::*;
use sha2::{Digest, Sha256};

use super::super::{Codec, encode_best};
use super::range::BitCoder;
use super::*;
use crate::quant::trellis::State;

/// A matrix shape.
type Shape = (usize, usize);

/// Symbols of a few small matrices of any width.
fn stream() -> impl Strategy<Value = (u32, Vec<Shape>, Vec<u8>)> {
    (1u32..=8, prop::collection::vec((1usize..9, 1usize..40), 0..6)).prop_flat_map(|(bits, shapes)| {
        let count = shapes.iter().map(|(rows, cols)| rows * cols).sum::<usize>();
        let symbols = prop::collection::vec(0..=u8::MAX >> (8 - bits), count);
        (Just(bits), Just(shapes), symbols)
    })
}

/// A bell around 2^(bits-1) whose spread differs between rows and between columns, and whose columns have means.
fn bell(rows: usize, cols: usize, bits: u32, mean: i64) -> Vec<u8> {
    let mut state = 88172645463325252u64;
    let mut uniform = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as i64 - (1 << 23)
    };
    let half = 1i64 << (bits - 1);
    let mut symbol = |i: usize| {
        let (row, col) = (i / cols, i % cols);
        let normal: i64 = (0..4).map(|_| uniform()).sum();
        let spread = (2 + row as i64 % 5) * (3 + col as i64 * 7 % 11);
        let q = ((normal * spread * half) >> 30) + mean * (col as i64 % 3 - 1);
        (q.clamp(-half, half - 1) + half) as u8
    };
    (0..rows * cols).map(&mut symbol).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_matrices_of_any_width_come_back((bits, shapes, symbols) in stream()) {
        let bytes = encode(&symbols, bits, &shapes);
        prop_assert_eq!(decode(&bytes, symbols.len()).unwrap(), symbols);
    }

    #[test]
    fn bits_of_any_probability_come_back(
        bits in prop::collection::vec((16u32..65_520, any::<bool>()), 0..2000), skew in 0u32..3
    ) {
        // Extreme probabilities, and bits that make carries run.
        let extreme = |p: u32| match skew { 0 => p, 1 => 16 + p % 16, _ => 65_519 - p % 16 };
        let mut encoder = RangeEncoder::new(Vec::new());
        for &(probability, bit) in &bits {
            encoder.code(extreme(probability), bit.into());
        }
        let bytes = encoder.finish();
        let mut decoder = RangeDecoder::new(&bytes);
        for &(probability, bit) in &bits {
            prop_assert_eq!(decoder.code(extreme(probability), 0), u32::from(bit));
        }
        prop_assert_eq!((decoder.missing(), decoder.left()), (0, 0));
    }

    #[test]
    fn damage_never_panics(
        (bits, shapes, symbols) in stream(), changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)
    ) {
        let mut bytes = encode(&symbols, bits, &shapes);
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Ok(got) = decode(&bytes, symbols.len()) {
            prop_assert_eq!(got.len(), symbols.len());
        }
    }
}

#[test]
fn the_bytes_are_the_same_on_every_machine_and_in_every_version() {
    // Another digest means that files of this revision no longer decode: the header's revision must change with it.
    let cases = [(5, 1, PINNED_5), (8, 0, PINNED_8)];
    for (bits, mean, expected) in cases {
        let symbols = [bell(64, 48, bits, mean), bell(7, 300, bits, mean)].concat();
        let bytes = encode(&symbols, bits, &[(64, 48), (7, 300)]);
        assert_eq!(decode(&bytes, symbols.len()).unwrap(), symbols);
        let digest: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!((bytes.len(), digest.as_str()), expected, "{bits} bits");
    }
    let symbols = on_a_trellis(64, 48, 6);
    let bytes = encode(&symbols, 6, &[(64, 48)]);
    let digest: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!((bytes.len(), digest.as_str()), PINNED_TRELLIS);
}

const PINNED_5: (usize, &str) = (2698, "afa3ba1dee9e7635bdff622496e46ebdb230dc5b0914948f29ad1a890e07a9f0");
const PINNED_8: (usize, &str) = (4646, "dc949b2c26608b48bcb3be31502e581cb5757725231e9996749be5d190181e23");

const PINNED_TRELLIS: (usize, &str) =
    (1581, "c4fd414ab3429eafc9e5c9e152e6a0d4ea0fb7899fe77f662f02fb4d08d611dd");

#[test]
fn rows_and_columns_of_different_spread_are_seen() {
    for bits in [5, 6] {
        let symbols = bell(512, 128, bits, 0);
        let mixed = encode(&symbols, bits, &[(512, 128)]).len();
        let (codec, best) = encode_best(&symbols);
        assert_ne!(codec, Codec::Mixer);
        assert!(
            mixed * 100 < best.len() * 95,
            "{bits} bits: {mixed} against {} of {}",
            best.len(),
            codec.name()
        );
    }
}

/// The symbols of [`bell`], moved to the nearest way through the trellis.
fn on_a_trellis(rows: usize, cols: usize, bits: u32) -> Vec<u8> {
    let half = 1 << (bits - 1);
    let mut symbols = bell(rows, cols, bits, 0);
    for row in symbols.chunks_mut(cols) {
        let mut state = State::default();
        for symbol in row {
            let q = i32::from(*symbol) - half;
            let q = if q & 1 == state.parity() { q } else { (q - q.signum()) | state.parity() };
            *symbol = (q + half) as u8;
            state = state.after(q);
        }
    }
    symbols
}

#[test]
fn a_known_parity_is_not_paid_for() {
    for bits in 3..=8 {
        let mut symbols = on_a_trellis(128, 96, bits);
        let known = encode(&symbols, bits, &[(128, 96)]);
        assert_eq!(
            (known[0] >> 4, decode(&known, symbols.len()).unwrap()),
            (1, symbols.clone()),
            "{bits} bits"
        );
        // One step off the way: nothing is known any more.
        let last = symbols.last_mut().expect("symbols");
        *last ^= 1;
        let unknown = encode(&symbols, bits, &[(128, 96)]);
        assert_eq!(
            (unknown[0] >> 4, decode(&unknown, symbols.len()).unwrap()),
            (0, symbols.clone()),
            "{bits} bits"
        );
        let saved = 8 * unknown.len() as i64 - 8 * known.len() as i64;
        assert!(saved > symbols.len() as i64 / 2, "{bits} bits: {saved} of {}", symbols.len());
    }
}

#[test]
fn damage_to_a_trellis_gives_symbols_of_its_width_or_an_error() {
    let symbols = on_a_trellis(16, 40, 6);
    let bytes = encode(&symbols, 6, &[(16, 40)]);
    assert_eq!(bytes[0] >> 4, 1);
    for at in 0..bytes.len() {
        for change in [1, 0x80, 0xff] {
            let mut damaged = bytes.clone();
            damaged[at] ^= change;
            let bits = damaged[0] & 15;
            if let Ok(got) = decode(&damaged, symbols.len()) {
                assert!(got.iter().all(|&symbol| u32::from(symbol) < 1 << bits), "byte {at} ^ {change}");
            }
        }
    }
}

#[test]
fn signs_are_predicted_where_columns_have_means_and_only_there() {
    let predicted = |symbols: &[u8]| encode(symbols, 6, &[(256, 96)])[1] >> 7 == 1;
    assert!(predicted(&bell(256, 96, 6, 3)));
    assert!(!predicted(&bell(256, 96, 6, 0)));
}

#[test]
fn a_stream_that_never_changes_costs_almost_nothing() {
    let zeros = vec![16; 1 << 20];
    assert!(encode(&zeros, 5, &[(1 << 10, 1 << 10)]).len() < 1200);
}

#[test]
fn matrices_wider_than_the_statistics_share_them() {
    let symbols = bell(3, 5000, 4, 1);
    let bytes = encode(&symbols, 4, &[(3, 5000)]);
    assert_eq!(decode(&bytes, symbols.len()).unwrap(), symbols);
}

#[test]
fn equal_shapes_are_one_run() {
    let header = |shapes: &[Shape]| {
        let symbols = vec![0; shapes.iter().map(|(rows, cols)| rows * cols).sum()];
        Header::parse(&encode(&symbols, 1, shapes), symbols.len()).unwrap().0.runs
    };
    let run = |count, rows, cols| Run { count, rows, cols };
    assert_eq!(header(&[(2, 3), (2, 3), (3, 2), (2, 3)]), [run(2, 2, 3), run(1, 3, 2), run(1, 2, 3)]);
    assert_eq!(header(&[]), []);
}

#[test]
fn a_malformed_header_is_refused_with_its_reason() {
    use CodecError as E;
    type Refusal = (&'static str, &'static [u8], fn(&E) -> bool);
    let cases: [Refusal; 16] = [
        ("nothing", &[], |e| matches!(e, E::Ended { len: 0, .. })),
        ("one byte", &[5], |e| matches!(e, E::Ended { len: 1, .. })),
        ("revision", &[0x25, 0, 0], |e| matches!(e, E::Unsupported { byte: 0x25, .. })),
        ("a trellis of two bits", &[0x12, 0, 0], |e| matches!(e, E::Unsupported { byte: 0x12, .. })),
        ("no bits", &[0, 0, 0], |e| matches!(e, E::Unsupported { byte: 0, .. })),
        ("nine bits", &[9, 0, 0], |e| matches!(e, E::Unsupported { byte: 9, .. })),
        ("no runs", &[5, 0, 0], |e| matches!(e, E::Length { expected: 6, got: 0, .. })),
        ("runs without end", &[5, 0, 0x80], |e| matches!(e, E::Ended { .. })),
        ("too many runs", &[5, 0, 0xff, 0xff, 3], |e| matches!(e, E::Ended { .. })),
        ("no matrix", &[5, 0, 1, 0, 2, 3], |e| matches!(e, E::Shape { offset: 6, .. })),
        ("no rows", &[5, 0, 1, 1, 0, 3], |e| matches!(e, E::Shape { offset: 6, .. })),
        ("too many symbols", &[5, 0, 1, 1, 2, 4], |e| matches!(e, E::Shape { offset: 6, .. })),
        ("too few symbols", &[5, 0, 1, 1, 1, 3], |e| matches!(e, E::Length { got: 3, .. })),
        ("long form", &[5, 0, 1, 1, 0x82, 0, 3], |e| matches!(e, E::Shape { offset: 4, .. })),
        ("beyond 32 bits", &[5, 0, 1, 1, 0x80, 0x80, 0x80, 0x80, 0x10, 3], |e| {
            matches!(e, E::Shape { offset: 4, .. })
        }),
        (
            "an overflow",
            &[5, 0, 1, 0xff, 0xff, 0xff, 0xff, 15, 0xff, 0xff, 0xff, 0xff, 15, 0xff, 0xff, 0xff, 0xff, 15],
            |e| matches!(e, E::Shape { .. }),
        ),
    ];
    for (case, bytes, expected) in cases {
        let error = decode(bytes, 6).expect_err(case);
        assert!(expected(&error), "{case}: {error}");
    }
}
