//! Layouts that the public artifacts do not cover: weights with metadata, banks, safetensors; read, and refused.

use golf_core::import::{
    FloatType, ImportError, Imported, ImportedData, Layout, LayoutError, Limits, Rounding, SafetensorsError,
    Scales, import_bytes,
};
use safetensors::tensor::{Dtype, TensorView};

use super::torch_file::{Pickle, f32s, torch_file};

fn read(bytes: &[u8]) -> (Layout, Vec<Imported>) {
    let file = import_bytes(bytes, &Limits::default()).unwrap();
    (file.layout, file.tensors)
}

/// `"key": tensor` of a contiguous storage.
fn entry(p: Pickle, key: &str, kind: &str, storage: &str, shape: &[i64]) -> Pickle {
    let stride: Vec<i64> = (0..shape.len()).map(|i| shape[i + 1..].iter().product()).collect();
    p.str(key).tensor(kind, storage, shape.iter().product(), 0, shape, &stride)
}

/// `"type": kind`, and `"shape": [2, 3]` where the packed form needs it, as the metadata of `name`.
fn meta(p: Pickle, name: &str, kind: &str, nibbles: bool) -> Pickle {
    let p = p.str(name).raw(b"}(").str("type").str(kind);
    if nibbles { p.str("shape").raw(b"](").int(2).int(3).raw(b"eu") } else { p.raw(b"u") }
}

fn weights_and_meta(nibble_shape: &[i64]) -> Vec<u8> {
    let p = Pickle::new().raw(b"}(").str("w").raw(b"}(");
    let p = entry(p, "tok_emb.weight", "HalfStorage", "half", &[2]);
    let p = entry(p, "blocks.0.mlp.fc.weight.q4n", "CharStorage", "nibbles", nibble_shape);
    let p = entry(p, "blocks.0.mlp.fc.weight.scale", "HalfStorage", "half", &[2]);
    let p = entry(p, "bigram.embed.weight.q", "CharStorage", "ints", &[2, 2]);
    let p = entry(p, "bigram.embed.weight.scale", "HalfStorage", "half", &[2]);
    let p = entry(p, "skip_weights.q", "CharStorage", "ints", &[4]);
    let p = entry(p, "skip_weights.scale", "FloatStorage", "one", &[]);
    let p = p.raw(b"u").str("m").raw(b"}(").str("tok_emb.weight").str("passthrough_fp16");
    let p = meta(p, "blocks.0.mlp.fc.weight", "int4nibble", true);
    let p = meta(p, "bigram.embed.weight", "int6", false);
    let p = meta(p, "skip_weights", "int8", false).raw(b"uu");
    // 0.5 and 3.001953125 in half precision; the second is not a bfloat16.
    let half = vec![0x00, 0x38, 0x01, 0x42];
    let storages = [
        ("half", half),
        ("nibbles", vec![0x0f, 0x78, 0xa1, 0x48]),
        ("ints", vec![31, 0xe0, 0, 1]),
        ("one", f32s(&[0.1])),
    ];
    torch_file(&p.stop(), &storages)
}

#[test]
fn weights_with_metadata_are_read_with_nibbles_scalars_and_the_template_types() {
    let (layout, tensors) = read(&weights_and_meta(&[2, 2]));
    assert_eq!(layout, Layout::WeightsAndMeta);
    let names: Vec<_> = tensors.iter().map(|t| t.name.as_str()).collect();
    assert_eq!(names, ["tok_emb.weight", "blocks.0.mlp.fc.weight", "bigram.embed.weight", "skip_weights"]);

    assert_eq!(tensors[0].restore, FloatType::BF16);
    assert_eq!(tensors[0].to_f32(Rounding::Exact), [0.5, 3.001_953_1]);
    assert_eq!(tensors[0].to_f32(Rounding::Restored), [0.5, 3.0]);

    assert_eq!((tensors[1].shape.as_slice(), tensors[1].restore), (&[2, 3][..], FloatType::F32));
    let ImportedData::Quantized { q, scales: Scales::F16(_), per_row: true, bits: 4 } = &tensors[1].data
    else {
        panic!()
    };
    assert_eq!(q, &[-8, 7, -1, 2, -7, -4]);
    let scale = 3.001_953_1;
    let expected = [-4.0, 3.5, -0.5, 2.0 * scale, -7.0 * scale, -4.0 * scale];
    assert_eq!(tensors[1].to_f32(Rounding::Restored), expected);

    let ImportedData::Quantized { q, bits: 6, .. } = &tensors[2].data else { panic!() };
    assert_eq!((q.as_slice(), tensors[2].restore), (&[31, -32, 0, 1][..], FloatType::BF16));
    let ImportedData::Quantized { per_row: false, scales: Scales::F32(_), .. } = &tensors[3].data else {
        panic!()
    };
    assert_eq!(tensors[3].to_f32(Rounding::Exact), [31.0 * 0.1, -32.0 * 0.1, 0.0, 0.1]);
}

#[test]
fn nibbles_that_do_not_hold_their_shape_are_refused() {
    let error = import_bytes(&weights_and_meta(&[4, 1]), &Limits::default()).unwrap_err();
    let is_cause =
        matches!(&error, ImportError::Layout(LayoutError::Nibbles { expected, .. }) if *expected == [2, 3]);
    assert!(is_cause, "{error}");
}

#[test]
fn banks_of_a_raw_state_dict_are_cut_into_layers() {
    let p = Pickle::new().ordered_dict().raw(b"(");
    let p = entry(p, "qo_bank", "FloatStorage", "0", &[4, 1, 2]).raw(b"u");
    let (layout, tensors) = read(&torch_file(&p.stop(), &[("0", f32s(&[0., 1., 2., 3., 4., 5., 6., 7.]))]));
    assert_eq!(layout, Layout::StateDict);
    let values: Vec<_> = tensors.iter().map(|t| (t.name.as_str(), t.to_f32(Rounding::Exact))).collect();
    assert_eq!(
        values,
        [
            ("blocks.0.attn.c_q.weight", vec![0., 1.]),
            ("blocks.1.attn.c_q.weight", vec![2., 3.]),
            ("blocks.0.attn.proj.weight", vec![4., 5.]),
            ("blocks.1.attn.proj.weight", vec![6., 7.]),
        ]
    );
}

fn safetensors_file(tensors: &[(&str, Dtype, &[usize], Vec<u8>)]) -> Vec<u8> {
    let views = tensors
        .iter()
        .map(|(name, dtype, shape, data)| (*name, TensorView::new(*dtype, shape.to_vec(), data).unwrap()));
    safetensors::serialize(views, None).unwrap()
}

#[test]
fn safetensors_of_three_float_types_are_read() {
    let (layout, tensors) = read(&safetensors_file(&[
        ("b", Dtype::F32, &[2], f32s(&[1.5, -2.0])),
        ("a", Dtype::BF16, &[1, 1], vec![0xc0, 0x3f]),
        ("c", Dtype::F16, &[], vec![0x00, 0x38]),
    ]));
    assert_eq!(layout, Layout::Safetensors);
    let values: Vec<_> =
        tensors.iter().map(|t| (t.name.as_str(), t.restore, t.to_f32(Rounding::Restored))).collect();
    let expected = [
        ("a", FloatType::BF16, vec![1.5]),
        ("b", FloatType::F32, vec![1.5, -2.0]),
        ("c", FloatType::F16, vec![0.5]),
    ];
    assert_eq!(values, expected);
}

#[test]
fn safetensors_with_integers_gaps_or_too_much_are_refused() {
    let ints = safetensors_file(&[("a", Dtype::I8, &[4], vec![0; 4])]);
    let error = import_bytes(&ints, &Limits::default()).unwrap_err();
    assert!(matches!(error, ImportError::Safetensors(SafetensorsError::Element { .. })), "{error}");

    let good = safetensors_file(&[("a", Dtype::F32, &[4], vec![0; 16])]);
    let few = Limits { tensors: 0, ..Limits::default() };
    let error = import_bytes(&good, &few).unwrap_err();
    assert!(matches!(error, ImportError::Safetensors(SafetensorsError::TooMany { got: 1, .. })), "{error}");
    let small = Limits { raw_bytes: 15, ..Limits::default() };
    let error = import_bytes(&good, &small).unwrap_err();
    assert!(matches!(error, ImportError::Safetensors(SafetensorsError::Storage(_))), "{error}");

    let header = |json: &str, body: usize| {
        [&(json.len() as u64).to_le_bytes(), json.as_bytes(), &vec![0; body]].concat()
    };
    for (what, bytes) in [
        ("truncated", good[..good.len() - 1].to_vec()),
        ("trailing", [&good[..], &[0]].concat()),
        ("a gap", header(r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#, 8)),
        (
            "a size that overflows",
            header(r#"{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}}"#, 0),
        ),
        ("a shape that disagrees", header(r#"{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}"#, 8)),
    ] {
        let error = import_bytes(&bytes, &Limits::default()).expect_err(what);
        assert!(matches!(error, ImportError::Safetensors(SafetensorsError::Header(_))), "{what}: {error}");
    }
}
