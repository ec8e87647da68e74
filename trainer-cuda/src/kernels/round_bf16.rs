//! Launches between f32 and bf16: of the kernel that rounds an operand of tensor cores once, before a kernel that reads it many
//! times, and of those that change what an activation is stored as.

use crate::kernel::{ELEMENTS, Kernel, Source};
use crate::lower::{Binding, Launch, Lowering};

static SOURCE: Source = Source { file: "round_bf16.cu", text: include_str!("round_bf16.cu") };
static ROUND: Kernel = Kernel { source: &SOURCE, entry: "round_bf16", signature: "awuuu", threads: ELEMENTS };

static WIDEN: Kernel = Kernel { source: &SOURCE, entry: "widen_bf16", signature: "hwu", threads: ELEMENTS };
static NARROW: Kernel = Kernel { source: &SOURCE, entry: "narrow_bf16", signature: "rHu", threads: ELEMENTS };

pub(super) const KERNELS: &[&Kernel] = &[&ROUND, &WIDEN, &NARROW];

/// Channels of a vector.
const VECTOR: usize = 8;

/// The `n` entries of `half`, as floats.
pub(crate) fn widen(half: Binding, floats: Binding, n: usize) -> Launch {
    Launch::new(&WIDEN, vec![half, floats], vec![n.into()], n.div_ceil(2).div_ceil(ELEMENTS))
}

/// `n` floats, rounded.
pub(crate) fn narrow(floats: Binding, half: Binding, n: usize) -> Launch {
    Launch::new(&NARROW, vec![floats, half], vec![n.into()], n.div_ceil(2).div_ceil(ELEMENTS))
}

/// `x[rows, from]` as bf16, its rows continued with zeros to `to` columns, a multiple of 8: a copy in scratch memory, unless it
/// lies so already.
pub(super) fn rounded(low: &mut Lowering<'_>, x: Binding, rows: usize, [from, to]: [usize; 2]) -> Binding {
    if from == to && low.is_half(&x) {
        return x;
    }
    let copy = low.scratch(rows * to / 2);
    low.launch_elements(&ROUND, vec![x, copy.clone()], rows * to / VECTOR, &[from.into(), to.into()]);
    copy
}
