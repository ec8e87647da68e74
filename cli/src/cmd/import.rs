//! `golf import`: someone else's checkpoint or quantized export becomes an artifact, without running any of its code.
//!
//! Integers and scales are kept as they are where the artifact can hold them (rows of at most 8 bits with half-precision
//! scales) and the exporter's own loader would not round their products; everything else becomes the floats that the
//! scores of its author were computed with.

use super::assumptions::AssumptionFlags;
use super::load;
use crate::exit::{Outcome, Status};
use clap::Args;
use golf_core::artifact::{Artifact, ArtifactTensor, Provenance, TensorData};
use golf_core::digest::{hex, sha256_hex};
use golf_core::durable::replace;
use golf_core::import::shapes::{derive, inventory};
use golf_core::import::{FloatType, Imported, ImportedData, Limits, Rounding, Scales, import_bytes};
use golf_core::tokenizer::Tokenizer;
use half::f16;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Flags of `golf import`.
#[derive(Args, Clone, Debug)]
pub struct ImportArgs {
    /// Torch `.pt` or `.ptz`, or safetensors.
    file: PathBuf,
    /// SentencePiece model that the weights were trained with, or an artifact that holds it; it goes into the artifact.
    #[arg(long, value_name = "FILE")]
    tokenizer: PathBuf,
    /// Artifact to write.
    #[arg(short, long, value_name = "FILE")]
    out: PathBuf,
    /// Tokens of the windows that the model was trained on, the default for scoring (0: not known).
    #[arg(long, default_value_t = 0)]
    window: usize,
    /// Query heads, as a check of what the shapes say.
    #[arg(long)]
    heads: Option<usize>,
    #[command(flatten)]
    assumptions: AssumptionFlags,
    /// Keep exact products of integers and scales where the exporter's own loader would round them (such as an
    /// embedding to bfloat16): smaller, but not the scores that its author saw.
    #[arg(long)]
    exact: bool,
    /// Accept a tokenizer that is known to be the wrong one; every result will be marked.
    #[arg(long)]
    force_tokenizer: bool,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    artifact: PathBuf,
    bytes: usize,
    content_sha256: String,
    tensors: usize,
    parameters: usize,
    layout: String,
    tokenizer_identity: String,
    tokenizer_forced: bool,
}

/// Runs the command.
pub fn run(args: &ImportArgs) -> Outcome {
    let name = args.file.display();
    let bytes = load::read(&args.file)?;
    let file = import_bytes(&bytes, &Limits::default()).map_err(|error| format!("`{name}`: {error}"))?;
    let mut config = derive(&inventory(&file.tensors), &args.assumptions.get())
        .map_err(|error| format!("`{name}`: {error}"))?;
    config.window = args.window;
    if let Some(heads) = args.heads.filter(|heads| *heads != config.heads) {
        return Err(format!(
            "`{name}`: expected {heads} heads (--heads), got {} from the shapes",
            config.heads
        )
        .into());
    }
    let tokenizer = load::tokenizer_in(&args.tokenizer)?;
    let known = load::impostor(&tokenizer);
    if let Some(name) = known.filter(|_| !args.force_tokenizer) {
        return Err(load::LoadError::Impostor { name }.into());
    }
    if tokenizer.len() > config.vocab {
        return Err(load::LoadError::Vocabulary { pieces: tokenizer.len(), vocab: config.vocab }.into());
    }
    let rounding = if args.exact { Rounding::Exact } else { Rounding::Restored };
    let mut tensors: Vec<_> = file.tensors.iter().map(|tensor| convert(tensor, rounding)).collect();
    tensors.sort_by(|a, b| a.name.cmp(&b.name));
    let artifact = Artifact {
        config,
        tensors,
        tokenizer_identity: Some(tokenizer.identity()),
        tokenizer: Some(tokenizer.to_compact()),
        provenance: Some(provenance(&args.file, &bytes)),
    };
    let encoded = artifact.encode()?;
    replace(&args.out, &encoded)
        .map_err(|error| format!("cannot write `{}`: {error}", args.out.display()))?;
    let report = Report {
        artifact: args.out.clone(),
        bytes: encoded.len(),
        content_sha256: hex(&artifact.content_hash()),
        tensors: artifact.tensors.len(),
        parameters: file.tensors.iter().map(Imported::numel).sum(),
        layout: format!("{:?}", file.layout),
        tokenizer_identity: hex(&tokenizer.identity()),
        tokenizer_forced: known.is_some(),
    };
    print(&report, &tokenizer, args.json)?;
    Ok(Status::Done)
}

fn print(report: &Report, tokenizer: &Tokenizer, json: bool) -> Result<(), serde_json::Error> {
    if json {
        println!("{}", serde_json::to_string_pretty(report)?);
        return Ok(());
    }
    println!("wrote       `{}`, {} bytes", report.artifact.display(), report.bytes);
    println!("content     sha256 {}", report.content_sha256);
    println!("parameters  {} in {} tensors ({})", report.parameters, report.tensors, report.layout);
    println!("tokenizer   {} pieces, identity {}", tokenizer.len(), report.tokenizer_identity);
    if report.tokenizer_forced {
        println!("marked      this tokenizer is known to be the wrong one; every result will say so");
    }
    Ok(())
}

/// The tensor as an artifact holds it.
fn convert(tensor: &Imported, rounding: Rounding) -> ArtifactTensor {
    let exact = rounding == Rounding::Exact || tensor.restore == FloatType::F32;
    let data = match &tensor.data {
        ImportedData::Quantized { q, scales: Scales::F16(scales), per_row: true, bits }
            if exact && tensor.shape.len() == 2 && scales.iter().all(|s| s.is_sign_positive()) =>
        {
            TensorData::Quantized { bits: *bits, q: q.clone(), scales: scales.clone() }
        }
        ImportedData::F16(values) if exact || tensor.restore == FloatType::F16 => {
            TensorData::F16(values.clone())
        }
        _ => floats(tensor.to_f32(rounding)),
    };
    ArtifactTensor { name: tensor.name.clone(), shape: tensor.shape.clone(), data }
}

/// Halves if that loses nothing, otherwise singles.
fn floats(values: Vec<f32>) -> TensorData {
    let halves: Vec<f16> = values.iter().map(|v| f16::from_f32(*v)).collect();
    if halves.iter().zip(&values).all(|(half, value)| half.to_f32() == *value) {
        TensorData::F16(halves)
    } else {
        TensorData::F32(values)
    }
}

fn provenance(path: &Path, bytes: &[u8]) -> Provenance {
    let name = path.file_name().map(|name| name.to_string_lossy().replace(char::is_control, "?"));
    let notes = format!("imported from `{}`, sha256 {}", name.unwrap_or_default(), sha256_hex(bytes));
    Provenance { notes: Some(notes), ..Provenance::default() }
}
