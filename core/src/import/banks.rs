//! Parameter banks of raw state dicts (PR #549): four stacks that hold the block matrices of all layers.
//!
//! `qo_bank` `[2L, d, d]` holds the query matrices, then the output projections; `kv_bank` `[2L, kv, d]` keys, then
//! values; `mlp_up_bank` `[L, hidden, d]` and `mlp_down_bank` `[L, d, hidden]`. Cutting them gives the names that every
//! exported file uses. Banks hold floats: no known layout quantizes a stack.

use half::{bf16, f16};

use super::layouts::LayoutError;
use super::tensor::{Imported, ImportedData};

/// Banks and what their halves (or their whole) are called inside block `i`.
const BANKS: [(&str, &[&str]); 4] = [
    ("qo_bank", &["attn.c_q.weight", "attn.proj.weight"]),
    ("kv_bank", &["attn.c_k.weight", "attn.c_v.weight"]),
    ("mlp_up_bank", &["mlp.fc.weight"]),
    ("mlp_down_bank", &["mlp.proj.weight"]),
];

/// Replaces every bank in `tensors` by its matrices, in place and in layer order per half.
pub fn unstack(tensors: Vec<Imported>) -> Result<Vec<Imported>, LayoutError> {
    let mut out: Vec<Imported> = Vec::with_capacity(tensors.len());
    for tensor in tensors {
        match BANKS.iter().find(|(bank, _)| *bank == tensor.name) {
            None => out.push(tensor),
            Some((_, halves)) => out.extend(cut(&tensor, halves)?),
        }
    }
    let mut names: Vec<&str> = out.iter().map(|t| t.name.as_str()).collect();
    names.sort_unstable();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(LayoutError::Duplicate { name: pair[0].to_owned() }),
        None => Ok(out),
    }
}

fn cut(bank: &Imported, halves: &[&str]) -> Result<Vec<Imported>, LayoutError> {
    let fail =
        |expected: String| LayoutError::Bank { name: bank.name.clone(), expected, got: bank.shape.clone() };
    let &[count, rows, columns] = bank.shape.as_slice() else { return Err(fail("rank 3".into())) };
    if count == 0 || rows == 0 || columns == 0 || !count.is_multiple_of(halves.len()) {
        return Err(fail(format!("a positive multiple of {} matrices", halves.len())));
    }
    let layers = count / halves.len();
    (0..count)
        .map(|slice| {
            let name = format!("blocks.{}.{}", slice % layers, halves[slice / layers]);
            let range = slice * rows * columns..(slice + 1) * rows * columns;
            let data = match &bank.data {
                ImportedData::F32(v) => ImportedData::F32(Vec::<f32>::from(&v[range])),
                ImportedData::F16(v) => ImportedData::F16(Vec::<f16>::from(&v[range])),
                ImportedData::BF16(v) => ImportedData::BF16(Vec::<bf16>::from(&v[range])),
                ImportedData::Quantized { .. } => return Err(fail("floats".into())),
            };
            Ok(Imported { name, shape: vec![rows, columns], restore: bank.restore, data })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::tensor::FloatType;
    use super::*;

    fn tensor(name: &str, shape: &[usize]) -> Imported {
        let numel = shape.iter().product::<usize>();
        let data = ImportedData::F32((0..numel).map(|i| i as f32).collect());
        Imported { name: name.into(), shape: shape.into(), restore: FloatType::F32, data }
    }

    #[test]
    fn halves_of_a_bank_become_two_matrices_per_layer() {
        let out = unstack(vec![tensor("kv_bank", &[4, 1, 2]), tensor("mlp_up_bank", &[2, 3, 1])]).unwrap();
        let names: Vec<_> = out.iter().map(|t| t.name.as_str()).collect();
        let expected = ["0.attn.c_k", "1.attn.c_k", "0.attn.c_v", "1.attn.c_v", "0.mlp.fc", "1.mlp.fc"];
        assert_eq!(names, expected.map(|n| format!("blocks.{n}.weight")));
        assert_eq!(out[3].data, ImportedData::F32(vec![6.0, 7.0]));
        assert_eq!(out[5].shape, [3, 1]);
    }

    #[test]
    fn an_odd_bank_and_a_doubled_matrix_are_refused() {
        let error = unstack(vec![tensor("qo_bank", &[3, 2, 2])]).unwrap_err();
        assert!(matches!(error, LayoutError::Bank { .. }));
        let error =
            unstack(vec![tensor("blocks.0.mlp.fc.weight", &[3, 1]), tensor("mlp_up_bank", &[1, 3, 1])]);
        assert!(matches!(error, Err(LayoutError::Duplicate { name }) if name == "blocks.0.mlp.fc.weight"));
    }
}
