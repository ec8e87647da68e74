//! Launch of `average`.

use crate::kernel::{ELEMENTS, Kernel, Source};
use crate::lower::Binding::{Input, Output};
use crate::lower::Lowering;

static SOURCE: Source = Source { file: "average.cu", text: include_str!("average.cu") };
static AVERAGE: Kernel = Kernel { source: &SOURCE, entry: "average", signature: "wrru", threads: ELEMENTS };

pub(super) const KERNELS: &[&Kernel] = &[&AVERAGE];

pub(super) fn average(low: &mut Lowering<'_>) {
    low.launch_elements(&AVERAGE, vec![Output(0), Input(1), Input(2)], low.output(0).numel(), &[]);
}
