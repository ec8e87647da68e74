//! `golf data tokenize`: texts into the challenge's shards.

use super::source::By;
use crate::cmd::load::{self, LoadError};
use crate::exit::{Outcome, Status};
use clap::Args;
use golf_core::data::corpus::build;
use golf_core::data::{CorpusOptions, HeldOut, Manifest};
use golf_core::digest::hex;
use std::fs;
use std::path::PathBuf;

/// Flags of `golf data tokenize`.
#[derive(Args, Clone, Debug)]
pub(super) struct TokenizeArgs {
    /// UTF-8 texts, in order.
    #[arg(required = true, value_name = "TEXT")]
    texts: Vec<PathBuf>,
    /// SentencePiece model, or an artifact that holds a tokenizer.
    #[arg(long, value_name = "FILE")]
    tokenizer: PathBuf,
    /// Folder for shards and manifest.
    #[arg(short, long, value_name = "DIR")]
    out: PathBuf,
    /// First part of the files' names.
    #[arg(long, default_value = "text")]
    name: String,
    /// What separates documents; each begins with the begin-of-stream token.
    #[arg(long, value_enum, default_value = "empty-line")]
    documents_by: By,
    /// Documents for validation: none, the first N, or one in N by the hash of their text.
    #[arg(long, value_name = "none|first:N|one-in:N", default_value = "none", value_parser = held_out)]
    held_out: HeldOut,
    /// Tokens of a full shard.
    #[arg(long, value_name = "N", default_value_t = 100_000_000)]
    shard_tokens: usize,
    /// Use a tokenizer that is known to be the wrong one.
    #[arg(long)]
    force_tokenizer: bool,
    /// Print the manifest as JSON.
    #[arg(long)]
    json: bool,
}

fn held_out(text: &str) -> Result<HeldOut, String> {
    let count = |text: &str| text.parse::<u64>().ok().filter(|count| *count > 0);
    match text.split_once(':') {
        None if text == "none" => Some(HeldOut::Nothing),
        Some(("first", number)) => count(number).map(HeldOut::First),
        Some(("one-in", number)) => count(number).map(HeldOut::OneIn),
        _ => None,
    }
    .ok_or_else(|| "expected `none`, `first:N` or `one-in:N` with N of at least 1".to_owned())
}

/// Runs the command.
pub(super) fn run(args: &TokenizeArgs) -> Outcome {
    let tokenizer = load::tokenizer_in(&args.tokenizer)?;
    if let Some(name) = load::impostor(&tokenizer).filter(|_| !args.force_tokenizer) {
        return Err(LoadError::Impostor { name }.into());
    }
    let bos = tokenizer.bos().and_then(|id| u16::try_from(id).ok()).ok_or(LoadError::NoBos)?;
    fs::create_dir_all(&args.out)
        .map_err(|error| format!("cannot create `{}`: {error}", args.out.display()))?;
    let options = CorpusOptions {
        folder: args.out.clone(),
        name: args.name.clone(),
        separation: args.documents_by.into(),
        held_out: args.held_out,
        bos,
        vocab: tokenizer.len(),
        shard_tokens: args.shard_tokens,
        tokenizer: hex(&tokenizer.identity()),
    };
    // Without byte pieces, characters that the tokenizer does not know are lost: no score of these tokens would be honest.
    let (unknown, mut lost) = (tokenizer.unk(), 0);
    let manifest = build(&args.texts, &options, |text| {
        let ids = tokenizer.encode(text);
        lost += ids.iter().filter(|id| **id == unknown).count();
        ids
    })?;
    if lost > 0 {
        eprintln!("warning: {lost} tokens are unknown: the tokenizer has no pieces for what stood there");
    }
    match args.json {
        true => println!("{}", serde_json::to_string_pretty(&manifest)?),
        false => print(&manifest, args),
    }
    Ok(Status::Done)
}

fn print(manifest: &Manifest, args: &TokenizeArgs) {
    println!("tokenizer   {} pieces, identity {}", manifest.vocab, manifest.tokenizer);
    for (name, side) in [("train", &manifest.train), ("val", &manifest.val)] {
        if side.documents > 0 {
            let (documents, bytes, tokens) = (side.documents, side.bytes, side.tokens);
            let ratio = bytes as f64 / tokens.max(1) as f64;
            println!(
                "{name:<11} {documents} documents, {bytes} bytes, {tokens} tokens ({ratio:.3} bytes each), {} shards",
                side.shards.len()
            );
        }
    }
    if manifest.dropped_copies > 0 {
        println!("dropped     {} copies of held-out documents", manifest.dropped_copies);
    }
    println!("written to  `{}`", args.out.join(Manifest::file_name(&manifest.name)).display());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_out_is_none_a_number_or_a_share() {
        assert_eq!(held_out("none"), Ok(HeldOut::Nothing));
        assert_eq!(held_out("first:50000"), Ok(HeldOut::First(50_000)));
        assert_eq!(held_out("one-in:20"), Ok(HeldOut::OneIn(20)));
        for wrong in ["", "first", "first:", "first:0", "one-in:-1", "last:3"] {
            assert!(held_out(wrong).is_err(), "{wrong}");
        }
    }
}
