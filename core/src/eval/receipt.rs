//! The receipt: what was scored, with what, in which order, bound together by hashes.
//!
//! Every chunk adds a record `H(weights before) → commitment to its scores → H(weights after)`, and every record's link
//! hashes the record and the link before it; the first link hashes the run's description, the head hashes the totals.
//! So no field can change without the head changing, and [`Receipt::verify`] recomputes everything that needs no model.
//! A receipt proves that the numbers belong together, not that the program that wrote it was honest: for that, run again.
//!
//! Hashes are SHA-256 in lower-case hex. A structure is hashed as its compact JSON in declared field order.

mod error;

use super::adapt_options::AdaptOptions;
use super::bpb::{Totals, bits_per_byte};
use super::coverage::Coverage;
use super::windows::WindowRule;
use crate::digest::hex;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub use error::ReceiptError;

/// Version of the receipt's schema; readers refuse others. Version 1 hashed adapted weights as one string of bytes.
pub const SCHEMA_VERSION: u32 = 2;

/// What was scored and what the caller knows about it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// SHA-256 of the artifact file.
    pub artifact_sha256: Option<String>,
    /// SHA-256 of the raw text, before normalization; of the shard, when tokens were given.
    pub text_sha256: Option<String>,
    /// Identity of the tokenizer: pieces, byte table and normalization.
    pub tokenizer_identity: Option<String>,
    /// UTF-8 bytes of the raw text that the targets stand for.
    pub raw_bytes: Option<u64>,
    /// UTF-8 bytes of the normalized text that the targets stand for.
    pub normalized_bytes: Option<u64>,
}

/// What makes a result incomparable. All false and empty for a sound one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Marks {
    /// Windows as published: some targets were scored more than once.
    pub as_published: bool,
    /// The tokenizer loses or invents bytes on this text.
    pub lossy_tokenizer: bool,
    /// The tokenizer was forced upon a model of another one.
    pub forced_tokenizer: bool,
    /// Why the result breaks the rules of the challenge.
    pub illegal: Option<String>,
}

impl Marks {
    /// One line a mark, for tables.
    pub fn lines(&self) -> Vec<String> {
        let plain = [
            (self.as_published, "as published: the tail is scored more than once"),
            (self.lossy_tokenizer, "lossy tokenizer: charged bytes differ from the text"),
            (self.forced_tokenizer, "forced tokenizer: not the one the model was trained with"),
        ];
        let plain = plain.into_iter().filter(|(set, _)| *set).map(|(_, line)| line.to_owned());
        self.illegal.iter().map(|why| format!("illegal: {why}")).chain(plain).collect()
    }
}

/// Order of scoring and adaptation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// The weights never change.
    #[default]
    Fixed,
    /// Every chunk is scored before the weights see it.
    ScoreFirst,
    /// The weights saw the stream before it was scored. Illegal.
    TrainThenScore,
}

/// The windows of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WindowRecord {
    /// Rule.
    pub rule: WindowRule,
    /// Positions of a window.
    pub window: usize,
    /// Positions between windows.
    pub stride: usize,
    /// Documents that windows do not cross, 1 for a whole stream.
    pub documents: usize,
    /// Number of windows.
    pub count: u64,
}

/// Description of a run: everything that its numbers depend on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunRecord {
    /// Program and version.
    pub program: String,
    /// Inputs as the caller described them.
    pub source: Source,
    /// Content hash of the model.
    pub model_sha256: String,
    /// Hash of the model's configuration.
    pub config_sha256: String,
    /// Hash of the token ids (`i32`, little-endian), the first, unscored one included.
    pub tokens_sha256: String,
    /// Hash of the bytes charged to each target (`u32`, little-endian).
    pub target_bytes_sha256: String,
    /// Targets of the stream.
    pub targets: usize,
    /// Windows.
    pub windows: WindowRecord,
    /// Targets of a chunk.
    pub chunk: usize,
    /// Most tokens of a batch.
    pub batch_tokens: usize,
    /// Device.
    pub device: String,
    /// Order of scoring and adaptation.
    pub method: Method,
    /// How the weights were adapted.
    pub adaptation: Option<AdaptOptions>,
    /// Marks.
    pub marks: Marks,
}

/// One link of the chain.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChunkRecord {
    /// Its number.
    pub index: usize,
    /// Scored targets, repeats included.
    pub tokens: u64,
    /// Bytes charged to them.
    pub bytes: u64,
    /// Sum of their scores in nats.
    pub nll: f64,
    /// Bits per byte of this chunk alone.
    pub bpb: Option<f64>,
    /// Hash of the weights that scored it.
    pub weights_before: String,
    /// Hash of its scores (`f64`, little-endian, in plan order), taken before any adaptation.
    pub nll_sha256: String,
    /// Optimizer steps taken on it, after scoring.
    pub steps: u64,
    /// Hash of the weights afterwards.
    pub weights_after: String,
    /// Hash of the link before and of this record.
    pub link: String,
}

/// Sums over all chunks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TotalsRecord {
    /// Scored targets, repeats included.
    pub tokens: u64,
    /// Bytes charged to them.
    pub bytes: u64,
    /// Sum of scores in nats.
    pub nll: f64,
    /// Mean nats per token.
    pub val_loss: Option<f64>,
    /// Bits per charged byte.
    pub val_bpb: Option<f64>,
    /// Charged bytes per token.
    pub bytes_per_token: Option<f64>,
    /// Bits per byte of the raw text; absent if targets were scored more than once.
    pub raw_bpb: Option<f64>,
}

/// The exactly-once proof.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CoverageRecord {
    /// Targets of the stream.
    pub targets: usize,
    /// Distinct targets that were scored.
    pub covered: usize,
    /// Scores beyond the first of their target.
    pub duplicates: u64,
    /// Hash of the bitmap.
    pub bitmap_sha256: String,
}

/// A finished evaluation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// The run.
    pub run: RunRecord,
    /// The chain.
    pub chunks: Vec<ChunkRecord>,
    /// The sums.
    pub totals: TotalsRecord,
    /// The exactly-once proof.
    pub coverage: CoverageRecord,
    /// Hash of the last link, the totals and the proof.
    pub head: String,
}

fn hash_json<T: Serialize>(previous: &str, value: &T) -> String {
    let json = serde_json::to_vec(value).expect("plain structs of numbers and strings have a JSON form");
    hex(&Sha256::new().chain_update(previous).chain_update(json).finalize())
}

/// What a chunk's record says of its scores: SHA-256 of their bits in plan order.
pub(super) fn commitment(nll: &[f64]) -> [u8; 32] {
    let mut hash = Sha256::new();
    nll.iter().for_each(|value| hash.update(value.to_le_bytes()));
    hash.finalize().into()
}

/// The link before the first chunk.
pub(super) fn first_link(run: &RunRecord) -> String {
    hash_json("golf receipt 1", run)
}

/// The link of `record` after `previous`.
pub(super) fn link(previous: &str, record: &ChunkRecord) -> String {
    hash_json(previous, &ChunkRecord { link: String::new(), ..record.clone() })
}

impl TotalsRecord {
    fn new(run: &RunRecord, chunks: &[ChunkRecord], duplicates: u64) -> Self {
        let mut sums = Totals::default();
        for chunk in chunks {
            sums.join(&Totals { nll: chunk.nll, tokens: chunk.tokens, bytes: chunk.bytes });
        }
        let raw = run.source.raw_bytes.filter(|_| duplicates == 0);
        Self {
            tokens: sums.tokens,
            bytes: sums.bytes,
            nll: sums.nll,
            val_loss: sums.loss(),
            val_bpb: sums.bpb(),
            bytes_per_token: sums.bytes_per_token(),
            raw_bpb: raw.and_then(|bytes| bits_per_byte(sums.nll, bytes)),
        }
    }
}

impl CoverageRecord {
    fn new(targets: usize, coverage: &Coverage) -> Self {
        let (covered, duplicates) = (coverage.covered(), coverage.duplicates());
        Self { targets, covered, duplicates, bitmap_sha256: hex(&coverage.sha256()) }
    }
}

impl Receipt {
    pub(super) fn new(run: RunRecord, chunks: Vec<ChunkRecord>, coverage: &Coverage) -> Self {
        let coverage = CoverageRecord::new(run.targets, coverage);
        let totals = TotalsRecord::new(&run, &chunks, coverage.duplicates);
        let mut receipt =
            Self { schema_version: SCHEMA_VERSION, run, chunks, totals, coverage, head: String::new() };
        receipt.head = receipt.computed_head();
        receipt
    }

    fn computed_head(&self) -> String {
        let last = self.chunks.last().map_or_else(|| first_link(&self.run), |chunk| chunk.link.clone());
        hash_json(&last, &(&self.totals, &self.coverage))
    }

    /// Recomputes the proof, the chain, the order and the sums. The first thing that does not add up is the error.
    pub fn verify(&self) -> Result<(), ReceiptError> {
        self.verify_coverage()?;
        self.verify_chain()?;
        self.verify_order()?;
        self.verify_sums()
    }

    /// Whether every hash binds what it stands for, from the description of the run to the head: nothing was edited
    /// without making the chain anew.
    pub fn verify_chain(&self) -> Result<(), ReceiptError> {
        if self.schema_version != SCHEMA_VERSION {
            return Err(ReceiptError::Version { got: self.schema_version });
        }
        let mut previous = first_link(&self.run);
        for (position, chunk) in self.chunks.iter().enumerate() {
            if chunk.index != position {
                return Err(ReceiptError::Order { position, got: chunk.index });
            }
            let expected = link(&previous, chunk);
            if chunk.link != expected {
                return Err(ReceiptError::Link { chunk: position, expected, got: chunk.link.clone() });
            }
            previous = expected;
        }
        let expected = self.computed_head();
        if self.head == expected {
            Ok(())
        } else {
            Err(ReceiptError::Head { expected, got: self.head.clone() })
        }
    }

    /// Whether weights change only where the method lets them: after a chunk's scores, never between chunks, never on
    /// the last; and whether an illegal method says that it is.
    pub fn verify_order(&self) -> Result<(), ReceiptError> {
        let illegal = self.run.method == Method::TrainThenScore;
        if illegal != self.run.marks.illegal.is_some() {
            return Err(ReceiptError::Marks { field: "illegal" });
        }
        let moves = self.run.method == Method::ScoreFirst;
        for (position, chunk) in self.chunks.iter().enumerate() {
            let last = position + 1 == self.chunks.len();
            if chunk.steps > 0 && (last || !moves) {
                return Err(ReceiptError::Steps { chunk: position, got: chunk.steps });
            }
            let fail = |expected: &str, got: &str| {
                let (expected, got) = (expected.to_owned(), got.to_owned());
                Err(ReceiptError::Weights { chunk: position, expected, got })
            };
            if chunk.steps == 0 && chunk.weights_after != chunk.weights_before {
                return fail(&chunk.weights_before, &chunk.weights_after);
            }
            if position > 0 && chunk.weights_before != self.chunks[position - 1].weights_after {
                return fail(&self.chunks[position - 1].weights_after, &chunk.weights_before);
            }
        }
        Ok(())
    }

    /// Whether there is a chunk for every stretch of the stream and every target was scored exactly once (at least once,
    /// and marked so, under the published windows).
    pub fn verify_coverage(&self) -> Result<(), ReceiptError> {
        let (run, coverage) = (&self.run, &self.coverage);
        let expected = run.targets.div_ceil(run.chunk.max(1));
        if self.chunks.len() != expected {
            return Err(ReceiptError::Chunks { expected, got: self.chunks.len() });
        }
        let tokens: u128 = self.chunks.iter().map(|chunk| u128::from(chunk.tokens)).sum();
        let complete = || hex(&Coverage::complete_sha256(run.targets));
        let fail = |field| Err(ReceiptError::Coverage { field });
        if coverage.targets != run.targets {
            return fail("targets");
        }
        if coverage.covered != run.targets {
            return fail("covered");
        }
        if !run.marks.as_published && coverage.duplicates != 0 {
            return fail("duplicates");
        }
        if tokens != coverage.covered as u128 + u128::from(coverage.duplicates) {
            return fail("duplicates");
        }
        if run.marks.as_published == run.windows.rule.is_exact() {
            return Err(ReceiptError::Marks { field: "as_published" });
        }
        if coverage.bitmap_sha256 == complete() { Ok(()) } else { fail("bitmap_sha256") }
    }

    /// Whether the totals are the sums of the chunks' records.
    pub fn verify_sums(&self) -> Result<(), ReceiptError> {
        let totals = TotalsRecord::new(&self.run, &self.chunks, self.coverage.duplicates);
        let bpb = |c: &ChunkRecord| c.bpb == bits_per_byte(c.nll, c.bytes);
        let sums = [
            ("tokens", totals.tokens == self.totals.tokens),
            ("bytes", totals.bytes == self.totals.bytes),
            ("nll", totals.nll == self.totals.nll),
            ("bpb", self.chunks.iter().all(bpb)),
            ("val_loss, val_bpb, bytes_per_token, raw_bpb", totals == self.totals),
        ];
        match sums.into_iter().find(|(_, holds)| !holds) {
            Some((field, _)) => Err(ReceiptError::Totals { field }),
            None => Ok(()),
        }
    }
}
