//! Packed rows: the in-memory form of the operand types Q4, Q5, Q6 and Q8, on the CPU and on a GPU alike.
//!
//! A matrix of `rows × cols` integers becomes one array of 32-bit words: first the rows, each starting on a word
//! (`ceil(cols·bits / 32)` words a row), then the scales, two fp16 values a word (`ceil(rows / 2)` words).
//! Integer `q` is stored as the unsigned value `q + 2^(bits-1)`; column `j` of a row occupies bits
//! `j·bits .. (j+1)·bits` counted from the least significant bit of the row's first word, and may straddle two words.
//! Row `r`'s scale is the low half (even `r`) or the high half (odd `r`) of word `r / 2` of the scales. Padding is zero.
//!
//! Invariant: `unpack(pack(x)) = x`, and the value of a weight is the f32 product `q · scale`, rounded once.
//! This is not a file format: on disk the integers stay one byte each, because packed bits compress badly; see
//! [`crate::artifact::layout`]. Lengths that disagree are bugs of the caller and panic.

use half::f16;

/// Columns that fill a whole number of words at every bit width: `bits` words hold 32 of them.
const GROUP: usize = 32;

/// Words of one packed row.
pub fn row_words(bits: u32, cols: usize) -> usize {
    (cols * bits as usize).div_ceil(32)
}

/// Words of a packed matrix, scales included.
pub fn packed_words(bits: u32, rows: usize, cols: usize) -> usize {
    rows * row_words(bits, cols) + rows.div_ceil(2)
}

/// The integers that `bits` bits can hold: `-2^(bits-1) ..= 2^(bits-1) - 1`, for 1 to 8 bits.
pub fn integer_range(bits: u32) -> std::ops::RangeInclusive<i8> {
    let half = 1i32 << (bits - 1);
    (-half) as i8..=(half - 1) as i8
}

/// Packs row-major integers `q` (`rows × cols`, each within [`integer_range`]) and one scale per row.
pub fn pack(bits: u32, rows: usize, cols: usize, q: &[i8], scales: &[f16]) -> Vec<u32> {
    assert_eq!(q.len(), rows * cols, "integers of a {rows}x{cols} matrix");
    assert_eq!(scales.len(), rows, "scales of a {rows}x{cols} matrix");
    let range = integer_range(bits);
    let offset = 1i32 << (bits - 1);
    let width = row_words(bits, cols);
    let mut words = vec![0u32; packed_words(bits, rows, cols)];
    for r in 0..rows {
        let row = &mut words[r * width..(r + 1) * width];
        for (j, &value) in q[r * cols..(r + 1) * cols].iter().enumerate() {
            assert!(range.contains(&value), "integer {value} does not fit {bits} bits");
            let symbol = (i32::from(value) + offset) as u64;
            let bit = j * bits as usize;
            let shifted = symbol << (bit % 32);
            row[bit / 32] |= shifted as u32;
            if shifted >> 32 != 0 {
                row[bit / 32 + 1] |= (shifted >> 32) as u32;
            }
        }
    }
    for (r, scale) in scales.iter().enumerate() {
        words[rows * width + r / 2] |= u32::from(scale.to_bits()) << (16 * (r % 2));
    }
    words
}

/// The integers (row-major) and scales of a packed matrix.
pub fn unpack(bits: u32, rows: usize, cols: usize, words: &[u32]) -> (Vec<i8>, Vec<f16>) {
    assert_eq!(words.len(), packed_words(bits, rows, cols), "words of a {rows}x{cols} matrix");
    let offset = 1i32 << (bits - 1);
    let width = row_words(bits, cols);
    let mut q = Vec::with_capacity(rows * cols);
    for r in 0..rows {
        let row = &words[r * width..(r + 1) * width];
        q.extend((0..cols).map(|j| (symbol_at(bits, row, j) as i32 - offset) as i8));
    }
    (q, (0..rows).map(|r| row_scale(bits, rows, cols, words, r)).collect())
}

/// The scale of row `row` of a packed matrix.
pub fn row_scale(bits: u32, rows: usize, cols: usize, words: &[u32], row: usize) -> f16 {
    let word = words[rows * row_words(bits, cols) + row / 2];
    f16::from_bits((word >> (16 * (row % 2))) as u16)
}

/// All values of a packed matrix, row-major: `q · scale` in f32.
pub fn dequantize(bits: u32, words: &[u32], rows: usize, cols: usize) -> Vec<f32> {
    assert_eq!(words.len(), packed_words(bits, rows, cols), "words of a {rows}x{cols} matrix");
    let mut out = vec![0.0; rows * cols];
    for (r, chunk) in out.chunks_exact_mut(cols.max(1)).enumerate() {
        dequantize_row(bits, words, rows, cols, r, chunk);
    }
    out
}

/// The values of row `row`, written to `out` (`cols` values): `q · scale` in f32.
pub fn dequantize_row(bits: u32, words: &[u32], rows: usize, cols: usize, row: usize, out: &mut [f32]) {
    assert_eq!(out.len(), cols, "output of a row of {cols} columns");
    let width = row_words(bits, cols);
    let scale = f32::from(row_scale(bits, rows, cols, words, row));
    let packed = &words[row * width..(row + 1) * width];
    match bits {
        4 => dequantize_groups::<4>(packed, scale, out),
        5 => dequantize_groups::<5>(packed, scale, out),
        6 => dequantize_groups::<6>(packed, scale, out),
        8 => dequantize_groups::<8>(packed, scale, out),
        _ => dequantize_tail(bits, packed, scale, out, 0),
    }
}

/// Whole groups with the width known to the compiler, which unrolls the shifts; then the rest.
fn dequantize_groups<const BITS: usize>(packed: &[u32], scale: f32, out: &mut [f32]) {
    let offset = 1i32 << (BITS - 1);
    let mask = (1u32 << BITS) - 1;
    let done = out.len() / GROUP * GROUP;
    for (words, values) in packed.chunks_exact(BITS).zip(out.chunks_exact_mut(GROUP)) {
        for j in 0..GROUP {
            let (word, shift) = (j * BITS / 32, j * BITS % 32);
            let mut symbol = words[word] >> shift;
            if shift + BITS > 32 {
                symbol |= words[word + 1] << (32 - shift);
            }
            values[j] = ((symbol & mask) as i32 - offset) as f32 * scale;
        }
    }
    dequantize_tail(BITS as u32, packed, scale, out, done);
}

fn dequantize_tail(bits: u32, packed: &[u32], scale: f32, out: &mut [f32], from: usize) {
    let offset = 1i32 << (bits - 1);
    for (j, value) in out.iter_mut().enumerate().skip(from) {
        *value = (symbol_at(bits, packed, j) as i32 - offset) as f32 * scale;
    }
}

/// The unsigned symbol of column `j`.
fn symbol_at(bits: u32, row: &[u32], j: usize) -> u32 {
    let bit = j * bits as usize;
    let (word, shift) = (bit / 32, bit % 32);
    let mut symbol = row[word] >> shift;
    if shift + bits as usize > 32 {
        symbol |= row[word + 1] << (32 - shift);
    }
    symbol & ((1 << bits) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A matrix of any supported width with its integers in range and finite scales.
    fn matrix() -> impl Strategy<Value = (u32, usize, usize, Vec<i8>, Vec<f16>)> {
        (prop::sample::select(vec![4u32, 5, 6, 8]), 1usize..6, 1usize..100).prop_flat_map(
            |(bits, rows, cols)| {
                let q = prop::collection::vec(integer_range(bits), rows * cols);
                let scales = prop::collection::vec((0u16..0x7c00).prop_map(f16::from_bits), rows);
                (Just(bits), Just(rows), Just(cols), q, scales)
            },
        )
    }

    proptest! {
        #[test]
        fn unpacking_returns_what_was_packed((bits, rows, cols, q, scales) in matrix()) {
            let words = pack(bits, rows, cols, &q, &scales);
            prop_assert_eq!(words.len(), packed_words(bits, rows, cols));
            prop_assert_eq!(unpack(bits, rows, cols, &words), (q, scales));
        }

        #[test]
        fn every_way_to_dequantize_is_the_rounded_product((bits, rows, cols, q, scales) in matrix()) {
            let words = pack(bits, rows, cols, &q, &scales);
            let expected: Vec<f32> =
                q.iter().enumerate().map(|(i, &v)| f32::from(v) * scales[i / cols].to_f32()).collect();
            prop_assert_eq!(&dequantize(bits, &words, rows, cols), &expected);
            for r in 0..rows {
                let mut row = vec![f32::NAN; cols];
                dequantize_row(bits, &words, rows, cols, r, &mut row);
                prop_assert_eq!(&row[..], &expected[r * cols..(r + 1) * cols]);
            }
        }

        #[test]
        fn padding_bits_are_zero((bits, rows, cols, _, _) in matrix()) {
            let all_ones = vec![*integer_range(bits).end(); rows * cols];
            let words = pack(bits, rows, cols, &all_ones, &vec![f16::from_bits(u16::MAX); rows]);
            let set: u32 = words.iter().map(|w| w.count_ones()).sum();
            prop_assert_eq!(set as usize, rows * cols * bits as usize + rows * 16);
        }
    }

    #[test]
    fn the_layout_is_the_documented_one() {
        // 6 bits: symbols 0, 1, 2, 3, 4, then 0b111111 straddling words 0 and 1 (bits 30..36).
        let q = [-32, -31, -30, -29, -28, 31];
        let words = pack(6, 1, 6, &q, &[f16::ONE]);
        let low = (1 << 6) | (2 << 12) | (3 << 18) | (4 << 24) | (0b11u32 << 30);
        assert_eq!(words, [low, 0b1111, 0x3c00]);
        let two_rows = pack(8, 3, 1, &[-128, 0, 127], &[f16::ONE, f16::NEG_ONE, f16::ZERO]);
        assert_eq!(two_rows, [0, 0x80, 0xff, 0xbc00_3c00, 0]);
    }

    #[test]
    #[should_panic(expected = "does not fit 4 bits")]
    fn an_integer_outside_the_range_is_never_packed() {
        pack(4, 1, 1, &[8], &[f16::ONE]);
    }
}
