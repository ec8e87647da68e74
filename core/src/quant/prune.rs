//! Magnitude pruning before quantization: the smallest weights become zero so that the entropy coder pays
//! less.
//!
//! Invariant: strictly smaller than the quantile of the whole tensor, so ties at the threshold survive.
//! Structured sparsity is not a goal: nothing here is skipped at run time.

use super::quantile::{magnitudes, quantile};

/// Matrices of at most this many elements are not pruned in the published recipes.
pub const PRUNE_ABOVE_ELEMENTS: usize = 65_536;

/// Zeroes the entries whose magnitude lies below the `fraction`-quantile of all magnitudes of the tensor.
pub fn prune(values: &mut [f32], fraction: f64) {
    let mut scratch = Vec::new();
    magnitudes(values, &mut scratch);
    let threshold = quantile(&mut scratch, fraction);
    for value in values {
        if value.abs() < threshold {
            *value = 0.0;
        }
    }
}

/// Whether a tensor is pruned at all: matrices of more than `above_elements` elements, embeddings included.
pub fn is_prunable(shape: &[usize], above_elements: usize) -> bool {
    shape.len() == 2 && shape[0] * shape[1] > above_elements
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_weights_become_zero_and_ties_survive() {
        let mut values = vec![0.1, -0.2, 0.2, -0.3, 0.4];
        prune(&mut values, 0.25);
        assert_eq!(values, [0.0, -0.2, 0.2, -0.3, 0.4]);
    }

    #[test]
    fn nothing_is_pruned_at_fraction_zero_or_from_an_empty_tensor() {
        let mut values = vec![-0.1, 0.0, 3.0];
        prune(&mut values, 0.0);
        assert_eq!(values, [-0.1, 0.0, 3.0]);
        prune(&mut [], 0.5);
    }
}
