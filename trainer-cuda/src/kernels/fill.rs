//! A launch that overwrites a buffer: `constant` is one of a word, poisoning one of everything.

use crate::kernel::{ELEMENTS, Kernel, Param, Source};
use crate::lower::{Binding, Launch, Lowering};
use golf_core::ops::Constant;

static SOURCE: Source = Source { file: "fill.cu", text: include_str!("fill.cu") };
static FILL: Kernel = Kernel { source: &SOURCE, entry: "fill", signature: "wuu", threads: ELEMENTS };

pub(super) const KERNELS: &[&Kernel] = &[&FILL];

/// Sets `words` words of `target` to `word`.
pub(crate) fn fill(target: Binding, words: usize, word: u32) -> Launch {
    let params = vec![words.into(), Param::U32(word)];
    Launch::new(&FILL, vec![target], params, words.div_ceil(ELEMENTS))
}

pub(super) fn constant(op: &Constant, low: &mut Lowering<'_>) {
    low.launches.push(fill(Binding::Output(0), 1, (op.value as f32).to_bits()));
}
