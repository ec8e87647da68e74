//! `golf bench codecs`: the same quantized integers under every codec, with proof that they come back.
//!
//! Integers are grouped into streams as an artifact groups them. Times are CPU seconds of one thread, so that they hold on
//! a busy machine; `order-0 entropy` is what an ideal coder would need that knows each tensor's histogram for free and
//! nothing else. Scales and floats are not counted.

use super::contenders::{CONTENDERS, Contender};
use super::phases::cpu_seconds;
use crate::cmd::load::LoadError;
use crate::exit::{Outcome, Status};
use crate::table::{Format, csv, markdown};
use clap::Args;
use golf_core::artifact::{Artifact, ArtifactTensor, Limits, SymbolStream, TensorData, symbol_streams};
use golf_core::digest::sha256_hex;
use golf_core::import::{self, Rounding, import_bytes};
use golf_core::quant::gptq::sigma_steps;
use golf_core::quant::{Scales, Scheme};
use half::f16;
use serde::Serialize;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

#[derive(Args, Clone, Debug)]
pub(super) struct CodecArgs {
    /// Artifacts, safetensors, or torch files
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Quantize all matrices to so many bits first (default: the integers that an artifact holds)
    #[arg(long, value_parser = clap::value_parser!(u32).range(4..=8))]
    bits: Option<u32>,
    /// Clip rows at so many standard deviations, not at their best ratio of the largest magnitude
    #[arg(long, requires = "bits", value_name = "K")]
    sigmas: Option<f64>,
    /// Only tensors whose names start so
    #[arg(long, default_value = "", value_name = "NAME")]
    prefix: String,
    /// Output format
    #[arg(short, long, value_enum, default_value = "md")]
    output: Format,
}

/// Matrices up to so many elements stay floats, as in golf's own recipes.
const PASSTHROUGH: usize = 4096;

#[derive(Serialize)]
struct Report {
    program: &'static str,
    command: String,
    files: Vec<FileReport>,
}

#[derive(Serialize)]
struct FileReport {
    file: String,
    weights: usize,
    /// Of the integers, one byte each, stream after stream.
    sha256: String,
    /// Bits a weight of an ideal order-0 coder of each tensor.
    entropy_bits: f64,
    rows: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    codec: &'static str,
    bytes: usize,
    bits_per_weight: f64,
    /// Streams that were smaller by columns.
    by_columns: usize,
    encode_s: f64,
    decode_s: f64,
    decoded_sha256: String,
    equal: bool,
}

pub(super) fn run(args: &CodecArgs) -> Outcome {
    let files = args.files.iter().map(|file| measure(args, file)).collect::<Result<Vec<_>, _>>()?;
    let command = std::env::args().skip(1).collect::<Vec<_>>().join(" ");
    let report = Report { program: concat!("golf ", env!("CARGO_PKG_VERSION")), command, files };
    print(&report, args.output)?;
    let equal = report.files.iter().flat_map(|file| &file.rows).all(|row| row.equal);
    Ok(if equal { Status::Done } else { Status::CheckFailed })
}

fn measure(args: &CodecArgs, path: &Path) -> Result<FileReport, Box<dyn Error>> {
    let mut tensors = tensors(path, args)?;
    tensors.retain(|tensor| tensor.name.starts_with(&args.prefix));
    let streams = symbol_streams(&tensors);
    let weights: usize = streams.iter().map(|stream| stream.symbols.len()).sum();
    if weights == 0 {
        return Err(
            format!("`{}`: no quantized matrices\nhint: `--bits 6` makes some", path.display()).into()
        );
    }
    let sha256 = sha256_hex(&streams.iter().flat_map(|stream| &stream.symbols).copied().collect::<Vec<_>>());
    let rows = CONTENDERS.iter().map(|contender| row(contender, &streams, weights, &sha256));
    Ok(FileReport {
        file: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        weights,
        rows: rows.collect::<Result<_, _>>()?,
        entropy_bits: streams.iter().map(entropy_bits).sum::<f64>() / weights as f64,
        sha256,
    })
}

/// One codec over all streams.
fn row(
    contender: &Contender,
    streams: &[SymbolStream],
    weights: usize,
    sha256: &str,
) -> Result<Row, Box<dyn Error>> {
    let (mut bytes, mut by_columns, mut encode_s, mut decode_s) = (0, 0, 0.0, 0.0);
    let mut integers = Vec::with_capacity(weights);
    for stream in streams {
        let start = cpu_seconds();
        let mut best = (contender.encode)(stream, &stream.symbols)?;
        let columns = if contender.bytes_only {
            let other = (contender.encode)(stream, &transposed(stream, &stream.symbols, false))?;
            let smaller = other.len() < best.len();
            if smaller {
                best = other;
            }
            smaller
        } else {
            false
        };
        let encoded = cpu_seconds();
        let decoded = (contender.decode)(&best, stream.symbols.len())?;
        decode_s += cpu_seconds() - encoded;
        encode_s += encoded - start;
        bytes += best.len();
        by_columns += usize::from(columns);
        integers.extend(if columns { transposed(stream, &decoded, true) } else { decoded });
    }
    let decoded_sha256 = sha256_hex(&integers);
    Ok(Row {
        codec: contender.name,
        bytes,
        bits_per_weight: bytes as f64 * 8.0 / weights as f64,
        by_columns,
        encode_s,
        decode_s,
        equal: decoded_sha256 == sha256,
        decoded_sha256,
    })
}

/// The symbols of each matrix column by column; with `back`, from columns to rows.
fn transposed(stream: &SymbolStream, symbols: &[u8], back: bool) -> Vec<u8> {
    let (mut left, mut result) = (symbols, Vec::with_capacity(symbols.len()));
    for &(rows, cols) in &stream.matrices {
        let (matrix, rest) = left.split_at(rows * cols);
        let (outer, inner) = if back { (rows, cols) } else { (cols, rows) };
        result.extend((0..outer).flat_map(|o| (0..inner).map(move |i| matrix[i * outer + o])));
        left = rest;
    }
    result
}

/// Bits of an ideal order-0 coder of each tensor of a stream.
fn entropy_bits(stream: &SymbolStream) -> f64 {
    let (mut left, mut bits) = (&stream.symbols[..], 0.0);
    for &(rows, cols) in &stream.matrices {
        let (matrix, rest) = left.split_at(rows * cols);
        let mut counts = [0u32; 256];
        matrix.iter().for_each(|&symbol| counts[usize::from(symbol)] += 1);
        let share = |count: u32| f64::from(count) / matrix.len() as f64;
        bits -= counts.iter().filter(|c| **c > 0).map(|&c| f64::from(c) * share(c).log2()).sum::<f64>();
        left = rest;
    }
    bits
}

/// The file's quantized tensors: its own, or its matrices quantized now.
fn tensors(path: &Path, args: &CodecArgs) -> Result<Vec<ArtifactTensor>, Box<dyn Error>> {
    let bytes = fs::read(path).map_err(|source| LoadError::Read { path: path.to_owned(), source })?;
    if bytes.starts_with(&golf_core::artifact::layout::MAGIC) {
        let tensors = Artifact::decode(&bytes, &Limits::default())?.tensors;
        let Some(bits) = args.bits else { return Ok(tensors) };
        let matrix = |tensor: &ArtifactTensor| {
            let values = tensor.to_f32();
            quantized(&tensor.name, &tensor.shape, values.f32s(), bits, args.sigmas)
        };
        return Ok(tensors.iter().filter_map(matrix).collect());
    }
    let bits = args.bits.ok_or("floats have no integers to compress\nhint: add `--bits 6`")?;
    let file = import_bytes(&bytes, &import::Limits::default())?;
    let matrix = |tensor: &import::Imported| {
        quantized(&tensor.name, &tensor.shape, &tensor.to_f32(Rounding::Exact), bits, args.sigmas)
    };
    Ok(file.tensors.iter().filter_map(matrix).collect())
}

/// A matrix of more than [`PASSTHROUGH`] elements in `bits` bits; nothing else.
fn quantized(
    name: &str,
    shape: &[usize],
    values: &[f32],
    bits: u32,
    sigmas: Option<f64>,
) -> Option<ArtifactTensor> {
    let &[_, cols] = shape else { return None };
    if values.len() <= PASSTHROUGH {
        return None;
    }
    let c = (1 << (bits - 1)) - 1;
    // Seven bits are stored as eight.
    let bits = if bits == 7 { 8 } else { bits };
    let (q, scales) = match sigmas {
        Some(k) => clipped(values, cols, &sigma_steps(values, cols, k, c), c),
        None => {
            let quantized = Scheme::Ratio { c }.quantize(shape, values);
            let Scales::PerRow(steps) = quantized.scales else { return None };
            (quantized.q, steps)
        }
    };
    let data = TensorData::Quantized { bits, q, scales };
    Some(ArtifactTensor { name: name.to_owned(), shape: shape.to_vec(), data })
}

/// Rows rounded to integers `±c` at given steps.
fn clipped(values: &[f32], cols: usize, steps: &[f16], c: u32) -> (Vec<i8>, Vec<f16>) {
    let integer = |(i, value): (usize, &f32)| {
        (value / steps[i / cols].to_f32()).round_ties_even().clamp(-(c as f32), c as f32) as i8
    };
    (values.iter().enumerate().map(integer).collect(), steps.to_vec())
}

fn print(report: &Report, format: Format) -> Result<(), serde_json::Error> {
    let header = ["file", "codec", "bytes", "bits/weight", "vs mixer", "encode s", "decode s", "SHA-256"];
    let mut cells = Vec::new();
    for file in &report.files {
        let ours = file.rows.last().map_or(0, |row| row.bytes) as f64;
        let ratio = |bytes: f64| format!("{:.4}", bytes / ours);
        let entropy = file.entropy_bits * file.weights as f64 / 8.0;
        let [e, none] = [format!("{entropy:.0}"), String::new()];
        let bits = format!("{:.4}", file.entropy_bits);
        let name = format!("{} ({} weights)", file.file, file.weights);
        let first = "order-0 entropy".to_owned();
        cells.push(vec![name.clone(), first, e, bits, ratio(entropy), none.clone(), none, "".to_owned()]);
        cells.extend(file.rows.iter().map(|row| {
            let verdict = if row.equal { "equal" } else { "DIFFERENT" };
            vec![
                name.clone(),
                row.codec.to_owned(),
                row.bytes.to_string(),
                format!("{:.4}", row.bits_per_weight),
                ratio(row.bytes as f64),
                format!("{:.2}", row.encode_s),
                format!("{:.2}", row.decode_s),
                format!("{} {verdict}", &row.decoded_sha256[..12]),
            ]
        }));
    }
    match format {
        Format::Json => println!("{}", serde_json::to_string_pretty(report)?),
        Format::Csv => println!("{}", csv(&header, &cells)),
        Format::Md => println!("{}", markdown(&header, &cells)),
    }
    Ok(())
}
