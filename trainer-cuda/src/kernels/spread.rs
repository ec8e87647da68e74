//! Launch of `spread`.

use crate::kernel::{ELEMENTS, Kernel, Source};
use crate::lower::Binding::{Input, Output};
use crate::lower::Lowering;
use golf_core::ops::Spread;

static SOURCE: Source = Source { file: "spread.cu", text: include_str!("spread.cu") };
static SPREAD: Kernel = Kernel { source: &SOURCE, entry: "spread", signature: "rwuf", threads: ELEMENTS };

pub(super) const KERNELS: &[&Kernel] = &[&SPREAD];

pub(super) fn spread(op: &Spread, low: &mut Lowering<'_>) {
    low.launch_elements(&SPREAD, vec![Input(0), Output(0)], op.n, &[(1.0 / op.n as f64).into()]);
}
