//! THE model: token ids to final hidden states, as nodes of a graph.
//!
//! Every published system is a configuration of this one definition; nothing here knows a backend, a phase or an
//! optimizer. Weights are states of the graph; a weight may be quantized (then it is an operand type) or passed through
//! fake quantization (then training sees the grid). Where the tokens stand, in whole windows or behind a cache, is told
//! apart in one place.

mod place;

use super::config::{Activation, Bigram, ModelConfig, Skips, Trigram};
use super::params::{Keys, parameters};
use crate::graph::{Graph, ValueId};
use crate::ops::{
    Add, AddScaled, ChannelAffine, Embed, FakeQuant, GatedSkip, HashKind, HeadCrossEntropy, LeakyReluSquared,
    Linear, OpError, ResidualMix, RmsNorm, Row, ScaleBy, ScaleRows, SoftQuant, Xsa,
};
use crate::quant::fake::FakeQuantRule;
use crate::tensor::{DType, TensorType};
use place::Place;
use std::collections::{BTreeMap, HashMap};

/// Name of the scalar that says how sharply fake quantization rounds.
pub const SHARPNESS: &str = "sharpness";

/// How weights enter the graph; parameters not named are plain f32.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Weights {
    /// Operand types of quantized parameters.
    pub dtypes: BTreeMap<String, DType>,
    /// Fake quantization during training.
    pub fake_quant: BTreeMap<String, FakeQuantRule>,
    /// Fake quantization rounds softly; the graph then has the scalar input [`SHARPNESS`].
    pub soft: bool,
}

/// Extents of a run: `rows` windows of `seq` tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Window {
    /// Windows.
    pub rows: usize,
    /// Tokens of a window.
    pub seq: usize,
}

impl Window {
    /// Tokens in all.
    pub fn tokens(self) -> usize {
        self.rows * self.seq
    }
}

/// How a weight is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UseKind {
    /// `output = input·wᵀ`.
    Product,
    /// `output` is the rows of `w` that the ids `input` select.
    Lookup,
    /// `output` is the nll of the logits `input·wᵀ`.
    Head,
}

/// A weight at work: what it meets and what comes out. A shared weight has several.
#[derive(Clone, Debug, PartialEq)]
pub struct WeightUse {
    /// Name of the parameter.
    pub weight: String,
    /// How it is used.
    pub kind: UseKind,
    /// What it is applied to.
    pub input: ValueId,
    /// What comes out.
    pub output: ValueId,
}

/// The model under construction in a graph.
pub struct Gpt<'a> {
    graph: &'a mut Graph,
    config: &'a ModelConfig,
    weights: &'a Weights,
    place: Place,
    shapes: HashMap<String, Vec<usize>>,
    used: HashMap<String, ValueId>,
    uses: Vec<WeightUse>,
    /// Parameters whose gradients are to be built.
    trained: &'a [String],
    /// Tokens whose hidden states are asked for, all if none are named.
    wanted: Option<ValueId>,
    keys: Keys,
}

impl<'a> Gpt<'a> {
    /// Prepares to append the model to `graph`. `config` has passed [`ModelConfig::check`].
    pub fn new(graph: &'a mut Graph, config: &'a ModelConfig, weights: &'a Weights, window: Window) -> Self {
        Self::at(Place::Windows { seq: window.seq }, graph, config, weights)
    }

    /// Prepares to append the model for new tokens of one window of `window` tokens, behind caches of the earlier ones.
    /// Their position is the input `position` (`i32[1]`); where the model hashes, the two tokens before them are the
    /// input `before` (`i32[2]`).
    pub fn cached(
        graph: &'a mut Graph,
        config: &'a ModelConfig,
        weights: &'a Weights,
        window: usize,
    ) -> Self {
        let position = graph.input("position", TensorType::i32(&[1]));
        Self::at(Place::Cached { window, position }, graph, config, weights)
    }

    fn at(place: Place, graph: &'a mut Graph, config: &'a ModelConfig, weights: &'a Weights) -> Self {
        let shapes = parameters(config).into_iter().map(|p| (p.name, p.shape)).collect();
        let (used, uses) = (HashMap::new(), Vec::new());
        let keys = Keys::of(config.names);
        Self { graph, config, weights, place, shapes, used, uses, trained: &[], wanted: None, keys }
    }

    /// The same for a graph that is to be differentiated towards `parameters`: of equal forms, the one whose gradient moves
    /// less memory. None unless said.
    pub fn trained(self, parameters: &'a [String]) -> Self {
        Self { trained: parameters, ..self }
    }

    /// The same for the hidden states of the tokens `rows` `i32[m]` alone, in this order. Behind its attention the last layer
    /// then computes nothing else.
    pub fn of_rows(self, rows: ValueId) -> Self {
        Self { wanted: Some(rows), ..self }
    }

    /// The state that holds a parameter.
    pub fn parameter(&mut self, name: &str) -> ValueId {
        let shape = self.shapes.get(name).expect("the model asks only for parameters that it owns").clone();
        let dtype = self.weights.dtypes.get(name).copied().unwrap_or(DType::F32);
        self.graph.state(name, TensorType { dtype, shape })
    }

    /// A parameter as the forward pass sees it: fake-quantized where training asks for that, once per graph.
    fn weight(&mut self, name: &str) -> Result<ValueId, OpError> {
        if let Some(&value) = self.used.get(name) {
            return Ok(value);
        }
        let state = self.parameter(name);
        let value = match self.weights.fake_quant.get(name) {
            Some(&rule) if self.weights.soft => {
                let sharpness = self.graph.scalar(SHARPNESS);
                self.graph.apply(SoftQuant { rule }, &[state, sharpness])?
            }
            Some(&rule) => self.graph.apply(FakeQuant { rule }, &[state])?,
            None => state,
        };
        self.used.insert(name.to_owned(), value);
        Ok(value)
    }

    /// The products and lookups appended so far, in order.
    pub fn uses(&self) -> &[WeightUse] {
        &self.uses
    }

    fn record(&mut self, weight: &str, kind: UseKind, input: ValueId, output: ValueId) {
        self.uses.push(WeightUse { weight: weight.to_owned(), kind, input, output });
    }

    fn linear(&mut self, x: ValueId, name: &str) -> Result<ValueId, OpError> {
        let w = self.weight(name)?;
        let y = self.graph.apply(Linear::NT, &[x, w])?;
        self.record(name, UseKind::Product, x, y);
        Ok(y)
    }

    fn lookup(&mut self, ids: ValueId, name: &str) -> Result<ValueId, OpError> {
        let table = self.weight(name)?;
        let rows = self.graph.apply(Embed, &[ids, table])?;
        self.record(name, UseKind::Lookup, ids, rows);
        Ok(rows)
    }

    /// The nll of `targets` `i32[n]` under the logits of the hidden states `x[n,d]`.
    pub fn nll(&mut self, x: ValueId, targets: ValueId) -> Result<ValueId, OpError> {
        let head = self.head()?;
        let op = HeadCrossEntropy { softcap: self.config.softcap };
        let nll = self.graph.apply(op, &[x, head, targets])?;
        self.record(self.head_name(), UseKind::Head, x, nll);
        Ok(nll)
    }

    fn head_name(&self) -> &'static str {
        if self.config.tied { "tok_emb.weight" } else { "lm_head.weight" }
    }

    /// The head's matrix `[v,d]`: the token embedding when tied.
    pub fn head(&mut self) -> Result<ValueId, OpError> {
        self.weight(self.head_name())
    }

    /// Token ids `i32[n]` to normalized final hidden states `[n,d]`, or those of the rows that were asked for.
    pub fn hidden(&mut self, tokens: ValueId) -> Result<ValueId, OpError> {
        let config = self.config;
        self.graph.scope("stem");
        let x0 = self.stem(tokens)?;
        let values = self.value_embedding(tokens)?;
        let (mut x, mut skips) = (x0, Vec::new());
        for layer in 0..config.layers {
            let decoder = layer.checked_sub(config.encoder_layers());
            if let Some((index, skip)) = decoder.and_then(|index| Some((index, skips.pop()?))) {
                self.graph.scope(format!("skip.{layer}"));
                x = self.skip(x, skip, index)?;
            }
            x = self.block(layer, x, x0, values)?;
            if decoder.is_none() && config.skips != Skips::None {
                skips.push(x);
            }
        }
        self.graph.scope("head");
        self.graph.apply(RmsNorm { scale: 1.0 }, &[x])
    }

    fn stem(&mut self, tokens: ValueId) -> Result<ValueId, OpError> {
        let config = self.config;
        let mut e = self.lookup(tokens, "tok_emb.weight")?;
        if config.bigram != Bigram::None {
            let kind = if config.bigram == Bigram::V1 { HashKind::BigramV1 } else { HashKind::BigramV2 };
            let mut kinds = vec![kind];
            if config.trigram == Trigram::P1019 {
                kinds.push(HashKind::TRIGRAM_P1019);
            }
            let hashed = self.hashed(self.keys.bigram, &kinds, config.bigram_buckets, tokens)?;
            e = self.graph.apply(Add, &[e, hashed])?;
        }
        let trigram = match config.trigram {
            Trigram::S951 => Some(HashKind::TRIGRAM_S951),
            Trigram::S1216 => Some(HashKind::TRIGRAM_S1216),
            Trigram::None | Trigram::P1019 => None,
        };
        if let Some(kind) = trigram {
            let hashed = self.hashed("trigram", &[kind], config.trigram_buckets, tokens)?;
            e = self.graph.apply(Add, &[e, hashed])?;
        }
        let n = self.graph.apply(RmsNorm { scale: 1.0 }, &[e])?;
        if !config.smear {
            return Ok(n);
        }
        let gate = self.weight(&format!("{}.gate", self.keys.smear))?;
        self.smear(n, gate)
    }

    /// Sum of the table rows that `kinds` select, projected and scaled as far as the table has those parameters.
    fn hashed(
        &mut self,
        prefix: &str,
        kinds: &[HashKind],
        buckets: usize,
        tokens: ValueId,
    ) -> Result<ValueId, OpError> {
        let table = format!("{prefix}.embed.weight");
        let mut sum = None;
        for &kind in kinds {
            let ids = self.buckets(kind, buckets, tokens)?;
            let rows = self.lookup(ids, &table)?;
            sum = Some(match sum {
                Some(sum) => self.graph.apply(Add, &[sum, rows])?,
                None => rows,
            });
        }
        self.project_table(prefix, sum.expect("a table has at least one hash"))
    }

    fn project_table(&mut self, prefix: &str, mut rows: ValueId) -> Result<ValueId, OpError> {
        let (proj, scale) = (format!("{prefix}.proj.weight"), format!("{prefix}.scale"));
        if self.shapes.contains_key(&proj) {
            rows = self.linear(rows, &proj)?;
        }
        if self.shapes.contains_key(&scale) {
            let scale = self.weight(&scale)?;
            rows = self.graph.apply(ScaleBy, &[rows, scale])?;
        }
        Ok(rows)
    }

    /// The value embedding shared by the layers that ask for it.
    fn value_embedding(&mut self, tokens: ValueId) -> Result<Option<ValueId>, OpError> {
        if self.config.ve_layers.is_empty() {
            return Ok(None);
        }
        let rows = self.lookup(tokens, "ve_shared.embed.weight")?;
        self.project_table("ve_shared", rows).map(Some)
    }

    fn skip(&mut self, x: ValueId, skip: ValueId, index: usize) -> Result<ValueId, OpError> {
        let weights = self.weight("skip_weights")?;
        let weight = self.graph.apply(Row { index }, &[weights])?;
        if self.config.skips == Skips::Plain {
            return self.graph.apply(AddScaled, &[x, weight, skip]);
        }
        let gates = self.weight("skip_gates")?;
        let gate = self.graph.apply(Row { index }, &[gates])?;
        self.graph.apply(GatedSkip, &[x, skip, weight, gate])
    }

    fn block(
        &mut self,
        layer: usize,
        x: ValueId,
        x0: ValueId,
        values: Option<ValueId>,
    ) -> Result<ValueId, OpError> {
        let at = |leaf: &str| format!("blocks.{layer}.{leaf}");
        let scale = if self.config.ln_scale { 1.0 / ((layer + 1) as f64).sqrt() } else { 1.0 };
        self.graph.scope(at("attn"));
        let mut x = x;
        if self.config.resid_mix {
            let mix = self.weight(&at("resid_mix"))?;
            x = self.graph.apply(ResidualMix, &[x, x0, mix])?;
        }
        let u = self.graph.apply(RmsNorm { scale }, &[x])?;
        let mut y = self.attention(layer, u, values)?;
        if let Some(rows) = self.wanted.filter(|_| layer + 1 == self.config.layers) {
            x = self.graph.apply(Embed, &[rows, x])?;
            y = self.graph.apply(Embed, &[rows, y])?;
        }
        let x = self.join(x, y, &at("attn.proj.weight"), &at("attn_scale"))?;
        self.graph.scope(at("mlp"));
        let u = self.graph.apply(RmsNorm { scale }, &[x])?;
        let h = self.mlp(layer, u)?;
        self.join(x, h, &at(&format!("mlp.{}.weight", self.keys.down)), &at("mlp_scale"))
    }

    /// A sublayer's last product joining the residual stream: `x + gain ⊙ (h·wᵀ)`. Where `w` is trained its rows are scaled
    /// instead: a weight is far smaller than what it makes.
    fn join(&mut self, x: ValueId, h: ValueId, weight: &str, gain: &str) -> Result<ValueId, OpError> {
        let gain = self.weight(gain)?;
        if !self.trained.iter().any(|name| name == weight) {
            let y = self.linear(h, weight)?;
            return self.graph.apply(AddScaled, &[x, gain, y]);
        }
        let w = self.weight(weight)?;
        let scaled = self.graph.apply(ScaleRows, &[w, gain])?;
        let y = self.graph.apply(Linear::NT, &[h, scaled])?;
        self.graph.apply(Add, &[x, y])
    }

    /// What goes into the sublayer's last product.
    fn attention(&mut self, layer: usize, u: ValueId, values: Option<ValueId>) -> Result<ValueId, OpError> {
        let config = self.config;
        let (heads, kv_heads) = (config.heads, config.kv_heads);
        let at = |leaf: &str| format!("blocks.{layer}.attn.{leaf}");
        let shared = |leaf: &str| format!("blocks.{}.attn.{leaf}", config.kv_owner(layer));
        let q = self.linear(u, &at("c_q.weight"))?;
        let k = self.linear(u, &shared("c_k.weight"))?;
        let mut v = self.linear(u, &shared("c_v.weight"))?;
        if let Some(j) = config.ve_layers.iter().position(|&l| l == layer) {
            let scale = self.weight(&format!("ve_layer_scales.{j}"))?;
            let base = values.expect("a model with value layers has a value embedding");
            let extra = self.graph.apply(ScaleBy, &[base, scale])?;
            v = self.graph.apply(Add, &[v, extra])?;
        }
        let gain = self.weight(&at("q_gain"))?;
        let q = self.rotate(q, heads, Some(gain))?;
        let k = self.rotate(k, kv_heads, None)?;
        let mut y = self.attend(layer, [q, k, v])?;
        if layer + config.xsa_last_n >= config.layers {
            y = self.graph.apply(Xsa { heads, kv_heads }, &[y, v])?;
        }
        Ok(y)
    }

    /// What goes into the sublayer's last product.
    fn mlp(&mut self, layer: usize, u: ValueId) -> Result<ValueId, OpError> {
        let at = |leaf: &str| format!("blocks.{layer}.mlp.{leaf}");
        let z = self.linear(u, &at(&format!("{}.weight", self.keys.up)))?;
        let slope = if self.config.act == Activation::Relu2 { 0.0 } else { 0.5 };
        let mut h = self.graph.apply(LeakyReluSquared { slope }, &[z])?;
        if self.config.act == Activation::Leaky2Affine {
            let (scale, bias) = (self.weight(&at("scale"))?, self.weight(&at("bias"))?);
            h = self.graph.apply(ChannelAffine, &[h, scale, bias])?;
        }
        Ok(h)
    }
}
