//! A product of matrices as a library takes it: column-major, operands in bf16, sums in f32, the result in either. Plain data.
//!
//! A row-major matrix read column by column is its transpose, so the library is asked for `yᵀ = bᵀ·aᵀ`: its first operand is
//! our right one. Invariant: [`Gemm::columns`] describes what lies in memory, and is the only place that knows this.

use golf_core::ops::LinearForm;
use std::fmt;

/// What a product is added to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Onto {
    /// It is the result.
    Nothing,
    /// What the result holds.
    Result,
    /// A matrix like the result, elsewhere in memory.
    Other,
}

/// A product; all that decides which algorithm a library takes for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Gemm {
    /// Which operand is transposed, in the project's row-major words.
    pub form: LinearForm,
    /// Rows and columns of the result, and the depth of the sums.
    pub extents: [usize; 3],
    /// What it is added to.
    pub onto: Onto,
    /// How many such products there are. Their left operands lie one after the other without gaps, and so do their right
    /// ones and their results.
    pub stack: usize,
    /// Bytes of which the address of every result is a multiple.
    pub alignment: usize,
    /// Whether the result is rounded to bf16.
    pub half: bool,
}

/// A matrix in memory, column by column, without gaps; in a stack the next one follows at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Whether the product reads its transpose.
    pub transposed: bool,
    /// Entries of a column, which is also the distance between columns.
    pub rows: usize,
    /// Columns.
    pub cols: usize,
}

/// A product in column-major words: `d[m,n] = left[m,k]·right[k,n]`, each operand perhaps the transpose of what is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Columns {
    /// The first operand: our `b`.
    pub left: Stored,
    /// The second operand: our `a`.
    pub right: Stored,
    /// The result: our `y`.
    pub result: Stored,
}

impl Gemm {
    /// What every allocation of a device is a multiple of, in bytes.
    pub const ALIGNED: usize = 256;

    /// The product of `form` with `[rows, cols, depth]` into a result that starts `offset` floats into its buffer, as does what it
    /// is added to.
    pub fn new(form: LinearForm, extents: [usize; 3], onto: Onto, offset: usize) -> Self {
        Self { form, extents, onto, stack: 1, alignment: aligned(4 * offset), half: false }
    }

    /// So many of it.
    pub fn stacked(self, stack: usize) -> Self {
        let [rows, cols, _] = self.extents;
        let alignment = if stack > 1 { self.alignment.min(aligned(4 * rows * cols)) } else { self.alignment };
        Self { stack, alignment, ..self }
    }

    /// The same with a result in bf16, or in f32.
    pub fn rounded(self, half: bool) -> Self {
        Self { half, alignment: if half { (self.alignment / 2).max(1) } else { self.alignment }, ..self }
    }

    /// Bytes of an entry of the result.
    pub fn result_bytes(&self) -> usize {
        if self.half { 2 } else { 4 }
    }

    /// Bytes of which the addresses of every left and of every right operand, `a` and `b`, are multiples; their buffers start
    /// at multiples of [`Gemm::ALIGNED`].
    pub fn operand_alignments(&self) -> [usize; 2] {
        let [rows, cols, depth] = self.extents;
        [rows * depth, depth * cols]
            .map(|entries| if self.stack > 1 { aligned(2 * entries) } else { Self::ALIGNED })
    }

    /// The same in column-major words.
    pub fn columns(&self) -> Columns {
        let [rows, cols, depth] = self.extents;
        // Row-major `[r, c]` is column-major `[c, r]`.
        let stored = |[r, c]: [usize; 2], transposed| Stored { transposed, rows: c, cols: r };
        let (a, b) = match self.form {
            LinearForm::Nt => (stored([rows, depth], false), stored([cols, depth], true)),
            LinearForm::Nn => (stored([rows, depth], false), stored([depth, cols], false)),
            LinearForm::Tn => (stored([depth, rows], true), stored([depth, cols], false)),
        };
        Columns { left: b, right: a, result: stored([rows, cols], false) }
    }

    /// Entries of the operands and of the result, all of a stack, in the project's order `a`, `b`, `y`.
    pub fn entries(&self) -> [usize; 3] {
        let [rows, cols, depth] = self.extents;
        [rows * depth, depth * cols, rows * cols].map(|entries| self.stack * entries)
    }
}

/// The largest power of two in an offset of so many bytes, as far as anybody asks.
fn aligned(bytes: usize) -> usize {
    if bytes == 0 { Gemm::ALIGNED } else { (1 << bytes.trailing_zeros()).min(Gemm::ALIGNED) }
}

impl Stored {
    /// Entries of the matrix, which is also the distance to the next one of a stack.
    pub fn entries(&self) -> usize {
        self.rows * self.cols
    }
}

impl fmt::Display for Gemm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let form = match self.form {
            LinearForm::Nt => "nt",
            LinearForm::Nn => "nn",
            LinearForm::Tn => "tn",
        };
        let [rows, cols, depth] = self.extents;
        let sum = match self.onto {
            Onto::Nothing => "",
            Onto::Result => " added",
            Onto::Other => " added elsewhere",
        };
        let rounded = if self.half { " in bf16" } else { "" };
        write!(f, "{form} {rows}x{cols}x{depth}{sum}{rounded}")?;
        if self.stack > 1 { write!(f, " (stack of {})", self.stack) } else { Ok(()) }
    }
}

/// The product by its column-major description, from bf16 entries, where `d` holds what it is added to: what the emulation has for a library, and what the
/// description is tested by.
#[cfg(any(test, feature = "emulate"))]
pub(crate) fn interpret(
    gemm: &Gemm,
    left: &dyn Fn(usize) -> f32,
    right: &dyn Fn(usize) -> f32,
    d: &mut [f32],
) {
    let Columns { left: l, right: r, result } = gemm.columns();
    let place = |stored: Stored, [i, j]: [usize; 2]| {
        let [i, j] = if stored.transposed { [j, i] } else { [i, j] };
        i + j * stored.rows
    };
    let depth = if l.transposed { l.rows } else { l.cols };
    for (member, d) in d.chunks_mut(result.entries().max(1)).enumerate() {
        let [l_first, r_first] = [l, r].map(|stored| member * stored.entries());
        for j in 0..result.cols {
            for i in 0..result.rows {
                let left = |k| left(l_first + place(l, [i, k]));
                let products = (0..depth).map(|k| left(k) * right(r_first + place(r, [k, j])));
                let sum: f32 = products.sum();
                let at = &mut d[place(result, [i, j])];
                *at = if gemm.onto == Onto::Nothing { sum } else { *at + sum };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORMS: [LinearForm; 3] = [LinearForm::Nt, LinearForm::Nn, LinearForm::Tn];

    /// The row-major definition.
    fn naive(form: LinearForm, [rows, cols, depth]: [usize; 3], a: &[f32], b: &[f32]) -> Vec<f32> {
        let entry = |i: usize, j: usize| -> f32 {
            let term = |l: usize| match form {
                LinearForm::Nt => a[i * depth + l] * b[j * depth + l],
                LinearForm::Nn => a[i * depth + l] * b[l * cols + j],
                LinearForm::Tn => a[l * rows + i] * b[l * cols + j],
            };
            (0..depth).map(term).sum()
        };
        (0..rows * cols).map(|at| entry(at / cols, at % cols)).collect()
    }

    #[test]
    fn the_column_major_product_is_ours_in_every_form() {
        for form in FORMS {
            for extents in [[3, 5, 7], [5, 3, 2], [1, 4, 6], [4, 1, 6], [2, 2, 1], [6, 6, 6]] {
                for onto in [Onto::Nothing, Onto::Result] {
                    let gemm = Gemm::new(form, extents, onto, 0);
                    let [a, b, y] = gemm.entries();
                    // Small integers, whose sums are exact in any order.
                    let a: Vec<f32> = (0..a).map(|i| (i * 7 % 11) as f32 - 5.0).collect();
                    let b: Vec<f32> = (0..b).map(|i| (i * 5 % 13) as f32 - 6.0).collect();
                    let mut got: Vec<f32> = (0..y).map(|i| i as f32).collect();
                    let before: Vec<f32> =
                        got.iter().map(|y| if onto == Onto::Result { *y } else { 0.0 }).collect();
                    interpret(&gemm, &|i| b[i], &|i| a[i], &mut got);
                    let product = naive(form, extents, &a, &b);
                    let want: Vec<f32> = before.iter().zip(product).map(|(y, x)| y + x).collect();
                    assert_eq!(got, want, "{gemm}");
                }
            }
        }
    }

    #[test]
    fn a_stack_is_its_products_one_by_one() {
        for form in FORMS {
            let (one, extents) = (Gemm::new(form, [3, 5, 7], Onto::Result, 0), [3, 5, 7]);
            let [a, b, y] = one.stacked(4).entries();
            let a: Vec<f32> = (0..a).map(|i| (i * 7 % 11) as f32 - 5.0).collect();
            let b: Vec<f32> = (0..b).map(|i| (i * 5 % 13) as f32 - 6.0).collect();
            let mut got = vec![1.0; y];
            interpret(&one.stacked(4), &|i| b[i], &|i| a[i], &mut got);
            let members = a.chunks(21).zip(b.chunks(35)).zip(got.chunks(15)).enumerate();
            for (member, ((a, b), got)) in members {
                let want: Vec<f32> = naive(form, extents, a, b).iter().map(|x| 1.0 + x).collect();
                assert_eq!(got, want, "{form:?}, member {member}");
            }
        }
    }

    #[test]
    fn the_description_of_a_layer_is_what_the_library_documents() {
        // y[98304,1536] = x[98304,512]·w[1536,512]ᵀ: `w` and `x` are columns of 512, and the first one is transposed.
        let columns = Gemm::new(LinearForm::Nt, [98_304, 1536, 512], Onto::Nothing, 0).columns();
        assert_eq!(columns.left, Stored { transposed: true, rows: 512, cols: 1536 });
        assert_eq!(columns.right, Stored { transposed: false, rows: 512, cols: 98_304 });
        assert_eq!(columns.result, Stored { transposed: false, rows: 1536, cols: 98_304 });
    }

    #[test]
    fn an_offset_limits_what_the_library_may_assume_of_the_address() {
        let alignment = |offset| Gemm::new(LinearForm::Nn, [8, 8, 8], Onto::Nothing, offset).alignment;
        assert_eq!([0, 1, 2, 6, 64, 640, 4096].map(alignment), [256, 4, 8, 8, 256, 256, 256]);
    }

    #[test]
    fn what_follows_in_a_stack_lies_where_the_one_before_ends() {
        let alignments = |extents: [usize; 3], stack| {
            let gemm = Gemm::new(LinearForm::Nn, extents, Onto::Nothing, 0).stacked(stack);
            (gemm.operand_alignments(), gemm.alignment)
        };
        assert_eq!(alignments([512, 512, 1536], 11), ([256, 256], 256));
        // 33 entries of two bytes, 66 of two, 18 of four; alone, all start their buffers.
        assert_eq!(alignments([3, 6, 11], 2), ([2, 4], 8));
        assert_eq!(alignments([3, 6, 11], 1), ([256, 256], 256));
    }

    #[test]
    fn a_product_is_printed_with_its_form_and_extents() {
        let printed = |onto| Gemm::new(LinearForm::Tn, [512, 1536, 98_304], onto, 0).to_string();
        assert_eq!(printed(Onto::Result), "tn 512x1536x98304 added");
        assert_eq!(printed(Onto::Other), "tn 512x1536x98304 added elsewhere");
        let stack = Gemm::new(LinearForm::Nt, [512, 512, 1536], Onto::Nothing, 0).stacked(11);
        assert_eq!(stack.to_string(), "nt 512x512x1536 (stack of 11)");
    }
}
