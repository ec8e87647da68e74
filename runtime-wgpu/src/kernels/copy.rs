//! Launch of `copy`.

use crate::kernel::Kernel;
use crate::lower::Binding::{Input, Output};
use crate::lower::Lowering;

static COPY: Kernel =
    Kernel { name: "copy", source: &[include_str!("copy.wgsl")], entry: "copy", access: "rw" };

pub(super) const KERNELS: &[&Kernel] = &[&COPY];

pub(super) fn copy(low: &mut Lowering<'_>) {
    low.launch_elements(&COPY, vec![Input(0), Output(0)], low.output(0).words(), &[]);
}
