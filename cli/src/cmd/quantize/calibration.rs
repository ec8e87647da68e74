//! The text that a model is calibrated with, and the losses on it before and after.

use super::QuantizeArgs;
use crate::cmd::load;
use crate::source::FloatModel;
use clap::ValueEnum;
use golf_core::artifact::Artifact;
use golf_core::backend::Backend;
use golf_core::compress::Calibration;
use golf_core::compress::calibrate::rows_of;
use golf_core::eval::{Generator, ModelWeights, Sampling};
use golf_core::model::calibration::Depth;
use golf_core::tokenizer::Tokenizer;
use pollster::block_on;
use std::error::Error;
use std::ops::ControlFlow;
use std::path::Path;

/// Where calibration text comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Calib {
    /// The model writes it: no data at all is needed.
    #[value(name = "self")]
    Own,
    /// Training text.
    Train,
    /// No calibration: errors count relative to their tensor.
    None,
}

/// Temperature of self-written text (PR #1019).
const TEMPERATURE: f64 = 0.8;
/// Longest row of self-written text: writing is one token at a time.
const OWN_SEQ: usize = 256;
/// Window of models that do not state one.
const WINDOW: usize = 1024;

/// A model on a backend with its calibration.
pub(super) struct Measured {
    /// `None` without text.
    pub calibration: Option<Calibration>,
    backend: Box<dyn Backend>,
    rows: Vec<Vec<i32>>,
}

impl Measured {
    /// Obtains the text and runs it.
    pub fn of(args: &QuantizeArgs, model: &FloatModel) -> Result<Self, Box<dyn Error>> {
        let mut backend = args.device.target().open()?;
        let window = if model.config.window == 0 { WINDOW } else { model.config.window };
        let seq = args.calib_seq.unwrap_or_else(|| window.min(OWN_SEQ));
        let rows = match (args.calib, &args.calib_data) {
            (Calib::None, _) => return Ok(Self { calibration: None, backend, rows: Vec::new() }),
            (Calib::Own, _) => own_text(backend.as_mut(), model, args.calib_rows, seq, args.calib_seed)?,
            (Calib::Train, Some(path)) => {
                rows_of(&training_text(path, model, args.calib_rows * seq + 1)?, seq, args.calib_rows)?
            }
            (Calib::Train, None) => unreachable!("clap requires the file"),
        };
        for (name, tensor) in model.tensors() {
            backend.write_state(&name, &tensor)?;
        }
        let collect = Calibration::collect(backend.as_mut(), &model.config, &rows, Depth::Sensitivities);
        let calibration = Some(block_on(collect)?);
        Ok(Self { calibration, backend, rows })
    }

    /// Mean nll of the same text under the weights of `artifact`, in nats per token.
    pub fn loss_of(&mut self, artifact: &Artifact) -> Result<Option<f64>, Box<dyn Error>> {
        if self.rows.is_empty() {
            return Ok(None);
        }
        for tensor in &artifact.tensors {
            self.backend.write_state(&tensor.name, &tensor.to_f32())?;
        }
        let (backend, config) = (self.backend.as_mut(), &artifact.config);
        Ok(Some(block_on(Calibration::collect(backend, config, &self.rows, Depth::Inputs))?.loss))
    }
}

/// Rows that the model writes from the begin-of-stream id on (from id 0 where there is no tokenizer).
fn own_text(
    backend: &mut dyn Backend,
    model: &FloatModel,
    rows: usize,
    seq: usize,
    seed: u64,
) -> Result<Vec<Vec<i32>>, Box<dyn Error>> {
    let weights = ModelWeights::new(model.config.clone(), model.tensors(), [0; 32])?;
    let mut generator = Generator::new(backend, &weights, seq + 1)?;
    let bos = model.bos().unwrap_or(0);
    let mut texts = Vec::with_capacity(rows);
    for row in 0..rows as u64 {
        let mut tokens = vec![bos];
        let sampling = Sampling { temperature: TEMPERATURE, top_k: 0, seed: seed.wrapping_add(row) };
        let emit = async |_: i32| ControlFlow::Continue(());
        block_on(generator.generate(&mut tokens, seq, sampling, emit))?;
        texts.push(tokens);
    }
    Ok(texts)
}

/// The first `count` ids of a shard or of a text under the model's tokenizer.
fn training_text(path: &Path, model: &FloatModel, count: usize) -> Result<Vec<i32>, Box<dyn Error>> {
    let mut tokens = match load::shard(path) {
        Ok((tokens, _)) => tokens,
        Err(_) => {
            let compact = model.frame.tokenizer.as_deref().ok_or_else(|| {
                format!(
                    "`{}` is no shard, and the weights have no tokenizer\nhint: --tokenizer FILE.model",
                    path.display()
                )
            })?;
            let tokenizer = Tokenizer::from_compact(compact)?;
            let ids = tokenizer.encode(&load::text(path)?);
            let bos = tokenizer.bos().into_iter();
            bos.chain(ids).map(|id| id as i32).collect()
        }
    };
    tokens.truncate(count);
    let vocab = model.config.vocab;
    match tokens.iter().find(|id| **id < 0 || **id as usize >= vocab) {
        Some(id) => Err(format!("`{}`: id {id} outside the vocabulary of {vocab}", path.display()).into()),
        None => Ok(tokens),
    }
}
