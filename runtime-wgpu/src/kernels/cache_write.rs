//! Launch of `cache_write`.

use crate::kernel::Kernel;
use crate::lower::Binding::{Input, Output};
use crate::lower::Lowering;

static CACHE_WRITE: Kernel = Kernel {
    name: "cache_write",
    source: &[include_str!("cache_write.wgsl")],
    entry: "cache_write",
    access: "rrw",
};

pub(super) const KERNELS: &[&Kernel] = &[&CACHE_WRITE];

pub(super) fn cache_write(low: &mut Lowering<'_>) {
    let [n, d] = low.matrix(1);
    low.launch_elements(&CACHE_WRITE, vec![Input(1), Input(2), Output(0)], n * d, &[d.into()]);
}
