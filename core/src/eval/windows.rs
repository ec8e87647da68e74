//! Which context every target is scored with: pure planning, no model.
//!
//! A stream of `n + 1` tokens has `n` targets; *position* `p` feeds token `p` and scores token `p + 1`. A window feeds
//! positions `start..end` and scores those from `first_scored` on. Plans are lazy: the challenge's 62,021,632 targets
//! at stride 1 cost no memory.
//!
//! Invariant: windows come in ascending order of `first_scored`; under [`WindowRule::Exact`] and
//! [`WindowRule::NonOverlapping`] their scored positions partition `0..targets`. The two published rules score the end
//! of the stream (of every document) several times; they exist to reproduce published numbers.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// One row of a scoring batch, in positions of the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct WindowSpan {
    /// First position that is fed.
    pub start: usize,
    /// One past the last position that is fed and scored.
    pub end: usize,
    /// First position that is scored.
    pub first_scored: usize,
}

impl WindowSpan {
    /// Number of scored positions.
    pub fn scored(&self) -> usize {
        self.end - self.first_scored
    }
}

/// How windows advance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WindowRule {
    /// Every target once: the first window scores all of its targets, each later one ends `stride` further with the
    /// full context, the last is pulled back to the end of the stream.
    #[default]
    Exact,
    /// Rows of `window` positions, all scored; the last may be short. The stride plays no role.
    NonOverlapping,
    /// The published sliding evaluation: starts `0, stride, 2·stride, …`, kept if at least `stride` positions remain
    /// (or the start is 0), scoring the last `stride`. Scores the end of the stream `window/stride` times
    /// (PRs #264, #549, #585, #861, #1216).
    Original,
    /// As [`WindowRule::Original`], keeping every start before the end (the passes without adaptation of #264, #549,
    /// #585 and #1019).
    OriginalMin1,
}

impl WindowRule {
    /// Whether every target is scored exactly once.
    pub fn is_exact(self) -> bool {
        matches!(self, WindowRule::Exact | WindowRule::NonOverlapping)
    }
}

/// Sizes that make no plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum WindowError {
    /// There is nothing to score.
    #[error("expected at least 1 target, got 0\nhint: a stream needs two tokens, the first is only context")]
    NoTargets,
    /// A window without positions.
    #[error("expected a window of at least 1 token, got 0")]
    NoWindow,
    /// The stride leaves targets out or does not advance.
    #[error("stride: expected 1..={window} (the window), got {stride}")]
    Stride {
        /// Positions of a window.
        window: usize,
        /// The stride.
        stride: usize,
    },
    /// Document starts that do not ascend from 0.
    #[error(
        "document starts: expected ascending positions from 0 below {targets}, got {got} at index {index}"
    )]
    Documents {
        /// Targets of the stream.
        targets: usize,
        /// Index of the offending start.
        index: usize,
        /// The start.
        got: usize,
    },
}

/// A plan of windows over one stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WindowPlan {
    rule: WindowRule,
    targets: usize,
    window: usize,
    stride: usize,
    /// Where segments start that windows do not cross; `[0]` for a whole stream.
    starts: Vec<usize>,
}

impl WindowPlan {
    /// Windows over a stream of `targets` targets, documents ignored.
    pub fn new(rule: WindowRule, targets: usize, window: usize, stride: usize) -> Result<Self, WindowError> {
        Self::with_documents(rule, targets, window, stride, vec![0])
    }

    /// Windows that never cross the document starts `starts` (see [`document_starts`]): the rule is applied within each
    /// document. Under [`WindowRule::Original`] that is the document-aware evaluation of PR #951, which scores the last
    /// targets of every document shorter than the window again and again.
    pub fn with_documents(
        rule: WindowRule,
        targets: usize,
        window: usize,
        stride: usize,
        starts: Vec<usize>,
    ) -> Result<Self, WindowError> {
        if targets == 0 {
            return Err(WindowError::NoTargets);
        }
        if window == 0 {
            return Err(WindowError::NoWindow);
        }
        let stride = if rule == WindowRule::NonOverlapping { window } else { stride };
        if !(1..=window).contains(&stride) {
            return Err(WindowError::Stride { window, stride });
        }
        let misplaced = |&index: &usize| match index {
            0 => starts[0] != 0,
            i => starts[i] <= starts[i - 1] || starts[i] >= targets,
        };
        if let Some(index) = (0..starts.len()).find(misplaced) {
            return Err(WindowError::Documents { targets, index, got: starts[index] });
        }
        let starts = if starts.is_empty() { vec![0] } else { starts };
        Ok(Self { rule, targets, window, stride, starts })
    }

    /// The rule.
    pub fn rule(&self) -> WindowRule {
        self.rule
    }

    /// Targets of the stream.
    pub fn targets(&self) -> usize {
        self.targets
    }

    /// Positions of a full window.
    pub fn window(&self) -> usize {
        self.window
    }

    /// Positions between windows.
    pub fn stride(&self) -> usize {
        self.stride
    }

    /// Number of documents, 1 for a whole stream.
    pub fn documents(&self) -> usize {
        self.starts.len()
    }

    /// The windows in order.
    pub fn iter(&self) -> impl Iterator<Item = WindowSpan> + Clone + '_ {
        (0..self.starts.len()).flat_map(|index| self.segment(index))
    }

    /// Number of windows, from a closed form.
    pub fn count(&self) -> u64 {
        (0..self.starts.len()).map(|index| self.segment_count(index) as u64).sum()
    }

    fn bounds(&self, index: usize) -> (usize, usize) {
        (self.starts[index], self.starts.get(index + 1).copied().unwrap_or(self.targets))
    }

    fn segment_count(&self, index: usize) -> usize {
        let (start, end) = self.bounds(index);
        let (n, window, stride) = (end - start, self.window, self.stride);
        match self.rule {
            WindowRule::Exact => 1 + n.saturating_sub(window).div_ceil(stride),
            WindowRule::NonOverlapping => n.div_ceil(window),
            WindowRule::Original => 1 + n.saturating_sub(stride) / stride,
            WindowRule::OriginalMin1 => 1 + (n - 1) / stride,
        }
    }

    fn segment(&self, index: usize) -> impl Iterator<Item = WindowSpan> + Clone + use<> {
        let (base, limit) = self.bounds(index);
        let (rule, n, window, stride) = (self.rule, limit - base, self.window, self.stride);
        (0..self.segment_count(index)).map(move |k| {
            let (start, end, first_scored) = match rule {
                WindowRule::Exact => {
                    let end = (window + k * stride).min(n);
                    let scored_before = if k == 0 { 0 } else { window + (k - 1) * stride };
                    (end.saturating_sub(window), end, scored_before)
                }
                WindowRule::NonOverlapping => (k * window, ((k + 1) * window).min(n), k * window),
                WindowRule::Original | WindowRule::OriginalMin1 => {
                    let (start, end) = (k * stride, (k * stride + window).min(n));
                    (start, end, if k == 0 { 0 } else { start.max(end.saturating_sub(stride)) })
                }
            };
            WindowSpan { start: base + start, end: base + end, first_scored: base + first_scored }
        })
    }
}

/// Where documents start in a stream of tokens: at 0 and at every `bos`. A document's last target is the next `bos`.
///
/// The last token starts nothing, since nothing follows it to be scored.
pub fn document_starts(tokens: &[i32], bos: i32) -> Vec<usize> {
    let inputs = &tokens[..tokens.len().saturating_sub(1)];
    let marks = inputs.iter().enumerate().filter(|(p, token)| *p > 0 && **token == bos).map(|(p, _)| p);
    std::iter::once(0).chain(marks).collect()
}

#[cfg(test)]
#[path = "windows_tests.rs"]
mod tests;
