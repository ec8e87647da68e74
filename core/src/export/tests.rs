//! Round trips through golf's own importer.

use super::*;
use crate::import::{Coding, Imported, Layout, Limits, Rounding, import_bytes};
use half::f16;

fn tensors() -> Vec<ArtifactTensor> {
    let halves = |values: &[f32]| values.iter().map(|x| f16::from_f32(*x)).collect::<Vec<_>>();
    let quantized =
        |bits, q: Vec<i8>, scales: &[f32]| TensorData::Quantized { bits, q, scales: halves(scales) };
    let tensor = |name: &str, shape: &[usize], data| ArtifactTensor {
        name: name.to_owned(),
        shape: shape.to_vec(),
        data,
    };
    vec![
        tensor("blocks.0.mlp.fc.weight", &[2, 3], quantized(5, vec![-16, 0, 15, 1, 2, 3], &[0.5, 1e-4])),
        tensor("q_gain", &[3], TensorData::F16(halves(&[1.5, -0.25, 3.0]))),
        tensor("skip_weights", &[1, 2], TensorData::F32(vec![0.1, -1e-20])),
        tensor("tok_emb.weight", &[3, 1], quantized(8, vec![-128, 7, 127], &[0.01, 2.0, 65_504.0])),
        tensor("ve_shared.scale", &[], TensorData::F32(vec![0.3])),
    ]
}

fn assert_same(imported: &[Imported], tensors: &[ArtifactTensor]) {
    assert_eq!(imported.len(), tensors.len());
    for tensor in tensors {
        let found = imported.iter().find(|t| t.name == tensor.name).expect("every tensor comes back");
        assert_eq!(found.shape, tensor.shape, "{}", tensor.name);
        assert_eq!(found.to_f32(Rounding::Restored), tensor.to_f32().f32s(), "{}", tensor.name);
    }
}

#[test]
fn torch_files_come_back_with_the_same_weights_under_every_wrapping() {
    for (wrapping, codings) in
        [(Wrapping::None, vec![]), (Wrapping::Zlib, vec![Coding::Zlib]), (Wrapping::Zstd, vec![Coding::Zstd])]
    {
        let file = import_bytes(&per_row(&tensors(), wrapping), &Limits::default()).expect("our own file");
        assert_eq!(file.codings, codings);
        assert_eq!(file.layout, Layout::CleanPerRow { format: "int8_clean_per_row_v1".to_owned() });
        assert_same(&file.tensors, &tensors());
    }
}

#[test]
fn safetensors_come_back_with_the_same_weights_and_the_metadata() {
    let metadata = BTreeMap::from([("golf.config".to_owned(), "{}".to_owned())]);
    let bytes = to_safetensors(&tensors(), metadata).expect("names and shapes are legal");
    assert_same(&import_bytes(&bytes, &Limits::default()).expect("our own file").tensors, &tensors());
    let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).expect("a header");
    assert_eq!(header.metadata().as_ref().and_then(|m| m.get("golf.config")).map(String::as_str), Some("{}"));
}

#[test]
fn the_same_tensors_give_the_same_bytes() {
    for wrapping in [Wrapping::None, Wrapping::Zlib, Wrapping::Zstd] {
        assert_eq!(per_row(&tensors(), wrapping), per_row(&tensors(), wrapping));
    }
}
