//! `golf verify`: whether a file is whole, by what is in it. Whether its numbers may be believed is `golf check`'s question.

use super::load;
use crate::exit::{Outcome, Status};
use clap::Args;
use golf_core::artifact::{Artifact, Limits};
use golf_core::eval::ModelWeights;
use golf_core::eval::receipt::Receipt;
use golf_core::tokenizer::Tokenizer;
use golf_core::train::checkpoint::Checkpoint;
use serde_json::json;
use std::error::Error;
use std::path::{Path, PathBuf};

/// Flags of `golf verify`.
#[derive(Args, Clone, Debug)]
pub struct VerifyArgs {
    /// Artifacts, receipts (`.json`) and checkpoints (`.safetensors`).
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// What was found out about a file.
pub(super) struct Found {
    pub path: PathBuf,
    /// What it is, or what is wrong with it.
    pub told: Result<String, String>,
}

/// Runs the command.
pub fn run(args: &VerifyArgs) -> Outcome {
    let one =
        |path: &PathBuf| Found { path: path.clone(), told: check(path).map_err(|error| chain(&*error)) };
    report(&args.files.iter().map(one).collect::<Vec<_>>(), args.json)
}

/// Prints a line per file; a file that is not whole is a failed check.
pub(super) fn report(found: &[Found], json: bool) -> Outcome {
    if json {
        let files = found.iter().map(|Found { path, told }| {
            let told = match told {
                Ok(what) => json!({ "ok": true, "is": what }),
                Err(error) => json!({ "ok": false, "error": error }),
            };
            (path.display().to_string(), told)
        });
        println!("{:#}", serde_json::Value::Object(files.collect()));
    } else {
        for Found { path, told } in found {
            match told {
                Ok(what) => println!("ok    `{}`: {what}", path.display()),
                Err(error) => println!("FAIL  {error}"),
            }
        }
    }
    Ok(if found.iter().all(|found| found.told.is_ok()) { Status::Done } else { Status::CheckFailed })
}

/// An error and its causes in one line.
fn chain(error: &dyn Error) -> String {
    let (mut text, mut cause) = (error.to_string(), error.source());
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    text
}

fn check(path: &Path) -> Result<String, Box<dyn Error>> {
    let bytes = load::read(path)?;
    if Artifact::begins(&bytes) {
        return artifact(path, &bytes);
    }
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("json") => receipt(path, &bytes),
        Some("safetensors") => {
            let checkpoint = Checkpoint::load(path)?;
            Ok(format!(
                "checkpoint, step {}, {} states, digest as stored",
                checkpoint.meta.progress.step,
                checkpoint.states.len()
            ))
        }
        _ => Err(format!(
            "`{}`: expected an artifact, a receipt (`.json`) or a checkpoint (`.safetensors`)",
            path.display()
        )
        .into()),
    }
}

/// Checksums and sizes while it is read; then whether the tensors are the configuration's, and the tokenizer the one named.
fn artifact(path: &Path, bytes: &[u8]) -> Result<String, Box<dyn Error>> {
    let fail = |source| load::LoadError::Artifact { path: path.to_path_buf(), source };
    let artifact = Artifact::decode(bytes, &Limits::default()).map_err(fail)?;
    artifact.check().map_err(fail)?;
    let model = ModelWeights::from_artifact(&artifact)?;
    let tokenizer = match &artifact.tokenizer {
        None => "no tokenizer".to_owned(),
        Some(compact) => {
            let tokenizer = Tokenizer::from_compact(compact)?;
            if artifact.tokenizer_identity.is_some_and(|identity| identity != tokenizer.identity()) {
                return Err(format!(
                    "`{}`: the tokenizer inside is not the one that the artifact names",
                    path.display()
                )
                .into());
            }
            format!("a tokenizer of {} pieces", tokenizer.len())
        }
    };
    let hash = golf_core::digest::hex(&artifact.content_hash());
    Ok(format!(
        "artifact, {} bytes, {} tensors, {tokenizer}, content {hash}",
        bytes.len(),
        model.tensors().len()
    ))
}

fn receipt(path: &Path, bytes: &[u8]) -> Result<String, Box<dyn Error>> {
    let fail = |error: &dyn Error| format!("`{}`: {error}", path.display());
    let receipt: Receipt = serde_json::from_slice(bytes).map_err(|error| fail(&error))?;
    receipt.verify().map_err(|error| fail(&error))?;
    Ok(format!("receipt, {} chunks, every hash, order and sum as recomputed", receipt.chunks.len()))
}
