//! Launch of `attention_cached`.

use crate::kernel::{Kernel, Param, Source};
use crate::lower::Binding::{Input, Output};
use crate::lower::Lowering;
use golf_core::ops::AttentionCached;

static SOURCE: Source = Source { file: "attention_cached.cu", text: include_str!("attention_cached.cu") };
static ATTENTION_CACHED: Kernel =
    Kernel { source: &SOURCE, entry: "attention_cached", signature: "rrrrwuuuuf", threads: 64 };

pub(super) const KERNELS: &[&Kernel] = &[&ATTENTION_CACHED];

/// Channels of a result that a block forms.
const CHANNELS: usize = 64;

pub(super) fn attention_cached(op: &AttentionCached, low: &mut Lowering<'_>) {
    let [n, cols] = low.matrix(0);
    let width = cols / op.heads;
    let chunks = width.div_ceil(CHANNELS);
    let mut params: Vec<Param> = [op.heads, op.heads / op.kv_heads, width, chunks].map(Param::from).to_vec();
    params.push((1.0 / (width as f64).sqrt()).into());
    let bindings = vec![Input(0), Input(1), Input(2), Input(3), Output(0)];
    low.launch(&ATTENTION_CACHED, bindings, params, n * op.heads * chunks);
}
