//! Launches of `linear`, and of the products inside other ops.

use crate::kernel::{Kernel, Param};
use crate::lower::Binding::{self, Input, Output};
use crate::lower::Lowering;
use golf_core::ops::{Linear, LinearForm};
use golf_core::quant::pack::row_words;
use golf_core::tensor::TensorType;

/// A tile of results per workgroup: its side, and the kernels for plain and packed right operands.
struct Tile {
    side: usize,
    plain: Kernel,
    packed: Kernel,
}

const ENTRY: &str = "linear";
const ACCESS: &str = "rrw";

static SMALL: Tile = Tile {
    side: 64,
    plain: Kernel {
        name: "linear.f32.64",
        source: &[
            include_str!("tile_64.wgsl"),
            include_str!("tile.wgsl"),
            include_str!("operand_f32.wgsl"),
            include_str!("linear.wgsl"),
        ],
        entry: ENTRY,
        access: ACCESS,
    },
    packed: Kernel {
        name: "linear.packed.64",
        source: &[
            include_str!("tile_64.wgsl"),
            include_str!("tile.wgsl"),
            include_str!("packed.wgsl"),
            include_str!("operand_packed.wgsl"),
            include_str!("linear.wgsl"),
        ],
        entry: ENTRY,
        access: ACCESS,
    },
};

static LARGE: Tile = Tile {
    side: 128,
    plain: Kernel {
        name: "linear.f32.128",
        source: &[
            include_str!("tile_128.wgsl"),
            include_str!("tile.wgsl"),
            include_str!("operand_f32.wgsl"),
            include_str!("linear.wgsl"),
        ],
        entry: ENTRY,
        access: ACCESS,
    },
    packed: Kernel {
        name: "linear.packed.128",
        source: &[
            include_str!("tile_128.wgsl"),
            include_str!("tile.wgsl"),
            include_str!("packed.wgsl"),
            include_str!("operand_packed.wgsl"),
            include_str!("linear.wgsl"),
        ],
        entry: ENTRY,
        access: ACCESS,
    },
};

static ROW: Kernel = Kernel {
    name: "linear.f32.row",
    source: &[include_str!("reduce.wgsl"), include_str!("operand_f32.wgsl"), include_str!("linear_row.wgsl")],
    entry: "linear_row",
    access: ACCESS,
};

static PACKED_ROW: Kernel = Kernel {
    name: "linear.packed.row",
    source: &[
        include_str!("reduce.wgsl"),
        include_str!("packed.wgsl"),
        include_str!("operand_packed.wgsl"),
        include_str!("linear_row.wgsl"),
    ],
    entry: "linear_row",
    access: ACCESS,
};

pub(super) const KERNELS: &[&Kernel] =
    &[&SMALL.plain, &SMALL.packed, &LARGE.plain, &LARGE.packed, &ROW, &PACKED_ROW];

/// Most rows that go to the row kernel.
const FEW_ROWS: usize = 4;

/// Tiles below which a large tile leaves a GPU of a few dozen cores idle.
const MANY_TILES: usize = 64;

/// The tile for a product of this size.
fn tile(rows: usize, cols: usize) -> &'static Tile {
    let large = rows.div_ceil(LARGE.side) * cols.div_ceil(LARGE.side);
    if large >= MANY_TILES { &LARGE } else { &SMALL }
}

/// A matrix somewhere in a bound buffer.
#[derive(Clone, Debug)]
pub(super) struct Matrix {
    pub binding: Binding,
    /// Floats before its first entry.
    pub offset: usize,
    /// Bits of a packed matrix, which starts its buffer.
    pub bits: Option<u32>,
}

impl Matrix {
    /// All of a buffer of floats.
    pub fn plain(binding: Binding) -> Self {
        Self { binding, offset: 0, bits: None }
    }

    /// A buffer of floats from `offset` on.
    pub fn at(binding: Binding, offset: usize) -> Self {
        Self { binding, offset, bits: None }
    }

    /// A weight of type `ty`.
    pub fn weight(binding: Binding, ty: &TensorType) -> Self {
        Self { binding, offset: 0, bits: ty.dtype.quant_bits() }
    }
}

/// A product of `form` with `[rows, cols, depth]` as [`Linear::extents`] gives them.
pub(super) struct Product {
    pub form: LinearForm,
    pub extents: [usize; 3],
    pub a: Matrix,
    pub b: Matrix,
    pub y: Matrix,
    /// Add to what `y` holds.
    pub accumulate: bool,
}

impl Product {
    /// Strides `(a_i, a_l, b_l, b_j)`.
    fn strides(&self) -> [usize; 4] {
        let [rows, cols, depth] = self.extents;
        match self.form {
            LinearForm::Nt => [depth, 1, 1, depth],
            LinearForm::Nn => [depth, 1, cols, 1],
            LinearForm::Tn => [1, rows, cols, 1],
        }
    }

    /// Bits and words of a row of a packed right operand.
    fn packing(&self) -> [usize; 2] {
        let [_, cols, depth] = self.extents;
        let columns = if self.form == LinearForm::Nt { depth } else { cols };
        self.b.bits.map_or([0, 0], |bits| [bits as usize, row_words(bits, columns)])
    }

    /// Appends its launch.
    pub fn launch(self, low: &mut Lowering<'_>) {
        let [rows, cols, depth] = self.extents;
        let flops = 2 * (rows * cols * depth) as u64;
        let [bits, words] = self.packing();
        let [a_i, a_l, b_l, b_j] = self.strides();
        let offsets = [self.a.offset, self.y.offset];
        let packed = self.b.bits.is_some();
        let bindings = vec![self.a.binding, self.b.binding, self.y.binding];
        if rows <= FEW_ROWS && self.form == LinearForm::Nt && offsets == [0, 0] && !self.accumulate {
            let kernel = if packed { &PACKED_ROW } else { &ROW };
            let params = [rows, cols, depth, self.b.offset, b_l, b_j, bits, words].map(Param::from);
            return low.launch_counted(kernel, bindings, params.to_vec(), rows * cols, flops);
        }
        let tile = tile(rows, cols);
        let tiles = cols.div_ceil(tile.side);
        let kernel = if packed { &tile.packed } else { &tile.plain };
        let [a, y] = offsets;
        let accumulate = usize::from(self.accumulate);
        let params =
            [rows, cols, depth, tiles, accumulate, a, self.b.offset, y, a_i, a_l, b_l, b_j, bits, words];
        let params = params.map(Param::from).to_vec();
        low.launch_counted(kernel, bindings, params, rows.div_ceil(tile.side) * tiles, flops);
    }
}

pub(super) fn linear(op: &Linear, low: &mut Lowering<'_>) {
    let (a, b) = (low.input(0), low.input(1));
    let product = Product {
        form: op.form,
        extents: op.extents(&a.shape, &b.shape),
        a: Matrix::plain(Input(0)),
        b: Matrix::weight(Input(1), b),
        y: Matrix::plain(Output(0)),
        accumulate: false,
    };
    product.launch(low);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_products_take_the_large_tile_and_small_ones_the_small_one() {
        let table = [
            ([1024, 1024], 128),
            ([1024, 512], 64),
            ([4096, 4096], 128),
            ([64, 1024], 64),
            ([8192, 512], 128),
        ];
        for ([rows, cols], side) in table {
            assert_eq!(tile(rows, cols).side, side, "{rows}x{cols}");
        }
    }
}
