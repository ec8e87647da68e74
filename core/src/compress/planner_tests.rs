//! Properties of the planner on made-up tensors.

use super::*;

/// Numbers that look like weights: a sum of four uniform ones has a deviation of 1.15 times `scale`.
fn weights(n: usize, seed: u32, scale: f32) -> Vec<f32> {
    let mix = |i: u32| {
        let x = i.wrapping_mul(0x9e37_79b9) ^ seed.wrapping_mul(0x85eb_ca6b);
        let x = (x ^ (x >> 15)).wrapping_mul(0x2c1b_3c6d);
        (x ^ (x >> 13)) as f32 / u32::MAX as f32 * 2.0 - 1.0
    };
    (0..n as u32).map(|i| scale * (0..4).map(|k| mix(4 * i + k)).sum::<f32>()).collect()
}

fn plan_of(tensors: &[(&str, Vec<f32>)], choice: Choice) -> Plan {
    let subjects: Vec<Subject<'_>> =
        tensors.iter().map(|(name, values)| Subject { name, shape: &[32, 64], values, choice }).collect();
    Plan::new(&subjects, None, 100.0)
}

#[test]
fn every_ladder_falls_in_loss_and_flattens() {
    for family in Family::ALL {
        let plan = plan_of(&[("w", weights(2048, 1, 0.1))], Choice::Free(family));
        let rungs = &plan.tensors[0].rungs;
        assert!(rungs.len() >= 4, "{family:?}: {rungs:?}");
        for pair in rungs.windows(2) {
            assert!(pair[0].bytes < pair[1].bytes && pair[0].loss > pair[1].loss, "{family:?}");
        }
        let slopes: Vec<f64> =
            rungs.windows(2).map(|p| (p[0].loss - p[1].loss) / (p[1].bytes - p[0].bytes)).collect();
        assert!(slopes.windows(2).all(|s| s[0] >= s[1]), "{family:?}: {slopes:?}");
    }
}

#[test]
fn a_larger_budget_never_gives_more_loss_and_is_never_exceeded() {
    let tensors = [("a", weights(2048, 1, 0.1)), ("b", weights(2048, 2, 3.0)), ("c", weights(2048, 3, 1.0))];
    let mut plan = plan_of(&tensors, Choice::Free(Family::Auto));
    let mut last = f64::INFINITY;
    for budget in (2500..9000).step_by(250) {
        assert!(plan.fit(f64::from(budget)), "{budget}");
        assert!(plan.bytes() <= f64::from(budget));
        assert!(plan.loss() <= last, "{budget}: {} after {last}", plan.loss());
        last = plan.loss();
    }
    assert!(plan.at_the_top() && !plan.at_the_bottom());
    assert!(!plan.fit(200.0) && plan.at_the_bottom());
}

#[test]
fn greedy_is_the_best_of_all_choices_within_one_step() {
    let tensors = [("a", weights(2048, 1, 0.1)), ("b", weights(2048, 2, 3.0))];
    let mut plan = plan_of(&tensors, Choice::Free(Family::Ratio));
    let budget = 2100.0;
    plan.fit(budget);
    let (greedy, bytes) = (plan.loss(), plan.bytes());
    let (a, b) = (plan.tensors[0].rungs.clone(), plan.tensors[1].rungs.clone());
    let pairs = a.iter().flat_map(|x| b.iter().map(move |y| (x.bytes + y.bytes + 100.0, x.loss + y.loss)));
    // No choice that needs no more bytes than the greedy one has less loss.
    let best = pairs.filter(|(size, _)| *size <= bytes).map(|(_, loss)| loss).fold(f64::INFINITY, f64::min);
    assert!(greedy <= best * (1.0 + 1e-12), "{greedy} {best}");
}

#[test]
fn fixed_forms_and_widths_are_kept() {
    let values = weights(2048, 1, 0.1);
    let subject = |choice| Subject { name: "w", shape: &[32, 64], values: &values, choice };
    let choices = [
        Choice::Fixed(Storage::Fp16),
        Choice::Width(Family::Ratio, 5),
        Choice::Fixed(Storage::Quantized(Scheme::S585)),
    ];
    let plan = Plan::new(&choices.map(subject), None, 0.0);
    let names: Vec<String> = plan.tensors.iter().map(|t| t.rung().to_string()).collect();
    assert_eq!(names, ["fp16", "ratio int5", "s585 int5"]);
    assert_eq!(plan.tensors[0].rung().bytes, 4096.0);
    assert!(plan.tensors.iter().all(|t| t.rungs.len() == 1));
}

#[test]
fn corrections_make_the_prediction_what_was_measured() {
    let tensors = [("a", weights(2048, 1, 0.1)), ("b", weights(2048, 2, 3.0))];
    let mut plan = plan_of(&tensors, Choice::Width(Family::Ratio, 6));
    plan.correct(3000.0, 0.0, 500.0);
    assert!((plan.bytes() - 3500.0).abs() < 1e-9, "{}", plan.bytes());
}
