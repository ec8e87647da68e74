//! A training recipe: every number that decides what a run computes, apart from the model's structure.
//!
//! Flat and closed, so that one table of settings, a TOML file and a command line can speak of the same fields. What only
//! decides where and how often something is written is not here: two runs with equal recipe, model and data compute the
//! same.

mod valid;

use crate::compress::Method;
use crate::model::init::Init;
use crate::quant::ExportRecipe;
use serde::{Deserialize, Serialize};

pub use valid::RecipeError;

/// What the learning rate's final decay (the "warmdown") aims at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WarmdownEnd {
    /// The wall-clock cap alone where there is one, as the published scripts do. A run that completes its iterations
    /// before the cap then never decays.
    Cap,
    /// Whichever of cap and iterations comes first.
    Earliest,
}

/// When an exponential average starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EmaStart {
    /// From the initial weights.
    Initial,
    /// From the weights after the first step.
    FirstStep,
}

/// Which optimizer the projections of hash tables and value embeddings have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Projections {
    /// Muon, at the matrix rate.
    Muon,
    /// AdamW, at the scalar rate (PR #549).
    Scalar,
    /// AdamW for the value embedding's, Muon for the hashes' (PR #861).
    ValueScalar,
}

/// At which rate hash tables and the value embedding learn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tables {
    /// The token embedding's.
    Token,
    /// The scalars' (PR #861).
    Scalar,
}

/// When training begins to see quantized weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Qat {
    /// Never.
    Never,
    /// From the first step.
    Always,
    /// Once the learning rate's scale is below the threshold.
    LrScale,
    /// Once the fraction of the budget used (of the cap, or of the iterations where there is no cap) reaches the threshold.
    Clock,
}

/// Which weights fake quantization covers, among those that the artifact quantizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QatScope {
    /// Those for which the export's system has a training rule.
    System,
    /// All matrices, at the width of the export.
    Stored,
}

/// How fake quantization rounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QatRounding {
    /// To nearest, with the straight-through gradient.
    Hard,
    /// Softly, ever more sharply, with the gradient of that (PRs #589 and #606).
    Soft,
}

/// How a device that has the choice forms products of matrices; everything else is f32, whatever is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// In f32.
    #[default]
    F32,
    /// Of operands rounded to bf16, added up in f32.
    Bf16,
}

/// Order of scoring and adapting in test-time training.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TttOrder {
    /// Every chunk is scored before the model adapts on it.
    ScoreFirst,
    /// The model adapts on the text that it is then scored on: not a legal score.
    TrainThenScore,
}

/// Optimizer of test-time training.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TttOptimizer {
    /// SGD with momentum.
    Sgd,
    /// AdamW.
    Adamw,
}

/// How a run trains. Lengths are in tokens, rates per step. Defaults are the challenge's baseline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Recipe {
    /// Seed of the initial weights; the order of the data does not depend on it.
    pub seed: u64,
    /// How matrices start.
    pub init: Init,
    /// Steps at most.
    pub iterations: u64,
    /// Training time at most, in seconds; 0 is no cap.
    pub max_wallclock_seconds: f64,
    /// Tokens of a step.
    pub train_batch_tokens: usize,
    /// Tokens of a row.
    pub train_seq_len: usize,
    /// Takes from the token stream per step, each with one shift token of its own; the published scripts take 8 over all
    /// ranks.
    pub grad_accum_steps: usize,
    /// Rows of one run of the gradient plan; 0 is as many as have 8,192 tokens. Changes only the order of sums.
    pub micro_batch_rows: usize,
    /// How products are formed.
    pub precision: Precision,
    /// Rate of token embedding and head.
    pub token_lr: f64,
    /// Rate of matrices.
    pub matrix_lr: f64,
    /// Rate of gains, gates, scales and mixes.
    pub scalar_lr: f64,
    /// Factor on the rates of the second half's blocks.
    pub decoder_lr_mult: f64,
    /// Decoupled decay of Muon's parameters.
    pub muon_weight_decay: f64,
    /// Decoupled decay of AdamW's parameters.
    pub adam_weight_decay: f64,
    /// AdamW's first decay.
    pub beta1: f64,
    /// AdamW's second decay.
    pub beta2: f64,
    /// AdamW's epsilon.
    pub adam_eps: f64,
    /// Muon's momentum after its warm-up.
    pub muon_momentum: f64,
    /// Muon's momentum at step 0.
    pub muon_momentum_warmup_start: f64,
    /// Steps of the momentum's warm-up.
    pub muon_momentum_warmup_steps: u64,
    /// Weights decay before they are updated, not after.
    pub muon_decay_first: bool,
    /// Optimizer of projections.
    pub projections: Projections,
    /// Rate of tables.
    pub tables: Tables,
    /// Train the trigram hash's parameters; otherwise they only count in the gradient norm.
    pub train_trigram: bool,
    /// Limit of the global gradient norm; 0 is off.
    pub grad_clip_norm: f64,
    /// Length of the final decay in steps.
    pub warmdown_iters: u64,
    /// Length of the final decay as a fraction of the run; replaces `warmdown_iters` unless 0.
    pub warmdown_fraction: f64,
    /// Lowest factor on the rates under `warmdown_fraction`.
    pub min_lr_scale: f64,
    /// What the decay aims at.
    pub warmdown_end: WarmdownEnd,
    /// Keep an exponential average, and export it.
    pub ema_enabled: bool,
    /// Its decay.
    pub ema_decay: f64,
    /// When it starts.
    pub ema_start: EmaStart,
    /// It restarts from the current weights when fake quantization begins.
    pub ema_restart_at_qat: bool,
    /// Round the averages of embeddings and tables to bf16 after each step: a published defect, never of use.
    pub ema_bf16_tables: bool,
    /// Average snapshots uniformly, and export that where there is no exponential average.
    pub swa_enabled: bool,
    /// Snapshots are taken while the rates' factor is below this.
    pub swa_below: f64,
    /// Steps between snapshots.
    pub swa_every: u64,
    /// When fake quantization begins.
    pub qat: Qat,
    /// Its threshold.
    pub qat_threshold: f64,
    /// Which weights it covers.
    pub qat_scope: QatScope,
    /// How it rounds.
    pub qat_rounding: QatRounding,
    /// Scheme of the artifact; fake quantization follows it.
    pub export: ExportRecipe,
    /// Tensors of at most so many elements are not quantized.
    pub passthrough_max_elements: usize,
    /// Fraction of each large matrix that is zeroed before quantization.
    pub prune_fraction: f64,
    /// Matrices of at most so many elements are not pruned.
    pub prune_above_elements: usize,
    /// How integers are chosen; all but `nearest` calibrate on training batches after the last step.
    pub method: Method,
    /// Rows of training text that calibration reads.
    pub calibration_rows: usize,
    /// Seconds of the wall-clock cap that training leaves to calibration, which reads training data and so belongs inside.
    pub calibration_reserve_seconds: f64,
    /// Bytes that the artifact is pruned down to by zeroing its cheapest ±1 (PR #609); 0 is no limit.
    pub target_bytes: u64,
    /// Order of scoring and adapting in this system's test-time training.
    pub ttt_order: TttOrder,
    /// Its optimizer.
    pub ttt_optimizer: TttOptimizer,
    /// Its rate.
    pub ttt_lr: f64,
    /// Its epochs per chunk.
    pub ttt_epochs: usize,
    /// Tokens of its chunks.
    pub ttt_chunk_tokens: usize,
    /// Stride of the windows that it is scored with.
    pub ttt_stride: usize,
    /// What it trains: `all`, `mlp`, or `last-N`.
    pub ttt_params: String,
}

impl Default for Recipe {
    fn default() -> Self {
        Self {
            seed: 1337,
            init: Init::Uniform,
            iterations: 20_000,
            max_wallclock_seconds: 600.0,
            train_batch_tokens: 524_288,
            train_seq_len: 1024,
            grad_accum_steps: 8,
            micro_batch_rows: 0,
            precision: Precision::F32,
            token_lr: 0.05,
            matrix_lr: 0.04,
            scalar_lr: 0.04,
            decoder_lr_mult: 1.0,
            muon_weight_decay: 0.0,
            adam_weight_decay: 0.0,
            beta1: 0.9,
            beta2: 0.95,
            adam_eps: 1e-8,
            muon_momentum: 0.95,
            muon_momentum_warmup_start: 0.85,
            muon_momentum_warmup_steps: 500,
            muon_decay_first: true,
            projections: Projections::Muon,
            tables: Tables::Token,
            train_trigram: true,
            grad_clip_norm: 0.0,
            warmdown_iters: 1200,
            warmdown_fraction: 0.0,
            min_lr_scale: 0.0,
            warmdown_end: WarmdownEnd::Earliest,
            ema_enabled: false,
            ema_decay: 0.997,
            ema_start: EmaStart::Initial,
            ema_restart_at_qat: false,
            ema_bf16_tables: false,
            swa_enabled: false,
            swa_below: 0.5,
            swa_every: 50,
            qat: Qat::Never,
            qat_threshold: 0.0,
            qat_scope: QatScope::System,
            qat_rounding: QatRounding::Hard,
            export: ExportRecipe::Baseline,
            passthrough_max_elements: 65_536,
            prune_fraction: 0.0,
            prune_above_elements: crate::quant::prune::PRUNE_ABOVE_ELEMENTS,
            method: Method::Nearest,
            calibration_rows: 64,
            calibration_reserve_seconds: 0.0,
            target_bytes: 0,
            ttt_order: TttOrder::ScoreFirst,
            ttt_optimizer: TttOptimizer::Sgd,
            ttt_lr: 0.002,
            ttt_epochs: 3,
            ttt_chunk_tokens: 32_768,
            ttt_stride: 64,
            ttt_params: "all".to_owned(),
        }
    }
}

/// Tokens of one run of the gradient plan that fit common memories for every preset, and keep a CPU's cores busy.
const MICRO_BATCH_TOKENS: usize = 8192;

impl Recipe {
    /// Wall-clock cap of the training steps in milliseconds: what calibration leaves of the whole.
    pub fn cap_ms(&self) -> Option<f64> {
        let steps = self.max_wallclock_seconds - self.calibration_reserve_seconds;
        (self.max_wallclock_seconds > 0.0).then_some(steps.max(0.0) * 1e3)
    }

    /// Tokens of one take from the stream.
    pub fn take_tokens(&self) -> usize {
        self.train_batch_tokens / self.grad_accum_steps
    }

    /// Rows of one run of the gradient plan: as set, otherwise the most that have few enough tokens.
    pub fn rows(&self) -> usize {
        if self.micro_batch_rows > 0 {
            return self.micro_batch_rows;
        }
        self.row_choices().find(|rows| rows * self.train_seq_len <= MICRO_BATCH_TOKENS).unwrap_or(1)
    }

    /// Rows that a run of the gradient plan may have, the most first: what divides a take.
    pub fn row_choices(&self) -> impl Iterator<Item = usize> {
        let take = self.take_tokens() / self.train_seq_len;
        (1..=take).rev().filter(move |rows| take.is_multiple_of(*rows))
    }

    /// Runs of the gradient plan per step, on all ranks together.
    pub fn runs(&self) -> usize {
        self.train_batch_tokens / (self.rows() * self.train_seq_len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn micro_batches_divide_a_take_and_stay_small() {
        let recipe = Recipe::default();
        assert_eq!((recipe.take_tokens(), recipe.rows()), (65_536, 8));
        let odd = Recipe { train_batch_tokens: 8 * 7 * 2048, train_seq_len: 2048, ..Recipe::default() };
        assert_eq!(odd.rows(), 1);
    }

    #[test]
    fn unknown_fields_are_refused() {
        assert!(serde_json::from_str::<Recipe>(r#"{"matrix_lrr": 0.1}"#).is_err());
    }
}
