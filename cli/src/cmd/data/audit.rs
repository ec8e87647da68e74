//! `golf data audit`: what validation and training data share.

use super::source::{Cut, source};
use crate::exit::{Outcome, Status};
use crate::flags::positive;
use clap::Args;
use golf_core::data::audit::{AuditOptions, AuditSource, Example, NGRAM, Overlap, Place, audit};

/// Flags of `golf data audit`.
#[derive(Args, Clone, Debug)]
pub struct AuditArgs {
    /// Training data: a folder or pattern of shards, a shard, or a text.
    train: String,
    /// Validation data, of the same kind.
    val: String,
    #[command(flatten)]
    cut: Cut,
    /// Memory for hashes, in MB; less memory reads the training data more often.
    #[arg(long, value_name = "MB", default_value_t = 512, value_parser = positive)]
    memory: usize,
    /// Share of validation 13-grams that may be in the training data, in percent.
    #[arg(long, value_name = "PERCENT", default_value_t = 10.0)]
    max_ngrams: f64,
    /// Examples of each kind.
    #[arg(long, default_value_t = 5)]
    examples: usize,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(super) fn run(args: &AuditArgs) -> Outcome {
    let (train, val) = (source(&args.train, "train", args.cut)?, source(&args.val, "val", args.cut)?);
    let options = AuditOptions {
        memory: args.memory.saturating_mul(1_000_000),
        examples: args.examples,
        max_ngram_share: args.max_ngrams / 100.0,
    };
    let overlap = audit(&train, &val, options)?;
    match args.json {
        true => println!("{}", serde_json::to_string_pretty(&json(&overlap, &train, &val))?),
        false => print(&overlap, &train, &val),
    }
    Ok(if overlap.is_clean() { Status::Done } else { Status::CheckFailed })
}

fn json(overlap: &Overlap, train: &AuditSource, val: &AuditSource) -> serde_json::Value {
    let files = |source: &AuditSource| -> Vec<String> {
        source.paths().iter().map(|path| path.display().to_string()).collect()
    };
    serde_json::json!({
        "clean": overlap.is_clean(),
        "ngram_share": overlap.ngram_share(),
        "ngram": NGRAM,
        "unit": val.unit(),
        "overlap": overlap,
        "train_files": files(train),
        "val_files": files(val),
    })
}

fn print(overlap: &Overlap, train: &AuditSource, val: &AuditSource) {
    let unit = val.unit();
    let verdict = if overlap.is_clean() { "clean" } else { "OVERLAP" };
    println!("verdict           {verdict}");
    println!("documents         {} of {} also in training", overlap.documents_found, overlap.documents);
    println!(
        "short documents   {} also in training (below {NGRAM} {unit}: not held against it)",
        overlap.short_documents_found
    );
    println!(
        "{NGRAM}-grams          {} of {} also in training ({:.3} %, limit {:.1} %), in {} documents",
        overlap.ngrams_found,
        overlap.ngrams,
        100.0 * overlap.ngram_share(),
        100.0 * overlap.max_ngram_share,
        overlap.documents_touched
    );
    let (documents, symbols, passes) = (overlap.train_documents, overlap.train_symbols, overlap.passes);
    println!("training data     {documents} documents, {symbols} {unit}, read {passes} times");
    let place = |source: &AuditSource, place: Place| {
        let file = source.paths().get(place.file).map(|path| path.display().to_string());
        format!("`{}` at {}", file.unwrap_or_default(), place.offset)
    };
    let list = |title: &str, examples: &[Example]| {
        for example in examples {
            println!("{title} {} = {}", place(val, example.val), place(train, example.train));
            println!("    {}", example.shown);
        }
    };
    list("document", &overlap.document_examples);
    list("13-gram ", &overlap.ngram_examples);
}
