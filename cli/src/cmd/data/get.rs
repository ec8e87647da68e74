//! `golf data get`: a corpus without looking for one.

use super::sotu;
use crate::exit::{Outcome, Status};
use clap::{Args, ValueEnum};
use serde_json::json;
use std::fs;
use std::path::PathBuf;

/// Flags of `golf data get`.
#[derive(Args, Clone, Debug)]
pub(super) struct GetArgs {
    /// Which corpus.
    #[arg(value_enum, default_value = "sotu")]
    corpus: Corpus,
    /// Folder for the archive and the texts.
    #[arg(short, long, value_name = "DIR")]
    out: PathBuf,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Corpus {
    /// The State of the Union addresses of the United States' presidents: public domain, 12 MB.
    Sotu,
}

/// Runs the command: one text file per document, in the order of the corpus.
pub(super) fn run(args: &GetArgs) -> Outcome {
    let documents = match args.corpus {
        Corpus::Sotu => sotu::obtain(&args.out.join("downloads"))?,
    };
    let texts = args.out.join("texts");
    fs::create_dir_all(&texts).map_err(|error| format!("cannot create `{}`: {error}", texts.display()))?;
    for (index, document) in documents.iter().enumerate() {
        let path = texts.join(format!("{index:04}.txt"));
        fs::write(&path, document).map_err(|error| format!("cannot write `{}`: {error}", path.display()))?;
    }
    let (count, bytes) = (documents.len(), documents.iter().map(String::len).sum::<usize>());
    match args.json {
        true => {
            println!("{}", json!({"texts": texts.display().to_string(), "documents": count, "bytes": bytes}))
        }
        false => println!(
            "{count} documents, {bytes} bytes, in `{0}`\nnext: golf data tokenize {0}/*.txt --documents-by file --tokenizer FILE --out DIR",
            texts.display()
        ),
    }
    Ok(Status::Done)
}
