//! `golf plan`: what a phase of a model runs: shown (`show`), timed (`trace`), compared step by step (`diff`).

mod diff;
mod show;
mod trace;

pub(super) use trace::Report as Trace;

use crate::exit::Outcome;
use crate::flags::positive;
use crate::model::{Extents, Model, ModelError, Phase, bits};
use clap::{Args, Subcommand};
use golf_core::model::gpt::Window;
use golf_core::ops::OpError;
use golf_core::plan::{Plan, PlanOptions};
use golf_core::quant::ExportRecipe;

/// Flags of `golf plan`.
#[derive(Args, Clone, Debug)]
pub struct PlanArgs {
    #[command(subcommand)]
    command: PlanCommand,
}

#[derive(Subcommand, Clone, Debug)]
enum PlanCommand {
    /// Print steps, slots and memory
    Show(show::ShowArgs),
    /// Time every step on a device
    Trace(trace::TraceArgs),
    /// Compare a device with the oracle step by step, to the first one that is off
    Diff(diff::DiffArgs),
}

/// Which plan.
#[derive(Args, Clone, Debug)]
struct PlanFlags {
    /// Model
    #[arg(value_name = "PRESET|ARTIFACT", default_value = "pr549")]
    model: String,
    /// What the plan is for
    #[arg(long, value_enum, default_value = "score")]
    phase: Phase,
    /// Tokens of a window (default: 1024)
    #[arg(long, alias = "seq", value_parser = positive)]
    window: Option<usize>,
    /// Windows of a run (default: 1)
    #[arg(long, value_parser = positive)]
    rows: Option<usize>,
    /// Tokens that a decode step reads
    #[arg(long, default_value_t = 1, value_parser = positive)]
    new: usize,
    /// Store a preset's matrices in 4, 5, 6 or 8 bits, as an artifact does; gradients see plain f32
    #[arg(long, value_parser = bits)]
    bits: Option<ExportRecipe>,
}

impl PlanFlags {
    fn extents(&self) -> Extents {
        Extents {
            window: Window { rows: self.rows.unwrap_or(1), seq: self.window.unwrap_or(1024) },
            new: self.new,
        }
    }

    fn model(&self) -> Result<Model, ModelError> {
        Model::open(&self.model, self.bits)
    }

    fn plan(&self, model: &Model, options: PlanOptions) -> Result<Plan, OpError> {
        let graph = model.graph(self.phase, self.extents())?;
        Ok(Plan::new(&format!("{} {}", model.name, self.phase.name()), &graph, options))
    }
}

/// Runs the command.
pub fn run(args: &PlanArgs) -> Outcome {
    match &args.command {
        PlanCommand::Show(args) => show::run(args),
        PlanCommand::Trace(args) => trace::run(args),
        PlanCommand::Diff(args) => diff::run(args),
    }
}
