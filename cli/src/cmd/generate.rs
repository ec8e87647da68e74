//! `golf generate`: a model continues a prompt.
//!
//! The stream is BOS, where the tokenizer has one, followed by the encoding of the prompt. Text appears as it is made; a
//! character whose bytes have not all arrived is held back. Same seed, model and device, same text.

use super::load;
use crate::exit::{Outcome, Status};
use crate::flags::{DeviceFlags, positive};
use clap::Args;
use golf_core::eval::{Generator, ModelWeights, Sampling};
use golf_core::tokenizer::{Detokenizer, Tokenizer};
use pollster::block_on;
use serde_json::json;
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Flags of `golf generate`.
#[derive(Args, Clone, Debug)]
pub struct GenerateArgs {
    /// The artifact.
    artifact: PathBuf,
    /// What the text begins with.
    #[arg(long, value_name = "TEXT", default_value = "")]
    prompt: String,
    /// Tokens to write.
    #[arg(long, default_value_t = 160, value_parser = positive)]
    tokens: usize,
    /// Divisor of the logits; 0 takes the most likely token.
    #[arg(long, default_value_t = Sampling::default().temperature)]
    temperature: f64,
    /// Number of most likely tokens to choose among; 0 for all.
    #[arg(long, default_value_t = Sampling::default().top_k)]
    top_k: usize,
    /// Seed.
    #[arg(long, default_value_t = Sampling::default().seed)]
    seed: u64,
    /// SentencePiece model, where the artifact holds no tokenizer.
    #[arg(long, value_name = "FILE.model")]
    tokenizer: Option<PathBuf>,
    #[command(flatten)]
    device: DeviceFlags,
    /// Print one JSON object at the end instead of the text as it is made.
    #[arg(long)]
    json: bool,
}

/// A text, and how long it took.
struct Written {
    text: String,
    tokens: usize,
    /// To the first token: the prompt is read and plans are compiled.
    first: Duration,
    whole: Duration,
}

/// Runs the command.
pub fn run(args: &GenerateArgs) -> Outcome {
    let (artifact, sha256) = load::artifact(&args.artifact)?;
    let tokenizer = load::tokenizer(&args.artifact, &artifact, args.tokenizer.as_deref(), false)?.tokenizer;
    let model = ModelWeights::from_artifact(&artifact)?;
    let show = |part: &str| match args.json {
        true => Ok(()),
        false => write!(io::stdout(), "{part}").and_then(|()| io::stdout().flush()),
    };
    show(&args.prompt)?;
    let written = write(args, &model, &tokenizer, load::window(&artifact), show)?;
    if !args.json {
        println!();
        return Ok(Status::Done);
    }
    let Written { text, tokens, first, whole } = written;
    let report = json!({
        "artifact_sha256": sha256,
        "prompt": args.prompt,
        "text": text,
        "tokens": tokens,
        "seconds": whole.as_secs_f64(),
        "first_token_seconds": first.as_secs_f64(),
    });
    println!("{report}");
    Ok(Status::Done)
}

fn write(
    args: &GenerateArgs,
    model: &ModelWeights,
    tokenizer: &Tokenizer,
    window: usize,
    show: impl Fn(&str) -> io::Result<()>,
) -> Result<Written, Box<dyn std::error::Error>> {
    let ids: Vec<u32> = tokenizer.bos().into_iter().chain(tokenizer.encode(&args.prompt)).collect();
    let mut detokenizer = Detokenizer::after(tokenizer, &ids)?;
    let mut tokens: Vec<i32> = ids.iter().map(|&id| id as i32).collect();
    let mut backend = args.device.target().open()?;
    let mut generator = Generator::new(backend.as_mut(), model, window)?;
    let sampling = Sampling { temperature: args.temperature, top_k: args.top_k, seed: args.seed };

    let (started, mut first, mut text, mut shown) = (Instant::now(), None, String::new(), Ok(()));
    let each = async |id: i32| {
        first.get_or_insert_with(|| started.elapsed());
        // A padding row of the model's vocabulary has no text.
        let part = detokenizer.push(id as u32).unwrap_or_default();
        text.push_str(&part);
        shown = show(&part);
        if shown.is_err() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    block_on(generator.generate(&mut tokens, args.tokens, sampling, each))?;
    shown?;
    let whole = started.elapsed();
    let rest = detokenizer.finish()?;
    show(&rest)?;
    text.push_str(&rest);
    Ok(Written { text, tokens: tokens.len() - ids.len(), first: first.unwrap_or(whole), whole })
}
