//! Every parser of foreign bytes behind one signature, for the fuzzer and for the plain test that replays its seeds.
//!
//! A parser may refuse; it may not panic, loop or take memory beyond its limits. What it accepts must survive being written
//! and read again.

use golf_core::artifact::{Artifact, Limits};
use golf_core::codec::{Codec, CodecLimits, decode};
use golf_core::import::{import_bytes, shapes};
use golf_core::tokenizer::Tokenizer;

/// A parser under test.
pub struct Parser {
    /// Name of the fuzz target and of its seed folder.
    pub name: &'static str,
    /// Feeds it bytes.
    pub run: fn(&[u8]),
}

/// All of them.
pub const PARSERS: [Parser; 6] = [
    Parser { name: "artifact", run: artifact },
    Parser { name: "codec", run: codec },
    Parser { name: "import", run: import },
    Parser { name: "shard", run: shard },
    Parser { name: "tokenizer_compact", run: tokenizer_compact },
    Parser { name: "tokenizer_model", run: tokenizer_model },
];

/// Runs the parser of this name.
pub fn run(name: &str, bytes: &[u8]) {
    let parser = PARSERS.iter().find(|p| p.name == name).expect("a fuzz target names a parser of the table");
    (parser.run)(bytes);
}

fn artifact(bytes: &[u8]) {
    let limits = Limits { raw: 16 << 20, ..Limits::default() };
    let Ok(artifact) = Artifact::decode(bytes, &limits) else { return };
    assert!(artifact.check().is_ok(), "a decoded artifact passes its own check");
}

fn codec(bytes: &[u8]) {
    let Some((&[id, raw_len], stream)) = bytes.split_first_chunk::<2>() else { return };
    let Ok(codec) = Codec::from_id(id % Codec::ALL.len() as u8) else { return };
    let raw_len = usize::from(raw_len) * 64;
    if let Ok(raw) = decode(codec, stream, raw_len, &CodecLimits::default()) {
        assert_eq!(raw.len(), raw_len, "a stream decodes to its declared length");
    }
}

fn import(bytes: &[u8]) {
    let limits = golf_core::import::Limits { raw_bytes: 16 << 20, ..Default::default() };
    let Ok(file) = import_bytes(bytes, &limits) else { return };
    let _ = shapes::derive(&shapes::inventory(&file.tensors), &shapes::Assumptions::default());
}

fn shard(bytes: &[u8]) {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let path = folder.path().join("fuzz_train_000000.bin");
    std::fs::write(&path, bytes).expect("a temporary file can be written");
    let Ok(mut reader) = golf_core::data::ShardReader::open(&path) else { return };
    let mut tokens = Vec::new();
    let count = usize::try_from(reader.tokens()).expect("a shard in memory has few tokens");
    reader.read(0, count, &mut tokens).expect("a shard that opened can be read");
    assert_eq!(tokens.len(), count);
}

fn tokenizer_compact(bytes: &[u8]) {
    let Ok(tokenizer) = Tokenizer::from_compact(bytes) else { return };
    assert_eq!(tokenizer.to_compact(), bytes, "the compact form is canonical");
    use_tokenizer(&tokenizer);
}

fn tokenizer_model(bytes: &[u8]) {
    let Ok(tokenizer) = Tokenizer::from_sentencepiece(bytes) else { return };
    let again = Tokenizer::from_compact(&tokenizer.to_compact()).expect("what was written can be read");
    assert_eq!(again.identity(), tokenizer.identity());
    use_tokenizer(&tokenizer);
}

fn use_tokenizer(tokenizer: &Tokenizer) {
    let ids = tokenizer.encode("a few words, 12 digits \u{e9}\u{301} \u{2581}\n");
    let _ = tokenizer.decode(&ids);
}
