//! An honest project in a folder: a text, a model with its tokenizer, training logs, receipts. Forgers begin here.

use clap::Parser;
use golf_cli::cmd::check::{CheckArgs, judge};
use golf_cli::cmd::eval::{self, EvalArgs};
use golf_core::check::{Finding, Verdict};
use golf_core::digest::hex;
use golf_core::eval::Receipt;
use golf_core::model::ModelConfig;
use golf_core::model::init::{Init, initialize};
use golf_core::tokenizer::{Tokenizer, train_bpe};
use golf_core::train::Recipe;
use golf_core::train::clock::Used;
use golf_core::train::finish::{Origin, assemble, quantize};
use golf_core::train::identity::{canonical, config_hash};
use golf_core::train::metrics::{Event, StopReason};
use serde_json::json;
use std::fs;
use std::path::PathBuf;

/// Tokens of a window.
pub const WINDOW: usize = 32;

/// Flags of an evaluation without adaptation, in several chunks.
pub const FIXED: &str = "--window 32 --ttt-chunk 128 --batch-tokens 256";
/// Flags of a sliding evaluation.
pub const SLIDING: &str = "--window 32 --stride 8 --ttt-chunk 128 --batch-tokens 256";
/// Flags of an evaluation with score-first test-time training.
pub const SCORE_FIRST: &str =
    "--window 32 --ttt-chunk 128 --batch-tokens 256 --ttt score-first --ttt-lr 0.05 --ttt-epochs 2";
/// Flags of the illegal order.
pub const TRAIN_THEN_SCORE: &str =
    "--window 32 --ttt-chunk 128 --batch-tokens 256 --ttt train-then-score --ttt-lr 0.05 --ttt-epochs 4";

#[derive(Parser)]
struct Eval {
    #[command(flatten)]
    args: EvalArgs,
}

#[derive(Parser)]
struct Check {
    #[command(flatten)]
    args: CheckArgs,
}

/// A folder with `val.txt`, `train.txt` and `run/` (artifact, log).
pub struct Site {
    folder: tempfile::TempDir,
}

/// Sentences of some forty words, with characters of two and three bytes, never the same for two seeds.
pub fn prose(seed: u64, documents: usize) -> String {
    const WORDS: [&str; 24] = [
        "the", "river", "stone", "and", "over", "slow", "café", "under", "light", "naïve", "wind", "a",
        "10 €", "of", "morning", "was", "never", "said", "she", "house", "—", "again", "green", "between",
    ];
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    let mut document = || (0..40).map(|_| WORDS[next(WORDS.len())]).collect::<Vec<_>>().join(" ") + ".";
    (0..documents).map(|_| document()).collect::<Vec<_>>().join("\n\n")
}

/// The project's tokenizer.
pub fn tokenizer() -> Tokenizer {
    train_bpe([prose(3, 40).as_str()], 320).expect("enough pairs")
}

/// One with as many pieces, learned from words spelled backwards.
pub fn other_tokenizer() -> Tokenizer {
    let backwards: String = prose(3, 40).chars().rev().collect();
    train_bpe([backwards.as_str()], 320).expect("enough pairs")
}

pub fn recipe(seed: u64) -> Recipe {
    Recipe { seed, train_seq_len: WINDOW, ..Recipe::default() }
}

impl Site {
    pub fn new() -> Site {
        let site = Site { folder: tempfile::tempdir().expect("a temporary folder") };
        // A character that the tokenizer has never seen: it is spelled in byte pieces.
        fs::write(site.path("val.txt"), prose(1, 12) + " \u{2603}").expect("a writable folder");
        fs::write(site.path("train.txt"), prose(2, 60)).expect("a writable folder");
        site.train("run", &recipe(1337), &tokenizer());
        site
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    /// What a training run of `recipe` leaves in the folder `name`: an artifact and its log.
    pub fn train(&self, name: &str, recipe: &Recipe, tokenizer: &Tokenizer) {
        let folder = self.path(name);
        fs::create_dir_all(&folder).expect("a writable folder");
        let model = ModelConfig {
            vocab: tokenizer.len(),
            layers: 2,
            dim: 16,
            heads: 2,
            kv_heads: 1,
            hidden: 32,
            rope_dims: 8,
            ..ModelConfig::default()
        };
        let weights = initialize(&model, Init::Uniform, recipe.seed).into_iter().map(|(name, tensor)| {
            // Projections start at zero, which would hide what stands behind them.
            let noise = |i: usize| ((i as u64 * 2_654_435_761 % 1009) as f32 / 1009.0 - 0.5) / 2.0;
            let zero = tensor.shape().len() == 2 && tensor.f32s().iter().all(|x| *x == 0.0);
            let values = tensor.f32s().iter().enumerate().map(|(i, x)| if zero { noise(i) } else { *x });
            (name, values.collect::<Vec<f32>>())
        });
        let tensors = quantize(&model, recipe, weights.collect(), None).expect("the model's own weights");
        let origin = Origin { config_hash: config_hash(&model, recipe), data: "5a".repeat(32) };
        let artifact = assemble(&model, recipe, tensors, Some(tokenizer), &origin);
        let bytes = artifact.encode().expect("a sound artifact");
        fs::write(folder.join("artifact.bin"), &bytes).expect("a writable folder");
        let used = Used { train: 590_000.0, quantize: 900.0, compress: 2_000.0, ..Used::default() };
        let events = [
            Event::Start {
                config_hash: origin.config_hash,
                config: canonical(&model, recipe),
                data: origin.data,
                parameters: 1,
                backend: "cpu".into(),
                version: "0.1.0".into(),
                train_tokens: 1,
                ranks: 1,
            },
            Event::Stop {
                step: 70,
                iterations: 20_000,
                reason: StopReason::WallclockCap,
                train_ms: used.train,
            },
            Event::Artifact {
                path: "artifact.bin".into(),
                bytes: bytes.len() as u64,
                content_hash: hex(&artifact.content_hash()),
                weights: "ema",
                used,
            },
        ];
        let lines: Vec<String> = events.iter().map(Event::json).collect();
        fs::write(folder.join("metrics.jsonl"), lines.join("\n") + "\n").expect("a writable folder");
    }

    /// Scores `run/artifact.bin` on `val.txt` by `golf eval` with `flags`, and keeps receipt and report beside it.
    pub fn evaluate(&self, flags: &str) -> Receipt {
        self.evaluate_in("run", "val.txt", flags)
    }

    pub fn evaluate_in(&self, run: &str, text: &str, flags: &str) -> Receipt {
        let folder = self.path(run);
        let file = |name: &str| folder.join(name).display().to_string();
        let (artifact, receipt, text) = (file("artifact.bin"), file("receipt.json"), self.text(text));
        let fixed = ["eval", &artifact, "--text", &text, "--receipt", &receipt, "--quiet"];
        let args = fixed.into_iter().chain(flags.split_whitespace());
        let args = Eval::try_parse_from(args).expect("valid flags").args;
        eval::run(&args).expect("an evaluation");
        let receipt = self.receipt(run);
        self.report(run, &receipt, 1.5);
        receipt
    }

    pub fn receipt(&self, run: &str) -> Receipt {
        let bytes = fs::read(self.path(run).join("receipt.json")).expect("a receipt");
        serde_json::from_slice(&bytes).expect("a receipt")
    }

    /// The part of `golf eval --json` that a check reads.
    pub fn report(&self, run: &str, receipt: &Receipt, seconds: f64) {
        let report = json!({ "seconds": seconds, "receipt_head": receipt.head, "device": "cpu" });
        fs::write(self.path(run).join("eval.json"), report.to_string()).expect("a writable folder");
    }

    /// Puts a receipt (and a report that goes with it) in the place of the honest one.
    pub fn forge(&self, receipt: &Receipt) {
        let json = serde_json::to_string_pretty(receipt).expect("plain data");
        fs::write(self.path("run/receipt.json"), json).expect("a writable folder");
        self.report("run", receipt, 1.5);
    }

    /// `golf check` on `target` with `flags`, in which `@name` is a file of this folder.
    pub fn check(&self, target: &str, flags: &str) -> Findings {
        let file = |flag: &str| flag.strip_prefix('@').map_or_else(|| flag.to_owned(), |n| self.text(n));
        let flags: Vec<String> = flags.split_whitespace().map(file).collect();
        let fixed = ["check".to_owned(), self.text(target)];
        let args = Check::try_parse_from(fixed.into_iter().chain(flags)).expect("valid flags").args;
        Findings(judge(&args).expect("evidence that can be read").1)
    }
}

/// What a check found.
pub struct Findings(pub Vec<Finding>);

impl Findings {
    fn with(&self, verdict: Verdict) -> Vec<&'static str> {
        let own = self.0.iter().filter(|finding| finding.verdict == verdict);
        let mut rules: Vec<&str> = own.map(|finding| finding.rule).collect();
        rules.dedup();
        rules
    }

    pub fn failed(&self) -> Vec<&'static str> {
        self.with(Verdict::Fail)
    }

    pub fn open(&self) -> Vec<&'static str> {
        self.with(Verdict::CannotTell)
    }

    /// Exactly these rules fail; the evidence of the first holds `evidence`.
    #[track_caller]
    pub fn convict(&self, rules: &[&str], evidence: &str) {
        let all: Vec<String> =
            self.0.iter().map(|f| format!("{:?} {}: {}", f.verdict, f.rule, f.evidence)).collect();
        assert_eq!(self.failed(), rules, "\n{}", all.join("\n"));
        let found = self.0.iter().find(|f| f.verdict == Verdict::Fail).map(|f| f.evidence.as_str());
        assert!(found.is_some_and(|found| found.contains(evidence)), "`{evidence}` in {found:?}");
    }

    /// Nothing fails, and exactly these rules cannot tell.
    #[track_caller]
    pub fn acquit(&self, open: &[&str]) {
        let all: Vec<String> =
            self.0.iter().map(|f| format!("{:?} {}: {}", f.verdict, f.rule, f.evidence)).collect();
        assert_eq!((self.failed(), self.open()), (Vec::new(), open.to_vec()), "\n{}", all.join("\n"));
    }
}
