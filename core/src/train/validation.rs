//! The validation loss that a run reports while it trains: non-overlapping rows, whole rows only, as the challenge's
//! script does.
//!
//! A monitor, not a score: the tail that fills no row is left out and rows do not see what lies before them. Honest
//! scores come from [`crate::eval`].

use super::error::TrainError;
use crate::backend::ExecutableId;
use crate::collective::{Call, Collective};
use crate::data::TokenStream;
use crate::model::ModelConfig;
use crate::model::gpt::{Weights, Window};
use crate::model::graphs::score_graph;
use crate::plan::{Plan, PlanOptions};
use crate::tensor::Tensor;
use crate::tokenizer::ByteTable;
use std::f64::consts::LN_2;

/// Held-out tokens.
pub struct Validation {
    /// Tokens, one more than targets.
    tokens: Vec<i32>,
    seq: usize,
    rows_per_run: usize,
    bytes: Option<ByteTable>,
    executable: Option<ExecutableId>,
}

/// A validation result.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Score {
    /// Mean nll in nats per token.
    pub loss: f64,
    /// Bits per byte, where a tokenizer says how many bytes tokens have.
    pub bpb: Option<f64>,
    /// Targets scored.
    pub tokens: usize,
    /// Bytes that they stand for.
    pub bytes: Option<u64>,
}

impl Validation {
    /// The first `limit` tokens of `stream` (all if 0) in rows of `seq`, `rows_per_run` at a time.
    pub fn new(
        mut stream: TokenStream,
        seq: usize,
        rows_per_run: usize,
        limit: usize,
        bytes: Option<ByteTable>,
    ) -> Result<Self, TrainError> {
        let all = stream.tokens();
        let wanted = if limit == 0 { all } else { all.min(limit as u64 + 1) };
        let rows = (wanted.saturating_sub(1) / seq as u64) as usize;
        if rows == 0 {
            return Err(TrainError::ValidationTooShort { tokens: all, seq });
        }
        let tokens = stream.take(rows * seq + 1)?.into_iter().map(i32::from).collect();
        Ok(Self { tokens, seq, rows_per_run: rows_per_run.clamp(1, rows), bytes, executable: None })
    }

    /// Forgets the compiled plan: the next score runs on another backend.
    pub fn detach(&mut self) {
        self.executable = None;
    }

    /// Scores the weights that every rank holds, each its share of the runs; the same on all ranks and for any number.
    pub async fn score(
        &mut self,
        collective: &mut dyn Collective,
        model: &ModelConfig,
    ) -> Result<Score, TrainError> {
        let window = Window { rows: self.rows_per_run, seq: self.seq };
        let executable = match self.executable {
            Some(executable) => executable,
            None => {
                let graph = score_graph(model, &Weights::default(), window)?;
                let plan = Plan::new("validation", &graph, PlanOptions::default());
                collective.backend().compile(plan).await?
            }
        };
        self.executable = Some(executable);
        let (rank, size) = (collective.rank(), collective.size());
        let (run, targets) = (window.tokens(), self.tokens.len() - 1);
        let runs = targets.div_ceil(run);
        // As many entries on every rank, the last ones of some unused.
        let mut sums = vec![0.0; runs.div_ceil(size)];
        for index in (rank..runs).step_by(size) {
            let (start, end) = (index * run, ((index + 1) * run).min(targets));
            let padded = |from: usize| {
                let mut ids = self.tokens[from..from + (end - start)].to_vec();
                ids.resize(run, 0);
                Tensor::i32(&[run], ids)
            };
            let (x, y) = (padded(start), padded(start + 1));
            let backend = collective.backend();
            backend.submit(executable, &[("tokens", &x), ("targets", &y)])?;
            let nll = backend.read_output(executable, "nll").await?.to_f64();
            sums[index / size] = nll[..end - start].iter().sum::<f64>();
        }
        let sums = collective.gather_values(Call::unlimited("validation"), &sums)?;
        let sum = (0..runs).fold(0.0, |sum, index| sum + sums[index % size][index / size]);
        let bytes = self.bytes.as_ref().map(|table| {
            let charged = |pair: &[i32]| u64::from(table.target_bytes(Some(pair[0] as u32), pair[1] as u32));
            self.tokens.windows(2).map(charged).sum::<u64>()
        });
        let bpb = bytes.filter(|&b| b > 0).map(|b| sum / LN_2 / b as f64);
        Ok(Score { loss: sum / targets as f64, bpb, tokens: targets, bytes })
    }
}
