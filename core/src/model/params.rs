//! What a configuration owns: names, shapes and roles of all parameters.
//!
//! Names are those of the published state dicts, so that artifacts of any origin meet one namespace. Linear weights
//! are stored `[out, in]`.

use super::config::{Activation, Bigram, ModelConfig, Names, Skips, Trigram};

/// What a parameter is, as far as optimizers and quantizers care.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Token embedding or untied head.
    Token,
    /// Table of a hashed n-gram or of the value embedding.
    Table,
    /// Matrix inside a block.
    Matrix,
    /// Projection of a table to the model's width.
    Projection,
    /// Everything else: gains, gates, scales, mixes.
    Control,
}

/// A parameter of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Param {
    /// Dotted path.
    pub name: String,
    /// Extents; empty for a scalar.
    pub shape: Vec<usize>,
    /// Its role.
    pub role: Role,
}

impl Param {
    /// Number of weights.
    pub fn numel(&self) -> usize {
        self.shape.iter().product()
    }

    /// The block that it belongs to.
    pub fn block(&self) -> Option<usize> {
        self.name.strip_prefix("blocks.")?.split('.').next()?.parse().ok()
    }
}

/// Last components of the names that PR #861 renamed.
pub(super) struct Keys {
    pub up: &'static str,
    pub down: &'static str,
    pub bigram: &'static str,
    pub smear: &'static str,
}

impl Keys {
    pub(super) fn of(names: Names) -> Keys {
        match names {
            Names::Std => Keys { up: "fc", down: "proj", bigram: "bigram", smear: "smear" },
            Names::S861 => {
                Keys { up: "up_proj", down: "down_proj", bigram: "bigram_emb", smear: "smear_gate" }
            }
        }
    }
}

/// All parameters of a model, in a fixed order.
pub fn parameters(config: &ModelConfig) -> Vec<Param> {
    let c = config;
    let keys = Keys::of(c.names);
    let mut list = List(Vec::new());
    list.add("tok_emb.weight", &[c.vocab, c.dim], Role::Token);
    if c.bigram != Bigram::None {
        list.table(keys.bigram, [c.bigram_buckets, c.bigram_dim], c.dim, c.bigram == Bigram::V1);
    }
    if matches!(c.trigram, Trigram::S951 | Trigram::S1216) {
        list.table("trigram", [c.trigram_buckets, c.trigram_dim], c.dim, true);
    }
    if c.skips != Skips::None && c.skip_count() > 0 {
        list.add("skip_weights", &[c.skip_count(), c.dim], Role::Control);
        if c.skips == Skips::Gated {
            list.add("skip_gates", &[c.skip_count(), c.dim], Role::Control);
        }
    }
    if c.smear {
        list.add(&format!("{}.gate", keys.smear), &[c.dim], Role::Control);
    }
    for layer in 0..c.layers {
        list.block(c, &keys, layer);
    }
    if !c.ve_layers.is_empty() {
        list.table("ve_shared", [c.vocab, c.ve_dim], c.kv_dim(), true);
        for j in 0..c.ve_layers.len() {
            list.add(&format!("ve_layer_scales.{j}"), &[1], Role::Control);
        }
    }
    if !c.tied {
        list.add("lm_head.weight", &[c.vocab, c.dim], Role::Token);
    }
    list.0
}

/// Total number of weights.
pub fn parameter_count(config: &ModelConfig) -> usize {
    parameters(config).iter().map(Param::numel).sum()
}

struct List(Vec<Param>);

impl List {
    fn add(&mut self, name: &str, shape: &[usize], role: Role) {
        self.0.push(Param { name: name.to_owned(), shape: shape.to_vec(), role });
    }

    /// An embedding table, its projection where the widths differ, and its learned scalar.
    fn table(&mut self, prefix: &str, [rows, width]: [usize; 2], out: usize, scaled: bool) {
        self.add(&format!("{prefix}.embed.weight"), &[rows, width], Role::Table);
        if width != out {
            self.add(&format!("{prefix}.proj.weight"), &[out, width], Role::Projection);
        }
        if scaled {
            self.add(&format!("{prefix}.scale"), &[], Role::Control);
        }
    }

    fn block(&mut self, c: &ModelConfig, keys: &Keys, layer: usize) {
        let at = |leaf: &str| format!("blocks.{layer}.{leaf}");
        self.add(&at("attn_scale"), &[c.dim], Role::Control);
        self.add(&at("mlp_scale"), &[c.dim], Role::Control);
        if c.resid_mix {
            self.add(&at("resid_mix"), &[2, c.dim], Role::Control);
        }
        self.add(&at("attn.q_gain"), &[c.heads], Role::Control);
        self.add(&at("attn.c_q.weight"), &[c.dim, c.dim], Role::Matrix);
        if c.kv_owner(layer) == layer {
            self.add(&at("attn.c_k.weight"), &[c.kv_dim(), c.dim], Role::Matrix);
            self.add(&at("attn.c_v.weight"), &[c.kv_dim(), c.dim], Role::Matrix);
        }
        self.add(&at("attn.proj.weight"), &[c.dim, c.dim], Role::Matrix);
        if c.act == Activation::Leaky2Affine {
            self.add(&at("mlp.scale"), &[c.hidden], Role::Control);
            self.add(&at("mlp.bias"), &[c.hidden], Role::Control);
        }
        self.add(&at(&format!("mlp.{}.weight", keys.up)), &[c.hidden, c.dim], Role::Matrix);
        self.add(&at(&format!("mlp.{}.weight", keys.down)), &[c.dim, c.hidden], Role::Matrix);
    }
}
