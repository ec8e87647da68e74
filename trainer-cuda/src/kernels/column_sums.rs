//! Launches over strips of matrices, and of the gradients that sum over rows: the op's own kernel over strips, then one that
//! joins the chunks of rows in order.

use crate::kernel::{Kernel, Source};
use crate::lower::{Binding, Lowering};

static SOURCE: Source = Source { file: "column_sums.cu", text: include_str!("column_sums.cu") };
static JOIN: Kernel = Kernel { source: &SOURCE, entry: "column_sums_join", signature: "rwuu", threads: 256 };
static JOIN_PAIR: Kernel =
    Kernel { source: &SOURCE, entry: "column_sums_join_pair", signature: "rwwuu", threads: 256 };

pub(super) const KERNELS: &[&Kernel] = &[&JOIN, &JOIN_PAIR];

/// Threads of a kernel over strips.
pub(super) const THREADS: usize = 256;

/// Rows of a strip, as in `strips.cuh`.
pub(super) const ROWS: usize = 64;

/// Columns of a strip, as in `strips.cuh`.
const COLUMNS: usize = 256;

/// Columns of a block of the second stage, as in `column_sums.cu`.
const JOINED: usize = 8;

/// Where the sums of every column go.
pub(super) enum Sums {
    /// One sum, `[d]`.
    One(Binding),
    /// Two sums in one tensor, `[2, d]`.
    Stacked(Binding),
    /// Two sums, `[d]` each.
    Two(Binding, Binding),
}

impl Sums {
    /// Sums of all of `d` columns.
    fn width(&self, d: usize) -> usize {
        if matches!(self, Sums::One(_)) { d } else { 2 * d }
    }
}

/// Launches `kernel` over the strips of matrices `[n, d]`; `param` follows the extents.
pub(super) fn strips(
    low: &mut Lowering<'_>,
    kernel: &'static Kernel,
    bindings: Vec<Binding>,
    [n, d]: [usize; 2],
    param: Option<usize>,
) {
    let params = [n, d].into_iter().chain(param).map(Into::into).collect();
    low.launch(kernel, bindings, params, n.div_ceil(ROWS) * d.div_ceil(COLUMNS));
}

/// Launches `kernel` over the strips of matrices `[n, d]` with `bindings`, its partial sums last, and joins those. `param`
/// follows the extents.
pub(super) fn column_sums(
    low: &mut Lowering<'_>,
    kernel: &'static Kernel,
    mut bindings: Vec<Binding>,
    [n, d]: [usize; 2],
    param: Option<usize>,
    sums: Sums,
) {
    let chunks = n.div_ceil(ROWS);
    let partials = low.scratch(chunks * sums.width(d));
    bindings.push(partials.clone());
    strips(low, kernel, bindings, [n, d], param);
    join(low, partials, chunks, d, sums);
}

/// Joins the partial sums of `chunks` chunks over `d` columns.
pub(super) fn join(low: &mut Lowering<'_>, partials: Binding, chunks: usize, d: usize, sums: Sums) {
    let width = sums.width(d);
    let (join, bindings) = match sums {
        Sums::One(y) | Sums::Stacked(y) => (&JOIN, vec![partials, y]),
        Sums::Two(a, b) => (&JOIN_PAIR, vec![partials, a, b]),
    };
    low.launch(join, bindings, vec![chunks.into(), width.into()], width.div_ceil(JOINED));
}
