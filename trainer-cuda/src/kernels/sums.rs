//! Sums of whole tensors in two stages: fixed pieces, then one block over the partial sums; and the ops that are such
//! sums: `mean`, `scale_by` and its gradient.

use crate::kernel::{ELEMENTS, Kernel, PIECE, Source};
use crate::lower::Binding::{self, Input, Output};
use crate::lower::Lowering;
use crate::rows::Row;

static SOURCE: Source = Source { file: "sums.cu", text: include_str!("sums.cu") };
static SUM_PIECES: Kernel = Kernel { source: &SOURCE, entry: "sum_pieces", signature: "rwu", threads: 256 };
static SQUARE_PIECES: Kernel =
    Kernel { source: &SOURCE, entry: "square_pieces", signature: "rwu|", threads: 256 };
static SUM_ALL: Kernel = Kernel { source: &SOURCE, entry: "sum_all", signature: "rwu|f", threads: 256 };
static SCALE_BY: Kernel = Kernel { source: &SOURCE, entry: "scale_by", signature: "arou", threads: ELEMENTS };
static SCALE_BY_GRAD: Kernel =
    Kernel { source: &SOURCE, entry: "scale_by_grad", signature: "araowu", threads: 256 };

pub(super) const KERNELS: &[&Kernel] = &[&SUM_PIECES, &SQUARE_PIECES, &SUM_ALL, &SCALE_BY, &SCALE_BY_GRAD];

/// Elements that one block sums at once; a second launch costs more than the idle rest of the GPU.
const SHORT: usize = 8192;

/// Number of pieces of `n` elements.
fn pieces(n: usize) -> usize {
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

/// `y = Σ x²` over `n` elements. The partial sums are the step's own, so that those of many tensors are one launch per stage.
pub(super) fn squares(low: &mut Lowering<'_>, x: Binding, n: usize, y: Binding) {
    let partials = low.partials(pieces(n));
    low.launch_pieces(&SQUARE_PIECES, vec![x, partials.clone()], n, Vec::new(), Vec::new());
    sum_all(low, partials, pieces(n), 1.0, y);
}

/// The second stage alone: `y = factor · Σ x` over `n` elements by one block.
fn sum_all(low: &mut Lowering<'_>, x: Binding, n: usize, factor: f64, y: Binding) {
    let row = Row { pointers: vec![x, y], scalars: vec![n.into()], blocks: 1 };
    low.launch_rows(&SUM_ALL, vec![row], Vec::new(), vec![factor.into()]);
}

pub(super) fn mean(low: &mut Lowering<'_>) {
    let n = low.input(0).numel();
    sum(low, Input(0), n, 1.0 / n as f64, Output(0));
}

pub(super) fn scale_by(low: &mut Lowering<'_>) {
    low.launch_eights(&SCALE_BY, vec![Input(0), Input(1), Output(0)], low.output(0).numel(), &[]);
}

pub(super) fn scale_by_grad(low: &mut Lowering<'_>) {
    let n = low.output(0).numel();
    let partials = low.scratch(pieces(n));
    let bindings = vec![Input(0), Input(1), Input(2), Output(0), partials.clone()];
    low.launch(&SCALE_BY_GRAD, bindings, vec![n.into()], pieces(n));
    sum_all(low, partials, pieces(n), 1.0, Output(1));
}
