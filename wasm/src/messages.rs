//! What crosses the boundary, in the shapes of the page's contract.

use crate::failure::Failure;
use crate::model::Model;
use golf_core::eval::{AdaptOptions, Alternative, EvalOptions, Sampling, TttOptimizer};
use js_sys::{Function, Promise};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::JsFuture;

/// Most tokens of a batch: bounds memory, which a browser gives out sparingly.
const BATCH_TOKENS: usize = 2048;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ScoreOptions {
    pub learn: Option<Learn>,
    chunk_tokens: Option<usize>,
}

#[derive(Deserialize)]
pub(crate) struct Learn {
    lr: f64,
    epochs: usize,
    optimizer: Optimizer,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Optimizer {
    Sgd,
    Adamw,
}

impl ScoreOptions {
    /// Non-overlapping windows, none longer than a chunk or than the text.
    pub fn eval(&self, window: usize, targets: usize) -> EvalOptions {
        let chunk = self.chunk_tokens.unwrap_or(window);
        let window = window.min(chunk).min(targets.max(1));
        EvalOptions { window, stride: window, chunk, batch_tokens: BATCH_TOKENS, ..EvalOptions::default() }
    }

    pub fn adapt(&self) -> Option<AdaptOptions> {
        let learn = self.learn.as_ref()?;
        let optimizer = match learn.optimizer {
            Optimizer::Sgd => TttOptimizer::Sgd { momentum: 0.9 },
            Optimizer::Adamw => TttOptimizer::Adamw,
        };
        Some(AdaptOptions { optimizer, lr: learn.lr, epochs: learn.epochs, ..AdaptOptions::default() })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WriteOptions {
    temperature: f64,
    top_k: usize,
    seed: u64,
    pub tokens: usize,
}

impl WriteOptions {
    pub fn sampling(&self) -> Sampling {
        Sampling { temperature: self.temperature, top_k: self.top_k, seed: self.seed }
    }
}

#[derive(Serialize)]
pub(crate) struct Token<'a> {
    pub id: i32,
    pub text: &'a str,
    pub bytes: u32,
    pub bits: f64,
}

#[derive(Serialize)]
#[serde(tag = "kind", content = "value", rename_all = "camelCase")]
pub(crate) enum Event<'a> {
    Scored { chunk: usize, chunks: usize, tokens: Vec<Token<'a>>, bits: f64, bytes: u64 },
    Learned { chunk: usize, steps: u64 },
}

impl<'a> Event<'a> {
    pub fn scored(chunk: usize, chunks: usize, tokens: Vec<Token<'a>>) -> Self {
        let bits = tokens.iter().map(|token| token.bits).sum();
        let bytes = tokens.iter().map(|token| u64::from(token.bytes)).sum();
        Event::Scored { chunk, chunks, tokens, bits, bytes }
    }
}

#[derive(Serialize)]
pub(crate) struct AlternativeInfo {
    text: String,
    id: i32,
    probability: f64,
}

impl AlternativeInfo {
    pub fn new(model: &Model, alternative: &Alternative) -> Self {
        let Alternative { token: id, probability } = *alternative;
        Self { text: model.tokenizer.shown(id as u32), id, probability }
    }
}

/// A value as plain JavaScript objects, arrays and numbers.
pub(crate) fn to_js(value: &impl Serialize) -> Result<JsValue, Failure> {
    Ok(value.serialize(&serde_wasm_bindgen::Serializer::json_compatible())?)
}

/// Options that the page gave.
pub(crate) fn read<T: DeserializeOwned>(value: JsValue) -> Result<T, Failure> {
    Ok(serde_wasm_bindgen::from_value(value)?)
}

/// Gives `value` to the callback and waits for its answer; anything but `true` stops.
pub(crate) async fn go_on(callback: &Function, value: &impl Serialize) -> Result<(), Failure> {
    let answer = callback.call1(&JsValue::NULL, &to_js(value)?).map_err(Failure::Callback)?;
    let answer = JsFuture::from(Promise::resolve(&answer)).await.map_err(Failure::Callback)?;
    if answer.as_bool() == Some(true) { Ok(()) } else { Err(Failure::Aborted) }
}
