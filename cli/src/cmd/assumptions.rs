//! Flags for what a file of weights does not say about its model.

use clap::{Args, ValueEnum};
use golf_core::import::Assumptions;
use golf_core::model::config::{Activation, Trigram};

/// Settings that leave no trace in names and shapes.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "What the file does not say")]
pub struct AssumptionFlags {
    /// MLP activation.
    #[arg(long, value_enum, default_value = "relu2")]
    act: Act,
    /// Rotated channels of a head (default: all).
    #[arg(long)]
    rope_dims: Option<usize>,
    /// Rotary base.
    #[arg(long, default_value_t = 10_000.0)]
    rope_base: f64,
    /// Rescale the rotary base for windows longer than `--rope-train-len`.
    #[arg(long)]
    rope_ntk: bool,
    /// Window for which the rotary base holds.
    #[arg(long, default_value_t = 1024)]
    rope_train_len: usize,
    /// Softcap of the logits.
    #[arg(long, default_value_t = 30.0)]
    softcap: f64,
    /// Last layers with exclusive self-attention.
    #[arg(long, default_value_t = 0)]
    xsa_last_n: usize,
    /// Multiply the normalized inputs of layer i by 1/sqrt(i+1).
    #[arg(long)]
    ln_scale: bool,
    /// Which trigram hash a trigram table belongs to.
    #[arg(long, value_enum, default_value = "s951")]
    trigram: TrigramHash,
    /// Layers with value embeddings (default: the last ones).
    #[arg(long, value_delimiter = ',')]
    ve_layers: Option<Vec<usize>>,
    /// How keys and values are shared: 0 not, -1 all from block 0, n the last n blocks.
    #[arg(long, allow_hyphen_values = true)]
    kv_share: Option<i64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Act {
    /// max(z, 0)²
    Relu2,
    /// (z or z/2)²
    Leaky2,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum TrigramHash {
    /// PR #951.
    S951,
    /// PR #1216.
    S1216,
    /// PR #1019: no table of its own.
    P1019,
}

impl AssumptionFlags {
    /// The assumptions.
    pub fn get(&self) -> Assumptions {
        Assumptions {
            act: match self.act {
                Act::Relu2 => Activation::Relu2,
                Act::Leaky2 => Activation::Leaky2,
            },
            trigram: match self.trigram {
                TrigramHash::S951 => Trigram::S951,
                TrigramHash::S1216 => Trigram::S1216,
                TrigramHash::P1019 => Trigram::P1019,
            },
            ve_layers: self.ve_layers.clone(),
            kv_share: self.kv_share,
            xsa_last_n: self.xsa_last_n,
            rope_dims: self.rope_dims,
            rope_base: self.rope_base,
            rope_ntk: self.rope_ntk,
            rope_train_len: self.rope_train_len,
            ln_scale: self.ln_scale,
            softcap: self.softcap,
            ..Assumptions::default()
        }
    }
}
