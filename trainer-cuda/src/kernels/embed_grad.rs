//! Launches of `embed_grad`.

use crate::kernel::{Kernel, Source};
use crate::lower::Binding::{Input, Output};
use crate::lower::Lowering;
use golf_core::ops::EmbedGrad;

static SOURCE: Source = Source { file: "embed_grad.cu", text: include_str!("embed_grad.cu") };
static SORT: Kernel = Kernel { source: &SOURCE, entry: "embed_grad_sort", signature: "rwwu", threads: 256 };
static EMBED_GRAD: Kernel =
    Kernel { source: &SOURCE, entry: "embed_grad", signature: "rrawuu", threads: COLUMNS };

pub(super) const KERNELS: &[&Kernel] = &[&SORT, &EMBED_GRAD];

/// Tokens that a block of [`SORT`] ranks, as in `embed_grad.cu`.
const RANKED: usize = 1024;

/// Columns that a block of [`EMBED_GRAD`] sums, as in `embed_grad.cu`.
const COLUMNS: usize = 128;

pub(super) fn embed_grad(op: &EmbedGrad, low: &mut Lowering<'_>) {
    let [n, d] = low.matrix(1);
    let (order, sorted) = (low.scratch(n), low.scratch(n));
    let bindings = vec![Input(0), order.clone(), sorted.clone()];
    low.launch(&SORT, bindings, vec![n.into()], n.div_ceil(RANKED));
    let blocks = op.rows * d.div_ceil(COLUMNS);
    low.launch(&EMBED_GRAD, vec![order, sorted, Input(1), Output(0)], vec![n.into(), d.into()], blocks);
}
