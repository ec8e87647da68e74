//! Launches of `attention_grad`: what the scores need, then queries and keys by themselves, so that no sum is shared.

use super::attention::Heads;
use super::attention_bf16::{self, TensorHeads};
use super::warps;
use crate::kernel::{Kernel, Source};
use crate::lower::Binding::{Input, Output};
use crate::lower::Lowering;
use golf_core::ops::AttentionGrad;

static SOURCE: Source = Source { file: "attention_grad.cu", text: include_str!("attention_grad.cu") };
static QUERIES: Kernel =
    Kernel { source: &SOURCE, entry: "attention_grad_queries", signature: "rrrrrrwuuuuuuuf", threads: 64 };
static KEYS: Kernel =
    Kernel { source: &SOURCE, entry: "attention_grad_keys", signature: "rrrrrrwwuuuuuuuf", threads: 64 };
static DELTA: Kernel =
    Kernel { source: &SOURCE, entry: "attention_delta", signature: "rrwuu", threads: warps::THREADS };

pub(super) const KERNELS: &[&Kernel] = &[&QUERIES, &KEYS, &DELTA];

pub(super) fn attention_grad(op: &AttentionGrad, low: &mut Lowering<'_>) {
    if let Some(heads) = TensorHeads::new(low, op.heads, op.kv_heads, op.seq) {
        return attention_bf16::attention_grad(op, &heads, low);
    }
    let heads = Heads::new(low, op.heads, op.kv_heads, op.seq);
    let [q, y, dy] = [0, 3, 5].map(|i| heads.widened(low, Input(i), op.heads));
    let [k, v] = [1, 2].map(|i| heads.widened(low, Input(i), op.kv_heads));
    let lse = Input(4);

    let items = heads.n * op.heads;
    let delta = low.scratch(items);
    let params = vec![items.into(), heads.vectors().into()];
    low.launch(&DELTA, vec![dy.clone(), y, delta.clone()], params, warps::blocks(items));

    let operands = [q, k, v, dy, lse, delta];
    let dq = heads.result(low, Output(0), op.heads);
    let (params, blocks) = heads.launch(op.heads);
    let bindings = [&operands[..], std::slice::from_ref(&dq)].concat();
    low.launch(&QUERIES, bindings, params, blocks);
    heads.narrowed(low, dq, Output(0), op.heads);

    let [dk, dv] = [1, 2].map(|i| heads.result(low, Output(i), op.kv_heads));
    let (params, blocks) = heads.launch(op.kv_heads);
    let bindings = [&operands[..], &[dk.clone(), dv.clone()]].concat();
    low.launch(&KEYS, bindings, params, blocks);
    heads.narrowed(low, dk, Output(1), op.kv_heads);
    heads.narrowed(low, dv, Output(2), op.kv_heads);
}
