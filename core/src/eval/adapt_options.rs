//! What test-time training is told: which parameters move, by which rule, how far.

use super::error::EvalError;
use crate::model::{ModelConfig, parameters};
use crate::optim::Rule;
use crate::quant::fake::FakeQuantRule;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Parameters that adaptation may change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trainable {
    /// All (PRs #549, #1216).
    #[default]
    All,
    /// MLP matrices and everything called a scale, that is names with `up_proj`, `down_proj`, `gate_proj` or `scale`
    /// (PR #861), `mlp.fc` and `mlp.proj` in models that use those names.
    Mlp,
    /// The last blocks and everything called norm, scale or `lm_head` (PR #585 with 2).
    LastBlocks(usize),
    /// These.
    Named(Vec<String>),
}

impl Trainable {
    /// The selected parameters, in the model's order.
    pub fn select(&self, config: &ModelConfig) -> Vec<String> {
        let has = |name: &str, keys: &[&str]| keys.iter().any(|key| name.contains(key));
        let selected = |name: &str, block: Option<usize>| match self {
            Trainable::All => true,
            Trainable::Mlp => {
                has(name, &["up_proj", "down_proj", "gate_proj", "scale", "mlp.fc", "mlp.proj"])
            }
            Trainable::LastBlocks(n) => {
                block.is_some_and(|b| b + n >= config.layers) || has(name, &["norm", "scale", "lm_head"])
            }
            Trainable::Named(names) => names.iter().any(|n| n == name),
        };
        let all = parameters(config).into_iter();
        all.filter(|p| selected(&p.name, p.block())).map(|p| p.name).collect()
    }
}

/// Update rule of adaptation.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TttOptimizer {
    /// SGD with momentum.
    Sgd {
        /// Momentum, 0.9 in every published system.
        momentum: f64,
    },
    /// AdamW without decay, β = (0.9, 0.999), ε = 1e-8.
    Adamw,
}

impl TttOptimizer {
    pub(super) fn rule(self) -> Rule {
        match self {
            TttOptimizer::Sgd { momentum } => Rule::Sgd { momentum },
            TttOptimizer::Adamw => {
                Rule::AdamW { beta1: BETA1, beta2: BETA2, epsilon: 1e-8, weight_decay: 0.0 }
            }
        }
    }
}

/// AdamW's decays.
pub(super) const BETA1: f64 = 0.9;
pub(super) const BETA2: f64 = 0.999;

/// How to adapt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AdaptOptions {
    /// Parameters that move.
    pub trainable: Trainable,
    /// The rule.
    pub optimizer: TttOptimizer,
    /// Learning rate before the schedule.
    pub lr: f64,
    /// Passes over each chunk (over the stream, for the illegal variant).
    pub epochs: usize,
    /// Rows of an optimizer step; the last step of a pass may have fewer.
    pub batch_rows: usize,
    /// Limit of the global gradient norm over the trainable parameters; 0 is off.
    pub clip: f64,
    /// Fake quantization of weights while adapting (PR #1216); scoring never has it.
    pub fake_quant: BTreeMap<String, FakeQuantRule>,
}

impl Default for AdaptOptions {
    /// PR #549: SGD on everything, learning rate 0.002, 3 epochs, 32 rows, clip 1.
    fn default() -> Self {
        Self {
            trainable: Trainable::All,
            optimizer: TttOptimizer::Sgd { momentum: 0.9 },
            lr: 2e-3,
            epochs: 3,
            batch_rows: 32,
            clip: 1.0,
            fake_quant: BTreeMap::new(),
        }
    }
}

impl AdaptOptions {
    fn check(&self) -> Result<(), EvalError> {
        let fail = |field, expected, got: String| Err(EvalError::Adaptation { field, expected, got });
        if self.epochs == 0 {
            return fail("epochs", "at least 1", self.epochs.to_string());
        }
        if self.batch_rows == 0 {
            return fail("batch_rows", "at least 1", self.batch_rows.to_string());
        }
        for (field, value) in [("lr", self.lr), ("clip", self.clip)] {
            if !(value.is_finite() && value >= 0.0) {
                return fail(field, "finite and not negative", value.to_string());
            }
        }
        Ok(())
    }

    /// The parameters that move. Errors: none selected, or a named one that the model lacks.
    pub(super) fn selection(&self, config: &ModelConfig) -> Result<Vec<String>, EvalError> {
        self.check()?;
        let selected = self.trainable.select(config);
        if let Trainable::Named(names) = &self.trainable
            && let Some(name) = names.iter().find(|name| !selected.contains(name))
        {
            return Err(EvalError::UnknownTrainable { name: name.clone() });
        }
        if selected.is_empty() { Err(EvalError::NothingToAdapt) } else { Ok(selected) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::presets::model;
    use std::collections::BTreeSet;

    fn numel(preset: &str, trainable: Trainable) -> usize {
        let config = model(preset).expect("a listed preset exists");
        let names: BTreeSet<String> = trainable.select(&config).into_iter().collect();
        parameters(&config).iter().filter(|p| names.contains(&p.name)).map(|p| p.numel()).sum()
    }

    #[test]
    fn the_selection_of_pr585_has_its_published_size() {
        assert_eq!(numel("pr585", Trainable::LastBlocks(2)), 5_780_500);
    }

    #[test]
    fn the_mlp_selection_leaves_attention_and_embeddings_alone() {
        for preset in ["pr861", "pr549"] {
            let config = model(preset).expect("a listed preset exists");
            let names = Trainable::Mlp.select(&config);
            assert!(names.iter().all(|n| !n.contains("attn.") && !n.contains("tok_emb")), "{names:?}");
            let matrices = names.iter().filter(|n| n.contains("mlp.") && n.ends_with(".weight")).count();
            assert_eq!(matrices, 2 * config.layers, "{preset}");
        }
    }

    #[test]
    fn options_that_cannot_work_are_refused_by_name() {
        let config = model("baseline").expect("a listed preset exists");
        let refused = |options: AdaptOptions| options.selection(&config).unwrap_err();
        let epochs = refused(AdaptOptions { epochs: 0, ..Default::default() });
        assert!(matches!(epochs, EvalError::Adaptation { field: "epochs", .. }));
        let lr = refused(AdaptOptions { lr: f64::NAN, ..Default::default() });
        assert!(matches!(lr, EvalError::Adaptation { field: "lr", .. }));
        let named = Trainable::Named(vec!["nope".into()]);
        let unknown = refused(AdaptOptions { trainable: named, ..Default::default() });
        assert_eq!(unknown, EvalError::UnknownTrainable { name: "nope".into() });
    }
}
