//! Dot products with packed rows, without writing the row out: integers are unpacked in registers, and the row's scale is
//! applied once to the sum.

use super::simd::{LANES, madd, tree};
use crate::quant::pack::{integer_range, row_scale, row_words};

/// `Σ x·row` for row `row` of a packed matrix of `rows` rows and `x.len()` columns.
#[inline(always)]
pub(super) fn packed_dot(bits: u32, words: &[u32], rows: usize, row: usize, x: &[f32]) -> f32 {
    let width = row_words(bits, x.len());
    let packed = &words[row * width..(row + 1) * width];
    let sum = match bits {
        4 => integers_dot::<4>(packed, x),
        5 => integers_dot::<5>(packed, x),
        6 => integers_dot::<6>(packed, x),
        8 => integers_dot::<8>(packed, x),
        _ => unreachable!("operand types have 4, 5, 6 or 8 bits"),
    };
    sum * f32::from(row_scale(bits, rows, x.len(), words, row))
}

/// Columns whose integers fit one word together at every width.
const QUAD: usize = 4;

/// `Σ x·q`. [`LANES`] columns fill `BITS` whole words; they are unpacked four at a time by the same shifts, which is what
/// vector units can do.
#[inline(always)]
fn integers_dot<const BITS: usize>(packed: &[u32], x: &[f32]) -> f32 {
    let offset = -i32::from(*integer_range(BITS as u32).start());
    let integer = |word: u32, shift: usize| (((word >> shift) & ((1 << BITS) - 1)) as i32 - offset) as f32;
    let (groups, rest) = x.as_chunks::<LANES>();
    let mut lanes = [0.0; LANES];
    for (words, x) in packed.as_chunks::<BITS>().0.iter().zip(groups) {
        let mut quads = [0; LANES / QUAD];
        for (index, quad) in quads.iter_mut().enumerate() {
            *quad = bits_from::<BITS>(words, index * QUAD);
        }
        let mut q = [0.0; LANES];
        for index in 0..quads.len() {
            for j in 0..QUAD {
                q[index * QUAD + j] = integer(quads[index], j * BITS);
            }
        }
        for j in 0..LANES {
            lanes[j] = madd(q[j], x[j], lanes[j]);
        }
    }
    let packed = &packed[groups.len() * BITS..];
    for (j, x) in rest.iter().enumerate() {
        lanes[j] = madd(integer(bits_from::<BITS>(packed, j), 0), *x, lanes[j]);
    }
    tree(lanes, |a, b| a + b)
}

/// The bits of a row from column `column` on: at least those of a quad, or all that are left.
#[inline(always)]
fn bits_from<const BITS: usize>(words: &[u32], column: usize) -> u32 {
    let (word, shift) = (column * BITS / 32, column * BITS % 32);
    let mut bits = words[word] >> shift;
    if shift + QUAD * BITS > 32 && word + 1 < words.len() {
        bits |= words[word + 1] << (32 - shift);
    }
    bits
}
