//! Attacks on what the sections say: the tensor table, the values, configuration, provenance.

use golf_core::artifact::ArtifactError as E;

use super::bytes::{
    CONFIG, HALVES, IDENTITY, PROVENANCE, SCALES, SINGLES, SYMBOLS, Section, TENSORS, TOKENIZER, table,
};
use super::collection::{Attack, ROWS, config, row, with};

/// Attacks on the tensor table, the values and the small sections.
pub const CONTENT: [Attack; 40] = [
    (
        "4 billion tensors",
        |f| with(f, |f| f.replace(TENSORS, [0xff; 4])),
        |e| matches!(e, E::Limit { what: "tensors", .. }),
    ),
    (
        "tensors that are not there",
        |f| with(f, |f| f.replace(TENSORS, 60_000u32.to_le_bytes())),
        |e| matches!(e, E::EndsEarly { .. }),
    ),
    (
        "table cut",
        |f| with(f, |f| f.replace(TENSORS, &table(&ROWS)[..50])),
        |e| matches!(e, E::EndsEarly { .. }),
    ),
    (
        "bytes after the table",
        |f| with(f, |f| f.replace(TENSORS, [table(&ROWS), vec![0]].concat())),
        |e| matches!(e, E::BytesLeft { left: 1, .. }),
    ),
    (
        "table of 2 MiB",
        |f| with(f, |f| f.replace(TENSORS, vec![0; 2 << 20])),
        |e| matches!(e, E::Limit { what: "tensor table", .. }),
    ),
    (
        "name that is no text",
        |f| row(f, 0, (b"a\xff", 6, &[2, 3], 0)),
        |e| matches!(e, E::NameEncoding { at: 1, .. }),
    ),
    ("name of no bytes", |f| row(f, 0, (b"", 6, &[2, 3], 0)), |e| matches!(e, E::NameLength { got: 0, .. })),
    (
        "name that moves the cursor",
        |f| row(f, 0, (b"a\x1b[2J", 6, &[2, 3], 0)),
        |e| matches!(e, E::NameControl { .. }),
    ),
    (
        "two tensors of one name",
        |f| row(f, 1, (b"a.fc", 32, &[2], 0)),
        |e| matches!(e, E::NameDuplicate { .. }),
    ),
    (
        "names out of order",
        |f| row(f, 1, (b"Z", 32, &[2], 0)),
        |e| matches!(e, E::NameOrder { index: 1, .. }),
    ),
    ("7-bit tensor", |f| row(f, 0, (b"a.fc", 7, &[2, 3], 0)), |e| matches!(e, E::ElementType { got: 7, .. })),
    ("0-bit tensor", |f| row(f, 0, (b"a.fc", 0, &[2, 3], 0)), |e| matches!(e, E::ElementType { got: 0, .. })),
    ("rank 5", |f| row(f, 1, (b"b.gain", 32, &[2, 1, 1, 1, 1], 0)), |e| matches!(e, E::Rank { got: 5, .. })),
    ("quantized vector", |f| row(f, 0, (b"a.fc", 6, &[6], 0)), |e| matches!(e, E::Rank { got: 1, .. })),
    (
        "dimension 0",
        |f| row(f, 1, (b"b.gain", 32, &[u32::MAX, 0], 0)),
        |e| matches!(e, E::Dimension { axis: 1, .. }),
    ),
    (
        "2^128 elements",
        |f| row(f, 1, (b"b.gain", 32, &[u32::MAX; 4], 0)),
        |e| matches!(e, E::SizeOverflow { .. }),
    ),
    (
        "2^64 bytes",
        |f| row(f, 1, (b"b.gain", 32, &[u32::MAX, u32::MAX], 0)),
        |e| matches!(e, E::SizeOverflow { .. }),
    ),
    (
        "exabytes",
        |f| row(f, 1, (b"b.gain", 32, &[1 << 30, 1 << 28], 0)),
        |e| matches!(e, E::SectionSize { .. }),
    ),
    (
        "one row more than scales",
        |f| row(f, 3, (b"d.emb", 8, &[2, 1], 1)),
        |e| matches!(e, E::SectionSize { kind: "scales", .. }),
    ),
    (
        "one value less",
        |f| row(f, 2, (b"c.skip", 16, &[1], 0)),
        |e| matches!(e, E::SectionSize { kind: "halves", .. }),
    ),
    (
        "symbols nowhere",
        |f| row(f, 0, (b"a.fc", 6, &[2, 3], 9)),
        |e| matches!(e, E::SymbolGroup { group: 9, .. }),
    ),
    (
        "symbols of another width",
        |f| row(f, 3, (b"d.emb", 8, &[1, 2], 0)),
        |e| matches!(e, E::SymbolGroup { .. }),
    ),
    (
        "symbols of 7 bits",
        |f| with(f, |f| f.section(SYMBOLS).detail = 7),
        |e| matches!(e, E::SectionFlags { detail: 7, .. }),
    ),
    (
        "symbols of nobody",
        |f| with(f, |f| f.insert(Section { detail: 4, ..Section::new(SYMBOLS, *b"\x01") })),
        |e| matches!(e, E::UnusedSection { kind: "symbols", .. }),
    ),
    (
        "no scales",
        |f| with(f, |f| f.sections.retain(|s| s.kind != SCALES)),
        |e| matches!(e, E::MissingSection { kind: "scales" }),
    ),
    (
        "symbol 64 of 6 bits",
        |f| with(f, |f| f.replace(SYMBOLS, [0, 1, 2, 64, 4, 5])),
        |e| matches!(e, E::Integer { index: 3, got: 32, bits: 6, .. }),
    ),
    (
        "scale that is no number",
        |f| with(f, |f| f.replace(SCALES, [0, 0, 0, 0x3c, 0x7e, 0x3c])),
        |e| matches!(e, E::Scale { row: 1, .. }),
    ),
    (
        "infinite scale",
        |f| with(f, |f| f.replace(SCALES, [0, 0, 0, 0x3c, 0x3c, 0x7c])),
        |e| matches!(e, E::Scale { row: 0, .. }),
    ),
    (
        "negative zero as scale",
        |f| with(f, |f| f.replace(SCALES, [0, 0, 0, 0x80, 0x3c, 0x3c])),
        |e| matches!(e, E::Scale { row: 0, .. }),
    ),
    (
        "infinite half",
        |f| with(f, |f| f.replace(HALVES, [0, 0, 0x3c, 0xfc])),
        |e| matches!(e, E::Weight { index: 1, .. }),
    ),
    (
        "single that is no number",
        |f| with(f, |f| f.replace(SINGLES, [0, 1, 0, 0, 0x80, 0x80, 0x7f, 0x3f])),
        |e| matches!(e, E::Weight { index: 0, .. }),
    ),
    ("no layers", |f| config(f, "\"layers\":9", "\"layers\":0"), |e| matches!(e, E::Config(_))),
    (
        "infinite softcap",
        |f| config(f, "\"softcap\":30.0", "\"softcap\":1e999"),
        |e| matches!(e, E::Json { .. }),
    ),
    (
        "unknown config field",
        |f| config(f, "{", "{\"exec\":\"sh\","),
        |e| matches!(e, E::Json { kind: "config", .. }),
    ),
    ("config field twice", |f| config(f, "{", "{\"layers\":9,"), |e| matches!(e, E::Json { .. })),
    ("spaces in the config", |f| config(f, "{", "{ "), |e| matches!(e, E::NotCanonical { kind: "config" })),
    (
        "config nested 100,000 deep",
        |f| with(f, |f| f.replace(CONFIG, "[".repeat(100_000))),
        |e| matches!(e, E::Json { .. }),
    ),
    (
        "identity of 31 bytes",
        |f| with(f, |f| f.replace(IDENTITY, [7; 31])),
        |e| matches!(e, E::SectionSize { expected: 32, got: 31, .. }),
    ),
    (
        "provenance that moves the cursor",
        |f| with(f, |f| f.replace(PROVENANCE, "{\"notes\":\"\\u001b[2J\"}")),
        |e| matches!(e, E::Provenance { field: "notes", .. }),
    ),
    ("empty tokenizer", |f| with(f, |f| f.replace(TOKENIZER, [])), |e| matches!(e, E::EmptySection { .. })),
];
