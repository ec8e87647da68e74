//! Attacks are small changes to a sound file, each with the error that must answer it; here are those on the
//! container and on compressed streams.

use golf_core::artifact::ArtifactError as E;
use golf_core::codec::CodecError as C;

use super::bytes::{
    BROTLI, CONFIG, File, LZMA, Row, SCALES, SINGLES, STORE, SYMBOLS, Section, TENSORS, TOKENIZER, ZSTD,
    table,
};

/// Name of the attack, what it does to a sound file, and whether an error is the right answer.
pub type Attack = (&'static str, fn(File) -> Vec<u8>, fn(&E) -> bool);

/// The sound file's own table; see `sound` in the parent.
pub const ROWS: [Row; 4] =
    [(b"a.fc", 6, &[2, 3], 0), (b"b.gain", 32, &[2], 0), (b"c.skip", 16, &[2], 0), (b"d.emb", 8, &[1, 2], 1)];

/// Replaces one row of the table.
pub(super) fn row(mut file: File, index: usize, row: Row) -> Vec<u8> {
    let mut rows = ROWS;
    rows[index] = row;
    file.replace(TENSORS, table(&rows));
    file.bytes()
}

/// Changes one field of the file.
pub(super) fn with(mut file: File, change: impl FnOnce(&mut File)) -> Vec<u8> {
    change(&mut file);
    file.bytes()
}

/// Puts `stored` under `codec` into the tokenizer's section, declared as `raw` bytes.
fn coded(file: File, codec: u8, raw: u32, stored: Vec<u8>) -> Vec<u8> {
    with(file, |f| *f.section(TOKENIZER) = Section::new(TOKENIZER, []).coded(codec, raw, stored))
}

/// Replaces the text of the configuration.
pub(super) fn config(mut file: File, from: &str, to: &str) -> Vec<u8> {
    let text = String::from_utf8(file.section(CONFIG).stored.clone()).unwrap();
    assert!(text.contains(from), "{from} in {text}");
    file.replace(CONFIG, text.replacen(from, to, 1));
    file.bytes()
}

fn zstd(raw: &[u8]) -> Vec<u8> {
    zstd::bulk::compress(raw, 19).unwrap()
}

/// 300 million zeros in a frame of blocks that repeat one byte, with the size that the header states.
fn zstd_bomb(states: u32) -> Vec<u8> {
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0x80, 0x68];
    frame.extend(states.to_le_bytes());
    let block = |last: u32| ((128 << 10) << 3 | 1 << 1 | last).to_le_bytes();
    for _ in 0..2400 {
        frame.extend(&block(0)[..3]);
        frame.push(0);
    }
    frame.extend(&block(1)[..3]);
    frame.push(0);
    frame
}

/// The largest possible range coder state of an LZMA stream: the decoder sees ones.
fn lzma(properties: u8, dictionary: u32) -> Vec<u8> {
    let mut stream = vec![properties];
    stream.extend(dictionary.to_le_bytes());
    stream.push(0);
    stream.extend([0xff; 64]);
    stream
}

fn codec(error: &E, expected: fn(&C) -> bool) -> bool {
    matches!(error, E::Codec { source, .. } if expected(source))
}

/// Attacks on the header and the section table.
pub const CONTAINER: [Attack; 29] = [
    ("empty file", |_| vec![], |e| matches!(e, E::Magic { .. })),
    ("a pickle", |_| b"\x80\x02}q\x00.".repeat(40), |e| matches!(e, E::Magic { .. })),
    (
        "line ends translated",
        |f| with(f, |f| f.magic = *b"\x89GLF\n\x1a\n\x01"),
        |e| matches!(e, E::Magic { .. }),
    ),
    ("high bit stripped", |f| with(f, |f| f.magic[0] = 9), |e| matches!(e, E::Magic { .. })),
    ("half a header", |f| f.bytes()[..50].to_vec(), |e| matches!(e, E::Truncated { .. })),
    ("a byte more", |f| [&f.bytes()[..], &[0]].concat(), |e| matches!(e, E::TrailingBytes { .. })),
    ("two files", |f| f.bytes().repeat(2), |e| matches!(e, E::TrailingBytes { .. })),
    ("declared longer", |f| with(f, |f| f.length_error = 1), |e| matches!(e, E::Truncated { .. })),
    ("declared shorter", |f| with(f, |f| f.length_error = -1), |e| matches!(e, E::TrailingBytes { .. })),
    ("newer major version", |f| with(f, |f| f.major = 2), |e| matches!(e, E::Version { major: 2, .. })),
    ("major version 0", |f| with(f, |f| f.major = 0), |e| matches!(e, E::Version { major: 0, .. })),
    ("big-endian", |f| with(f, |f| f.order = 2), |e| matches!(e, E::ByteOrder { got: 2 })),
    ("unknown feature", |f| with(f, |f| f.features = 1 << 31), |e| matches!(e, E::Features { .. })),
    ("header CRC", |f| with(f, |f| f.header_crc_error = 1), |e| matches!(e, E::HeaderCrc { .. })),
    (
        "section CRC under a right SHA-256",
        |f| with(f, |f| f.section(SYMBOLS).crc_error = 1),
        |e| matches!(e, E::SectionCrc { kind: "symbols", .. }),
    ),
    ("SHA-256", |f| with(f, |f| f.digest_error = 1), |e| matches!(e, E::FileDigest)),
    ("content digest", |f| with(f, |f| f.content[31] ^= 1), |e| matches!(e, E::ContentDigest)),
    (
        "65,535 sections",
        |f| with(f, |f| f.count = Some(u16::MAX)),
        |e| matches!(e, E::Limit { what: "sections", .. }),
    ),
    ("table past the end", |f| with(f, |f| f.count = Some(4000)), |e| matches!(e, E::Truncated { .. })),
    (
        "overlapping sections",
        |f| with(f, |f| f.section(SCALES).declared += 1),
        |e| matches!(e, E::SectionSum { .. }),
    ),
    (
        "section of 4 GiB",
        |f| with(f, |f| f.section(SCALES).declared = u32::MAX),
        |e| matches!(e, E::SectionSum { .. }),
    ),
    (
        "gap before the digest",
        |f| with(f, |f| f.section(SINGLES).declared -= 1),
        |e| matches!(e, E::SectionSum { .. }),
    ),
    (
        "sections out of order",
        |f| with(f, |f| f.sections.swap(0, 1)),
        |e| matches!(e, E::SectionOrder { .. }),
    ),
    (
        "two configs",
        |f| with(f, |f| f.sections.insert(0, f.sections[0].clone())),
        |e| matches!(e, E::SectionOrder { index: 1, .. }),
    ),
    (
        "no tensor table",
        |f| with(f, |f| f.sections.retain(|s| s.kind != TENSORS)),
        |e| matches!(e, E::MissingSection { kind: "tensors" }),
    ),
    (
        "unknown required section",
        |f| with(f, |f| f.insert(Section { flags: 1, ..Section::new(200, *b"?") })),
        |e| matches!(e, E::UnknownSection { kind: 200, .. }),
    ),
    (
        "reserved flag",
        |f| with(f, |f| f.section(SCALES).flags |= 0x80),
        |e| matches!(e, E::SectionFlags { .. }),
    ),
    (
        "columns of scales",
        |f| with(f, |f| f.section(SCALES).flags |= 2),
        |e| matches!(e, E::SectionFlags { .. }),
    ),
    (
        "config not required",
        |f| with(f, |f| f.section(CONFIG).flags = 0),
        |e| matches!(e, E::SectionFlags { .. }),
    ),
];

/// Attacks through compressed streams.
pub const STREAMS: [Attack; 23] = [
    ("unknown codec", |f| coded(f, 9, 4, vec![0; 4]), |e| codec(e, |c| matches!(c, C::Unknown { id: 9 }))),
    (
        "stored bytes missing",
        |f| coded(f, STORE, 8, vec![0; 4]),
        |e| codec(e, |c| matches!(c, C::Length { .. })),
    ),
    ("4 GiB declared", |f| coded(f, ZSTD, u32::MAX, zstd(b"x")), |e| matches!(e, E::Limit { .. })),
    ("ratio beyond the cap", |f| coded(f, ZSTD, 20 << 20, zstd(&[0; 99])), |e| matches!(e, E::Limit { .. })),
    (
        "zstd bomb that hides its size",
        |f| coded(f, ZSTD, 1000, zstd_bomb(1000)),
        |e| codec(e, |c| matches!(c, C::Length { codec: "zstd", expected: 1000, .. })),
    ),
    (
        "zstd bomb that states its size",
        |f| coded(f, ZSTD, 1000, zstd_bomb(2401 << 17)),
        |e| codec(e, |c| matches!(c, C::Length { codec: "zstd", .. })),
    ),
    (
        "zstd bomb declared in full",
        |f| coded(f, ZSTD, 2401 << 17, zstd_bomb(2401 << 17)),
        |e| matches!(e, E::Limit { .. }),
    ),
    (
        "two zstd frames",
        |f| coded(f, ZSTD, 8, zstd(b"abcdefgh").repeat(2)),
        |e| codec(e, |c| matches!(c, C::TrailingBytes { .. })),
    ),
    (
        "skippable zstd frame first",
        |f| coded(f, ZSTD, 8, [&b"\x50\x2a\x4d\x18\0\0\0\0"[..], &zstd(b"abcdefgh")].concat()),
        |e| matches!(e, E::Codec { .. }),
    ),
    (
        "zstd window of 2 TiB",
        |f| coded(f, ZSTD, 300, vec![0x28, 0xb5, 0x2f, 0xfd, 0x40, 0xf8, 44, 0, 1, 0, 0]),
        |e| codec(e, |c| matches!(c, C::WindowTooLarge { codec: "zstd", .. })),
    ),
    (
        "zstd dictionary",
        |f| coded(f, ZSTD, 1, vec![0x28, 0xb5, 0x2f, 0xfd, 0x21, 7, 1, 9, 0, 0, 0]),
        |e| codec(e, |c| matches!(c, C::Unsupported { .. })),
    ),
    (
        "zstd reserved bit",
        |f| coded(f, ZSTD, 1, vec![0x28, 0xb5, 0x2f, 0xfd, 0x28, 1, 9, 0, 0, 0]),
        |e| codec(e, |c| matches!(c, C::Unsupported { .. })),
    ),
    (
        "zstd frame cut",
        |f| coded(f, ZSTD, 500, zstd(&[7; 500])[..12].to_vec()),
        |e| codec(e, |c| matches!(c, C::ZstdData(_) | C::Length { .. })),
    ),
    (
        "lzma dictionary of 4 GiB",
        |f| coded(f, LZMA, 9, lzma(0x5d, u32::MAX)),
        |e| codec(e, |c| matches!(c, C::WindowTooLarge { codec: "lzma", .. })),
    ),
    (
        "lzma dictionary one byte too large",
        |f| coded(f, LZMA, 9, lzma(0x5d, (64 << 20) + 1)),
        |e| codec(e, |c| matches!(c, C::WindowTooLarge { codec: "lzma", .. })),
    ),
    (
        "lzma with 12 literal bits",
        |f| coded(f, LZMA, 9, lzma(8 + 9 * 4, 4096)),
        |e| codec(e, |c| matches!(c, C::Unsupported { codec: "lzma", .. })),
    ),
    (
        "lzma properties 225",
        |f| coded(f, LZMA, 9, lzma(225, 4096)),
        |e| codec(e, |c| matches!(c, C::Lzma(_))),
    ),
    ("lzma noise", |f| coded(f, LZMA, 1 << 20, lzma(0, 4096)), |e| codec(e, |c| matches!(c, C::Lzma(_)))),
    ("lzma header only", |f| coded(f, LZMA, 9, vec![0; 5]), |e| codec(e, |c| matches!(c, C::Lzma(_)))),
    (
        "brotli large window",
        |f| coded(f, BROTLI, 9, vec![0x11, 0x1e, 0x03, 0, 0]),
        |e| codec(e, |c| matches!(c, C::Brotli { .. })),
    ),
    (
        "brotli noise",
        |f| coded(f, BROTLI, 1 << 20, vec![0xa5; 90]),
        |e| codec(e, |c| matches!(c, C::Brotli { .. })),
    ),
    (
        "brotli followed by garbage",
        |f| coded(f, BROTLI, 0, vec![0x06, 0xff]),
        |e| matches!(e, E::EmptySection { .. }),
    ),
    (
        "brotli shorter than declared",
        |f| coded(f, BROTLI, 9, vec![0x06]),
        |e| codec(e, |c| matches!(c, C::Length { codec: "brotli", got: 0, .. })),
    ),
];
