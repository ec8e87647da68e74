//! Launch of `adamw`.

use crate::kernel::{ELEMENTS, Kernel, Param, Source};
use crate::lower::Binding::{Input, Output};
use crate::lower::Lowering;
use golf_core::ops::AdamW;

static SOURCE: Source = Source { file: "adamw.cu", text: include_str!("adamw.cu") };
static ADAMW: Kernel =
    Kernel { source: &SOURCE, entry: "adamw", signature: "wwwrrrrrufffffff", threads: ELEMENTS };

pub(super) const KERNELS: &[&Kernel] = &[&ADAMW];

pub(super) fn adamw(op: &AdamW, low: &mut Lowering<'_>) {
    let bindings = vec![Output(0), Output(1), Output(2), Input(3), Input(4), Input(5), Input(6), Input(7)];
    // Complements are formed in f64: in f32, 1 - 0.999 is off by 5e-5 of itself.
    let params = [op.lr, op.weight_decay, op.beta1, 1.0 - op.beta1, op.beta2, 1.0 - op.beta2, op.epsilon];
    low.launch_elements(&ADAMW, bindings, low.output(0).numel(), &params.map(Param::from));
}
