//! `golf plan trace`: time, work and bytes of every step of a plan on a device, by op and in total.
//!
//! A GPU's times are its own time stamps (on CUDA, of single launches: a plan usually runs as one recording), the CPU's are the host's clock around each step. Steps run several times; every
//! figure is a median over the runs. Where a device does the work of several steps in one launch (an update of many tensors), the
//! first of them has the time and the others name it.

use super::PlanFlags;
use crate::device::{Device, Target};
use crate::exit::{Outcome, Status};
use crate::flags::{DeviceFlags, positive};
use crate::samples::median;
use crate::table::{Format, csv, markdown};
use clap::Args;
use golf_core::backend::{Backend, BackendError, ExecutableId, TraceEntry};
use golf_core::cpu::Cpu;
use golf_core::tensor::Tensor;
use golf_cuda::Cuda;
use golf_wgpu::{DeviceError, Wgpu};
use pollster::block_on;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use thiserror::Error;

#[derive(Args, Clone, Debug)]
pub(super) struct TraceArgs {
    #[command(flatten)]
    plan: PlanFlags,
    #[command(flatten)]
    device: DeviceFlags,
    /// Timed runs after one warm-up
    #[arg(short, long, default_value_t = 5, value_parser = positive)]
    repeat: usize,
    /// Output format; JSON also has the single steps
    #[arg(short, long, value_enum, default_value = "md")]
    output: Format,
}

/// Why a device times no steps.
#[derive(Debug, Error)]
enum TraceError {
    #[error("`{device}` does not time its steps\nhint: `--device cpu` does")]
    Untimed { device: Device },
    #[error(
        "`{backend}` has no time stamps for a plan of {steps} steps\nhint: `golf bench --device {device}` times whole runs"
    )]
    NoTimeStamps { backend: String, steps: usize, device: Device },
    #[error(transparent)]
    Device(#[from] DeviceError),
    #[error(transparent)]
    Cuda(#[from] golf_cuda::DeviceError),
}

/// A backend that can time its steps.
enum Timed {
    Cpu(Cpu),
    Wgpu(Box<Wgpu>),
    Cuda(Box<Cuda>),
}

impl Timed {
    fn open(target: &Target) -> Result<Timed, TraceError> {
        match target.device {
            Device::Wgpu(index) => Ok(Timed::Wgpu(Box::new(target.wgpu(index)?))),
            Device::Cpu | Device::Auto => Ok(Timed::Cpu(target.cpu().with_trace())),
            Device::Cuda(index) => Ok(Timed::Cuda(Box::new(target.cuda(index)?))),
            Device::Reference => Err(TraceError::Untimed { device: target.device }),
        }
    }

    fn backend(&mut self) -> &mut dyn Backend {
        match self {
            Timed::Cpu(cpu) => cpu,
            Timed::Wgpu(wgpu) => wgpu.as_mut(),
            Timed::Cuda(cuda) => cuda.as_mut(),
        }
    }

    /// Runs a plan; `None` where the device has no time stamps.
    fn run(
        &mut self,
        executable: ExecutableId,
        inputs: &[(&str, &Tensor)],
    ) -> Result<Option<Vec<TraceEntry>>, BackendError> {
        match self {
            Timed::Cpu(cpu) => {
                cpu.submit(executable, inputs)?;
                Ok(Some(cpu.take_trace()))
            }
            Timed::Wgpu(wgpu) => block_on(wgpu.trace(executable, inputs)),
            Timed::Cuda(cuda) => cuda.trace(executable, inputs).map(Some),
        }
    }
}

/// Figures of a group of steps.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Line {
    what: String,
    steps: usize,
    seconds: f64,
    share: f64,
    flops: u64,
    bytes: u64,
    gflops_per_s: f64,
    gb_per_s: f64,
}

/// A timed plan, as JSON has it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::cmd) struct Report {
    plan: String,
    plan_hash: String,
    backend: String,
    rows: usize,
    window: usize,
    repeat: usize,
    total: Line,
    ops: Vec<Line>,
    steps: Vec<Line>,
    /// What the device had to tell, such as that a library is not used.
    #[serde(default)]
    notes: Vec<String>,
}

pub(super) fn run(args: &TraceArgs) -> Outcome {
    let (model, extents, target) = (args.plan.model()?, args.plan.extents(), args.device.target());
    let plan = args.plan.plan(&model, target.plans)?;
    let (name, plan_hash, steps) = (plan.name.clone(), plan.hash(), plan.steps.len());
    let mut timed = Timed::open(&target)?;
    for (name, tensor) in model.tensors(args.plan.phase) {
        timed.backend().write_state(&name, &tensor)?;
    }
    let executable = block_on(timed.backend().compile(plan))?;
    let inputs = model.inputs(args.plan.phase, extents);
    let inputs: Vec<(&str, &Tensor)> = inputs.iter().map(|(name, tensor)| (*name, tensor)).collect();
    let mut runs = Vec::new();
    for repetition in 0..=args.repeat {
        let Some(run) = timed.run(executable, &inputs)? else {
            let (backend, device) = (timed.backend().name(), target.device);
            return Err(TraceError::NoTimeStamps { backend, steps, device }.into());
        };
        if repetition > 0 {
            runs.push(run);
        }
    }
    let (backend, repeat) = (timed.backend().name(), args.repeat);
    let total = group(&runs, "total", |_| true);
    let ops = by_op(&runs, total.seconds);
    let steps = (0..runs[0].len()).map(|i| single(&runs, i, total.seconds)).collect();
    let (rows, window) = (extents.window.rows, extents.window.seq);
    let notes = timed.backend().notes();
    notes.iter().for_each(|note| eprintln!("note: {note}"));
    let report = Report { plan: name, plan_hash, backend, rows, window, repeat, total, ops, steps, notes };
    print(&report, args.output)?;
    Ok(Status::Done)
}

/// The steps that `wanted` picks, as one line: the median over runs of their summed time.
fn group(runs: &[Vec<TraceEntry>], what: &str, wanted: impl Fn(usize) -> bool) -> Line {
    let picked = |run: &[TraceEntry]| -> Vec<TraceEntry> {
        run.iter().enumerate().filter(|(i, _)| wanted(*i)).map(|(_, entry)| entry.clone()).collect()
    };
    let sums: Vec<f64> = runs.iter().map(|run| picked(run).iter().map(|entry| entry.seconds).sum()).collect();
    let entries = picked(&runs[0]);
    let (flops, bytes) =
        (entries.iter().map(|entry| entry.flops).sum(), entries.iter().map(|entry| entry.bytes).sum());
    let seconds = median(&sums);
    // A device's clock may be too coarse for a small step.
    let rate = |amount: u64| if seconds > 0.0 { amount as f64 / seconds / 1e9 } else { 0.0 };
    Line {
        what: what.to_owned(),
        steps: entries.len(),
        seconds,
        share: 1.0,
        flops,
        bytes,
        gflops_per_s: rate(flops),
        gb_per_s: rate(bytes),
    }
}

fn single(runs: &[Vec<TraceEntry>], step: usize, total: f64) -> Line {
    let entry = &runs[0][step];
    let elsewhere = entry.timed_with.map_or(String::new(), |with| format!(", in the time of step {with}"));
    let line = group(runs, &format!("{} # {}{elsewhere}", entry.op, entry.label), |i| i == step);
    Line { share: line.seconds / total, ..line }
}

/// One line per op, the slowest first.
fn by_op(runs: &[Vec<TraceEntry>], total: f64) -> Vec<Line> {
    let mut steps = BTreeMap::<&str, Vec<usize>>::new();
    for (index, entry) in runs[0].iter().enumerate() {
        steps.entry(entry.op).or_default().push(index);
    }
    let mut lines: Vec<Line> = steps
        .into_iter()
        .map(|(op, steps)| group(runs, op, |i| steps.binary_search(&i).is_ok()))
        .map(|line| Line { share: line.seconds / total, ..line })
        .collect();
    lines.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
    lines
}

impl Report {
    const HEADER: [&str; 8] = ["op", "steps", "ms", "share", "GFLOP", "GFLOP/s", "MB", "GB/s"];

    /// A line of cells per op and for all.
    fn rows(&self) -> Vec<Vec<String>> {
        let cells = |line: &Line| {
            vec![
                line.what.clone(),
                line.steps.to_string(),
                format!("{:.3}", line.seconds * 1e3),
                format!("{:.1} %", line.share * 100.0),
                format!("{:.3}", line.flops as f64 / 1e9),
                format!("{:.2}", line.gflops_per_s),
                format!("{:.2}", line.bytes as f64 / 1e6),
                format!("{:.2}", line.gb_per_s),
            ]
        };
        self.ops.iter().chain([&self.total]).map(cells).collect()
    }

    /// What was timed, and the time by op, in Markdown.
    pub fn markdown(&self) -> String {
        let Report { plan, backend, rows, window, repeat, .. } = self;
        let what = format!("{plan}, {rows} x {window} tokens, on {backend}: medians of {repeat} runs");
        format!("{what}\n\n{}", markdown(&Self::HEADER, &self.rows()))
    }
}

fn print(report: &Report, format: Format) -> Result<(), serde_json::Error> {
    match format {
        Format::Json => println!("{}", serde_json::to_string_pretty(report)?),
        Format::Csv => println!("{}", csv(&Report::HEADER, &report.rows())),
        Format::Md => println!("{}", report.markdown()),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(op: &'static str, seconds: f64) -> TraceEntry {
        TraceEntry {
            label: "block.0".to_owned(),
            op,
            seconds,
            flops: 2_000_000_000,
            bytes: 1_000_000_000,
            timed_with: None,
        }
    }

    #[test]
    fn ops_are_summed_within_a_run_before_the_median_is_taken() {
        let runs = [
            vec![entry("linear", 1.0), entry("add", 1.0), entry("linear", 3.0)],
            vec![entry("linear", 3.0), entry("add", 9.0), entry("linear", 1.0)],
            vec![entry("linear", 2.0), entry("add", 1.0), entry("linear", 2.0)],
        ];
        let lines = by_op(&runs, 5.0);
        assert_eq!(lines[0].what, "linear");
        assert_eq!((lines[0].steps, lines[0].seconds, lines[0].share), (2, 4.0, 0.8));
        assert_eq!((lines[0].gflops_per_s, lines[0].gb_per_s), (1.0, 0.5));
        assert_eq!((lines[1].what.as_str(), lines[1].seconds), ("add", 1.0));
    }
}
