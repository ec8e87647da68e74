//! `golf import`: someone else's checkpoint or quantized export becomes an artifact, without running any of its code.
//!
//! Integers and scales are kept as they are where the artifact can hold them (rows of at most 8 bits with half-precision
//! scales) and the exporter's own loader would not round their products; everything else becomes the floats that the
//! scores of its author were computed with.

use super::load;
use crate::exit::{Outcome, Status};
use clap::{Args, ValueEnum};
use golf_core::artifact::{Artifact, ArtifactTensor, Provenance, TensorData};
use golf_core::digest::{hex, sha256_hex};
use golf_core::durable::replace;
use golf_core::import::shapes::{derive, inventory};
use golf_core::import::{
    Assumptions, FloatType, Imported, ImportedData, Limits, Rounding, Scales, import_bytes,
};
use golf_core::model::config::{Activation, Trigram};
use golf_core::tokenizer::Tokenizer;
use half::f16;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Flags of `golf import`.
#[derive(Args, Clone, Debug)]
pub struct ImportArgs {
    /// Torch `.pt` or `.ptz`, or safetensors.
    file: PathBuf,
    /// SentencePiece model that the weights were trained with; it goes into the artifact.
    #[arg(long, value_name = "FILE.model")]
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
    /// MLP activation.
    #[arg(long, value_enum, default_value = "relu2")]
    act: Act,
    /// Rotated channels of a head (default: all).
    #[arg(long)]
    rope_dims: Option<usize>,
    /// Rotary base.
    #[arg(long, default_value_t = 10_000.0)]
    rope_base: f64,
    /// Rescale the rotary base for windows longer than `--rope-train-len`.
    #[arg(long)]
    rope_ntk: bool,
    /// Window for which the rotary base holds.
    #[arg(long, default_value_t = 1024)]
    rope_train_len: usize,
    /// Softcap of the logits.
    #[arg(long, default_value_t = 30.0)]
    softcap: f64,
    /// Last layers with exclusive self-attention.
    #[arg(long, default_value_t = 0)]
    xsa_last_n: usize,
    /// Multiply the normalized inputs of layer i by 1/sqrt(i+1).
    #[arg(long)]
    ln_scale: bool,
    /// Which trigram hash a trigram table belongs to.
    #[arg(long, value_enum, default_value = "s951")]
    trigram: TrigramHash,
    /// Layers with value embeddings (default: the last ones).
    #[arg(long, value_delimiter = ',')]
    ve_layers: Option<Vec<usize>>,
    /// How keys and values are shared: 0 not, -1 all from block 0, n the last n blocks.
    #[arg(long, allow_hyphen_values = true)]
    kv_share: Option<i64>,
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

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Act {
    /// max(z, 0)²
    Relu2,
    /// (z or z/2)²
    Leaky2,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum TrigramHash {
    /// PR #951.
    S951,
    /// PR #1216.
    S1216,
    /// PR #1019: no table of its own.
    P1019,
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

impl ImportArgs {
    fn assumptions(&self) -> Assumptions {
        Assumptions {
            act: match self.act {
                Act::Relu2 => Activation::Relu2,
                Act::Leaky2 => Activation::Leaky2,
            },
            trigram: match self.trigram {
                TrigramHash::S951 => Trigram::S951,
                TrigramHash::S1216 => Trigram::S1216,
                TrigramHash::P1019 => Trigram::P1019,
            },
            ve_layers: self.ve_layers.clone(),
            kv_share: self.kv_share,
            xsa_last_n: self.xsa_last_n,
            rope_dims: self.rope_dims,
            rope_base: self.rope_base,
            rope_ntk: self.rope_ntk,
            rope_train_len: self.rope_train_len,
            ln_scale: self.ln_scale,
            softcap: self.softcap,
            ..Assumptions::default()
        }
    }
}

/// Runs the command.
pub fn run(args: &ImportArgs) -> Outcome {
    let name = args.file.display();
    let bytes = load::read(&args.file)?;
    let file = import_bytes(&bytes, &Limits::default()).map_err(|error| format!("`{name}`: {error}"))?;
    let mut config = derive(&inventory(&file.tensors), &args.assumptions())
        .map_err(|error| format!("`{name}`: {error}"))?;
    config.window = args.window;
    if let Some(heads) = args.heads.filter(|heads| *heads != config.heads) {
        return Err(format!(
            "`{name}`: expected {heads} heads (--heads), got {} from the shapes",
            config.heads
        )
        .into());
    }
    let tokenizer = load::tokenizer_file(&args.tokenizer)?;
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
