//! `golf-train`: trains a model within a wall-clock budget, resumes it, and writes its artifact.
//!
//! Reads configuration and data, opens the device, and hands everything to [`golf_core::train::session`]. Data and
//! configuration are checked in full before the first step. Where several ranks train together, every one of them runs this;
//! rank 0 alone writes and prints.

mod error;
mod memory;
mod output;
pub(super) mod shards;

use crate::cmd::inspect::CAP_BYTES;
use crate::cmd::{load, report};
use crate::config::{self, Config, Given, Resolved};
use crate::device::{Device, Target};
use crate::exit::{Outcome, Status};
use crate::flags::positive;
use crate::ranks::Patience;
use crate::ranks::device::Opened;
use crate::ranks::environment::Asked;
use crate::ranks::role::{self, Part};
use crate::ranks::signals;
use clap::{Args, Parser};
pub use error::StartError;
use golf_core::collective::Transport;
use golf_core::data::TokenStream;
use golf_core::tokenizer::Tokenizer;
use golf_core::train::feed::Feed;
use golf_core::train::metrics::{Event, Sink};
use golf_core::train::session::{self, Every, Job, Resume};
use golf_core::train::share::Reduction;
use golf_core::train::validation::Validation;
use golf_core::train::{checkpoint, presets};
use output::{Output, Style};
use signal_hook::consts::SIGTERM;
use std::error::Error;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Train a small language model within a wall-clock budget and write its artifact.
///
/// Every setting can come from a preset, a TOML file (`--config`), the environment (the challenge's names, such as SEED,
/// ITERATIONS, MATRIX_LR), a flag, or `--set KEY=VALUE`; later ones win. `--print-config` lists all of them with their origin.
#[derive(Parser, Clone, Debug)]
#[command(name = "golf-train", version, args_override_self = true)]
pub struct TrainArgs {
    /// Model and recipe to start from: tiny, nano, or a published system
    #[arg(long, value_parser = clap::builder::PossibleValuesParser::new(presets::names()))]
    preset: Option<String>,
    /// Reproduce the preset with its published mistakes
    #[arg(long)]
    as_published: bool,
    /// TOML file with settings
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Any setting; repeatable
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    #[command(flatten)]
    shortcuts: Shortcuts,
    /// Train with so many processes on this machine, or on each where a launcher starts one there; a launcher (torchrun, MPI, Slurm, Kubernetes) that starts all needs no flag
    #[arg(long, value_name = "N", value_parser = positive)]
    ranks: Option<usize>,
    /// The same with an NVIDIA GPU for each: `--ranks N --device cuda`
    #[arg(long, value_name = "N", value_parser = positive, conflicts_with = "ranks")]
    gpus: Option<usize>,
    /// Print all settings with their origin and exit
    #[arg(long)]
    print_config: bool,
    /// Print events (or the configuration) as JSON lines instead of a log
    #[arg(long)]
    json: bool,
    /// Print warnings and the end only
    #[arg(short, long)]
    quiet: bool,
}

/// Flags for the settings that are set most often.
#[derive(Args, Clone, Debug)]
struct Shortcuts {
    /// Training shards: a folder, a file or a pattern
    #[arg(long, value_name = "PATH")]
    data: Option<String>,
    /// Validation shards (default: those in the training shards' folder)
    #[arg(long, value_name = "PATH")]
    val: Option<String>,
    /// SentencePiece model, or an artifact that holds a tokenizer; goes into the artifact
    #[arg(long, value_name = "FILE")]
    tokenizer: Option<String>,
    /// Folder for artifact, checkpoints and metrics
    #[arg(short, long, value_name = "DIR")]
    out: Option<String>,
    /// Seed of the initial weights
    #[arg(long)]
    seed: Option<String>,
    /// Steps at most
    #[arg(long)]
    iterations: Option<String>,
    /// Training time at most; 0 is no cap
    #[arg(long, value_name = "SECONDS")]
    max_wallclock_seconds: Option<String>,
    /// off, auto, or a checkpoint
    #[arg(long, value_name = "auto|off|FILE")]
    resume: Option<String>,
    /// Steps (100), training time (60s) or never
    #[arg(long, value_name = "N|SECONDSs")]
    checkpoint_every: Option<String>,
    /// auto, cpu, reference, wgpu[:N] or cuda[:N]
    #[arg(long)]
    device: Option<String>,
    /// Products of matrices in f32, or in bf16 with sums in f32: CUDA only, and its default
    #[arg(long, value_name = "f32|bf16")]
    precision: Option<String>,
    /// Threads; 0 is all cores
    #[arg(long)]
    threads: Option<String>,
}

impl Shortcuts {
    fn given(&self) -> impl Iterator<Item = (String, String, String)> {
        let pairs = [
            ("--data", "run.data", &self.data),
            ("--val", "run.val", &self.val),
            ("--tokenizer", "run.tokenizer", &self.tokenizer),
            ("--out", "run.out", &self.out),
            ("--seed", "recipe.seed", &self.seed),
            ("--iterations", "recipe.iterations", &self.iterations),
            ("--max-wallclock-seconds", "recipe.max_wallclock_seconds", &self.max_wallclock_seconds),
            ("--resume", "run.resume", &self.resume),
            ("--checkpoint-every", "run.checkpoint_every", &self.checkpoint_every),
            ("--device", "run.device", &self.device),
            ("--precision", "recipe.precision", &self.precision),
            ("--threads", "run.threads", &self.threads),
        ];
        let given = pairs.into_iter().filter_map(|(flag, key, value)| Some((flag, key, value.clone()?)));
        given.map(|(flag, key, value)| (flag.to_owned(), key.to_owned(), value))
    }
}

/// Runs the command.
pub fn run(args: &TrainArgs) -> Outcome {
    let started = Instant::now();
    let resolved = resolve(args)?;
    if args.print_config {
        print_config(&resolved, args.json);
        return Ok(Status::Done);
    }
    let Config { run, model, recipe } = &resolved.config;
    model.check()?;
    recipe.check()?;
    let patience = patience(run.rank_timeout)?;
    role::run(Asked::of(args.ranks, args.gpus), patience, |part| train(args, resolved, part, started))
}

/// Trains, alone or as one of several ranks.
fn train(args: &TrainArgs, resolved: Resolved, part: Option<&mut Part>, started: Instant) -> Outcome {
    let first = part.as_ref().is_none_or(|part| part.rank == 0);
    let tokenizer = tokenizer_of(&resolved.config)?;
    let mut device = Opened::new(target(&resolved.config)?, part.as_deref())?;
    let resolved = &fitted(resolved, &device, part.as_ref().map_or(1, |part| part.transport.size()));
    let Config { run, model, recipe } = &resolved.config;
    let (train, validation) = open_data(&resolved.config, tokenizer.as_ref())?;
    let reduction = reduction(&run.reduction)?;
    let out = output_folder(resolved);
    let resume = resume_of(&run.resume);
    let lock = first.then(|| prepare(&out, &resume)).transpose()?;
    let style = Style { json: args.json, quiet: args.quiet };
    let mut output =
        first.then(|| Output::open(&out, style, recipe, run.train_log_every, started)).transpose()?;
    if first && !args.json && !args.quiet {
        announce(resolved, &out);
    }
    let signals = match &part {
        Some(part) => part.signals.clone(),
        None => signals::install()?,
    };
    let interrupted = || signals.received().is_some();
    let job = Job {
        model: model.clone(),
        recipe: recipe.clone(),
        train: Feed::new(train),
        validation,
        tokenizer: tokenizer.as_ref(),
        out: out.clone(),
        resume,
        checkpoint_every: every(&run.checkpoint_every)?,
        checkpoint_keep: run.checkpoint_keep,
        validate_every: run.val_loss_every,
        interrupted: &interrupted,
    };
    let mut silent = |_: &Event| ();
    let sink: &mut dyn Sink = output.as_mut().map_or(&mut silent, |output| output);
    let outcome = pollster::block_on(async {
        let mut ranks = device.collective(part)?;
        session::run_on_ranks(&mut *ranks, reduction, job, sink).await
    });
    output.iter_mut().for_each(Output::close);
    drop(lock);
    let outcome = outcome.map_err(|error| memory::explained(error, &resolved.config));
    Ok(match outcome? {
        // Without a signal of its own, a rank stops because another has one.
        session::Outcome::Interrupted => Status::Interrupted(signals.received().unwrap_or(SIGTERM as u8)),
        session::Outcome::Finished { bytes, .. } => {
            if first && let Err(error) = report::write(&out, &report::Beside::default()) {
                eprintln!("warning: no report: {error}");
            }
            Status::of_size(bytes, CAP_BYTES)
        }
    })
}

/// What a run computes on.
fn target(Config { run, recipe, .. }: &Config) -> Result<Target, StartError> {
    let device: Device = run.device.parse().map_err(StartError::Device)?;
    let threads = Some(run.threads).filter(|threads| *threads > 0);
    Ok(Target { threads, precision: recipe.precision, ..Target::from(device) })
}

/// The configuration with as many rows at a time as fit a GPU that says how much memory it has, unless somebody said how many.
/// All of its memory counts, used or not, so that a run goes on elsewhere as it began.
fn fitted(resolved: Resolved, device: &Opened, ranks: usize) -> Resolved {
    let room = device.total_memory().filter(|_| resolved.config.recipe.micro_batch_rows == 0);
    match room.and_then(|total| Some((memory::rows(&resolved.config, total, ranks)?, total))) {
        Some((rows, total)) => resolved.with_rows(rows, format!("with {:.1} GB", total as f64 / 1e9)),
        None => resolved,
    }
}

fn resolve(args: &TrainArgs) -> Result<Resolved, StartError> {
    let gpus = args.gpus.map(|_| ("--gpus".to_owned(), "run.device".to_owned(), "cuda".to_owned()));
    // A device that is named wins.
    let mut flags: Vec<_> = gpus.into_iter().chain(args.shortcuts.given()).collect();
    for assignment in &args.set {
        let (key, value) = assignment
            .split_once('=')
            .ok_or_else(|| config::ConfigError::NotAnAssignment { got: assignment.clone() })?;
        flags.push((format!("--set {key}"), key.trim().to_owned(), value.to_owned()));
    }
    let given = Given {
        preset: args.preset.clone(),
        as_published: args.as_published,
        file: args.config.clone(),
        env: config::environment(),
        flags,
    };
    Resolved::new(&given, |path| Ok(load::tokenizer_in(path)?.len()))
}

fn print_config(resolved: &Resolved, json: bool) {
    if json {
        println!("{:#}", resolved.json());
        return;
    }
    resolved.lines(true).iter().for_each(|line| println!("{line}"));
    println!("config hash: {}", resolved.hash());
}

/// What a person wants to see before a long run: the preset's notes and everything that was changed.
fn announce(resolved: &Resolved, out: &Path) {
    println!("preset {}: {}", resolved.preset, resolved.notes.join("; "));
    resolved.lines(false).iter().for_each(|line| println!("{line}"));
    println!("output: `{}`", out.display());
}

/// The tokenizer, if one is set; not larger than the vocabulary.
fn tokenizer_of(Config { run, model, .. }: &Config) -> Result<Option<Tokenizer>, StartError> {
    let Some(path) = &run.tokenizer else { return Ok(None) };
    let tokenizer = load::tokenizer_in(Path::new(path))?;
    if tokenizer.len() > model.vocab {
        let (path, got, vocab) = (path.clone(), tokenizer.len(), model.vocab);
        return Err(StartError::Vocabulary { path, got, vocab });
    }
    Ok(Some(tokenizer))
}

fn patience(seconds: f64) -> Result<Patience, StartError> {
    if (0.1..=1e6).contains(&seconds) {
        return Ok(Patience::of_silence(seconds));
    }
    Err(StartError::Choice {
        key: "rank_timeout",
        expected: "0.1..=1000000 seconds",
        got: seconds.to_string(),
    })
}

fn reduction(text: &str) -> Result<Reduction, StartError> {
    match text {
        "in_order" => Ok(Reduction::InOrder),
        "once" => Ok(Reduction::Once),
        other => {
            let (key, expected) = ("reduction", "`in_order` or `once`");
            Err(StartError::Choice { key, expected, got: other.to_owned() })
        }
    }
}

/// Training and validation tokens, every header and length checked; ids are as they are read.
fn open_data(
    config: &Config,
    tokenizer: Option<&Tokenizer>,
) -> Result<(TokenStream, Option<Validation>), Box<dyn Error>> {
    let Config { model, recipe, run } = config;
    let data = run.data.as_deref().ok_or(StartError::NoData)?;
    let open = |paths: Vec<PathBuf>| TokenStream::open(paths)?.of_vocab(model.vocab);
    let train = open(shards::training(data)?)?;
    let paths = match &run.val {
        Some(path) => Some(shards::validation(path)?),
        None => shards::beside(data)?,
    };
    let Some(paths) = paths else { return Ok((train, None)) };
    let bytes = tokenizer.map(|t| t.byte_table().padded(model.vocab));
    let (seq, rows) = (recipe.train_seq_len, recipe.rows());
    Ok((train, Some(Validation::new(open(paths)?, seq, rows, run.val_tokens, bytes)?)))
}

fn output_folder(resolved: &Resolved) -> PathBuf {
    let run = &resolved.config.run;
    let name =
        || run.run_id.clone().unwrap_or_else(|| format!("{}-{}", resolved.preset, &resolved.hash()[..8]));
    run.out.as_ref().map_or_else(|| Path::new("runs").join(name()), PathBuf::from)
}

fn resume_of(text: &str) -> Resume {
    match text {
        "off" => Resume::Off,
        "auto" => Resume::Auto,
        path => Resume::From(PathBuf::from(path)),
    }
}

fn every(text: &str) -> Result<Every, StartError> {
    let wrong = || StartError::Choice {
        key: "checkpoint_every",
        expected: "steps (`100`), seconds (`60s`) or `never`",
        got: text.to_owned(),
    };
    match text.strip_suffix('s') {
        _ if text == "never" => Ok(Every::Never),
        Some(seconds) => {
            let seconds = seconds.parse::<f64>().ok().filter(|s| *s >= 0.0);
            Ok(Every::Seconds(seconds.ok_or_else(wrong)?))
        }
        None => Ok(Every::Steps(text.parse().ok().filter(|steps| *steps > 0).ok_or_else(wrong)?)),
    }
}

/// Makes the output folder, and holds its lock for as long as the result lives.
fn prepare(out: &Path, resume: &Resume) -> Result<File, StartError> {
    let io = |action| move |source| StartError::Io { action, path: out.to_path_buf(), source };
    fs::create_dir_all(out).map_err(io("create"))?;
    let lock = File::create(out.join("run.lock")).map_err(io("lock"))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(StartError::Locked { path: out.to_path_buf() }),
        Err(TryLockError::Error(source)) => return Err(io("lock")(source)),
    }
    let occupied = checkpoint::list(out).is_ok_and(|found| !found.is_empty());
    if *resume == Resume::Off && occupied {
        return Err(StartError::Occupied { path: out.to_path_buf() });
    }
    Ok(lock)
}
