//! Launches of `residual_mix_norm` and its gradient: what a row has of the norm first, then everything by columns. So neither
//! needs more than eight buffers.

use super::column_sums::{ENTRY, Sums, WALK, column_sums};
use super::parts::REDUCE;
use crate::kernel::Kernel;
use crate::lower::Binding::{Input, Output};
use crate::lower::Lowering;
use golf_core::ops::{ResidualMixNorm, ResidualMixNormGrad, ResidualMixNormGradAdd};

static RESIDUAL_MIX_NORM: Kernel = Kernel {
    name: "residual_mix_norm",
    source: &[REDUCE, include_str!("residual_mix_norm.wgsl")],
    entry: "residual_mix_norm",
    access: "rrrww",
};
static ROWS: Kernel = Kernel {
    name: "residual_mix_norm_rows",
    source: &[REDUCE, include_str!("residual_mix_norm_rows.wgsl")],
    entry: "residual_mix_norm_rows",
    access: "rrrrw",
};
static GRAD: Kernel = Kernel {
    name: "residual_mix_norm_grad",
    source: &[WALK, include_str!("residual_mix_norm_grad.wgsl")],
    entry: ENTRY,
    access: "rrrrrwww",
};

pub(super) const KERNELS: &[&Kernel] = &[&RESIDUAL_MIX_NORM, &ROWS, &GRAD];

pub(super) fn residual_mix_norm(op: &ResidualMixNorm, low: &mut Lowering<'_>) {
    let [n, d] = low.matrix(0);
    let bindings = vec![Input(0), Input(1), Input(2), Output(0), Output(1)];
    low.launch(&RESIDUAL_MIX_NORM, bindings, vec![d.into(), op.scale.into()], n);
}

pub(super) fn grad(op: &ResidualMixNormGrad, low: &mut Lowering<'_>) {
    launch_grad(op, low, false);
}

pub(super) fn grad_add(op: &ResidualMixNormGradAdd, low: &mut Lowering<'_>) {
    launch_grad(&op.grad, low, true);
}

fn launch_grad(op: &ResidualMixNormGrad, low: &mut Lowering<'_>, accumulate: bool) {
    let [n, d] = low.matrix(0);
    let rows = low.scratch(2 * n);
    let operands = vec![Input(0), Input(1), Input(2), Input(3), rows];
    low.launch(&ROWS, operands.clone(), vec![d.into(), op.scale.into()], n);
    let bindings = [operands, vec![Output(0), Output(1)]].concat();
    column_sums(low, &GRAD, bindings, [n, d], Some(accumulate.into()), Sums::Stacked(Output(2)));
}
