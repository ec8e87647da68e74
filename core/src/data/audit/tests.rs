//! Overlaps that were put there on purpose.

use super::*;
use crate::data::Separation;
use crate::data::shard;
use std::path::Path;

const BOS: u16 = 1;

/// Documents of `length` tokens that share nothing with those of another seed.
fn tokens(seed: u64, documents: usize, length: usize) -> Vec<Vec<u16>> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        2 + (state >> 40) as u16 % 4000
    };
    (0..documents).map(|_| (0..length).map(|_| next()).collect()).collect()
}

fn shards(folder: &Path, name: &str, documents: &[Vec<u16>]) -> AuditSource {
    let path = folder.join(name);
    let all: Vec<u16> = documents.iter().flat_map(|d| [BOS].into_iter().chain(d.iter().copied())).collect();
    shard::write(&path, &all).expect("a writable folder");
    AuditSource::Shards { paths: vec![path], bos: BOS }
}

fn place(offset: u64) -> Place {
    Place { file: 0, offset }
}

#[test]
fn disjoint_data_are_clean() {
    let folder = tempfile::tempdir().expect("a folder");
    let train = shards(folder.path(), "train", &tokens(1, 30, 50));
    let val = shards(folder.path(), "val", &tokens(2, 10, 50));
    let overlap = audit(&train, &val, AuditOptions::default()).expect("sound shards");
    assert!(overlap.is_clean(), "{}", overlap.summary());
    assert_eq!((overlap.documents, overlap.train_documents, overlap.ngrams), (10, 30, 10 * 38));
    assert_eq!((overlap.ngrams_found, overlap.documents_touched), (0, 0));
}

#[test]
fn a_document_that_was_trained_on_is_named_on_both_sides() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut train, val) = (tokens(1, 30, 50), tokens(2, 10, 50));
    train[3] = val[7].clone();
    let (train, val) = (shards(folder.path(), "train", &train), shards(folder.path(), "val", &val));
    let overlap = audit(&train, &val, AuditOptions::default()).expect("sound shards");
    assert_eq!((overlap.documents_found, overlap.documents_touched, overlap.ngrams_found), (1, 1, 38));
    assert!(!overlap.is_clean());
    let example = &overlap.document_examples[0];
    assert_eq!((example.val, example.train), (place(7 * 51 + 1), place(3 * 51 + 1)));
    assert_eq!(example.shown.split(' ').count(), NGRAM);
}

#[test]
fn any_memory_gives_the_same_figures() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut train, val) = (tokens(1, 400, 60), tokens(2, 200, 60));
    for at in 0..40 {
        let (a, b) = (at * 3, at * 5);
        train[a][10..40].copy_from_slice(&val[b][5..35]);
    }
    let (train, val) = (shards(folder.path(), "train", &train), shards(folder.path(), "val", &val));
    let run = |memory| {
        audit(&train, &val, AuditOptions { memory, ..AuditOptions::default() }).expect("sound shards")
    };
    let (large, small) = (run(1 << 30), run(1 << 14));
    assert!(small.passes > large.passes, "{} passes", small.passes);
    assert_eq!(large.ngrams_found, 40 * 18);
    assert_eq!(
        (large.ngrams_found, large.documents_touched, large.documents_found),
        (small.ngrams_found, small.documents_touched, small.documents_found)
    );
}

#[test]
fn short_documents_prove_nothing_and_ngrams_stay_within_documents() {
    let folder = tempfile::tempdir().expect("a folder");
    let short = tokens(3, 12, 5);
    let (train, val) = (shards(folder.path(), "train", &short), shards(folder.path(), "val", &short));
    let overlap = audit(&train, &val, AuditOptions::default()).expect("sound shards");
    assert_eq!((overlap.documents_found, overlap.short_documents_found, overlap.ngrams), (0, 12, 0));
    assert!(overlap.is_clean());
}

#[test]
fn texts_are_compared_by_words() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = |name: &str, content: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).expect("a writable folder");
        AuditSource::Texts { paths: vec![path], separation: Separation::EmptyLine }
    };
    let line = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen";
    let train = text("train", &format!("something else first\n\n{line}\n"));
    let val = text("val", &format!("not this\n\n{}\n\nnor that", line.replace(' ', "  ")));
    let overlap = audit(&train, &val, AuditOptions::default()).expect("UTF-8");
    assert_eq!((overlap.documents, overlap.documents_found, overlap.ngrams_found), (3, 1, 2));
    assert_eq!(overlap.document_examples[0].val, place(2));
    assert!(overlap.document_examples[0].shown.starts_with("one two"));
    let shard = shards(folder.path(), "shard", &tokens(1, 1, 20));
    let error = audit(&shard, &val, AuditOptions::default()).expect_err("tokens and words");
    assert!(error.to_string().contains("hint: "), "{error}");
}
