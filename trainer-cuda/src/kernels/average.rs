//! Launch of `average`.

use crate::kernel::{ELEMENTS, Kernel, Source};
use crate::lower::Binding::{Input, Output};
use crate::lower::Lowering;

static SOURCE: Source = Source { file: "average.cu", text: include_str!("average.cu") };
static AVERAGE: Kernel = Kernel { source: &SOURCE, entry: "average", signature: "wru|r", threads: ELEMENTS };

pub(super) const KERNELS: &[&Kernel] = &[&AVERAGE];

pub(super) fn average(low: &mut Lowering<'_>) {
    let tensors = vec![Output(0), Input(1)];
    low.launch_pieces(&AVERAGE, tensors, low.output(0).numel(), vec![Input(2)], Vec::new());
}
