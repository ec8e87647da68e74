//! Launches that compare a library's product with our own on numbers made on the device.

use super::linear::{Finish, Matrix, Product};
use crate::gemm::{Gemm, Onto};
use crate::kernel::{ELEMENTS, Kernel, Param, Source};
use crate::lower::{Binding, Launch};

static SOURCE: Source = Source { file: "product_check.cu", text: include_str!("product_check.cu") };
static NOISE: Kernel = Kernel { source: &SOURCE, entry: "noise", signature: "wuu", threads: ELEMENTS };
static LARGEST_DIFFERENCE: Kernel =
    Kernel { source: &SOURCE, entry: "largest_difference", signature: "rrwu", threads: 256 };

pub(super) const KERNELS: &[&Kernel] = &[&NOISE, &LARGEST_DIFFERENCE];

/// Floats that [`largest_difference`] writes; the largest of them is the answer.
pub(crate) const DIFFERENCES: usize = 256;

/// Fills `y` with `n` numbers in [-1, 1), others for each seed.
pub(crate) fn noise(y: Binding, n: usize, seed: u32) -> Launch {
    Launch::new(&NOISE, vec![y], vec![n.into(), Param::U32(seed)], n.div_ceil(ELEMENTS))
}

/// The largest differences of `n` floats of `x` and `y`, by part.
pub(crate) fn largest_difference([x, y, parts]: [Binding; 3], n: usize) -> Launch {
    Launch::new(&LARGEST_DIFFERENCE, vec![x, y, parts], vec![n.into()], DIFFERENCES)
}

/// `gemm` of plain operands by our own kernel on tensor cores; `onto` is read where it is added to another matrix.
pub(crate) fn own_product(gemm: &Gemm, [a, b, onto, y]: [Binding; 4]) -> Launch {
    let [a, b, y] = [a, b, y].map(Matrix::plain);
    let finish = match gemm.onto {
        Onto::Nothing => Finish::Store,
        Onto::Result => Finish::Accumulate,
        Onto::Other => Finish::Residual(onto),
    };
    let stack = (gemm.stack > 1).then_some(gemm.stack);
    Product { form: gemm.form, extents: gemm.extents, stack, a, b, y, finish }.on_tensor_cores()
}
