//! The sums of a calibration against what a forward and a backward pass say one token at a time.

use super::*;
use crate::model::init::{Init, initialize};
use crate::reference::Reference;
use crate::train::preset;
use pollster::block_on;

fn nano() -> ModelConfig {
    preset("nano", false).expect("a preset").model
}

fn rows(config: &ModelConfig, count: usize, seq: usize) -> Vec<Vec<i32>> {
    let id = |i: usize| ((i * 37 + i * i * 11) % config.vocab) as i32;
    (0..count).map(|r| (0..=seq).map(|t| id(r * 101 + t)).collect()).collect()
}

fn model() -> (Reference, ModelConfig) {
    let config = nano();
    let mut backend = Reference::default();
    for (name, tensor) in initialize(&config, Init::Orthogonal, 3) {
        // Output projections start at zero, through which no gradient passes.
        let noise = |i: usize| ((i * 7919 % 1013) as f32 / 1013.0 - 0.5) * 0.1;
        let values = tensor.to_f32().iter().enumerate().map(|(i, x)| x + noise(i)).collect();
        backend.write_state(&name, &Tensor::f32(tensor.shape(), values)).expect("a fresh backend");
    }
    (backend, config)
}

fn collected(rows: &[Vec<i32>]) -> Calibration {
    let (mut backend, config) = model();
    block_on(Calibration::collect(&mut backend, &config, rows, Depth::Sensitivities)).expect("the model runs")
}

#[test]
fn several_runs_add_up_to_one() {
    let config = nano();
    let all = rows(&config, 6, 12);
    let whole = collected(&all);
    let parts = [collected(&all[..2]), collected(&all[2..])];
    let share = [2.0 / 6.0, 4.0 / 6.0];
    for name in ["blocks.0.attn.c_q.weight", "blocks.1.mlp.proj.weight", "tok_emb.weight"] {
        let of = |c: &Calibration| c.hessian(name).expect("a product").to_vec();
        let (a, b, sum) = (of(&parts[0]), of(&parts[1]), of(&whole));
        for i in 0..sum.len() {
            let joined = f64::from(a[i]) * share[0] + f64::from(b[i]) * share[1];
            assert!((f64::from(sum[i]) - joined).abs() <= 1e-6 * (1.0 + joined.abs()), "{name} {i}");
        }
    }
    let loss = parts[0].loss * share[0] + parts[1].loss * share[1];
    assert!((whole.loss - loss).abs() < 1e-9);
}

#[test]
fn weights_that_meet_the_same_inputs_share_one_hessian() {
    let calibration = collected(&rows(&nano(), 2, 8));
    let of = |leaf: &str| calibration.hessian(&format!("blocks.0.{leaf}.weight")).expect("a product");
    assert!(Arc::ptr_eq(of("attn.c_q"), of("attn.c_k")) && Arc::ptr_eq(of("attn.c_q"), of("attn.c_v")));
    assert!(!Arc::ptr_eq(of("attn.c_q"), of("mlp.fc")));
    assert!(calibration.hessian("blocks.0.attn_scale").is_none());
    assert!(calibration.importance("bigram.embed.weight").is_some());
}

#[test]
fn normalized_inputs_have_a_hessian_of_unit_trace_per_channel() {
    let (config, calibration) = (nano(), collected(&rows(&nano(), 2, 8)));
    // The head's inputs are normalized to mean square 1.
    let trace: f64 = diagonal(calibration.hessian("tok_emb.weight").expect("tied")).iter().sum();
    assert!((trace / config.dim as f64 - 1.0).abs() < 1e-4, "{trace}");
}

#[test]
fn the_predicted_loss_of_a_small_random_error_is_of_the_size_of_the_real_one() {
    let (mut backend, config) = model();
    let text = rows(&config, 64, 16);
    let before =
        block_on(Calibration::collect(&mut backend, &config, &text, Depth::Sensitivities)).expect("it runs");
    let name = "blocks.0.mlp.fc.weight";
    let original = block_on(backend.read_state(name)).expect("a parameter");
    let weights = original.to_f32();
    let importance = before.importance(name).expect("a product");
    // The curvature is what an error and its opposite cost on average: the gradient cancels.
    let noise = |i: usize| ((i * 7919 % 2003) as f32 / 2003.0 - 0.5) * 0.2;
    let mut real = 0.0;
    for sign in [-1.0, 1.0] {
        let moved: Vec<f32> = weights.iter().enumerate().map(|(i, w)| w + sign * noise(i)).collect();
        backend.write_state(name, &Tensor::f32(original.shape(), moved)).expect("the same type");
        let after =
            block_on(Calibration::collect(&mut backend, &config, &text, Depth::Inputs)).expect("it runs");
        real += 0.5 * (after.loss - before.loss);
    }
    let moved: Vec<f32> = weights.iter().enumerate().map(|(i, w)| w + noise(i)).collect();
    let predicted = importance.cost(&weights, &moved);
    assert!(real > 0.0 && predicted / real > 0.2 && predicted / real < 5.0, "{predicted} {real}");
}

#[test]
fn text_without_a_row_is_refused() {
    assert!(matches!(rows_of(&[1, 2, 3], 3, 4), Err(CompressError::TooShort { tokens: 3, needed: 4 })));
    assert_eq!(rows_of(&[1, 2, 3, 4, 5], 2, 9).expect("two rows"), [[1, 2, 3], [3, 4, 5]]);
    assert_eq!(rows_of(&[1, 2, 3, 4, 5], 2, 1).expect("one row").len(), 1);
}
