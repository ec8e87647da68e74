//! Launches of `qk_norm_rope`, `qk_norm_rope_at` and the gradient.

use super::warps::{THREADS, head_blocks};
use crate::kernel::{Kernel, Param, Source};
use crate::lower::Binding::{self, Input, Output};
use crate::lower::{Lowering, Table};
use golf_core::ops::{QkNormRope, QkNormRopeAt, QkNormRopeGrad};

static SOURCE: Source = Source { file: "qk_norm_rope.cu", text: include_str!("qk_norm_rope.cu") };
static WHOLE: Kernel =
    Kernel { source: &SOURCE, entry: "qk_norm_rope", signature: "arrouuuuuu", threads: THREADS };
static AT: Kernel =
    Kernel { source: &SOURCE, entry: "qk_norm_rope_at", signature: "arrrouuuuuu", threads: THREADS };
static GRAD: Kernel =
    Kernel { source: &SOURCE, entry: "qk_norm_rope_grad", signature: "arraowuuuuuu", threads: THREADS };
static GAIN: Kernel = Kernel { source: &SOURCE, entry: "qk_norm_rope_gain", signature: "rwuuu", threads: 32 };

pub(super) const KERNELS: &[&Kernel] = &[&WHOLE, &AT, &GRAD, &GAIN];

/// Rows that a block of [`GAIN`] adds up.
const SUM_ROWS: usize = 1024;

/// Scalars, and the number of blocks for all heads of all tokens.
fn params(op: &QkNormRope, low: &Lowering<'_>, has_gain: bool) -> (Vec<Param>, usize) {
    let [n, cols] = low.matrix(0);
    let (items, width) = (n * op.heads, cols / op.heads);
    let sizes = [items, op.heads, op.seq, width, op.rope_dims / 2];
    let mut params: Vec<Param> = sizes.into_iter().map(Param::from).collect();
    params.push(has_gain.into());
    (params, head_blocks(items, width))
}

fn angles(op: &QkNormRope) -> Binding {
    Binding::Table(Table::Rope { seq: op.seq, dims: op.rope_dims, base: op.base })
}

/// The gain, operand `i`, or where there is none, a buffer that may stand in its place: it is not read.
fn gain(op: &QkNormRope, i: usize, has_gain: bool) -> Binding {
    if has_gain { Input(i) } else { angles(op) }
}

pub(super) fn qk_norm_rope(op: &QkNormRope, low: &mut Lowering<'_>) {
    let has_gain = low.inputs() == 2;
    let (params, blocks) = params(op, low, has_gain);
    let bindings = vec![Input(0), gain(op, 1, has_gain), angles(op), Output(0)];
    low.launch(&WHOLE, bindings, params, blocks);
}

pub(super) fn at(op: &QkNormRopeAt, low: &mut Lowering<'_>) {
    let (op, has_gain) = (op.whole(), low.inputs() == 3);
    let (params, blocks) = params(&op, low, has_gain);
    let bindings = vec![Input(0), gain(&op, 2, has_gain), angles(&op), Input(1), Output(0)];
    low.launch(&AT, bindings, params, blocks);
}

pub(super) fn grad(op: &QkNormRopeGrad, low: &mut Lowering<'_>) {
    let (op, has_gain) = (&op.forward, low.inputs() == 3);
    let (params, blocks) = params(op, low, has_gain);
    let [n, _] = low.matrix(0);
    let dots = low.scratch(n * op.heads);
    let dy = Input(low.inputs() - 1);
    let bindings = vec![Input(0), gain(op, 1, has_gain), angles(op), dy, Output(0), dots.clone()];
    low.launch(&GRAD, bindings, params, blocks);
    if has_gain {
        sum_rows(low, dots, [n, op.heads], Output(1));
    }
}

/// Sum of the rows of `x[n,heads]` into `y[heads]`: chunks of rows, then of their sums, until one row is left.
fn sum_rows(low: &mut Lowering<'_>, mut x: Binding, [mut n, heads]: [usize; 2], y: Binding) {
    loop {
        let chunks = n.div_ceil(SUM_ROWS);
        let to = if chunks == 1 { y.clone() } else { low.scratch(chunks * heads) };
        let params = vec![n.into(), heads.into(), SUM_ROWS.into()];
        low.launch(&GAIN, vec![x, to.clone()], params, chunks * heads);
        if chunks == 1 {
            return;
        }
        (x, n) = (to, chunks);
    }
}
