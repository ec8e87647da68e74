//! A blocked matrix product in plain Rust, for machines that the `gemm` crate has no kernels for: wasm32.
//!
//! Both operands are copied into panels as narrow as the inner tile, so that the inner loop reads straight on. The tile
//! is 4 × 8 because eight vectors of partial sums, two of `b` and one of `a` fit the sixteen vector registers that
//! an engine has on x86: with 8 × 8 the sums are spilled and a third of the speed is lost.

use super::View;
use crate::cpu::threads::with_scratch;

const ROWS: usize = 4;
const COLS: usize = 8;

/// Terms that are summed before a tile is written: a panel of `b` then stays in the first-level cache.
const DEPTH: usize = 256;

/// Hands `a·b` to `store(row, column, is_first, part)` as parts of rows: the first part for a place, then, when there
/// are more than [`DEPTH`] terms, the ones that are to be added to it.
pub(super) fn multiply(a: View<'_>, b: View<'_>, mut store: impl FnMut(usize, usize, bool, &[f32])) {
    let (down, across) = (a.rows.div_ceil(ROWS), b.cols.div_ceil(COLS));
    let depth = a.cols.min(DEPTH);
    with_scratch((down * ROWS + across * COLS) * depth, |scratch| {
        let (left, right) = scratch.split_at_mut(down * ROWS * depth);
        for first in (0..a.cols).step_by(DEPTH) {
            let len = DEPTH.min(a.cols - first);
            pack::<ROWS>(left, a, first, len);
            pack::<COLS>(right, b.t(), first, len);
            for (j, right) in right.chunks_exact(COLS * len).take(across).enumerate() {
                for (i, left) in left.chunks_exact(ROWS * len).take(down).enumerate() {
                    let tile = tile(left.as_chunks().0, right.as_chunks().0);
                    let (row, col) = (i * ROWS, j * COLS);
                    let width = COLS.min(b.cols - col);
                    for (offset, part) in tile.iter().take(a.rows - row).enumerate() {
                        store(row + offset, col, first == 0, &part[..width]);
                    }
                }
            }
        }
    });
}

/// The product of two panels.
#[inline(never)] // alone, its sums stay in registers
fn tile(left: &[[f32; ROWS]], right: &[[f32; COLS]]) -> [[f32; COLS]; ROWS] {
    let mut sums = [[0.0; COLS]; ROWS];
    for (left, right) in left.iter().zip(right) {
        for row in 0..ROWS {
            for col in 0..COLS {
                sums[row][col] += left[row] * right[col];
            }
        }
    }
    sums
}

/// Columns `first..first+len` of `x` in panels of `N` rows, each column's part of a panel together; zeros where rows end.
#[inline(never)]
fn pack<const N: usize>(panels: &mut [f32], x: View<'_>, first: usize, len: usize) {
    for (row, panel) in (0..x.rows).step_by(N).zip(panels.chunks_exact_mut(N * len)) {
        let rows = N.min(x.rows - row);
        let from = &x.data[row * x.row_stride + first * x.col_stride..];
        let (columns, _) = panel.as_chunks_mut::<N>();
        if rows == N && x.row_stride == 1 {
            for (k, column) in columns.iter_mut().enumerate() {
                column.copy_from_slice(&from[k * x.col_stride..][..N]);
            }
            continue;
        }
        if rows == N && x.col_stride == 1 {
            let rows: [&[f32]; N] = std::array::from_fn(|row| &from[row * x.row_stride..][..len]);
            for (k, column) in columns.iter_mut().enumerate() {
                *column = std::array::from_fn(|row| rows[row][k]);
            }
            continue;
        }
        for (k, column) in columns.iter_mut().enumerate() {
            let value = |row: usize| from[row * x.row_stride + k * x.col_stride];
            *column = std::array::from_fn(|row| if row < rows { value(row) } else { 0.0 });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::product::transpose;

    #[test]
    fn parts_add_up_to_the_definition_for_every_shape_and_transposition() {
        for (rows, cols, depth) in [(1, 1, 1), (4, 8, 256), (5, 9, 257), (13, 7, 600), (3, 17, 5)] {
            let a: Vec<f32> = (0..rows * depth).map(|i| (i % 7) as f32 - 3.0).collect();
            let b: Vec<f32> = (0..depth * cols).map(|i| (i % 5) as f32 - 2.0).collect();
            let (mut at, mut bt) = (vec![0.0; a.len()], vec![0.0; b.len()]);
            transpose(&mut at, &a, rows, depth, depth);
            transpose(&mut bt, &b, depth, cols, cols);
            let want =
                |r: usize, c: usize| (0..depth).map(|l| a[r * depth + l] * b[l * cols + c]).sum::<f32>();
            let lefts = [View::new(&a, rows, depth, depth), View::new(&at, depth, rows, rows).t()];
            let rights = [View::new(&b, depth, cols, cols), View::new(&bt, cols, depth, depth).t()];
            for (left, right) in lefts.into_iter().flat_map(|l| rights.map(|r| (l, r))) {
                let mut y = vec![f32::NAN; rows * cols];
                multiply(left, right, |row, col, is_first, part| {
                    for (y, part) in y[row * cols + col..].iter_mut().zip(part) {
                        *y = if is_first { *part } else { *y + *part };
                    }
                });
                assert!((0..rows * cols).all(|i| y[i] == want(i / cols, i % cols)), "{rows}x{cols}x{depth}");
            }
        }
    }
}
