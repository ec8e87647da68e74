//! A product that a library forms, between kernels that round its operands to bf16 and finish its result.
//!
//! The library's own epilogues (bias, ReLU, GELU) are none of ours.

use super::linear::{Finish, Matrix, Product};
use crate::kernel::{ELEMENTS, Kernel, Param, Source, Storage};
use crate::lower::{Binding, Launch, Lowering};
use crate::rows::Row;

static SOURCE: Source = Source { file: "product_library.cu", text: include_str!("product_library.cu") };
static ROUND: Kernel =
    Kernel { source: &SOURCE, entry: "round_bf16_f32", signature: "awuu", threads: ELEMENTS };
static ROUND_ROWS: Kernel =
    Kernel { source: &SOURCE, entry: "round_bf16_rows", signature: "rwu|", threads: ELEMENTS };
static ROUND_PACKED: Kernel =
    Kernel { source: &SOURCE, entry: "round_bf16_packed", signature: "rwuuuu", threads: ELEMENTS };
static ACTIVATION: Kernel =
    Kernel { source: &SOURCE, entry: "product_activation", signature: "ouf", threads: ELEMENTS };
static ADD_SCALED: Kernel =
    Kernel { source: &SOURCE, entry: "product_add_scaled", signature: "oaruu", threads: ELEMENTS };

pub(super) const KERNELS: &[&Kernel] = &[&ROUND, &ROUND_ROWS, &ROUND_PACKED, &ACTIVATION, &ADD_SCALED];

/// Words that hold `n` entries of bf16.
pub(crate) fn rounded_words(n: usize) -> usize {
    n.div_ceil(2)
}

/// Whether `kernel` writes its second buffer from its first alone: the rounding of an operand.
pub(crate) fn rounds(kernel: &'static Kernel) -> bool {
    std::ptr::eq(kernel, &ROUND) || std::ptr::eq(kernel, &ROUND_PACKED)
}

/// The launch that rounds `n` floats of `x` from `offset` on into `y`.
pub(crate) fn round(x: Binding, n: usize, offset: usize, y: Binding) -> Launch {
    let params = vec![n.into(), offset.into()];
    Launch::new(&ROUND, vec![x, y], params, n.div_ceil(8 * ELEMENTS))
}

/// The same as a launch over rows, which is joined to others, where `launch` rounds all of a tensor of floats.
pub(crate) fn round_rows(launch: &Launch) -> Option<Launch> {
    let whole = std::ptr::eq(launch.kernel, &ROUND) && launch.params[1] == Param::U32(0);
    let Param::U32(n) = launch.params[0] else { return None };
    let row = Row::of_pieces(launch.bindings.clone(), n as usize);
    (whole && launch.storage == Storage::Full)
        .then(|| Launch::over(&ROUND_ROWS, vec![row], Vec::new(), Vec::new()))
}

/// Appends the launches of `product`; the operands of a stack are rounded as a whole.
pub(super) fn launch(product: Product, low: &mut Lowering<'_>) {
    let gemm = product.gemm(low);
    let [a_entries, b_entries, entries] = gemm.entries();
    let a = plain(low, &product.a, a_entries);
    // A matrix times itself is rounded once.
    let b = match product.b.bits {
        None if product.a == product.b && a_entries == b_entries => a.clone(),
        None => plain(low, &product.b, b_entries),
        Some(_) => packed(low, &product, b_entries),
    };
    let y = product.y.binding;
    let onto = if let Finish::Residual(stream) = &product.finish { stream } else { &y };
    low.launches.push(Launch::library(gemm, [a, b, onto.clone(), y.clone()], product.y.offset));
    match product.finish {
        Finish::Store | Finish::Accumulate | Finish::Residual(_) => {}
        Finish::Activation(slope) => low.launch_eights(&ACTIVATION, vec![y], entries, &[slope.into()]),
        Finish::AddScaled(stream, scale) => {
            let [_, cols, _] = product.extents;
            low.launch_elements(&ADD_SCALED, vec![y, stream, scale], entries, &[cols.into()]);
        }
    }
}

/// The `n` entries of `matrix` in bf16: where they lie, if they are of it.
fn plain(low: &mut Lowering<'_>, matrix: &Matrix, n: usize) -> Binding {
    if low.is_half(&matrix.binding) && matrix.offset == 0 {
        return matrix.binding.clone();
    }
    let y = low.rounded(rounded_words(n));
    low.push(round(matrix.binding.clone(), n, matrix.offset, y.clone()));
    y
}

/// The `n` packed entries of the right operand in bf16.
fn packed(low: &mut Lowering<'_>, product: &Product, n: usize) -> Binding {
    let y = low.rounded(rounded_words(n));
    let [bits, words] = product.packing();
    let params = [n, product.columns(), bits, words].map(Param::from).to_vec();
    low.launch(
        &ROUND_PACKED,
        vec![product.b.binding.clone(), y.clone()],
        params,
        rounded_words(n).div_ceil(ELEMENTS),
    );
    y
}
