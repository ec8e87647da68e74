//! Launch of `copy`.

use crate::kernel::{ELEMENTS, Kernel, Source};
use crate::lower::Binding::{Input, Output};
use crate::lower::Lowering;

static SOURCE: Source = Source { file: "copy.cu", text: include_str!("copy.cu") };
static COPY: Kernel = Kernel { source: &SOURCE, entry: "copy", signature: "rwu", threads: ELEMENTS };

pub(super) const KERNELS: &[&Kernel] = &[&COPY];

pub(super) fn copy(low: &mut Lowering<'_>) {
    low.launch_elements(&COPY, vec![Input(0), Output(0)], low.output(0).words(), &[]);
}
