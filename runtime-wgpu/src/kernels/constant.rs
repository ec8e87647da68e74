//! Launch of `constant`.

use crate::kernel::Kernel;
use crate::lower::Binding::Output;
use crate::lower::Lowering;
use golf_core::ops::Constant;

/// It is a `fill` of one word.
pub(super) const KERNELS: &[&Kernel] = &[];

pub(super) fn constant(op: &Constant, low: &mut Lowering<'_>) {
    let mut launch = super::fill(1, (op.value as f32).to_bits());
    launch.bindings.push(Output(0));
    low.launches.push(launch);
}
