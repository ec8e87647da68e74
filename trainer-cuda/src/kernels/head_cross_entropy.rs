//! Launches of `head_cross_entropy` and its gradient. The gradient passes the logits' slopes through scratch memory in
//! chunks of rows, so that never more than [`Tiles::chunk_words`] of them exist.

use super::linear::{Finish, Matrix, Product};
use crate::kernel::{ELEMENTS, Kernel, Param, Source};
use crate::lower::Binding::{self, Input, Output};
use crate::lower::{Lowering, Precision};
use golf_core::ops::{HeadCrossEntropy, HeadCrossEntropyGrad, LinearForm};
use golf_core::quant::pack::row_words;

/// A stage for a plain and for a packed embedding.
type Stage = [Kernel; 2];

const fn stage(
    source: &'static Source,
    [plain, packed]: [&'static str; 2],
    signature: &'static str,
) -> Stage {
    let kernel = Kernel { source, entry: plain, signature, threads: 256 };
    [Kernel { entry: plain, ..kernel }, Kernel { entry: packed, ..kernel }]
}

static SOURCE: Source = Source { file: "head_cross_entropy.cu", text: include_str!("head_cross_entropy.cu") };
static BF16: Source =
    Source { file: "head_cross_entropy_bf16.cu", text: include_str!("head_cross_entropy_bf16.cu") };

const OF_PARTIAL: [&str; 2] = ["rrrwwuuuuuuuf", "arrwwuuuuuuuf"];
const OF_SLOPE: [&str; 2] = ["rrrrrwuuuuuuuf", "arrrrouuuuuuuf"];

/// How the tiles of logits are formed and how large they are.
struct Tiles {
    partial: Stage,
    slope: Stage,
    /// Side of a tile.
    side: usize,
    /// Slopes held at once, in words.
    chunk_words: usize,
}

/// In f32: 4 MiB of slopes.
static SIMT: Tiles = Tiles {
    partial: stage(&SOURCE, ["head_partial_f32", "head_partial_packed"], OF_PARTIAL[0]),
    slope: stage(&SOURCE, ["head_slope_f32", "head_slope_packed"], OF_SLOPE[0]),
    side: 64,
    chunk_words: 1 << 20,
};

/// On tensor cores: 64 MiB of slopes, a thousand tiles, which fill a large GPU several times.
static TENSOR: Tiles = Tiles {
    partial: stage(&BF16, ["head_partial_bf16_f32", "head_partial_bf16_packed"], OF_PARTIAL[1]),
    slope: stage(&BF16, ["head_slope_bf16_f32", "head_slope_bf16_packed"], OF_SLOPE[1]),
    side: 128,
    chunk_words: 1 << 24,
};

static COMBINE: Kernel =
    Kernel { source: &SOURCE, entry: "head_combine", signature: "rrwwuu", threads: ELEMENTS };

pub(super) fn kernels() -> Vec<&'static Kernel> {
    let stages = [&SIMT, &TENSOR].into_iter().flat_map(|tiles| tiles.partial.iter().chain(&tiles.slope));
    stages.chain([&COMBINE]).collect()
}

impl Tiles {
    fn of(precision: Precision) -> &'static Tiles {
        match precision {
            Precision::F32 => &SIMT,
            Precision::Bf16 => &TENSOR,
        }
    }

    /// Appends a launch of `stage` over tiles of the logits of `rows` rows from `first` on.
    fn launch(
        &self,
        low: &mut Lowering<'_>,
        stage: &'static Stage,
        bindings: Vec<Binding>,
        [rows, first]: [usize; 2],
        cap: f64,
    ) {
        let e = low.input(1);
        let [vocab, d] = [e.shape[0], e.shape[1]];
        let bits = e.dtype.quant_bits();
        let [bits, words] = bits.map_or([0, 0], |bits| [bits as usize, row_words(bits, d)]);
        let tiles = vocab.div_ceil(self.side);
        let extents = [rows, vocab, d, tiles, first, bits, words];
        let params = extents.map(Param::from).into_iter().chain([cap.into()]).collect();
        low.launch(&stage[usize::from(bits > 0)], bindings, params, rows.div_ceil(self.side) * tiles);
    }
}

pub(super) fn head_cross_entropy(op: &HeadCrossEntropy, low: &mut Lowering<'_>) {
    let form = Tiles::of(low.precision);
    let [n, _] = low.matrix(0);
    let tiles = low.input(1).shape[0].div_ceil(form.side);
    let (partials, hits) = (low.scratch(2 * n * tiles), low.scratch(n));
    let bindings = vec![Input(0), Input(1), Input(2), partials.clone(), hits.clone()];
    form.launch(low, &form.partial, bindings, [n, 0], op.softcap);
    let bindings = vec![partials, hits, Output(0), Output(1)];
    low.launch(&COMBINE, bindings, vec![n.into(), tiles.into()], n.div_ceil(ELEMENTS));
}

pub(super) fn grad(op: &HeadCrossEntropyGrad, low: &mut Lowering<'_>) {
    let form = Tiles::of(low.precision);
    let [n, d] = low.matrix(0);
    let e = low.input(1);
    let vocab = e.shape[0];
    let chunk = (form.chunk_words / vocab).clamp(1, n);
    let dz = low.scratch_like(&Input(0), chunk * vocab);
    for first in (0..n).step_by(chunk) {
        let rows = chunk.min(n - first);
        let bindings = vec![Input(0), Input(1), Input(2), Input(3), Input(4), dz.clone()];
        form.launch(low, &form.slope, bindings, [rows, first], op.softcap);
        let dx = Product {
            form: LinearForm::Nn,
            extents: [rows, d, vocab],
            stack: None,
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
        stack: None,
        a: Matrix::plain(dz.clone()),
        b: Matrix::at(Input(0), first * d),
        y: Matrix::plain(Output(1)),
        finish: if first > 0 { Finish::Accumulate } else { Finish::Store },
    };
    de.launch(low);
}
