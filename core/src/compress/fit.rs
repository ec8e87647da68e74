//! Rounds of plan, quantize, encode until the file is as large as it may be and not larger.
//!
//! The first plan guesses what an encoder makes of a byte of entropy; every encoded file corrects the guess. Tensors whose
//! form did not change between rounds are not quantized again. Invariant: what is returned was encoded and measured, and
//! is at most the target, whatever was predicted.

use std::collections::{BTreeMap, HashMap};

use super::planner::{Plan, Subject};
use super::round::{Method, Task, round_all};
use super::{Calibration, CompressError, prune};
use crate::artifact::{Artifact, ArtifactTensor, summary};
use crate::quant::Storage;

/// How large the file may become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Bytes at most.
    pub target: u64,
    /// Encodings at most, at least 1.
    pub rounds: usize,
    /// Zero the cheapest ±1 where the chosen widths alone are a little too large.
    pub prune_ones: bool,
}

/// One round's sizes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Round {
    /// Bytes predicted before encoding.
    pub predicted: f64,
    /// Bytes of the file.
    pub encoded: u64,
}

/// A file within its budget.
#[derive(Clone, Debug, PartialEq)]
pub struct Fitted {
    /// The artifact.
    pub artifact: Artifact,
    /// Its bytes.
    pub file: Vec<u8>,
    /// The plan that it follows.
    pub plan: Plan,
    /// All rounds, in order.
    pub rounds: Vec<Round>,
    /// Integers zeroed by selective pruning.
    pub pruned: usize,
}

/// Share of the target that may stay unused without another round.
const SLACK: f64 = 0.002;
/// Share by which a file may exceed the target and still be pruned down to it.
const PRUNABLE: f64 = 0.03;

/// Fits `subjects` into `budget`. `frame` is the artifact that they belong to, whose tensors are replaced; `method` is how
/// integers are chosen.
pub fn fit(
    mut plan: Plan,
    subjects: &[Subject<'_>],
    method: impl Fn(&str) -> Method,
    calibration: Option<&Calibration>,
    frame: &Artifact,
    budget: Budget,
) -> Result<Fitted, CompressError> {
    let mut cache = Cache { subjects, known: HashMap::new() };
    let mut aim = budget.target as f64;
    let (mut best, mut rounds): (Option<Fitted>, Vec<Round>) = (None, Vec::new());
    let mut last: Vec<usize> = Vec::new();
    for _ in 0..budget.rounds.max(1) {
        let reachable = plan.fit(aim);
        let choices: Vec<usize> = plan.tensors.iter().map(|t| t.chosen).collect();
        if best.is_some() && choices == last {
            // The correction changed nothing: another file would be the same.
            break;
        }
        last = choices;
        let predicted = plan.bytes();
        let tensors = cache.tensors(&plan, &method, calibration)?;
        let artifact = Artifact { tensors, ..frame.clone() };
        let file = artifact.encode()?;
        let encoded = file.len() as u64;
        rounds.push(Round { predicted, encoded });
        correct(&mut plan, &file)?;
        let candidate = Fitted { artifact, file, plan: plan.clone(), rounds: Vec::new(), pruned: 0 };
        let over = encoded as f64 - budget.target as f64;
        if over <= 0.0 {
            let full = -over <= SLACK * budget.target as f64 || plan.at_the_top();
            if best.as_ref().is_none_or(|best| best.plan.loss() > candidate.plan.loss()) {
                best = Some(candidate);
            }
            if full || !reachable {
                break;
            }
            continue;
        }
        if budget.prune_ones && over <= PRUNABLE * budget.target as f64 {
            if let Some(pruned) = pruned(candidate, calibration, budget.target)? {
                best = Some(pruned);
                break;
            }
        } else if plan.at_the_bottom() {
            return Err(CompressError::OutOfReach { target: budget.target, smallest: encoded });
        }
        // The next plan aims lower by what prediction cannot see.
        aim -= 0.25 * SLACK * budget.target as f64;
    }
    let smallest = rounds.iter().map(|round| round.encoded).min().unwrap_or(u64::MAX);
    let best = best.ok_or(CompressError::OutOfReach { target: budget.target, smallest })?;
    Ok(Fitted { rounds, ..best })
}

/// Quantized forms of tensors, so that only changed ones are made.
struct Cache<'a> {
    subjects: &'a [Subject<'a>],
    known: HashMap<(usize, Storage), ArtifactTensor>,
}

impl Cache<'_> {
    /// The tensors of a plan, by name.
    fn tensors(
        &mut self,
        plan: &Plan,
        method: impl Fn(&str) -> Method,
        calibration: Option<&Calibration>,
    ) -> Result<Vec<ArtifactTensor>, CompressError> {
        let chosen: Vec<(usize, Storage)> =
            plan.tensors.iter().map(|t| t.rung().storage).enumerate().collect();
        let missing: Vec<(usize, Storage)> =
            chosen.iter().filter(|key| !self.known.contains_key(*key)).copied().collect();
        let task = |&(index, storage): &(usize, Storage)| {
            let Subject { name, shape, values, .. } = self.subjects[index];
            Task { name, shape, values, storage, method: method(name) }
        };
        let tasks: Vec<Task<'_>> = missing.iter().map(task).collect();
        let made = round_all(&tasks, calibration)?;
        for (key, (name, exported)) in missing.into_iter().zip(made) {
            let shape = self.subjects[key.0].shape.to_vec();
            self.known.insert(key, ArtifactTensor::from_exported(name, shape, exported));
        }
        let mut tensors: Vec<ArtifactTensor> = chosen.iter().map(|key| self.known[key].clone()).collect();
        tensors.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(tensors)
    }
}

/// Tells the plan how its parts came out in `file`.
fn correct(plan: &mut Plan, file: &[u8]) -> Result<(), CompressError> {
    let sections = summary(file)?.sections;
    let of = |kinds: &[&str]| -> f64 {
        let own = sections.iter().filter(|section| kinds.contains(&section.kind));
        own.map(|section| section.stored_bytes as f64).sum()
    };
    let (quantized, plain) = (of(&["symbols", "scales"]), of(&["halves", "singles"]));
    plan.correct(quantized, plain, file.len() as f64 - quantized - plain);
    Ok(())
}

/// `fitted` with as few ±1 zeroed as bring it to `target`, if zeroing all of them does.
fn pruned(
    fitted: Fitted,
    calibration: Option<&Calibration>,
    target: u64,
) -> Result<Option<Fitted>, CompressError> {
    let names = fitted.artifact.tensors.iter().map(|t| t.name.clone());
    let importance: BTreeMap<_, _> =
        names.filter_map(|name| Some((name.clone(), calibration?.importance(&name)?))).collect();
    let found = prune::to_target(&fitted.artifact, &importance, target)?;
    Ok(found.map(|p| Fitted { artifact: p.artifact, file: p.file, pruned: p.count, ..fitted }))
}

#[cfg(test)]
#[path = "fit_tests.rs"]
mod tests;
