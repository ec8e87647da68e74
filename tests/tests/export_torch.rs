//! Exported torch files under torch itself: `torch.load` with `weights_only`, decoded as the challenge's baseline does,
//! gives the same 32-bit floats.
//!
//! The interpreter is `GOLF_TORCH_PYTHON`, or `python3`; where it has no torch the test says so and passes.

use golf_core::artifact::{ArtifactTensor, TensorData};
use golf_core::export::{Wrapping, per_row};
use half::f16;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::io::Write;
use std::process::Command;

const SCRIPT: &str = r#"
import hashlib, io, json, sys, zlib
import torch
blob = open(sys.argv[1], "rb").read()
if blob[:2] == b"\x78\xda":
    blob = zlib.decompress(blob)
obj = torch.load(io.BytesIO(blob), map_location="cpu", weights_only=True)
out = {}
for name, q in obj["quantized"].items():
    scale = obj["scales"][name].to(torch.float32)
    values = q.float() * scale.view(q.shape[0], *([1] * (q.ndim - 1)))
    out[name] = values.to(getattr(torch, obj["dtypes"][name]))
for name, tensor in obj["passthrough"].items():
    original = obj["passthrough_orig_dtypes"].get(name)
    out[name] = tensor.to(getattr(torch, original)) if original else tensor
hashes = {n: [list(t.shape), hashlib.sha256(t.contiguous().numpy().tobytes()).hexdigest()] for n, t in out.items()}
print(json.dumps([obj["__quant_format__"], hashes]))
"#;

fn tensors() -> Vec<ArtifactTensor> {
    let halves = |n: usize| (0..n).map(|i| f16::from_f32(0.01 + i as f32 / 7.0)).collect::<Vec<_>>();
    let q =
        |n: usize, c: i32| (0..n as i32).map(|i| (i * 31 % (2 * c + 2) - c - 1) as i8).collect::<Vec<_>>();
    let tensor = |name: &str, shape: &[usize], data| ArtifactTensor {
        name: name.to_owned(),
        shape: shape.to_vec(),
        data,
    };
    vec![
        tensor(
            "blocks.0.mlp.fc.weight",
            &[5, 33],
            TensorData::Quantized { bits: 5, q: q(165, 15), scales: halves(5) },
        ),
        tensor("blocks.0.q_gain", &[4], TensorData::F16(halves(4))),
        tensor("skip_weights", &[2, 3], TensorData::F32((0..6).map(|i| 0.1 * i as f32 - 0.2).collect())),
        tensor(
            "tok_emb.weight",
            &[7, 2],
            TensorData::Quantized { bits: 8, q: q(14, 127), scales: halves(7) },
        ),
        tensor("ve_shared.scale", &[], TensorData::F32(vec![-0.3])),
    ]
}

/// The interpreter, if it has torch; prints why there is none.
fn python() -> Option<String> {
    let name = std::env::var("GOLF_TORCH_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let probe = Command::new(&name).args(["-c", "import torch"]).output();
    if probe.is_ok_and(|output| output.status.success()) {
        return Some(name);
    }
    let reason =
        format!("skipped: `{name}` has no torch; set GOLF_TORCH_PYTHON to an interpreter that has\n");
    // Past the test harness's capture of printed lines: a skip must be seen.
    std::io::stderr().write_all(reason.as_bytes()).expect("stderr is open");
    None
}

#[test]
fn torch_reads_exported_files_to_the_same_floats() {
    let Some(python) = python() else { return };
    let expected: BTreeMap<String, (Vec<usize>, String)> = (tensors().iter())
        .map(|t| {
            let bytes: Vec<u8> = t.to_f32().f32s().iter().flat_map(|x| x.to_le_bytes()).collect();
            let hash: String = Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect();
            (t.name.clone(), (t.shape.clone(), hash))
        })
        .collect();
    let folder = tempfile::tempdir().expect("a folder");
    for wrapping in [Wrapping::None, Wrapping::Zlib] {
        let path = folder.path().join("model.ptz");
        std::fs::write(&path, per_row(&tensors(), wrapping)).expect("the folder takes a file");
        let output = Command::new(&python)
            .args(["-c", SCRIPT])
            .arg(&path)
            .output()
            .expect("the interpreter ran before");
        assert!(output.status.success(), "{wrapping:?}: {}", String::from_utf8_lossy(&output.stderr));
        let (format, found): (String, BTreeMap<String, (Vec<usize>, String)>) =
            serde_json::from_slice(&output.stdout).expect("the script prints JSON");
        assert_eq!(format, "int8_clean_per_row_v1");
        assert_eq!(found, expected, "{wrapping:?}");
    }
}
