//! Overlap of training and validation data: whole documents and 13-grams.
//!
//! Shards are cut into documents at their beginning-of-sequence id and compared by tokens; texts are cut as a corpus is
//! and compared by words. A document counts as found when its SHA-256 is that of one in the training data; documents
//! shorter than an n-gram are counted apart, since "404 not found" proves nothing. An n-gram lies within one document.
//!
//! Invariant: memory is bounded by [`AuditOptions::memory`] (and one document), whatever the size of the data: hashes of
//! validation n-grams are dealt into as many parts as it takes, and the training data are read once for each. Figures
//! are exact up to collisions of 64-bit hashes.
//!
//! The rule and its cause: PR thread #2127; n-grams of 13 as in the audit of GPT-3 (Brown et al. 2020, appendix C).

mod error;
mod hashes;
mod source;

#[cfg(test)]
mod tests;

pub use error::AuditError;
pub use source::{AuditSource, Place};

use hashes::{HashSet64, document_hash, ngrams};
use serde::Serialize;
use source::Document;
use std::collections::{HashMap, HashSet};

/// Symbols of an n-gram.
pub const NGRAM: usize = 13;
/// Bytes that a hash may take in a set that has just grown.
const BYTES_PER_HASH: usize = 24;

/// How much memory, how much overlap.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AuditOptions {
    /// Bytes for the hashes of n-grams; at least a few thousand are used.
    pub memory: usize,
    /// Examples of each kind.
    pub examples: usize,
    /// Share of validation n-grams that may also be in the training data: phrases recur, copies do more.
    pub max_ngram_share: f64,
}

impl Default for AuditOptions {
    /// 512 MiB, 5 examples, a tenth.
    fn default() -> Self {
        Self { memory: 512 << 20, examples: 5, max_ngram_share: 0.1 }
    }
}

/// One side of an overlap, shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Example {
    /// Where it is in the validation data.
    pub val: Place,
    /// Where it is in the training data.
    pub train: Place,
    /// Its beginning.
    pub shown: String,
}

/// What two corpora share. Counts are of the validation data unless they say otherwise.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Overlap {
    /// Documents, those without symbols left out.
    pub documents: u64,
    /// Documents of at least [`NGRAM`] symbols that are in the training data, word for word.
    pub documents_found: u64,
    /// Shorter documents that are.
    pub short_documents_found: u64,
    /// Positions of n-grams.
    pub ngrams: u64,
    /// Positions whose n-gram is in the training data.
    pub ngrams_found: u64,
    /// Documents with at least one such n-gram.
    pub documents_touched: u64,
    /// Documents of the training data.
    pub train_documents: u64,
    /// Symbols of the training data.
    pub train_symbols: u64,
    /// Times that the training data were read.
    pub passes: usize,
    /// The share of n-grams that was allowed.
    pub max_ngram_share: f64,
    /// Documents that were found.
    pub document_examples: Vec<Example>,
    /// N-grams that were found, of different documents.
    pub ngram_examples: Vec<Example>,
}

impl Overlap {
    /// Share of n-gram positions that are in the training data.
    pub fn ngram_share(&self) -> f64 {
        self.ngrams_found as f64 / self.ngrams.max(1) as f64
    }

    /// Whether no document was found, and no more n-grams than recurring phrases make.
    pub fn is_clean(&self) -> bool {
        self.documents_found == 0 && self.ngram_share() <= self.max_ngram_share
    }

    /// One line.
    pub fn summary(&self) -> String {
        format!(
            "{} of {} validation documents are in the training data ({} more are shorter than {NGRAM}); {} of {} \
             {NGRAM}-grams ({:.3} %, limit {:.0} %)",
            self.documents_found,
            self.documents,
            self.short_documents_found,
            self.ngrams_found,
            self.ngrams,
            100.0 * self.ngram_share(),
            100.0 * self.max_ngram_share
        )
    }
}

/// Compares `val` with `train`.
///
/// # Errors
/// Data that cannot be read, or sides of different kinds: tokens cannot be compared with words.
pub fn audit(train: &AuditSource, val: &AuditSource, options: AuditOptions) -> Result<Overlap, AuditError> {
    if train.unit() != val.unit() {
        return Err(AuditError::Kinds { train: train.unit(), val: val.unit() });
    }
    let mut overlap = Overlap { max_ngram_share: options.max_ngram_share, ..Overlap::default() };
    documents(train, val, options, &mut overlap)?;
    let parts =
        (overlap.ngrams as usize).saturating_mul(BYTES_PER_HASH).div_ceil(options.memory.max(1 << 12));
    overlap.passes = parts.max(1) + 1;
    let mut touched = HashSet::new();
    for part in 0..parts.max(1) as u64 {
        part_of_ngrams(train, val, options, (part, parts.max(1) as u64), &mut touched, &mut overlap)?;
    }
    overlap.documents_touched = touched.len() as u64;
    Ok(overlap)
}

/// Whole documents; counts n-grams on the way.
fn documents(
    train: &AuditSource,
    val: &AuditSource,
    options: AuditOptions,
    overlap: &mut Overlap,
) -> Result<(), AuditError> {
    let mut known: HashMap<u128, Place> = HashMap::new();
    val.read(&mut |document| {
        overlap.documents += 1;
        overlap.ngrams += document.symbols.len().saturating_sub(NGRAM - 1) as u64;
        known.entry(document_hash(document.symbols)).or_insert(document.place);
    })?;
    let mut found: HashMap<u128, Place> = HashMap::new();
    train.read(&mut |document| {
        overlap.train_documents += 1;
        overlap.train_symbols += document.symbols.len() as u64;
        let hash = document_hash(document.symbols);
        if known.contains_key(&hash) {
            found.entry(hash).or_insert(document.place);
        }
    })?;
    if found.is_empty() {
        return Ok(());
    }
    val.read(&mut |document| {
        let Some(train) = found.get(&document_hash(document.symbols)) else { return };
        if document.symbols.len() < NGRAM {
            overlap.short_documents_found += 1;
            return;
        }
        overlap.documents_found += 1;
        if overlap.document_examples.len() < options.examples {
            let shown = document.shown(0);
            overlap.document_examples.push(Example { val: document.place, train: *train, shown });
        }
    })
}

/// N-grams whose hash is `part` of `parts`.
fn part_of_ngrams(
    train: &AuditSource,
    val: &AuditSource,
    options: AuditOptions,
    (part, parts): (u64, u64),
    touched: &mut HashSet<Place>,
    overlap: &mut Overlap,
) -> Result<(), AuditError> {
    let own = |hash: &u64| hash % parts == part;
    let mut wanted = HashSet64::default();
    val.read(&mut |document| wanted.extend(ngrams(document.symbols).map(|(_, hash)| hash).filter(own)))?;
    let mut found = HashSet64::default();
    let mut places: HashMap<u64, Place> = HashMap::new();
    train.read(&mut |document| {
        for (at, hash) in ngrams(document.symbols).filter(|(_, hash)| wanted.contains(hash)) {
            if found.insert(hash) && places.len() < options.examples * 64 {
                places.insert(hash, document.place.plus(at));
            }
        }
    })?;
    drop(wanted);
    val.read(&mut |document: Document<'_>| {
        let mut shown = false;
        for (at, hash) in ngrams(document.symbols).filter(|(_, hash)| found.contains(hash)) {
            overlap.ngrams_found += 1;
            let first = touched.insert(document.place);
            let train = places.get(&hash).filter(|_| first && !shown);
            if let Some(train) = train.filter(|_| overlap.ngram_examples.len() < options.examples) {
                let val = document.place.plus(at);
                overlap.ngram_examples.push(Example { val, train: *train, shown: document.shown(at) });
                shown = true;
            }
        }
    })
}
