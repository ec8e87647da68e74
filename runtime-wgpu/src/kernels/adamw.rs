//! Launch of `adamw`.

use crate::kernel::{Kernel, Param};
use crate::lower::Binding::{Input, Output};
use crate::lower::Lowering;
use golf_core::ops::AdamW;

static ADAMW: Kernel = Kernel {
    name: "adamw",
    source: &[include_str!("finite.wgsl"), include_str!("adamw.wgsl")],
    entry: "adamw",
    access: "wwwrrrrr",
};

pub(super) const KERNELS: &[&Kernel] = &[&ADAMW];

pub(super) fn adamw(op: &AdamW, low: &mut Lowering<'_>) {
    let bindings = vec![Output(0), Output(1), Output(2), Input(3), Input(4), Input(5), Input(6), Input(7)];
    // Complements are formed in f64: in f32, 1 - 0.999 is off by 5e-5 of itself.
    let params = [op.lr, op.weight_decay, op.beta1, 1.0 - op.beta1, op.beta2, 1.0 - op.beta2, op.epsilon];
    low.launch_elements(&ADAMW, bindings, low.output(0).numel(), &params.map(Param::from));
}
