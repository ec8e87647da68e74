//! From tensor names and shapes to a [`ModelConfig`].
//!
//! Sizes, the number of blocks and heads, and the presence of every optional part are read off the tensors; what leaves
//! no trace in them (activation, rotary settings, softcap, exclusive self-attention, …) comes from [`Assumptions`].
//!
//! Invariant: every tensor is accounted for. A name that the derived model does not have, a name that it lacks and a
//! shape that disagrees are errors, so a configuration that comes out has exactly the file's inventory of parameters.

use std::collections::BTreeMap;

use thiserror::Error;

use super::tensor::Imported;
use crate::model::ModelConfig;
use crate::model::config::{Activation, Bigram, ConfigError, Names, Skips, Trigram};

/// Most blocks that are looked for.
const MAX_LAYERS: usize = 256;

/// What a file does not state. The default is the challenge's baseline.
#[derive(Clone, Debug, PartialEq)]
pub struct Assumptions {
    /// MLP activation; learned scales and biases override it with [`Activation::Leaky2Affine`].
    pub act: Activation,
    /// Which hash a trigram table belongs to; [`Trigram::P1019`] needs no table of its own.
    pub trigram: Trigram,
    /// Layers with value embeddings; `None`: the last ones, as many as there are scales.
    pub ve_layers: Option<Vec<usize>>,
    /// How keys and values are shared where blocks lack them; `None`: the fewest last blocks that explain the file.
    pub kv_share: Option<i64>,
    /// Last layers with exclusive self-attention.
    pub xsa_last_n: usize,
    /// Rotated channels per head; `None`: all.
    pub rope_dims: Option<usize>,
    /// Rotary base.
    pub rope_base: f64,
    /// Rescale the rotary base beyond `rope_train_len`.
    pub rope_ntk: bool,
    /// Window for which `rope_base` holds, in tokens.
    pub rope_train_len: usize,
    /// Multiply normalized inputs of layer `i` by `1/sqrt(i+1)`.
    pub ln_scale: bool,
    /// Softcap of the logits.
    pub softcap: f64,
    /// Initial query gain; matters for new training only.
    pub q_gain: f64,
}

impl Default for Assumptions {
    fn default() -> Self {
        let base = ModelConfig::default();
        Self {
            act: base.act,
            trigram: Trigram::S951,
            ve_layers: None,
            kv_share: None,
            xsa_last_n: base.xsa_last_n,
            rope_dims: None,
            rope_base: base.rope_base,
            rope_ntk: base.rope_ntk,
            rope_train_len: base.rope_train_len,
            ln_scale: base.ln_scale,
            softcap: base.softcap,
            q_gain: base.q_gain,
        }
    }
}

/// Why names and shapes make no model.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum ShapeError {
    /// A parameter that every such model has is not there.
    #[error("parameter `{name}` is missing")]
    Missing {
        /// Its name.
        name: String,
    },
    /// Parameters that the derived model does not have.
    #[error("{count} parameters do not belong to the model, first `{}`", first.join("`, `"))]
    Unknown {
        /// How many.
        count: usize,
        /// Up to eight of their names.
        first: Vec<String>,
    },
    /// A shape that disagrees with the rest of the model.
    #[error("parameter `{name}`: expected shape {expected}, got {got:?}")]
    Shape {
        /// Its name.
        name: String,
        /// What would be accepted.
        expected: String,
        /// Its shape.
        got: Vec<usize>,
    },
    /// A width that does not divide into the heads.
    #[error("{what} {width} is not a multiple of {of}")]
    Heads {
        /// Which width.
        what: &'static str,
        /// The width.
        width: usize,
        /// The divisor.
        of: usize,
    },
    /// More blocks than the limit, or a block number that is missing.
    #[error(
        "blocks are numbered up to {last} but {count} are there: expected 0, 1, … without gaps, at most 256"
    )]
    Layers {
        /// Largest number.
        last: usize,
        /// Different numbers.
        count: usize,
    },
    /// Blocks without keys and values that no sharing rule explains.
    #[error("blocks {owners:?} of {layers} own keys and values: no sharing explains this")]
    KvShare {
        /// Blocks with their own.
        owners: Vec<usize>,
        /// Number of blocks.
        layers: usize,
    },
    /// An assumption that contradicts the file.
    #[error("assumption `{field}`: expected {expected}, got {got}")]
    Assumption {
        /// The field of [`Assumptions`].
        field: &'static str,
        /// What the file asks for.
        expected: String,
        /// What was given.
        got: String,
    },
    /// The configuration is out of range.
    #[error(transparent)]
    Config(#[from] ConfigError),
}

/// Name and shape of every tensor, sorted by name: what a configuration's own parameter list must equal.
pub fn inventory(tensors: &[Imported]) -> Vec<(String, Vec<usize>)> {
    let mut list: Vec<_> = tensors.iter().map(|t| (t.name.clone(), t.shape.clone())).collect();
    list.sort();
    list
}

/// Derives the configuration of the model whose parameters have the names and shapes of `inventory`.
pub fn derive(inventory: &[(String, Vec<usize>)], assume: &Assumptions) -> Result<ModelConfig, ShapeError> {
    let mut p = Parameters { left: inventory.iter().map(|(n, s)| (n.as_str(), s.as_slice())).collect() };
    let names = if p.has("blocks.0.mlp.up_proj.weight") { Names::S861 } else { Names::Std };
    let mut c = ModelConfig {
        names,
        layers: p.layers()?,
        xsa_last_n: assume.xsa_last_n,
        rope_base: assume.rope_base,
        rope_ntk: assume.rope_ntk,
        rope_train_len: assume.rope_train_len,
        ln_scale: assume.ln_scale,
        softcap: assume.softcap,
        q_gain: assume.q_gain,
        ..ModelConfig::default()
    };
    [c.vocab, c.dim] = p.matrix("tok_emb.weight")?;
    stem(&mut p, &mut c, assume)?;
    sizes(&p, &mut c, assume)?;
    c.kv_share = sharing(&p, c.layers, assume)?;
    blocks(&mut p, &c)?;
    skips(&mut p, &mut c)?;
    value_embeddings(&mut p, &mut c, assume)?;
    c.tied = !p.has("lm_head.weight");
    if !c.tied {
        p.exact("lm_head.weight", &[c.vocab, c.dim])?;
    }
    p.nothing_left()?;
    c.check()?;
    Ok(c)
}

/// Hashed embeddings and the smear gate.
fn stem(p: &mut Parameters<'_>, c: &mut ModelConfig, assume: &Assumptions) -> Result<(), ShapeError> {
    let (bigram, smear) = match c.names {
        Names::Std => ("bigram", "smear.gate"),
        Names::S861 => ("bigram_emb", "smear_gate.gate"),
    };
    if let Some((buckets, width)) = p.table(bigram, c.dim)? {
        (c.bigram_buckets, c.bigram_dim) = (buckets, width);
        c.bigram = if p.optional(&format!("{bigram}.scale"), &[])? { Bigram::V1 } else { Bigram::V2 };
    }
    c.trigram = match (p.table("trigram", c.dim)?, assume.trigram) {
        (Some((buckets, width)), variant @ (Trigram::S951 | Trigram::S1216)) => {
            (c.trigram_buckets, c.trigram_dim) = (buckets, width);
            p.exact("trigram.scale", &[])?;
            variant
        }
        (Some(_), other) => {
            let (expected, got) = ("s951 or s1216 for the file's table".to_owned(), format!("{other:?}"));
            return Err(ShapeError::Assumption { field: "trigram", expected, got });
        }
        (None, Trigram::P1019) => Trigram::P1019,
        (None, _) => Trigram::None,
    };
    c.smear = p.optional(smear, &[c.dim])?;
    Ok(())
}

/// Heads, widths and the activation, off block 0.
fn sizes(p: &Parameters<'_>, c: &mut ModelConfig, assume: &Assumptions) -> Result<(), ShapeError> {
    c.heads = match p.peek("blocks.0.attn.q_gain")? {
        &[heads] if heads > 0 => heads,
        got => return Err(p.misshapen("blocks.0.attn.q_gain", "[heads]".into(), got)),
    };
    let divide = |what, width: usize, of: usize| {
        if of > 0 && width > 0 && width.is_multiple_of(of) {
            Ok(width / of)
        } else {
            Err(ShapeError::Heads { what, width, of })
        }
    };
    let head_dim = divide("model width", c.dim, c.heads)?;
    let kv_dim = p.peek("blocks.0.attn.c_k.weight")?.first().copied().unwrap_or(0);
    c.kv_heads = divide("width of the keys", kv_dim, head_dim)?;
    c.rope_dims = assume.rope_dims.unwrap_or(head_dim);
    c.hidden = p.peek(mlp(c.names)[0])?.first().copied().unwrap_or(0);
    c.act = match (p.has("blocks.0.mlp.scale"), assume.act) {
        (true, _) => Activation::Leaky2Affine,
        (false, Activation::Leaky2Affine) => {
            return Err(ShapeError::Missing { name: "blocks.0.mlp.scale".into() });
        }
        (false, act) => act,
    };
    c.resid_mix = p.has("blocks.0.resid_mix");
    Ok(())
}

/// Names of block 0's MLP matrices, up and down.
fn mlp(names: Names) -> [&'static str; 2] {
    match names {
        Names::Std => ["blocks.0.mlp.fc.weight", "blocks.0.mlp.proj.weight"],
        Names::S861 => ["blocks.0.mlp.up_proj.weight", "blocks.0.mlp.down_proj.weight"],
    }
}

/// The sharing rule under which exactly the blocks with their own keys own them.
fn sharing(p: &Parameters<'_>, layers: usize, assume: &Assumptions) -> Result<i64, ShapeError> {
    let owners: Vec<usize> = (0..layers).filter(|i| p.has(&format!("blocks.{i}.attn.c_k.weight"))).collect();
    let candidates: Vec<i64> = match assume.kv_share {
        Some(share) => vec![share],
        None => [0, -1].into_iter().chain(1..layers as i64).collect(),
    };
    let explains = |&share: &i64| {
        let c = ModelConfig { layers, kv_share: share, ..ModelConfig::default() };
        owners.iter().copied().eq((0..layers).filter(|&i| c.kv_owner(i) == i))
    };
    candidates.into_iter().find(explains).ok_or(ShapeError::KvShare { owners, layers })
}

fn blocks(p: &mut Parameters<'_>, c: &ModelConfig) -> Result<(), ShapeError> {
    let [up, down] = mlp(c.names);
    for i in 0..c.layers {
        let mut expected: Vec<(&str, Vec<usize>)> = vec![
            ("attn_scale", vec![c.dim]),
            ("mlp_scale", vec![c.dim]),
            ("attn.q_gain", vec![c.heads]),
            ("attn.c_q.weight", vec![c.dim, c.dim]),
            ("attn.proj.weight", vec![c.dim, c.dim]),
            (&up["blocks.0.".len()..], vec![c.hidden, c.dim]),
            (&down["blocks.0.".len()..], vec![c.dim, c.hidden]),
        ];
        if c.resid_mix {
            expected.push(("resid_mix", vec![2, c.dim]));
        }
        if c.kv_owner(i) == i {
            expected.push(("attn.c_k.weight", vec![c.kv_dim(), c.dim]));
            expected.push(("attn.c_v.weight", vec![c.kv_dim(), c.dim]));
        }
        if c.act == Activation::Leaky2Affine {
            expected.push(("mlp.scale", vec![c.hidden]));
            expected.push(("mlp.bias", vec![c.hidden]));
        }
        for (leaf, shape) in expected {
            p.exact(&format!("blocks.{i}.{leaf}"), &shape)?;
        }
    }
    Ok(())
}

fn skips(p: &mut Parameters<'_>, c: &mut ModelConfig) -> Result<(), ShapeError> {
    let shape = [c.skip_count(), c.dim];
    let weights = p.optional("skip_weights", &shape)?;
    let gates = p.optional("skip_gates", &shape)?;
    c.skips = match (weights, gates) {
        (false, false) => Skips::None,
        (true, false) => Skips::Plain,
        (true, true) => Skips::Gated,
        (false, true) => return Err(ShapeError::Missing { name: "skip_weights".into() }),
    };
    Ok(())
}

fn value_embeddings(
    p: &mut Parameters<'_>,
    c: &mut ModelConfig,
    assume: &Assumptions,
) -> Result<(), ShapeError> {
    if !p.has("ve_shared.embed.weight") {
        return Ok(());
    }
    let [rows, width] = p.matrix("ve_shared.embed.weight")?;
    if rows != c.vocab {
        return Err(p.misshapen("ve_shared.embed.weight", format!("[{}, width]", c.vocab), &[rows, width]));
    }
    c.ve_dim = width;
    if width != c.kv_dim() {
        p.exact("ve_shared.proj.weight", &[c.kv_dim(), width])?;
    }
    p.exact("ve_shared.scale", &[])?;
    let mut count = 0;
    while count < c.layers && p.optional(&format!("ve_layer_scales.{count}"), &[1])? {
        count += 1;
    }
    c.ve_layers = match &assume.ve_layers {
        None => (c.layers - count..c.layers).collect(),
        Some(layers) if layers.len() == count => layers.clone(),
        Some(layers) => {
            let (expected, got) = (format!("{count} layers"), format!("{layers:?}"));
            return Err(ShapeError::Assumption { field: "ve_layers", expected, got });
        }
    };
    if count == 0 {
        return Err(ShapeError::Missing { name: "ve_layer_scales.0".into() });
    }
    Ok(())
}

/// Parameters that nothing has claimed yet.
struct Parameters<'a> {
    left: BTreeMap<&'a str, &'a [usize]>,
}

impl<'a> Parameters<'a> {
    fn has(&self, name: &str) -> bool {
        self.left.contains_key(name)
    }

    fn peek(&self, name: &str) -> Result<&'a [usize], ShapeError> {
        self.left.get(name).copied().ok_or_else(|| ShapeError::Missing { name: name.to_owned() })
    }

    fn misshapen(&self, name: &str, expected: String, got: &[usize]) -> ShapeError {
        ShapeError::Shape { name: name.to_owned(), expected, got: got.to_vec() }
    }

    /// Claims `name`, whose shape must be `shape`.
    fn exact(&mut self, name: &str, shape: &[usize]) -> Result<(), ShapeError> {
        let got = self.peek(name)?;
        if got != shape {
            return Err(self.misshapen(name, format!("{shape:?}"), got));
        }
        self.left.remove(name);
        Ok(())
    }

    /// Claims `name` if it is there.
    fn optional(&mut self, name: &str, shape: &[usize]) -> Result<bool, ShapeError> {
        if self.has(name) { self.exact(name, shape).map(|()| true) } else { Ok(false) }
    }

    /// Claims a matrix of any size.
    fn matrix(&mut self, name: &str) -> Result<[usize; 2], ShapeError> {
        let got = self.peek(name)?;
        let &[rows, columns] = got else { return Err(self.misshapen(name, "[rows, columns]".into(), got)) };
        self.left.remove(name);
        Ok([rows, columns])
    }

    /// Claims a hashed table and the projection that it has unless it is as wide as the model.
    fn table(&mut self, prefix: &str, dim: usize) -> Result<Option<(usize, usize)>, ShapeError> {
        let embed = format!("{prefix}.embed.weight");
        if !self.has(&embed) {
            return Ok(None);
        }
        let [buckets, width] = self.matrix(&embed)?;
        if width != dim {
            self.exact(&format!("{prefix}.proj.weight"), &[dim, width])?;
        }
        Ok(Some((buckets, width)))
    }

    /// Number of blocks, which must be numbered without gaps.
    fn layers(&self) -> Result<usize, ShapeError> {
        let number = |name: &&str| name.strip_prefix("blocks.")?.split('.').next()?.parse::<usize>().ok();
        let mut numbers: Vec<usize> = self.left.keys().filter_map(number).collect();
        numbers.sort_unstable();
        numbers.dedup();
        match numbers.last() {
            None => Err(ShapeError::Missing { name: "blocks.0.attn.c_q.weight".into() }),
            Some(&last) if last >= MAX_LAYERS || last + 1 != numbers.len() => {
                Err(ShapeError::Layers { last, count: numbers.len() })
            }
            Some(_) => Ok(numbers.len()),
        }
    }

    fn nothing_left(&self) -> Result<(), ShapeError> {
        if self.left.is_empty() {
            return Ok(());
        }
        let first = self.left.keys().take(8).map(|name| (*name).to_owned()).collect();
        Err(ShapeError::Unknown { count: self.left.len(), first })
    }
}
