//! A model that a command was asked for by name: a preset with fresh weights, or an artifact with its own.
//!
//! It knows the types that weights have as operands, so that a plan can be made, measured and sized without weights.

use crate::cmd::load::{self, LoadError};
use clap::ValueEnum;
use golf_core::eval::{EvalError, ModelWeights, plain};
use golf_core::graph::Graph;
use golf_core::model::gpt::{SHARPNESS, Weights, Window};
use golf_core::model::graphs::grad_name;
use golf_core::model::graphs::{decode_graph, gradient_graph, score_graph};
use golf_core::model::init::{Init, initialize};
use golf_core::model::{ModelConfig, parameters};
use golf_core::ops::{HASH_HISTORY, OpError};
use golf_core::optim::average_graph;
use golf_core::quant::{ExportRecipe, Scales, Scheme, Storage, pack};
use golf_core::tensor::{DType, Data, Tensor, TensorType};
use golf_core::train::groups::{fake_quantized, optimizer};
use golf_core::train::recipe::QatRounding;
use golf_core::train::{Preset, Recipe, preset, presets};
use std::collections::BTreeMap;
use std::path::Path;
use thiserror::Error;

/// Why there is no such model.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ModelError {
    /// Neither a preset nor a file.
    #[error("no preset and no artifact `{got}`\nhint: presets are {}", presets::names().join(", "))]
    Unknown {
        /// What was given.
        got: String,
    },
    /// The artifact cannot be read.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The artifact's tensors are not its configuration's.
    #[error(transparent)]
    Weights(#[from] EvalError),
    /// A width for weights that have theirs.
    #[error("`--bits` is for presets: the weights of `{artifact}` are stored as they are")]
    Bits {
        /// The artifact.
        artifact: String,
    },
}

/// What a plan is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Phase {
    /// Negative log-likelihood of every target.
    Score,
    /// Loss and all gradients; weights are plain f32.
    #[value(alias = "train")]
    Gradient,
    /// The same of fake-quantized weights, as the preset's recipe trains at its end.
    GradientFakeQuant,
    /// Clip and update of all weights by their gradients, as the preset's recipe does it
    Update,
    /// The exponential average of all weights, taken into after every step.
    Average,
    /// Logits of the next token, behind the caches of a window.
    Decode,
}

impl Phase {
    /// Name in plans and reports.
    pub fn name(self) -> &'static str {
        match self {
            Phase::Score => "score",
            Phase::Gradient => "gradient",
            Phase::GradientFakeQuant => "gradient_fake_quant",
            Phase::Update => "update",
            Phase::Average => "average",
            Phase::Decode => "decode",
        }
    }
}

/// Sizes of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extents {
    /// Windows and their tokens; decoding has one window, whatever the rows.
    pub window: Window,
    /// Tokens that a decode step reads; nothing to other phases.
    pub new: usize,
}

/// A model by name.
pub struct Model {
    /// The preset or the file.
    pub name: String,
    /// Its structure.
    pub config: ModelConfig,
    /// Types of the weights that are not plain f32.
    dtypes: BTreeMap<String, DType>,
    /// How it is trained.
    recipe: Recipe,
    stored: Option<ModelWeights>,
}

impl Model {
    /// The preset or the artifact `name`; `bits` stores a preset's weights as [`ExportRecipe`] does.
    pub fn open(name: &str, bits: Option<ExportRecipe>) -> Result<Model, ModelError> {
        if let Some(Preset { model: config, recipe, .. }) = preset(name, false) {
            let dtypes = bits.map(|recipe| dtypes(&config, recipe)).unwrap_or_default();
            return Ok(Model { name: name.to_owned(), config, dtypes, recipe, stored: None });
        }
        let path = Path::new(name);
        if !path.exists() {
            return Err(ModelError::Unknown { got: name.to_owned() });
        }
        if bits.is_some() {
            return Err(ModelError::Bits { artifact: name.to_owned() });
        }
        let stored = ModelWeights::from_artifact(&load::artifact(path)?.0)?;
        let quantized = stored.tensors().iter().filter(|(_, tensor)| tensor.ty().dtype != DType::F32);
        let dtypes = quantized.map(|(name, tensor)| (name.clone(), tensor.ty().dtype)).collect();
        let (name, config, recipe) = (name.to_owned(), stored.config().clone(), Recipe::default());
        Ok(Model { name, config, dtypes, recipe, stored: Some(stored) })
    }

    /// Number of parameters.
    pub fn params(&self) -> usize {
        parameters(&self.config).iter().map(|p| p.numel()).sum()
    }

    /// Bytes of the weights as operands of a forward pass.
    pub fn bytes(&self) -> usize {
        let of = |name: &str, shape: Vec<usize>| TensorType { dtype: self.dtype(name), shape }.bytes();
        parameters(&self.config).into_iter().map(|p| of(&p.name, p.shape)).sum()
    }

    fn dtype(&self, name: &str) -> DType {
        self.dtypes.get(name).copied().unwrap_or(DType::F32)
    }

    /// The graph of a phase.
    pub fn graph(&self, phase: Phase, Extents { window, new }: Extents) -> Result<Graph, OpError> {
        let packed = Weights { dtypes: self.dtypes.clone(), ..Weights::default() };
        let gradient = |weights: Weights| {
            let all: Vec<String> = parameters(&self.config).into_iter().map(|p| p.name).collect();
            gradient_graph(&self.config, &weights, window, &all)
        };
        let shapes = || parameters(&self.config).into_iter().map(|p| (p.name, p.shape)).collect();
        match phase {
            Phase::Score => score_graph(&self.config, &packed, window),
            Phase::Gradient => gradient(Weights::default()),
            Phase::GradientFakeQuant => gradient(fake_quantized(&self.config, &self.recipe)),
            Phase::Update => optimizer(&self.config, &self.recipe).update_graph(&shapes()),
            Phase::Average => average_graph(&shapes()),
            Phase::Decode => decode_graph(&self.config, &packed, window.seq, new.min(window.seq)),
        }
    }

    /// The weights, of the types that the phase's plan asks for, and made-up gradients where it reads those.
    pub fn tensors(&self, phase: Phase) -> BTreeMap<String, Tensor> {
        let tensors = match &self.stored {
            Some(stored) => stored.tensors().clone(),
            None => fresh(&self.config),
        };
        let operand = |name: &str, tensor: Tensor| match self.dtype(name).quant_bits() {
            _ if !matches!(phase, Phase::Score | Phase::Decode) => plain(&tensor),
            Some(bits) if tensor.ty().dtype == DType::F32 => packed(bits, &tensor),
            _ => tensor,
        };
        let weights = tensors.into_iter().map(|(name, tensor)| {
            let tensor = operand(&name, tensor);
            (name, tensor)
        });
        let mut states: BTreeMap<String, Tensor> = weights.collect();
        if phase == Phase::Update {
            let gradient = |(name, weight): (&String, &Tensor)| (grad_name(name), made_up(weight.shape()));
            let gradients: Vec<(String, Tensor)> = states.iter().map(gradient).collect();
            states.extend(gradients);
        }
        states
    }

    /// The weights for the evaluator.
    pub fn weights(&self) -> Result<ModelWeights, EvalError> {
        match &self.stored {
            Some(stored) => Ok(stored.clone()),
            None => ModelWeights::new(self.config.clone(), self.tensors(Phase::Score), [0; 32]),
        }
    }

    /// Made-up inputs of a phase's plan: ids over the whole vocabulary; one micro-batch; the last tokens of a full window.
    pub fn inputs(&self, phase: Phase, Extents { window, new }: Extents) -> Vec<(&'static str, Tensor)> {
        let ids = |n: usize, stride: usize| {
            Tensor::i32(&[n], (0..n).map(|i| (i * stride % self.config.vocab) as i32).collect())
        };
        let single = |value: usize| Tensor::i32(&[1], vec![value as i32]);
        let (n, new) = (window.tokens(), new.min(window.seq));
        match phase {
            Phase::Score => vec![("tokens", ids(n, 7919)), ("targets", ids(n, 104_729))],
            Phase::Gradient | Phase::GradientFakeQuant => {
                let soft = phase == Phase::GradientFakeQuant && self.recipe.qat_rounding == QatRounding::Soft;
                let batch = vec![
                    ("tokens", ids(n, 7919)),
                    ("targets", ids(n, 104_729)),
                    ("share", Tensor::scalar(1.0)),
                    ("keep", Tensor::scalar(0.0)),
                ];
                batch.into_iter().chain(soft.then(|| (SHARPNESS, Tensor::scalar(1.0)))).collect()
            }
            Phase::Update => {
                ["lr_scale", "mu", "bias1", "bias2"].map(|name| (name, Tensor::scalar(0.5))).to_vec()
            }
            Phase::Average => vec![("keep", Tensor::scalar(self.recipe.ema_decay))],
            Phase::Decode => vec![
                ("tokens", ids(new, 7919)),
                ("before", ids(HASH_HISTORY, 31)),
                ("position", single(window.seq - new)),
                ("last", single(new - 1)),
            ],
        }
    }
}

/// Weights to measure with. Projections that start at zero get small numbers: zeros would hide what is wrong after them.
fn fresh(config: &ModelConfig) -> BTreeMap<String, Tensor> {
    let mut tensors = initialize(config, Init::Uniform, 0);
    for tensor in tensors.values_mut().filter(|tensor| tensor.f32s().iter().all(|&x| x == 0.0)) {
        *tensor = made_up(tensor.shape());
    }
    tensors
}

/// Small numbers.
fn made_up(shape: &[usize]) -> Tensor {
    Tensor::f32(shape, (0..shape.iter().product()).map(|i| noise(i) / 32.0).collect())
}

/// Number `i` of a sequence in −1 to 1 that repeats after nothing that a kernel tiles by.
pub fn noise(i: usize) -> f32 {
    let bits = (i as u32).wrapping_mul(2_654_435_761) >> 8;
    bits as f32 / (1 << 23) as f32 - 1.0
}

/// What `recipe` makes of the parameters that it quantizes.
fn dtypes(config: &ModelConfig, recipe: ExportRecipe) -> BTreeMap<String, DType> {
    let route = |name: &str, shape: &[usize]| {
        recipe.route(name, shape, recipe.passthrough_max_elements(), config.layers)
    };
    let quantized = parameters(config).into_iter().filter_map(|p| match route(&p.name, &p.shape) {
        Storage::Quantized(scheme) => {
            Some((p.name, DType::from_quant_bits(scheme.bits()).expect("schemes have packed types")))
        }
        Storage::Fp16 | Storage::Fp32 => None,
    });
    quantized.collect()
}

/// A matrix in `bits` bits, rows scaled by their largest magnitude.
fn packed(bits: u32, tensor: &Tensor) -> Tensor {
    let [rows, cols] = [tensor.shape()[0], tensor.shape()[1]];
    let quantized = Scheme::RowMax { c: (1 << (bits - 1)) - 1 }.quantize(tensor.shape(), tensor.f32s());
    let Scales::PerRow(scales) = &quantized.scales else { unreachable!("a matrix has a scale per row") };
    let dtype = DType::from_quant_bits(bits).expect("the width is a type's");
    let words = pack::pack(bits, rows, cols, &quantized.q, scales);
    Tensor::new(TensorType { dtype, shape: tensor.shape().to_vec() }, Data::Packed(words))
}

/// The recipe that stores matrices in this many bits, as a value of `--bits`.
pub fn bits(text: &str) -> Result<ExportRecipe, String> {
    match text {
        "4" => Ok(ExportRecipe::Int4),
        "5" => Ok(ExportRecipe::Int5),
        "6" => Ok(ExportRecipe::Int6),
        "8" => Ok(ExportRecipe::Int8),
        _ => Err("expected 4, 5, 6 or 8".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fresh_weights_have_the_types_that_the_plans_ask_for() {
        let model = Model::open("baseline", Some(ExportRecipe::Int6)).expect("a preset");
        let extents = Extents { window: Window { rows: 1, seq: 8 }, new: 2 };
        for phase in [Phase::Score, Phase::Gradient, Phase::Update, Phase::Decode] {
            let (graph, tensors) =
                (model.graph(phase, extents).expect("the model is valid"), model.tensors(phase));
            let plan = golf_core::plan::Plan::new(phase.name(), &graph, Default::default());
            for port in plan.states.iter().filter(|port| tensors.contains_key(&port.name)) {
                assert_eq!(*tensors[&port.name].ty(), port.operand.ty, "{} in {}", port.name, phase.name());
            }
        }
        let bytes: usize = model.tensors(Phase::Score).values().map(|tensor| tensor.ty().bytes()).sum();
        assert_eq!(model.bytes(), bytes);
    }

    #[test]
    fn every_phase_is_given_the_inputs_that_its_plan_asks_for() {
        let extents = Extents { window: Window { rows: 1, seq: 8 }, new: 2 };
        for name in ["nano", "pr549", "pr1216-v7"] {
            let model = Model::open(name, None).expect("a preset");
            for &phase in Phase::value_variants() {
                let graph = model.graph(phase, extents).expect("the model is valid");
                let plan = golf_core::plan::Plan::new(phase.name(), &graph, Default::default());
                let inputs = model.inputs(phase, extents);
                for port in &plan.inputs {
                    let given = inputs.iter().find(|(name, _)| *name == port.name);
                    let ty = given.map(|(_, tensor)| tensor.ty());
                    assert_eq!(ty, Some(&port.operand.ty), "{name}: {} in {}", port.name, phase.name());
                }
            }
        }
    }

    #[test]
    fn a_model_that_is_neither_a_preset_nor_a_file_names_the_presets() {
        let error = Model::open("pr54", None).err().expect("no such model").to_string();
        assert!(error.contains("`pr54`") && error.contains("pr549"), "{error}");
    }
}
