//! Launches of `nesterov_momentum` and `muon_apply`; `newton_schulz` has its own file.

use crate::kernel::Kernel;
use crate::lower::Binding::{Input, Output};
use crate::lower::Lowering;
use golf_core::ops::MuonApply;

static NESTEROV_MOMENTUM: Kernel = Kernel {
    name: "nesterov_momentum",
    source: &[include_str!("finite.wgsl"), include_str!("nesterov_momentum.wgsl")],
    entry: "nesterov_momentum",
    access: "wwrrr",
};
static MUON_APPLY: Kernel = Kernel {
    name: "muon_apply",
    source: &[include_str!("muon_apply.wgsl")],
    entry: "muon_apply",
    access: "wrr",
};

pub(super) const KERNELS: &[&Kernel] = &[&NESTEROV_MOMENTUM, &MUON_APPLY];

pub(super) fn apply(op: &MuonApply, low: &mut Lowering<'_>) {
    let [r, c] = low.matrix(0);
    // With `lr_scale` 1 the second factor is `lr·√max(1, r/c)`, in f64.
    let (_, update, _) = op.factors(1.0, r, c);
    let params = [update.into(), (op.lr * op.weight_decay).into(), op.decay_first.into()];
    low.launch_elements(&MUON_APPLY, vec![Output(0), Input(1), Input(2)], r * c, &params);
}

pub(super) fn nesterov_momentum(low: &mut Lowering<'_>) {
    let bindings = vec![Output(0), Output(1), Input(1), Input(2), Input(3)];
    low.launch_elements(&NESTEROV_MOMENTUM, bindings, low.output(0).numel(), &[]);
}
