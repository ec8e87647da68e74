//! `golf quantize`: weights of any origin into a number of bytes.
//!
//! Measures what every tensor's width costs, in bytes and in loss, chooses within the target, encodes, and says what came of
//! the predictions. Held-out text never enters: calibration is by training text or by the model's own.

mod calibration;
mod report;
mod widths;

use crate::cmd::assumptions::AssumptionFlags;
use crate::exit::{Outcome, Status};
use crate::flags::{DeviceFlags, positive};
use crate::size;
use crate::source::{FloatModel, Which};
use calibration::{Calib, Measured};
use clap::{Args, builder::PossibleValuesParser};
use golf_core::compress::planner::Subject;
use golf_core::compress::{Budget, Family, Method, Plan, fit};
use golf_core::durable::replace;
use golf_core::model::{Param, Role};
use report::Report;
use std::path::PathBuf;
use widths::Rule;

/// Flags of `golf quantize`.
#[derive(Args, Clone, Debug)]
pub struct QuantizeArgs {
    /// Artifact, checkpoint of a run, safetensors, or torch file.
    file: PathBuf,
    /// Artifact to write.
    #[arg(short, long, value_name = "FILE")]
    out: PathBuf,
    /// Bytes of the file at most, decimal: 15.95MB is 15,950,000.
    #[arg(long, value_name = "SIZE", value_parser = size::bytes, default_value = "15.95MB")]
    target_bytes: u64,
    /// Form of tensors whose name matches: int3 to int8, fp16 or fp32; repeatable, the last match decides.
    #[arg(long = "tensor", value_name = "REGEX=FORM", value_parser = widths::rule)]
    tensors: Vec<Rule>,
    /// Tensors of at most so many elements stay fp16 unless `--tensor` names them.
    #[arg(long, value_name = "ELEMENTS", default_value_t = 4096)]
    plain: usize,
    /// How steps are found: auto, ratio, max, pct, sigma or uniform.
    #[arg(long, value_name = "NAME", default_value = "auto",
          value_parser = PossibleValuesParser::new(Family::ALL.map(Family::name)))]
    quantizer: String,
    /// How integers are chosen: gptq compensates, trellis does so in fewer bytes; they and output_ratio need calibration.
    #[arg(long, value_name = "NAME",
          value_parser = PossibleValuesParser::new(Method::ALL.map(Method::name)))]
    method: Option<String>,
    /// Zero the cheapest ±1 when the chosen widths are a little too large.
    #[arg(long)]
    prune_ones: bool,
    /// Text to calibrate with: what the model writes itself, training text, or none.
    #[arg(long, value_enum, default_value = "self")]
    calib: Calib,
    /// Training shard or UTF-8 text of `--calib train`; never the text that the model is scored on.
    #[arg(long, value_name = "FILE", required_if_eq("calib", "train"))]
    calib_data: Option<PathBuf>,
    /// Rows of calibration text.
    #[arg(long, default_value_t = 32, value_parser = positive)]
    calib_rows: usize,
    /// Tokens of a row (default: 256, or the model's window if that is shorter).
    #[arg(long, value_parser = positive)]
    calib_seq: Option<usize>,
    /// Seed of self-written text.
    #[arg(long, default_value_t = 0)]
    calib_seed: u64,
    /// Which weights of a checkpoint.
    #[arg(long, value_enum, default_value = "exported")]
    weights: Which,
    /// SentencePiece model, or an artifact that holds a tokenizer, for weights that come without one.
    #[arg(long, value_name = "FILE")]
    tokenizer: Option<PathBuf>,
    #[command(flatten)]
    assumptions: AssumptionFlags,
    #[command(flatten)]
    device: DeviceFlags,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

/// Encodings at most: three correct the prediction, the others are for ladders with coarse steps.
const ROUNDS: usize = 5;
/// Bytes of header, sections and configuration before anything was encoded.
const OVERHEAD: f64 = 2_000.0;

/// Runs the command.
pub fn run(args: &QuantizeArgs) -> Outcome {
    let model = FloatModel::open(&args.file, args.weights, &args.assumptions, args.tokenizer.as_deref())?;
    let mut measured = Measured::of(args, &model)?;
    let method = match args.method.as_deref().and_then(Method::from_name) {
        Some(method) => method,
        None if args.calib == Calib::None => Method::Nearest,
        None => Method::Gptq,
    };
    let family = Family::from_name(&args.quantizer).expect("clap let only names of families through");
    let list: Vec<(Param, &[f32])> = model.parameters().collect();
    let subjects: Vec<Subject<'_>> = (list.iter())
        .map(|(p, values)| Subject {
            name: &p.name,
            shape: &p.shape,
            values,
            choice: widths::choice(p, family, &args.tensors, args.plain),
        })
        .collect();
    let calibration = measured.calibration.as_ref();
    let overhead = OVERHEAD + model.frame.tokenizer.as_ref().map_or(0.0, |bytes| bytes.len() as f64);
    let plan = Plan::new(&subjects, calibration, overhead);
    let roles = |name: &str| role_method(&list, name, method);
    let budget = Budget { target: args.target_bytes, rounds: ROUNDS, prune_ones: args.prune_ones };
    let fitted = fit(plan, &subjects, roles, calibration, &model.frame, budget)?;
    replace(&args.out, &fitted.file)
        .map_err(|error| format!("cannot write `{}`: {error}", args.out.display()))?;
    let after = measured.loss_of(&fitted.artifact)?;
    let report = Report::new(args, &model, &fitted, &measured, method, after);
    if args.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        println!("{report}");
    }
    Ok(Status::Done)
}

/// Compensation is for matrices that are multiplied with something and nothing else: a token embedding is looked up too.
fn role_method(list: &[(Param, &[f32])], name: &str, method: Method) -> Method {
    let role = list.iter().find(|(p, _)| p.name == name).map(|(p, _)| p.role);
    if matches!(role, Some(Role::Matrix | Role::Projection)) { method } else { Method::Nearest }
}
