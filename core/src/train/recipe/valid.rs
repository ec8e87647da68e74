//! Which recipes can be trained: ranges of numbers, and what must divide what.

use super::Recipe;
use thiserror::Error;

/// A field outside its range.
#[derive(Clone, Debug, PartialEq, Error)]
#[error("recipe field `{field}`: expected {expected}, got {got}")]
pub struct RecipeError {
    /// Name of the field.
    pub field: &'static str,
    /// What would be accepted.
    pub expected: String,
    /// What was there.
    pub got: String,
}

impl Recipe {
    /// Checks every range; a recipe that passes can be trained.
    pub fn check(&self) -> Result<(), RecipeError> {
        let fail = |field, expected: &str, got: String| {
            Err(RecipeError { field, expected: expected.to_owned(), got })
        };
        let counts = [
            ("iterations", self.iterations),
            ("train_batch_tokens", self.train_batch_tokens as u64),
            ("train_seq_len", self.train_seq_len as u64),
            ("grad_accum_steps", self.grad_accum_steps as u64),
            ("swa_every", self.swa_every),
            ("calibration_rows", self.calibration_rows as u64),
        ];
        if let Some((field, _)) = counts.iter().find(|(_, count)| *count == 0) {
            return fail(field, "at least 1", "0".to_owned());
        }
        for (field, value, low, high) in self.ranges() {
            if !(low..=high).contains(&value) {
                return fail(field, &format!("{low}..={high}"), value.to_string());
            }
        }
        let take = self.grad_accum_steps * self.train_seq_len;
        if !self.train_batch_tokens.is_multiple_of(take) {
            let expected = format!("a multiple of grad_accum_steps × train_seq_len = {take}");
            return fail("train_batch_tokens", &expected, self.train_batch_tokens.to_string());
        }
        let rows = self.take_tokens() / self.train_seq_len;
        if self.micro_batch_rows > 0 && !rows.is_multiple_of(self.micro_batch_rows) {
            let expected = format!("a divisor of the {rows} rows of a take");
            return fail("micro_batch_rows", &expected, self.micro_batch_rows.to_string());
        }
        Ok(())
    }

    /// Real numbers with their limits. NaN lies in no range.
    fn ranges(&self) -> [(&'static str, f64, f64, f64); 22] {
        const ANY: f64 = f64::MAX;
        [
            ("max_wallclock_seconds", self.max_wallclock_seconds, 0.0, 1e9),
            ("token_lr", self.token_lr, 0.0, ANY),
            ("matrix_lr", self.matrix_lr, 0.0, ANY),
            ("scalar_lr", self.scalar_lr, 0.0, ANY),
            ("decoder_lr_mult", self.decoder_lr_mult, 0.0, ANY),
            ("muon_weight_decay", self.muon_weight_decay, 0.0, ANY),
            ("adam_weight_decay", self.adam_weight_decay, 0.0, ANY),
            ("beta1", self.beta1, 0.0, 1.0),
            ("beta2", self.beta2, 0.0, 1.0),
            ("adam_eps", self.adam_eps, 0.0, 1.0),
            ("muon_momentum", self.muon_momentum, 0.0, 1.0),
            ("muon_momentum_warmup_start", self.muon_momentum_warmup_start, 0.0, 1.0),
            ("grad_clip_norm", self.grad_clip_norm, 0.0, ANY),
            ("warmdown_fraction", self.warmdown_fraction, 0.0, 1.0),
            ("min_lr_scale", self.min_lr_scale, 0.0, 1.0),
            ("ema_decay", self.ema_decay, 0.0, 1.0),
            ("swa_below", self.swa_below, 0.0, 2.0),
            ("qat_threshold", self.qat_threshold, 0.0, 2.0),
            ("prune_fraction", self.prune_fraction, 0.0, 0.99),
            ("calibration_reserve_seconds", self.calibration_reserve_seconds, 0.0, 1e9),
            ("ttt_lr", self.ttt_lr, 0.0, ANY),
            ("ttt_epochs", self.ttt_epochs as f64, 0.0, 1e6),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_valid_and_a_mistake_names_its_field() {
        Recipe::default().check().expect("the baseline is valid");
        let wrong = |change: fn(&mut Recipe)| {
            let mut recipe = Recipe::default();
            change(&mut recipe);
            recipe.check().expect_err("out of range").field
        };
        assert_eq!(wrong(|r| r.iterations = 0), "iterations");
        assert_eq!(wrong(|r| r.matrix_lr = f64::NAN), "matrix_lr");
        assert_eq!(wrong(|r| r.train_batch_tokens = 1000), "train_batch_tokens");
        assert_eq!(wrong(|r| r.micro_batch_rows = 7), "micro_batch_rows");
    }
}
