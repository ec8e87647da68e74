//! Packed rows: the in-memory form of the operand types Q4, Q5, Q6 and Q8, on the CPU and on a GPU alike.
//!
//! A matrix of `rows × cols` integers becomes one array of 32-bit words: first the rows, each starting on a word
//! (`ceil(cols·bits / 32)` words a row), then the scales, two fp16 values a word (`ceil(rows / 2)` words).
//! Integer `q` is stored as the unsigned value `q + 2^(bits-1)`; column `j` of a row occupies bits
//! `j·bits .. (j+1)·bits` counted from the least significant bit of the row's first word, and may straddle two words.
//! Row `r`'s scale is the low half (even `r`) or the high half (odd `r`) of word `r / 2` of the scales. Padding is zero.

/// Words of one packed row.
pub fn row_words(bits: u32, cols: usize) -> usize {
    (cols * bits as usize).div_ceil(32)
}

/// Words of a packed matrix, scales included.
pub fn packed_words(bits: u32, rows: usize, cols: usize) -> usize {
    rows * row_words(bits, cols) + rows.div_ceil(2)
}

/// stub
pub fn dequantize(_bits: u32, _words: &[u32], _rows: usize, _cols: usize) -> Vec<f32> {
    Vec::new()
}
