//! Round trips, canonical bytes and the writer's refusals. Forged files are the attack collection's, in `tests/`.

use half::f16;
use proptest::prelude::*;

use super::*;
use crate::quant::pack;
use crate::tensor::Data;

/// Finite halves of both signs.
fn finite_half() -> impl Strategy<Value = f16> {
    (0u16..0x7c00, any::<bool>()).prop_map(|(bits, sign)| f16::from_bits(bits | u16::from(sign) << 15))
}

fn finite_single() -> impl Strategy<Value = f32> {
    any::<u32>().prop_map(f32::from_bits).prop_filter("finite", |v| v.is_finite())
}

fn tensor_data() -> impl Strategy<Value = (Vec<usize>, TensorData)> {
    let shape = prop::collection::vec(1usize..5, 0..=4);
    let singles = shape.clone().prop_flat_map(|shape| {
        let values = prop::collection::vec(finite_single(), shape.iter().product::<usize>());
        (Just(shape), values.prop_map(TensorData::F32))
    });
    let halves = shape.prop_flat_map(|shape| {
        let values = prop::collection::vec(finite_half(), shape.iter().product::<usize>());
        (Just(shape), values.prop_map(TensorData::F16))
    });
    let matrix = (prop::sample::select(vec![4u32, 5, 6, 8]), 1usize..9, 1usize..40);
    let quantized = matrix.prop_flat_map(|(bits, rows, cols)| {
        let q = prop::collection::vec(pack::integer_range(bits), rows * cols);
        let scales = prop::collection::vec((0u16..0x7c00).prop_map(f16::from_bits), rows);
        let data = (q, scales).prop_map(move |(q, scales)| TensorData::Quantized { bits, q, scales });
        (Just(vec![rows, cols]), data)
    });
    prop_oneof![singles, halves, quantized]
}

fn artifact() -> impl Strategy<Value = Artifact> {
    let names =
        prop::sample::select(vec!["blocks.0.mlp.fc", "blocks.1.mlp.fc", "blocks.10.mlp.fc", "é", "tok_emb"]);
    let tensors = prop::collection::btree_map(names.prop_map(String::from), tensor_data(), 0..6);
    let tokenizer = prop::option::of(prop::collection::vec(any::<u8>(), 1..200));
    let provenance = prop::option::of("[a-z\"\\\\é]{0,40}")
        .prop_map(|notes| Provenance { notes, ..Provenance::default() });
    let config = (1usize..20, 1e-3f64..1e8).prop_map(|(layers, rope_base)| ModelConfig {
        layers,
        rope_base,
        ..ModelConfig::default()
    });
    (config, tensors, tokenizer, prop::option::of(any::<[u8; 32]>()), prop::option::of(provenance)).prop_map(
        |(config, tensors, tokenizer, tokenizer_identity, provenance)| Artifact {
            config,
            tensors: tensors
                .into_iter()
                .map(|(name, (shape, data))| ArtifactTensor { name, shape, data })
                .collect(),
            tokenizer,
            tokenizer_identity,
            provenance,
        },
    )
}

/// One tensor of each type, with everything optional present.
fn small() -> Artifact {
    let tensor =
        |name: &str, shape: &[usize], data| ArtifactTensor { name: name.into(), shape: shape.to_vec(), data };
    let quantized =
        |bits, q: &[i8]| TensorData::Quantized { bits, q: q.to_vec(), scales: vec![f16::from_f32(0.25); 2] };
    Artifact {
        config: ModelConfig::default(),
        tensors: vec![
            tensor("blocks.0.fc.weight", &[2, 3], quantized(6, &[-32, 31, 0, 1, -1, 7])),
            tensor("blocks.1.fc.weight", &[2, 3], quantized(6, &[1, 2, 3, 4, 5, 6])),
            tensor("gain", &[], TensorData::F32(vec![1.5])),
            tensor("skip", &[2, 2], TensorData::F16(vec![f16::ONE, f16::NEG_ONE, f16::ZERO, f16::MAX])),
            tensor("tok_emb", &[2, 1], quantized(8, &[-128, 127])),
        ],
        tokenizer: Some(b"pieces".to_vec()),
        tokenizer_identity: Some([7; 32]),
        provenance: Some(Provenance { seed: Some("1337".into()), ..Provenance::default() }),
    }
}

fn decode(bytes: &[u8]) -> Result<Artifact, ArtifactError> {
    Artifact::decode(bytes, &Limits::default())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn decoding_returns_what_was_encoded_and_the_bytes_are_canonical(artifact in artifact()) {
        let bytes = artifact.encode().unwrap();
        let decoded = decode(&bytes).unwrap();
        prop_assert_eq!(&decoded, &artifact);
        prop_assert_eq!(decoded.content_hash(), artifact.content_hash());
        prop_assert!(decoded.encode().unwrap() == bytes, "re-encoding gave other bytes");
        let summary = summary(&bytes).unwrap();
        let stored: u64 = summary.sections.iter().map(|s| s.stored_bytes).sum();
        prop_assert_eq!(stored + summary.overhead_bytes, bytes.len() as u64);
    }

    #[test]
    fn operands_hold_the_same_weights_as_floats(data in tensor_data()) {
        let (shape, data) = data;
        let tensor = ArtifactTensor { name: "w".into(), shape, data };
        let floats = tensor.to_f32();
        match tensor.to_operand().data() {
            Data::Packed(words) => {
                let bits = tensor.entry().element.bits();
                let weights = pack::dequantize(bits, words, tensor.shape[0], tensor.shape[1]);
                prop_assert_eq!(weights, floats.to_f32());
            }
            Data::F32(values) => prop_assert_eq!(values, &floats.to_f32()),
            other => prop_assert!(false, "unexpected operand {:?}", other),
        }
    }

    #[test]
    fn noise_is_refused_without_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..400), magic in any::<bool>()) {
        if magic {
            bytes.splice(0..bytes.len().min(8), layout::MAGIC);
        }
        prop_assert!(decode(&bytes).is_err());
    }
}

#[test]
fn a_small_file_is_small() {
    let bytes = small().encode().unwrap();
    assert!(bytes.len() < 1024, "{} bytes", bytes.len());
}

#[test]
fn the_content_hash_depends_on_every_part() {
    let original = small();
    let mut changed: Vec<Artifact> = vec![original.clone(); 8];
    changed[0].config.layers += 1;
    changed[1].tokenizer = None;
    changed[2].tokenizer_identity = Some([8; 32]);
    changed[3].provenance = None;
    changed[4].tensors[0].name.insert(0, 'a');
    changed[5].tensors[0].shape = vec![3, 2];
    changed[6].tensors[2].data = TensorData::F32(vec![1.25]);
    changed[7].tensors.pop();
    let mut hashes: Vec<_> = changed.iter().map(Artifact::content_hash).collect();
    hashes.push(original.content_hash());
    hashes.sort();
    hashes.dedup();
    assert_eq!(hashes.len(), 9);
}

#[test]
fn tensors_are_found_by_name() {
    let artifact = small();
    assert_eq!(artifact.tensor("gain").map(|t| t.to_f32().item()), Some(1.5));
    assert!(artifact.tensor("gains").is_none());
}

#[test]
fn the_summary_accounts_for_every_stream() {
    let bytes = small().encode().unwrap();
    let summary = summary(&bytes).unwrap();
    let streams = ["symbols", "scales", "halves", "singles"];
    let stored: u64 =
        summary.sections.iter().filter(|s| streams.contains(&s.kind)).map(|s| s.stored_bytes).sum();
    let shares: f64 = summary.tensors.iter().map(|t| t.estimated_bytes).sum();
    assert!((shares - stored as f64).abs() < 1e-6, "{shares} of {stored}");
    assert_eq!(summary.parameters, 6 + 6 + 1 + 4 + 2);
    assert_eq!(summary.tensors[0].scale_range, Some((0.25, 0.25)));
    assert_eq!(summary.tensors[0].entropy_bits, Some(6f64.log2()));
    assert_eq!(summary.sections.iter().filter(|s| s.kind == "symbols").count(), 2, "one per role and width");
}

#[test]
fn columns_are_chosen_where_they_differ_in_spread() {
    let (rows, cols) = (256, 64);
    let q = |c: usize, r: usize| ((r * 37 % 61) as i32 - 30) * c as i32 / cols as i32;
    let q: Vec<i8> = (0..rows).flat_map(|r| (0..cols).map(move |c| q(c, r) as i8)).collect();
    let data = TensorData::Quantized { bits: 6, q, scales: vec![f16::ONE; rows] };
    let tensors = vec![ArtifactTensor { name: "w".into(), shape: vec![rows, cols], data }];
    let artifact = Artifact { tensors, ..small() };
    let bytes = artifact.encode().unwrap();
    assert!(summary(&bytes).unwrap().sections.iter().any(|s| s.columns));
    assert_eq!(decode(&bytes).unwrap(), artifact);
}

/// A change to the small artifact that must not be written, and the error that says so.
type Refusal = (&'static str, fn(&mut Artifact), fn(&ArtifactError) -> bool);

#[test]
fn what_a_reader_would_refuse_is_never_written() {
    use ArtifactError as E;
    let cases: [Refusal; 13] = [
        ("config", |a| a.config.heads = 0, |e| matches!(e, E::Config(_))),
        ("unsorted", |a| a.tensors.swap(0, 1), |e| matches!(e, E::NameOrder { index: 1, .. })),
        (
            "twice",
            |a| a.tensors[1].name = a.tensors[0].name.clone(),
            |e| matches!(e, E::NameDuplicate { .. }),
        ),
        ("no name", |a| a.tensors[0].name.clear(), |e| matches!(e, E::NameLength { got: 0, .. })),
        (
            "long name",
            |a| a.tensors[0].name = "a".repeat(256),
            |e| matches!(e, E::NameLength { got: 256, .. }),
        ),
        ("escape", |a| a.tensors[0].name = "a\u{1b}[2J".into(), |e| matches!(e, E::NameControl { .. })),
        ("no columns", |a| a.tensors[0].shape = vec![2, 0], |e| matches!(e, E::Dimension { axis: 1, .. })),
        ("rank 5", |a| a.tensors[3].shape = vec![1; 5], |e| matches!(e, E::Rank { got: 5, .. })),
        ("short", |a| a.tensors[0].shape = vec![2, 4], |e| matches!(e, E::DataLength { what: "values", .. })),
        (
            "nan",
            |a| a.tensors[2].data = TensorData::F32(vec![f32::NAN]),
            |e| matches!(e, E::Weight { index: 0, .. }),
        ),
        ("empty", |a| a.tokenizer = Some(vec![]), |e| matches!(e, E::EmptySection { kind: "tokenizer" })),
        (
            "integer",
            |a| {
                a.tensors[0].data =
                    TensorData::Quantized { bits: 5, q: vec![16; 6], scales: vec![f16::ONE; 2] }
            },
            |e| matches!(e, E::Integer { index: 0, got: 16, bits: 5, .. }),
        ),
        (
            "scale",
            |a| {
                a.tensors[4].data =
                    TensorData::Quantized { bits: 8, q: vec![0; 2], scales: vec![f16::ONE, f16::NEG_ONE] }
            },
            |e| matches!(e, E::Scale { row: 1, .. }),
        ),
    ];
    for (case, change, expected) in cases {
        let mut artifact = small();
        change(&mut artifact);
        let error = artifact.encode().expect_err(case);
        assert!(expected(&error), "{case}: {error}");
    }
}

#[test]
fn a_model_of_zeros_is_readable_or_not_written() {
    let zeros = |count: usize| Artifact {
        tensors: vec![ArtifactTensor {
            name: "w".into(),
            shape: vec![count],
            data: TensorData::F16(vec![f16::ZERO; count]),
        }],
        ..small()
    };
    let bytes = zeros(1 << 20).encode().unwrap();
    assert!(bytes.len() < 2048);
    assert_eq!(decode(&bytes).unwrap(), zeros(1 << 20));
    // Beyond the allowance the ratio counts, for the writer as for the reader.
    let error = Limits::default().check_raw(17 << 20, 2048).unwrap_err();
    assert!(matches!(error, ArtifactError::Limit { .. }), "{error}");
}
