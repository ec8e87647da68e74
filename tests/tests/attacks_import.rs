//! Hostile and malformed model files: each is refused with a typed error, in bounded memory, and runs nothing.

/// A predicate that names the one expected cause.
type Cause = fn(&ImportError) -> bool;

macro_rules! cause {
    ($pattern:pat) => {
        (|error| matches!(error, $pattern)) as Cause
    };
}

#[path = "attacks_import/exports.rs"]
mod exports;
#[path = "attacks_import/files.rs"]
mod files;
#[path = "attacks_import/opcodes.rs"]
mod opcodes;
#[path = "attacks_import/public_artifacts.rs"]
mod public_artifacts;
#[path = "attacks_import/torch_file.rs"]
mod torch_file;

use std::time::{Duration, Instant};

use golf_core::import::{
    Assumptions, ImportError, ImportedData, LayoutError, Limits, PickleError, Rounding, ShapeError,
    StorageError, TorchZipError, import_bytes, shapes,
};
use torch_file::{Pickle, f32s, torch_file};

fn refused(cases: Vec<(&str, Vec<u8>, Cause)>) {
    for (what, bytes, is_cause) in cases {
        let start = Instant::now();
        match import_bytes(&bytes, &Limits::default()) {
            Ok(file) => panic!("{what}: accepted as {:?}", file.layout),
            Err(error) => {
                assert!(is_cause(&error), "{what}: refused for another reason: {error:?}");
                let message = error.to_string();
                assert!(!message.ends_with('.') && message.len() < 600, "{what}: {message}");
            }
        }
        assert!(start.elapsed() < Duration::from_secs(5), "{what}: took {:?}", start.elapsed());
    }
}

/// A state dict `{"w": tensor}`.
fn state_dict(kind: &str, numel: i64, offset: i64, shape: &[i64], stride: &[i64]) -> Pickle {
    Pickle::new().ordered_dict().str("w").tensor(kind, "0", numel, offset, shape, stride).raw(b"s")
}

fn only_pickle(program: Pickle) -> Vec<u8> {
    torch_file(&program.stop(), &[])
}

fn with_floats(program: Pickle, count: usize) -> Vec<u8> {
    torch_file(&program.stop(), &[("0", f32s(&vec![1.0; count]))])
}

#[test]
fn a_well_formed_file_is_read() {
    let bytes = with_floats(state_dict("FloatStorage", 6, 0, &[2, 3], &[3, 1]), 6);
    let file = import_bytes(&bytes, &Limits::default()).unwrap();
    assert_eq!(file.tensors[0].data, ImportedData::F32(vec![1.0; 6]));
}

#[test]
fn programs_that_reach_for_code_are_refused() {
    let p = Pickle::new;
    refused(vec![
        (
            "os.system",
            only_pickle(p().global("os", "system").str("touch /tmp/pwned").raw(&[0x85]).raw(b"R")),
            cause!(ImportError::Pickle(PickleError::Global { .. })),
        ),
        (
            "a wanted name in another module",
            only_pickle(p().global("torch.storage", "FloatStorage")),
            cause!(ImportError::Pickle(PickleError::Global { .. })),
        ),
        (
            "call of a storage type",
            only_pickle(p().global("torch", "FloatStorage").raw(b")R")),
            cause!(ImportError::Pickle(PickleError::NotCallable { what: "a storage type", .. })),
        ),
        (
            "call of a string",
            only_pickle(p().str("os.system").raw(b")R")),
            cause!(ImportError::Pickle(PickleError::NotCallable { .. })),
        ),
        (
            "OrderedDict with arguments",
            only_pickle(p().global("collections", "OrderedDict").raw(b"]").raw(&[0x85]).raw(b"R")),
            cause!(ImportError::Pickle(PickleError::Arguments { .. })),
        ),
        (
            "state for a plain dict",
            only_pickle(p().raw(b"}}b")),
            cause!(ImportError::Pickle(PickleError::Build { .. })),
        ),
        (
            "state other than metadata",
            only_pickle(p().ordered_dict().raw(b"}").str("__class__").raw(b"Nsb")),
            cause!(ImportError::Pickle(PickleError::Build { .. })),
        ),
        (
            "a callable as a result",
            only_pickle(p().global("collections", "OrderedDict")),
            cause!(ImportError::Pickle(PickleError::NotData { .. })),
        ),
    ]);
    // INST, OBJ, NEWOBJ, NEWOBJ_EX, STACK_GLOBAL, EXT1/2/4, PERSID, and the text opcodes of protocol 0.
    for opcode in [b'i', b'o', 0x81, 0x92, 0x93, 0x82, 0x83, 0x84, b'P', b'I', b'F', b'S', b'V', b'g', b'p'] {
        refused(vec![(
            "an opcode that is not data",
            only_pickle(p().raw(&[opcode]).raw(b"os\nsystem\n")),
            cause!(ImportError::Pickle(PickleError::Opcode { at: 2, .. })),
        )]);
    }
}

#[test]
fn programs_that_are_bombs_are_refused() {
    let p = Pickle::new;
    // 25 levels of pairs of the level below: 2^25 values when written out.
    let memo_bomb = (0..25u8).fold(p().raw(b")q\x00"), |q, i| q.raw(&[b'h', i, 0x86, b'q', i + 1]));
    let nested = p().raw(&b"]".repeat(100)).raw(&b"a".repeat(99));
    refused(vec![
        ("memo bomb", only_pickle(memo_bomb), cause!(ImportError::Pickle(PickleError::TooManyValues))),
        (
            "a long string a hundred thousand times",
            only_pickle(
                p().raw(b"]").str(&"x".repeat(4096)).raw(b"q\x00a(").raw(&b"h\x00".repeat(100_000)).raw(b"e"),
            ),
            cause!(ImportError::Pickle(PickleError::TooManyValues)),
        ),
        (
            "far memo slot",
            only_pickle(p().raw(b"Nr\xff\xff\xff\xff")),
            cause!(ImportError::Pickle(PickleError::Limit { .. })),
        ),
        (
            "memo slot beyond the program",
            only_pickle(p().raw(b"Nr\xff\xff\x0e\x00")),
            cause!(ImportError::Pickle(PickleError::Limit { .. })),
        ),
        ("deep nesting", only_pickle(nested), cause!(ImportError::Pickle(PickleError::TooDeep))),
        (
            "a list inside itself",
            only_pickle(p().raw(b"]q\x00h\x00a")),
            cause!(ImportError::Pickle(PickleError::TooDeep)),
        ),
        (
            "open marks",
            only_pickle(p().raw(&b"(".repeat(1000))),
            cause!(ImportError::Pickle(PickleError::Limit { what: "open marks", .. })),
        ),
        (
            "stack of millions",
            only_pickle(p().raw(&b"N".repeat(1 << 19))),
            cause!(ImportError::Pickle(PickleError::Limit { what: "values on the stack", .. })),
        ),
        (
            "string of 4 GiB",
            only_pickle(p().raw(b"X\xff\xff\xff\xff")),
            cause!(ImportError::Pickle(PickleError::Limit { .. })),
        ),
        (
            "integer of 255 bytes",
            only_pickle(p().raw(&[0x8a, 255])),
            cause!(ImportError::Pickle(PickleError::Limit { .. })),
        ),
        (
            "long tuple",
            only_pickle(p().ints(&[0; 65])),
            cause!(ImportError::Pickle(PickleError::Limit { .. })),
        ),
        (
            "pickle of 17 MiB",
            only_pickle(p().raw(&vec![b'N'; 17 << 20])),
            cause!(ImportError::TorchZip(TorchZipError::PickleTooLarge { .. })),
        ),
    ]);
}

#[test]
fn malformed_programs_are_refused() {
    let p = Pickle::new;
    refused(vec![
        (
            "no STOP",
            torch_file(&p().raw(b"}").0, &[]),
            cause!(ImportError::Pickle(PickleError::Truncated { .. })),
        ),
        ("nothing", torch_file(&[], &[]), cause!(ImportError::Pickle(PickleError::Truncated { .. }))),
        ("nothing but STOP", only_pickle(p()), cause!(ImportError::Pickle(PickleError::Underflow { .. }))),
        (
            "bytes after STOP",
            torch_file(&p().raw(b"}..").0, &[]),
            cause!(ImportError::Pickle(PickleError::Trailing { at: 4 })),
        ),
        ("two results", only_pickle(p().raw(b"}}")), cause!(ImportError::Pickle(PickleError::Kind { .. }))),
        (
            "protocol 4",
            torch_file(b"\x80\x04}.", &[]),
            cause!(ImportError::Pickle(PickleError::Protocol { got: 4 })),
        ),
        (
            "tuple across a mark",
            only_pickle(p().raw(b"N(N\x86")),
            cause!(ImportError::Pickle(PickleError::Underflow { .. })),
        ),
        (
            "items without a mark",
            only_pickle(p().raw(b"}u")),
            cause!(ImportError::Pickle(PickleError::Underflow { .. })),
        ),
        (
            "a key without a value",
            only_pickle(p().raw(b"}(Nu")),
            cause!(ImportError::Pickle(PickleError::Kind { .. })),
        ),
        (
            "items of a list",
            only_pickle(p().raw(b"](NNu")),
            cause!(ImportError::Pickle(PickleError::Kind { .. })),
        ),
        (
            "an empty memo slot",
            only_pickle(p().raw(b"h\x07")),
            cause!(ImportError::Pickle(PickleError::Memo { .. })),
        ),
        (
            "text that is not UTF-8",
            only_pickle(p().raw(b"X\x02\0\0\0\xc3\x28")),
            cause!(ImportError::Pickle(PickleError::Utf8 { at: 2 })),
        ),
        (
            "the same key twice",
            only_pickle(p().raw(b"}(").str("a").raw(b"N").str("a").raw(b"Nu")),
            cause!(ImportError::Pickle(PickleError::DuplicateKey { .. })),
        ),
        (
            "a number as a key",
            only_pickle(p().raw(b"}").int(1).raw(b"Ns")),
            cause!(ImportError::Pickle(PickleError::Key { got: "an int" })),
        ),
        (
            "a persistent id that is no storage",
            only_pickle(p().str("0").raw(b"Q")),
            cause!(ImportError::Pickle(PickleError::Arguments { .. })),
        ),
    ]);
}

#[test]
fn tensors_that_lie_about_their_storage_are_refused() {
    let arguments = cause!(ImportError::Pickle(PickleError::Arguments { .. }));
    let view = cause!(ImportError::Layout(LayoutError::Storage(StorageError::View { .. })));
    let size = cause!(ImportError::Layout(LayoutError::Storage(StorageError::Size { .. })));
    let float = |numel, offset, shape: &[i64], stride: &[i64]| {
        with_floats(state_dict("FloatStorage", numel, offset, shape, stride), 6)
    };
    refused(vec![
        ("negative size", float(6, 0, &[-2, 3], &[3, 1]), arguments),
        ("negative stride", float(6, 5, &[6], &[-1]), arguments),
        ("negative offset", float(6, -1, &[1], &[1]), arguments),
        ("negative element count", float(-6, 0, &[1], &[1]), arguments),
        ("rank 9", float(6, 0, &[1; 9], &[1; 9]), arguments),
        ("fewer strides than sizes", float(6, 0, &[2, 3], &[1]), arguments),
        ("storage shorter than claimed", float(7, 0, &[7], &[1]), size),
        ("storage longer than claimed", float(5, 0, &[5], &[1]), size),
        ("element count that overflows bytes", float(i64::MAX, 0, &[5], &[1]), size),
        ("storage shorter than the tensor", float(6, 0, &[7], &[1]), view),
        ("offset beyond the end", float(6, 1, &[6], &[1]), view),
        ("strides beyond the end", float(6, 0, &[2, 3], &[4, 1]), view),
        ("stride that overflows", float(6, 0, &[3], &[i64::MAX]), view),
        ("sizes that overflow", float(6, 0, &[1 << 40, 1 << 40], &[0, 0]), view),
        (
            "one element expanded to 4 TiB",
            float(6, 0, &[1 << 20, 1 << 20], &[0, 0]),
            cause!(ImportError::Layout(LayoutError::Storage(StorageError::Budget { .. }))),
        ),
        (
            "missing storage",
            only_pickle(state_dict("FloatStorage", 6, 0, &[6], &[1])),
            cause!(ImportError::Layout(LayoutError::Storage(StorageError::Missing { .. }))),
        ),
        (
            "integers as a parameter",
            torch_file(&state_dict("LongStorage", 1, 0, &[1], &[1]).stop(), &[("0", vec![0; 8])]),
            cause!(ImportError::Layout(LayoutError::Storage(StorageError::Element { .. }))),
        ),
        (
            "signed bytes as a parameter",
            torch_file(&state_dict("CharStorage", 1, 0, &[1], &[1]).stop(), &[("0", vec![0])]),
            cause!(ImportError::Layout(LayoutError::Values { .. })),
        ),
    ]);
}

/// `{"__quant_format__", "quantized", …}` with one 2x2 matrix, its scales in storage `1`.
fn clean_per_row(format: &str, scale_shape: &[i64], dtype: &str, extra: &str) -> Pickle {
    let p = Pickle::new().raw(b"}(").str("__quant_format__").str(format).str("quantized").raw(b"}").str("w");
    let p = p.tensor("CharStorage", "0", 4, 0, &[2, 2], &[2, 1]).raw(b"s").str("scales").raw(b"}").str("w");
    let strides: Vec<i64> = scale_shape.iter().map(|_| 1).collect();
    let p =
        p.tensor("FloatStorage", "1", 2, 0, scale_shape, &strides).raw(b"s").str("dtypes").raw(b"}").str("w");
    p.str(dtype).raw(b"s").str("passthrough").raw(b"}").str(extra).raw(b"}u")
}

fn quantized_file(program: Pickle, scales: [f32; 2]) -> Vec<u8> {
    torch_file(&program.stop(), &[("0", vec![1, 2, 253, 4]), ("1", f32s(&scales))])
}

#[test]
fn exports_that_do_not_add_up_are_refused() {
    let format = "int8_clean_per_row_v1";
    let program = clean_per_row(format, &[2], "float32", "qmeta");
    let good = import_bytes(&quantized_file(program, [0.5, 2.0]), &Limits::default()).unwrap();
    assert_eq!(good.tensors[0].to_f32(Rounding::Restored), [0.5, 1.0, -6.0, 8.0]);

    let meta_only =
        Pickle::new().raw(b"}(").str("w").raw(b"}").str("m").raw(b"}").str("x").str("passthrough").raw(b"su");
    let lqer = Pickle::new().raw(b"}(").str("w").raw(b"}").str("x.lqA").raw(b"Ns").str("m").raw(b"}u");
    let scheme =
        Pickle::new().raw(b"}(").str("w").raw(b"}").str("m").raw(b"}").str("x").str("ternary").raw(b"su");
    let scale_shape = cause!(ImportError::Layout(LayoutError::ScaleShape { .. }));
    let scale_value = cause!(ImportError::Layout(LayoutError::ScaleValue { index: 1, .. }));
    refused(vec![
        (
            "unknown format",
            quantized_file(clean_per_row("int8_v2", &[2], "float32", "qmeta"), [1.0; 2]),
            cause!(ImportError::Layout(LayoutError::Format { .. })),
        ),
        (
            "one scale for two rows",
            quantized_file(clean_per_row(format, &[1], "float32", "qmeta"), [1.0; 2]),
            scale_shape,
        ),
        (
            "NaN scale",
            quantized_file(clean_per_row(format, &[2], "float32", "qmeta"), [1.0, f32::NAN]),
            scale_value,
        ),
        (
            "infinite scale",
            quantized_file(clean_per_row(format, &[2], "float32", "qmeta"), [1.0, f32::INFINITY]),
            scale_value,
        ),
        (
            "integer dtype",
            quantized_file(clean_per_row(format, &[2], "int64", "qmeta"), [1.0; 2]),
            cause!(ImportError::Layout(LayoutError::Dtype { .. })),
        ),
        (
            "an unknown part",
            quantized_file(clean_per_row(format, &[2], "float32", "lora"), [1.0; 2]),
            cause!(ImportError::Layout(LayoutError::Unclaimed { .. })),
        ),
        (
            "a listed tensor that is missing",
            only_pickle(meta_only),
            cause!(ImportError::Layout(LayoutError::Missing { .. })),
        ),
        ("an extension", only_pickle(lqer), cause!(ImportError::Layout(LayoutError::Unclaimed { .. }))),
        ("an unknown scheme", only_pickle(scheme), cause!(ImportError::Layout(LayoutError::Scheme { .. }))),
        (
            "an empty dict",
            only_pickle(Pickle::new().raw(b"}")),
            cause!(ImportError::Layout(LayoutError::Unknown { .. })),
        ),
        (
            "a number",
            only_pickle(Pickle::new().int(7)),
            cause!(ImportError::Layout(LayoutError::Unknown { .. })),
        ),
    ]);
}

#[test]
fn damaged_files_never_panic() {
    let program = clean_per_row("int8_clean_per_row_v1", &[2], "float32", "qmeta");
    let bytes = quantized_file(program, [0.5, 2.0]);
    for at in 0..bytes.len() {
        let _ = import_bytes(&bytes[..at], &Limits::default());
        for flip in [0x01, 0x80, 0xff] {
            let mut damaged = bytes.clone();
            damaged[at] ^= flip;
            let _ = import_bytes(&damaged, &Limits::default());
        }
    }
}

#[test]
fn models_with_foreign_or_missing_parameters_are_refused_by_name() {
    let inventory = |names: &[(&str, &[usize])]| -> Vec<(String, Vec<usize>)> {
        names.iter().map(|(n, s)| ((*n).to_owned(), s.to_vec())).collect()
    };
    let mut good = inventory(&[
        ("tok_emb.weight", &[16, 8]),
        ("blocks.0.attn_scale", &[8]),
        ("blocks.0.mlp_scale", &[8]),
        ("blocks.0.attn.q_gain", &[2]),
        ("blocks.0.attn.c_q.weight", &[8, 8]),
        ("blocks.0.attn.c_k.weight", &[4, 8]),
        ("blocks.0.attn.c_v.weight", &[4, 8]),
        ("blocks.0.attn.proj.weight", &[8, 8]),
        ("blocks.0.mlp.fc.weight", &[24, 8]),
        ("blocks.0.mlp.proj.weight", &[8, 24]),
    ]);
    let config = shapes::derive(&good, &Assumptions::default()).unwrap();
    assert_eq!((config.layers, config.heads, config.kv_heads, config.hidden), (1, 2, 1, 24));
    assert!(!config.resid_mix && config.tied);
    for missing in 0..good.len() {
        let rest: Vec<_> = good.iter().filter(|p| p.0 != good[missing].0).cloned().collect();
        assert!(shapes::derive(&rest, &Assumptions::default()).is_err(), "without `{}`", good[missing].0);
    }
    good.push(("blocks.0.attn.lora_a".into(), vec![4]));
    let error = shapes::derive(&good, &Assumptions::default()).unwrap_err();
    assert!(
        matches!(&error, ShapeError::Unknown { count: 1, first } if first[0] == "blocks.0.attn.lora_a"),
        "{error}"
    );
    good.pop();
    good.push(("blocks.4000000000.attn_scale".into(), vec![8]));
    let error = shapes::derive(&good, &Assumptions::default()).unwrap_err();
    assert!(matches!(error, ShapeError::Layers { .. }), "{error}");
}
