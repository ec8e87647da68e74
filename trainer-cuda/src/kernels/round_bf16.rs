//! Launch of the kernel that rounds an operand of tensor cores once, before a kernel that reads it many times.

use crate::kernel::{ELEMENTS, Kernel, Source};
use crate::lower::{Binding, Lowering};

static SOURCE: Source = Source { file: "round_bf16.cu", text: include_str!("round_bf16.cu") };
static ROUND: Kernel = Kernel { source: &SOURCE, entry: "round_bf16", signature: "rwuuu", threads: ELEMENTS };

pub(super) const KERNELS: &[&Kernel] = &[&ROUND];

/// Channels of a vector.
const VECTOR: usize = 8;

/// A copy of `x[rows, from]` in scratch memory, as bf16, its rows continued with zeros to `to` columns, a multiple of 8.
pub(super) fn rounded(low: &mut Lowering<'_>, x: Binding, rows: usize, [from, to]: [usize; 2]) -> Binding {
    let copy = low.scratch(rows * to / 2);
    low.launch_elements(&ROUND, vec![x, copy.clone()], rows * to / VECTOR, &[from.into(), to.into()]);
    copy
}
