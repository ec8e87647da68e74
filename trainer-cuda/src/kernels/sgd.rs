//! Launch of `sgd`.

use crate::kernel::{ELEMENTS, Kernel, Source};
use crate::lower::Binding::{Input, Output};
use crate::lower::Lowering;
use golf_core::ops::Sgd;

static SOURCE: Source = Source { file: "sgd.cu", text: include_str!("sgd.cu") };
static SGD: Kernel = Kernel { source: &SOURCE, entry: "sgd", signature: "wwru|rrff", threads: ELEMENTS };

pub(super) const KERNELS: &[&Kernel] = &[&SGD];

pub(super) fn sgd(op: &Sgd, low: &mut Lowering<'_>) {
    let (tensors, scalars) = (vec![Output(0), Output(1), Input(2)], vec![Input(3), Input(4)]);
    let params = vec![op.lr.into(), op.momentum.into()];
    low.launch_pieces(&SGD, tensors, low.output(0).numel(), scalars, params);
}
