//! `golf kernels`: every CUDA kernel compiled before it is needed, so that a start waits for no compiler, or a machine needs
//! none.
//!
//! A file of code is named by the digest of all that decides what is in it: code of another version is never taken for this
//! one's, and what is there is not made again.

use crate::exit::{Outcome, Status};
use crate::table::{Format, csv, markdown};
use clap::Args;
use golf_cuda::{Code, DeviceInfo, Filled, Made, Storage, Usage, compile_ahead};
use serde::Serialize;
use std::path::PathBuf;
use std::time::Instant;

/// Flags of `golf kernels`.
#[derive(Args, Clone, Debug)]
pub struct KernelsArgs {
    /// Architecture, such as sm_90; repeatable (default: those of this machine's GPUs, else sm_80 and sm_90)
    #[arg(long, value_parser = architecture)]
    arch: Vec<String>,
    /// Folder for the code, which GOLF_KERNELS then names where it is used (default: the cache)
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Output format
    #[arg(short, long, value_enum, default_value = "md")]
    output: Format,
}

/// An architecture as GPUs ask for it.
fn architecture(text: &str) -> Result<String, String> {
    let digits = text.strip_prefix("sm_").unwrap_or_default();
    let sound = digits.len() >= 2 && digits.bytes().all(|b| b.is_ascii_digit());
    sound
        .then(|| text.to_owned())
        .ok_or_else(|| "expected `sm_` and a compute capability, such as `sm_90`".to_owned())
}

/// Architectures of these GPUs; where there are none, those that train.
pub(super) fn architectures(gpus: &[DeviceInfo]) -> Vec<String> {
    let found = gpus.iter().map(DeviceInfo::arch).collect();
    let mut archs: Vec<String> =
        if gpus.is_empty() { ["sm_80", "sm_90"].map(str::to_owned).into() } else { found };
    archs.sort();
    archs.dedup();
    archs
}

#[derive(Serialize)]
struct Report {
    program: &'static str,
    folder: String,
    /// Version of NVRTC; none where nothing was to be compiled.
    nvrtc: Option<String>,
    threads: usize,
    /// Files that were made.
    compiled: usize,
    /// Files that were there.
    there: usize,
    seconds: f64,
    files: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    file: &'static str,
    /// `f32` or `bf16`.
    activations: &'static str,
    arch: String,
    /// Of the code, in the folder.
    name: String,
    entry_points: Vec<&'static str>,
    bytes: u64,
    /// The most of any entry point; known of what was compiled now.
    registers: Option<usize>,
    /// Bytes that registers did not suffice for, the most of any entry point.
    spill_bytes: Option<usize>,
    /// Time of the compiler; none where the file was there.
    seconds: Option<f64>,
}

/// Runs the command.
pub fn run(args: &KernelsArgs) -> Outcome {
    let folder = match &args.out {
        Some(folder) => folder.clone(),
        None => golf_cuda::cache_folder()?,
    };
    let mut archs = args.arch.clone();
    if archs.is_empty() {
        archs = architectures(&golf_cuda::devices().map_or(Vec::new(), |(_, gpus)| gpus));
    }
    archs.sort();
    archs.dedup();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let start = Instant::now();
    let Filled { codes, compiler } = compile_ahead(&archs, &folder, threads)?;
    let seconds = start.elapsed().as_secs_f64();
    let compiled = codes.iter().filter(|code| code.made.is_some()).count();
    let report = Report {
        program: concat!("golf ", env!("CARGO_PKG_VERSION")),
        folder: folder.display().to_string(),
        nvrtc: compiler.map(|(major, minor)| format!("{major}.{minor}")),
        threads,
        compiled,
        there: codes.len() - compiled,
        seconds,
        files: codes.into_iter().map(row).collect(),
    };
    print(&report, args.output)?;
    Ok(Status::Done)
}

fn row(code: Code) -> Row {
    let most = |made: &Made| made.usages.iter().flatten().copied().reduce(Usage::most);
    let most = code.made.as_ref().and_then(most);
    Row {
        file: code.unit.source.file,
        activations: if code.unit.storage == Storage::Half { "bf16" } else { "f32" },
        arch: code.arch,
        name: code.name,
        entry_points: code.kernels.iter().map(|kernel| kernel.entry).collect(),
        bytes: code.bytes,
        registers: most.map(|usage| usage.registers),
        spill_bytes: most.map(|usage| usage.spilled),
        seconds: code.made.map(|made| made.seconds),
    }
}

fn print(report: &Report, format: Format) -> Result<(), serde_json::Error> {
    let header =
        ["file", "activations", "arch", "entry points", "bytes", "registers", "spill bytes", "seconds"];
    let count = |number: Option<usize>| number.map_or(String::new(), |number| number.to_string());
    let line = |row: &Row| -> Vec<String> {
        vec![
            row.file.to_owned(),
            row.activations.to_owned(),
            row.arch.clone(),
            row.entry_points.len().to_string(),
            row.bytes.to_string(),
            count(row.registers),
            count(row.spill_bytes),
            row.seconds.map_or("there".to_owned(), |seconds| format!("{seconds:.2}")),
        ]
    };
    let rows: Vec<Vec<String>> = report.files.iter().map(line).collect();
    match format {
        Format::Json => println!("{}", serde_json::to_string_pretty(report)?),
        Format::Csv => println!("{}", csv(&header, &rows)),
        Format::Md => {
            println!("{}\n", markdown(&header, &rows));
            let Report { folder, compiled, there, seconds, threads, .. } = report;
            println!(
                "{compiled} compiled in {seconds:.1} s on {threads} threads, {there} were there: `{folder}`"
            );
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn architectures_are_those_of_the_gpus_without_repetition() {
        let gpu = |compute| DeviceInfo { name: "GPU".to_owned(), compute, memory: 1 };
        assert_eq!(architectures(&[gpu((9, 0)), gpu((8, 6)), gpu((9, 0))]), ["sm_86", "sm_90"]);
        assert_eq!(architectures(&[]), ["sm_80", "sm_90"]);
    }

    #[test]
    fn an_architecture_that_no_gpu_asks_for_is_refused() {
        for text in ["sm_80", "sm_90", "sm_120"] {
            assert_eq!(architecture(text).as_deref(), Ok(text));
        }
        for text in ["90", "sm_", "sm_9", "sm_90a", "compute_90", ""] {
            architecture(text).expect_err(text);
        }
    }
}
