//! Which windows one run of a plan scores, and what it is asked of them.
//!
//! Windows that score all of their positions share runs, and so do those that score few: the last layer of such a run
//! computes, behind its attention, only what is asked for. Invariant: every window is in one batch, and nobody's score depends on
//! who shares it, but for the order of sums inside a backend.

use super::windows::WindowSpan;
use crate::model::gpt::Window;

/// Windows of one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Batch {
    /// Their places in the list of all.
    spans: Vec<usize>,
    /// Positions asked for in each row; `None` for all.
    asked: Option<usize>,
}

/// What a run is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Feed {
    pub window: Window,
    /// Tokens of all rows, padded on the right with token 0, which a causal model never sees from the left.
    pub tokens: Vec<i32>,
    /// Positions among `tokens` that are asked for; `None` for all.
    pub rows: Option<Vec<i32>>,
    /// Targets of the positions asked for, or of all.
    pub targets: Vec<i32>,
}

/// Batches of at most `most` windows of `seq` positions, whatever the order of `spans`.
pub(super) fn batches(spans: &[WindowSpan], seq: usize, most: usize) -> Vec<Batch> {
    let few = |span: &WindowSpan| span.first_scored > span.start && span.scored() <= seq / 2;
    let asked = spans.iter().filter(|span| few(span)).map(WindowSpan::scored).max();
    let (some, all): (Vec<usize>, Vec<usize>) = (0..spans.len()).partition(|&i| few(&spans[i]));
    let of = |indices: Vec<usize>, asked| {
        indices.chunks(most).map(|spans| Batch { spans: spans.to_vec(), asked }).collect::<Vec<_>>()
    };
    [of(all, None), of(some, asked)].concat()
}

impl Batch {
    /// The scored positions of its windows among those of a run, window by window: of all tokens, or of those asked for.
    fn scored<'a>(
        &'a self,
        spans: &'a [WindowSpan],
        seq: usize,
    ) -> impl Iterator<Item = (usize, std::ops::Range<usize>)> + 'a {
        self.spans.iter().enumerate().map(move |(row, &index)| {
            let (span, count) = (&spans[index], spans[index].scored());
            let first = match self.asked {
                None => row * seq + span.first_scored - span.start,
                Some(asked) => row * asked,
            };
            (index, first..first + count)
        })
    }

    /// Its windows, each with its row.
    fn rows<'a>(&'a self, spans: &'a [WindowSpan]) -> impl Iterator<Item = (usize, &'a WindowSpan)> {
        self.spans.iter().map(|&index| &spans[index]).enumerate()
    }

    /// Number of scores.
    pub fn len(&self, spans: &[WindowSpan]) -> usize {
        self.rows(spans).map(|(_, span)| span.scored()).sum()
    }

    /// What its run is given of `tokens`.
    pub fn feed(&self, spans: &[WindowSpan], tokens: &[i32], seq: usize) -> Feed {
        let window = Window { rows: self.spans.len(), seq };
        let mut x = vec![0; window.tokens()];
        for (row, span) in self.rows(spans) {
            x[row * seq..][..span.end - span.start].copy_from_slice(&tokens[span.start..span.end]);
        }
        let Some(asked) = self.asked else {
            let mut targets = vec![0; window.tokens()];
            for (row, span) in self.rows(spans) {
                targets[row * seq..][..span.end - span.start]
                    .copy_from_slice(&tokens[span.start + 1..span.end + 1]);
            }
            return Feed { window, tokens: x, rows: None, targets };
        };
        let (mut rows, mut targets) = (Vec::new(), Vec::new());
        for (row, span) in self.rows(spans) {
            // A window that scores fewer than others is asked for its last position again.
            let positions = (span.first_scored..span.first_scored + asked).map(|p| p.min(span.end - 1));
            for position in positions {
                rows.push((row * seq + position - span.start) as i32);
                targets.push(tokens[position + 1]);
            }
        }
        Feed { window, tokens: x, rows: Some(rows), targets }
    }

    /// Scores of its windows, window by window, out of those of a run; each with its position in the stream.
    pub fn scores<'a>(
        &'a self,
        spans: &'a [WindowSpan],
        seq: usize,
        nll: &'a [f64],
    ) -> impl Iterator<Item = (usize, f64)> + 'a {
        self.scored(spans, seq).flat_map(move |(index, at)| {
            let first = spans[index].first_scored;
            nll[at].iter().enumerate().map(move |(offset, &value)| (first + offset, value))
        })
    }
}

/// Scores that batches gave one after the other, in the order of `spans`.
pub(super) fn in_order(spans: &[WindowSpan], batches: &[Batch], scores: &[f64]) -> Vec<f64> {
    let mut of_span = vec![0..0; spans.len()];
    let mut at = 0;
    for &index in batches.iter().flat_map(|batch| &batch.spans) {
        of_span[index] = at..at + spans[index].scored();
        at = of_span[index].end;
    }
    of_span.into_iter().flat_map(|range| scores[range].iter().copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(start: usize, first_scored: usize, end: usize) -> WindowSpan {
        WindowSpan { start, end, first_scored }
    }

    #[test]
    fn windows_that_score_few_positions_share_runs_that_compute_no_others() {
        let spans = [span(0, 0, 8), span(2, 8, 10), span(4, 10, 12), span(5, 12, 13)];
        let batches = batches(&spans, 8, 2);
        let want = [(vec![0], None), (vec![1, 2], Some(2)), (vec![3], Some(2))];
        assert_eq!(batches, want.map(|(spans, asked)| Batch { spans, asked }));
        let tokens: Vec<i32> = (100..114).collect();
        let feed = batches[1].feed(&spans, &tokens, 8);
        assert_eq!(feed.rows, Some(vec![6, 7, 14, 15]));
        assert_eq!(feed.targets, [109, 110, 111, 112]);
        let last = batches[2].feed(&spans, &tokens, 8);
        assert_eq!((last.rows, last.targets), (Some(vec![7, 7]), vec![113, 113]));
    }

    #[test]
    fn scores_come_back_in_the_order_of_the_windows() {
        // Documents: a first window scores everything, those behind it little.
        let spans = [span(0, 0, 8), span(2, 8, 10), span(10, 10, 13), span(13, 13, 21), span(15, 21, 23)];
        let batches = batches(&spans, 8, 2);
        // A run that answers every position of the stream with its number.
        let mut scores = Vec::new();
        for batch in &batches {
            let feed = batch.feed(&spans, &(0..24).collect::<Vec<i32>>(), 8);
            let nll: Vec<f64> = feed.targets.iter().map(|&target| f64::from(target - 1)).collect();
            assert_eq!(batch.len(&spans), batch.scores(&spans, 8, &nll).count());
            for (position, value) in batch.scores(&spans, 8, &nll) {
                assert_eq!(value, position as f64);
                scores.push(value);
            }
        }
        assert_eq!(in_order(&spans, &batches, &scores), (0..23).map(f64::from).collect::<Vec<_>>());
    }
}
