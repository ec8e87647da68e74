//! Predicting one bit from several contexts: adaptive counters, mixed in the logistic domain.
//!
//! Each context keeps, for each question, the share of ones seen there. The log-odds of these shares are added with weights
//! that belong to the question and follow the gradient of the code length (M. Mahoney, PAQ; online logistic regression).
//! Everything is integer arithmetic. Invariant: a predictor's state is a function of the bits coded, so an encoder's and a
//! decoder's never part. Not here: what the contexts are.

use super::logistic::{LIMIT, squash, stretch};
use super::range::BitCoder;

/// A counter that has seen nothing: probability one half in the upper 22 bits, a count of 0 in the lower 10.
pub(super) const FRESH: u32 = 1 << 31;

const COUNT_BITS: u32 = 10;
const COUNT_MASK: u32 = (1 << COUNT_BITS) - 1;
/// A counter averages over at most about so many bits, so it follows statistics that change.
const MOST_COUNT: u32 = 255;

/// Steps of the mean of a growing sample, 1 / (n + 1.6) in units of 2^-16: how far an average of `n` values moves to the next.
pub(super) const STEPS: [i32; 1024] = {
    let mut steps = [0; 1024];
    let mut n = 0;
    while n < steps.len() {
        steps[n] = (655_360 / (10 * n + 16)) as i32;
        n += 1;
    }
    steps
};

/// One in the weights' fixed point.
const ONE: i32 = 1 << 16;
/// Learning rate of a question's weights: of its first bit, and the one that it settles on; in units of 2^-8.
const RATES: (u16, u16) = (36 << 8, 4 << 8);
/// Per bit, a rate keeps all but 2^-6 of its distance from the settled one.
const RATE_DECAY: u32 = 6;

/// Mixes `N` counters for each of a fixed number of questions.
pub(super) struct Predictor<const N: usize> {
    counters: Vec<u32>,
    weights: Vec<[i32; N]>,
    rates: Vec<u16>,
}

impl<const N: usize> Predictor<N> {
    /// A predictor of `questions` questions with `slots` counters.
    pub(super) fn new(questions: usize, slots: usize) -> Self {
        // A little above the average: contexts that agree know more together.
        let weight = ONE * 5 / (4 * N as i32);
        Self {
            counters: vec![FRESH; slots],
            weights: vec![[weight; N]; questions],
            rates: vec![RATES.0; questions],
        }
    }

    /// Forgets the counters in `slots`.
    pub(super) fn forget(&mut self, slots: std::ops::Range<usize>) {
        self.counters[slots].fill(FRESH);
    }

    /// Codes the answer to `question`. Context `i` keeps its counters of all questions from `bases[i]` on.
    #[inline(always)]
    pub(super) fn code(
        &mut self,
        coder: &mut impl BitCoder,
        question: usize,
        bases: [usize; N],
        bit: u32,
    ) -> u32 {
        let states = bases.map(|base| self.counters[base + question]);
        let inputs = states.map(|state| stretch(state >> 16));
        let weights = &mut self.weights[question];
        let mut sum = 0i64;
        for i in 0..N {
            sum += i64::from(weights[i]) * i64::from(inputs[i]);
        }
        let probability = squash((sum >> 16).clamp(-i64::from(LIMIT), i64::from(LIMIT)) as i32);
        let bit = coder.code(probability, bit);
        let rate = &mut self.rates[question];
        let error = ((bit << 16) as i32 - probability as i32) >> 4;
        let step = error * i32::from(*rate >> 8);
        *rate -= (*rate - RATES.1) >> RATE_DECAY;
        for i in 0..N {
            weights[i] += (i64::from(inputs[i]) * i64::from(step) + (1 << 13) >> 14) as i32;
            self.counters[bases[i] + question] = updated(states[i], bit);
        }
        bit
    }
}

/// A counter after another bit.
#[inline(always)]
fn updated(state: u32, bit: u32) -> u32 {
    let count = state & COUNT_MASK;
    let (probability, target) = ((state >> COUNT_BITS) as i32, (0u32.wrapping_sub(bit) >> COUNT_BITS) as i32);
    let moved =
        probability + ((i64::from(target - probability) * i64::from(STEPS[count as usize])) >> 16) as i32;
    (moved as u32) << COUNT_BITS | (count + u32::from(count < MOST_COUNT))
}
