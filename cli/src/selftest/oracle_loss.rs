//! What the oracle itself lost in single precision on a fixture, as the fixture's `float32_deviation` block records it.
//!
//! Some fixtures are worse conditioned than those that the suggested limits were read off: a weight on the edge
//! between two integers, a gradient near zero under AdamW. There a correct device deviates as the oracle does. Every field
//! is optional, and an absent one changes nothing. Not here: how far a record may raise a limit (`tolerance`).

use super::fault::Fault;
use super::fixture::Node;
use serde::Deserialize;

/// The record. Names and measures are the fixture's own; the names of the worst tensors are left aside.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct OracleLoss {
    /// Logits, largest absolute error.
    pub logits_max_abs: Option<f64>,
    /// Nll, largest absolute error.
    pub nll_max_abs: Option<f64>,
    /// Loss, absolute.
    pub loss_abs: Option<f64>,
    /// Gradients, the worst tensor's relative L2 error.
    pub grad_worst_rel_l2: Option<f64>,
    /// Loss before every step, absolute.
    pub step_losses_abs: Vec<f64>,
    /// Parameters after the first step, the worst tensor's L2 error relative to its change.
    pub step1_update_worst_rel_l2: Option<f64>,
    /// The same after the third.
    pub step3_update_worst_rel_l2: Option<f64>,
    /// Loss under fake quantization, absolute.
    pub qat_loss_abs: Option<f64>,
    /// Gradients under fake quantization, the worst tensor's relative L2 error.
    pub qat_grad_worst_rel_l2: Option<f64>,
    /// Sums over windows, relative, by rule.
    pub slide_original_sum_rel: Option<f64>,
    /// See above.
    pub slide_original_min1_sum_rel: Option<f64>,
    /// See above.
    pub slide_exact_sum_rel: Option<f64>,
    /// Sums over chunks of test-time training, the worst chunk's relative error.
    pub ttt_chunk_sum_max_rel: Option<f64>,
    /// Parameters after test-time training, the worst tensor's L2 error relative to its change.
    pub ttt_final_update_worst_rel_l2: Option<f64>,
}

impl OracleLoss {
    /// The record of a fixture; all absent where it has none.
    pub fn read(json: &Node<'_>) -> Result<Self, Fault> {
        json.find("float32_deviation").map_or_else(|| Ok(Self::default()), |node| node.read())
    }

    /// Of the loss before step `index` from 0.
    pub fn step_loss(&self, index: usize) -> Option<f64> {
        self.step_losses_abs.get(index).copied()
    }

    /// Of the worst loss of all steps.
    pub fn step_losses(&self) -> Option<f64> {
        self.step_losses_abs.iter().copied().reduce(f64::max)
    }

    /// Of the parameters after step number `step` from 1.
    pub fn step_update(&self, step: usize) -> Option<f64> {
        match step {
            1 => self.step1_update_worst_rel_l2,
            3 => self.step3_update_worst_rel_l2,
            _ => None,
        }
    }

    /// Of an average of the states after the steps: the worst of them.
    pub fn average(&self) -> Option<f64> {
        [self.step1_update_worst_rel_l2, self.step3_update_worst_rel_l2]
            .into_iter()
            .flatten()
            .reduce(f64::max)
    }

    /// Of the sum under the window rule of this name.
    pub fn window_sum(&self, rule: &str) -> Option<f64> {
        match rule {
            "original" => self.slide_original_sum_rel,
            "original_min1" => self.slide_original_min1_sum_rel,
            "exact" => self.slide_exact_sum_rel,
            _ => None,
        }
    }
}
