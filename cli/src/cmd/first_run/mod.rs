//! `golf first-run`: from nothing to a scored, adapted, talking model in a few minutes, on the CPU.
//!
//! It runs the product's own path, nothing of its own: corpus → tokenizer → shards → training → artifact → evaluation of
//! what was read back → generation.

mod compressors;
mod report;
mod split;

use crate::cmd::data::sotu;
use crate::device::{Device, Target};
use crate::exit::{Outcome, Status};
use clap::Args;
use golf_core::artifact::{Artifact, Limits};
use golf_core::backend::Backend;
use golf_core::data::{CorpusOptions, HeldOut, Separation, TokenStream, corpus, stream};
use golf_core::digest::hex;
use golf_core::eval::receipt::TotalsRecord;
use golf_core::eval::{
    AdaptOptions, EvalOptions, Evaluator, Generator, ModelWeights, Sampling, Source, Stream, TttOptimizer,
};
use golf_core::tokenizer::{Tokenizer, train_bpe};
use golf_core::train::feed::Feed;
use golf_core::train::metrics::Event;
use golf_core::train::session::{Every, Job, Outcome as RunOutcome, Resume, run as train_run};
use golf_core::train::{Preset, preset};
use pollster::block_on;
use report::{Line, Report};
use split::{Split, split};
use std::error::Error;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Flags of `golf first-run`.
#[derive(Args, Clone, Debug)]
pub struct FirstRunArgs {
    /// Train on this UTF-8 text instead of fetching the public-domain corpus; documents are an empty line apart.
    #[arg(long)]
    text: Option<PathBuf>,
    /// Folder for downloads, shards, checkpoints and the artifact.
    #[arg(long, default_value = "local/first-run")]
    out: PathBuf,
    /// Training time in seconds.
    #[arg(long, default_value_t = 120.0)]
    seconds: f64,
    /// Pieces of the tokenizer that is learned.
    #[arg(long, default_value_t = 1024)]
    vocab: usize,
    /// Seed of the initial weights.
    #[arg(long, default_value_t = 1337)]
    seed: u64,
    /// Threads (default: all cores).
    #[arg(long)]
    threads: Option<usize>,
    /// Print what was found as one JSON object instead of telling it.
    #[arg(long)]
    json: bool,
}

impl FirstRunArgs {
    /// What happens meanwhile, for people.
    fn tell(&self, line: impl std::fmt::Display) {
        if !self.json {
            println!("{line}");
        }
    }

    fn cpu(&self) -> Box<dyn Backend> {
        Box::new(Target { threads: self.threads, ..Target::from(Device::Cpu) }.cpu())
    }
}

/// Most held-out text that is scored, in bytes: enough to be stable, little enough to stay within the minutes promised.
const HELD_OUT_BYTES: usize = 256 * 1024;
/// Targets of a chunk of test-time training.
const TTT_CHUNK: usize = 4096;
/// Tokens of each generated line.
const GENERATED_TOKENS: usize = 48;
/// What the model is asked to go on with.
const PROMPTS: [&str; 3] =
    ["The people of the United States", "Our foreign relations", "I recommend to the Congress"];

/// Runs the command.
pub fn run(args: &FirstRunArgs) -> Outcome {
    let mut split = documents(args)?;
    truncate(&mut split.held_out, HELD_OUT_BYTES);
    let train_bytes: usize = split.train.iter().map(String::len).sum();
    let (documents, held_out) = (split.train.len(), split.held_out.len());
    args.tell(format_args!(
        "corpus      {documents} documents, {train_bytes} bytes; {held_out} bytes held out"
    ));
    let start = Instant::now();
    let tokenizer = train_bpe(split.train.iter().map(String::as_str), args.vocab)?;
    args.tell(format_args!(
        "tokenizer   {} pieces in {:.1} s",
        tokenizer.len(),
        start.elapsed().as_secs_f64()
    ));
    let stream = make_shards(args, &split, &tokenizer)?;
    args.tell(format_args!("shards      {} tokens", stream.tokens()));
    let (path, tokens_per_s) = train(args, stream, &tokenizer)?;
    let report = evaluate(args, &path, &split.held_out, tokens_per_s)?;
    match args.json {
        true => println!("{}", serde_json::to_string_pretty(&report)?),
        false => println!("{report}"),
    }
    Ok(Status::Done)
}

/// The corpus, or the user's text, cut into two.
fn documents(args: &FirstRunArgs) -> Result<Split, Box<dyn Error>> {
    let Some(path) = &args.text else {
        return Ok(split(sotu::obtain(&args.out.join("downloads"))?));
    };
    let text = crate::cmd::load::text(path)?;
    let documents: Vec<String> =
        text.split("\n\n").map(str::trim).filter(|d| !d.is_empty()).map(str::to_owned).collect();
    if documents.is_empty() {
        return Err(format!("`{}` holds no text", path.display()).into());
    }
    Ok(split(documents))
}

fn truncate(text: &mut String, bytes: usize) {
    if text.len() > bytes {
        let at = (0..=bytes).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
        text.truncate(at);
    }
}

/// An empty folder for this run's own files; what an earlier first run left in it is removed.
fn fresh(folder: &Path) -> Result<PathBuf, Box<dyn Error>> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    fs::create_dir_all(folder)?;
    Ok(folder.to_owned())
}

fn make_shards(
    args: &FirstRunArgs,
    split: &Split,
    tokenizer: &Tokenizer,
) -> Result<TokenStream, Box<dyn Error>> {
    let folder = fresh(&args.out.join("shards"))?;
    let texts = fresh(&args.out.join("texts"))?;
    let mut paths = Vec::new();
    for (index, document) in split.train.iter().enumerate() {
        let path = texts.join(format!("{index:04}.txt"));
        fs::write(&path, document)?;
        paths.push(path);
    }
    let bos = tokenizer
        .bos()
        .and_then(|id| u16::try_from(id).ok())
        .ok_or("the tokenizer has no begin-of-stream piece")?;
    let options = CorpusOptions {
        folder: folder.clone(),
        name: "first".to_owned(),
        separation: Separation::File,
        held_out: HeldOut::Nothing,
        bos,
        vocab: tokenizer.len(),
        shard_tokens: 100_000_000,
        tokenizer: hex(&tokenizer.identity()),
    };
    corpus::build(&paths, &options, |text| tokenizer.encode(text))?;
    Ok(TokenStream::open(stream::shards_in(&folder, "first", "train")?)?.of_vocab(tokenizer.len())?)
}

/// Trains; gives the artifact's path and the training speed in tokens per second.
fn train(
    args: &FirstRunArgs,
    train: TokenStream,
    tokenizer: &Tokenizer,
) -> Result<(PathBuf, f64), Box<dyn Error>> {
    let Preset { mut model, mut recipe, .. } =
        preset("tiny", false).expect("the preset of first runs exists");
    model.vocab = tokenizer.len();
    recipe.seed = args.seed;
    recipe.max_wallclock_seconds = args.seconds;
    let mut backend = args.cpu();
    let job = Job {
        model,
        recipe,
        train: Feed::new(train),
        validation: None,
        tokenizer: Some(tokenizer),
        out: fresh(&args.out.join("run"))?,
        resume: Resume::Off,
        checkpoint_every: Every::Never,
        checkpoint_keep: 1,
        validate_every: 0,
        interrupted: &|| false,
    };
    let (mut tokens, mut last_ms, mut shown) = (0, 0.0, 0.0);
    let mut sink = |event: &Event| match event {
        Event::Step { tokens: step, train_ms, .. } => {
            (tokens, last_ms) = (tokens + step, *train_ms);
            if *train_ms >= shown {
                shown = train_ms + args.seconds * 50.0;
                args.tell(event.log_line());
            }
        }
        Event::Checkpoint { .. } => {}
        _ => args.tell(event.log_line()),
    };
    match block_on(train_run(backend.as_mut(), job, &mut sink))? {
        RunOutcome::Finished { artifact, .. } => Ok((artifact, tokens as f64 / (last_ms / 1e3))),
        RunOutcome::Interrupted => Err("interrupted".into()),
    }
}

/// Scores what is on disk, without and with adaptation, and lets it write.
fn evaluate(
    args: &FirstRunArgs,
    path: &Path,
    text: &str,
    train_speed: f64,
) -> Result<Report, Box<dyn Error>> {
    let bytes = fs::read(path)?;
    let artifact = Artifact::decode(&bytes, &Limits::default())?;
    let tokenizer =
        Tokenizer::from_compact(artifact.tokenizer.as_deref().ok_or("the artifact has no tokenizer")?)?;
    let model = ModelWeights::from_artifact(&artifact)?;
    let held_out = tokenized(&tokenizer, text)?;
    let window = artifact.config.window;
    let options = EvalOptions { window, stride: window, chunk: TTT_CHUNK, ..EvalOptions::default() };
    let adapt = AdaptOptions {
        optimizer: TttOptimizer::Adamw,
        lr: 4e-4,
        epochs: 1,
        batch_rows: 4,
        ..AdaptOptions::default()
    };
    let start = Instant::now();
    let plain = score(args.cpu(), &model, &held_out, &options, None)?;
    let score_speed = plain.tokens as f64 / start.elapsed().as_secs_f64();
    let start = Instant::now();
    let adapted = score(args.cpu(), &model, &held_out, &options, Some(adapt))?;
    let adapt_speed = adapted.tokens as f64 / start.elapsed().as_secs_f64();
    let bpb = |totals: &TotalsRecord| totals.val_bpb.ok_or("the held-out text has no bytes");
    let mut lines = vec![
        Line { name: "golf", bpb: bpb(&plain)?, tokens_per_s: Some(score_speed) },
        Line {
            name: "golf, score-first test-time training",
            bpb: bpb(&adapted)?,
            tokens_per_s: Some(adapt_speed),
        },
    ];
    for (name, size) in compressors::sizes(text.as_bytes())? {
        lines.push(Line { name, bpb: size as f64 * 8.0 / text.len() as f64, tokens_per_s: None });
    }
    Ok(Report {
        lines,
        artifact: path.to_owned(),
        artifact_bytes: bytes.len() as u64,
        held_out_bytes: text.len(),
        held_out_tokens: plain.tokens,
        train_tokens_per_s: train_speed,
        written: write(args, &model, &tokenizer, window)?,
    })
}

fn tokenized(tokenizer: &Tokenizer, text: &str) -> Result<Stream, Box<dyn Error>> {
    let encoding = tokenizer.encode_with_spans(text);
    tokenizer.account_encoding(text, &encoding)?;
    let bos = tokenizer.bos().ok_or("the tokenizer has no begin-of-stream piece")?;
    let ids: Vec<u32> = [bos].into_iter().chain(encoding.ids).collect();
    let table = tokenizer.byte_table();
    Ok(Stream {
        target_bytes: ids.windows(2).map(|pair| table.target_bytes(Some(pair[0]), pair[1])).collect(),
        tokens: ids.into_iter().map(|id| id as i32).collect(),
        source: Source::default(),
        marks: Default::default(),
    })
}

fn score(
    mut backend: Box<dyn Backend>,
    model: &ModelWeights,
    stream: &Stream,
    options: &EvalOptions,
    adapt: Option<AdaptOptions>,
) -> Result<TotalsRecord, Box<dyn Error>> {
    block_on(async {
        let mut evaluator =
            Evaluator::new(backend.as_mut(), model, stream.clone(), options.clone(), adapt).await?;
        while let Some(chunk) = evaluator.next_chunk() {
            let scored = evaluator.score(chunk).await?;
            evaluator.adapt(scored).await?;
        }
        Ok(evaluator.receipt()?.totals)
    })
}

/// A few generated lines.
fn write(
    args: &FirstRunArgs,
    model: &ModelWeights,
    tokenizer: &Tokenizer,
    window: usize,
) -> Result<Vec<String>, Box<dyn Error>> {
    let mut backend = args.cpu();
    let mut generator = Generator::new(backend.as_mut(), model, window)?;
    let mut written = Vec::new();
    for (index, prompt) in PROMPTS.iter().enumerate() {
        let ids = tokenizer.bos().into_iter().chain(tokenizer.encode(prompt));
        let mut tokens: Vec<i32> = ids.map(|id| id as i32).collect();
        let sampling = Sampling { seed: args.seed + index as u64, ..Sampling::default() };
        block_on(
            generator.generate(&mut tokens, GENERATED_TOKENS, sampling, async |_| ControlFlow::Continue(())),
        )?;
        let ids: Vec<u32> = tokens[1..].iter().map(|&id| id as u32).collect();
        written.push(tokenizer.decode(&ids)?.replace(['\n', '\r'], " "));
    }
    Ok(written)
}
