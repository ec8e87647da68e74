//! Training steps against their definitions, on the oracle: accumulation, averages, the quantization switch, failures.

use golf_core::collective::Alone;
use golf_core::data::{TokenStream, shard};
use golf_core::model::{ModelConfig, parameters};
use golf_core::optim::average_name;
use golf_core::reference::Reference;
use golf_core::tensor::Tensor;
use golf_core::train::feed::Feed;
use golf_core::train::finish::Source;
use golf_core::train::recipe::{EmaStart, Qat};
use golf_core::train::share::Reduction;
use golf_core::train::trainer::{Progress, Trainer};
use golf_core::train::{NonFinite, Recipe, TrainError, preset};
use std::collections::BTreeMap;

fn nano() -> (ModelConfig, Recipe) {
    let preset = preset("nano", false).expect("a preset");
    (preset.model, preset.recipe)
}

/// Training data from one shard of structured tokens below 64.
fn feed(folder: &tempfile::TempDir) -> Feed {
    let path = folder.path().join("t_train_000000.bin");
    let tokens: Vec<u16> = (0..3000u32).map(|i| ((i * i / 7 + 3 * i) % 64) as u16).collect();
    shard::write(&path, &tokens).expect("a shard is written");
    Feed::new(TokenStream::open(vec![path]).expect("the shard opens"))
}

/// All states after `steps` steps, and the losses.
fn train(model: &ModelConfig, recipe: &Recipe, steps: usize) -> (BTreeMap<String, Tensor>, Vec<f64>) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut feed = feed(&folder);
    let mut backend = Reference::new();
    pollster::block_on(async {
        let mut alone = Alone::new(&mut backend);
        let mut trainer =
            Trainer::new(&mut alone, model, recipe, Reduction::Once).await.expect("the model compiles");
        let mut losses = Vec::new();
        for _ in 0..steps {
            losses.push(trainer.step(&mut feed, 0.0).await.expect("a step").loss);
        }
        (trainer.snapshot().await.expect("states").into_iter().collect(), losses)
    })
}

fn worst(a: &BTreeMap<String, Tensor>, b: &BTreeMap<String, Tensor>) -> f64 {
    assert_eq!(a.keys().collect::<Vec<_>>(), b.keys().collect::<Vec<_>>());
    let differences = a.iter().flat_map(|(name, x)| {
        let pairs: Vec<_> = x.to_f64().into_iter().zip(b[name].to_f64()).collect();
        pairs.into_iter().map(|(x, y)| (x - y).abs())
    });
    differences.fold(0.0, f64::max)
}

#[test]
fn four_micro_batches_are_one_batch() {
    let (model, base) = nano();
    let whole = Recipe { grad_accum_steps: 1, micro_batch_rows: 4, ..base };
    let parts = Recipe { micro_batch_rows: 1, ..whole.clone() };
    let ((a, losses), (b, others)) = (train(&model, &whole, 3), train(&model, &parts, 3));
    let worst = worst(&a, &b);
    let loss = losses.iter().zip(&others).map(|(x, y)| (x - y).abs()).fold(0.0, f64::max);
    println!("worst difference of a state {worst:e}, of a loss {loss:e}");
    assert!(worst < 1e-12 && loss < 1e-12);
}

#[test]
fn the_exponential_average_is_that_of_the_weights_after_each_step() {
    let (model, base) = nano();
    for start in [EmaStart::Initial, EmaStart::FirstStep] {
        let recipe = Recipe { ema_start: start, ema_decay: 0.75, qat: Qat::Never, ..base.clone() };
        let after: Vec<_> = (0..4).map(|steps| train(&model, &recipe, steps).0).collect();
        for param in parameters(&model) {
            let at = |step: usize| after[step][&param.name].to_f64();
            let first = if start == EmaStart::Initial { 0 } else { 1 };
            let mut mean = at(first);
            for step in first + 1..=3 {
                mean.iter_mut().zip(at(step)).for_each(|(m, x)| *m = 0.75 * *m + 0.25 * x);
            }
            let got = after[3][&average_name(&param.name)].to_f64();
            let off = got.iter().zip(&mean).map(|(x, y)| (x - y).abs()).fold(0.0, f64::max);
            assert!(off < 1e-14, "{start:?} `{}`: {off:e}", param.name);
        }
    }
}

#[test]
fn snapshots_are_averaged_uniformly_below_the_threshold_and_chosen_from_the_second_on() {
    let (model, base) = nano();
    let recipe = Recipe {
        ema_enabled: false,
        swa_enabled: true,
        swa_every: 2,
        swa_below: 1.0,
        iterations: 8,
        warmdown_iters: 6,
        qat: Qat::Never,
        ..base
    };
    // The factor is below 1 from step 3 (0-based) on, so snapshots are taken after steps 4, 6 and 8 (1-based).
    let after: Vec<_> = (0..=8).map(|steps| train(&model, &recipe, steps).0).collect();
    let name = "blocks.0.attn.c_q.weight";
    let mean: Vec<f64> = {
        let [a, b, c] = [4, 6, 8].map(|step: usize| after[step][name].to_f64());
        (0..a.len()).map(|i| (a[i] + b[i] + c[i]) / 3.0).collect()
    };
    let got = after[8][&average_name(name)].to_f64();
    assert!(got.iter().zip(&mean).all(|(x, y)| (x - y).abs() < 1e-14));
    let with = |averaged| Source::choose(&recipe, Progress { step: 8, fake_quant: false, averaged });
    assert_eq!([with(0), with(1), with(2)], [Source::Live, Source::Live, Source::Swa]);
}

#[test]
fn late_quantization_changes_the_gradients_and_restarts_the_average() {
    let (model, base) = nano();
    let folder = tempfile::tempdir().expect("a folder");
    let mut feed = feed(&folder);
    let mut backend = Reference::new();
    let recipe = Recipe { qat_threshold: 0.7, iterations: 10, warmdown_iters: 10, ..base.clone() };
    let mut began = Vec::new();
    let averages = pollster::block_on(async {
        let mut alone = Alone::new(&mut backend);
        let mut trainer =
            Trainer::new(&mut alone, &model, &recipe, Reduction::Once).await.expect("the model compiles");
        for _ in 0..5 {
            let report = trainer.step(&mut feed, 0.0).await.expect("a step");
            began.extend(report.fake_quant_began.then_some(report.step));
        }
        assert!(trainer.progress().fake_quant);
        trainer.progress().averaged
    });
    // Factors 1.0, 0.9, 0.8, 0.7, 0.6: the first below 0.7 belongs to step 4; the average restarts there and takes it in.
    assert_eq!((began, averages), (vec![4], 2));
    let never = Recipe { qat: Qat::Never, ..recipe.clone() };
    let always = Recipe { qat: Qat::Always, ..recipe };
    // Output projections start at zero, so the loss depends on the other matrices from the second step on.
    let second = |recipe: &Recipe| train(&model, recipe, 2).1[1];
    assert_ne!(second(&never), second(&always), "the forward pass sees the grid");
}

#[test]
fn a_bf16_average_stalls_where_an_f32_one_moves() {
    let (model, base) = nano();
    let sound = Recipe { ema_decay: 0.999, qat: Qat::Never, token_lr: 1e-4, ..base };
    let broken = Recipe { ema_bf16_tables: true, ..sound.clone() };
    let name = average_name("tok_emb.weight");
    let moved = |recipe: &Recipe| {
        let [before, after] = [1, 6].map(|steps| train(&model, recipe, steps).0[&name].to_f64());
        before.iter().zip(&after).filter(|(a, b)| a != b).count() as f64 / after.len() as f64
    };
    let (sound, broken) = (moved(&sound), moved(&broken));
    println!("averages that moved in five steps: {sound:.3} in f32, {broken:.3} in bf16");
    assert!(sound > 0.9 && broken < 0.1);
}

#[test]
fn a_divergence_names_the_first_tensor_that_is_not_finite() {
    let (model, base) = nano();
    let folder = tempfile::tempdir().expect("a folder");
    let mut feed = feed(&folder);
    let mut backend = Reference::new();
    pollster::block_on(async {
        let mut alone = Alone::new(&mut backend);
        let mut trainer =
            Trainer::new(&mut alone, &model, &base, Reduction::Once).await.expect("the model compiles");
        trainer.step(&mut feed, 0.0).await.expect("a sound step");
        let name = "blocks.1.mlp.fc.weight";
        let mut values = trainer.backend().read_state(name).await.expect("a parameter").to_f64();
        values[17] = f64::NAN;
        let poisoned = Tensor::f64(&[model.hidden, model.dim], values);
        trainer.backend().write_state(name, &poisoned).expect("a parameter");
        let error = trainer.step(&mut feed, 0.0).await.expect_err("the loss is NaN");
        let TrainError::NotFinite { step, what, tensor, .. } = error else { panic!("{error}") };
        assert_eq!((step, what, tensor), (1, "loss", NonFinite::Parameter(name.to_owned())));
    });
}
