//! Launches of `head_cross_entropy` and its gradient. The gradient passes the logits' slopes through scratch memory in
//! chunks of rows, so that never more than [`CHUNK_WORDS`] of them exist.

use super::linear::{Finish, Matrix, Product};
use super::parts::*;
use crate::kernel::{Kernel, Param};
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
    fn of(&'static self, embedding: &TensorType) -> &'static Kernel {
        if embedding.dtype.quant_bits().is_some() { &self.packed } else { &self.plain }
    }
}

const HEAD_TILE: &str = include_str!("head_tile.wgsl");
const HEAD_PARTIAL: &str = include_str!("head_partial.wgsl");
const HEAD_SLOPE: &str = include_str!("head_slope.wgsl");

static PARTIAL: Stage = Stage {
    plain: Kernel {
        name: "head_cross_entropy.f32",
        source: &[TANH, TILE_64, TILE, OPERAND_F32, HEAD_TILE, HEAD_PARTIAL],
        entry: "head_partial",
        access: "rrrww",
    },
    packed: Kernel {
        name: "head_cross_entropy.packed",
        source: &[TANH, TILE_64, TILE, PACKED, OPERAND_PACKED, HEAD_TILE, HEAD_PARTIAL],
        entry: "head_partial",
        access: "rrrww",
    },
};

static SLOPE: Stage = Stage {
    plain: Kernel {
        name: "head_cross_entropy_grad.f32",
        source: &[TANH, TILE_64, TILE, OPERAND_F32, HEAD_TILE, HEAD_SLOPE],
        entry: "head_slope",
        access: "rrrrrw",
    },
    packed: Kernel {
        name: "head_cross_entropy_grad.packed",
        source: &[TANH, TILE_64, TILE, PACKED, OPERAND_PACKED, HEAD_TILE, HEAD_SLOPE],
        entry: "head_slope",
        access: "rrrrrw",
    },
};

static COMBINE: Kernel = Kernel {
    name: "head_cross_entropy.combine",
    source: &[include_str!("head_combine.wgsl")],
    entry: "head_combine",
    access: "rrww",
};

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
    let extents = [rows, vocab, d, vocab.div_ceil(SIDE), first, 0, 1, d, bits, words];
    extents.map(Param::from).into_iter().chain([cap.into()]).collect()
}

pub(super) fn head_cross_entropy(op: &HeadCrossEntropy, low: &mut Lowering<'_>) {
    let [n, d] = low.matrix(0);
    let e = low.input(1);
    let tiles = e.shape[0].div_ceil(SIDE);
    let (partials, hits) = (low.scratch(2 * n * tiles), low.scratch(n));
    let bindings = vec![Input(0), Input(1), Input(2), partials.clone(), hits.clone()];
    let flops = 2 * (n * d * e.shape[0]) as u64;
    let groups = n.div_ceil(SIDE) * tiles;
    low.launch_counted(PARTIAL.of(e), bindings, params(n, 0, e, op.softcap), groups, flops);
    let bindings = vec![partials, hits, Output(0), Output(1)];
    low.launch(&COMBINE, bindings, vec![n.into(), tiles.into()], n.div_ceil(64));
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
        let groups = rows.div_ceil(SIDE) * vocab.div_ceil(SIDE);
        let flops = 2 * (rows * d * vocab) as u64;
        low.launch_counted(SLOPE.of(e), bindings, params(rows, first, e, op.softcap), groups, flops);
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
