//! The order in which a magnitude is asked for: a binary tree of questions "at least t?".
//!
//! The tree is balanced for a geometric distribution whose mean the stream's header gives, so that common magnitudes take
//! few questions; any other distribution only costs time. Invariant: every magnitude up to the largest has exactly one
//! path, and there are as many questions as the largest magnitude. Not here: the answers' probabilities.

/// What follows an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Another question.
    Ask(u8),
    /// The magnitude is known.
    Known(u8),
}

/// A question "at least `threshold`?".
#[derive(Clone, Copy, Debug)]
pub(super) struct Question {
    pub threshold: u8,
    /// After no and after yes.
    pub next: [Next; 2],
}

/// Weight of magnitude 0; the least weight is 1, so 2^40 leaves room for every ratio that matters.
const HEAVIEST: u64 = 1 << 40;

/// Questions for magnitudes `0..=largest` (1 to 128), the first question first, balanced for a mean of `mean`/256.
pub(super) fn questions(largest: u8, mean: u32) -> Vec<Question> {
    // Weights fall by mean / (mean + 1), kept below one in the last place.
    let ratio = (u64::from(mean) << 16) / (u64::from(mean) + 256);
    let weights: Vec<u64> = std::iter::successors(Some(HEAVIEST), |w| Some((w * ratio >> 16).max(1)))
        .take(usize::from(largest) + 1)
        .collect();
    let mut questions = Vec::with_capacity(usize::from(largest));
    split(&weights, 0, &mut questions);
    questions
}

/// Appends the questions that tell apart `weights.len()` magnitudes from `first` on; returns the way in.
fn split(weights: &[u64], first: u8, questions: &mut Vec<Question>) -> Next {
    if weights.len() == 1 {
        return Next::Known(first);
    }
    let total: u64 = weights.iter().sum();
    let mut below = 0;
    let imbalance = |at: usize, below: &mut u64| {
        *below += weights[at - 1];
        (total.abs_diff(2 * *below), at)
    };
    let (_, at) = (1..weights.len())
        .map(|at| imbalance(at, &mut below))
        .min()
        .expect("there are at least two magnitudes");
    let index = questions.len();
    let threshold = first + at as u8;
    questions.push(Question { threshold, next: [Next::Known(first); 2] });
    let no = split(&weights[..at], first, questions);
    let yes = split(&weights[at..], threshold, questions);
    questions[index].next = [no, yes];
    Next::Ask(index as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_magnitude_has_one_path_whatever_the_mean() {
        for largest in [1u8, 8, 16, 32, 64, 128] {
            for mean in [0, 1, 100, 256, 700, 5000, 1 << 15, u32::MAX] {
                let questions = questions(largest, mean);
                assert_eq!(questions.len(), usize::from(largest));
                for magnitude in 0..=largest {
                    let mut next = Next::Ask(0);
                    while let Next::Ask(index) = next {
                        let question = questions[usize::from(index)];
                        next = question.next[usize::from(magnitude >= question.threshold)];
                    }
                    assert_eq!(next, Next::Known(magnitude));
                }
            }
        }
    }
}
