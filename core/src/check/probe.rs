//! Probes: questions to a scorer whose honest answers are known without knowing the model.
//!
//! * *normalized*: over all tokens `v`, `Σ exp(-nll(v))` is 1 at every position, and the score of the real target is the
//!   one that it has among all others.
//! * *target*: replacing the token that stands where the target does leaves the prediction for it as it was, bit by bit.
//! * *future*: replacing all tokens from `t` on leaves the scores of targets before `t` as they were, bit by bit.
//!
//! Conditions C1 and C2 of issue #1017 as experiments. The scorer is a black box; a cheat that is not asked about at the
//! sampled positions is not found, so positions are many and tokens are drawn by a seed that the caller may change.

use crate::eval::{EvalError, Scorer};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Rows asked at once for all tokens: bounds memory.
const ROWS: usize = 32;
/// Tokens whose predictions are compared at every position of the target probe.
const COMPARED: usize = 4;

/// How much is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProbeOptions {
    /// Positions of the probed window, at least 4.
    pub positions: usize,
    /// Seed of the replacements.
    pub seed: u64,
}

impl Default for ProbeOptions {
    fn default() -> Self {
        Self { positions: 16, seed: 0 }
    }
}

/// A score that changed although it must not.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Change {
    /// The position whose score changed.
    pub position: usize,
    /// The token whose score changed.
    pub token: i32,
    /// First position of the stream that was replaced.
    pub replaced: usize,
    /// Nats before.
    pub before: f64,
    /// Nats after.
    pub after: f64,
}

/// What the probes found.
#[derive(Clone, Debug, PartialEq)]
pub struct Probe {
    /// What computed it.
    pub device: String,
    /// Positions probed.
    pub positions: usize,
    /// Tokens of the vocabulary.
    pub vocab: usize,
    /// Position and sum of the probabilities that are farthest from 1.
    pub sum: (usize, f64),
    /// Position and difference in nats of the real target's score from the one among all tokens, the largest.
    pub own: (usize, f64),
    /// Targets that were replaced, and the first prediction that changed.
    pub target: (usize, Option<Change>),
    /// Cuts from which on everything was replaced, and the first earlier score that changed.
    pub future: (usize, Option<Change>),
}

/// Probes `scorer` on the first tokens of `tokens`, of which there must be at least two; `device` names what computes.
pub async fn probe(
    scorer: &mut dyn Scorer,
    device: String,
    tokens: &[i32],
    options: ProbeOptions,
) -> Result<Probe, EvalError> {
    let seq = options.positions.max(4).min(tokens.len() - 1);
    let mut asker = Asker { vocab: scorer.vocab(), scorer, tokens: tokens[..=seq].to_vec(), seq };
    let mut random = ChaCha8Rng::seed_from_u64(options.seed);
    let (sum, own) = asker.sums().await?;
    let target = asker.targets(&mut random).await?;
    let future = asker.futures(&mut random).await?;
    Ok(Probe { device, positions: seq, vocab: asker.vocab, sum, own, target, future })
}

struct Asker<'a> {
    scorer: &'a mut dyn Scorer,
    vocab: usize,
    /// Inputs and the last target: `seq + 1` tokens.
    tokens: Vec<i32>,
    seq: usize,
}

impl Asker<'_> {
    /// Worst sum of probabilities, and worst difference of the real target's score.
    async fn sums(&mut self) -> Result<((usize, f64), (usize, f64)), EvalError> {
        let mut sums = vec![0.0; self.seq];
        let mut listed = vec![f64::NAN; self.seq];
        let all: Vec<i32> = (0..self.vocab as i32).collect();
        for batch in all.chunks(ROWS) {
            let inputs = self.tokens[..self.seq].repeat(batch.len());
            let targets: Vec<i32> =
                batch.iter().flat_map(|token| std::iter::repeat_n(*token, self.seq)).collect();
            let nll = self.scorer.nll(self.seq, &inputs, &targets).await?;
            for (row, token) in nll.chunks_exact(self.seq).zip(batch) {
                for (position, value) in row.iter().enumerate() {
                    sums[position] += (-value).exp();
                    if self.tokens[position + 1] == *token {
                        listed[position] = *value;
                    }
                }
            }
        }
        let (inputs, real) = (self.tokens[..self.seq].to_vec(), self.tokens[1..].to_vec());
        let scores = self.row(&inputs, &real).await?;
        let own = scores.iter().zip(&listed).map(|(score, listed)| score - listed);
        Ok((farthest(sums.into_iter().map(|sum| sum - 1.0), 1.0), farthest(own, 0.0)))
    }

    /// One row alone, so that every comparison is between runs of the same shape.
    async fn row(&mut self, inputs: &[i32], targets: &[i32]) -> Result<Vec<f64>, EvalError> {
        self.scorer.nll(self.seq, inputs, targets).await
    }

    fn other(&self, token: i32, random: &mut ChaCha8Rng) -> i32 {
        let vocab = self.vocab as i32;
        if vocab < 2 { token } else { (token + random.random_range(1..vocab)) % vocab }
    }

    async fn targets(&mut self, random: &mut ChaCha8Rng) -> Result<(usize, Option<Change>), EvalError> {
        let original = self.tokens[..self.seq].to_vec();
        // The last target is no input of this window: there is nothing to replace.
        let positions: Vec<usize> = (0..self.seq - 1).collect();
        for &position in &positions {
            let replaced = position + 1;
            let mut inputs = original.clone();
            inputs[replaced] = self.other(original[replaced], random);
            let mut asked = vec![original[replaced], inputs[replaced]];
            while asked.len() < COMPARED.min(self.vocab) {
                asked.push(self.other(original[replaced], random));
            }
            for token in asked {
                let targets = vec![token; self.seq];
                let before = self.row(&original, &targets).await?[position];
                let after = self.row(&inputs, &targets).await?[position];
                if before.to_bits() != after.to_bits() {
                    let change = Change { position, token, replaced, before, after };
                    return Ok((positions.len(), Some(change)));
                }
            }
        }
        Ok((positions.len(), None))
    }

    async fn futures(&mut self, random: &mut ChaCha8Rng) -> Result<(usize, Option<Change>), EvalError> {
        let original = self.tokens.clone();
        let seq = self.seq;
        let before = self.row(&original[..seq], &original[1..]).await?;
        let cuts: Vec<usize> = (2..=seq).collect();
        for &cut in &cuts {
            let mut changed = original.clone();
            for at in cut..=seq {
                changed[at] = self.other(original[at], random);
            }
            let after = self.row(&changed[..seq], &changed[1..]).await?;
            // The target of position p is token p + 1, which must be an old one.
            let differs = |p: &usize| before[*p].to_bits() != after[*p].to_bits();
            if let Some(position) = (0..cut - 1).find(differs) {
                let (before, after) = (before[position], after[position]);
                let token = original[position + 1];
                let change = Change { position, token, replaced: cut, before, after };
                return Ok((cuts.len(), Some(change)));
            }
        }
        Ok((cuts.len(), None))
    }
}

/// Position and value of the difference farthest from 0, plus `offset`; what is no number is farthest.
fn farthest(differences: impl Iterator<Item = f64>, offset: f64) -> (usize, f64) {
    let size = |value: f64| if value.is_nan() { f64::INFINITY } else { value.abs() };
    let worst = differences.enumerate().reduce(|a, b| if size(b.1) > size(a.1) { b } else { a });
    worst.map_or((0, offset), |(position, value)| (position, value + offset))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_number_is_farthest() {
        assert_eq!(farthest([0.1, -0.3, 0.2].into_iter(), 1.0), (1, 0.7));
        let (position, value) = farthest([0.1, f64::NAN, 9.0].into_iter(), 0.0);
        assert!(position == 1 && value.is_nan());
    }
}
