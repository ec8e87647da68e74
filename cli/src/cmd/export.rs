//! `golf export`: an artifact for other people's programs.
//!
//! `.safetensors` holds the weights as 32-bit floats with the model's configuration in the metadata; `.ptz` is the clean
//! per-row layout of the challenge's baseline under zlib, integers and scales as they are, for `torch.load`.

use super::load;
use crate::exit::{Outcome, Status};
use crate::source::CONFIG_KEY;
use clap::Args;
use golf_core::artifact::Artifact;
use golf_core::digest::sha256_hex;
use golf_core::durable::replace;
use golf_core::export::{Wrapping, per_row, to_safetensors};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Flags of `golf export`.
#[derive(Args, Clone, Debug)]
pub struct ExportArgs {
    /// The artifact.
    artifact: PathBuf,
    /// File to write: `.safetensors`, `.ptz` (zlib), or `.pt` (the same, uncompressed).
    #[arg(short, long, value_name = "FILE")]
    out: PathBuf,
    /// Compress a `.ptz` with Zstandard instead of zlib.
    #[arg(long)]
    zstd: bool,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(args: &ExportArgs) -> Outcome {
    let (artifact, _) = load::artifact(&args.artifact)?;
    let extension = args.out.extension().and_then(|e| e.to_str()).unwrap_or_default();
    let bytes = match extension {
        "safetensors" => to_safetensors(&artifact.tensors, metadata(&artifact)?)?,
        "ptz" if args.zstd => per_row(&artifact.tensors, Wrapping::Zstd),
        "ptz" => per_row(&artifact.tensors, Wrapping::Zlib),
        "pt" => per_row(&artifact.tensors, Wrapping::None),
        other => {
            return Err(
                format!("expected a file name ending in .safetensors, .ptz or .pt, got `.{other}`").into()
            );
        }
    };
    replace(&args.out, &bytes).map_err(|error| format!("cannot write `{}`: {error}", args.out.display()))?;
    let (path, size, sha256) = (args.out.display(), bytes.len(), sha256_hex(&bytes));
    match args.json {
        true => println!("{}", json!({"path": path.to_string(), "bytes": size, "sha256": sha256})),
        false => println!("wrote       `{path}`, {size} bytes, sha256 {sha256}"),
    }
    Ok(Status::Done)
}

fn metadata(artifact: &Artifact) -> Result<BTreeMap<String, String>, serde_json::Error> {
    let mut metadata = BTreeMap::new();
    metadata.insert("format".to_owned(), "pt".to_owned());
    metadata.insert(CONFIG_KEY.to_owned(), serde_json::to_string(&artifact.config)?);
    Ok(metadata)
}
