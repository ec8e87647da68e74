//! Matrix products: the `gemm-f32` crate, on wasm32 loops of our own, behind bounds-checked views; and cutting a large
//! product into tiles.

#[cfg(any(test, target_arch = "wasm32"))]
mod blocked;

use super::threads::Threads;
#[cfg(target_arch = "wasm32")]
use blocked::multiply;

/// A matrix to read: element `(r, c)` is `data[r·row_stride + c·col_stride]`.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    data: &'a [f32],
    rows: usize,
    cols: usize,
    row_stride: usize,
    col_stride: usize,
}

impl<'a> View<'a> {
    /// A `rows × cols` matrix whose rows start `stride` elements apart.
    pub(super) fn new(data: &'a [f32], rows: usize, cols: usize, stride: usize) -> Self {
        Self { data, rows, cols, row_stride: stride, col_stride: 1 }
    }

    /// The transposed matrix, by exchanging strides.
    pub(super) fn t(self) -> Self {
        let Self { data, rows, cols, row_stride, col_stride } = self;
        Self { data, rows: cols, cols: rows, row_stride: col_stride, col_stride: row_stride }
    }

    /// `rows × cols` elements from `(row, col)` on.
    fn part(self, row: usize, col: usize, rows: usize, cols: usize) -> Self {
        let data = &self.data[row * self.row_stride + col * self.col_stride..];
        Self { data, rows, cols, ..self }
    }

    fn assert_inside(&self) {
        let last = (self.rows - 1) * self.row_stride + (self.cols - 1) * self.col_stride;
        assert!(last < self.data.len(), "a view ends inside its data");
    }
}

/// A matrix to write, in rows `stride` elements apart.
pub(super) struct ViewMut<'a> {
    data: &'a mut [f32],
    rows: usize,
    cols: usize,
    stride: usize,
}

impl<'a> ViewMut<'a> {
    /// A `rows × cols` matrix whose rows start `stride` elements apart.
    pub(super) fn new(data: &'a mut [f32], rows: usize, cols: usize, stride: usize) -> Self {
        assert!(
            rows == 0 || cols == 0 || (rows - 1) * stride + cols <= data.len(),
            "a view ends inside its data"
        );
        Self { data, rows, cols, stride }
    }
}

/// What becomes of the values that a product is written over.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Old {
    /// They are dropped, whatever they are.
    Drop,
    /// The product is added to them.
    Add,
}

/// `y = factor·a·b`, or `y += factor·a·b`, on the calling thread.
pub(super) fn product(y: ViewMut<'_>, old: Old, factor: f32, a: View<'_>, b: View<'_>) {
    assert!(a.rows == y.rows && b.cols == y.cols && a.cols == b.rows, "extents of a product agree");
    let pointer = y.data.as_mut_ptr();
    // SAFETY: `ViewMut::new` checked that the last element of the last row lies in `data`, which is borrowed mutably.
    unsafe { product_at(pointer, y.stride, old, factor, a, b) }
}

/// The product of `a` and `b` written from `y` on, in rows `stride` elements apart.
///
/// # Safety
/// `a.rows` rows of `b.cols` elements from `y` on, `stride` apart, must be valid for writes (and reads, with
/// [`Old::Add`]) by this thread alone.
unsafe fn product_at(y: *mut f32, stride: usize, old: Old, factor: f32, a: View<'_>, b: View<'_>) {
    if a.rows == 0 || b.cols == 0 {
        return;
    }
    assert!(a.cols > 0, "a product has at least one term");
    a.assert_inside();
    b.assert_inside();
    // SAFETY: the views were checked to end inside their data, the caller vouches for `y`, and strides of slices that
    // exist fit `isize`.
    unsafe { multiply(y, stride, old, factor, a, b) }
}

/// [`product_at`] by the crate, as `yᵀ = factor·bᵀ·aᵀ`: it prefers columns where we have rows. `y` is not read with
/// [`Old::Drop`].
///
/// # Safety
/// As [`product_at`]; the views end inside their data.
#[cfg(not(target_arch = "wasm32"))]
unsafe fn multiply(y: *mut f32, stride: usize, old: Old, factor: f32, a: View<'_>, b: View<'_>) {
    let old_factor = if old == Old::Add { 1.0 } else { 0.0 };
    // SAFETY: by this function's own contract.
    unsafe {
        gemm_f32::gemm::f32::get_gemm_fn()(
            b.cols,
            a.rows,
            a.cols,
            y,
            stride as isize,
            1,
            old == Old::Add,
            b.data.as_ptr(),
            b.row_stride as isize,
            b.col_stride as isize,
            a.data.as_ptr(),
            a.row_stride as isize,
            a.col_stride as isize,
            old_factor,
            factor,
            false,
            false,
            false,
            gemm_common::Parallelism::None,
        );
    }
}

/// The start of a result that several threads write, each its own tile.
#[derive(Clone, Copy)]
struct Shared(*mut f32);

// SAFETY: only `product_tiled` makes one, and its tiles do not overlap.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

impl Shared {
    /// Through a method, so that a closure captures the wrapper and not the bare pointer in it.
    fn at(self, offset: usize) -> *mut f32 {
        self.0.wrapping_add(offset)
    }
}

/// Rows and columns of one tile of a product, by measurement: wide rows where both operands lie in rows, narrow and
/// tall ones where the left one is transposed. Fixed by the operands' shapes alone, since the depth of the crate's inner
/// blocks, and with it the rounding, follows from the tile's shape.
fn tile(a: &View<'_>) -> [usize; 2] {
    if a.col_stride == 1 { [256, 512] } else { [512, 128] }
}

/// `y = factor·a·b`, or `y += factor·a·b`, with tiles spread over the threads.
pub(super) fn product_tiled(
    threads: &Threads,
    y: ViewMut<'_>,
    old: Old,
    factor: f32,
    a: View<'_>,
    b: View<'_>,
) {
    product_then(threads, y, old, factor, a, b, |_, _, _| {});
}

/// [`product_tiled`], and `then(row, column, part)` on every part of a row as soon as its tile is done, while it is in
/// cache; `column` is that of the part's first element.
pub(super) fn product_then(
    threads: &Threads,
    y: ViewMut<'_>,
    old: Old,
    factor: f32,
    a: View<'_>,
    b: View<'_>,
    then: impl Fn(usize, usize, &mut [f32]) + Sync + Send,
) {
    assert!(a.rows == y.rows && b.cols == y.cols && a.cols == b.rows, "extents of a product agree");
    let ViewMut { data, rows, cols, stride } = y;
    let [tile_rows, tile_cols] = tile(&a);
    let mut tiles = Vec::new();
    for row in (0..rows).step_by(tile_rows) {
        tiles.extend((0..cols).step_by(tile_cols).map(|col| (row, col)));
    }
    let start = Shared(data.as_mut_ptr());
    threads.each(tiles, |_, (row, col)| {
        let (height, width) = (tile_rows.min(rows - row), tile_cols.min(cols - col));
        let (a, b) = (a.part(row, 0, height, a.cols), b.part(0, col, b.rows, width));
        // SAFETY: `ViewMut::new` checked the whole result; tiles of distinct `(row, col)` do not overlap.
        unsafe { product_at(start.at(row * stride + col), stride, old, factor, a, b) }
        for row in row..row + height {
            // SAFETY: the row's part of this tile, written just above, in nobody else's tile.
            let part = unsafe { std::slice::from_raw_parts_mut(start.at(row * stride + col), width) };
            then(row, col, part);
        }
    });
}

/// `y[cols, rows] = xᵀ` for `x[rows, cols]` in rows `stride` elements apart, in square blocks that stay in cache.
pub(super) fn transpose(y: &mut [f32], x: &[f32], rows: usize, cols: usize, stride: usize) {
    const BLOCK: usize = 16;
    for first_row in (0..rows).step_by(BLOCK) {
        for first_col in (0..cols).step_by(BLOCK) {
            for col in first_col..cols.min(first_col + BLOCK) {
                for row in first_row..rows.min(first_row + BLOCK) {
                    y[col * rows + row] = x[row * stride + col];
                }
            }
        }
    }
}

/// [`transpose`] of a contiguous matrix, spread over the threads.
pub(super) fn transpose_tiled(threads: &Threads, y: &mut [f32], x: &[f32], rows: usize, cols: usize) {
    let width = 16;
    threads.each(y.chunks_mut(width * rows).collect(), |index, y| {
        transpose(y, &x[index * width..], rows, y.len() / rows, cols);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_agree_with_the_definition_for_every_transposition() {
        let (rows, cols, depth) = (530, 270, 3);
        let a: Vec<f32> = (0..rows * depth).map(|i| (i % 7) as f32 - 3.0).collect();
        let b: Vec<f32> = (0..depth * cols).map(|i| (i % 5) as f32 - 2.0).collect();
        let (mut at, mut bt) = (vec![0.0; a.len()], vec![0.0; b.len()]);
        transpose(&mut at, &a, rows, depth, depth);
        transpose_tiled(&Threads::own(2), &mut bt, &b, depth, cols);
        let want = |r: usize, c: usize| (0..depth).map(|l| a[r * depth + l] * b[l * cols + c]).sum::<f32>();
        let lefts = [View::new(&a, rows, depth, depth), View::new(&at, depth, rows, rows).t()];
        let rights = [View::new(&b, depth, cols, cols), View::new(&bt, cols, depth, depth).t()];
        for (left, right) in lefts.into_iter().flat_map(|l| rights.map(|r| (l, r))) {
            let mut y = vec![1.0; rows * cols];
            let out = ViewMut::new(&mut y, rows, cols, cols);
            product_tiled(&Threads::own(2), out, Old::Add, 2.0, left, right);
            assert!((0..rows * cols).all(|i| y[i] == 1.0 + 2.0 * want(i / cols, i % cols)));
        }
    }
}
