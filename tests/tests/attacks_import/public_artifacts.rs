//! The public artifacts, read whole: counts, shapes, dtypes, first values and the derived configurations.

use std::path::PathBuf;

use golf_core::import::shapes::{derive, inventory};
use golf_core::import::{
    Assumptions, Coding, FloatType, Imported, ImportedData, ImportedFile, Layout, Limits, Rounding,
    import_file,
};
use golf_core::model::ModelConfig;
use golf_core::model::config::{Activation, Trigram};

/// The fixture `name`, or `None` (said on stderr) where the shared fixtures are not there.
fn shared(name: &str) -> Option<PathBuf> {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    let shared = std::env::var_os("GOLF_SHARED").map_or_else(beside, PathBuf::from);
    let path = shared.join(name);
    if !path.exists() {
        eprintln!("skipped: no `{name}` in `{}`; set GOLF_SHARED", shared.display());
        return None;
    }
    Some(path)
}

fn artifact(name: &str) -> Option<ImportedFile> {
    let path = shared(&format!("artifacts/{name}"))?;
    Some(import_file(&path, &Limits::default()).unwrap_or_else(|error| panic!("{name}: {error}")))
}

fn find<'a>(file: &'a ImportedFile, name: &str) -> &'a Imported {
    file.tensors.iter().find(|t| t.name == name).unwrap_or_else(|| panic!("no `{name}`"))
}

fn parameters(file: &ImportedFile) -> usize {
    file.tensors.iter().map(Imported::numel).sum()
}

#[test]
fn samtruss_reads_whole() {
    let Some(file) = artifact("SamTruss.final_model.int8.ptz") else { return };
    assert_eq!(file.codings, [Coding::Zlib]);
    assert_eq!(file.layout, Layout::CleanPerRow { format: "int8_clean_per_row_v1".into() });
    assert_eq!((file.tensors.len(), parameters(&file)), (72, 7_630_520));
    let quantized = file.tensors.iter().filter(|t| matches!(t.data, ImportedData::Quantized { .. }));
    assert_eq!(quantized.clone().count(), 43);
    let bf16: Vec<_> =
        file.tensors.iter().filter(|t| t.restore == FloatType::BF16).map(|t| &t.name).collect();
    assert_eq!(bf16, ["tok_emb.weight"]);

    let embedding = find(&file, "tok_emb.weight");
    assert_eq!(embedding.shape, [1024, 384]);
    let ImportedData::Quantized { q, scales, per_row: true, bits: 8 } = &embedding.data else { panic!() };
    assert_eq!((&q[..4], scales.len()), (&[23, -37, -38, 12][..], 1024));
    assert_eq!((scales.get(0), scales.get(1)), (0.007_873_535, 0.025_344_849));
    let exact = embedding.to_f32(Rounding::Exact);
    assert_eq!(exact[0], 23.0 * 0.007_873_535);
    assert_eq!(embedding.to_f32(Rounding::Restored)[0], 0.180_664_06);

    let ImportedData::Quantized { bits, .. } = &find(&file, "blocks.6.mlp.proj.weight").data else {
        panic!()
    };
    assert_eq!(*bits, 4);
    let gain = find(&file, "blocks.0.attn.q_gain");
    assert_eq!((gain.shape.as_slice(), gain.to_f32(Rounding::Restored)[0]), (&[8][..], 2.060_924_3));

    let config = derive(&inventory(&file.tensors), &Assumptions::default()).unwrap();
    let expected = ModelConfig {
        layers: 7,
        dim: 384,
        heads: 8,
        kv_heads: 4,
        hidden: 768,
        rope_dims: 48,
        ..ModelConfig::default()
    };
    assert_eq!(config, expected);
}

#[test]
fn nolanvild_reads_the_same_model_from_both_files() {
    let (Some(ptz), Some(pt)) =
        (artifact("nolanvild.final_model.int8.ptz"), artifact("nolanvild.final_model.pt"))
    else {
        return;
    };
    assert_eq!((&ptz.codings[..], &pt.codings[..]), (&[Coding::Zlib][..], &[][..]));
    assert_eq!(pt.layout, Layout::StateDict);
    assert_eq!((pt.tensors.len(), parameters(&pt)), (32, 476_812));
    assert_eq!(inventory(&ptz.tensors), inventory(&pt.tensors));
    assert_eq!(find(&pt, "skip_weights").to_f32(Rounding::Restored)[..2], [1.190_919_6, 0.196_871_53]);
    for tensor in &pt.tensors {
        assert_eq!(tensor.restore, FloatType::F32);
        let (a, b) = (tensor.to_f32(Rounding::Exact), find(&ptz, &tensor.name).to_f32(Rounding::Exact));
        // fp16 passthrough keeps 11 bits; the embedding has a step of at most 0.0195.
        let step = if tensor.name == "tok_emb.weight" { 0.01 } else { 5e-4 };
        let worst = a.iter().zip(&b).map(|(a, b)| (a - b).abs() / a.abs().max(1.0)).fold(0.0, f32::max);
        assert!(worst <= step, "`{}` differs by {worst}", tensor.name);
    }
    let config = derive(&inventory(&pt.tensors), &Assumptions::default()).unwrap();
    let sizes = ModelConfig {
        layers: 3,
        dim: 128,
        heads: 4,
        kv_heads: 2,
        hidden: 256,
        rope_dims: 32,
        ..Default::default()
    };
    assert_eq!(config, sizes);
}

/// Every published system in miniature: what the names and shapes cannot say is assumed, all else must come out.
#[test]
fn configurations_of_every_golden_system_are_derived_from_their_parameters() {
    let Some(golden) = shared("golden") else { return };
    let mut checked = 0;
    for entry in std::fs::read_dir(golden).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|e| e != "json") {
            continue;
        }
        let case: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let Some(config) = case.get("config").cloned() else { continue };
        let config: ModelConfig = serde_json::from_value(config).unwrap();
        let bytes = std::fs::read(path.with_extension("safetensors")).unwrap();
        let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        let parameter = |(name, view): (&str, safetensors::tensor::TensorView<'_>)| {
            Some((name.strip_prefix("param/")?.to_owned(), view.shape().to_vec()))
        };
        let parameters: Vec<_> = file.iter().filter_map(parameter).collect();
        let assume = Assumptions {
            act: if config.act == Activation::Leaky2Affine { Activation::Relu2 } else { config.act },
            trigram: if config.trigram == Trigram::None { Trigram::S951 } else { config.trigram },
            ve_layers: (!config.ve_layers.is_empty()).then(|| config.ve_layers.clone()),
            kv_share: None,
            xsa_last_n: config.xsa_last_n,
            rope_dims: Some(config.rope_dims),
            rope_base: config.rope_base,
            rope_ntk: config.rope_ntk,
            rope_train_len: config.rope_train_len,
            ln_scale: config.ln_scale,
            softcap: config.softcap,
            q_gain: config.q_gain,
        };
        let derived =
            derive(&parameters, &assume).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert_eq!(derived, config, "{}", path.display());
        checked += 1;
    }
    assert!(checked >= 9, "only {checked} cases");
}
