//! Launches of `add` and `accumulate`.

use crate::kernel::{ELEMENTS, Kernel, Source};
use crate::lower::Binding::{Input, Output};
use crate::lower::Lowering;

static SOURCE: Source = Source { file: "add.cu", text: include_str!("add.cu") };
static ADD: Kernel = Kernel { source: &SOURCE, entry: "add", signature: "aaou", threads: ELEMENTS };
static ACCUMULATE: Kernel =
    Kernel { source: &SOURCE, entry: "accumulate", signature: "rrwu", threads: ELEMENTS };

pub(super) const KERNELS: &[&Kernel] = &[&ADD, &ACCUMULATE];

pub(super) fn add(low: &mut Lowering<'_>) {
    low.launch_eights(&ADD, vec![Input(0), Input(1), Output(0)], low.output(0).numel(), &[]);
}

pub(super) fn accumulate(low: &mut Lowering<'_>) {
    low.launch_elements(&ACCUMULATE, vec![Input(1), Input(2), Output(0)], low.output(0).numel(), &[]);
}
