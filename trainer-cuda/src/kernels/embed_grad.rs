//! Launches of `embed_grad`.

use crate::kernel::{Kernel, Source};
use crate::lower::Binding::{Input, Output};
use crate::lower::Lowering;
use golf_core::ops::EmbedGrad;

static SOURCE: Source = Source { file: "embed_grad.cu", text: include_str!("embed_grad.cu") };
static SORT: Kernel = Kernel { source: &SOURCE, entry: "embed_grad_sort", signature: "rwwuu", threads: 256 };
static EMBED_GRAD: Kernel =
    Kernel { source: &SOURCE, entry: "embed_grad", signature: "rrawuuu", threads: 512 };

pub(super) const KERNELS: &[&Kernel] = &[&SORT, &EMBED_GRAD];

/// Tokens that a block of [`SORT`] ranks, as in `embed_grad.cu`.
const RANKED: usize = 512;

/// Columns that a block of [`EMBED_GRAD`] sums, as in `embed_grad.cu`.
const COLUMNS: usize = 128;

pub(super) fn embed_grad(op: &EmbedGrad, low: &mut Lowering<'_>) {
    let [n, d] = low.matrix(1);
    let chunks = n.div_ceil(RANKED);
    let (order, firsts) = (low.scratch(n), low.scratch(chunks * (op.rows + 1)));
    let bindings = vec![Input(0), order.clone(), firsts.clone()];
    low.launch(&SORT, bindings, vec![n.into(), op.rows.into()], chunks);
    let bindings = vec![order, firsts, Input(1), Output(0)];
    let params = vec![n.into(), d.into(), op.rows.into()];
    low.launch(&EMBED_GRAD, bindings, params, op.rows * d.div_ceil(COLUMNS));
}
