//! Launch of `sgd`.

use crate::kernel::Kernel;
use crate::lower::Binding::{Input, Output};
use crate::lower::Lowering;
use golf_core::ops::Sgd;

static SGD: Kernel = Kernel {
    name: "sgd",
    source: &[include_str!("finite.wgsl"), include_str!("sgd.wgsl")],
    entry: "sgd",
    access: "wwrrr",
};

pub(super) const KERNELS: &[&Kernel] = &[&SGD];

pub(super) fn sgd(op: &Sgd, low: &mut Lowering<'_>) {
    let bindings = vec![Output(0), Output(1), Input(2), Input(3), Input(4)];
    low.launch_elements(&SGD, bindings, low.output(0).numel(), &[op.lr.into(), op.momentum.into()]);
}
