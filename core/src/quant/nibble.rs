//! Two 4-bit integers to a byte, high nibble first: the layout of PR #951's `.q4n` tensors, for import and
//! parity.
//!
//! Invariant: a nibble is `q + 8`; rows start on a byte, an odd width is padded with `q = 0`. This is not the
//! layout that golf computes with or stores ([`super::pack`]).

/// Packs `rows × cols` integers of `[-8, 7]` into `rows × ⌈cols/2⌉` bytes.
pub fn pack_nibbles(q: &[i8], cols: usize) -> Vec<i8> {
    let nibble = |q: i8| (q + 8) as u8 & 15;
    let mut bytes = Vec::with_capacity(q.len().div_ceil(2));
    for row in q.chunks(cols.max(1)) {
        bytes.extend(row.chunks(2).map(|pair| {
            let low = pair.get(1).copied().unwrap_or(0);
            (nibble(pair[0]) << 4 | nibble(low)) as i8
        }));
    }
    bytes
}

/// Integers `rows × cols` of packed rows; the inverse of [`pack_nibbles`].
pub fn unpack_nibbles(bytes: &[i8], cols: usize) -> Vec<i8> {
    let width = cols.div_ceil(2).max(1);
    let mut q = Vec::with_capacity(bytes.len() / width * cols);
    for row in bytes.chunks(width) {
        let both = row.iter().flat_map(|&byte| [(byte as u8 >> 4) as i8 - 8, (byte as u8 & 15) as i8 - 8]);
        q.extend(both.take(cols));
    }
    q
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nibbles_survive_packing_at_even_and_odd_widths() {
        for cols in [1, 2, 3, 16, 17] {
            let q: Vec<i8> = (0..3 * cols).map(|i| (i * 5 % 16) as i8 - 8).collect();
            let bytes = pack_nibbles(&q, cols);
            assert_eq!(bytes.len(), 3 * cols.div_ceil(2));
            assert_eq!(unpack_nibbles(&bytes, cols), q);
        }
    }

    #[test]
    fn the_first_integer_is_the_high_nibble_and_padding_is_zero() {
        assert_eq!(pack_nibbles(&[-8, 7, -7], 3), [0x0f, 0x18]);
    }
}
