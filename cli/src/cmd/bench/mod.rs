//! `golf bench`: tokens per second of a model, in the columns of llama-bench; `golf bench kernels` times single products,
//! `golf bench codecs` compresses weights.
//!
//! Tokenization, sampling and data loading are excluded. `pp` scores a window (forward and loss), `ttt` is forward,
//! backward and SGD with momentum over all parameters on it, `tg` generates from an empty context. Rates are medians
//! with the standard deviation over the repetitions. On the CPU they also come per core-second (process CPU time over all
//! threads), the figure to compare on a busy machine.

mod codecs;
mod contenders;
mod kernels;
mod phases;

use crate::exit::{Outcome, Status};
use crate::flags::{DeviceFlags, positive};
use crate::model::{Model, bits};
use crate::table::{Format, csv, markdown};
use clap::{Args, Subcommand, ValueEnum};
use golf_core::quant::ExportRecipe;
use serde::Serialize;

/// Flags of `golf bench`.
#[derive(Args, Clone, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub struct BenchArgs {
    #[command(subcommand)]
    command: Option<BenchCommand>,
    #[command(flatten)]
    model: ModelBenchArgs,
}

#[derive(Subcommand, Clone, Debug)]
enum BenchCommand {
    /// Time products and attention alone, as a fraction of what the device can do
    Kernels(kernels::KernelArgs),
    /// Compress the same integers with every codec: sizes, times, and proof that they come back
    Codecs(codecs::CodecArgs),
}

#[derive(Args, Clone, Debug)]
struct ModelBenchArgs {
    /// Model to time
    #[arg(long, alias = "preset", value_name = "PRESET|ARTIFACT", default_value = "pr549")]
    model: String,
    /// Store a preset's matrices in 4, 5, 6 or 8 bits, as an artifact does; training sees plain f32
    #[arg(long, value_parser = bits)]
    bits: Option<ExportRecipe>,
    /// Tokens of a window
    #[arg(long, alias = "seq", default_value_t = 2048, value_parser = positive)]
    window: usize,
    /// Windows of a run
    #[arg(long, default_value_t = 1, value_parser = positive)]
    rows: usize,
    /// Tokens to generate
    #[arg(long, default_value_t = 64, value_parser = positive)]
    generate: usize,
    /// Timed repetitions after one warm-up
    #[arg(short, long, default_value_t = 5, value_parser = positive)]
    repeat: usize,
    #[command(flatten)]
    device: DeviceFlags,
    /// What is timed
    #[arg(long, value_enum, value_delimiter = ',', default_value = "pp,tg,ttt")]
    tests: Vec<Test>,
    /// Output format
    #[arg(short, long, value_enum, default_value = "md")]
    output: Format,
}

/// What is timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Test {
    /// Scoring: forward and loss.
    Pp,
    /// Generation from an empty context.
    Tg,
    /// Forward, backward and SGD.
    Ttt,
}

/// Measurements of one test.
#[derive(Clone, Debug, Serialize)]
struct Row {
    model: String,
    size_bytes: usize,
    params: usize,
    backend: String,
    /// `null` where the host does not compute; so are the figures per core.
    threads: Option<usize>,
    test: String,
    repeat: usize,
    tokens_per_s: f64,
    tokens_per_s_sd: f64,
    tokens_per_core_s: Option<f64>,
    /// By the plans' own count; `null` for generation, which runs plans of several lengths.
    gflops: Option<f64>,
    gflops_per_core: Option<f64>,
    scratch_bytes: Option<usize>,
    state_bytes: Option<usize>,
}

/// Runs the command.
pub fn run(args: &BenchArgs) -> Outcome {
    match &args.command {
        Some(BenchCommand::Kernels(args)) => return kernels::run(args),
        Some(BenchCommand::Codecs(args)) => return codecs::run(args),
        None => {}
    }
    let args = &args.model;
    let (model, target) = (Model::open(&args.model, args.bits)?, args.device.target());
    let mut rows = Vec::new();
    for test in &args.tests {
        rows.push(phases::measure(args, &model, &target, *test)?);
    }
    print(&rows, args.output)?;
    Ok(Status::Done)
}

fn print(rows: &[Row], format: Format) -> Result<(), serde_json::Error> {
    let header = [
        "model",
        "size",
        "params",
        "backend",
        "threads",
        "test",
        "t/s",
        "t/core-s",
        "GFLOP/s",
        "GFLOP/s/core",
    ];
    let number = |value: Option<f64>, digits: usize| value.map_or("".to_owned(), |v| format!("{v:.digits$}"));
    let cells = |row: &Row| {
        vec![
            row.model.clone(),
            format!("{:.2} MB", row.size_bytes as f64 / 1e6),
            format!("{:.2} M", row.params as f64 / 1e6),
            row.backend.clone(),
            row.threads.map_or("".to_owned(), |n| n.to_string()),
            row.test.clone(),
            format!("{:.2} ± {:.2}", row.tokens_per_s, row.tokens_per_s_sd),
            number(row.tokens_per_core_s, 2),
            number(row.gflops, 1),
            number(row.gflops_per_core, 1),
        ]
    };
    let cells: Vec<Vec<String>> = rows.iter().map(cells).collect();
    match format {
        Format::Json => println!("{}", serde_json::to_string_pretty(rows)?),
        Format::Csv => println!("{}", csv(&header, &cells)),
        Format::Md => println!("{}", markdown(&header, &cells)),
    }
    Ok(())
}
