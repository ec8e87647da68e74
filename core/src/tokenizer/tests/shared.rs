//! Checks against the field's own tokenizers and texts, where those are at hand.
//!
//! They are looked for in the folder that `GOLF_SHARED` names, else in `shared` beside the project root.

use std::io::Write;
use std::path::PathBuf;

use safetensors::SafeTensors;

use super::super::{AccountingError, PieceKind, Tokenizer};

fn shared() -> Option<PathBuf> {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared");
    let folder = std::env::var_os("GOLF_SHARED").map_or_else(|| PathBuf::from(beside), PathBuf::from);
    if folder.is_dir() {
        return Some(folder);
    }
    // Not `eprintln!`, which the test harness hides for passing tests.
    let notice =
        format!("skipped: no folder `{}` with tokenizers and texts; set GOLF_SHARED\n", folder.display());
    std::io::stderr().write_all(notice.as_bytes()).expect("standard error is open");
    None
}

fn read(folder: &std::path::Path, file: &str) -> Vec<u8> {
    let path = folder.join(file);
    std::fs::read(&path).unwrap_or_else(|error| panic!("`{}`: {error}", path.display()))
}

fn tokenizer(folder: &std::path::Path, name: &str) -> Tokenizer {
    let file = read(folder, &format!("tokenizers/{name}.model"));
    Tokenizer::from_sentencepiece(&file).unwrap_or_else(|error| panic!("`{name}`: {error}"))
}

fn ints(tensors: &SafeTensors, name: &str) -> Vec<u32> {
    let tensor = tensors.tensor(name).expect("the golden has this tensor");
    let words = tensor.data().chunks_exact(4);
    words.map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]])).collect()
}

fn flags(tensors: &SafeTensors, name: &str) -> Vec<bool> {
    tensors.tensor(name).expect("the golden has this tensor").data().iter().map(|flag| *flag != 0).collect()
}

#[test]
fn ids_and_bytes_equal_the_golden_ones() {
    let Some(folder) = shared() else { return };
    let golden = read(&folder, "golden/common.safetensors");
    let tensors = SafeTensors::deserialize(&golden).expect("a safetensors file");
    let tokenizer = tokenizer(&folder, "fineweb_1024_bpe");
    let table = tokenizer.byte_table();
    assert_eq!(table.bytes, ints(&tensors, "bpb.table.bytes"));
    assert_eq!(table.leading_space, flags(&tensors, "bpb.table.leading"));
    assert_eq!(table.boundary, flags(&tensors, "bpb.table.boundary"));
    let text = String::from_utf8(read(&folder, "golden/bpb_text.txt")).expect("UTF-8");
    let ids = ints(&tensors, "bpb.ids");
    assert_eq!([&[1], &*tokenizer.encode(&text)].concat(), ids);
    let charged: Vec<u32> = ids.windows(2).map(|pair| table.target_bytes(Some(pair[0]), pair[1])).collect();
    assert_eq!(charged, ints(&tensors, "bpb.target_bytes"));
    assert_eq!(charged.iter().sum::<u32>(), 19_555);
}

#[test]
fn pieces_equal_the_golden_list() {
    let Some(folder) = shared() else { return };
    let list: Vec<serde_json::Value> =
        serde_json::from_slice(&read(&folder, "golden/sp1024_pieces.json")).expect("JSON");
    let tokenizer = tokenizer(&folder, "fineweb_1024_bpe");
    assert_eq!(list.len(), tokenizer.len());
    for (entry, piece) in list.iter().zip(tokenizer.pieces()) {
        assert_eq!(entry["piece"], *piece.text);
        let kind = match piece.kind {
            PieceKind::Normal => "normal",
            PieceKind::Unknown => "unknown",
            PieceKind::Control => "control",
            other => panic!("unexpected kind {other:?}"),
        };
        assert_eq!(entry["type"], kind);
    }
}

#[test]
fn every_byte_of_wikitext_is_charged_with_byte_fallback() {
    let Some(folder) = shared() else { return };
    let text = String::from_utf8(read(&folder, "text/wikitext2_valid.txt")).expect("UTF-8");
    let names = [
        "fineweb_1024_official_rebuilt",
        "fineweb_8192_bpe",
        "fineweb_8192_bpe_lossless_caps_caseops_v1_reserved",
    ];
    for name in names {
        let tokenizer = tokenizer(&folder, name);
        let encoding = tokenizer.encode_with_spans(&text);
        let accounting = tokenizer.account_encoding(&text, &encoding).expect("no byte is lost");
        assert_eq!((accounting.charged_bytes, accounting.normalized_bytes), (1_114_198, 1_114_198), "{name}");
        assert_eq!(accounting.raw_bytes, 1_121_681);
    }
}

#[test]
fn the_tokenizer_under_the_official_name_loses_bytes_and_is_told_apart() {
    let Some(folder) = shared() else { return };
    let lossy = tokenizer(&folder, "fineweb_1024_bpe");
    let official = tokenizer(&folder, "fineweb_1024_official_rebuilt");
    assert_ne!(lossy.identity(), official.identity());
    assert_ne!(lossy.pieces_identity(), official.pieces_identity());
    let text = "caf\u{e9} {x} \u{1f600}";
    let error = lossy.account(text, &lossy.encode(text)).expect_err("braces have no piece");
    assert!(matches!(error, AccountingError::Lossy { first, .. } if &*first.piece == "<unk>"));
    official.account(text, &official.encode(text)).expect("byte fallback loses nothing");
}

#[test]
fn the_fields_tokenizers_are_small_and_whole_in_compact_form() {
    let Some(folder) = shared() else { return };
    // About twice what is needed now, so that a rule no longer predicted shows.
    let limits = [
        ("fineweb_1024_official_rebuilt", 8_000),
        ("fineweb_1024_bpe", 10_000),
        ("fineweb_8192_bpe_lossless_caps_caseops_v1_reserved", 80_000),
    ];
    for (name, limit) in limits {
        let tokenizer = tokenizer(&folder, name);
        let compact = tokenizer.to_compact();
        assert!(compact.len() < limit, "{name}: {} bytes", compact.len());
        let read = Tokenizer::from_compact(&compact).expect("a compact form reads back");
        assert_eq!(read.identity(), tokenizer.identity());
    }
}
