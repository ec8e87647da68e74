//! Launches of `newton_schulz`: the bank is copied into one stack, and every product of an iteration, three of them, is one
//! launch over the stack; so are the combinations between them. The last one writes the results. A tall matrix is iterated as
//! its transpose, which is never formed: the products read it the other way round. In bf16 the stacks are so too, which is all
//! that the products read of them.
//!
//! Invariant: where our own kernels form the products, the bits of a result do not depend on how many matrices there are, nor on
//! which; a library may choose its algorithm by their number.

use super::linear::{Finish, Matrix, Product};
use crate::kernel::{ELEMENTS, Kernel, PIECE, Source};
use crate::lower::Binding::{self, Output};
use crate::lower::Lowering;
use crate::rows::Row;
use golf_core::ops::{LinearForm, NEWTON_SCHULZ_COEFFICIENTS, NewtonSchulz};

static SOURCE: Source = Source { file: "newton_schulz.cu", text: include_str!("newton_schulz.cu") };

const fn kernel(entry: &'static str, signature: &'static str) -> Kernel {
    Kernel { source: &SOURCE, entry, signature, threads: ELEMENTS }
}

static SQUARES: Kernel = kernel("newton_schulz_squares", "ru|wu");
static NORMS: Kernel = kernel("newton_schulz_norms", "rwu");
static STACK: Kernel = kernel("newton_schulz_stack", "ru|rou");
static COMBINE: Kernel = kernel("newton_schulz_combine", "aouff");
static RESULT: Kernel = kernel("newton_schulz_result", "wu|aauf");

pub(super) const KERNELS: &[&Kernel] = &[&SQUARES, &NORMS, &STACK, &COMBINE, &RESULT];

/// The stacks of an iteration.
struct Stacks {
    /// Matrices in each.
    count: usize,
    /// Rows and columns of `x` and `update`.
    shape: [usize; 2],
    x: Binding,
    gram: Binding,
    square: Binding,
    update: Binding,
}

pub(super) fn newton_schulz(op: &NewtonSchulz, low: &mut Lowering<'_>) {
    assert!(op.steps > 0, "the last iteration writes the results");
    let (shape, count) = (low.matrix(0), low.inputs());
    let (n, side) = (shape[0] * shape[1], shape[0].min(shape[1]));
    let [gram, square] = [0, 1].map(|_| low.activations(count * side * side));
    let [x, update] = [0, 1].map(|_| low.activations(count * n));
    let stacks = Stacks { count, shape, x, gram, square, update };
    stacks.normalized(low);
    for left in (0..op.steps).rev() {
        stacks.products(low);
        if left > 0 {
            stacks.combine(low, n, [&stacks.update, &stacks.x], [stacks.c0(), 1.0]);
        }
    }
    let last = vec![stacks.update.clone(), stacks.x.clone()];
    low.launch_rows(&RESULT, stacks.members(), last, vec![n.into(), stacks.c0().into()]);
}

impl Stacks {
    /// A row per matrix: where it is, and its place in the stacks.
    fn members(&self) -> Vec<Row<Binding>> {
        let blocks = (self.shape[0] * self.shape[1]).div_ceil(PIECE);
        let member = |i: usize| Row { pointers: vec![Output(i)], scalars: vec![i.into()], blocks };
        (0..self.count).map(member).collect()
    }

    /// Stacks the operands, each divided by its norm.
    fn normalized(&self, low: &mut Lowering<'_>) {
        let n = self.shape[0] * self.shape[1];
        let pieces = n.div_ceil(PIECE);
        let (sums, norms) = (low.scratch(self.count * pieces), low.scratch(self.count));
        low.launch_rows(&SQUARES, self.members(), vec![sums.clone()], vec![n.into()]);
        low.launch(&NORMS, vec![sums, norms.clone()], vec![pieces.into()], self.count);
        low.launch_rows(&STACK, self.members(), vec![norms, self.x.clone()], vec![n.into()]);
    }

    /// `a = x·xᵀ`, `b = c₁·a + c₂·a·a`, `update = b·x`; `b` is symmetric.
    fn products(&self, low: &mut Lowering<'_>) {
        let [rows, cols] = self.shape;
        let (r, c, tall) = (rows.min(cols), rows.max(cols), rows > cols);
        let Stacks { x, gram, square, update, .. } = self;
        let [_, c1, c2] = NEWTON_SCHULZ_COEFFICIENTS;
        let form = if tall { LinearForm::Tn } else { LinearForm::Nt };
        self.multiply(low, form, [r, r, c], [x, x, gram]);
        self.multiply(low, LinearForm::Nn, [r, r, r], [gram, gram, square]);
        self.combine(low, r * r, [gram, square], [c2, c1]);
        if tall {
            self.multiply(low, LinearForm::Nt, [c, r, r], [x, square, update]);
        } else {
            self.multiply(low, LinearForm::Nn, [r, c, r], [square, x, update]);
        }
    }

    fn multiply(
        &self,
        low: &mut Lowering<'_>,
        form: LinearForm,
        extents: [usize; 3],
        operands: [&Binding; 3],
    ) {
        let [a, b, y] = operands.map(|binding| Matrix::plain(binding.clone()));
        Product { form, extents, stack: Some(self.count), a, b, y, finish: Finish::Store }.launch(low);
    }

    /// `y ← y_factor·y + x_factor·x`, stacks of matrices of `n` entries.
    fn combine(
        &self,
        low: &mut Lowering<'_>,
        n: usize,
        [x, y]: [&Binding; 2],
        [y_factor, x_factor]: [f64; 2],
    ) {
        let factors = [y_factor.into(), x_factor.into()];
        low.launch_eights(&COMBINE, vec![x.clone(), y.clone()], self.count * n, &factors);
    }

    /// What is left of `x` in an iteration.
    fn c0(&self) -> f64 {
        NEWTON_SCHULZ_COEFFICIENTS[0]
    }
}
