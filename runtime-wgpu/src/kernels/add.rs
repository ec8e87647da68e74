//! Launches of `add` and `accumulate`.

use crate::kernel::Kernel;
use crate::lower::Binding::{Input, Output};
use crate::lower::Lowering;

const SOURCE: &[&str] = &[include_str!("add.wgsl")];
static ADD: Kernel = Kernel { name: "add", source: SOURCE, entry: "add", access: "rrw" };
static ACCUMULATE: Kernel = Kernel { name: "accumulate", source: SOURCE, entry: "accumulate", access: "rrw" };

pub(super) const KERNELS: &[&Kernel] = &[&ADD, &ACCUMULATE];

pub(super) fn add(low: &mut Lowering<'_>) {
    low.launch_elements(&ADD, vec![Input(0), Input(1), Output(0)], low.output(0).numel(), &[]);
}

pub(super) fn accumulate(low: &mut Lowering<'_>) {
    low.launch_elements(&ACCUMULATE, vec![Input(1), Input(2), Output(0)], low.output(0).numel(), &[]);
}
