//! Launches of `linear`, of the ops that finish a product in place of storing it, and of the products inside other ops.

use super::{product_library, warps};
use crate::gemm::{Gemm, Onto};
use crate::kernel::{Kernel, Param, Source};
use crate::lower::Binding::{self, Input, Output};
use crate::lower::{Launch, Lowering, Precision};
use golf_core::ops::{Linear, LinearActivation, LinearAdd, LinearForm};
use golf_core::quant::pack::row_words;
use golf_core::tensor::TensorType;

static SOURCE: Source = Source { file: "linear.cu", text: include_str!("linear.cu") };
static BF16: Source = Source { file: "linear_bf16.cu", text: include_str!("linear_bf16.cu") };

const fn kernel(source: &'static Source, entry: &'static str) -> Kernel {
    Kernel { source, entry, signature: "rrwuuuuuuuuuuuuuuf", threads: 256 }
}

/// The four finishes of a cut and an operand; the last two bind the residual stream too, and the former of these its scale.
const fn finishes(
    source: &'static Source,
    [plain, activation, scaling, joining]: [&'static str; 4],
) -> [Kernel; 4] {
    let scaling = Kernel { signature: "rrwrruuuuuuuuuuuuuuf", ..kernel(source, scaling) };
    let joining = Kernel { signature: "rrwruuuuuuuuuuuuuuf", ..kernel(source, joining) };
    [kernel(source, plain), kernel(source, activation), scaling, joining]
}

/// The same over activations.
const fn of_activations(entries: [&'static str; 4]) -> [Kernel; 4] {
    let [plain, activation, scaling, joining] = finishes(&BF16, entries);
    let signature = "arouuuuuuuuuuuuuuf";
    let scaling = Kernel { signature: "aroaruuuuuuuuuuuuuuf", ..scaling };
    let joining = Kernel { signature: "aroauuuuuuuuuuuuuuf", ..joining };
    [Kernel { signature, ..plain }, Kernel { signature, ..activation }, scaling, joining]
}

/// Kernels by cut, operand and finish, in that order.
#[rustfmt::skip]
static TABLE: [[[Kernel; 4]; 2]; 4] = [
    [
        finishes(&SOURCE, ["linear_row_f32", "linear_activation_row_f32", "linear_add_scaled_row_f32", "linear_residual_row_f32"]),
        finishes(&SOURCE, ["linear_row_packed", "linear_activation_row_packed", "linear_add_scaled_row_packed", "linear_residual_row_packed"]),
    ],
    [
        finishes(&SOURCE, ["linear_64_f32", "linear_activation_64_f32", "linear_add_scaled_64_f32", "linear_residual_64_f32"]),
        finishes(&SOURCE, ["linear_64_packed", "linear_activation_64_packed", "linear_add_scaled_64_packed", "linear_residual_64_packed"]),
    ],
    [
        finishes(&SOURCE, ["linear_128_f32", "linear_activation_128_f32", "linear_add_scaled_128_f32", "linear_residual_128_f32"]),
        finishes(&SOURCE, ["linear_128_packed", "linear_activation_128_packed", "linear_add_scaled_128_packed", "linear_residual_128_packed"]),
    ],
    [
        of_activations(["linear_bf16_f32", "linear_activation_bf16_f32", "linear_add_scaled_bf16_f32", "linear_residual_bf16_f32"]),
        of_activations(["linear_bf16_packed", "linear_activation_bf16_packed", "linear_add_scaled_bf16_packed", "linear_residual_bf16_packed"]),
    ],
];

/// A block per tile and part of the depth, on tensor cores.
static PART: Kernel = Kernel { signature: "aawuuuuuuuuuuuuuufuu", ..kernel(&BF16, "linear_bf16_part") };
/// The gradient of a weight as a whole.
static GRAD: Kernel = Kernel { signature: "aawuuuuuuuuuuuuuuf", ..kernel(&BF16, "linear_bf16_grad") };
static SUM: Kernel = Kernel { signature: "rwuuuu", ..kernel(&BF16, "linear_bf16_sum") };

/// Products of a stack: a block per tile of every member, by cut.
static STACKS: [Kernel; 3] = [
    stack(&SOURCE, "linear_64_stack"),
    stack(&SOURCE, "linear_128_stack"),
    Kernel { signature: "aaouuuuuuuuuuuuuufu", ..stack(&BF16, "linear_bf16_stack") },
];

const fn stack(source: &'static Source, entry: &'static str) -> Kernel {
    Kernel { signature: "rrwuuuuuuuuuuuuuufu", ..kernel(source, entry) }
}

pub(super) fn kernels() -> Vec<&'static Kernel> {
    TABLE.iter().flatten().flatten().chain(&STACKS).chain([&PART, &GRAD, &SUM]).collect()
}

/// How a product is cut into blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cut {
    /// One result: a tile over very few rows would leave most of its invocations idle.
    Row,
    /// 64 × 64 results.
    Small,
    /// 128 × 128 results.
    Large,
    /// 128 × 128 results, on tensor cores.
    Tensor,
}

/// Most rows that are cut into single results.
const FEW_ROWS: usize = 4;

/// Large tiles below which a GPU of a few dozen cores would idle.
const MANY_TILES: usize = 64;

/// Blocks of the tensor cores' kernel that fill a large GPU twice; a core holds one.
const MANY_BLOCKS: usize = 256;

/// Least depth of a part; a multiple of the kernel's slices.
const PART_DEPTH: usize = 128;

/// Parts of the depth that a product of so many tiles is cut into, and the depth of each: as many blocks as fill a GPU,
/// where there is depth enough. It follows from the shape alone, so results do not depend on the device.
fn parts_of(tiles: usize, depth: usize) -> [usize; 2] {
    let wanted = (MANY_BLOCKS / tiles.max(1)).clamp(1, depth.div_ceil(PART_DEPTH).max(1));
    let each = depth.div_ceil(wanted).max(1).next_multiple_of(PART_DEPTH);
    [depth.div_ceil(each).max(1), each]
}

impl Cut {
    /// The cut of `rows × cols` results. Few rows are bound by memory: tensor cores would not help them.
    fn of(precision: Precision, form: LinearForm, rows: usize, cols: usize) -> Cut {
        if rows <= FEW_ROWS && form == LinearForm::Nt {
            return Cut::Row;
        }
        if precision == Precision::Bf16 {
            return Cut::Tensor;
        }
        Cut::of_tiles(rows.div_ceil(128) * cols.div_ceil(128))
    }

    /// The cut of `stack` products of `rows × cols` results, always in tiles. What a member gets must not depend on how many
    /// there are: a tile of either size adds up a result's terms in the order of the depth.
    fn of_stack(precision: Precision, stack: usize, rows: usize, cols: usize) -> Cut {
        match precision {
            Precision::Bf16 => Cut::Tensor,
            Precision::F32 => Cut::of_tiles(stack * rows.div_ceil(128) * cols.div_ceil(128)),
        }
    }

    /// In f32, where there would be so many large tiles.
    fn of_tiles(large: usize) -> Cut {
        if large >= MANY_TILES { Cut::Large } else { Cut::Small }
    }

    /// The kernel of stacks.
    fn of_stacks(self) -> &'static Kernel {
        match self {
            Cut::Small => &STACKS[0],
            Cut::Large => &STACKS[1],
            Cut::Tensor => &STACKS[2],
            Cut::Row => unreachable!("a stack is cut into tiles"),
        }
    }

    /// Tiles in a row of tiles, and blocks, for `rows × cols` results.
    fn blocks(self, rows: usize, cols: usize) -> [usize; 2] {
        let tiled = |side: usize| [cols.div_ceil(side), rows.div_ceil(side) * cols.div_ceil(side)];
        match self {
            Cut::Row => [cols, warps::blocks(rows * cols)],
            Cut::Small => tiled(64),
            Cut::Large | Cut::Tensor => tiled(128),
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
#[derive(Clone, Debug, PartialEq)]
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

/// A product of `form` with `[rows, cols, depth]` as [`Linear::extents`] gives them.
pub(super) struct Product {
    pub form: LinearForm,
    pub extents: [usize; 3],
    /// How many such products there are, of plain matrices that lie one after the other; `None` for a single one, which is
    /// then cut as suits it. A stack of one is formed as any stack is.
    pub stack: Option<usize>,
    pub a: Matrix,
    pub b: Matrix,
    pub y: Matrix,
    pub finish: Finish,
}

impl Product {
    /// Strides `[a_i, a_l, b_l, b_j]`; of a packed right operand, which of the last two walks along its rows.
    fn strides(&self) -> [usize; 4] {
        let [rows, cols, depth] = self.extents;
        let [a_i, a_l, b_l, b_j] = match self.form {
            LinearForm::Nt => [depth, 1, 1, depth],
            LinearForm::Nn => [depth, 1, cols, 1],
            LinearForm::Tn => [1, rows, cols, 1],
        };
        let along_depth = usize::from(self.form == LinearForm::Nt);
        if self.b.bits.is_some() { [a_i, a_l, along_depth, 1 - along_depth] } else { [a_i, a_l, b_l, b_j] }
    }

    /// The product as a library is asked for it.
    pub fn gemm(&self, low: &Lowering<'_>) -> Gemm {
        let onto = match self.finish {
            Finish::Accumulate => Onto::Result,
            Finish::Residual(_) => Onto::Other,
            Finish::Store | Finish::Activation(_) | Finish::AddScaled(..) => Onto::Nothing,
        };
        let gemm = Gemm::new(self.form, self.extents, onto, self.y.offset);
        gemm.stacked(self.stack.unwrap_or(1)).rounded(low.is_half(&self.y.binding))
    }

    /// Columns of the right operand as it is stored, row by row.
    pub fn columns(&self) -> usize {
        let [_, cols, depth] = self.extents;
        if self.form == LinearForm::Nt { depth } else { cols }
    }

    /// Bits and words of a row of a packed right operand.
    pub fn packing(&self) -> [usize; 2] {
        self.b.bits.map_or([0, 0], |bits| [bits as usize, row_words(bits, self.columns())])
    }

    /// Appends its launch, or those around a library's, or those of its parts.
    pub fn launch(self, low: &mut Lowering<'_>) {
        let [rows, cols, depth] = self.extents;
        let cut = match self.stack {
            None => Cut::of(low.precision, self.form, rows, cols),
            Some(stack) => Cut::of_stack(low.precision, stack, rows, cols),
        };
        if cut != Cut::Tensor {
            return low.push(self.by(cut));
        }
        if self.is_alike(low) && low.products.takes(&self.gemm(low)) {
            return product_library::launch(self, low);
        }
        let [tiles, blocks] = cut.blocks(rows, cols);
        let [parts, each] = parts_of(blocks, depth);
        // The depth of a stack stays whole: its members fill a GPU together, and parts would multiply its memory.
        if parts == 1 || !self.is_plain() || self.stack.is_some() {
            return low.push(self.by(cut));
        }
        let results = rows * cols;
        let of_parts = low.scratch(parts * results);
        let of_part = [blocks, each].map(Param::from);
        let params = [self.params(tiles, 0, 0), of_part.to_vec()].concat();
        let (y, accumulate) = (self.y.offset, self.accumulate());
        low.launch(&PART, vec![self.a.binding, self.b.binding, of_parts.clone()], params, parts * blocks);
        let bindings = vec![of_parts, self.y.binding];
        low.launch_elements(&SUM, bindings, results, &[parts, y, accumulate].map(Param::from));
    }

    /// Whether what it is added to is stored as its result is.
    fn is_alike(&self, low: &Lowering<'_>) -> bool {
        let Finish::Residual(stream) = &self.finish else { return true };
        low.is_half(stream) == low.is_half(&self.y.binding)
    }

    /// Whether it is of floats, and is stored or added.
    fn is_plain(&self) -> bool {
        matches!(self.finish, Finish::Store | Finish::Accumulate) && self.b.bits.is_none()
    }

    /// Its launch on tensor cores as a whole, whatever its size.
    pub fn on_tensor_cores(self) -> Launch {
        self.by(Cut::Tensor)
    }

    fn by(self, cut: Cut) -> Launch {
        if let Some(stack) = self.stack {
            return self.stacked(stack, cut);
        }
        let [rows, cols, _] = self.extents;
        let [tiles, blocks] = cut.blocks(rows, cols);
        let params = self.params(tiles, self.accumulate(), self.y.offset);
        let mut bindings = vec![self.a.binding, self.b.binding, self.y.binding];
        let finish = match self.finish {
            Finish::Store | Finish::Accumulate => 0,
            Finish::Activation(_) => 1,
            Finish::AddScaled(stream, scale) => {
                bindings.extend([stream, scale]);
                2
            }
            Finish::Residual(stream) => {
                bindings.push(stream);
                3
            }
        };
        let kernel = match (cut, self.form) {
            (Cut::Tensor, LinearForm::Tn) => &GRAD,
            _ => &TABLE[cut as usize][usize::from(self.b.bits.is_some())][finish],
        };
        Launch::new(kernel, bindings, params, blocks)
    }

    fn stacked(self, stack: usize, cut: Cut) -> Launch {
        assert!(self.is_plain(), "stacks are of floats, and stored or added");
        let [rows, cols, _] = self.extents;
        let [tiles, blocks] = cut.blocks(rows, cols);
        let product = self.params(tiles, self.accumulate(), self.y.offset);
        let bindings = vec![self.a.binding, self.b.binding, self.y.binding];
        Launch::new(cut.of_stacks(), bindings, [product, vec![blocks.into()]].concat(), stack * blocks)
    }

    fn accumulate(&self) -> usize {
        usize::from(self.finish == Finish::Accumulate)
    }

    /// Scalars of a kernel over rows of `tiles` tiles that writes, or adds, from float `y` of its result on.
    fn params(&self, tiles: usize, accumulate: usize, y: usize) -> Vec<Param> {
        let [rows, cols, depth] = self.extents;
        let ([a_i, a_l, b_l, b_j], [bits, words]) = (self.strides(), self.packing());
        let [a, b] = [self.a.offset, self.b.offset];
        let words = [rows, cols, depth, tiles, accumulate, a, b, y, a_i, a_l, b_l, b_j, bits, words];
        let slope = if let Finish::Activation(slope) = self.finish { slope } else { 0.0 };
        words.into_iter().map(Param::from).chain([slope.into()]).collect()
    }
}

/// The product of operands `a` and `b` of the step, with this finish.
fn product(low: &mut Lowering<'_>, op: &Linear, [a, b]: [usize; 2], finish: Finish) {
    let product = Product {
        form: op.form,
        extents: op.extents(&low.input(a).shape, &low.input(b).shape),
        stack: None,
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
            (Precision::F32, LinearForm::Nt, [1024, 1024], Cut::Large),
            (Precision::F32, LinearForm::Nt, [1024, 512], Cut::Small),
            (Precision::F32, LinearForm::Tn, [4096, 4096], Cut::Large),
            (Precision::F32, LinearForm::Nn, [64, 1024], Cut::Small),
            (Precision::F32, LinearForm::Nt, [1, 8192], Cut::Row),
            (Precision::F32, LinearForm::Tn, [1, 8192], Cut::Large),
            (Precision::Bf16, LinearForm::Nt, [1, 8192], Cut::Row),
            (Precision::Bf16, LinearForm::Nn, [64, 1024], Cut::Tensor),
        ];
        for (precision, form, [rows, cols], cut) in table {
            assert_eq!(Cut::of(precision, form, rows, cols), cut, "{precision:?} {form:?} {rows}x{cols}");
        }
    }

    #[test]
    fn the_members_of_a_stack_fill_a_gpu_together() {
        let of = |precision, stack| Cut::of_stack(precision, stack, 512, 512);
        assert_eq!([1, 3, 4].map(|stack| of(Precision::F32, stack)), [Cut::Small, Cut::Small, Cut::Large]);
        assert_eq!([1, 22].map(|stack| of(Precision::Bf16, stack)), [Cut::Tensor; 2]);
        // Few rows are no reason to form single results here.
        assert_eq!(Cut::of_stack(Precision::F32, 2, 1, 8192), Cut::Large);
    }

    #[test]
    fn depth_is_cut_where_tiles_are_few() {
        let table = [
            ([1024, 98_304], [1, 98_304]),
            // Gradients of weights.
            ([16, 98_304], [16, 6144]),
            ([48, 98_304], [5, 19_712]),
            ([16, 512], [4, 128]),
            ([1, 300], [3, 128]),
            ([1, 100], [1, 128]),
            ([1, 0], [1, 128]),
        ];
        for ([tiles, depth], parts) in table {
            assert_eq!(parts_of(tiles, depth), parts, "{tiles} tiles of depth {depth}");
        }
    }

    #[test]
    fn the_table_is_in_the_order_of_its_indices() {
        for (cut, side) in ["row", "64", "128", "bf16"].into_iter().enumerate() {
            for (packed, operand) in ["f32", "packed"].into_iter().enumerate() {
                let ops = ["linear", "linear_activation", "linear_add_scaled", "linear_residual"];
                for (finish, op) in ops.into_iter().enumerate() {
                    assert_eq!(TABLE[cut][packed][finish].entry, format!("{op}_{side}_{operand}"));
                }
            }
        }
    }
}
