//! The average of the weights that a run keeps beside them: when it takes them in, and the plans that do.
//!
//! Averages are states in f32; every rank keeps its own, equal ones.

use super::error::TrainError;
use super::recipe::Recipe;
use super::trainer::compile;
use crate::backend::{Backend, ExecutableId};
use crate::model::{ModelConfig, Role, parameters};
use crate::optim::{average_graph, average_name, average_restart_graph};
use crate::tensor::Tensor;
use half::bf16;
use std::collections::BTreeMap;

/// What happens to the average after a step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Due {
    /// It becomes the weights.
    Restart,
    /// It keeps this share of itself and takes the rest from the weights.
    Keep(f64),
}

/// What is due after `step` steps with `averaged` weights in the average, if anything.
pub(super) fn due(recipe: &Recipe, step: u64, averaged: u64, lr_scale: f64) -> Option<Due> {
    if recipe.ema_enabled {
        return Some(if averaged == 0 { Due::Restart } else { Due::Keep(recipe.ema_decay) });
    }
    let snapshot = lr_scale < recipe.swa_below && step.is_multiple_of(recipe.swa_every);
    snapshot.then(|| Due::Keep(averaged as f64 / (averaged + 1) as f64))
}

/// Plans over the averages.
pub(super) struct Averages {
    update: ExecutableId,
    restart: ExecutableId,
}

impl Averages {
    /// The plans, where `recipe` wants an average.
    pub async fn compile(
        backend: &mut dyn Backend,
        recipe: &Recipe,
        shapes: &BTreeMap<String, Vec<usize>>,
    ) -> Result<Option<Averages>, TrainError> {
        if !recipe.ema_enabled && !recipe.swa_enabled {
            return Ok(None);
        }
        let update = compile(backend, "average", average_graph(shapes)?).await?;
        let restart = compile(backend, "average_restart", average_restart_graph(shapes)?).await?;
        Ok(Some(Averages { update, restart }))
    }

    /// Keeps the share `keep` and takes the rest from the weights.
    pub fn update(&self, backend: &mut dyn Backend, keep: f64) -> Result<(), TrainError> {
        Ok(backend.submit(self.update, &[("keep", &Tensor::scalar(keep))])?)
    }

    /// Starts again at the weights.
    pub fn restart(&self, backend: &mut dyn Backend) -> Result<(), TrainError> {
        Ok(backend.submit(self.restart, &[])?)
    }
}

/// Rounds the averages of embeddings and tables to bf16, as scripts that average in the parameter's type do.
pub(super) async fn round_tables(backend: &mut dyn Backend, model: &ModelConfig) -> Result<(), TrainError> {
    for param in parameters(model) {
        if !matches!(param.role, Role::Token | Role::Table) {
            continue;
        }
        let name = average_name(&param.name);
        let values = backend.read_state(&name).await?.to_f32();
        let rounded = values.into_iter().map(|x| bf16::from_f32(x).to_f32()).collect();
        backend.write_state(&name, &Tensor::f32(&param.shape, rounded))?;
    }
    Ok(())
}
