//! Dense symmetric factorizations for GPTQ: Cholesky, triangular inverse, inverse.
//!
//! Invariant: square row-major `f64` matrices of order `n`; every inner loop walks along rows. Cubic and
//! sequential on purpose: the orders are the input widths of linear layers, at most a few thousand.

use super::GptqError;

/// Lower Cholesky factor `L` of a symmetric matrix, `A = L Lᵀ`, in place; the strict upper triangle becomes
/// zero. Only the lower triangle is read.
pub(super) fn cholesky(a: &mut [f64], n: usize) -> Result<(), GptqError> {
    for i in 0..n {
        let (above, rest) = a.split_at_mut(i * n);
        let row = &mut rest[..n];
        for j in 0..i {
            let pivot_row = &above[j * n..j * n + j + 1];
            row[j] = (row[j] - dot(&row[..j], &pivot_row[..j])) / pivot_row[j];
        }
        let pivot = row[i] - dot(&row[..i], &row[..i]);
        if !(pivot > 0.0 && pivot.is_finite()) {
            return Err(GptqError::NotPositiveDefinite { column: i, pivot });
        }
        row[i] = pivot.sqrt();
        row[i + 1..].fill(0.0);
    }
    Ok(())
}

/// Inverse of a lower triangular matrix with non-zero diagonal, in place.
pub(super) fn invert_lower(l: &mut [f64], n: usize) {
    let mut combined = vec![0.0; n];
    for i in 0..n {
        let (above, rest) = l.split_at_mut(i * n);
        let row = &mut rest[..n];
        let reciprocal = 1.0 / row[i];
        combined[..i].fill(0.0);
        for k in 0..i {
            add_scaled(&mut combined[..=k], row[k], &above[k * n..k * n + k + 1]);
        }
        for (value, sum) in row.iter_mut().zip(&combined[..i]) {
            *value = -reciprocal * sum;
        }
        row[i] = reciprocal;
    }
}

/// `Xᵀ X` of a lower triangular `X`, full and symmetric: the inverse of `L Lᵀ` when `X = L⁻¹`.
pub(super) fn gram_of_lower(x: &[f64], n: usize) -> Vec<f64> {
    let mut gram = vec![0.0; n * n];
    for row in (0..n).map(|k| &x[k * n..k * n + k + 1]) {
        for (i, &factor) in row.iter().enumerate() {
            add_scaled(&mut gram[i * n..i * n + row.len()], factor, row);
        }
    }
    gram
}

/// `out += factor · values`.
pub(super) fn add_scaled(out: &mut [f64], factor: f64, values: &[f64]) {
    for (o, v) in out.iter_mut().zip(values) {
        *o += factor * v;
    }
}

/// Inner product in eight partial sums, so that it becomes vector instructions.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let (a_blocks, b_blocks) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f64 = a_blocks.remainder().iter().zip(b_blocks.remainder()).map(|(x, y)| x * y).sum();
    let mut sums = [0.0; 8];
    for (x, y) in a_blocks.zip(b_blocks) {
        for lane in 0..8 {
            sums[lane] += x[lane] * y[lane];
        }
    }
    sums.iter().sum::<f64>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn positive_definite(n: usize) -> Vec<f64> {
        let g = |i: usize, j: usize| ((i * 31 + j * 17) % 23) as f64 / 23.0 - 0.5;
        let mut a = vec![0.0; n * n];
        for i in 0..n {
            for j in 0..n {
                a[i * n + j] =
                    (0..n).map(|k| g(i, k) * g(j, k)).sum::<f64>() + if i == j { 1.0 } else { 0.0 };
            }
        }
        a
    }

    #[test]
    fn the_inverse_times_the_matrix_is_the_identity() {
        for n in [1, 2, 7, 8, 33] {
            let a = positive_definite(n);
            let mut l = a.clone();
            cholesky(&mut l, n).expect("the test matrix is positive definite");
            invert_lower(&mut l, n);
            let inverse = gram_of_lower(&l, n);
            for i in 0..n {
                for j in 0..n {
                    let product: f64 = (0..n).map(|k| inverse[i * n + k] * a[k * n + j]).sum();
                    let identity = if i == j { 1.0 } else { 0.0 };
                    assert!((product - identity).abs() < 1e-10, "n {n} ({i}, {j}): {product}");
                }
            }
        }
    }

    #[test]
    fn an_indefinite_matrix_is_refused_with_its_column() {
        let mut a = vec![1.0, 2.0, 2.0, 1.0];
        assert_eq!(cholesky(&mut a, 2), Err(GptqError::NotPositiveDefinite { column: 1, pivot: -3.0 }));
    }
}
