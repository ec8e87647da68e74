//! Launches of `xsa` and its gradient.

use super::parts::REDUCE_TEAM;
use crate::kernel::Kernel;
use crate::lower::Binding::{Input, Output};
use crate::lower::Lowering;
use golf_core::ops::{Xsa, XsaGrad};

static XSA: Kernel =
    Kernel { name: "xsa", source: &[REDUCE_TEAM, include_str!("xsa.wgsl")], entry: "xsa", access: "rrw" };
static XSA_GRAD: Kernel = Kernel {
    name: "xsa_grad",
    source: &[REDUCE_TEAM, include_str!("xsa_grad.wgsl")],
    entry: "xsa_grad",
    access: "rrrww",
};

pub(super) const KERNELS: &[&Kernel] = &[&XSA, &XSA_GRAD];

/// Heads of tokens to a workgroup.
const ITEMS: usize = 16;

pub(super) fn xsa(op: &Xsa, low: &mut Lowering<'_>) {
    let [n, cols] = low.matrix(0);
    let items = n * op.heads;
    let params = vec![items.into(), (op.heads / op.kv_heads).into(), (cols / op.heads).into()];
    low.launch(&XSA, vec![Input(0), Input(1), Output(0)], params, items.div_ceil(ITEMS));
}

pub(super) fn grad(op: &XsaGrad, low: &mut Lowering<'_>) {
    let [n, cols] = low.matrix(0);
    let items = n * op.kv_heads;
    let params = vec![items.into(), (op.heads / op.kv_heads).into(), (cols / op.heads).into()];
    let bindings = vec![Input(0), Input(1), Input(2), Output(0), Output(1)];
    low.launch(&XSA_GRAD, bindings, params, items.div_ceil(ITEMS));
}
