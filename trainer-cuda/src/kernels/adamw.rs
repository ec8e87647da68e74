//! Launch of `adamw`.

use crate::kernel::{ELEMENTS, Kernel, Param, Source};
use crate::lower::Binding::{Input, Output};
use crate::lower::Lowering;
use golf_core::ops::AdamW;

static SOURCE: Source = Source { file: "adamw.cu", text: include_str!("adamw.cu") };
static ADAMW: Kernel =
    Kernel { source: &SOURCE, entry: "adamw", signature: "wwwru|rrrrfffffff", threads: ELEMENTS };

pub(super) const KERNELS: &[&Kernel] = &[&ADAMW];

pub(super) fn adamw(op: &AdamW, low: &mut Lowering<'_>) {
    let tensors = vec![Output(0), Output(1), Output(2), Input(3)];
    let scalars = (4..8).map(Input).collect();
    // Complements are formed in f64: in f32, 1 - 0.999 is off by 5e-5 of itself.
    let params = [op.lr, op.weight_decay, op.beta1, 1.0 - op.beta1, op.beta2, 1.0 - op.beta2, op.epsilon];
    low.launch_pieces(&ADAMW, tensors, low.output(0).numel(), scalars, params.map(Param::from).into());
}
