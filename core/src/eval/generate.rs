//! Text generation: one token at a time from the model's distribution over the next.
//!
//! The context is the last `window` tokens, and every step runs the whole forward pass over it; short contexts use
//! shorter plans where that does not change the rotary base. Same seed, model and backend, same tokens.

use super::engine::Engine;
use super::error::EvalError;
use super::weights::ModelWeights;
use crate::backend::{Backend, ExecutableId};
use crate::model::gpt::Window;
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
    plans: HashMap<usize, ExecutableId>,
}

/// Shortest plan, in tokens.
const SHORTEST: usize = 32;

impl<'b> Generator<'b> {
    /// Puts `model` on `backend`; at most `window` tokens of context are used.
    pub fn new(backend: &'b mut dyn Backend, model: &ModelWeights, window: usize) -> Result<Self, EvalError> {
        if window == 0 {
            return Err(super::WindowError::NoWindow.into());
        }
        let engine = Engine::new(backend, model, &BTreeSet::new(), window)?;
        Ok(Self { engine, window, plans: HashMap::new() })
    }

    /// Appends up to `count` tokens to `tokens`, giving each to `emit` as it is made; `emit` may stop the generation.
    pub async fn generate(
        &mut self,
        tokens: &mut Vec<i32>,
        count: usize,
        sampling: Sampling,
        mut emit: impl FnMut(i32) -> ControlFlow<()>,
    ) -> Result<(), EvalError> {
        let vocab = self.engine.config.vocab;
        if tokens.is_empty() {
            return Err(EvalError::EmptyPrompt);
        }
        let outside = |id: &i32| usize::try_from(*id).map_or(true, |id| id >= vocab);
        if let Some(position) = tokens.iter().position(outside) {
            return Err(EvalError::Token { position, id: tokens[position], vocab });
        }
        if !(sampling.temperature.is_finite() && sampling.temperature >= 0.0) {
            let (field, expected) = ("temperature", "finite and not negative");
            return Err(EvalError::Sampling { field, expected, got: sampling.temperature });
        }
        let mut rng = ChaCha8Rng::seed_from_u64(sampling.seed);
        for _ in 0..count {
            let logits = self.next_logits(tokens).await?;
            let token = choose(&logits, sampling, &mut rng) as i32;
            tokens.push(token);
            if emit(token).is_break() {
                break;
            }
        }
        Ok(())
    }

    /// Logits of the token after the last one.
    async fn next_logits(&mut self, tokens: &[i32]) -> Result<Vec<f64>, EvalError> {
        let context = &tokens[tokens.len().saturating_sub(self.window)..];
        let seq = self.plan_length(context.len());
        let executable = match self.plans.get(&seq) {
            Some(executable) => *executable,
            None => {
                let executable = self.engine.compile_logits(Window { rows: 1, seq }).await?;
                self.plans.insert(seq, executable);
                executable
            }
        };
        let mut x = context.to_vec();
        x.resize(seq, 0);
        self.engine.backend.submit(executable, &[("tokens", &Tensor::i32(&[seq], x))])?;
        let logits = self.engine.backend.read_output(executable, "logits").await?.to_f64();
        let vocab = self.engine.config.vocab;
        Ok(logits[(context.len() - 1) * vocab..context.len() * vocab].to_vec())
    }

    /// The shortest power of two that holds the context and rotates like the full window.
    fn plan_length(&self, context: usize) -> usize {
        let config = &self.engine.config;
        let short = context.next_power_of_two().max(SHORTEST).min(self.window);
        if config.rope_base_for(short) == config.rope_base_for(self.window) { short } else { self.window }
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
