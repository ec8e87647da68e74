//! A kernel over so many blocks with all that it is told, as yet without memory: bindings are a step's own names of it.

use crate::gemm::Gemm;
use crate::kernel::{Kernel, Param, Source, Storage};
use crate::rows::{Row, blocks_of};

/// A constant table that the executor uploads once per device.
#[derive(Clone, Debug, PartialEq)]
pub enum Table {
    /// `f32[seq, dims/2, 2]`: cosine and sine of every rotary angle, formed in f64.
    Rope {
        /// Positions.
        seq: usize,
        /// Rotated channels.
        dims: usize,
        /// Rotary base.
        base: f64,
    },
}

/// A buffer bound by a launch.
#[derive(Clone, Debug, PartialEq)]
pub enum Binding {
    /// Operand of the step.
    Input(usize),
    /// Result of the step; an in-place pair is bound once, as the result.
    Output(usize),
    /// Scratch buffer by index; lives for the step only.
    Scratch(usize),
    /// Scratch buffer by index that no other step shares.
    Partial(usize),
    /// Operand of a library's product in bf16 by index, written by one launch that rounds it.
    Rounded(usize),
    /// Constant table.
    Table(Table),
}

/// What stands for the kernel in launches of a library: a name, and a signature to check. Its scalar is the offset of the
/// result in floats.
static LIBRARY: Kernel = Kernel {
    source: &Source { file: "cuBLASLt", text: "" },
    entry: "cublaslt_bf16",
    signature: "rrrwu",
    threads: 0,
};

/// A kernel over so many blocks, or a library's product.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The kernel.
    pub kernel: &'static Kernel,
    /// The product, where a library forms it; the kernel then is a name.
    pub gemm: Option<Gemm>,
    /// What its activations are stored as.
    pub storage: Storage,
    /// What it is told of each tensor, where its kernel is rowed.
    pub rows: Vec<Row<Binding>>,
    /// Its pointers in order.
    pub bindings: Vec<Binding>,
    /// Its scalars in order.
    pub params: Vec<Param>,
    /// Blocks, of all rows where there are any; a launch of none is not made.
    pub blocks: usize,
}

/// Whether so many pointers and then these scalars are what `letters` say.
fn fits(letters: &str, pointers: usize, params: &[Param]) -> bool {
    let scalars: String = params.iter().map(|param| param.letter()).collect();
    letters.len() == pointers + params.len() && letters.ends_with(&scalars)
}

impl Launch {
    /// A launch whose bindings and parameters are those of the kernel's signature; anything else is a bug of a lowering.
    pub fn new(kernel: &'static Kernel, bindings: Vec<Binding>, params: Vec<Param>, blocks: usize) -> Self {
        let scalars: String = params.iter().map(|param| param.letter()).collect();
        assert!(
            kernel.pointers().len() == bindings.len() && fits(kernel.shared(), bindings.len(), &params),
            "kernel `{}` takes `{}`, not {} buffers and `{scalars}`",
            kernel.entry,
            kernel.signature,
            bindings.len()
        );
        Self { kernel, gemm: None, storage: Storage::Full, rows: Vec::new(), bindings, params, blocks }
    }

    /// A launch of a rowed kernel: `rows`, and what they share.
    pub fn over(
        kernel: &'static Kernel,
        rows: Vec<Row<Binding>>,
        bindings: Vec<Binding>,
        params: Vec<Param>,
    ) -> Self {
        let fields = kernel.row().expect("rows are of a rowed kernel");
        for row in &rows {
            let pointers = row.pointers.len();
            let fit = kernel.row_pointers().len() == pointers && fits(fields, pointers, &row.scalars);
            assert!(fit, "a row of kernel `{}` is `{fields}`, not {row:?}", kernel.entry);
        }
        let blocks = blocks_of(&rows);
        Self { rows, ..Self::new(kernel, bindings, params, blocks) }
    }

    /// The library's product `gemm` of bf16 operands `a` and `b`, perhaps added to `onto`, into `y`, both from entry `offset` on.
    pub fn library(gemm: Gemm, buffers: [Binding; 4], offset: usize) -> Self {
        let launch = Self::new(&LIBRARY, buffers.into(), vec![offset.into()], 1);
        Self { gemm: Some(gemm), ..launch }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::ELEMENTS;

    static SOURCE: Source = Source { file: "none.cu", text: "" };
    static KERNEL: Kernel = Kernel { source: &SOURCE, entry: "none", signature: "rwuf", threads: ELEMENTS };

    fn launch(params: Vec<Param>) -> Launch {
        Launch::new(&KERNEL, vec![Binding::Input(0), Binding::Output(0)], params, 1)
    }

    #[test]
    fn a_launch_takes_what_the_signature_says() {
        let launch = launch(vec![7usize.into(), 0.5.into()]);
        assert_eq!(launch.params.iter().map(|param| param.word()).collect::<Vec<_>>(), [7, 0.5f32.to_bits()]);
    }

    #[test]
    #[should_panic(expected = "kernel `none` takes `rwuf`, not 2 buffers and `fu`")]
    fn scalars_in_another_order_are_a_bug() {
        launch(vec![0.5.into(), 7usize.into()]);
    }

    static ROWED: Kernel = Kernel { source: &SOURCE, entry: "rowed", signature: "wu|rf", threads: ELEMENTS };

    #[test]
    fn a_launch_over_rows_has_the_blocks_of_all() {
        let rows = [1, 3000].map(|n| Row::of_pieces(vec![Binding::Output(0)], n));
        let launch = Launch::over(&ROWED, rows.into(), vec![Binding::Input(0)], vec![0.5.into()]);
        assert_eq!(launch.blocks, 3);
    }

    #[test]
    #[should_panic(expected = "a row of kernel `rowed` is `wu`")]
    fn a_row_of_another_kind_is_a_bug() {
        let row = Row { pointers: vec![Binding::Output(0)], scalars: vec![0.5.into()], blocks: 1 };
        Launch::over(&ROWED, vec![row], vec![Binding::Input(0)], vec![0.5.into()]);
    }
}
