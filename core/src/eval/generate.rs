//! Text generation: one token at a time from the model's distribution over the next.
//!
//! Keys and values of the tokens read so far stay in caches on the backend, so a new token costs one forward pass over
//! itself alone. A prompt is read in chunks of a few fixed lengths, so three plans serve everything. When the window is
//! full, its last half becomes the first half of a new one, which is read again from position 0 (positions are part of
//! what the caches hold, so they cannot be shifted). Which tokens a next token sees depends on how many there are and on
//! nothing else; see [`context_start`]. Same seed, model and backend, same tokens.

use super::engine::Engine;
use super::error::EvalError;
use super::weights::ModelWeights;
use crate::backend::{Backend, ExecutableId};
use crate::ops::HASH_HISTORY;
use crate::plan::PlanOptions;
use crate::tensor::Tensor;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::{BTreeSet, HashMap};
use std::ops::ControlFlow;

/// How the next token is chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// Divisor of the logits; 0 takes the most likely token.
    pub temperature: f64,
    /// Number of most likely tokens to choose among; 0 for all.
    pub top_k: usize,
    /// Seed.
    pub seed: u64,
}

impl Default for Sampling {
    /// Temperature 0.8 over the 50 most likely tokens, seed 0.
    fn default() -> Self {
        Self { temperature: 0.8, top_k: 50, seed: 0 }
    }
}

/// A model that continues token streams.
pub struct Generator<'b> {
    engine: Engine<'b>,
    window: usize,
    /// Plans by the number of tokens that they read.
    plans: HashMap<usize, ExecutableId>,
    /// Tokens that the caches hold, from position 0 on.
    cached: Vec<i32>,
}

/// How many tokens must be left to read, for how many to be read together (in a window that has as many), longest
/// first; fewer are read one by one. By measurement on the CPU: a chunk, although padded, must be the faster way.
const CHUNKS: [[usize; 2]; 2] = [[129, 256], [8, 64]];

/// Tokens to read together when `left` are left.
fn chunk(left: usize, window: usize) -> usize {
    let fits = CHUNKS.iter().find(|[least, _]| left >= *least);
    fits.map_or(1, |[_, chunk]| *chunk).min(window)
}

/// Where the context of the token that follows `len` tokens starts: at 0 while they fit `window`; then it moves on in
/// steps of half a window, so that at least half a window of context remains.
pub fn context_start(len: usize, window: usize) -> usize {
    let step = window - window / 2;
    len.saturating_sub(window).div_ceil(step) * step
}

impl<'b> Generator<'b> {
    /// Puts `model` on `backend`; at most `window` tokens of context are used. The caches are states of the backend, so
    /// generators that follow each other on one backend have the same window.
    pub fn new(backend: &'b mut dyn Backend, model: &ModelWeights, window: usize) -> Result<Self, EvalError> {
        if window == 0 {
            return Err(super::WindowError::NoWindow.into());
        }
        let engine = Engine::new(backend, model, &BTreeSet::new(), window, PlanOptions::default())?;
        Ok(Self { engine, window, plans: HashMap::new(), cached: Vec::new() })
    }

    /// Reads `tokens` ahead of time: a later [`Generator::generate`] whose tokens begin with them starts at once.
    pub async fn prefill(&mut self, tokens: &[i32]) -> Result<(), EvalError> {
        self.check(tokens)?;
        self.read(tokens).await?;
        Ok(())
    }

    /// A prompt has tokens, all of the vocabulary.
    fn check(&self, tokens: &[i32]) -> Result<(), EvalError> {
        let vocab = self.engine.config.vocab;
        if tokens.is_empty() {
            return Err(EvalError::EmptyPrompt);
        }
        let outside = |id: &i32| usize::try_from(*id).map_or(true, |id| id >= vocab);
        match tokens.iter().position(outside) {
            Some(position) => Err(EvalError::Token { position, id: tokens[position], vocab }),
            None => Ok(()),
        }
    }

    /// Appends up to `count` tokens to `tokens`, giving each to `emit` as it is made; `emit` may stop the generation. It
    /// may also await, which on one thread is the only moment at which somebody else's wish to stop can be heard.
    pub async fn generate(
        &mut self,
        tokens: &mut Vec<i32>,
        count: usize,
        sampling: Sampling,
        mut emit: impl AsyncFnMut(i32) -> ControlFlow<()>,
    ) -> Result<(), EvalError> {
        self.check(tokens)?;
        if !(sampling.temperature.is_finite() && sampling.temperature >= 0.0) {
            let (field, expected) = ("temperature", "finite and not negative");
            return Err(EvalError::Sampling { field, expected, got: sampling.temperature });
        }
        let mut rng = ChaCha8Rng::seed_from_u64(sampling.seed);
        for _ in 0..count {
            let logits = self.next_logits(tokens).await?;
            let token = choose(&logits, sampling, &mut rng) as i32;
            tokens.push(token);
            if emit(token).await.is_break() {
                break;
            }
        }
        Ok(())
    }

    /// Logits of the token after the last one.
    async fn next_logits(&mut self, tokens: &[i32]) -> Result<Vec<f64>, EvalError> {
        let executable = self.read(tokens).await?;
        Ok(self.engine.backend().read_output(executable, "logits").await?.to_f64())
    }

    /// Brings the caches up to the last of `tokens`; returns the plan whose last run gave the logits after it. What the
    /// caches already hold of the context is not read again, but for the last token.
    async fn read(&mut self, tokens: &[i32]) -> Result<ExecutableId, EvalError> {
        let context = &tokens[context_start(tokens.len(), self.window)..];
        let shared = self.cached.iter().zip(context).take_while(|(a, b)| a == b).count();
        self.cached.truncate(shared.min(context.len() - 1));
        loop {
            let done = self.cached.len();
            let new = chunk(context.len() - done, self.window);
            // A chunk that would run past the window starts earlier: those tokens' rows are written once more.
            let from = done.min(self.window - new);
            let end = context.len().min(from + new);
            let executable = self.submit(context, from, end, new).await?;
            self.cached.extend(&context[done..end]);
            if end == context.len() {
                return Ok(executable);
            }
        }
    }

    /// Runs the plan for `new` tokens on `context[from..end]`, padded.
    async fn submit(
        &mut self,
        context: &[i32],
        from: usize,
        end: usize,
        new: usize,
    ) -> Result<ExecutableId, EvalError> {
        let executable = match self.plans.get(&new) {
            Some(executable) => *executable,
            None => {
                let executable = self.engine.compile_decode(self.window, new).await?;
                self.plans.insert(new, executable);
                executable
            }
        };
        let mut tokens = context[from..end].to_vec();
        tokens.resize(new, 0);
        let mut before = vec![0; HASH_HISTORY];
        let known = from.min(HASH_HISTORY);
        before[HASH_HISTORY - known..].copy_from_slice(&context[from - known..from]);
        let single = |value: usize| Tensor::i32(&[1], vec![value as i32]);
        let (tokens, before) = (Tensor::i32(&[new], tokens), Tensor::i32(&[HASH_HISTORY], before));
        let (position, last) = (single(from), single(end - 1 - from));
        let inputs = [("tokens", &tokens), ("before", &before), ("position", &position), ("last", &last)];
        self.engine.backend().submit(executable, &inputs)?;
        Ok(executable)
    }
}

/// Draws an index from `softmax(logits / temperature)` restricted to the `top_k` largest, smaller ids first on a tie.
fn choose(logits: &[f64], sampling: Sampling, rng: &mut ChaCha8Rng) -> usize {
    let mut order: Vec<usize> = (0..logits.len()).collect();
    order.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]).then(a.cmp(&b)));
    if sampling.temperature == 0.0 {
        return order[0];
    }
    if sampling.top_k > 0 {
        order.truncate(sampling.top_k);
    }
    let largest = logits[order[0]];
    let weights: Vec<f64> =
        order.iter().map(|&i| ((logits[i] - largest) / sampling.temperature).exp()).collect();
    let mut left = rng.random::<f64>() * weights.iter().sum::<f64>();
    for (&index, weight) in order.iter().zip(&weights) {
        left -= weight;
        if left < 0.0 {
            return index;
        }
    }
    // Rounding may leave a sliver past the last weight.
    order[order.len() - 1]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draws(sampling: Sampling, n: usize) -> Vec<usize> {
        let mut rng = ChaCha8Rng::seed_from_u64(sampling.seed);
        (0..n).map(|_| choose(&[1.0, 3.0, 2.0, 3.0], sampling, &mut rng)).collect()
    }

    #[test]
    fn temperature_zero_takes_the_first_of_the_largest() {
        assert_eq!(draws(Sampling { temperature: 0.0, top_k: 0, seed: 1 }, 3), [1, 1, 1]);
    }

    #[test]
    fn top_k_never_leaves_the_k_largest() {
        let drawn = draws(Sampling { temperature: 2.0, top_k: 2, seed: 1 }, 200);
        assert!(drawn.iter().all(|i| [1, 3].contains(i)) && drawn.contains(&1) && drawn.contains(&3));
    }

    #[test]
    fn frequencies_follow_the_softmax() {
        let drawn = draws(Sampling { temperature: 1.0, top_k: 0, seed: 7 }, 20_000);
        let total: f64 = [1.0f64, 3.0, 2.0, 3.0].iter().map(|z| z.exp()).sum();
        let expected = 2.0f64.exp() / total;
        let share = drawn.iter().filter(|i| **i == 2).count() as f64 / 20_000.0;
        assert!((share - expected).abs() < 0.01, "{share} {expected}");
    }
}
