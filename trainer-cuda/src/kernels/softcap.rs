//! Launches of `softcap` and its gradient.

use crate::kernel::{ELEMENTS, Kernel, Source};
use crate::lower::Binding::{Input, Output};
use crate::lower::Lowering;
use golf_core::ops::{Softcap, SoftcapGrad};

static SOURCE: Source = Source { file: "softcap.cu", text: include_str!("softcap.cu") };
static SOFTCAP: Kernel = Kernel { source: &SOURCE, entry: "softcap", signature: "rwuf", threads: ELEMENTS };
static SOFTCAP_GRAD: Kernel =
    Kernel { source: &SOURCE, entry: "softcap_grad", signature: "rrwuf", threads: ELEMENTS };

pub(super) const KERNELS: &[&Kernel] = &[&SOFTCAP, &SOFTCAP_GRAD];

pub(super) fn softcap(op: &Softcap, low: &mut Lowering<'_>) {
    let n = low.output(0).numel();
    low.launch_elements(&SOFTCAP, vec![Input(0), Output(0)], n, &[op.cap.into()]);
}

pub(super) fn grad(op: &SoftcapGrad, low: &mut Lowering<'_>) {
    let n = low.output(0).numel();
    low.launch_elements(&SOFTCAP_GRAD, vec![Input(0), Input(1), Output(0)], n, &[op.cap.into()]);
}
