//! Row quantizers, packing, fake quantization, pruning and GPTQ: the only place that knows bit layouts.

pub mod fake;
pub mod pack;
