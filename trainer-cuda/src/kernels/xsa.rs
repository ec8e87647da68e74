//! Launches of `xsa` and its gradient.

use super::warps::{THREADS, head_blocks};
use crate::kernel::{Kernel, Source};
use crate::lower::Binding::{Input, Output};
use crate::lower::Lowering;
use golf_core::ops::{Xsa, XsaGrad};

static SOURCE: Source = Source { file: "xsa.cu", text: include_str!("xsa.cu") };
static XSA: Kernel = Kernel { source: &SOURCE, entry: "xsa", signature: "aaouuu", threads: THREADS };
static XSA_GRAD: Kernel =
    Kernel { source: &SOURCE, entry: "xsa_grad", signature: "aaaoouuu", threads: THREADS };

pub(super) const KERNELS: &[&Kernel] = &[&XSA, &XSA_GRAD];

pub(super) fn xsa(op: &Xsa, low: &mut Lowering<'_>) {
    let [n, cols] = low.matrix(0);
    let items = n * op.heads;
    let width = cols / op.heads;
    let params = vec![items.into(), (op.heads / op.kv_heads).into(), width.into()];
    low.launch(&XSA, vec![Input(0), Input(1), Output(0)], params, head_blocks(items, width));
}

pub(super) fn grad(op: &XsaGrad, low: &mut Lowering<'_>) {
    let [n, cols] = low.matrix(0);
    let items = n * op.kv_heads;
    let width = cols / op.heads;
    let params = vec![items.into(), (op.heads / op.kv_heads).into(), width.into()];
    let bindings = vec![Input(0), Input(1), Input(2), Output(0), Output(1)];
    low.launch(&XSA_GRAD, bindings, params, head_blocks(items, width));
}
