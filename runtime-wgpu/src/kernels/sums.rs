//! Sums of whole tensors in two stages: fixed pieces, then one workgroup over the partial sums.

use crate::kernel::Kernel;
use crate::lower::{Binding, Lowering};

/// Elements of a piece, as in `total.wgsl`.
const PIECE: usize = 2048;

/// Elements that one workgroup sums at once; a second launch costs more than the idle rest of the GPU.
const SHORT: usize = 8192;

/// Sums over a workgroup, for stages that are fused into an op's own kernel.
pub(super) const TOTAL: &str = include_str!("total.wgsl");

const SOURCE: &[&str] = &[TOTAL, include_str!("sums.wgsl")];
static SUM_PIECES: Kernel = Kernel { name: "sum_pieces", source: SOURCE, entry: "sum_pieces", access: "rw" };
static SQUARE_PIECES: Kernel =
    Kernel { name: "square_pieces", source: SOURCE, entry: "square_pieces", access: "rw" };
static SUM_ALL: Kernel = Kernel { name: "sum_all", source: SOURCE, entry: "sum_all", access: "rw" };

pub(super) const KERNELS: &[&Kernel] = &[&SUM_PIECES, &SQUARE_PIECES, &SUM_ALL];

/// Number of pieces of `n` elements.
pub(super) fn pieces(n: usize) -> usize {
    n.div_ceil(PIECE)
}

/// `y = factor · Σ x` over `n` elements.
pub(super) fn sum(low: &mut Lowering<'_>, x: Binding, n: usize, factor: f64, y: Binding) {
    if n <= SHORT {
        return sum_all(low, x, n, factor, y);
    }
    let partials = low.scratch(pieces(n));
    low.launch(&SUM_PIECES, vec![x, partials.clone()], vec![n.into()], pieces(n));
    sum_all(low, partials, pieces(n), factor, y);
}

/// `y = Σ x²` over `n` elements.
pub(super) fn squares(low: &mut Lowering<'_>, x: Binding, n: usize, y: Binding) {
    let partials = low.scratch(pieces(n));
    low.launch(&SQUARE_PIECES, vec![x, partials.clone()], vec![n.into()], pieces(n));
    sum_all(low, partials, pieces(n), 1.0, y);
}

/// The second stage alone: `y = factor · Σ x` over `n` elements by one workgroup.
pub(super) fn sum_all(low: &mut Lowering<'_>, x: Binding, n: usize, factor: f64, y: Binding) {
    low.launch(&SUM_ALL, vec![x, y], vec![n.into(), factor.into()], 1);
}

#[cfg(test)]
mod tests {
    use super::super::on_gpu;
    use golf_core::ops::{Mean, SumSquares};
    use golf_core::tensor::Tensor;

    #[test]
    fn every_element_of_a_long_vector_is_counted_once() {
        let Some(mut gpu) = on_gpu::open("every_element_of_a_long_vector_is_counted_once") else { return };
        // More pieces than invocations of the second stage; small integers, whose sums are exact in any order.
        let n = 600_001;
        let x: Vec<f32> = (0..n).map(|i| (i * 7 % 5) as f32 - 1.0).collect();
        let (squares, sum): (f32, f32) = (x.iter().map(|x| x * x).sum(), x.iter().sum());
        let x = Tensor::f32(&[n], x);
        assert_eq!(on_gpu::run(&mut gpu, SumSquares, &[&x]).to_f32(), [squares]);
        let mean = on_gpu::run(&mut gpu, Mean, &[&x]).to_f32()[0];
        assert!((mean - sum / n as f32).abs() <= 2.0 * f32::EPSILON, "{mean}");
    }
}
