//! Malformed token shards: each is refused before a token is used, naming the file, what was expected and what is there.

use std::path::{Path, PathBuf};

use golf_core::data::shard::{HEADER_BYTES, MAGIC, VERSION};
use golf_core::data::stream::shards_in;
use golf_core::data::{Manifest, Position, ShardError, ShardReader, StreamError, TokenStream};

/// A predicate that names the one expected cause.
type Cause = fn(&ShardError) -> bool;

/// A shard with the given header words and body.
fn shard(words: [i32; 3], body: &[u8]) -> Vec<u8> {
    let mut bytes: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
    bytes.resize(HEADER_BYTES as usize, 0);
    bytes.extend(body);
    bytes
}

fn good() -> Vec<u8> {
    shard([MAGIC, VERSION, 3], &[1, 0, 2, 0, 3, 0])
}

fn folder(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

fn cases() -> Vec<(&'static str, Vec<u8>, Cause)> {
    let cut = |bytes: Vec<u8>, length: usize| bytes[..length].to_vec();
    vec![
        ("empty file", vec![], |e| matches!(e, ShardError::EmptyFile { .. })),
        ("one byte", vec![0], |e| matches!(e, ShardError::ShortHeader { got: 1, .. })),
        ("half a header", cut(good(), 512), |e| matches!(e, ShardError::ShortHeader { got: 512, .. })),
        ("a web page", b"<!DOCTYPE html>".repeat(100), |e| matches!(e, ShardError::Magic { .. })),
        ("zeros", vec![0; 2048], |e| matches!(e, ShardError::Magic { got: 0, .. })),
        ("big-endian", shard([MAGIC.swap_bytes(), 1, 3], &[0; 6]), |e| matches!(e, ShardError::Magic { .. })),
        ("llm.c's magic", shard([20_240_801, 7, 3], &[0; 6]), |e| {
            matches!(e, ShardError::Magic { got: 20_240_801, .. })
        }),
        ("version 2", shard([MAGIC, 2, 3], &[0; 6]), |e| matches!(e, ShardError::Version { got: 2, .. })),
        ("no tokens", shard([MAGIC, 1, 0], &[]), |e| matches!(e, ShardError::Count { got: 0, .. })),
        ("negative count", shard([MAGIC, 1, -3], &[0; 6]), |e| {
            matches!(e, ShardError::Count { got: -3, .. })
        }),
        ("largest count", shard([MAGIC, 1, i32::MAX], &[0; 6]), |e| {
            matches!(e, ShardError::Length { expected: 4_294_968_318, got: 1030, .. })
        }),
        ("truncated by a token", cut(good(), 1028), |e| matches!(e, ShardError::Length { got: 1028, .. })),
        ("truncated by a byte", cut(good(), 1029), |e| {
            matches!(e, ShardError::Length { expected: 1030, .. })
        }),
        ("header only", cut(good(), 1024), |e| matches!(e, ShardError::Length { got: 1024, .. })),
        ("one byte too many", [good(), vec![0]].concat(), |e| {
            matches!(e, ShardError::Length { got: 1031, .. })
        }),
        ("two shards in one file", [good(), good()].concat(), |e| {
            matches!(e, ShardError::Length { got: 2060, .. })
        }),
    ]
}

fn check_message(what: &str, error: &ShardError, path: &Path) {
    let message = error.to_string();
    assert!(message.contains(&path.display().to_string()), "{what}: no path in `{message}`");
    assert!(message.contains("expected"), "{what}: no expectation in `{message}`");
}

#[test]
fn malformed_shards_are_refused_by_cause() {
    let path = folder("malformed").join("x_train_000000.bin");
    for (what, bytes, is_cause) in cases() {
        std::fs::write(&path, bytes).unwrap();
        let error = ShardReader::open(&path).expect_err(what);
        assert!(is_cause(&error), "{what}: refused for another reason: {error:?}");
        check_message(what, &error, &path);
    }
    let missing = path.with_extension("missing");
    assert!(matches!(ShardReader::open(&missing), Err(ShardError::Io { action: "open", .. })));
    assert!(matches!(
        ShardReader::open(path.parent().unwrap()),
        Err(ShardError::Io { .. } | ShardError::ShortHeader { .. } | ShardError::Magic { .. })
    ));
}

#[test]
fn one_bad_shard_among_good_ones_stops_the_stream_before_it_starts() {
    let folder = folder("one_bad");
    for (what, bytes, is_cause) in cases() {
        for name in ["x_train_000000.bin", "x_train_000002.bin"] {
            std::fs::write(folder.join(name), good()).unwrap();
        }
        std::fs::write(folder.join("x_train_000001.bin"), bytes).unwrap();
        match TokenStream::open(shards_in(&folder, "x", "train").unwrap()) {
            Err(StreamError::Shard(error)) => assert!(is_cause(&error), "{what}: {error:?}"),
            other => panic!("{what}: {other:?}"),
        }
    }
}

#[test]
fn ids_beyond_the_vocabulary_are_found_in_any_shard_with_their_position() {
    let folder = folder("ids");
    std::fs::write(folder.join("x_val_000000.bin"), good()).unwrap();
    let second = shard([MAGIC, VERSION, 4], &[0, 0, 0xff, 3, 0, 4, 0xff, 0xff]);
    std::fs::write(folder.join("x_val_000001.bin"), second).unwrap();
    let open = |vocab| TokenStream::open(shards_in(&folder, "x", "val").unwrap()).unwrap().of_vocab(vocab);
    open(1 << 16).unwrap();
    match open(1024) {
        Err(StreamError::Shard(
            error @ ShardError::TokenOutOfRange { position: 2, id: 1024, vocab: 1024, .. },
        )) => {
            assert!(error.to_string().contains("x_val_000001.bin"), "{error}");
            assert!(error.to_string().contains("offset 1028"), "{error}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_id_deep_in_a_shard_is_found_where_it_is_read() {
    let folder = folder("deep");
    let mut tokens = [5u16; 70_000];
    tokens[68_000] = 2000;
    golf_core::data::shard::write(&folder.join("x_val_000000.bin"), &tokens).unwrap();
    let paths = shards_in(&folder, "x", "val").unwrap();
    let mut stream = TokenStream::open(paths).unwrap().of_vocab(1024).unwrap();
    assert_eq!(stream.take(68_000).unwrap().len(), 68_000);
    let position = stream.position();
    match stream.take(10) {
        Err(StreamError::Shard(ShardError::TokenOutOfRange { position: 68_000, id: 2000, .. })) => {}
        other => panic!("{other:?}"),
    }
    assert_eq!(stream.position(), position);
}

#[test]
fn a_folder_without_shards_and_positions_of_other_shards_are_refused() {
    let folder = folder("none");
    assert!(matches!(shards_in(&folder, "x", "train"), Err(StreamError::NoShards { .. })));
    assert!(matches!(shards_in(&folder.join("nowhere"), "x", "train"), Err(StreamError::List { .. })));
    assert!(matches!(TokenStream::open(vec![]), Err(StreamError::NoShards { .. })));
    std::fs::write(folder.join("x_train_000000.bin"), good()).unwrap();
    let mut stream = TokenStream::open(shards_in(&folder, "x", "train").unwrap()).unwrap();
    for (shard, offset) in [(0, 3), (1, 0), (usize::MAX, u64::MAX)] {
        let error = stream.seek(Position { shard, offset, epoch: 0 }).unwrap_err();
        assert!(matches!(error, StreamError::Position { .. }), "{error}");
    }
    assert_eq!(stream.take(4).unwrap(), [1, 2, 3, 1]);
}

#[test]
fn a_shard_that_shrinks_after_the_check_is_an_error_and_not_garbage() {
    let folder = folder("shrinks");
    let path = folder.join("x_train_000000.bin");
    std::fs::write(&path, good()).unwrap();
    let mut stream = TokenStream::open(vec![path.clone()]).unwrap();
    std::fs::write(&path, &good()[..1028]).unwrap();
    assert!(matches!(stream.take(3), Err(StreamError::Shard(ShardError::Length { .. }))));
    std::fs::write(&path, shard([MAGIC, VERSION, 2], &[0; 4])).unwrap();
    assert!(matches!(stream.take(3), Err(StreamError::Changed { expected: 3, got: 2, .. })));
}

#[test]
fn manifests_that_are_none_are_refused() {
    let path = folder("manifest").join("x_manifest.json");
    for content in ["", "{}", "[]", "{\"version\": 1}", "\u{0}"] {
        std::fs::write(&path, content).unwrap();
        assert!(Manifest::read(&path).is_err(), "{content}");
    }
}
