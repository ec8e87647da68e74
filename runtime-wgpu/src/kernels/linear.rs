//! Launches of `linear`, of the ops that finish a product in place of storing it, and of the products inside other ops.

use super::parts::*;
use crate::kernel::{Kernel, Param};
use crate::lower::Binding::{self, Input, Output};
use crate::lower::Lowering;
use golf_core::ops::{Linear, LinearActivation, LinearAdd, LinearForm};
use golf_core::quant::pack::row_words;
use golf_core::tensor::TensorType;

const LINEAR: &str = include_str!("linear.wgsl");
const LINEAR_ROW: &str = include_str!("linear_row.wgsl");
const STORE: &str = include_str!("store_plain.wgsl");
const ACTIVATION: &str = include_str!("store_activation.wgsl");
const ADD_SCALED: &str = include_str!("store_add_scaled.wgsl");
const RESIDUAL: &str = include_str!("store_residual.wgsl");

const fn tile(name: &'static str, source: &'static [&'static str]) -> Kernel {
    Kernel { name, source, entry: "linear", access: "rrw" }
}

const fn row(name: &'static str, source: &'static [&'static str]) -> Kernel {
    Kernel { name, source, entry: "linear_row", access: "rrw" }
}

/// The same with the residual stream bound too.
const fn joining(kernel: Kernel) -> Kernel {
    Kernel { access: "rrwr", ..kernel }
}

/// The same with the residual stream and a scale bound too.
const fn scaling(kernel: Kernel) -> Kernel {
    Kernel { access: "rrwrr", ..kernel }
}

/// Kernels by cut, operand and finish, in that order.
#[rustfmt::skip]
static TABLE: [[[Kernel; 4]; 2]; 3] = [
    [[
        row("linear.row.f32", &[REDUCE, OPERAND_F32, LINEAR_ROW, STORE]),
        row("linear_activation.row.f32", &[REDUCE, OPERAND_F32, LINEAR_ROW, ACTIVATION]),
        scaling(row("linear_add_scaled.row.f32", &[REDUCE, OPERAND_F32, LINEAR_ROW, ADD_SCALED])),
        joining(row("linear_residual.row.f32", &[REDUCE, OPERAND_F32, LINEAR_ROW, RESIDUAL])),
    ], [
        row("linear.row.packed", &[REDUCE, PACKED, OPERAND_PACKED, LINEAR_ROW, STORE]),
        row("linear_activation.row.packed", &[REDUCE, PACKED, OPERAND_PACKED, LINEAR_ROW, ACTIVATION]),
        scaling(row("linear_add_scaled.row.packed", &[REDUCE, PACKED, OPERAND_PACKED, LINEAR_ROW, ADD_SCALED])),
        joining(row("linear_residual.row.packed", &[REDUCE, PACKED, OPERAND_PACKED, LINEAR_ROW, RESIDUAL])),
    ]],
    [[
        tile("linear.64.f32", &[TILE_64, TILE, OPERAND_F32, LINEAR, STORE]),
        tile("linear_activation.64.f32", &[TILE_64, TILE, OPERAND_F32, LINEAR, ACTIVATION]),
        scaling(tile("linear_add_scaled.64.f32", &[TILE_64, TILE, OPERAND_F32, LINEAR, ADD_SCALED])),
        joining(tile("linear_residual.64.f32", &[TILE_64, TILE, OPERAND_F32, LINEAR, RESIDUAL])),
    ], [
        tile("linear.64.packed", &[TILE_64, TILE, PACKED, OPERAND_PACKED, LINEAR, STORE]),
        tile("linear_activation.64.packed", &[TILE_64, TILE, PACKED, OPERAND_PACKED, LINEAR, ACTIVATION]),
        scaling(tile("linear_add_scaled.64.packed", &[TILE_64, TILE, PACKED, OPERAND_PACKED, LINEAR, ADD_SCALED])),
        joining(tile("linear_residual.64.packed", &[TILE_64, TILE, PACKED, OPERAND_PACKED, LINEAR, RESIDUAL])),
    ]],
    [[
        tile("linear.128.f32", &[TILE_128, TILE, OPERAND_F32, LINEAR, STORE]),
        tile("linear_activation.128.f32", &[TILE_128, TILE, OPERAND_F32, LINEAR, ACTIVATION]),
        scaling(tile("linear_add_scaled.128.f32", &[TILE_128, TILE, OPERAND_F32, LINEAR, ADD_SCALED])),
        joining(tile("linear_residual.128.f32", &[TILE_128, TILE, OPERAND_F32, LINEAR, RESIDUAL])),
    ], [
        tile("linear.128.packed", &[TILE_128, TILE, PACKED, OPERAND_PACKED, LINEAR, STORE]),
        tile("linear_activation.128.packed", &[TILE_128, TILE, PACKED, OPERAND_PACKED, LINEAR, ACTIVATION]),
        scaling(tile("linear_add_scaled.128.packed", &[TILE_128, TILE, PACKED, OPERAND_PACKED, LINEAR, ADD_SCALED])),
        joining(tile("linear_residual.128.packed", &[TILE_128, TILE, PACKED, OPERAND_PACKED, LINEAR, RESIDUAL])),
    ]],
];

pub(super) fn kernels() -> Vec<&'static Kernel> {
    TABLE.iter().flatten().flatten().collect()
}

/// How a product is cut into workgroups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cut {
    /// One result: a tile over very few rows would leave most of its invocations idle.
    Row,
    /// 64 × 64 results.
    Small,
    /// 128 × 128 results.
    Large,
}

/// Most rows that are cut into single results.
const FEW_ROWS: usize = 4;

/// Large tiles below which a GPU of a few dozen cores would idle.
const MANY_TILES: usize = 64;

impl Cut {
    /// The cut of `rows × cols` results.
    fn of(form: LinearForm, rows: usize, cols: usize) -> Cut {
        if rows <= FEW_ROWS && form == LinearForm::Nt {
            return Cut::Row;
        }
        let large = rows.div_ceil(128) * cols.div_ceil(128);
        if large >= MANY_TILES { Cut::Large } else { Cut::Small }
    }

    /// Side of a tile.
    fn side(self) -> usize {
        match self {
            Cut::Row => 1,
            Cut::Small => 64,
            Cut::Large => 128,
        }
    }
}

/// What becomes of a product.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Finish {
    /// It is the result.
    Store,
    /// It is added to the result.
    Accumulate,
    /// Its squared leaky rectifier, with this slope, is the result.
    Activation(f64),
    /// It is scaled by channel and added to the residual stream; the bindings of stream and scale.
    AddScaled(Binding, Binding),
    /// It is added to the residual stream, which stays.
    Residual(Binding),
}

/// A matrix in a bound buffer.
#[derive(Clone, Debug)]
pub(super) struct Matrix {
    binding: Binding,
    /// Floats before its first entry.
    offset: usize,
    /// Bits of a packed matrix, which starts its buffer.
    bits: Option<u32>,
}

impl Matrix {
    /// All of a buffer of floats.
    pub fn plain(binding: Binding) -> Self {
        Self::at(binding, 0)
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

/// A product of `form` with `[rows, cols, depth]` as [`Linear::extents`] gives them. An offset into `a` or `y` needs more
/// rows than are cut into single results, or another form than `Nt`.
pub(super) struct Product {
    pub form: LinearForm,
    pub extents: [usize; 3],
    pub a: Matrix,
    pub b: Matrix,
    pub y: Matrix,
    pub finish: Finish,
}

impl Product {
    /// Strides `[a_i, a_l, b_l, b_j]`. Packed rows are found by number: of theirs only `b_l` is read, 1 where a row is a column
    /// of the product and 0 where it is its depth.
    fn strides(&self) -> [usize; 4] {
        let [rows, cols, depth] = self.extents;
        match self.form {
            LinearForm::Nt => [depth, 1, 1, depth],
            LinearForm::Nn if self.b.bits.is_some() => [depth, 1, 0, 1],
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
        let cut = Cut::of(self.form, rows, cols);
        let ([a_i, a_l, b_l, b_j], [bits, words]) = (self.strides(), self.packing());
        let mut bindings = vec![self.a.binding, self.b.binding, self.y.binding];
        let (mut slope, mut accumulate) = (0.0, 0);
        let finish = match self.finish {
            Finish::Store => 0,
            Finish::Accumulate => {
                accumulate = 1;
                0
            }
            Finish::Activation(given) => {
                slope = given;
                1
            }
            Finish::AddScaled(stream, scale) => {
                bindings.extend([stream, scale]);
                2
            }
            Finish::Residual(stream) => {
                bindings.push(stream);
                3
            }
        };
        let kernel = &TABLE[cut as usize][usize::from(self.b.bits.is_some())][finish];
        let tiles = cols.div_ceil(cut.side());
        let groups = rows.div_ceil(cut.side()) * tiles;
        let [a, b, y] = [self.a.offset, self.b.offset, self.y.offset];
        let extents = if cut == Cut::Row {
            assert!(a == 0 && y == 0, "single results start their buffers");
            vec![cols, depth, accumulate, b, b_l, b_j, bits, words]
        } else {
            vec![rows, cols, depth, tiles, accumulate, a, b, y, a_i, a_l, b_l, b_j, bits, words]
        };
        let params = extents.into_iter().map(Param::from).chain([slope.into()]).collect();
        low.launch_counted(kernel, bindings, params, groups, 2 * (rows * cols * depth) as u64);
    }
}

/// The product of operands `a` and `b` of the step, with this finish.
fn product(low: &mut Lowering<'_>, op: &Linear, [a, b]: [usize; 2], finish: Finish) {
    let product = Product {
        form: op.form,
        extents: op.extents(&low.input(a).shape, &low.input(b).shape),
        a: Matrix::plain(Input(a)),
        b: Matrix::weight(Input(b), low.input(b)),
        y: Matrix::plain(Output(0)),
        finish,
    };
    product.launch(low);
}

pub(super) fn linear(op: &Linear, low: &mut Lowering<'_>) {
    product(low, op, [0, 1], Finish::Store);
}

pub(super) fn add(op: &LinearAdd, low: &mut Lowering<'_>) {
    product(low, &op.linear, [0, 1], Finish::Accumulate);
}

pub(super) fn activation(op: &LinearActivation, low: &mut Lowering<'_>) {
    product(low, &Linear::NT, [0, 1], Finish::Activation(op.slope));
}

pub(super) fn add_scaled(low: &mut Lowering<'_>) {
    product(low, &Linear::NT, [2, 3], Finish::AddScaled(Input(0), Input(1)));
}

pub(super) fn residual(low: &mut Lowering<'_>) {
    product(low, &Linear::NT, [1, 2], Finish::Residual(Input(0)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_size_takes_its_cut() {
        let table = [
            (LinearForm::Nt, [1024, 1024], Cut::Large),
            (LinearForm::Nt, [1024, 512], Cut::Small),
            (LinearForm::Tn, [4096, 4096], Cut::Large),
            (LinearForm::Nn, [64, 1024], Cut::Small),
            (LinearForm::Nt, [1, 8192], Cut::Row),
            (LinearForm::Tn, [1, 8192], Cut::Large),
        ];
        for (form, [rows, cols], cut) in table {
            assert_eq!(Cut::of(form, rows, cols), cut, "{form:?} {rows}x{cols}");
        }
    }

    #[test]
    fn the_table_is_in_the_order_of_its_indices() {
        for (cut, side) in ["row", "64", "128"].into_iter().enumerate() {
            for (packed, operand) in ["f32", "packed"].into_iter().enumerate() {
                let ops = ["linear", "linear_activation", "linear_add_scaled", "linear_residual"];
                for (finish, op) in ops.into_iter().enumerate() {
                    assert_eq!(TABLE[cut][packed][finish].name, format!("{op}.{side}.{operand}"));
                }
            }
        }
    }
}
