//! Flags that several commands share, and values of flags.

use crate::device::{Device, Target};
use crate::ranks::Patience;
use crate::ranks::environment::Asked;
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use golf_core::plan::{Fusion, PlanOptions};
use golf_core::train::recipe::Precision;

/// What computes, and how.
#[derive(Args, Clone, Debug)]
pub struct DeviceFlags {
    /// Executor: `auto` is the first GPU that opens, else the CPU; `golf doctor` lists what there is
    #[arg(long, value_name = "auto|cpu|reference|wgpu[:N]|cuda[:N]", default_value_t = Device::Cpu)]
    device: Device,
    /// How products of matrices are formed; `bf16` adds up in f32, and only CUDA has it
    #[arg(long, value_name = "f32|bf16", default_value = "f32", value_parser = precision())]
    precision: Precision,
    /// Threads of the CPU (default: all cores)
    #[arg(long, value_parser = positive)]
    threads: Option<usize>,
    #[command(flatten)]
    passes: PassFlags,
    /// Fill with NaN what no kernel may read
    #[arg(long, help_heading = "Debugging", hide_short_help = true)]
    poison: bool,
}

impl DeviceFlags {
    /// What the flags come down to, `auto` settled.
    pub fn target(&self) -> Target {
        let Self { device, threads, poison, precision, .. } = *self;
        Target { threads, poison, precision, plans: self.passes.options(), ..Target::from(device) }.settled()
    }
}

/// Several processes that do one thing together.
#[derive(Args, Clone, Debug)]
pub struct RankFlags {
    /// Work with so many processes on this machine, or on each where a launcher starts one there; a launcher (torchrun, MPI, Slurm, Kubernetes) that starts all needs no flag
    #[arg(long, value_name = "N", value_parser = positive)]
    ranks: Option<usize>,
    /// The same with an NVIDIA GPU for each: `--ranks N --device cuda`
    #[arg(long, value_name = "N", value_parser = positive, conflicts_with = "ranks")]
    gpus: Option<usize>,
    /// Silence after which a rank hangs
    #[arg(long, value_name = "SECONDS", default_value_t = 60.0, value_parser = Patience::seconds, hide_short_help = true)]
    rank_timeout: f64,
}

impl RankFlags {
    /// Ranks that were asked for.
    pub fn asked(&self) -> Option<Asked> {
        Asked::of(self.ranks, self.gpus)
    }

    /// How long ranks wait for each other.
    pub fn patience(&self) -> Patience {
        Patience::of_silence(self.rank_timeout)
    }

    /// `target`, which `--gpus` makes a GPU unless another was named.
    pub fn on(&self, target: Target) -> Target {
        let device = match (self.gpus, target.device) {
            (Some(_), Device::Cpu) => Device::Cuda(None),
            (_, device) => device,
        };
        Target { device, ..target }
    }
}

/// Reads a precision.
pub fn precision() -> impl TypedValueParser<Value = Precision> {
    PossibleValuesParser::new(["f32", "bf16"]).map(|name| match name.as_str() {
        "bf16" => Precision::Bf16,
        _ => Precision::F32,
    })
}

/// Passes of the planner that can be left out, to find the one at fault.
#[derive(Args, Clone, Debug)]
pub struct PassFlags {
    /// Leave out the rewrite of this name, or all without a name
    #[arg(
        long,
        value_name = "REWRITE",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = ALL,
        value_parser = rewrite,
        help_heading = "Debugging",
        hide_short_help = true
    )]
    no_fuse: Vec<String>,
    /// Give every value a slot of its own
    #[arg(long, help_heading = "Debugging", hide_short_help = true)]
    no_reuse: bool,
}

const ALL: &str = "all";

impl PassFlags {
    /// The passes that are left.
    pub fn options(&self) -> PlanOptions {
        let without = |fusion: Fusion, name: &String| match name.as_str() {
            ALL => Fusion::NONE,
            name => fusion.without(name).expect("clap let only names of rewrites through"),
        };
        PlanOptions { reuse: !self.no_reuse, fuse: self.no_fuse.iter().fold(Fusion::ALL, without) }
    }
}

fn rewrite(text: &str) -> Result<String, String> {
    match text == ALL || Fusion::names().any(|name| name == text) {
        true => Ok(text.to_owned()),
        false => Err(format!("expected {} or {ALL}", Fusion::names().collect::<Vec<_>>().join(", "))),
    }
}

/// A count of at least one.
pub fn positive(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("expected at least 1".to_owned()),
        Ok(value) => Ok(value),
        Err(error) => Err(format!("{error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        device: DeviceFlags,
        file: Option<String>,
    }

    fn parse(args: &[&str]) -> Result<Command, clap::Error> {
        Command::try_parse_from([&["golf"], args].concat())
    }

    fn target(args: &[&str]) -> Target {
        parse(args).expect("valid flags").device.target()
    }

    #[test]
    fn without_flags_everything_is_on_and_the_cpu_computes() {
        assert_eq!(target(&[]), Target::from(Device::Cpu));
    }

    #[test]
    fn passes_are_switched_off_one_by_one_or_all_at_once() {
        let one = Fusion::ALL.without("linear_activation").expect("a rewrite of this name exists");
        assert_eq!(target(&["--no-fuse=linear_activation"]).plans.fuse, one);
        assert_eq!(target(&["--no-fuse"]).plans.fuse, Fusion::NONE);
        assert!(!target(&["--no-reuse"]).plans.reuse && target(&["--poison"]).poison);
        assert!(parse(&["--no-fuse=nothing"]).is_err() && parse(&["--threads", "0"]).is_err());
    }

    #[test]
    fn a_precision_is_one_of_two() {
        assert_eq!(target(&["--precision", "bf16"]).precision, Precision::Bf16);
        assert!(parse(&["--precision", "fp8"]).is_err());
    }

    #[test]
    fn a_switch_without_a_name_leaves_the_next_argument_alone() {
        let command = parse(&["--no-fuse", "artifact.bin"]).expect("valid flags");
        assert_eq!(command.file.as_deref(), Some("artifact.bin"));
    }

    #[test]
    fn a_wrong_device_names_the_choices() {
        let error = parse(&["--device", "gpu"]).err().expect("no such device").to_string();
        assert!(
            error.contains("`auto`, `cpu`, `reference`, `wgpu`, `wgpu:N`, `cuda` or `cuda:N`"),
            "{error}"
        );
    }
}
