//! Selective pruning: the cheapest ±1 become 0 until the file is small enough (PR #609, #1019).
//!
//! An integer of ±1 is the smallest change that a zero makes, and zeros are what entropy coders like best. The price of an
//! entry is its squared step, times its importance where that is known. Invariant: steps and all larger integers stay.

use super::Importance;
use crate::artifact::{Artifact, ArtifactError, ArtifactTensor, TensorData};
use std::collections::BTreeMap;

/// Where an entry stands: tensor and flat position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    tensor: u32,
    index: u32,
}

/// Every ±1 of `tensors`, cheapest first; ties in order of position.
fn ones_by_cost(tensors: &[ArtifactTensor], importance: &BTreeMap<String, Importance>) -> Vec<Entry> {
    let mut ones: Vec<(f32, Entry)> = Vec::new();
    for (t, tensor) in tensors.iter().enumerate() {
        let TensorData::Quantized { q, scales, .. } = &tensor.data else { continue };
        let (cols, known) = (tensor.shape[1], importance.get(&tensor.name));
        for (index, _) in q.iter().enumerate().filter(|(_, q)| q.unsigned_abs() == 1) {
            let (row, column) = (index / cols, index % cols);
            let step = f64::from(scales[row].to_f32());
            let cost = step * step * known.map_or(1.0, |importance| importance.at(row, column));
            ones.push((cost as f32, Entry { tensor: t as u32, index: index as u32 }));
        }
    }
    ones.sort_by(|a, b| a.0.total_cmp(&b.0));
    ones.into_iter().map(|(_, entry)| entry).collect()
}

/// `tensors` with these entries zeroed.
fn zeroed(tensors: &[ArtifactTensor], entries: &[Entry]) -> Vec<ArtifactTensor> {
    let mut tensors = tensors.to_vec();
    for entry in entries {
        if let TensorData::Quantized { q, .. } = &mut tensors[entry.tensor as usize].data {
            q[entry.index as usize] = 0;
        }
    }
    tensors
}

/// The least `count` in `0..=limit` for which `size(count) ≤ target`, to within `limit / 256`, by bisection; `None` when
/// even `limit` is too large a file.
fn least_count<E>(
    limit: usize,
    target: u64,
    mut size: impl FnMut(usize) -> Result<u64, E>,
) -> Result<Option<usize>, E> {
    if size(limit)? > target {
        return Ok(None);
    }
    let resolution = (limit / 256).max(1);
    let (mut too_few, mut enough) = (0, limit);
    while enough - too_few > resolution {
        let middle = too_few + (enough - too_few) / 2;
        if size(middle)? <= target { enough = middle } else { too_few = middle }
    }
    Ok(Some(enough))
}

/// A file that was pruned down to its target.
#[derive(Clone, Debug, PartialEq)]
pub struct Pruned {
    /// The artifact.
    pub artifact: Artifact,
    /// Its bytes.
    pub file: Vec<u8>,
    /// Integers zeroed.
    pub count: usize,
}

/// `artifact` with as few of its ±1 zeroed as bring the file to `target` bytes; `None` when not even all of them do.
pub fn to_target(
    artifact: &Artifact,
    importance: &BTreeMap<String, Importance>,
    target: u64,
) -> Result<Option<Pruned>, ArtifactError> {
    let order = ones_by_cost(&artifact.tensors, importance);
    let with = |count: usize| {
        let tensors = zeroed(&artifact.tensors, &order[..count]);
        let artifact = Artifact { tensors, ..artifact.clone() };
        artifact.encode().map(|file| Pruned { artifact, file, count })
    };
    let size = |count: usize| with(count).map(|pruned| pruned.file.len() as u64);
    least_count(order.len(), target, size)?.map(with).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;
    use half::f16;

    fn tensor(name: &str, q: Vec<i8>, scales: [f32; 2]) -> ArtifactTensor {
        let shape = vec![2, q.len() / 2];
        let data = TensorData::Quantized { bits: 4, q, scales: scales.map(f16::from_f32).to_vec() };
        ArtifactTensor { name: name.to_owned(), shape, data }
    }

    #[test]
    fn ones_on_small_steps_go_first_and_larger_integers_stay() {
        let tensors =
            [tensor("a", vec![1, 2, -1, 0], [1.0, 0.25]), tensor("b", vec![-128, 1, 1, -1], [0.5, 2.0])];
        let order = ones_by_cost(&tensors, &BTreeMap::new());
        let positions: Vec<(u32, u32)> = order.iter().map(|e| (e.tensor, e.index)).collect();
        assert_eq!(positions, [(0, 2), (1, 1), (0, 0), (1, 2), (1, 3)]);
        let pruned = zeroed(&tensors, &order[..3]);
        assert_eq!(pruned[0], tensor("a", vec![0, 2, 0, 0], [1.0, 0.25]));
        assert_eq!(pruned[1], tensor("b", vec![-128, 0, 1, -1], [0.5, 2.0]));
    }

    #[test]
    fn the_least_count_meets_the_target_within_the_resolution() {
        let size = |count: usize| Ok::<u64, ()>(10_000 - 2 * count as u64);
        assert_eq!(least_count(100, 9_950, size), Ok(Some(25)));
        assert_eq!(least_count(100, 9_799, size), Ok(None));
        let coarse = least_count(4096, 9_000, size).expect("size never fails").expect("reachable");
        assert!((500..516).contains(&coarse), "{coarse}");
    }
}
