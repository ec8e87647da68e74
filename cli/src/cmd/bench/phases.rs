//! The phases of a model, timed.

use super::{ModelBenchArgs, Row, Test};
use crate::device::Target;
use crate::model::{Extents, Model, Phase};
use crate::samples::{deviation, median};
use golf_core::backend::Backend;
use golf_core::eval::{Generator, Sampling};
use golf_core::model::gpt::Window;
use golf_core::model::parameters;
use golf_core::optim::{Group, Optimizer, Rule};
use golf_core::plan::{Plan, PlanOptions};
use golf_core::tensor::Tensor;
use pollster::block_on;
use rustix::time::{ClockId, clock_gettime};
use std::error::Error;
use std::ops::ControlFlow;
use std::time::Instant;

/// Seconds of every repetition.
#[derive(Default)]
struct Times {
    wall: Vec<f64>,
    cpu: Vec<f64>,
}

/// Time that all threads of the process have computed.
pub(super) fn cpu_seconds() -> f64 {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    now.tv_sec as f64 + now.tv_nsec as f64 * 1e-9
}

/// Times `run`, the first time not counted.
fn time(repeat: usize, mut run: impl FnMut() -> Result<(), Box<dyn Error>>) -> Result<Times, Box<dyn Error>> {
    let mut times = Times::default();
    for repetition in 0..=repeat {
        let (start, cpu_start) = (Instant::now(), cpu_seconds());
        run()?;
        if repetition > 0 {
            times.wall.push(start.elapsed().as_secs_f64());
            times.cpu.push(cpu_seconds() - cpu_start);
        }
    }
    Ok(times)
}

/// What the plans of a test are known to take.
struct Cost {
    flops: u64,
    scratch: usize,
    states: usize,
}

fn extents(args: &ModelBenchArgs) -> Extents {
    Extents { window: Window { rows: args.rows, seq: args.window }, new: 1 }
}

pub(super) fn measure(
    args: &ModelBenchArgs,
    model: &Model,
    target: &Target,
    test: Test,
) -> Result<Row, Box<dyn Error>> {
    let extents = extents(args);
    let mut backend = target.open()?;
    let (tokens, cost, times) = match test {
        Test::Tg => (args.generate, None, generation(args, model, backend.as_mut())?),
        Test::Pp | Test::Ttt => {
            let plans = plans(model, extents, test, target.plans)?;
            let cost = Cost {
                flops: plans.iter().map(Plan::flops).sum(),
                scratch: plans.iter().map(Plan::scratch_bytes).sum(),
                states: plans.iter().map(Plan::state_bytes).max().unwrap_or(0),
            };
            (extents.window.tokens(), Some(cost), steps(args, model, backend.as_mut(), plans, test)?)
        }
    };
    backend.notes().iter().for_each(|note| eprintln!("note: {note}"));
    let (wall, n) = (median(&times.wall), tokens as f64);
    let rates: Vec<f64> = times.wall.iter().map(|seconds| n / seconds).collect();
    let threads = target.host_threads();
    let core_seconds = threads.map(|_| median(&times.cpu));
    let gflop = cost.as_ref().map(|cost| cost.flops as f64 / 1e9);
    let name = match test {
        Test::Pp => "pp",
        Test::Tg => "tg",
        Test::Ttt => "ttt",
    };
    Ok(Row {
        model: model.name.clone(),
        size_bytes: model.bytes(),
        params: model.params(),
        backend: backend.name(),
        threads,
        test: format!("{name}{tokens}"),
        repeat: args.repeat,
        tokens_per_s: n / wall,
        tokens_per_s_sd: deviation(&rates),
        tokens_per_core_s: core_seconds.map(|seconds| n / seconds),
        gflops: gflop.map(|gflop| gflop / wall),
        gflops_per_core: gflop.zip(core_seconds).map(|(gflop, seconds)| gflop / seconds),
        scratch_bytes: cost.as_ref().map(|cost| cost.scratch),
        state_bytes: cost.as_ref().map(|cost| cost.states),
    })
}

/// The plans of a test, in the order in which they run.
fn plans(
    model: &Model,
    extents: Extents,
    test: Test,
    options: PlanOptions,
) -> Result<Vec<Plan>, Box<dyn Error>> {
    if test == Test::Pp {
        return Ok(vec![Plan::new("score", &model.graph(Phase::Score, extents)?, options)]);
    }
    let shapes = parameters(&model.config).into_iter().map(|p| (p.name, p.shape)).collect();
    let params = parameters(&model.config).into_iter().map(|p| p.name).collect();
    let groups = vec![Group { rule: Rule::Sgd { momentum: 0.9 }, lr: 1e-3, params }];
    let optimizer = Optimizer { groups, clip: 0.0, counted_only: vec![] };
    let gradients = model.graph(Phase::Gradient, extents)?;
    let plan = |name: &str, graph| Plan::new(name, graph, options);
    Ok(vec![plan("gradients", &gradients), plan("update", &optimizer.update_graph(&shapes)?)])
}

/// Scoring or a training step, to a result that the host has read.
fn steps(
    args: &ModelBenchArgs,
    model: &Model,
    backend: &mut dyn Backend,
    plans: Vec<Plan>,
    test: Test,
) -> Result<Times, Box<dyn Error>> {
    let phase = if test == Test::Pp { Phase::Score } else { Phase::Gradient };
    for (name, tensor) in model.tensors(phase) {
        backend.write_state(&name, &tensor)?;
    }
    let mut executables = Vec::new();
    for plan in plans {
        executables.push(block_on(backend.compile(plan))?);
    }
    let inputs = model.inputs(phase, extents(args));
    let inputs: Vec<(&str, &Tensor)> = inputs.iter().map(|(name, tensor)| (*name, tensor)).collect();
    let one = Tensor::scalar(1.0);
    time(args.repeat, || {
        backend.submit(executables[0], &inputs)?;
        match executables.get(1) {
            None => block_on(backend.read_output(executables[0], "nll"))?,
            Some(update) => {
                backend.submit(*update, &[("lr_scale", &one)])?;
                block_on(backend.read_output(*update, "grad_norm"))?
            }
        };
        Ok(())
    })
}

/// Greedy generation from one token.
fn generation(
    args: &ModelBenchArgs,
    model: &Model,
    backend: &mut dyn Backend,
) -> Result<Times, Box<dyn Error>> {
    let mut generator = Generator::new(backend, &model.weights()?, args.window)?;
    let greedy = Sampling { temperature: 0.0, top_k: 0, seed: 0 };
    time(args.repeat, || {
        let mut tokens = vec![1];
        block_on(generator.generate(
            &mut tokens,
            args.generate,
            greedy,
            async |_| ControlFlow::Continue(()),
        ))?;
        Ok(())
    })
}
