//! Byte accounting: the table of a vocabulary, the bytes charged to every target of a text, and bits per byte.
//!
//! The vocabulary is a list of pieces, a JSON file beside the fixture; the product reads it as it reads every
//! vocabulary, from a SentencePiece file, which is written here. The encoding of the text is checked where the tokenizer
//! itself, named by its hash, lies in the folder or in `tokenizers` beside it: its normalization is not in the list.

use super::Site;
use crate::selftest::fault::Fault;
use crate::selftest::fixture::Node;
use crate::selftest::report::CaseReport;
use crate::selftest::tolerance::Quantity;
use golf_core::digest::sha256_hex;
use golf_core::eval::bpb::bits_per_byte;
use golf_core::tokenizer::{AccountingError, ByteTable, PieceKind, Tokenizer};
use serde::Deserialize;
use std::fs;
use std::path::{Path, PathBuf};

/// Replays the block.
pub fn replay(site: &Site<'_>, report: &mut CaseReport) -> Result<(), Fault> {
    let node = site.fixture.json().field("bpb")?;
    let (table, ids) = (vocabulary(site, report)?, site.fixture.ints("bpb.ids")?.values);
    let ids: Vec<u32> = ids.into_iter().map(i32::cast_unsigned).collect();
    let got: Vec<i32> =
        ids.windows(2).map(|pair| table.target_bytes(Some(pair[0]), pair[1]).cast_signed()).collect();
    report.equal("bpb.target_bytes", "", &got, &site.fixture.ints("bpb.target_bytes")?.values);
    let total: i64 = got.iter().map(|&bytes| i64::from(bytes)).sum();
    let bytes: i64 = table.bytes.iter().map(|&bytes| i64::from(bytes)).sum();
    let flags = |flags: &[bool]| flags.iter().filter(|&&flag| flag).count() as i64;
    let counts = [
        ("tokens_including_bos", ids.len() as i64),
        ("targets", got.len() as i64),
        ("target_bytes_total", total),
        ("table_bytes_sum", bytes),
        ("table_leading", flags(&table.leading_space)),
        ("table_boundary", flags(&table.boundary)),
    ];
    for (key, got) in counts {
        report.equal("bpb.counts", key, &[got], &[node.get(key)?]);
    }
    let example = node.field("example")?;
    let got = bits_per_byte(example.get("nll_sum")?, total.unsigned_abs()).unwrap_or(f64::NAN);
    report.compare("bpb", Quantity::Schedule, "example", &[got], &[example.get("bpb")?]);
    text(site, &node, &ids, total, report)
}

/// The table of the vocabulary beside the fixture, compared with the stored one.
fn vocabulary(site: &Site<'_>, report: &mut CaseReport) -> Result<ByteTable, Fault> {
    let stored = site.fixture.ints("bpb.table.bytes")?.values;
    let lists = files(site.folder, "json").into_iter().filter_map(|path| pieces(&path));
    let pieces = lists.into_iter().find(|pieces| pieces.len() <= stored.len());
    let pieces = pieces.ok_or_else(|| Fault::MissingFile {
        expected: format!("a `.json` list of at most {} pieces beside the fixture", stored.len()),
    })?;
    let tokenizer = Tokenizer::from_sentencepiece(&sentencepiece(&pieces))?;
    let table = tokenizer.byte_table().padded(stored.len());
    let bytes: Vec<i32> = table.bytes.iter().map(|bytes| bytes.cast_signed()).collect();
    report.equal("bpb.table", "bytes", &bytes, &stored);
    report.equal("bpb.table", "leading", &table.leading_space, &site.fixture.flags("bpb.table.leading")?);
    report.equal("bpb.table", "boundary", &table.boundary, &site.fixture.flags("bpb.table.boundary")?);
    Ok(table)
}

/// The text that the ids stand for.
fn text(
    site: &Site<'_>,
    node: &Node<'_>,
    ids: &[u32],
    charged: i64,
    report: &mut CaseReport,
) -> Result<(), Fault> {
    let model: String = node.get("model_sha256")?;
    let Some(name) = node.find("text_file") else { return Ok(()) };
    let path = site.folder.join(name.read::<String>()?);
    let bytes = fs::read(&path).map_err(|source| Fault::File { path: path.display().to_string(), source })?;
    report.equal("bpb.text", "bytes", &[bytes.len()], &[node.get("text_bytes")?]);
    report.equal("bpb.text", "sha256", &[sha256_hex(&bytes)], &[node.get("text_sha256")?]);
    let folders = [site.folder.to_owned(), site.folder.join("../tokenizers")];
    let models = folders.iter().flat_map(|folder| files(folder, "model"));
    let file = models.filter_map(|path| fs::read(path).ok()).find(|file| sha256_hex(file) == model);
    let (Some(file), Ok(text)) = (file, String::from_utf8(bytes)) else { return Ok(()) };
    let tokenizer = Tokenizer::from_sentencepiece(&file)?;
    let encoded: Vec<u32> = ids.iter().take(1).copied().chain(tokenizer.encode(&text)).collect();
    report.equal("bpb.ids", "", ids, &encoded);
    let accounting = match tokenizer.account(&text, &encoded[1..]) {
        // A vocabulary may lose bytes on a text; what it charges is what is compared.
        Ok(accounting) | Err(AccountingError::Lossy { accounting, .. }) => accounting.charged_bytes,
        Err(_) => 0,
    };
    report.equal("bpb.ids", "charged bytes", &[accounting.cast_signed()], &[charged]);
    Ok(())
}

/// Files of a folder with this extension, in the order of their names.
fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut files: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|e| e == extension)).collect();
    files.sort();
    files
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredPiece {
    id: usize,
    piece: String,
    r#type: StoredKind,
    score: f32,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StoredKind {
    Normal,
    Unknown,
    Control,
    UserDefined,
    Unused,
    Byte,
}

impl StoredKind {
    fn code(self) -> u64 {
        let kind = match self {
            StoredKind::Normal => PieceKind::Normal,
            StoredKind::Unknown => PieceKind::Unknown,
            StoredKind::Control => PieceKind::Control,
            StoredKind::UserDefined => PieceKind::UserDefined,
            StoredKind::Unused => PieceKind::Unused,
            StoredKind::Byte => PieceKind::Byte,
        };
        kind as u64
    }
}

/// The pieces of a vocabulary in the order of their ids, if the file is a list of them.
fn pieces(path: &Path) -> Option<Vec<StoredPiece>> {
    let mut pieces: Vec<StoredPiece> = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
    pieces.sort_by_key(|piece| piece.id);
    let complete = !pieces.is_empty() && pieces.iter().enumerate().all(|(i, piece)| piece.id == i);
    complete.then_some(pieces)
}

/// Whether a JSON file is the list of a vocabulary's pieces rather than half of a case.
pub fn is_piece_list(path: &Path) -> bool {
    pieces(path).is_some()
}

/// A SentencePiece model file with these pieces: protobuf fields 1 (pieces) and 2 (trainer), of type BPE.
fn sentencepiece(pieces: &[StoredPiece]) -> Vec<u8> {
    const LENGTH: u64 = 2;
    let mut file = Vec::new();
    for piece in pieces {
        let mut message = Vec::new();
        varint(&mut message, 1 << 3 | LENGTH);
        varint(&mut message, piece.piece.len() as u64);
        message.extend_from_slice(piece.piece.as_bytes());
        varint(&mut message, 2 << 3 | 5);
        message.extend_from_slice(&piece.score.to_le_bytes());
        varint(&mut message, 3 << 3);
        varint(&mut message, piece.r#type.code());
        varint(&mut file, 1 << 3 | LENGTH);
        varint(&mut file, message.len() as u64);
        file.extend(message);
    }
    let has_bytes = pieces.iter().any(|piece| matches!(piece.r#type, StoredKind::Byte));
    let mut trainer = Vec::new();
    for (field, value) in [(3, 2), (35, u64::from(has_bytes))] {
        varint(&mut trainer, field << 3);
        varint(&mut trainer, value);
    }
    varint(&mut file, 2 << 3 | LENGTH);
    varint(&mut file, trainer.len() as u64);
    file.extend(trainer);
    file
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}
