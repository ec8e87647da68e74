//! Launches of `qk_norm_rope`, `qk_norm_rope_at` and the gradient.

use super::parts::{REDUCE, REDUCE_TEAM};
use crate::kernel::{Kernel, Param};
use crate::lower::Binding::{self, Input, Output};
use crate::lower::{Lowering, Table};
use golf_core::ops::{QkNormRope, QkNormRopeAt, QkNormRopeGrad};

const QK_NORM_ROPE: &str = include_str!("qk_norm_rope.wgsl");
const PLACE_IN_WINDOW: &str = include_str!("place_in_window.wgsl");

static WHOLE: Kernel = Kernel {
    name: "qk_norm_rope",
    source: &[REDUCE_TEAM, PLACE_IN_WINDOW, QK_NORM_ROPE],
    entry: "qk_norm_rope",
    access: "rrrw",
};
static AT: Kernel = Kernel {
    name: "qk_norm_rope_at",
    source: &[REDUCE_TEAM, include_str!("place_at.wgsl"), QK_NORM_ROPE],
    entry: "qk_norm_rope",
    access: "rrrwr",
};
static GRAD: Kernel = Kernel {
    name: "qk_norm_rope_grad",
    source: &[REDUCE_TEAM, PLACE_IN_WINDOW, QK_NORM_ROPE, include_str!("qk_norm_rope_grad.wgsl")],
    entry: "qk_norm_rope_grad",
    access: "rrrwrw",
};
static GAIN: Kernel = Kernel {
    name: "qk_norm_rope_gain",
    source: &[REDUCE, include_str!("qk_norm_rope_gain.wgsl")],
    entry: "qk_norm_rope_gain",
    access: "rw",
};

pub(super) const KERNELS: &[&Kernel] = &[&WHOLE, &AT, &GRAD, &GAIN];

/// Heads of tokens to a workgroup.
const ITEMS: usize = 16;

/// Rows that a workgroup of [`GAIN`] adds up.
const SUM_ROWS: usize = 1024;

/// Parameters after `base`, and the number of heads in all tokens.
fn params(op: &QkNormRope, low: &Lowering<'_>, has_gain: bool) -> (Vec<Param>, usize) {
    let [n, cols] = low.matrix(0);
    let items = n * op.heads;
    let sizes = [items, op.heads, op.seq, cols / op.heads, op.rope_dims / 2];
    let mut params: Vec<Param> = sizes.into_iter().map(Param::from).collect();
    params.push(has_gain.into());
    (params, items)
}

fn angles(op: &QkNormRope) -> Binding {
    Binding::Table(Table::Rope { seq: op.seq, dims: op.rope_dims, base: op.base })
}

/// The gain, operand `i`, or where there is none, a buffer that may stand in its place: it is not read.
fn gain(i: usize, has_gain: bool) -> Binding {
    Input(if has_gain { i } else { 0 })
}

pub(super) fn qk_norm_rope(op: &QkNormRope, low: &mut Lowering<'_>) {
    let has_gain = low.inputs() == 2;
    let (params, items) = params(op, low, has_gain);
    let bindings = vec![Input(0), gain(1, has_gain), angles(op), Output(0)];
    low.launch(&WHOLE, bindings, params, items.div_ceil(ITEMS));
}

pub(super) fn at(op: &QkNormRopeAt, low: &mut Lowering<'_>) {
    let (op, has_gain) = (op.whole(), low.inputs() == 3);
    let (params, items) = params(&op, low, has_gain);
    let bindings = vec![Input(0), gain(2, has_gain), angles(&op), Output(0), Input(1)];
    low.launch(&AT, bindings, params, items.div_ceil(ITEMS));
}

pub(super) fn grad(op: &QkNormRopeGrad, low: &mut Lowering<'_>) {
    let (op, has_gain) = (&op.forward, low.inputs() == 3);
    let (params, items) = params(op, low, has_gain);
    let dots = low.scratch(items);
    let dy = Input(low.inputs() - 1);
    let bindings = vec![Input(0), gain(1, has_gain), angles(op), Output(0), dy, dots.clone()];
    low.launch(&GRAD, bindings, params, items.div_ceil(ITEMS));
    if has_gain {
        sum_rows(low, dots, [items / op.heads, op.heads], Output(1));
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
