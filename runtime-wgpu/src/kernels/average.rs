//! Launch of `average`.

use crate::kernel::Kernel;
use crate::lower::Binding::{Input, Output};
use crate::lower::Lowering;

static AVERAGE: Kernel =
    Kernel { name: "average", source: &[include_str!("average.wgsl")], entry: "average", access: "wrr" };

pub(super) const KERNELS: &[&Kernel] = &[&AVERAGE];

pub(super) fn average(low: &mut Lowering<'_>) {
    low.launch_elements(&AVERAGE, vec![Output(0), Input(1), Input(2)], low.output(0).numel(), &[]);
}
