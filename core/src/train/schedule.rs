//! What changes from step to step: the factor on all learning rates, Muon's momentum, AdamW's bias corrections.
//!
//! Pure functions of the step and the clock. The published schedule has no warm-up; its decay ("warmdown") is a number of
//! steps converted to time by the mean step so far, so that the factor reaches 0 at the cap.

use super::recipe::{Qat, Recipe, WarmdownEnd};

/// Factor on the learning rates before step `step` (from 0) with `elapsed_ms` of training behind it.
///
/// With a cap: `left / (warmdown_iters · elapsed/step)` once that is at most 1. Without: linear over the last
/// `warmdown_iters` of `iterations`. As the challenge's scripts compute it.
pub fn lr_scale_at(
    step: u64,
    elapsed_ms: f64,
    warmdown_iters: u64,
    cap_ms: Option<f64>,
    iterations: u64,
) -> f64 {
    let Some(cap) = cap_ms else {
        let start = iterations.saturating_sub(warmdown_iters);
        let decaying = (start..iterations).contains(&step);
        return if decaying { (iterations - step) as f64 / warmdown_iters.max(1) as f64 } else { 1.0 };
    };
    let window = warmdown_iters as f64 * elapsed_ms / step.max(1) as f64;
    let left = (cap - elapsed_ms).max(0.0);
    if left <= window { left / window.max(1e-9) } else { 1.0 }
}

/// Muon's momentum at `step`: linear from `start` to `end` over `warmup` steps.
pub fn momentum_at(step: u64, start: f64, end: f64, warmup: u64) -> f64 {
    let f = if warmup == 0 { 1.0 } else { (step as f64 / warmup as f64).min(1.0) };
    (1.0 - f) * start + f * end
}

/// Fraction of the budget used before `step`: of the cap, or of the iterations where there is no cap, or (towards the
/// earliest end) the larger of both.
pub fn budget_fraction(recipe: &Recipe, step: u64, elapsed_ms: f64) -> f64 {
    let by_steps = step as f64 / recipe.iterations as f64;
    match (recipe.cap_ms(), recipe.warmdown_end) {
        (None, _) => by_steps,
        (Some(cap), WarmdownEnd::Cap) => elapsed_ms / cap,
        (Some(cap), WarmdownEnd::Earliest) => by_steps.max(elapsed_ms / cap),
    }
}

/// Factor on the learning rates as `recipe` wants it.
pub fn lr_scale(recipe: &Recipe, step: u64, elapsed_ms: f64) -> f64 {
    if recipe.warmdown_fraction > 0.0 {
        let left = 1.0 - budget_fraction(recipe, step, elapsed_ms).min(1.0);
        return if left > recipe.warmdown_fraction {
            1.0
        } else {
            (left / recipe.warmdown_fraction).max(recipe.min_lr_scale)
        };
    }
    let (warmdown, iterations) = (recipe.warmdown_iters, recipe.iterations);
    let aimed = lr_scale_at(step, elapsed_ms, warmdown, recipe.cap_ms(), iterations);
    match recipe.warmdown_end {
        WarmdownEnd::Cap => aimed,
        WarmdownEnd::Earliest => aimed.min(lr_scale_at(step, elapsed_ms, warmdown, None, iterations)),
    }
}

/// What of the schedule does not fit into a run of about `steps` steps: lengths in steps were chosen for another machine.
pub fn misfits(recipe: &Recipe, steps: u64) -> Vec<String> {
    let (decay, warmup) = (recipe.warmdown_iters, recipe.muon_momentum_warmup_steps);
    let warms_up = recipe.muon_momentum_warmup_start != recipe.muon_momentum;
    let mut found = Vec::new();
    if recipe.warmdown_fraction == 0.0 && decay > steps {
        let what = format!("the final decay of {decay} steps begins with the first step");
        found.push((what, "warmdown_fraction=0.4".to_owned()));
    }
    if warms_up && warmup > steps {
        let what = format!("momentum warms up for {warmup} steps");
        found.push((what, format!("muon_momentum_warmup_steps={}", steps / 4)));
    }
    let message = |(what, setting)| {
        format!(
            "{what}, and the run has about {steps} steps\nhint: `--set {setting}`, or fewer tokens a step (`train_batch_tokens`)"
        )
    };
    found.into_iter().map(message).collect()
}

/// Sharpness of soft rounding where fake quantization begins and at the run's end (PR #606).
const SHARPNESS: [f64; 2] = [1.0, 16.0];

/// Sharpness of soft rounding before step `step`: linear over what is left of the run when fake quantization begins, by the
/// measure that switches it on, so that it follows from step and clock alone.
pub fn sharpness(recipe: &Recipe, step: u64, elapsed_ms: f64) -> f64 {
    let used = budget_fraction(recipe, step, elapsed_ms);
    let threshold = recipe.qat_threshold;
    let done = match recipe.qat {
        Qat::Never | Qat::Always => used,
        Qat::LrScale => 1.0 - lr_scale(recipe, step, elapsed_ms) / threshold,
        Qat::Clock => (used - threshold) / (1.0 - threshold),
    };
    // A threshold at its end leaves no room, and a quotient by it may be no number: then rounding is sharp at once.
    let done = if done.is_finite() { done.clamp(0.0, 1.0) } else { 1.0 };
    SHARPNESS[0] + done * (SHARPNESS[1] - SHARPNESS[0])
}

/// Muon's momentum as `recipe` wants it.
pub fn momentum(recipe: &Recipe, step: u64) -> f64 {
    let (start, end) = (recipe.muon_momentum_warmup_start, recipe.muon_momentum);
    momentum_at(step, start, end, recipe.muon_momentum_warmup_steps)
}

/// `1 - βᵗ` for the update number `t` from 1.
pub fn bias_correction(beta: f64, t: u64) -> f64 {
    1.0 - beta.powf(t as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn factors_equal_the_published_scripts() {
        let cap = Some(600_000.0);
        for (step, elapsed, warmdown, cap, value) in [
            (0, 0.0, 3500, cap, 1.0),
            (1, 98.0, 3500, cap, 1.0),
            (2642, 258_000.0, 3500, cap, 1.0),
            (4395, 429_400.0, 3500, cap, 0.498_893_472_619_602_1),
            (6142, 600_020.0, 3500, cap, 0.0),
            (100, 0.0, 1200, None, 1.0),
            (19_000, 0.0, 1200, None, 0.833_333_333_333_333_4),
            (19_999, 0.0, 1200, None, 0.000_833_333_333_333_333_4),
        ] {
            let got = lr_scale_at(step, elapsed, warmdown, cap, 20_000);
            assert!((got - value).abs() < 1e-15, "step {step}: {got}");
        }
    }

    #[test]
    fn a_schedule_for_a_faster_machine_is_told() {
        let recipe = Recipe { warmdown_iters: 3500, muon_momentum_warmup_steps: 1500, ..Recipe::default() };
        let told = |recipe: &Recipe, steps| misfits(recipe, steps).len();
        assert_eq!([20_000, 3500, 3499, 1499].map(|steps| told(&recipe, steps)), [0, 0, 1, 2]);
        let message = &misfits(&recipe, 1200)[0];
        assert!(message.contains("3500 steps") && message.contains("about 1200 steps"), "{message}");
        let by_fraction = Recipe { warmdown_fraction: 0.4, muon_momentum_warmup_steps: 100, ..recipe };
        assert_eq!(told(&by_fraction, 1200), 0);
    }

    #[test]
    fn momentum_warms_up_linearly() {
        for (step, value) in
            [(0, 0.92), (1, 0.920_046_666_666_666_7), (750, 0.955), (1500, 0.99), (9000, 0.99)]
        {
            assert!((momentum_at(step, 0.92, 0.99, 1500) - value).abs() < 1e-15, "step {step}");
        }
    }

    #[test]
    fn the_earliest_end_decays_where_the_published_schedule_never_does() {
        // PR #861: 20,000 steps of 69.33 ms under a cap of 1,800 s.
        let published = Recipe {
            max_wallclock_seconds: 1800.0,
            warmdown_iters: 6000,
            warmdown_end: WarmdownEnd::Cap,
            ..Recipe::default()
        };
        let sound = Recipe { warmdown_end: WarmdownEnd::Earliest, ..published.clone() };
        let at = |recipe: &Recipe, step: u64| lr_scale(recipe, step, step as f64 * 69.33);
        assert!(at(&published, 19_999) > 0.99);
        assert_eq!(at(&sound, 10_000), 1.0);
        assert!((at(&sound, 17_000) - 0.5).abs() < 1e-12 && at(&sound, 19_999) < 1e-3);
    }

    #[test]
    fn rounding_sharpens_from_the_trigger_to_the_end_whatever_the_trigger() {
        let decay = Recipe {
            iterations: 100,
            max_wallclock_seconds: 0.0,
            warmdown_fraction: 0.5,
            ..Recipe::default()
        };
        let [by_rate, by_clock, always] = [(Qat::LrScale, 0.8), (Qat::Clock, 0.6), (Qat::Always, 0.0)]
            .map(|(qat, qat_threshold)| Recipe { qat, qat_threshold, ..decay.clone() });
        let at = |recipe: &Recipe, step| sharpness(recipe, step, 0.0);
        for (recipe, first) in [(&by_rate, 60), (&by_clock, 60), (&always, 0)] {
            assert!((at(recipe, first) - 1.0).abs() < 1e-9, "{:?}", recipe.qat);
            assert!((at(recipe, (first + 100) / 2) - 8.5).abs() < 1e-9, "{:?}", recipe.qat);
            assert!((at(recipe, 100) - 16.0).abs() < 1e-9, "{:?}", recipe.qat);
        }
        let no_room = Recipe { qat_threshold: 1.0, ..by_clock };
        assert_eq!(at(&no_room, 100), 16.0);
    }

    #[test]
    fn a_fractional_decay_follows_the_budget_down_to_its_floor() {
        let recipe = Recipe { warmdown_fraction: 0.5, min_lr_scale: 0.1, ..Recipe::default() };
        let at = |fraction: f64| lr_scale(&recipe, 1, fraction * 600_000.0);
        assert_eq!((at(0.2), at(0.5)), (1.0, 1.0));
        assert!((at(0.75) - 0.5).abs() < 1e-12);
        assert_eq!((at(0.99), at(1.2)), (0.1, 0.1));
    }
}
