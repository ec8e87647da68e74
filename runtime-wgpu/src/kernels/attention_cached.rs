//! Launch of `attention_cached`.

use super::parts::REDUCE;
use crate::kernel::{Kernel, Param};
use crate::lower::Binding::{Input, Output};
use crate::lower::Lowering;
use golf_core::ops::AttentionCached;

static ATTENTION_CACHED: Kernel = Kernel {
    name: "attention_cached",
    source: &[REDUCE, include_str!("attention_cached.wgsl")],
    entry: "attention_cached",
    access: "rrrrw",
};

pub(super) const KERNELS: &[&Kernel] = &[&ATTENTION_CACHED];

/// Channels of a result that a workgroup forms.
const CHANNELS: usize = 64;

pub(super) fn attention_cached(op: &AttentionCached, low: &mut Lowering<'_>) {
    let [n, cols] = low.matrix(0);
    let width = cols / op.heads;
    let chunks = width.div_ceil(CHANNELS);
    let mut params: Vec<Param> = [op.heads, op.heads / op.kv_heads, width, chunks].map(Param::from).to_vec();
    params.push((1.0 / (width as f64).sqrt()).into());
    let [window, _] = low.matrix(1);
    // Counted as if the caches were full: the position is known at run time only.
    let flops = 4 * (n * window * cols) as u64;
    let bindings = vec![Input(0), Input(1), Input(2), Input(3), Output(0)];
    low.launch_counted(&ATTENTION_CACHED, bindings, params, n * op.heads * chunks, flops);
}
