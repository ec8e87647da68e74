//! Launches of `embed`, of float and of packed tables, and of its gradient.

use super::parts::PACKED;
use crate::kernel::Kernel;
use crate::lower::Binding::{Input, Output};
use crate::lower::Lowering;
use golf_core::ops::EmbedGrad;
use golf_core::quant::pack::row_words;

static EMBED: Kernel =
    Kernel { name: "embed", source: &[include_str!("embed.wgsl")], entry: "embed", access: "rrw" };
static EMBED_PACKED: Kernel = Kernel {
    name: "embed_packed",
    source: &[PACKED, include_str!("embed_packed.wgsl")],
    entry: "embed_packed",
    access: "rrw",
};
static EMBED_GRAD_SORT: Kernel = Kernel {
    name: "embed_grad_sort",
    source: &[include_str!("embed_grad_sort.wgsl")],
    entry: "embed_grad_sort",
    access: "rww",
};
static EMBED_GRAD: Kernel = Kernel {
    name: "embed_grad",
    source: &[include_str!("embed_grad.wgsl")],
    entry: "embed_grad",
    access: "rrrw",
};

pub(super) const KERNELS: &[&Kernel] = &[&EMBED, &EMBED_PACKED, &EMBED_GRAD_SORT, &EMBED_GRAD];

/// Tokens that a workgroup of `embed_grad_sort` ranks.
const RANKED: usize = 64;

/// Columns that a workgroup of `embed_grad` sums.
const COLUMNS: usize = 128;

pub(super) fn embed(low: &mut Lowering<'_>) {
    let ([rows, d], n) = (low.matrix(1), low.output(0).numel());
    let bindings = vec![Input(0), Input(1), Output(0)];
    match low.input(1).dtype.quant_bits() {
        None => low.launch_elements(&EMBED, bindings, n, &[d.into()]),
        Some(bits) => {
            let params = [d.into(), rows.into(), row_words(bits, d).into(), (bits as usize).into()];
            low.launch_elements(&EMBED_PACKED, bindings, n, &params);
        }
    }
}

pub(super) fn grad(op: &EmbedGrad, low: &mut Lowering<'_>) {
    let [n, d] = low.matrix(1);
    let (order, sorted) = (low.scratch(n), low.scratch(n));
    // Every token is compared with every other: four operations a pair.
    let flops = 4 * (n as u64).pow(2);
    let bindings = vec![Input(0), order.clone(), sorted.clone()];
    low.launch_counted(&EMBED_GRAD_SORT, bindings, vec![n.into()], n.div_ceil(RANKED), flops);
    let groups = op.rows * d.div_ceil(COLUMNS);
    low.launch(&EMBED_GRAD, vec![order, sorted, Input(1), Output(0)], vec![n.into(), d.into()], groups);
}
