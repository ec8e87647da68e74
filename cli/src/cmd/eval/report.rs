//! The result for people and for programs. Marks come first in both, so that no one can miss them.

use comfy_table::Table;
use golf_core::eval::{Method, Receipt, WindowRule};
use golf_core::model::ModelConfig;
use serde::Serialize;
use std::time::Duration;

/// A finished run.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// Why the result cannot be compared with others; empty for a sound one.
    marks: Vec<String>,
    illegal: bool,
    val_bpb: Option<f64>,
    val_loss: Option<f64>,
    tokens: u64,
    bytes: u64,
    normalized_bytes: Option<u64>,
    raw_bytes: Option<u64>,
    raw_bpb: Option<f64>,
    bytes_per_token: Option<f64>,
    windows: u64,
    window: usize,
    stride: usize,
    rule: WindowRule,
    targets: usize,
    duplicates: u64,
    method: Method,
    #[serde(skip_serializing_if = "Option::is_none")]
    chunks: Option<Vec<Chunk>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bpb_without_ttt: Option<f64>,
    device: String,
    seconds: f64,
    /// Chunks of an earlier process, which the seconds do not cover.
    resumed_at_chunk: usize,
    tokens_per_second: f64,
    artifact_sha256: Option<String>,
    text_sha256: Option<String>,
    tokenizer_identity: Option<String>,
    receipt_head: String,
    /// What looks wrong without being wrong.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Chunk {
    index: usize,
    bpb: Option<f64>,
    nll: f64,
    tokens: u64,
    bytes: u64,
    steps: u64,
}

impl Report {
    pub fn new(
        receipt: &Receipt,
        config: &ModelConfig,
        without_ttt: Option<Option<f64>>,
        elapsed: Duration,
        resumed_at_chunk: usize,
    ) -> Self {
        let (run, totals, seconds) = (&receipt.run, &receipt.totals, elapsed.as_secs_f64());
        let chunk = |c: &golf_core::eval::receipt::ChunkRecord| Chunk {
            index: c.index,
            bpb: c.bpb,
            nll: c.nll,
            tokens: c.tokens,
            bytes: c.bytes,
            steps: c.steps,
        };
        let adapted = run.method != Method::Fixed;
        Self {
            marks: run.marks.lines(),
            illegal: run.marks.illegal.is_some(),
            val_bpb: totals.val_bpb,
            val_loss: totals.val_loss,
            tokens: totals.tokens,
            bytes: totals.bytes,
            normalized_bytes: run.source.normalized_bytes,
            raw_bytes: run.source.raw_bytes,
            raw_bpb: totals.raw_bpb,
            bytes_per_token: totals.bytes_per_token,
            windows: run.windows.count,
            window: run.windows.window,
            stride: run.windows.stride,
            rule: run.windows.rule,
            targets: run.targets,
            duplicates: receipt.coverage.duplicates,
            method: run.method,
            chunks: adapted.then(|| receipt.chunks.iter().map(chunk).collect()),
            bpb_without_ttt: without_ttt.flatten(),
            device: run.device.clone(),
            seconds,
            resumed_at_chunk,
            tokens_per_second: totals.tokens as f64 / seconds,
            artifact_sha256: run.source.artifact_sha256.clone(),
            text_sha256: run.source.text_sha256.clone(),
            tokenizer_identity: run.source.tokenizer_identity.clone(),
            receipt_head: receipt.head.clone(),
            warnings: warnings(totals.val_loss, config),
        }
    }

    /// Prints the report to stdout; warnings of the table go to stderr.
    pub fn print(&self, json: bool) -> Result<(), serde_json::Error> {
        if json {
            println!("{}", serde_json::to_string_pretty(self)?);
            return Ok(());
        }
        self.marks.iter().for_each(|mark| println!("MARKED {mark}"));
        println!("{}", self.table());
        if let Some(chunks) = &self.chunks {
            println!("{}", chunk_table(chunks));
        }
        self.warnings.iter().for_each(|warning| eprintln!("warning: {warning}"));
        Ok(())
    }

    fn table(&self) -> Table {
        let number = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |v| format!("{v:.6}"));
        let count = |value: Option<u64>| value.map_or_else(|| "-".to_owned(), |v| v.to_string());
        let once = match self.duplicates {
            0 => "every target scored exactly once".to_owned(),
            n => format!("{n} scores repeated"),
        };
        let windows = format!("{} of {} every {}, {once}", self.windows, self.window, self.stride);
        let bytes = format!(
            "{} charged, {} normalized, {} raw",
            self.bytes,
            count(self.normalized_bytes),
            count(self.raw_bytes)
        );
        let mut rows = vec![
            ("val_bpb", number(self.val_bpb)),
            ("val_loss", number(self.val_loss)),
            ("bits per raw byte", number(self.raw_bpb)),
            ("tokens", self.tokens.to_string()),
            ("bytes", bytes),
            ("bytes per token", number(self.bytes_per_token)),
            ("windows", windows),
            (
                "device",
                format!("{}, {:.1} s, {:.0} tokens/s", self.device, self.seconds, self.tokens_per_second),
            ),
            ("receipt", self.receipt_head.clone()),
        ];
        if self.bpb_without_ttt.is_some() {
            rows.insert(1, ("val_bpb without ttt", number(self.bpb_without_ttt)));
        }
        let mut table = Table::new();
        table.load_style(comfy_table::presets::NOTHING);
        for (name, value) in rows {
            table.add_row([name.to_owned(), value]);
        }
        table
    }
}

fn chunk_table(chunks: &[Chunk]) -> Table {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header(["chunk", "bpb", "tokens", "bytes", "steps after"]);
    for c in chunks {
        let bpb = c.bpb.map_or_else(|| "-".to_owned(), |bpb| format!("{bpb:.6}"));
        let [tokens, bytes, steps] = [c.tokens, c.bytes, c.steps].map(|n| n.to_string());
        table.add_row([c.index.to_string(), bpb, tokens, bytes, steps]);
    }
    table
}

/// A model that scores worse than a uniform guess is nearly always a model with the wrong tokenizer.
fn warnings(loss: Option<f64>, config: &ModelConfig) -> Vec<String> {
    let uniform = (config.vocab as f64).ln();
    let worse = loss.filter(|loss| *loss > uniform);
    let text = |loss: f64| {
        format!(
            "{loss:.3} nats a token is worse than a uniform guess ({uniform:.3})\n\
             hint: check that the tokenizer and the model's settings are the ones that it was trained with"
        )
    };
    worse.map(text).into_iter().collect()
}
