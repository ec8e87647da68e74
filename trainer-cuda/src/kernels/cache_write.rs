//! Launch of `cache_write`.

use crate::kernel::{ELEMENTS, Kernel, Source};
use crate::lower::Binding::{Input, Output};
use crate::lower::Lowering;

static SOURCE: Source = Source { file: "cache_write.cu", text: include_str!("cache_write.cu") };
static CACHE_WRITE: Kernel =
    Kernel { source: &SOURCE, entry: "cache_write", signature: "rrwuu", threads: ELEMENTS };

pub(super) const KERNELS: &[&Kernel] = &[&CACHE_WRITE];

pub(super) fn cache_write(low: &mut Lowering<'_>) {
    let [n, d] = low.matrix(1);
    low.launch_elements(&CACHE_WRITE, vec![Input(1), Input(2), Output(0)], n * d, &[d.into()]);
}
