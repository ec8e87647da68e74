//! The part of a run that one rank does: its micro-batches, its matrices, and the updates of a step over all ranks.
//!
//! Parallel Muon (PR #549): matrices of one shape form a bank; its gradients are summed onto their owners (reduce-scatter),
//! which orthogonalize and apply their own updates and hand the weights to all (all-gather). What AdamW updates is small:
//! its gradients are summed everywhere and every rank updates a copy. Sums begin while the backward pass still makes other
//! gradients, where the collective can ([`Collective::submit_and_sum`]). The gradient norm is that of the whole sum, so that
//! clipping comes after the reduction (PR #549 clips before it, rank by rank).
//!
//! Invariant: after an update every rank holds the same weights, to the bit; moments of a matrix are current on its owner
//! only.

use super::error::TrainError;
use super::trainer::compile;
use crate::backend::ExecutableId;
use crate::collective::{Bank, Call, Collective, Sums};
use crate::model::graphs::{STEP_LOSS, grad_name};
use crate::optim::{Optimizer, Rule, by_shape, moment_name, squares_name};
use crate::tensor::{Tensor, TensorType};
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// When gradients of several micro-batches on several ranks are summed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reduction {
    /// After every micro-batch, onto the sum so far: the sum has the order, and so the bits, that it has on one rank. Needs
    /// a collective whose sums are in rank order, and as many reductions as a rank has micro-batches.
    InOrder,
    /// Once per step, after each rank has summed its own. Differs from one rank by rounding, unless every rank has a single
    /// micro-batch.
    Once,
}

/// Micro-batches `runs` of a step that `rank` of `size` does: those congruent to it, so that the `m`-th ones of all ranks
/// lie next to each other in the stream, as in the challenge's loader.
pub fn is_own_run(run: usize, rank: usize, size: usize) -> bool {
    run % size == rank
}

/// Muon's matrices in banks by shape, the largest bank first.
pub fn banks(optimizer: &Optimizer, shapes: &BTreeMap<String, Vec<usize>>, size: usize) -> Vec<Bank> {
    let muon = optimizer.groups.iter().filter(|group| matches!(group.rule, Rule::Muon { .. }));
    let mut banks = by_shape(muon.flat_map(|group| &group.params).map(String::as_str), shapes);
    banks.sort_by_key(|(shape, names)| Reverse(shape.iter().product::<usize>() * names.len()));
    let owned = |names: Vec<&str>| names.into_iter().map(str::to_owned).collect();
    banks.into_iter().map(|(shape, names)| Bank::new(owned(names), shape, size)).collect()
}

/// A step's reduction and update over several ranks.
pub(super) struct SharedUpdate {
    squares: ExecutableId,
    update: ExecutableId,
    weights: Vec<Bank>,
    /// Gradients of matrices; the loss, and gradients that every rank sums in full.
    sums: Sums,
    squares_banks: Vec<Bank>,
    moments: Vec<Bank>,
    /// The loss and all gradients.
    all: Vec<String>,
}

impl SharedUpdate {
    /// Compiles the part of `optimizer` that this rank does.
    pub async fn compile(
        collective: &mut dyn Collective,
        optimizer: &Optimizer,
        shapes: &BTreeMap<String, Vec<usize>>,
    ) -> Result<Self, TrainError> {
        let (rank, size) = (collective.rank(), collective.size());
        let weights = banks(optimizer, shapes, size);
        let beside = |name: fn(&str) -> String| -> Vec<Bank> {
            weights.iter().map(|bank| bank.beside(name, bank.shape())).collect()
        };
        let (gradients, moments) = (beside(grad_name), beside(moment_name));
        let squares_banks = weights.iter().map(|bank| bank.beside(squares_name, &[])).collect();
        let banked = |name: &str| weights.iter().any(|bank| bank.states().iter().any(|state| state == name));
        let owned = |name: &str| {
            !banked(name) || weights.iter().any(|bank| bank.owned(rank).iter().any(|state| state == name))
        };
        let parameters = optimizer.parameters();
        let with_loss = |owned: &dyn Fn(&&String) -> bool| -> Vec<String> {
            let gradients = parameters.iter().filter(owned).map(|name| grad_name(name));
            std::iter::once(STEP_LOSS.to_owned()).chain(gradients).collect()
        };
        let (all, replicated) = (with_loss(&|_| true), with_loss(&|name| !banked(name)));
        // States that only pass through this rank must exist here too.
        for name in &parameters {
            let zeros = Tensor::zeros(&TensorType::f32(&shapes[name]));
            collective.backend().write_state(&grad_name(name), &zeros)?;
            if banked(name) {
                collective.backend().write_state(&moment_name(name), &zeros)?;
            }
        }
        let squares = optimizer.squares_graph(shapes, owned)?;
        let update = optimizer.owned_update_graph(shapes, owned)?;
        let squares = compile(collective.backend(), "squares", squares).await?;
        let update = compile(collective.backend(), "owned_update", update).await?;
        let sums = Sums { banks: gradients, states: replicated };
        Ok(Self { squares, update, weights, sums, squares_banks, moments, all })
    }

    /// Adds the last micro-batches of all ranks, in rank order, to the sum that rank 0 holds.
    pub async fn fold(&self, collective: &mut dyn Collective, step: u64) -> Result<(), TrainError> {
        let name = format!("gradients of a micro-batch, step {step}");
        Ok(collective.all_reduce(Call::step(&name), &self.all).await?)
    }

    /// Queues this rank's last micro-batch of a step, the plan `gradient`, and the sums of all ranks' gradients, which begin
    /// while it runs.
    pub async fn last_gradient(
        &self,
        collective: &mut dyn Collective,
        gradient: ExecutableId,
        inputs: &[(&str, &Tensor)],
        step: u64,
    ) -> Result<(), TrainError> {
        let name = format!("gradients, step {step}");
        Ok(collective.submit_and_sum(Call::step(&name), gradient, inputs, &self.sums).await?)
    }

    /// Queues the clip and the update; the plan whose output is the norm before it.
    pub async fn run(
        &self,
        collective: &mut dyn Collective,
        inputs: &[(&str, &Tensor)],
        step: u64,
    ) -> Result<ExecutableId, TrainError> {
        let name = |what: &str| format!("{what}, step {step}");
        collective.backend().submit(self.squares, &[])?;
        collective.all_gather(Call::step(&name("gradient norm")), &self.squares_banks).await?;
        collective.backend().submit(self.update, inputs)?;
        collective.all_gather(Call::step(&name("matrices")), &self.weights).await?;
        Ok(self.update)
    }

    /// Gives every rank the moments of all matrices.
    pub async fn gather_moments(&self, collective: &mut dyn Collective) -> Result<(), TrainError> {
        Ok(collective.all_gather(Call::step("moments"), &self.moments).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{groups::optimizer, preset};
    use super::*;
    use crate::model::parameters;

    #[test]
    fn the_banks_of_pr549_are_dealt_as_published() {
        let preset = preset("pr549", false).expect("a preset");
        let shapes: BTreeMap<_, _> =
            parameters(&preset.model).into_iter().map(|p| (p.name, p.shape)).collect();
        let banks = banks(&optimizer(&preset.model, &preset.recipe), &shapes, 8);
        // Queries and outputs 22 → 24, keys and values 22 → 24, each half of the MLP 11 → 16.
        let dealt: Vec<(usize, usize, usize)> = banks
            .iter()
            .map(|bank| (bank.states().len(), bank.owned(0).len(), bank.owned(7).len()))
            .collect();
        assert_eq!(dealt, [(11, 2, 0), (11, 2, 0), (22, 3, 1), (22, 3, 1)]);
        let elements: Vec<usize> =
            banks.iter().map(|b| b.states().len() * b.shape().iter().product::<usize>()).collect();
        assert!(elements.is_sorted_by(|a, b| a >= b), "{elements:?}");
    }

    #[test]
    fn every_run_of_a_step_belongs_to_exactly_one_rank_and_ranks_take_turns() {
        for size in [1, 2, 4, 8] {
            for run in 0..16 {
                let owners: Vec<usize> = (0..size).filter(|&rank| is_own_run(run, rank, size)).collect();
                assert_eq!(owners, [run % size]);
            }
        }
    }
}
