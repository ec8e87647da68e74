//! Launches of `head_cross_entropy` and its gradient. The gradient passes the logits' slopes through scratch memory in
//! chunks of rows, so that never more than [`CHUNK_WORDS`] of them exist.

use super::linear::{Finish, Matrix, Product};
use crate::kernel::{ELEMENTS, Kernel, Param, Source};
use crate::lower::Binding::{self, Input, Output};
use crate::lower::Lowering;
use golf_core::ops::{HeadCrossEntropy, HeadCrossEntropyGrad, LinearForm};
use golf_core::quant::pack::row_words;
use golf_core::tensor::TensorType;

/// A stage for a plain and for a packed embedding.
struct Stage {
    plain: Kernel,
    packed: Kernel,
}

impl Stage {
    const fn new(plain: &'static str, packed: &'static str, signature: &'static str) -> Self {
        let kernel = Kernel { source: &SOURCE, entry: plain, signature, threads: 256 };
        Self { packed: Kernel { entry: packed, ..kernel }, plain: kernel }
    }

    fn of(&'static self, embedding: &TensorType) -> &'static Kernel {
        if embedding.dtype.quant_bits().is_some() { &self.packed } else { &self.plain }
    }
}

static SOURCE: Source = Source { file: "head_cross_entropy.cu", text: include_str!("head_cross_entropy.cu") };
static PARTIAL: Stage = Stage::new("head_partial_f32", "head_partial_packed", "rrrwwuuuuuuuf");
static SLOPE: Stage = Stage::new("head_slope_f32", "head_slope_packed", "rrrrrwuuuuuuuf");
static COMBINE: Kernel =
    Kernel { source: &SOURCE, entry: "head_combine", signature: "rrwwuu", threads: ELEMENTS };

pub(super) const KERNELS: &[&Kernel] =
    &[&PARTIAL.plain, &PARTIAL.packed, &SLOPE.plain, &SLOPE.packed, &COMBINE];

/// Side of a tile of logits.
const SIDE: usize = 64;

/// Slopes held at once: 4 MiB.
const CHUNK_WORDS: usize = 1 << 20;

/// Parameters of both first stages for `rows` rows from `first` on.
fn params(rows: usize, first: usize, e: &TensorType, cap: f64) -> Vec<Param> {
    let [vocab, d] = [e.shape[0], e.shape[1]];
    let packing = e.dtype.quant_bits().map_or([0, 0], |bits| [bits as usize, row_words(bits, d)]);
    let [bits, words] = packing;
    let extents = [rows, vocab, d, vocab.div_ceil(SIDE), first, bits, words];
    extents.map(Param::from).into_iter().chain([cap.into()]).collect()
}

pub(super) fn head_cross_entropy(op: &HeadCrossEntropy, low: &mut Lowering<'_>) {
    let [n, _] = low.matrix(0);
    let e = low.input(1);
    let tiles = e.shape[0].div_ceil(SIDE);
    let (partials, hits) = (low.scratch(2 * n * tiles), low.scratch(n));
    let bindings = vec![Input(0), Input(1), Input(2), partials.clone(), hits.clone()];
    let blocks = n.div_ceil(SIDE) * tiles;
    low.launch(PARTIAL.of(e), bindings, params(n, 0, e, op.softcap), blocks);
    let bindings = vec![partials, hits, Output(0), Output(1)];
    low.launch(&COMBINE, bindings, vec![n.into(), tiles.into()], n.div_ceil(ELEMENTS));
}

pub(super) fn grad(op: &HeadCrossEntropyGrad, low: &mut Lowering<'_>) {
    let [n, d] = low.matrix(0);
    let e = low.input(1);
    let vocab = e.shape[0];
    let chunk = (CHUNK_WORDS / vocab).clamp(1, n);
    let dz = low.scratch(chunk * vocab);
    for first in (0..n).step_by(chunk) {
        let rows = chunk.min(n - first);
        let bindings = vec![Input(0), Input(1), Input(2), Input(3), Input(4), dz.clone()];
        let blocks = rows.div_ceil(SIDE) * vocab.div_ceil(SIDE);
        low.launch(SLOPE.of(e), bindings, params(rows, first, e, op.softcap), blocks);
        let dx = Product {
            form: LinearForm::Nn,
            extents: [rows, d, vocab],
            a: Matrix::plain(dz.clone()),
            b: Matrix::weight(Input(1), e),
            y: Matrix::at(Output(0), first * d),
            finish: Finish::Store,
        };
        dx.launch(low);
        if op.wants_embedding {
            embedding(low, &dz, first, [vocab, d, rows]);
        }
    }
}

/// `de += dzᵀ·x` for the chunk's rows.
fn embedding(low: &mut Lowering<'_>, dz: &Binding, first: usize, extents: [usize; 3]) {
    let [_, d, _] = extents;
    let de = Product {
        form: LinearForm::Tn,
        extents,
        a: Matrix::plain(dz.clone()),
        b: Matrix::at(Input(0), first * d),
        y: Matrix::plain(Output(1)),
        finish: if first > 0 { Finish::Accumulate } else { Finish::Store },
    };
    de.launch(low);
}
