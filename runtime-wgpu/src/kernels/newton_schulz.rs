//! Launches of `newton_schulz`: products and combinations, three products an iteration, one matrix of the bank after the
//! other: a binding is a whole buffer. A tall matrix is iterated as its transpose, which is never formed: the products read
//! it the other way round.

use super::linear::{Finish, Matrix, Product};
use super::sums;
use crate::kernel::Kernel;
use crate::lower::Binding::{self, Output};
use crate::lower::Lowering;
use golf_core::ops::{LinearForm, NEWTON_SCHULZ_COEFFICIENTS, NewtonSchulz};

const SOURCE: &[&str] = &[include_str!("newton_schulz.wgsl")];
static NORMALIZE: Kernel =
    Kernel { name: "newton_schulz.normalize", source: SOURCE, entry: "normalize_all", access: "rw" };
static COMBINE: Kernel =
    Kernel { name: "newton_schulz.combine", source: SOURCE, entry: "combine", access: "rw" };

pub(super) const KERNELS: &[&Kernel] = &[&NORMALIZE, &COMBINE];

pub(super) fn newton_schulz(op: &NewtonSchulz, low: &mut Lowering<'_>) {
    let [rows, cols] = low.matrix(0);
    let side = rows.min(cols);
    let squares = low.scratch(1);
    let between = [low.scratch(side * side), low.scratch(side * side), low.scratch(rows * cols)];
    for matrix in 0..low.outputs() {
        let x = || Output(matrix);
        sums::squares(low, x(), rows * cols, squares.clone());
        low.launch_elements(&NORMALIZE, vec![squares.clone(), x()], rows * cols, &[]);
        for _ in 0..op.steps {
            iterate(low, [rows, cols], &x, &between);
        }
    }
}

/// `a = x·xᵀ`, `b = c₁·a + c₂·a·a`, `x ← c₀·x + b·x`; `b` is symmetric.
fn iterate(
    low: &mut Lowering<'_>,
    [rows, cols]: [usize; 2],
    x: &impl Fn() -> Binding,
    [gram, square, update]: &[Binding; 3],
) {
    let (r, c, tall) = (rows.min(cols), rows.max(cols), rows > cols);
    let [c0, c1, c2] = NEWTON_SCHULZ_COEFFICIENTS;
    let form = if tall { LinearForm::Tn } else { LinearForm::Nt };
    multiply(low, form, [r, r, c], [x(), x(), gram.clone()]);
    multiply(low, LinearForm::Nn, [r, r, r], [gram.clone(), gram.clone(), square.clone()]);
    combine(low, r * r, [gram.clone(), square.clone()], [c2, c1]);
    if tall {
        multiply(low, LinearForm::Nt, [c, r, r], [x(), square.clone(), update.clone()]);
    } else {
        multiply(low, LinearForm::Nn, [r, c, r], [square.clone(), x(), update.clone()]);
    }
    combine(low, r * c, [update.clone(), x()], [c0, 1.0]);
}

fn multiply(low: &mut Lowering<'_>, form: LinearForm, extents: [usize; 3], [a, b, y]: [Binding; 3]) {
    let [a, b, y] = [a, b, y].map(Matrix::plain);
    Product { form, extents, a, b, y, finish: Finish::Store }.launch(low);
}

/// `y ← y_factor·y + x_factor·x`.
fn combine(low: &mut Lowering<'_>, n: usize, [x, y]: [Binding; 2], [y_factor, x_factor]: [f64; 2]) {
    low.launch_elements(&COMBINE, vec![x, y], n, &[y_factor.into(), x_factor.into()]);
}
