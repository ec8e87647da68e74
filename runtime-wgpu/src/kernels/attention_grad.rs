//! Launches of `attention_grad`: three kernels, as WebGPU binds eight buffers to one.

use super::attention::Heads;
use super::parts::REDUCE_TEAM;
use crate::kernel::Kernel;
use crate::lower::Binding::{Input, Output};
use crate::lower::Lowering;
use golf_core::ops::AttentionGrad;

const SOURCE: &[&str] = &[include_str!("attention_tile.wgsl"), include_str!("attention_grad.wgsl")];
static QUERIES: Kernel = Kernel {
    name: "attention_grad_queries",
    source: SOURCE,
    entry: "attention_grad_queries",
    access: "rrrrrrw",
};
static KEYS: Kernel =
    Kernel { name: "attention_grad_keys", source: SOURCE, entry: "attention_grad_keys", access: "rrrrrrww" };
static DELTA: Kernel = Kernel {
    name: "attention_delta",
    source: &[REDUCE_TEAM, include_str!("attention_delta.wgsl")],
    entry: "attention_delta",
    access: "rrw",
};

pub(super) const KERNELS: &[&Kernel] = &[&QUERIES, &KEYS, &DELTA];

/// Heads of tokens to a workgroup of [`DELTA`].
const DELTA_ITEMS: usize = 16;

pub(super) fn attention_grad(op: &AttentionGrad, low: &mut Lowering<'_>) {
    let heads = Heads::new(low, op.heads, op.kv_heads, op.seq);
    let [q, y, dy] = [0, 3, 5].map(|i| heads.widened(low, Input(i), op.heads));
    let [k, v] = [1, 2].map(|i| heads.widened(low, Input(i), op.kv_heads));
    let lse = Input(4);

    let items = heads.n * op.heads;
    let delta = low.scratch(items);
    let params = vec![items.into(), heads.vectors().into()];
    low.launch(&DELTA, vec![dy.clone(), y, delta.clone()], params, items.div_ceil(DELTA_ITEMS));

    let operands = [q, k, v, dy, lse, delta];
    let dq = heads.result(low, Output(0), op.heads);
    let (params, groups) = heads.launch(op.heads);
    let bindings = [&operands[..], std::slice::from_ref(&dq)].concat();
    low.launch_counted(&QUERIES, bindings, params, groups, heads.flops(2, 1));
    heads.narrowed(low, dq, Output(0), op.heads);

    let [dk, dv] = [1, 2].map(|i| heads.result(low, Output(i), op.kv_heads));
    let (params, groups) = heads.launch(op.kv_heads);
    let bindings = [&operands[..], &[dk.clone(), dv.clone()]].concat();
    low.launch_counted(&KEYS, bindings, params, groups, heads.flops(2, 2));
    heads.narrowed(low, dk, Output(1), op.kv_heads);
    heads.narrowed(low, dv, Output(2), op.kv_heads);
}
