//! Sums of whole tensors in two stages: fixed pieces, then one workgroup over the partial sums.

use crate::kernel::Kernel;
use crate::lower::{Binding, Lowering};

/// Elements of a piece, as in `total.wgsl`.
const PIECE: usize = 2048;

/// Elements that one workgroup sums at once; a second launch costs more than the idle rest of the GPU.
const SHORT: usize = 8192;

/// Sums over a workgroup, for stages that are fused into an op's own kernel.
pub(super) const TOTAL: &str = include_str!("total.wgsl");

const SOURCE: &[&str] = &[TOTAL, include_str!("sums.wgsl")];
static SUM_PIECES: Kernel = Kernel { name: "sum_pieces", source: SOURCE, entry: "sum_pieces", access: "rw" };
static SQUARE_PIECES: Kernel =
    Kernel { name: "square_pieces", source: SOURCE, entry: "square_pieces", access: "rw" };
static SUM_ALL: Kernel = Kernel { name: "sum_all", source: SOURCE, entry: "sum_all", access: "rw" };

pub(super) const KERNELS: &[&Kernel] = &[&SUM_PIECES, &SQUARE_PIECES, &SUM_ALL];

/// Number of pieces of `n` elements.
pub(super) fn pieces(n: usize) -> usize {
    n.div_ceil(PIECE)
}

/// `y = factor · Σ x` over `n` elements.
pub(super) fn sum(low: &mut Lowering<'_>, x: Binding, n: usize, factor: f64, y: Binding) {
    if n <= SHORT {
        return sum_all(low, x, n, factor, y);
    }
    let partials = low.scratch(pieces(n));
    low.launch(&SUM_PIECES, vec![x, partials.clone()], vec![n.into()], pieces(n));
    sum_all(low, partials, pieces(n), factor, y);
}

/// `y = Σ x²` over `n` elements.
pub(super) fn squares(low: &mut Lowering<'_>, x: Binding, n: usize, y: Binding) {
    let partials = low.scratch(pieces(n));
    low.launch(&SQUARE_PIECES, vec![x, partials.clone()], vec![n.into()], pieces(n));
    sum_all(low, partials, pieces(n), 1.0, y);
}

/// The second stage alone: `y = factor · Σ x` over `n` elements by one workgroup.
pub(super) fn sum_all(low: &mut Lowering<'_>, x: Binding, n: usize, factor: f64, y: Binding) {
    low.launch(&SUM_ALL, vec![x, y], vec![n.into(), factor.into()], 1);
}
