//! What else was likely: the most probable tokens at the targets of one window.
//!
//! A score reads nothing back but one number a target; this runs the same window once more for its logits, so that an
//! explanation costs a window and not a stored matrix. Not part of the score, and in no receipt.

use super::engine::Engine;
use super::error::EvalError;
use super::weights::ModelWeights;
use super::windows::WindowSpan;
use crate::backend::Backend;
use crate::model::gpt::Window;
use crate::plan::PlanOptions;
use crate::tensor::Tensor;
use std::collections::BTreeSet;

/// A token that could have come, and how likely it was.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Alternative {
    /// The token.
    pub token: i32,
    /// Its probability.
    pub probability: f64,
}

/// For every scored target of `span`, its `count` most likely tokens, the likeliest first and the smaller id on a tie.
/// Writes `model` to `backend`. `tokens` is the stream that `span` is a window of.
///
/// # Errors
/// A token outside the vocabulary, and whatever the backend refuses.
pub async fn alternatives(
    backend: &mut dyn Backend,
    model: &ModelWeights,
    tokens: &[i32],
    span: WindowSpan,
    count: usize,
) -> Result<Vec<Vec<Alternative>>, EvalError> {
    let vocab = model.config().vocab;
    let outside = |id: &i32| usize::try_from(*id).map_or(true, |id| id >= vocab);
    let context = &tokens[span.start..span.end];
    if let Some(at) = context.iter().position(outside) {
        return Err(EvalError::Token { position: span.start + at, id: context[at], vocab });
    }
    let mut engine = Engine::new(backend, model, &BTreeSet::new(), context.len(), PlanOptions::default())?;
    let executable = engine.compile_logits(Window { rows: 1, seq: context.len() }).await?;
    let tokens = Tensor::i32(&[context.len()], context.to_vec());
    engine.backend().submit(executable, &[("tokens", &tokens)])?;
    let logits = engine.backend().read_output(executable, "logits").await?.to_f32();
    let scored = logits.chunks_exact(vocab).skip(span.first_scored - span.start);
    Ok(scored.map(|row| likeliest(row, count)).collect())
}

/// The `count` largest of `logits` with their softmax.
fn likeliest(logits: &[f32], count: usize) -> Vec<Alternative> {
    let largest = f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    let total: f64 = logits.iter().map(|&z| (f64::from(z) - largest).exp()).sum();
    let mut best: Vec<usize> = Vec::with_capacity(count + 1);
    for (token, z) in logits.iter().enumerate() {
        let at = best.partition_point(|&other| logits[other] >= *z);
        if at < count {
            best.insert(at, token);
            best.truncate(count);
        }
    }
    let probability = |token: usize| (f64::from(logits[token]) - largest).exp() / total;
    best.into_iter()
        .map(|token| Alternative { token: token as i32, probability: probability(token) })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_likeliest_come_first_and_ties_go_to_the_smaller_id() {
        let found = likeliest(&[0.0, 2.0, 1.0, 2.0, -1.0], 3);
        assert_eq!(found.iter().map(|a| a.token).collect::<Vec<_>>(), [1, 3, 2]);
        let total: f64 = [0.0f64, 2.0, 1.0, 2.0, -1.0].iter().map(|z| z.exp()).sum();
        assert!((found[2].probability - 1.0f64.exp() / total).abs() < 1e-12);
        assert_eq!(likeliest(&[1.0, 1.0], 5).len(), 2);
    }
}
