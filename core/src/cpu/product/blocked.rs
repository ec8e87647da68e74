//! A blocked matrix product in plain Rust, for machines that the `gemm-f32` crate has no kernels for: wasm32.
//!
//! Both operands are copied into panels as narrow as the inner tile, so that the inner loop reads straight on. The tile
//! is 4 × 8 because eight vectors of partial sums, two of `b` and one of `a` fit the sixteen vector registers that
//! an engine has on x86. 5 × 8 is 6 % faster in one engine and 25 % slower in another, which spills; wider ones are
//! slower in both.

use super::{Old, View};
use crate::cpu::threads::with_scratch;

const ROWS: usize = 4;
const COLS: usize = 8;

/// Terms that are summed before a tile is written: a panel of `b` then stays in the first-level cache.
const DEPTH: usize = 256;

/// The product `factor·a·b` from `y` on, in rows `stride` elements apart; [`Old`] says what of the values there.
///
/// # Safety
/// `a.rows` rows of `b.cols` elements from `y` on, `stride` apart, must be valid for writes (and reads, with
/// [`Old::Add`]) by this thread alone.
pub(super) unsafe fn multiply(y: *mut f32, stride: usize, old: Old, factor: f32, a: View<'_>, b: View<'_>) {
    let (down, across) = (a.rows.div_ceil(ROWS), b.cols.div_ceil(COLS));
    let depth = a.cols.min(DEPTH);
    with_scratch((down * ROWS + across * COLS) * depth, |scratch| {
        let (left, right) = scratch.split_at_mut(down * ROWS * depth);
        for first in (0..a.cols).step_by(DEPTH) {
            let len = DEPTH.min(a.cols - first);
            pack::<ROWS>(left, a, first, len);
            pack::<COLS>(right, b.t(), first, len);
            let old = if first == 0 { old } else { Old::Add };
            for (j, right) in right.chunks_exact(COLS * len).take(across).enumerate() {
                for (i, left) in left.chunks_exact(ROWS * len).take(down).enumerate() {
                    let (row, col) = (i * ROWS, j * COLS);
                    let (height, width) = (ROWS.min(a.rows - row), COLS.min(b.cols - col));
                    let y = y.wrapping_add(row * stride + col);
                    let (left, right) = (left.as_chunks().0, right.as_chunks().0);
                    if (height, width) == (ROWS, COLS) {
                        // SAFETY: the tile lies inside the result, which the caller vouches for.
                        unsafe { tile(y, stride, old, factor, left, right) };
                    } else {
                        // SAFETY: as above, of the part of it that the result has.
                        unsafe { edge(y, stride, old, factor, left, right, [height, width]) };
                    }
                }
            }
        }
    });
}

/// The product of two panels, written from `y` on.
///
/// # Safety
/// [`ROWS`] rows of [`COLS`] elements from `y` on, `stride` apart, must be valid for writes and reads.
#[inline(never)] // alone, its sums stay in registers
unsafe fn tile(
    y: *mut f32,
    stride: usize,
    old: Old,
    factor: f32,
    left: &[[f32; ROWS]],
    right: &[[f32; COLS]],
) {
    assert_eq!(left.len(), right.len(), "panels of one product are equally deep");
    let mut sums = [[0.0; COLS]; ROWS];
    // Two pointers and one count: slices, zipped or indexed, have an engine add up an address of each access.
    let (mut column, mut row) = (left.as_ptr(), right.as_ptr());
    for _ in 0..left.len() {
        // SAFETY: both have taken fewer steps than the panels are deep.
        let (a, b) = unsafe { (&*column, &*row) };
        for i in 0..ROWS {
            for j in 0..COLS {
                sums[i][j] += a[i] * b[j];
            }
        }
        // SAFETY: one step on from an element is at most the end.
        (column, row) = unsafe { (column.add(1), row.add(1)) };
    }
    for (i, sums) in sums.iter().enumerate() {
        // SAFETY: row `i` of the tile, which the caller vouches for.
        let y = unsafe { &mut *y.add(i * stride).cast::<[f32; COLS]>() };
        match old {
            Old::Drop => y.iter_mut().zip(sums).for_each(|(y, sum)| *y = factor * sum),
            Old::Add => y.iter_mut().zip(sums).for_each(|(y, sum)| *y += factor * sum),
        }
    }
}

/// The upper left `height × width` part of a [`tile`], where the result ends within it.
///
/// # Safety
/// `height` rows of `width` elements from `y` on, `stride` apart, must be valid for writes and reads.
unsafe fn edge(
    y: *mut f32,
    stride: usize,
    old: Old,
    factor: f32,
    left: &[[f32; ROWS]],
    right: &[[f32; COLS]],
    [height, width]: [usize; 2],
) {
    let mut whole = [0.0; ROWS * COLS];
    // SAFETY: `whole` is a tile.
    unsafe { tile(whole.as_mut_ptr(), COLS, Old::Drop, factor, left, right) };
    for (i, whole) in whole.chunks_exact(COLS).take(height).enumerate() {
        // SAFETY: the result's part of row `i`, which the caller vouches for.
        let y = unsafe { std::slice::from_raw_parts_mut(y.add(i * stride), width) };
        match old {
            Old::Drop => y.copy_from_slice(&whole[..width]),
            Old::Add => y.iter_mut().zip(whole).for_each(|(y, part)| *y += part),
        }
    }
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
                // SAFETY: `y` has `rows` rows of `cols` elements, and nobody else has it.
                unsafe { multiply(y.as_mut_ptr(), cols, Old::Drop, 1.0, left, right) };
                assert!((0..rows * cols).all(|i| y[i] == want(i / cols, i % cols)), "{rows}x{cols}x{depth}");
                // SAFETY: as above.
                unsafe { multiply(y.as_mut_ptr(), cols, Old::Add, 2.0, left, right) };
                let want = |r, c| 3.0 * want(r, c);
                assert!((0..rows * cols).all(|i| y[i] == want(i / cols, i % cols)), "{rows}x{cols}x{depth}");
            }
        }
    }
}
