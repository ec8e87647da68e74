//! Launches of `nesterov_momentum` and `muon_apply`; `newton_schulz` has its own file.

use crate::kernel::{ELEMENTS, Kernel, Source};
use crate::lower::Binding::{Input, Output};
use crate::lower::Lowering;
use golf_core::ops::MuonApply;

static SOURCE: Source = Source { file: "muon.cu", text: include_str!("muon.cu") };
static NESTEROV_MOMENTUM: Kernel =
    Kernel { source: &SOURCE, entry: "nesterov_momentum", signature: "wwru|rr", threads: ELEMENTS };
static MUON_APPLY: Kernel =
    Kernel { source: &SOURCE, entry: "muon_apply", signature: "wru|rffu", threads: ELEMENTS };

pub(super) const KERNELS: &[&Kernel] = &[&NESTEROV_MOMENTUM, &MUON_APPLY];

pub(super) fn apply(op: &MuonApply, low: &mut Lowering<'_>) {
    let [r, c] = low.matrix(0);
    // With `lr_scale` 1 the second factor is `lr·√max(1, r/c)`, in f64.
    let (_, update, _) = op.factors(1.0, r, c);
    let params = vec![update.into(), (op.lr * op.weight_decay).into(), op.decay_first.into()];
    low.launch_pieces(&MUON_APPLY, vec![Output(0), Input(1)], r * c, vec![Input(2)], params);
}

pub(super) fn nesterov_momentum(low: &mut Lowering<'_>) {
    let (tensors, scalars) = (vec![Output(0), Output(1), Input(1)], vec![Input(2), Input(3)]);
    low.launch_pieces(&NESTEROV_MOMENTUM, tensors, low.output(0).numel(), scalars, Vec::new());
}
