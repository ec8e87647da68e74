//! The closed schema of a model: every structural choice of SPEC sections A.1–A.15 as data.
//!
//! A configuration is a handful of numbers and names; it carries no expressions, paths or code. Field names are
//! those that the field's own scripts and fixtures use.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// MLP activation between the two matrices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// `max(z, 0)²`.
    Relu2,
    /// `(z if z ≥ 0 else z/2)²`.
    Leaky2,
    /// `scale ⊙ leaky2(z) + bias`, both learned per hidden channel.
    Leaky2Affine,
}

/// Hashed bigram embedding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bigram {
    /// Absent.
    None,
    /// `((36313·x) xor (27191·prev)) mod (buckets-1)`, last bucket for position 0, learned scalar.
    V1,
    /// `(1009·prev + x) mod buckets`, predecessor 0 at position 0, no scalar.
    V2,
}

/// Hashed trigram embedding; the variants differ in their multipliers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trigram {
    /// Absent.
    None,
    /// Multipliers 73856, 19349, 83492; own table.
    S951,
    /// Multipliers 17291, 36313, 27191; own table.
    S1216,
    /// Multipliers 36313, 27191, 51497; looked up in the bigram table and added before its projection.
    P1019,
}

/// U-Net skip connections between the first and the second half of the layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Skips {
    /// Absent.
    None,
    /// `x + w ⊙ s`.
    Plain,
    /// `γ ⊙ x + (1-γ) ⊙ w ⊙ s` with `γ = sigmoid(gate)`.
    Gated,
}

/// Naming of the parameters in state dicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Names {
    /// `mlp.fc`, `mlp.proj`, `bigram`, `smear`.
    Std,
    /// `mlp.up_proj`, `mlp.down_proj`, `bigram_emb`, `smear_gate`.
    S861,
}

/// Structure of a model. Lengths are in tokens, widths in channels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ModelConfig {
    /// Vocabulary size.
    pub vocab: usize,
    /// Number of blocks.
    pub layers: usize,
    /// Model width.
    pub dim: usize,
    /// Query heads; head width is `dim / heads`.
    pub heads: usize,
    /// Key/value heads; query head `h` reads `h / (heads / kv_heads)`.
    pub kv_heads: usize,
    /// MLP hidden width.
    pub hidden: usize,
    /// MLP activation.
    pub act: Activation,
    /// Bigram hash.
    pub bigram: Bigram,
    /// Rows of the bigram table.
    pub bigram_buckets: usize,
    /// Width of the bigram table.
    pub bigram_dim: usize,
    /// Trigram hash.
    pub trigram: Trigram,
    /// Rows of the trigram table.
    pub trigram_buckets: usize,
    /// Width of the trigram table.
    pub trigram_dim: usize,
    /// Blend every normalized embedding with its predecessor.
    pub smear: bool,
    /// Layers whose values receive the shared value embedding, ascending.
    pub ve_layers: Vec<usize>,
    /// Width of the value embedding table.
    pub ve_dim: usize,
    /// Last layers with the self-value projection removed (exclusive self-attention).
    pub xsa_last_n: usize,
    /// Rotated channels per head.
    pub rope_dims: usize,
    /// Rotary base.
    pub rope_base: f64,
    /// Rescale the base when the window is longer than `rope_train_len`.
    pub rope_ntk: bool,
    /// Length for which `rope_base` holds.
    pub rope_train_len: usize,
    /// Multiply the normalized sublayer inputs of layer `i` by `1/sqrt(i+1)`.
    pub ln_scale: bool,
    /// Mix the stem output back into every block.
    pub resid_mix: bool,
    /// U-Net skips.
    pub skips: Skips,
    /// 0: every block owns its key and value matrices; -1: all use block 0's; n > 0: the last n use block `i-n`'s.
    pub kv_share: i64,
    /// Logits are `softcap · tanh(z / softcap)`.
    pub softcap: f64,
    /// The head is the token embedding.
    pub tied: bool,
    /// Initial gain of the normalized queries.
    pub q_gain: f64,
    /// Parameter naming.
    pub names: Names,
    /// Tokens of the windows that the model was trained on, the default for scoring; 0 where unknown.
    pub window: usize,
}

impl Default for ModelConfig {
    /// The challenge's baseline.
    fn default() -> Self {
        Self {
            vocab: 1024,
            layers: 9,
            dim: 512,
            heads: 8,
            kv_heads: 4,
            hidden: 1024,
            act: Activation::Relu2,
            bigram: Bigram::None,
            bigram_buckets: 0,
            bigram_dim: 0,
            trigram: Trigram::None,
            trigram_buckets: 0,
            trigram_dim: 0,
            smear: false,
            ve_layers: Vec::new(),
            ve_dim: 0,
            xsa_last_n: 0,
            rope_dims: 64,
            rope_base: 10000.0,
            rope_ntk: false,
            rope_train_len: 1024,
            ln_scale: false,
            resid_mix: true,
            skips: Skips::Plain,
            kv_share: 0,
            softcap: 30.0,
            tied: true,
            q_gain: 1.5,
            names: Names::Std,
            window: 0,
        }
    }
}

/// A field outside its range.
#[derive(Clone, Debug, PartialEq, Error)]
#[error("model field `{field}`: expected {expected}, got {got}")]
pub struct ConfigError {
    /// Name of the field.
    pub field: &'static str,
    /// What would be accepted.
    pub expected: String,
    /// What was there.
    pub got: String,
}

impl ModelConfig {
    /// Channels of one head.
    pub fn head_dim(&self) -> usize {
        self.dim / self.heads
    }

    /// Channels of all keys (and of all values).
    pub fn kv_dim(&self) -> usize {
        self.kv_heads * self.head_dim()
    }

    /// Layers of the first half; decoder layer `j` receives encoder layer `encoder_layers() - 1 - j`.
    pub fn encoder_layers(&self) -> usize {
        self.layers / 2
    }

    /// Number of skip connections.
    pub fn skip_count(&self) -> usize {
        self.encoder_layers().min(self.layers - self.encoder_layers())
    }

    /// The block whose key and value matrices block `i` uses.
    pub fn kv_owner(&self, i: usize) -> usize {
        match self.kv_share {
            0 => i,
            n if n < 0 => 0,
            n => {
                let n = n as usize;
                if i >= self.layers.saturating_sub(n) && i >= n { self.kv_owner(i - n) } else { i }
            }
        }
    }

    /// Rotary base for a window of `seq` tokens (NTK rescale where asked for).
    pub fn rope_base_for(&self, seq: usize) -> f64 {
        if self.rope_ntk && seq > self.rope_train_len {
            let r = self.rope_dims as f64;
            self.rope_base * (seq as f64 / self.rope_train_len as f64).powf(r / (r - 2.0))
        } else {
            self.rope_base
        }
    }

    /// Checks every range; a configuration that passes can be built.
    pub fn check(&self) -> Result<(), ConfigError> {
        let fail = |field, expected: String, got: String| Err(ConfigError { field, expected, got });
        let range = |field, value: usize, lo: usize, hi: usize| {
            if (lo..=hi).contains(&value) {
                Ok(())
            } else {
                Err(ConfigError { field, expected: format!("{lo}..={hi}"), got: value.to_string() })
            }
        };
        range("vocab", self.vocab, 2, 1 << 20)?;
        range("layers", self.layers, 1, 256)?;
        range("dim", self.dim, 2, 16_384)?;
        range("heads", self.heads, 1, 1024)?;
        range("kv_heads", self.kv_heads, 1, self.heads)?;
        range("hidden", self.hidden, 1, 1 << 17)?;
        if !self.dim.is_multiple_of(self.heads) {
            return fail("heads", format!("a divisor of dim {}", self.dim), self.heads.to_string());
        }
        if !self.heads.is_multiple_of(self.kv_heads) {
            return fail("kv_heads", format!("a divisor of heads {}", self.heads), self.kv_heads.to_string());
        }
        if self.bigram != Bigram::None {
            range("bigram_buckets", self.bigram_buckets, 2, 1 << 24)?;
            range("bigram_dim", self.bigram_dim, 1, 16_384)?;
        }
        match self.trigram {
            Trigram::None => {}
            Trigram::P1019 if self.bigram == Bigram::None => {
                return fail("trigram", "a bigram table to share".into(), "bigram = none".into());
            }
            Trigram::P1019 => {}
            _ => {
                range("trigram_buckets", self.trigram_buckets, 2, 1 << 24)?;
                range("trigram_dim", self.trigram_dim, 1, 16_384)?;
            }
        }
        if !self.ve_layers.is_empty() {
            range("ve_dim", self.ve_dim, 1, 16_384)?;
        }
        if self.ve_layers.windows(2).any(|w| w[0] >= w[1]) || self.ve_layers.iter().any(|&l| l >= self.layers)
        {
            return fail(
                "ve_layers",
                format!("ascending, below {}", self.layers),
                format!("{:?}", self.ve_layers),
            );
        }
        range("xsa_last_n", self.xsa_last_n, 0, self.layers)?;
        range("rope_dims", self.rope_dims, 0, self.head_dim())?;
        if self.rope_dims % 2 == 1 || (self.rope_ntk && self.rope_dims <= 2) {
            return fail("rope_dims", "even, above 2 with rope_ntk".into(), self.rope_dims.to_string());
        }
        range("window", self.window, 0, 1 << 24)?;
        range("rope_train_len", self.rope_train_len, 1, 1 << 24)?;
        if self.kv_share < -1 || self.kv_share > self.layers as i64 {
            return fail("kv_share", format!("-1..={}", self.layers), self.kv_share.to_string());
        }
        for (field, value) in
            [("rope_base", self.rope_base), ("softcap", self.softcap), ("q_gain", self.q_gain)]
        {
            if !(value.is_finite() && value > 0.0 && value < 1e9) {
                return fail(field, "finite, positive".into(), value.to_string());
            }
        }
        Ok(())
    }
}
