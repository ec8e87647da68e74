//! What the model does to text, as far as quantization cares.
//!
//! The sums of [`crate::model::calibration`] over rows of text become, per weight, the Hessian `H = mean(x xᵀ)` of its
//! inputs and the mean squared gradient `s` towards each output. An error `E` of a matrix then costs about
//! `½ Σ_r s_r · e_r H e_rᵀ` nats per token (Kronecker-factored curvature with a diagonal output side; Martens and Grosse,
//! arXiv:1503.05671), and what only needs to be cheap keeps the diagonal of `H`, which is exact in expectation for
//! roundings that are independent.
//!
//! Invariant: the text is training text or the model's own; nothing here knows where it came from, so the caller answers
//! for that. A head's `s` is approximated by `f(1-f)` of the target's frequency `f`, and a weight that several layers share
//! counts once per layer.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::CompressError;
use crate::backend::Backend;
use crate::model::ModelConfig;
use crate::model::calibration::{CalibrationGraph, Depth, TARGET_COUNTS, calibration_graph};
use crate::model::gpt::Window;
use crate::plan::{Plan, PlanOptions};
use crate::tensor::Tensor;

/// Tokens of one run that fit common memories.
const RUN_TOKENS: usize = 8192;

/// Mean second moments of a model on some text.
#[derive(Clone, Debug)]
pub struct Calibration {
    /// Tokens seen.
    pub tokens: usize,
    /// Mean nll of the text in nats per token.
    pub loss: f64,
    hessians: BTreeMap<String, Arc<Vec<f32>>>,
    terms: BTreeMap<String, Vec<Term>>,
}

/// Entry `(r, j)` of a weight costs `row[r] · column[j]` per squared error.
#[derive(Clone, Debug, PartialEq)]
struct Term {
    row: Vec<f64>,
    column: Vec<f64>,
}

/// What a squared error in each entry of one matrix costs, in nats per token.
#[derive(Clone, Debug, PartialEq)]
pub struct Importance {
    terms: Vec<Term>,
}

impl Importance {
    /// Every entry alike, so that errors of one tensor count relative to its size: `1 / Σ w²`.
    pub fn alike(rows: usize, cols: usize, values: &[f32]) -> Self {
        let energy: f64 = values.iter().map(|&x| f64::from(x).powi(2)).sum();
        let row = vec![2.0 / energy.max(f64::MIN_POSITIVE); rows];
        Self { terms: vec![Term { row, column: vec![1.0; cols] }] }
    }

    /// `½ Σ weight · (a - b)²` of two matrices with this shape.
    pub fn cost(&self, a: &[f32], b: &[f32]) -> f64 {
        let mut total = 0.0;
        for term in &self.terms {
            let cols = term.column.len().max(1);
            for ((row, a), b) in term.row.iter().zip(a.chunks(cols)).zip(b.chunks(cols)) {
                let error = |((x, y), w): ((&f32, &f32), &f64)| w * f64::from(x - y).powi(2);
                total += row * a.iter().zip(b).zip(&term.column).map(error).sum::<f64>();
            }
        }
        0.5 * total
    }

    /// Cost of a squared error in entry `(row, column)`, before the half.
    pub fn at(&self, row: usize, column: usize) -> f64 {
        self.terms.iter().map(|term| term.row[row] * term.column[column]).sum()
    }
}

impl Calibration {
    /// Runs `rows` of text, each of `seq + 1` ids for the same `seq`, through the plain weights that `backend` holds.
    pub async fn collect(
        backend: &mut dyn Backend,
        config: &ModelConfig,
        rows: &[Vec<i32>],
        depth: Depth,
    ) -> Result<Self, CompressError> {
        let seq = rows.first().map_or(0, |row| row.len().saturating_sub(1));
        if seq == 0 {
            return Err(CompressError::TooShort { tokens: 0, needed: 2 });
        }
        let window = window_of(rows.len(), seq);
        let built = calibration_graph(config, window, depth)?;
        let plan = Plan::new("calibrate", &built.graph, PlanOptions::default());
        let executable = backend.compile(plan).await?;
        let (n, mut loss) = (window.tokens(), 0.0);
        let (ones, column) = (Tensor::f32(&[1, n], vec![1.0; n]), Tensor::f32(&[n, 1], vec![1.0; n]));
        let share = Tensor::scalar(n as f64);
        for (run, batch) in rows.chunks(window.rows).enumerate() {
            let ids = |from: usize| batch.iter().flat_map(|row| row[from..from + seq].to_vec()).collect();
            let (tokens, targets) = (Tensor::i32(&[n], ids(0)), Tensor::i32(&[n], ids(1)));
            let keep = Tensor::scalar(if run == 0 { 0.0 } else { 1.0 });
            let inputs = [
                ("tokens", &tokens),
                ("targets", &targets),
                ("ones", &ones),
                ("column", &column),
                ("share", &share),
                ("keep", &keep),
            ];
            backend.submit(executable, &inputs)?;
            loss += backend.read_output(executable, "loss").await?.item();
        }
        let runs = rows.len() / window.rows;
        let loss = loss / runs as f64;
        if !loss.is_finite() {
            return Err(CompressError::NotFinite { loss });
        }
        Self::read(backend, &built, runs * n, loss).await
    }

    async fn read(
        backend: &mut dyn Backend,
        built: &CalibrationGraph,
        tokens: usize,
        loss: f64,
    ) -> Result<Self, CompressError> {
        let mut means: BTreeMap<String, Arc<Vec<f32>>> = BTreeMap::new();
        let mut mean = async |state: &str| -> Result<Arc<Vec<f32>>, CompressError> {
            if let Some(known) = means.get(state) {
                return Ok(known.clone());
            }
            let sums = backend.read_state(state).await?.to_f64();
            let values: Arc<Vec<f32>> = Arc::new(sums.iter().map(|x| (x / tokens as f64) as f32).collect());
            means.insert(state.to_owned(), values.clone());
            Ok(values)
        };
        let doubles = |values: &[f32]| values.iter().map(|&x| f64::from(x)).collect::<Vec<_>>();
        let (mut hessians, mut terms) = (BTreeMap::new(), BTreeMap::<String, Vec<Term>>::new());
        for (weight, state) in &built.hessians {
            hessians.insert(weight.clone(), mean(state).await?);
        }
        for (weight, state) in &built.sensitivities {
            let (row, column) = (doubles(&mean(state).await?), diagonal(&hessians[weight]));
            terms.entry(weight.clone()).or_default().push(Term { row, column });
        }
        for (table, [count, state]) in &built.lookups {
            let (row, column) = (doubles(&mean(count).await?), doubles(&mean(state).await?));
            terms.entry(table.clone()).or_default().push(Term { row, column });
        }
        if !built.sensitivities.is_empty() {
            let frequency = doubles(&mean(TARGET_COUNTS).await?);
            let row = frequency.into_iter().map(|f| f * (1.0 - f)).collect();
            let column = diagonal(&hessians[&built.head]);
            terms.entry(built.head.clone()).or_default().push(Term { row, column });
        }
        Ok(Self { tokens, loss, hessians, terms })
    }

    /// Mean `x xᵀ` `[k,k]` over the inputs of `weight`, where it is multiplied with something.
    pub fn hessian(&self, weight: &str) -> Option<&Arc<Vec<f32>>> {
        self.hessians.get(weight)
    }

    /// What errors in `weight` cost, where sensitivities were measured.
    pub fn importance(&self, weight: &str) -> Option<Importance> {
        self.terms.get(weight).map(|terms| Importance { terms: terms.clone() })
    }
}

fn diagonal(hessian: &[f32]) -> Vec<f64> {
    let n = hessian.len().isqrt();
    (0..n).map(|j| f64::from(hessian[j * n + j])).collect()
}

/// Extents of a run of [`Calibration::collect`] over `rows` rows of `seq` tokens.
pub fn window_of(rows: usize, seq: usize) -> Window {
    Window { rows: rows_per_run(rows, seq), seq }
}

/// The largest divisor of `rows` whose rows fit one run.
fn rows_per_run(rows: usize, seq: usize) -> usize {
    (1..=rows).rev().find(|r| rows.is_multiple_of(*r) && r * seq <= RUN_TOKENS).unwrap_or(1)
}

/// Rows of `seq + 1` ids out of a text, one after the other, at most `limit`.
pub fn rows_of(tokens: &[i32], seq: usize, limit: usize) -> Result<Vec<Vec<i32>>, CompressError> {
    let count = (tokens.len().saturating_sub(1) / seq.max(1)).min(limit);
    if count == 0 {
        return Err(CompressError::TooShort { tokens: tokens.len(), needed: seq + 1 });
    }
    Ok((0..count).map(|row| tokens[row * seq..(row + 1) * seq + 1].to_vec()).collect())
}

#[cfg(test)]
#[path = "calibrate_tests.rs"]
mod tests;
