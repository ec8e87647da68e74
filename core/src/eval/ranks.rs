//! An evaluation on several ranks: each scores and differentiates every so-many-th batch.
//!
//! Batches are those that one rank would form, dealt in turn, and gradients are added in their order; so where the collective
//! sums in order, N ranks give every score, every weight and the receipt that one gives, to the last bit. Every rank makes the
//! same calls in the same order; an error on one ends all.

use super::error::EvalError;
use super::resume::Snapshot;
use crate::collective::{Call, Collective, CollectiveError};
use crate::model::graphs::{STEP_LOSS, grad_name};

/// Scores of all batches in order, from those of this rank's. `lengths` are the scores of every batch.
pub(super) fn gather_scores(
    collective: &mut dyn Collective,
    lengths: &[usize],
    own: Vec<f64>,
) -> Result<Vec<f64>, EvalError> {
    let size = collective.size();
    if size == 1 {
        return Ok(own);
    }
    let call = Call::step("scores of a chunk");
    let message = own.iter().flat_map(|nll| nll.to_le_bytes()).collect();
    let messages = collective.gather(call, message)?;
    let mut of_ranks = Vec::with_capacity(size);
    for (rank, bytes) in messages.iter().enumerate() {
        let expected: usize = lengths.iter().skip(rank).step_by(size).sum();
        if bytes.len() != 8 * expected {
            let (call, got) = (call.name.to_owned(), format!("{} bytes", bytes.len()));
            return Err(CollectiveError::Payload { rank, call, expected, got }.into());
        }
        of_ranks.push(bytes.chunks_exact(8).map(|b| f64::from_le_bytes(b.try_into().expect("8 bytes"))));
    }
    let batches = lengths.iter().enumerate();
    Ok(batches
        .flat_map(|(batch, length)| of_ranks[batch % size].by_ref().take(*length).collect::<Vec<_>>())
        .collect())
}

/// What one rank does of a step's micro-batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Turn {
    /// The micro-batch to differentiate.
    pub run: usize,
    /// Whether it counts: a rank that is left over differentiates one for nothing, so that it has a gradient to add.
    pub counts: bool,
    /// Whether the sum so far lies on this rank.
    pub keep: bool,
    /// Whether all ranks add up after it.
    pub reduce: bool,
}

/// The turns of `rank` among `size` over `runs` micro-batches; with `ordered`, sums so far lie on rank 0 and every round ends
/// in an addition, otherwise only the last does.
pub(super) fn turns(runs: usize, (rank, size): (usize, usize), ordered: bool) -> Vec<Turn> {
    let rounds = runs.div_ceil(size);
    let turn = |round: usize| {
        let run = round * size + rank;
        Turn {
            run: if run < runs { run } else { 0 },
            counts: run < runs,
            keep: round > 0 && (rank == 0 || !ordered),
            reduce: size > 1 && (ordered || round + 1 == rounds),
        }
    };
    (0..rounds).map(turn).collect()
}

/// Adds up the gradients of `parameters` and the loss over all ranks.
pub(super) async fn add_gradients(
    collective: &mut dyn Collective,
    parameters: &[String],
) -> Result<(), EvalError> {
    let gradients = parameters.iter().map(|name| grad_name(name));
    let states: Vec<String> = std::iter::once(STEP_LOSS.to_owned()).chain(gradients).collect();
    Ok(collective.all_reduce(Call::step("gradients of a step"), &states).await?)
}

/// Refuses ranks whose `what`, of which this is the digest, is not that of rank 0.
pub(super) fn agree(
    collective: &mut dyn Collective,
    what: &'static str,
    digest: &[u8],
) -> Result<(), EvalError> {
    // Whoever comes to it first may wait long: files are read, and devices opened, before the first call.
    let digests = collective.gather(Call::unlimited(what), digest.to_vec())?;
    match digests.iter().position(|other| **other != *digests[0]) {
        Some(rank) => Err(EvalError::RanksDisagree { rank, what }),
        None => Ok(()),
    }
}

/// The state to go on from that rank 0 has, on every rank.
pub fn share(
    collective: &mut dyn Collective,
    snapshot: Option<Snapshot>,
) -> Result<Option<Snapshot>, EvalError> {
    if collective.size() == 1 {
        return Ok(snapshot);
    }
    let own =
        snapshot.filter(|_| collective.rank() == 0).map_or_else(Vec::new, |snapshot| snapshot.to_bytes());
    let messages = collective.gather(Call::unlimited("the state to go on from"), own)?;
    match messages[0].as_slice() {
        [] => Ok(None),
        bytes => Ok(Some(Snapshot::from_bytes(bytes)?)),
    }
}

#[cfg(test)]
#[path = "ranks_tests.rs"]
mod tests;
