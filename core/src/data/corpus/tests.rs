//! Corpora come out whole, split cleanly, the same every time, or not at all.

use std::collections::BTreeSet;

use super::super::documents::DocumentError;
use super::super::stream::{TokenStream, shards_in};
use super::*;

/// Ids of a toy tokenizer: bytes above the specials 0..4.
fn bytes(text: &str) -> Vec<u32> {
    text.bytes().map(|b| u32::from(b) + 4).collect()
}

fn options(folder: &Path, held_out: HeldOut) -> CorpusOptions {
    CorpusOptions {
        folder: folder.to_path_buf(),
        name: "toy".into(),
        separation: Separation::EmptyLine,
        held_out,
        bos: 1,
        vocab: 260,
        shard_tokens: 50,
        tokenizer: "00ff".into(),
    }
}

fn text(folder: &Path, content: &[u8]) -> Vec<PathBuf> {
    let path = folder.join("text.txt");
    std::fs::write(&path, content).unwrap();
    vec![path]
}

/// The documents of one side, read back from its shards.
fn documents(folder: &Path, split: &str) -> Vec<String> {
    let mut stream = TokenStream::open(shards_in(folder, "toy", split).unwrap()).unwrap();
    let tokens = stream.take(stream.tokens() as usize).unwrap();
    let (first, rest) = tokens.split_first().unwrap();
    assert_eq!(*first, 1, "a side begins with a document");
    let decode = |ids: &[u16]| String::from_utf8(ids.iter().map(|&id| (id - 4) as u8).collect()).unwrap();
    rest.split(|&id| id == 1).map(decode).collect()
}

#[test]
fn documents_come_back_in_order_from_shards_of_the_asked_size() {
    let folder = tempfile::tempdir().unwrap();
    let texts = text(folder.path(), "held out\n\nfirst\nline two\n\n\nzweites Stück, länger als ein Splitter sein darf: nämlich fünfzig\n".as_bytes());
    let options = options(folder.path(), HeldOut::First(1));
    let manifest = build(&texts, &options, bytes).unwrap();
    assert_eq!(documents(folder.path(), "val"), ["held out"]);
    let train = documents(folder.path(), "train");
    assert_eq!(
        train,
        ["first\nline two", "zweites Stück, länger als ein Splitter sein darf: nämlich fünfzig"]
    );
    let utf8: u64 = train.iter().map(|d| d.len() as u64).sum();
    assert_eq!((manifest.train.documents, manifest.train.bytes, manifest.train.tokens), (2, utf8, utf8 + 2));
    let sizes: Vec<u64> = manifest.train.shards.iter().map(|s| s.tokens).collect();
    assert_eq!(sizes, [50, utf8 + 2 - 50]);
    assert_eq!(manifest.sources[0].bytes, std::fs::metadata(&texts[0]).unwrap().len());
    let path = folder.path().join("toy_manifest.json");
    assert_eq!(Manifest::read(&path).unwrap(), manifest);
    manifest.verify(folder.path()).unwrap();
}

#[test]
fn the_manifest_hashes_the_raw_text() {
    let folder = tempfile::tempdir().unwrap();
    let texts = text(folder.path(), b"abc");
    let manifest = build(&texts, &options(folder.path(), HeldOut::Nothing), bytes).unwrap();
    let known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(manifest.sources[0].sha256, known);
    assert_eq!(manifest.val, Split::default());
}

#[test]
fn no_text_is_on_both_sides_and_the_split_is_the_same_every_time() {
    let content: String = (0..300).map(|i| format!("document {}\n\n", i * i % 101)).collect();
    for held_out in [HeldOut::First(20), HeldOut::OneIn(5)] {
        let runs = [0, 1].map(|_| {
            let folder = tempfile::tempdir().unwrap();
            let texts = text(folder.path(), content.as_bytes());
            let manifest = build(&texts, &options(folder.path(), held_out), bytes).unwrap();
            (manifest, documents(folder.path(), "train"), documents(folder.path(), "val"))
        });
        assert_eq!(runs[0], runs[1]);
        let (manifest, train, val) = &runs[0];
        assert_eq!(train.len() + val.len() + manifest.dropped_copies as usize, 300);
        let sides: [BTreeSet<_>; 2] = [train.iter().collect(), val.iter().collect()];
        assert!(sides[0].is_disjoint(&sides[1]) && !sides[1].is_empty(), "{held_out:?}");
    }
}

#[test]
fn a_failed_corpus_leaves_nothing_behind_and_an_old_one_is_never_mixed_in() {
    let folder = tempfile::tempdir().unwrap();
    let options = options(folder.path(), HeldOut::Nothing);
    let long = [&b"x".repeat(200)[..], b"\n\nbad \xff"].concat();
    let error = build(&text(folder.path(), &long), &options, bytes).unwrap_err();
    assert!(
        matches!(error, CorpusError::Document { source: DocumentError::Utf8 { offset: 206, .. }, .. }),
        "{error}"
    );
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "only the text is left");
    let texts = text(folder.path(), b"good");
    build(&texts, &options, bytes).unwrap();
    assert!(matches!(build(&texts, &options, bytes), Err(CorpusError::Exists { .. })));
}

#[test]
fn ids_sides_and_options_out_of_range_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let texts = text(folder.path(), b"one\n\ntwo");
    let good = options(folder.path(), HeldOut::Nothing);
    let error = build(&texts, &good, |_| vec![5, 260]).unwrap_err();
    let expected =
        |e: &CorpusError| matches!(e, CorpusError::TokenOutOfRange { document: 0, position: 1, id: 260, .. });
    assert!(expected(&error), "{error}");
    let error =
        build(&texts, &CorpusOptions { held_out: HeldOut::First(2), ..good.clone() }, bytes).unwrap_err();
    assert!(matches!(error, CorpusError::EmptySplit { split: "train", documents: 2 }), "{error}");
    for wrong in [
        CorpusOptions { vocab: 0, ..good.clone() },
        CorpusOptions { vocab: 65_537, ..good.clone() },
        CorpusOptions { bos: 260, ..good.clone() },
        CorpusOptions { shard_tokens: 0, ..good.clone() },
        CorpusOptions { held_out: HeldOut::OneIn(0), ..good.clone() },
        CorpusOptions { name: "../up".into(), ..good.clone() },
    ] {
        assert!(matches!(build(&texts, &wrong, bytes), Err(CorpusError::Option { .. })), "{wrong:?}");
    }
}

#[test]
fn a_changed_shard_fails_verification() {
    let folder = tempfile::tempdir().unwrap();
    let manifest =
        build(&text(folder.path(), b"abcdef"), &options(folder.path(), HeldOut::Nothing), bytes).unwrap();
    let path = folder.path().join("toy_train_000000.bin");
    let mut content = std::fs::read(&path).unwrap();
    content[1026] ^= 1;
    std::fs::write(&path, content).unwrap();
    let error = manifest.verify(folder.path()).unwrap_err();
    assert!(matches!(error, CorpusError::Mismatch { what: "SHA-256", .. }), "{error}");
    shard::write(&path, &[1, 2]).unwrap();
    let error = manifest.verify(folder.path()).unwrap_err();
    assert!(matches!(error, CorpusError::Mismatch { what: "token count", .. }), "{error}");
}
