//! `golf inspect`: what an artifact is made of, without running it.

use crate::exit::{Outcome, Status};
use clap::Args;
use comfy_table::Table;
use golf_core::artifact::{Summary, summary};
use std::fs;
use std::path::PathBuf;

/// The challenge's cap, decimal bytes.
pub const CAP_BYTES: u64 = 16_000_000;

/// Flags of `golf inspect`.
#[derive(Args, Clone, Debug)]
pub struct InspectArgs {
    /// The artifact.
    artifact: PathBuf,
    /// List every tensor.
    #[arg(long)]
    tensors: bool,
    /// Print everything as JSON.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(args: &InspectArgs) -> Outcome {
    let name = args.artifact.display();
    let bytes = fs::read(&args.artifact).map_err(|error| format!("`{name}`: {error}"))?;
    let summary = summary(&bytes).map_err(|error| format!("`{name}`: {error}"))?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&summary)?);
        return Ok(Status::Done);
    }
    overview(&summary);
    println!("{}", sections(&summary));
    if args.tensors {
        println!("{}", tensors(&summary));
    }
    Ok(Status::Done)
}

/// The margin under the cap in both units, because mixing them up has cost people records.
pub fn cap_line(bytes: u64) -> String {
    let share = bytes as f64 / CAP_BYTES as f64 * 100.0;
    let verdict = if bytes <= CAP_BYTES { "under" } else { "OVER" };
    let (mb, mib) = (bytes as f64 / 1e6, bytes as f64 / (1 << 20) as f64);
    format!("{bytes} bytes = {mb:.3} MB = {mib:.3} MiB, {verdict} the cap of {CAP_BYTES} bytes ({share:.1}%)")
}

fn overview(summary: &Summary) {
    let c = &summary.config;
    println!("size        {}", cap_line(summary.file_bytes));
    println!("content     sha256 {}", summary.content_hash);
    let bits = summary.file_bytes as f64 * 8.0 / summary.parameters.max(1) as f64;
    println!("parameters  {} ({bits:.3} bits each, all included)", summary.parameters);
    println!(
        "model       {} layers, width {}, {}/{} heads, hidden {}, vocabulary {}, window {}",
        c.layers, c.dim, c.heads, c.kv_heads, c.hidden, c.vocab, c.window
    );
    println!("tokenizer   {}", summary.tokenizer_identity.as_deref().unwrap_or("none"));
    if let Some(provenance) = &summary.provenance {
        println!("provenance  {}", serde_json::to_string(provenance).unwrap_or_default());
    }
}

fn table(header: &[&str], rows: impl Iterator<Item = Vec<String>>) -> Table {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::ASCII_MARKDOWN).set_header(header);
    rows.for_each(|row| {
        table.add_row(row);
    });
    table
}

fn sections(summary: &Summary) -> Table {
    let rows = summary.sections.iter().map(|s| {
        let bits = s.bits.map_or(String::new(), |b| b.to_string());
        let (raw, stored) = (s.raw_bytes.to_string(), s.stored_bytes.to_string());
        let ratio = format!("{:.3}", s.stored_bytes as f64 / s.raw_bytes.max(1) as f64);
        vec![s.kind.to_owned(), bits, s.codec.to_owned(), s.offset.to_string(), raw, stored, ratio]
    });
    table(&["section", "bits", "codec", "offset", "raw bytes", "stored bytes", "ratio"], rows)
}

fn tensors(summary: &Summary) -> Table {
    let rows = summary.tensors.iter().map(|t| {
        let entropy = t.entropy_bits.map_or(String::new(), |e| format!("{e:.3}"));
        let scales = t.scale_range.map_or(String::new(), |(lo, hi)| format!("{lo:.3e}..{hi:.3e}"));
        let (shape, share) = (format!("{:?}", t.shape), format!("{:.0}", t.estimated_bytes));
        vec![t.name.clone(), shape, t.bits.to_string(), entropy, scales, share]
    });
    table(&["tensor", "shape", "bits", "entropy", "scales", "est. bytes"], rows)
}
