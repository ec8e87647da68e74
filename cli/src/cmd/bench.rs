//! `golf bench`: tokens per second of scoring and of a training step, on synthetic tokens.
//!
//! Tokenization, sampling and data loading are excluded. The training step is forward, backward and SGD with momentum
//! over all parameters. Besides wall clock it reports tokens per core-second (process CPU time over all threads), the
//! figure to compare on a busy machine.

use crate::device::Device;
use crate::exit::{Outcome, Status};
use clap::{Args, ValueEnum};
use comfy_table::Table;
use golf_core::backend::{Backend, ExecutableId};
use golf_core::model::gpt::{Weights, Window};
use golf_core::model::graphs::{gradient_graph, score_graph};
use golf_core::model::init::{Init, initialize};
use golf_core::model::{ModelConfig, parameters, presets};
use golf_core::optim::{Group, Optimizer, Rule};
use golf_core::plan::{Plan, PlanOptions};
use golf_core::tensor::Tensor;
use pollster::block_on;
use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;
use std::error::Error;
use std::time::Instant;

/// Flags of `golf bench`.
#[derive(Args, Clone, Debug)]
pub struct BenchArgs {
    /// Model to time.
    #[arg(long, default_value = "pr549")]
    preset: String,
    /// Tokens of a window.
    #[arg(long, default_value_t = 2048)]
    seq: usize,
    /// Windows of a run.
    #[arg(long, default_value_t = 1)]
    rows: usize,
    /// Timed repetitions after one warm-up.
    #[arg(short, long, default_value_t = 5)]
    repeat: usize,
    /// Executor.
    #[arg(long, value_enum, default_value = "cpu")]
    device: Device,
    /// Threads (default: all cores).
    #[arg(long)]
    threads: Option<usize>,
    /// Time only this.
    #[arg(long, value_enum)]
    only: Option<Test>,
    /// Output format.
    #[arg(short, long, value_enum, default_value = "md")]
    output: Format,
}

/// What is timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Test {
    /// Scoring: forward and loss.
    Forward,
    /// Forward, backward and SGD.
    TrainStep,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Md,
    Json,
    Csv,
}

/// Measurements of one test.
#[derive(Clone, Debug, Serialize)]
struct Row {
    model: String,
    params: usize,
    backend: String,
    threads: usize,
    test: String,
    repeat: usize,
    tokens_per_s: f64,
    tokens_per_s_sd: f64,
    tokens_per_core_s: f64,
    gflops_per_core: f64,
    scratch_bytes: usize,
    state_bytes: usize,
}

/// Runs the command.
pub fn run(args: &BenchArgs) -> Outcome {
    let config = presets::model(&args.preset)
        .ok_or_else(|| format!("no preset `{}`; one of: {}", args.preset, presets::PRESETS.join(", ")))?;
    let mut rows = Vec::new();
    for test in [Test::Forward, Test::TrainStep] {
        if args.only.is_none_or(|only| only == test) {
            rows.push(measure(args, &config, test)?);
        }
    }
    print(&rows, args.output)?;
    Ok(Status::Done)
}

/// Compiles the plans of one test, in the order in which they run.
fn plans(config: &ModelConfig, window: Window, test: Test) -> Result<Vec<Plan>, Box<dyn Error>> {
    let weights = Weights::default();
    let plan = |name: &str, graph| Plan::new(name, &graph, PlanOptions::default());
    if test == Test::Forward {
        return Ok(vec![plan("score", score_graph(config, &weights, window)?)]);
    }
    let shapes = parameters(config).into_iter().map(|p| (p.name, p.shape)).collect();
    let params: Vec<String> = parameters(config).into_iter().map(|p| p.name).collect();
    let groups = vec![Group { rule: Rule::Sgd { momentum: 0.9 }, lr: 1e-3, params: params.clone() }];
    let optimizer = Optimizer { groups, clip: 0.0, counted_only: vec![] };
    let gradients = plan("gradients", gradient_graph(config, &weights, window, &params)?);
    Ok(vec![gradients, plan("update", optimizer.update_graph(&shapes)?)])
}

fn cpu_seconds() -> f64 {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    now.tv_sec as f64 + now.tv_nsec as f64 * 1e-9
}

fn median(samples: &mut [f64]) -> f64 {
    samples.sort_by(f64::total_cmp);
    let middle = samples.len() / 2;
    if samples.len() % 2 == 1 { samples[middle] } else { (samples[middle - 1] + samples[middle]) / 2.0 }
}

fn measure(args: &BenchArgs, config: &ModelConfig, test: Test) -> Result<Row, Box<dyn Error>> {
    let window = Window { rows: args.rows, seq: args.seq };
    let plans = plans(config, window, test)?;
    let flops: u64 = plans.iter().map(Plan::flops).sum();
    let (scratch, states) =
        (plans.iter().map(Plan::scratch_bytes).sum(), plans.iter().map(Plan::state_bytes).max());
    let mut backend = args.device.open(args.threads);
    for (name, tensor) in initialize(config, Init::Uniform, 0) {
        backend.write_state(&name, &tensor)?;
    }
    let mut executables = Vec::new();
    for plan in plans {
        executables.push(block_on(backend.compile(plan))?);
    }
    let (mut wall, mut cpu) = (Vec::new(), Vec::new());
    for repetition in 0..=args.repeat {
        let (start, cpu_start) = (Instant::now(), cpu_seconds());
        step(backend.as_mut(), &executables, config, window, test)?;
        if repetition > 0 {
            wall.push(start.elapsed().as_secs_f64());
            cpu.push(cpu_seconds() - cpu_start);
        }
    }
    let n = window.tokens() as f64;
    let rates: Vec<f64> = wall.iter().map(|s| n / s).collect();
    let mean = rates.iter().sum::<f64>() / rates.len() as f64;
    let variance = rates.iter().map(|r| (r - mean).powi(2)).sum::<f64>() / (rates.len().max(2) - 1) as f64;
    let core_seconds = median(&mut cpu);
    let threads = args.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    Ok(Row {
        model: args.preset.clone(),
        params: parameters(config).iter().map(|p| p.numel()).sum(),
        backend: backend.name(),
        threads,
        test: format!(
            "{}{}",
            if test == Test::Forward { "forward" } else { "train_step_sgd" },
            window.tokens()
        ),
        repeat: args.repeat,
        tokens_per_s: n / median(&mut wall),
        tokens_per_s_sd: variance.sqrt(),
        tokens_per_core_s: n / core_seconds,
        gflops_per_core: flops as f64 / core_seconds / 1e9,
        scratch_bytes: scratch,
        state_bytes: states.unwrap_or(0),
    })
}

fn step(
    backend: &mut dyn Backend,
    executables: &[ExecutableId],
    config: &ModelConfig,
    window: Window,
    test: Test,
) -> Result<(), Box<dyn Error>> {
    let n = window.tokens();
    let ids = |stride: usize| Tensor::i32(&[n], (0..n).map(|i| (i * stride % config.vocab) as i32).collect());
    let (tokens, targets, one, zero) = (ids(7919), ids(104_729), Tensor::scalar(1.0), Tensor::scalar(0.0));
    let inputs = [("tokens", &tokens), ("targets", &targets), ("share", &one), ("keep", &zero)];
    backend.submit(executables[0], &inputs)?;
    if test == Test::Forward {
        block_on(backend.read_output(executables[0], "nll"))?;
    } else {
        backend.submit(executables[1], &[("lr_scale", &one)])?;
        block_on(backend.read_output(executables[1], "grad_norm"))?;
    }
    Ok(())
}

fn print(rows: &[Row], format: Format) -> Result<(), Box<dyn Error>> {
    if format == Format::Json {
        println!("{}", serde_json::to_string_pretty(rows)?);
        return Ok(());
    }
    let header = ["model", "params", "backend", "threads", "test", "t/s", "t/core-s", "GFLOP/s/core"];
    let cells = |row: &Row| {
        let rate = format!("{:.2} ± {:.2}", row.tokens_per_s, row.tokens_per_s_sd);
        let (per_core, flops) =
            (format!("{:.2}", row.tokens_per_core_s), format!("{:.1}", row.gflops_per_core));
        let (params, threads) = (format!("{:.2} M", row.params as f64 / 1e6), row.threads.to_string());
        [row.model.clone(), params, row.backend.clone(), threads, row.test.clone(), rate, per_core, flops]
    };
    if format == Format::Csv {
        println!("{}", header.join(","));
        rows.iter().for_each(|row| println!("{}", cells(row).join(",")));
        return Ok(());
    }
    let mut table = Table::new();
    table.load_style(comfy_table::presets::ASCII_MARKDOWN).set_header(header);
    rows.iter().for_each(|row| {
        table.add_row(cells(row));
    });
    println!("{table}");
    Ok(())
}
