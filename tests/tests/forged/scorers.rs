//! Scorers that cheat, each in one way, around a model that knows nothing: every token is equally likely.

use golf_core::backend::LocalFuture;
use golf_core::eval::{EvalError, Scorer};

/// Tokens of the vocabulary.
pub const VOCAB: usize = 40;

/// The probability that a scorer gives `target` at `position` of `row`.
pub type Probability = fn(row: &[i32], position: usize, target: i32) -> f64;

pub struct Toy(pub Probability);

impl Scorer for Toy {
    fn vocab(&self) -> usize {
        VOCAB
    }

    fn nll<'a>(
        &'a mut self,
        seq: usize,
        tokens: &'a [i32],
        targets: &'a [i32],
    ) -> LocalFuture<'a, Result<Vec<f64>, EvalError>> {
        let score = |(at, target): (usize, &i32)| {
            let (row, position) = (&tokens[at / seq * seq..(at / seq + 1) * seq], at % seq);
            -(self.0)(row, position, *target).ln()
        };
        let nll = targets.iter().enumerate().map(score).collect();
        Box::pin(async move { Ok(nll) })
    }
}

const UNIFORM: f64 = 1.0 / VOCAB as f64;

/// A bigram model: honest, and not uniform.
pub fn honest(row: &[i32], position: usize, target: i32) -> f64 {
    let likely = (row[position] + 3) % VOCAB as i32;
    0.5 * UNIFORM + if target == likely { 0.5 } else { 0.0 }
}

/// A cache whose counts are added to the model's probabilities and divided by nothing.
pub fn unnormalized(row: &[i32], position: usize, target: i32) -> f64 {
    let seen = row[..=position].iter().filter(|token| **token == target).count();
    (UNIFORM + 0.2 * seen as f64).min(1.0)
}

/// A gate that trusts the cache when it is right about the token that comes: a distribution, but not made before it.
pub fn target_aware(row: &[i32], position: usize, target: i32) -> f64 {
    match row.get(position + 1) {
        Some(next) => 0.5 * UNIFORM + if target == *next { 0.5 } else { 0.0 },
        None => UNIFORM,
    }
}

/// A model that reads the token after the next.
pub fn far_sighted(row: &[i32], position: usize, target: i32) -> f64 {
    match row.get(position + 2) {
        Some(later) => 0.5 * UNIFORM + if target == *later { 0.5 } else { 0.0 },
        None => UNIFORM,
    }
}

/// A score that is better than the distribution that it comes from, for the target that is really there.
pub fn hit_only(row: &[i32], position: usize, target: i32) -> f64 {
    match row.get(position + 1) {
        Some(next) if *next == target => 0.5,
        _ => UNIFORM,
    }
}
