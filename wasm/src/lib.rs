//! golf in a browser: one [`Session`] holds a device and a model, and does one thing at a time.
//!
//! A façade: it turns JavaScript values into calls of `golf-core` and results and errors back into JavaScript values, and
//! decides nothing but the device. Everything long is async and asks a callback whether to go on; the callback's promise
//! is awaited, which is when a worker hears its messages. Times are taken by the caller, which has a clock.

#![forbid(unsafe_code)]

mod device;
mod failure;
mod messages;
mod model;

use device::Device;
use failure::Failure;
use flate2::Compression;
use flate2::write::GzEncoder;
use golf_core::eval::{Alternative, Evaluator, Generator, ScoredText, WindowPlan, WindowRule, alternatives};
use golf_core::tokenizer::Detokenizer;
use js_sys::Function;
use messages::{AlternativeInfo, Event, ScoreOptions, Token, WriteOptions, go_on, read, to_js};
use model::Model;
use std::io::Write;
use std::ops::ControlFlow;
use wasm_bindgen::prelude::*;

/// Likely tokens that are shown for a target.
const ALTERNATIVES: usize = 5;

/// Makes panics readable in the console.
#[wasm_bindgen(start)]
pub fn start() {
    console_error_panic_hook::set_once();
}

/// Size in bytes of `text` compressed by gzip at level 9.
#[wasm_bindgen]
pub fn gzip9(text: &str) -> usize {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(9));
    encoder.write_all(text.as_bytes()).expect("a vector takes every byte");
    encoder.finish().expect("a vector takes every byte").len()
}

/// The stream that was scored last without learning, and what was likely in the window asked for last.
struct Explained {
    tokens: Vec<i32>,
    plan: WindowPlan,
    window: Option<(usize, Vec<Vec<Alternative>>)>,
}

/// A device and, once loaded, a model. Errors are JavaScript errors with a `code`.
#[wasm_bindgen]
pub struct Session {
    device: Device,
    model: Option<Model>,
    explained: Option<Explained>,
}

#[wasm_bindgen]
impl Session {
    /// Opens a device: `"auto"` takes the browser's GPU, or the CPU when there is none that will do; `"cpu"` and
    /// `"webgpu"` take that or fail.
    pub async fn open(prefer: JsValue) -> Result<Session, JsValue> {
        let device = Device::open(read(prefer)?).await.map_err(Failure::Device)?;
        Ok(Session { device, model: None, explained: None })
    }

    /// `{ backend, name, reason, features }`.
    pub fn device(&self) -> Result<JsValue, JsValue> {
        Ok(to_js(&self.device.info)?)
    }

    /// What destroys the GPU while something runs on it; absent on the CPU.
    pub fn switch(&self) -> Option<Switch> {
        self.device.switch().map(Switch)
    }

    /// Bytes of the device's buffers.
    #[wasm_bindgen(js_name = bufferBytes)]
    pub fn buffer_bytes(&self) -> f64 {
        self.device.buffer_bytes() as f64
    }

    /// Takes an artifact in place of the present one, which stays if this one is refused; returns its description.
    pub fn load(&mut self, bytes: &[u8]) -> Result<JsValue, JsValue> {
        let (model, info) = Model::decode(bytes)?;
        (self.model, self.explained) = (Some(model), None);
        Ok(to_js(&info)?)
    }

    /// Scores `text` chunk by chunk, learning from each scored chunk if `options.learn` is set. `on_event` gets every
    /// `{ kind, value }` and resolves to whether to go on.
    pub async fn score(&mut self, text: String, options: JsValue, on_event: Function) -> Result<(), JsValue> {
        Ok(self.run(&text, read(options)?, &on_event).await?)
    }

    /// The likeliest tokens at target `index` of the last score without learning.
    pub async fn alternatives(&mut self, index: usize) -> Result<JsValue, JsValue> {
        Ok(to_js(&self.explain(index).await?)?)
    }

    /// Continues `prompt`. `emit` gets the text that each token completes, often none, and resolves to whether to go on.
    pub async fn write(&mut self, prompt: String, options: JsValue, emit: Function) -> Result<(), JsValue> {
        Ok(self.generate(&prompt, read(options)?, &emit).await?)
    }
}

/// Destroys a GPU device.
#[wasm_bindgen]
pub struct Switch(golf_wgpu::Switch);

#[wasm_bindgen]
impl Switch {
    /// Whatever runs on the device fails from now on.
    pub fn destroy(&self) {
        self.0.destroy();
    }
}

impl Session {
    async fn run(&mut self, text: &str, options: ScoreOptions, on_event: &Function) -> Result<(), Failure> {
        let model = self.model.as_ref().ok_or(Failure::NoModel)?;
        let ScoredText { stream, shown } = ScoredText::new(&model.tokenizer, text, false)?;
        let (tokens, bytes) = (stream.tokens.clone(), stream.target_bytes.clone());
        let eval = options.eval(model.window, shown.len());
        if options.learn.is_none() {
            let plan = WindowPlan::new(WindowRule::NonOverlapping, shown.len(), eval.window, eval.window)?;
            self.explained = Some(Explained { tokens: tokens.clone(), plan, window: None });
        }
        let backend = self.device.cleared();
        let mut evaluator = Evaluator::new(backend, &model.weights, stream, eval, options.adapt()).await?;
        let chunks = evaluator.chunks();
        while let Some(chunk) = evaluator.next_chunk() {
            let scored = evaluator.score(chunk).await?;
            let token = |(target, nll): (usize, f64)| Token {
                id: tokens[target + 1],
                text: &shown[target],
                bytes: bytes[target],
                bits: nll / std::f64::consts::LN_2,
            };
            let targets: Vec<Token> = scored.targets().map(token).collect();
            go_on(on_event, &Event::scored(chunk, chunks, targets)).await?;
            let steps = evaluator.adapt(scored).await?.steps;
            if steps > 0 {
                go_on(on_event, &Event::Learned { chunk, steps }).await?;
            }
        }
        Ok(())
    }

    async fn explain(&mut self, index: usize) -> Result<Vec<AlternativeInfo>, Failure> {
        let model = self.model.as_ref().ok_or(Failure::NoModel)?;
        let explained = self.explained.as_mut().ok_or(Failure::NothingScored)?;
        let targets = explained.plan.targets();
        let span = explained.plan.iter().find(|span| (span.first_scored..span.end).contains(&index));
        let span = span.ok_or(Failure::Target { index, targets })?;
        let window = match explained.window.take() {
            Some((start, found)) if start == span.start => found,
            _ => {
                let backend = self.device.cleared();
                alternatives(backend, &model.weights, &explained.tokens, span, ALTERNATIVES).await?
            }
        };
        let found = window[index - span.first_scored].iter().map(|found| AlternativeInfo::new(model, found));
        let found = found.collect();
        explained.window = Some((span.start, window));
        Ok(found)
    }

    async fn generate(
        &mut self,
        prompt: &str,
        options: WriteOptions,
        emit: &Function,
    ) -> Result<(), Failure> {
        let model = self.model.as_ref().ok_or(Failure::NoModel)?;
        let ids: Vec<u32> = model.tokenizer.bos().into_iter().chain(model.tokenizer.encode(prompt)).collect();
        let mut text = Detokenizer::after(&model.tokenizer, &ids)?;
        let mut tokens = ids.into_iter().map(|id| id as i32).collect();
        let mut generator = Generator::new(self.device.cleared(), &model.weights, model.window)?;
        let mut outcome = Ok(());
        let each = async |id: i32| {
            outcome = match text.push(id as u32) {
                Ok(part) => go_on(emit, &part).await,
                // A padding row of the model's vocabulary, which has no text.
                Err(_) => go_on(emit, &"").await,
            };
            if outcome.is_err() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        generator.generate(&mut tokens, options.tokens, options.sampling(), each).await?;
        outcome?;
        let rest = text.finish()?;
        if rest.is_empty() { Ok(()) } else { go_on(emit, &rest).await }
    }
}
