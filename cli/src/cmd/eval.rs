//! `golf eval`, `golf-eval`: an artifact and a text to bits per byte, with a receipt.
//!
//! The stream is BOS followed by the encoding of the whole text; targets are counted from its start. Without `--stride`
//! windows do not overlap. The default window is the one that the artifact states, otherwise 1024. The run refuses (exit
//! code 3) when the bytes charged are not those of the normalized text. Where several ranks evaluate together, every one of them
//! runs this; rank 0 alone writes and prints.

pub(super) mod input;
mod recovery;
mod report;
mod session;

use super::load;
use crate::device::{Device, Target};
use crate::exit::{Outcome, Status};
use crate::flags::{DeviceFlags, RankFlags, positive};
use crate::ranks::role::{self, Part};
use clap::error::ErrorKind;
use clap::{Args, ValueEnum};
use golf_core::collective::Transport;
use golf_core::eval::{
    AdaptOptions, EvalOptions, ModelWeights, TrainThenScoreOptions, Trainable, TttOptimizer, WindowRule,
};
use golf_core::train::recipe::Precision;
use report::Report;
use std::path::PathBuf;
use std::time::Instant;

/// Flags of `golf-eval`.
#[derive(Args, Clone, Debug)]
pub struct EvalArgs {
    /// The artifact.
    artifact: PathBuf,
    /// UTF-8 text to score.
    #[arg(long, value_name = "FILE", required_unless_present = "tokens", conflicts_with = "tokens")]
    text: Option<PathBuf>,
    /// Token shard to score; its first token is only context.
    #[arg(long, value_name = "SHARD")]
    tokens: Option<PathBuf>,
    /// SentencePiece model, or an artifact that holds one, where this artifact holds none or to check that it is the same.
    #[arg(long, value_name = "FILE")]
    tokenizer: Option<PathBuf>,
    /// Use --tokenizer although the artifact has another or it is known to be the wrong one; marks the result.
    #[arg(long, requires = "tokenizer")]
    force_tokenizer: bool,
    /// Score although the tokenizer drops or invents bytes on this text; marks the result.
    #[arg(long)]
    allow_lossy_tokenizer: bool,
    /// Tokens of a window (default: the artifact's, or 1024).
    #[arg(long, value_parser = positive)]
    window: Option<usize>,
    /// Score this many windows' worth of targets from the start.
    #[arg(long, value_parser = positive, conflicts_with = "targets")]
    windows: Option<usize>,
    /// Score this many targets from the start.
    #[arg(long, value_parser = positive)]
    targets: Option<usize>,
    /// Slide by this many tokens; each target is scored once, with at least window - stride tokens of context.
    #[arg(long, value_parser = positive)]
    stride: Option<usize>,
    /// Windows do not cross documents (BOS starts one).
    #[arg(long)]
    documents: bool,
    /// Windows as published: the tail is scored more than once; marks the result.
    #[arg(long, requires = "stride")]
    as_published: bool,
    /// Test-time training.
    #[arg(long, value_enum, default_value = "off")]
    ttt: Ttt,
    /// Targets of a chunk: what is scored between two adaptations.
    #[arg(long, default_value_t = 32_768, value_parser = positive)]
    ttt_chunk: usize,
    /// Passes over each chunk (over the text, for train-then-score).
    #[arg(long, default_value_t = 3, value_parser = positive)]
    ttt_epochs: usize,
    /// Parameters that adapt: `all`, `mlp` or `last-N`.
    #[arg(long, default_value = "all", value_parser = trainable)]
    ttt_params: Trainable,
    /// Update rule.
    #[arg(long, value_enum, default_value = "sgd")]
    ttt_optimizer: Rule,
    /// Learning rate (default: 2e-3 for sgd, 4e-4 for adamw).
    #[arg(long)]
    ttt_lr: Option<f64>,
    /// Rows of an optimizer step.
    #[arg(long, default_value_t = 32, value_parser = positive)]
    ttt_batch_rows: usize,
    /// Learning rate over the steps of train-then-score.
    #[arg(long, value_enum, default_value = "cosine")]
    ttt_schedule: Schedule,
    /// Factor of the learning rate for parameters whose names contain KEY, for train-then-score; the first match counts.
    #[arg(long, value_name = "KEY=FACTOR", value_parser = rate)]
    ttt_rate: Vec<(String, f64)>,
    /// Also score without adaptation, for comparison.
    #[arg(long)]
    compare: bool,
    #[command(flatten)]
    device: DeviceFlags,
    #[command(flatten)]
    ranks: RankFlags,
    /// Most tokens of a batch; bounds memory (default: 8192; on CUDA 32768 divided by the ranks). Ranks take whole batches: a
    /// chunk should have a few for each.
    #[arg(long, value_parser = positive)]
    batch_tokens: Option<usize>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    /// Write the receipt.
    #[arg(long, value_name = "FILE")]
    receipt: Option<PathBuf>,
    /// Write position, token, nll and bytes of every scored target, one JSON object a line.
    #[arg(long, value_name = "FILE.jsonl")]
    per_token: Option<PathBuf>,
    /// Keep the state after every chunk in this file, and go on from it if it exists.
    #[arg(long, value_name = "FILE")]
    resume: Option<PathBuf>,
    /// No progress on stderr.
    #[arg(short, long)]
    quiet: bool,
    /// Destroy the GPU device once this many chunks are committed, to see the run go on.
    #[arg(long, value_name = "CHUNKS", value_parser = positive, help_heading = "Debugging", hide_short_help = true)]
    lose_device_after: Option<usize>,
}

/// Test-time training.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Ttt {
    /// The weights stay as they are.
    Off,
    /// Every chunk is scored before the weights adapt to it.
    ScoreFirst,
    /// The weights adapt to the whole text before it is scored: against the rules, always marked illegal.
    TrainThenScore,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Rule {
    /// SGD with momentum 0.9.
    Sgd,
    /// AdamW with β = (0.9, 0.999) and no decay.
    Adamw,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Schedule {
    Cosine,
    Constant,
}

fn trainable(text: &str) -> Result<Trainable, String> {
    match (text, text.strip_prefix("last-").map(str::parse)) {
        ("all", _) => Ok(Trainable::All),
        ("mlp", _) => Ok(Trainable::Mlp),
        (_, Some(Ok(blocks))) if blocks > 0 => Ok(Trainable::LastBlocks(blocks)),
        _ => Err("expected `all`, `mlp` or `last-N`".to_owned()),
    }
}

fn rate(text: &str) -> Result<(String, f64), String> {
    let parsed = text.split_once('=').and_then(|(key, factor)| Some((key, factor.parse::<f64>().ok()?)));
    match parsed {
        Some((key, factor)) if !key.is_empty() && factor.is_finite() && factor >= 0.0 => {
            Ok((key.to_owned(), factor))
        }
        _ => Err("expected KEY=FACTOR with a finite factor of at least 0".to_owned()),
    }
}

impl EvalArgs {
    /// Combinations that clap cannot see; ends the process with exit code 2.
    fn check_usage(&self) {
        let fail = |message: &str| -> ! {
            clap::Error::raw(ErrorKind::ArgumentConflict, format!("{message}\n")).exit()
        };
        if self.ttt == Ttt::TrainThenScore && self.resume.is_some() {
            fail(
                "--resume has no meaning with --ttt train-then-score: training comes before the first chunk",
            );
        }
        if self.ttt != Ttt::TrainThenScore && !self.ttt_rate.is_empty() {
            fail("--ttt-rate belongs to --ttt train-then-score");
        }
    }

    fn options(&self, target: &Target, ranks: usize, window: usize, bos: i32) -> EvalOptions {
        let rule = match (self.stride, self.as_published) {
            (None, _) => WindowRule::NonOverlapping,
            (Some(_), false) => WindowRule::Exact,
            // The published passes with adaptation keep a window only if a whole stride remains.
            (Some(_), true) if self.ttt == Ttt::Off => WindowRule::OriginalMin1,
            (Some(_), true) => WindowRule::Original,
        };
        EvalOptions {
            rule,
            window,
            stride: self.stride.unwrap_or(window),
            documents: self.documents.then_some(bos),
            chunk: self.ttt_chunk,
            batch_tokens: self.batch_tokens.unwrap_or(target.device.batch_tokens(ranks)),
            plans: target.plans,
        }
    }

    fn adaptation(&self) -> AdaptOptions {
        let (optimizer, lr) = match self.ttt_optimizer {
            Rule::Sgd => (TttOptimizer::Sgd { momentum: 0.9 }, 2e-3),
            Rule::Adamw => (TttOptimizer::Adamw, 4e-4),
        };
        AdaptOptions {
            trainable: self.ttt_params.clone(),
            optimizer,
            lr: self.ttt_lr.unwrap_or(lr),
            epochs: self.ttt_epochs,
            batch_rows: self.ttt_batch_rows,
            ..AdaptOptions::default()
        }
    }

    fn train_then_score(&self) -> TrainThenScoreOptions {
        TrainThenScoreOptions {
            adapt: self.adaptation(),
            cosine: self.ttt_schedule == Schedule::Cosine,
            rates: self.ttt_rate.clone(),
        }
    }
}

/// Runs the command.
pub fn run(args: &EvalArgs) -> Outcome {
    args.check_usage();
    role::run(args.ranks.asked(), args.ranks.patience(), |part| evaluate(args, part))
}

/// Evaluates, alone or as one of several ranks.
fn evaluate(args: &EvalArgs, mut part: Option<&mut Part>) -> Outcome {
    let first = part.as_ref().is_none_or(|part| part.rank == 0);
    let (artifact, artifact_sha256) = load::artifact(&args.artifact)?;
    let chosen = load::tokenizer(&args.artifact, &artifact, args.tokenizer.as_deref(), args.force_tokenizer)?;
    let bos = chosen.tokenizer.bos().ok_or(load::LoadError::NoBos)? as i32;
    let window = args.window.unwrap_or(load::window(&artifact));
    let wanted = args.targets.or(args.windows.map(|windows| windows.saturating_mul(window)));
    let stream = match input::stream(args, &chosen, bos, wanted) {
        Err(input::InputError::Lossy(error)) => {
            if first {
                eprintln!("error: {error}\nhint: --allow-lossy-tokenizer scores it and marks the result");
            }
            return Ok(Status::CheckFailed);
        }
        other => other?,
    };
    let stream = input::describe(stream, artifact_sha256, &chosen);
    let model = ModelWeights::from_artifact(&artifact)?;
    let target = args.ranks.on(args.device.target());
    if first && !args.quiet && matches!((target.device, target.precision), (Device::Cuda(_), Precision::F32))
    {
        eprintln!("note: products are formed in f32; `--precision bf16` forms them on tensor cores");
    }
    let ranks = part.as_ref().map_or(1, |part| part.transport.size());
    let options = args.options(&target, ranks, window, bos);

    let without_ttt = match args.compare && args.ttt != Ttt::Off {
        true => {
            Some(session::score_fixed(&target, part.as_deref_mut(), &model, stream.clone(), options.clone())?)
        }
        false => None,
    };
    let started = Instant::now();
    let recovery::Finished { receipt, resumed_at_chunk } =
        recovery::run(args, &target, part, &model, &stream, &options)?;
    if !first {
        return Ok(Status::Done);
    }
    if let Some(path) = &args.receipt {
        let json = serde_json::to_string_pretty(&receipt)?;
        std::fs::write(path, json + "\n")
            .map_err(|error| format!("cannot write `{}`: {error}", path.display()))?;
    }
    let elapsed = started.elapsed();
    let report = Report::new(&receipt, model.config(), without_ttt, elapsed, resumed_at_chunk);
    report.print(args.json)?;
    Ok(Status::Done)
}
