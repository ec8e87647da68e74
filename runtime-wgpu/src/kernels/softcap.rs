//! Launches of `softcap` and its gradient.

use super::parts::TANH;
use crate::kernel::Kernel;
use crate::lower::Binding::{Input, Output};
use crate::lower::Lowering;
use golf_core::ops::{Softcap, SoftcapGrad};

static SOFTCAP: Kernel =
    Kernel { name: "softcap", source: &[TANH, include_str!("softcap.wgsl")], entry: "softcap", access: "rw" };
static SOFTCAP_GRAD: Kernel = Kernel {
    name: "softcap_grad",
    source: &[TANH, include_str!("softcap_grad.wgsl")],
    entry: "softcap_grad",
    access: "rrw",
};

pub(super) const KERNELS: &[&Kernel] = &[&SOFTCAP, &SOFTCAP_GRAD];

pub(super) fn softcap(op: &Softcap, low: &mut Lowering<'_>) {
    let n = low.output(0).numel();
    low.launch_elements(&SOFTCAP, vec![Input(0), Output(0)], n, &[op.cap.into()]);
}

pub(super) fn grad(op: &SoftcapGrad, low: &mut Lowering<'_>) {
    let n = low.output(0).numel();
    low.launch_elements(&SOFTCAP_GRAD, vec![Input(0), Input(1), Output(0)], n, &[op.cap.into()]);
}
