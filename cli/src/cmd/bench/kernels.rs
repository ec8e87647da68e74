//! `golf bench kernels`: single products and attention on a device, in GFLOP/s and as a fraction of its peak.
//!
//! Each is a plan of one op over states, submitted many times before one small result is read; so the figure has the cost
//! of a submission in it, but neither uploads nor the way back. The peak is measured in the same process with a kernel of
//! nothing but multiply-adds, or given as `--peak-gflops`; without either there is no fraction. On an NVIDIA GPU in bf16, ops are
//! timed as training runs them (`flow`), and the peak is the data sheet's where it is known.

mod flow;

use crate::device::{Device, Target};
use crate::exit::{Outcome, Status};
use crate::flags::DeviceFlags;
use crate::model::noise;
use crate::peaks::{cuda_device, peak_tflops};
use crate::samples::{deviation, median};
use crate::table::{Format, csv, markdown};
use clap::{Args, ValueEnum};
use golf_core::backend::{Backend, BackendError};
use golf_core::graph::Graph;
use golf_core::ops::{Attention, AttentionGrad, Linear, Mean, Op};
use golf_core::plan::Plan;
use golf_core::tensor::{DType, Data, Tensor, TensorType};
use golf_core::train::recipe::Precision;
use golf_wgpu::{Capabilities, Lowering, adapters, kernels};
use pollster::block_on;
use serde::Serialize;
use std::error::Error;
use std::time::Instant;

#[derive(Args, Clone, Debug)]
pub(super) struct KernelArgs {
    #[command(flatten)]
    device: DeviceFlags,
    /// Extents: small ones for software, full ones for a GPU
    #[arg(long, value_enum, default_value = "full")]
    sizes: Sizes,
    /// Peak of the device in GFLOP/s (default: measured on a GPU, of the data sheet for bf16)
    #[arg(long, value_name = "GFLOP/s")]
    peak_gflops: Option<f64>,
    /// Timed samples of each
    #[arg(short, long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(5..))]
    repeat: u32,
    /// Output format
    #[arg(short, long, value_enum, default_value = "md")]
    output: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Sizes {
    Small,
    Full,
}

/// Shortest sample in seconds; shorter launches are repeated.
const SAMPLE_SECONDS: f64 = 0.1;

/// Most launches of a sample.
const MOST_LAUNCHES: usize = 1000;

#[derive(Serialize)]
struct Report {
    program: &'static str,
    backend: String,
    adapter: Option<AdapterFacts>,
    threads: Option<usize>,
    sizes: &'static str,
    samples: u32,
    peak_gflops: Option<f64>,
    peak_source: Option<&'static str>,
    kernels: Vec<Row>,
}

#[derive(Serialize)]
struct AdapterFacts {
    name: String,
    api: String,
    driver: String,
    driver_info: String,
}

#[derive(Serialize)]
struct Row {
    op: &'static str,
    /// Kernels that the op is lowered to; empty where the backend has no such choice.
    kernels: Vec<&'static str>,
    shape: String,
    weights: String,
    launches_per_sample: usize,
    milliseconds: f64,
    gflops: f64,
    gflops_sd: f64,
    peak_fraction: Option<f64>,
}

/// One op over states.
struct Case {
    op: Op,
    shape: String,
    operands: Vec<TensorType>,
}

pub(super) fn run(args: &KernelArgs) -> Outcome {
    let target = args.device.target();
    let mut backend = target.open()?;
    let of_data_sheet = || {
        let bf16 = target.precision == Precision::Bf16;
        bf16.then(|| peak_tflops(cuda_device(&backend.name())?)).flatten().map(|tflops| tflops * 1e3)
    };
    let (peak, peak_source) = match (args.peak_gflops, target.device) {
        (Some(given), _) => (Some(given), Some("given")),
        (None, Device::Wgpu(index)) => (Some(measured_peak(&target, index, args.repeat)?), Some("measured")),
        (None, _) => of_data_sheet().map_or((None, None), |peak| (Some(peak), Some("data sheet"))),
    };
    let adapter = match target.device {
        Device::Wgpu(index) => block_on(adapters()).into_iter().nth(index),
        Device::Auto | Device::Cpu | Device::Reference | Device::Cuda(_) => None,
    };
    let capabilities = adapter.as_ref().map(|adapter| adapter.capabilities());
    let rows = match (target.device, target.precision) {
        (Device::Cuda(index), Precision::Bf16) => flow::rows(&target, index, args.sizes, peak, args.repeat)?,
        _ => {
            // A window fills a CPU; a GPU wants a batch of them.
            let windows = match (args.sizes, target.device) {
                (Sizes::Full, Device::Cuda(_)) => 48,
                _ => 1,
            };
            let mut measured = |case: &Case| {
                measure(backend.as_mut(), plan(case, &target)?, case, capabilities, peak, args.repeat)
            };
            cases(args.sizes, windows).iter().map(&mut measured).collect::<Result<_, _>>()?
        }
    };
    let facts = adapter.map(|adapter| {
        let info = adapter.info();
        let api = info.backend.to_string();
        AdapterFacts { name: info.name, api, driver: info.driver, driver_info: info.driver_info }
    });
    let report = Report {
        program: concat!("golf ", env!("CARGO_PKG_VERSION")),
        backend: backend.name(),
        adapter: facts,
        threads: target.host_threads(),
        sizes: if args.sizes == Sizes::Small { "small" } else { "full" },
        samples: args.repeat,
        peak_gflops: peak,
        peak_source,
        kernels: rows,
    };
    print(&report, args.output)?;
    Ok(Status::Done)
}

/// Everything that is timed, the plain product first.
fn cases(sizes: Sizes, windows: usize) -> Vec<Case> {
    let (squares, packed, seq): (&[usize], [usize; 3], usize) = match sizes {
        Sizes::Small => (&[128, 256, 512], [256, 512, 512], 256),
        Sizes::Full => (&[512, 1024, 2048, 4096], [2048, 1536, 512], 2048),
    };
    let product = |[rows, cols, depth]: [usize; 3], dtype| Case {
        op: Linear::NT.into(),
        shape: format!("[{rows},{depth}] x [{cols},{depth}]"),
        operands: vec![TensorType::f32(&[rows, depth]), TensorType { dtype, shape: vec![cols, depth] }],
    };
    let mut cases: Vec<Case> = squares.iter().map(|&n| product([n, n, n], DType::F32)).collect();
    let widths = [DType::F32, DType::Q4, DType::Q5, DType::Q6, DType::Q8];
    cases.extend(widths.map(|dtype| product(packed, dtype)));
    let (heads, kv_heads, width) = (8, 4, 64);
    let shape = format!("{windows} x {seq} tokens, {heads}/{kv_heads} heads of {width}");
    let n = windows * seq;
    let (q, kv) = (TensorType::f32(&[n, heads * width]), TensorType::f32(&[n, kv_heads * width]));
    let lse = TensorType::f32(&[n, heads]);
    cases.push(Case {
        op: Attention { heads, kv_heads, seq }.into(),
        shape: shape.clone(),
        operands: vec![q.clone(), kv.clone(), kv.clone()],
    });
    cases.push(Case {
        op: AttentionGrad { heads, kv_heads, seq }.into(),
        shape,
        operands: vec![q.clone(), kv.clone(), kv, q.clone(), lse, q],
    });
    cases
}

/// Cases share a device, and operands of one type.
fn operand_name(i: usize, ty: &TensorType) -> String {
    format!("operand {i} {ty}")
}

/// The op over states, and a number to wait for that costs nothing to read.
fn plan(case: &Case, target: &Target) -> Result<Plan, Box<dyn Error>> {
    let mut graph = Graph::new();
    let states = case.operands.iter().enumerate();
    let operands: Vec<_> = states.map(|(i, ty)| graph.state(&operand_name(i, ty), ty.clone())).collect();
    for (i, result) in graph.push(case.op.clone(), &operands)?.into_iter().enumerate() {
        graph.output(&format!("result {i}"), result);
    }
    let tick = graph.input("tick", TensorType::f32(&[1]));
    let tock = graph.apply(Mean, &[tick])?;
    graph.output("tock", tock);
    Ok(Plan::new(case.op.def().name(), &graph, target.plans))
}

/// An operand of no particular values.
fn operand(ty: &TensorType) -> Tensor {
    match ty.dtype.quant_bits() {
        None => Tensor::f32(&ty.shape, (0..ty.numel()).map(noise).collect()),
        // Scales of zero are as much work as others, and no bits of a word make a NaN of them.
        Some(_) => Tensor::new(ty.clone(), Data::Packed(vec![0; ty.words()])),
    }
}

fn measure(
    backend: &mut dyn Backend,
    plan: Plan,
    case: &Case,
    capabilities: Option<Capabilities>,
    peak: Option<f64>,
    samples: u32,
) -> Result<Row, Box<dyn Error>> {
    let step = plan.steps.iter().find(|step| step.op == case.op).expect("the op computes an output");
    let (op, flops) = (case.op.def().name(), step.flops() as f64);
    let variants = capabilities.map_or_else(Vec::new, |capabilities| {
        let mut lowering = Lowering::new(step, capabilities);
        kernels::lower(&step.op, &mut lowering);
        lowering.launches.iter().map(|launch| launch.kernel.name).collect()
    });
    for (i, ty) in case.operands.iter().enumerate() {
        backend.write_state(&operand_name(i, ty), &operand(ty))?;
    }
    let executable = block_on(backend.compile(plan))?;
    let tick = Tensor::f32(&[1], vec![1.0]);
    let mut sample = |launches: usize| -> Result<f64, BackendError> {
        let start = Instant::now();
        for _ in 0..launches {
            backend.submit(executable, &[("tick", &tick)])?;
        }
        block_on(backend.read_output(executable, "tock"))?;
        Ok(start.elapsed().as_secs_f64() / launches as f64)
    };
    sample(1)?;
    let launches = ((SAMPLE_SECONDS / sample(2)?).ceil() as usize).clamp(1, MOST_LAUNCHES);
    let seconds = (0..samples).map(|_| sample(launches)).collect::<Result<Vec<f64>, _>>()?;
    let rates: Vec<f64> = seconds.iter().map(|seconds| flops / seconds / 1e9).collect();
    let gflops = median(&rates);
    Ok(Row {
        op,
        kernels: variants,
        shape: case.shape.clone(),
        weights: format!("{:?}", case.operands[1].dtype),
        launches_per_sample: launches,
        milliseconds: median(&seconds) * 1e3,
        gflops,
        gflops_sd: deviation(&rates),
        peak_fraction: peak.map(|peak| gflops / peak),
    })
}

/// Multiply-adds per second times two, in GFLOP/s: the median of `samples`.
fn measured_peak(target: &Target, index: usize, samples: u32) -> Result<f64, Box<dyn Error>> {
    let mut device = target.wgpu(index)?;
    let mut rate = |share: f64, dispatches: usize| -> Result<(f64, f64), BackendError> {
        let start = Instant::now();
        let flops = block_on(device.multiply_add(share, dispatches))?;
        let seconds = start.elapsed().as_secs_f64();
        Ok((flops as f64 / seconds / 1e9, seconds))
    };
    // From a sliver up, so that software does not take minutes; the first also compiles.
    let (mut share, mut dispatches) = (1.0 / 4096.0, 1);
    rate(share, dispatches)?;
    while rate(share, dispatches)?.1 < SAMPLE_SECONDS && dispatches < MOST_LAUNCHES {
        if share < 1.0 { share *= 4.0 } else { dispatches *= 2 }
    }
    let rates =
        (0..samples).map(|_| Ok(rate(share, dispatches)?.0)).collect::<Result<Vec<f64>, BackendError>>()?;
    Ok(median(&rates))
}

fn print(report: &Report, format: Format) -> Result<(), serde_json::Error> {
    let header = ["op", "shape", "weights", "kernels", "ms", "GFLOP/s", "of peak"];
    let cells = |row: &Row| {
        vec![
            row.op.to_owned(),
            row.shape.clone(),
            row.weights.clone(),
            row.kernels.join(" "),
            format!("{:.3}", row.milliseconds),
            format!("{:.2} ± {:.2}", row.gflops, row.gflops_sd),
            row.peak_fraction.map_or("".to_owned(), |fraction| format!("{:.1} %", fraction * 100.0)),
        ]
    };
    let rows: Vec<Vec<String>> = report.kernels.iter().map(cells).collect();
    match format {
        Format::Json => println!("{}", serde_json::to_string_pretty(report)?),
        Format::Csv => println!("{}", csv(&header, &rows)),
        Format::Md => {
            match (report.peak_gflops, report.peak_source) {
                (Some(peak), Some(source)) => {
                    println!("{}, peak {peak:.1} GFLOP/s ({source})\n", report.backend);
                }
                _ => println!("{}\n", report.backend),
            }
            println!("{}", markdown(&header, &rows));
        }
    }
    Ok(())
}
