//! A launch that overwrites a buffer; no op is lowered to it, poisoning and zeroing are.

use crate::kernel::{Kernel, Param};
use crate::lower::{ELEMENTS, Launch};

static FILL: Kernel =
    Kernel { name: "fill", source: &[include_str!("fill.wgsl")], entry: "fill", access: "w" };

pub(super) const KERNELS: &[&Kernel] = &[&FILL];

/// Sets `words` words of the one buffer bound to `word`; the caller binds it.
pub(crate) fn fill(words: usize, word: u32) -> Launch {
    let params = vec![words.into(), Param::U32(word)];
    Launch { kernel: &FILL, bindings: Vec::new(), params, groups: words.div_ceil(ELEMENTS), flops: 0 }
}
