//! Launches of the gradients that sum over rows: the op's own kernel over chunks of rows, then one that joins the
//! chunks in order.

use crate::kernel::Kernel;
use crate::lower::{Binding, Lowering};

/// Rows of a chunk, as in `column_sums.wgsl`.
const ROWS: usize = 32;

/// Columns of a workgroup of the first stage, as in `column_sums.wgsl`.
const COLUMNS: usize = 64;

/// Columns of a workgroup of the second stage, as in `column_sums_join.wgsl`.
const JOINED: usize = 16;

/// The walk over rows, to be followed by the op's own part.
pub(super) const WALK: &str = include_str!("column_sums.wgsl");

/// Entry point of [`WALK`].
pub(super) const ENTRY: &str = "column_sums";

const SOURCE: &[&str] = &[include_str!("column_sums_join.wgsl")];
static JOIN: Kernel =
    Kernel { name: "column_sums_join", source: SOURCE, entry: "column_sums_join", access: "rw" };
static JOIN_PAIR: Kernel =
    Kernel { name: "column_sums_join_pair", source: SOURCE, entry: "column_sums_join_pair", access: "rww" };

pub(super) const KERNELS: &[&Kernel] = &[&JOIN, &JOIN_PAIR];

/// Where the sums of every column go.
pub(super) enum Sums {
    /// One sum, `[d]`.
    One(Binding),
    /// Two sums in one tensor, `[2, d]`.
    Stacked(Binding),
    /// Two sums, `[d]` each.
    Two(Binding, Binding),
}

/// Launches `kernel` over the rows of matrices `[n, d]` with `bindings`, its partial sums last, and joins those. `param`
/// follows the extents.
pub(super) fn column_sums(
    low: &mut Lowering<'_>,
    kernel: &'static Kernel,
    mut bindings: Vec<Binding>,
    [n, d]: [usize; 2],
    param: Option<usize>,
    sums: Sums,
) {
    let chunks = n.div_ceil(ROWS);
    let width = if matches!(sums, Sums::One(_)) { d } else { 2 * d };
    let partials = low.scratch(chunks * width);
    bindings.push(partials.clone());
    let params = [n, d].into_iter().chain(param).map(Into::into).collect();
    low.launch(kernel, bindings, params, chunks * d.div_ceil(COLUMNS));
    let (join, bindings) = match sums {
        Sums::One(y) | Sums::Stacked(y) => (&JOIN, vec![partials, y]),
        Sums::Two(a, b) => (&JOIN_PAIR, vec![partials, a, b]),
    };
    low.launch(join, bindings, vec![chunks.into(), width.into()], width.div_ceil(JOINED));
}

#[cfg(test)]
mod tests {
    use super::super::on_gpu;
    use golf_core::ops::AddScaledGrad;
    use golf_core::tensor::Tensor;

    #[test]
    fn many_chunks_of_rows_are_each_counted_once() {
        let Some(mut gpu) = on_gpu::open("many_chunks_of_rows_are_each_counted_once") else { return };
        let (n, d) = (1301, 70);
        // Small integers: every sum is exact in any order.
        let y: Vec<f32> = (0..n * d).map(|i| (i * 31 % 13) as f32 - 6.0).collect();
        let dz: Vec<f32> = (0..n * d).map(|i| (i * 17 % 11) as f32 - 5.0).collect();
        let want: Vec<f32> = (0..d).map(|c| (0..n).map(|r| y[r * d + c] * dz[r * d + c]).sum()).collect();
        let operands = [Tensor::f32(&[d], vec![1.0; d]), Tensor::f32(&[n, d], y), Tensor::f32(&[n, d], dz)];
        let got = on_gpu::run(&mut gpu, AddScaledGrad, &operands.each_ref());
        assert_eq!(got.to_f32(), want);
    }
}
