//! Cutting matrices into pieces of whole rows, vectors into pieces of whole cache lines, and sums over all rows.

use super::simd::vector;
use super::threads::Threads;

/// Rows of one piece: enough work to be worth a hand-over, and short enough for sums in f32.
pub(super) const ROWS: usize = 32;

/// Elements of one piece of an elementwise op.
pub(super) const ELEMENTS: usize = 16 * 1024;

/// `y[i] = f(i)` in pieces, for closures over slices; `f` gets the piece's offset and the piece.
pub(super) fn pieces(threads: &Threads, y: &mut [f32], body: impl Fn(usize, &mut [f32]) + Sync + Send) {
    threads.each(y.chunks_mut(ELEMENTS).collect(), |index, y| body(index * ELEMENTS, y));
}

/// `y = f(a)`, elementwise.
pub(super) fn map(threads: &Threads, y: &mut [f32], a: &[f32], f: impl Fn(f32) -> f32 + Sync + Send) {
    pieces(threads, y, |at, y| {
        let a = &a[at..at + y.len()];
        vector(
            #[inline(always)]
            || y.iter_mut().zip(a).for_each(|(y, &a)| *y = f(a)),
        );
    });
}

/// `y = f(y)`, elementwise.
pub(super) fn map_in_place(threads: &Threads, y: &mut [f32], f: impl Fn(f32) -> f32 + Sync + Send) {
    pieces(threads, y, |_, y| {
        vector(
            #[inline(always)]
            || y.iter_mut().for_each(|y| *y = f(*y)),
        );
    });
}

/// `y = f(a, b)`, elementwise.
pub(super) fn map2(
    threads: &Threads,
    y: &mut [f32],
    a: &[f32],
    b: &[f32],
    f: impl Fn(f32, f32) -> f32 + Sync + Send,
) {
    pieces(threads, y, |at, y| {
        let (a, b) = (&a[at..at + y.len()], &b[at..at + y.len()]);
        vector(
            #[inline(always)]
            || y.iter_mut().zip(a).zip(b).for_each(|((y, &a), &b)| *y = f(a, b)),
        );
    });
}

/// `y = f(y, a)`, elementwise and in place.
pub(super) fn update(threads: &Threads, y: &mut [f32], a: &[f32], f: impl Fn(f32, f32) -> f32 + Sync + Send) {
    pieces(threads, y, |at, y| {
        let a = &a[at..at + y.len()];
        vector(
            #[inline(always)]
            || y.iter_mut().zip(a).for_each(|(y, &a)| *y = f(*y, a)),
        );
    });
}

/// Sum over pieces of `[0, n)` of what `body` gives for each, added up in their order.
pub(super) fn sum(
    threads: &Threads,
    n: usize,
    body: impl Fn(std::ops::Range<usize>) -> f64 + Sync + Send,
) -> f64 {
    let mut parts = vec![0.0; n.div_ceil(ELEMENTS)];
    threads.each(parts.iter_mut().collect(), |index, part| {
        let at = index * ELEMENTS;
        *part = body(at..(at + ELEMENTS).min(n));
    });
    parts.iter().sum()
}

/// Sums over all rows of something per channel: every piece of [`ROWS`] rows adds into a row of its own in f32, and
/// these are joined in order in f64.
pub(super) struct ColumnSums {
    parts: Vec<f32>,
    width: usize,
}

impl ColumnSums {
    /// For matrices of `rows` rows and `width` sums.
    pub(super) fn new(rows: usize, width: usize) -> Self {
        Self { parts: vec![0.0; rows.div_ceil(ROWS) * width], width }
    }

    /// One row of zeros to add into for every piece.
    pub(super) fn parts(&mut self) -> std::slice::ChunksMut<'_, f32> {
        self.parts.chunks_mut(self.width)
    }

    /// Writes the totals.
    pub(super) fn finish(self, totals: &mut [f32]) {
        for (channel, total) in totals.iter_mut().enumerate() {
            let column = self.parts[channel..].iter().step_by(self.width);
            *total = column.map(|&part| f64::from(part)).sum::<f64>() as f32;
        }
    }
}
