//! The proof that every target was scored exactly once: one bit a target.
//!
//! A bit is set when its target's score is committed. Under the exact rules a second score is an error at once, and so
//! is a bit that is still clear at the end; under the published rules repeats are counted instead.

use super::windows::WindowSpan;
use sha2::{Digest, Sha256};
use thiserror::Error;

/// A target that was not scored exactly once. Targets are numbered by position: target `p` is token `p + 1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CoverageError {
    /// Never scored.
    #[error("target {target} was never scored; {missing} of {targets} are missing")]
    Missing {
        /// The first of them.
        target: usize,
        /// How many.
        missing: usize,
        /// Targets of the stream.
        targets: usize,
    },
    /// Scored again.
    #[error("target {target} was scored twice")]
    Duplicate {
        /// The first of them in this window.
        target: usize,
    },
    /// Not part of the stream.
    #[error("target {target} does not exist: expected below {targets}")]
    Outside {
        /// The target.
        target: usize,
        /// Targets of the stream.
        targets: usize,
    },
}

/// Which targets have been scored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coverage {
    words: Vec<u64>,
    targets: usize,
    covered: usize,
    duplicates: u64,
    once: bool,
}

impl Coverage {
    /// Nothing scored yet. With `once`, a second score of a target is refused.
    pub fn new(targets: usize, once: bool) -> Self {
        Self { words: vec![0; targets.div_ceil(64)], targets, covered: 0, duplicates: 0, once }
    }

    /// Records that the scored positions of `span` now have a score.
    pub fn mark(&mut self, span: WindowSpan) -> Result<(), CoverageError> {
        if span.end > self.targets {
            return Err(CoverageError::Outside { target: span.end - 1, targets: self.targets });
        }
        for target in span.first_scored..span.end {
            let bit = 1 << (target % 64);
            let word = &mut self.words[target / 64];
            if *word & bit == 0 {
                *word |= bit;
                self.covered += 1;
            } else if self.once {
                return Err(CoverageError::Duplicate { target });
            } else {
                self.duplicates += 1;
            }
        }
        Ok(())
    }

    /// Whether a target has a score.
    pub fn contains(&self, target: usize) -> bool {
        self.words.get(target / 64).is_some_and(|word| word >> (target % 64) & 1 == 1)
    }

    /// Distinct targets that have a score.
    pub fn covered(&self) -> usize {
        self.covered
    }

    /// Scores beyond the first of their target.
    pub fn duplicates(&self) -> u64 {
        self.duplicates
    }

    /// Checks that no target is missing.
    pub fn complete(&self) -> Result<(), CoverageError> {
        match (0..self.targets).find(|target| !self.contains(*target)) {
            None => Ok(()),
            Some(target) => {
                let missing = self.targets - self.covered;
                Err(CoverageError::Missing { target, missing, targets: self.targets })
            }
        }
    }

    /// SHA-256 of the bitmap: 64-bit little-endian words, target `p` in bit `p mod 64` of word `p / 64`.
    pub fn sha256(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        self.words.iter().for_each(|word| hash.update(word.to_le_bytes()));
        hash.finalize().into()
    }

    /// [`Self::sha256`] of a complete bitmap, by which a receipt is checked without the bitmap.
    pub fn complete_sha256(targets: usize) -> [u8; 32] {
        let mut hash = Sha256::new();
        (0..targets / 64).for_each(|_| hash.update(u64::MAX.to_le_bytes()));
        if !targets.is_multiple_of(64) {
            hash.update(((1u64 << (targets % 64)) - 1).to_le_bytes());
        }
        hash.finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::windows::{WindowPlan, WindowRule};
    use proptest::prelude::*;

    fn span(first_scored: usize, end: usize) -> WindowSpan {
        WindowSpan { start: 0, end, first_scored }
    }

    #[test]
    fn the_first_missing_target_is_named() {
        let mut coverage = Coverage::new(100, true);
        coverage.mark(span(0, 70)).expect("fresh targets");
        coverage.mark(span(71, 100)).expect("fresh targets");
        assert_eq!(coverage.complete(), Err(CoverageError::Missing { target: 70, missing: 1, targets: 100 }));
    }

    #[test]
    fn the_first_duplicate_is_named_and_targets_outside_are_refused() {
        let mut coverage = Coverage::new(100, true);
        coverage.mark(span(60, 70)).expect("fresh targets");
        assert_eq!(coverage.mark(span(50, 80)), Err(CoverageError::Duplicate { target: 60 }));
        assert_eq!(coverage.mark(span(90, 101)), Err(CoverageError::Outside { target: 100, targets: 100 }));
    }

    #[test]
    fn published_rules_report_how_much_they_score_twice() {
        let plan = WindowPlan::new(WindowRule::Original, 64, 32, 8).expect("a valid plan");
        let mut coverage = Coverage::new(64, false);
        plan.iter().for_each(|w| coverage.mark(w).expect("repeats are counted"));
        assert_eq!((coverage.complete(), coverage.duplicates()), (Ok(()), 24));
    }

    proptest! {
        #[test]
        fn exact_plans_cover_everything_once(targets in 1usize..500, window in 1usize..80, stride in 1usize..80) {
            let stride = stride.min(window);
            let plan = WindowPlan::new(WindowRule::Exact, targets, window, stride).unwrap();
            let mut coverage = Coverage::new(targets, true);
            for span in plan.iter() {
                prop_assert!(coverage.mark(span).is_ok());
            }
            prop_assert!(coverage.complete().is_ok());
            prop_assert_eq!(coverage.sha256(), Coverage::complete_sha256(targets));
        }
    }
}
