//! Values to stream bytes and back: symbols, their order, byte planes.
//!
//! General compressors see bytes and neighbours, so integers stay whole bytes, values that are alike lie together,
//! and the noisy low bytes of floats are kept apart from the predictable high ones.

/// Symbols that one block of the order's cost estimate covers.
const BLOCK: usize = 1024;

/// The byte for integer `q` of `bits` bits, which fits them.
pub(super) fn symbol(bits: u32, q: i8) -> u8 {
    (i32::from(q) + (1 << (bits - 1))) as u8
}

/// The integer for a symbol.
pub(super) fn integer(bits: u32, symbol: u8) -> i32 {
    i32::from(symbol) - (1 << (bits - 1))
}

/// `values` of a `rows × cols` matrix, row-major in, column-major out.
pub(super) fn transpose<T: Copy>(values: &[T], rows: usize, cols: usize) -> Vec<T> {
    (0..cols).flat_map(|c| (0..rows).map(move |r| values[r * cols + c])).collect()
}

/// Splits values of `N` bytes into planes, lowest bytes first.
pub(super) fn to_planes<const N: usize>(values: &[[u8; N]]) -> Vec<u8> {
    (0..N).flat_map(|plane| values.iter().map(move |value| value[plane])).collect()
}

/// Joins what [`to_planes`] split.
pub(super) fn from_planes<const N: usize>(bytes: &[u8]) -> Vec<[u8; N]> {
    let count = bytes.len() / N;
    (0..count).map(|i| std::array::from_fn(|plane| bytes[plane * count + i])).collect()
}

/// Estimated size of `symbols` under a coder that adapts: order-0 entropy of each block of 1,024, in 2^-16 bits.
///
/// It decides between rows and columns: where columns differ in spread, a run of one column has less entropy than
/// a mixture of all. Logarithms are rounded to fixed point, so every platform gets the same integer.
pub(super) fn local_entropy(symbols: &[u8]) -> u64 {
    // n·log2(n) in 2^-16 bits for every count that a block can have.
    let table: Vec<u64> =
        (0..=BLOCK).map(|n| ((n as f64) * (n.max(1) as f64).log2() * 65536.0).round() as u64).collect();
    let block = |block: &[u8]| {
        let mut counts = [0usize; 256];
        block.iter().for_each(|&s| counts[usize::from(s)] += 1);
        table[block.len()].saturating_sub(counts.iter().map(|&n| table[n]).sum())
    };
    symbols.chunks(BLOCK).map(block).sum()
}

/// Order-0 entropy of `symbols` in bits per symbol, for reports.
pub(super) fn entropy(symbols: impl Iterator<Item = u8>) -> f64 {
    let mut counts = [0u64; 256];
    symbols.for_each(|s| counts[usize::from(s)] += 1);
    let total = counts.iter().sum::<u64>() as f64;
    let bits = |&n: &u64| if n == 0 { 0.0 } else { -(n as f64) / total * (n as f64 / total).log2() };
    counts.iter().map(bits).sum()
}
