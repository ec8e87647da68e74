//! Order, legality, resumption and receipts, on a small model in f64.

use super::*;
use crate::model::ModelConfig;
use crate::model::config::{Bigram, Trigram};
use crate::model::init::{Init, initialize};
use crate::reference::Reference;
use pollster::block_on;
use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

const WINDOW: usize = 8;

pub(super) fn model() -> ModelWeights {
    let config = ModelConfig {
        vocab: 24,
        layers: 2,
        dim: 8,
        heads: 2,
        kv_heads: 1,
        hidden: 12,
        bigram: Bigram::V1,
        bigram_buckets: 16,
        bigram_dim: 4,
        trigram: Trigram::P1019,
        smear: true,
        rope_dims: 4,
        ..ModelConfig::default()
    };
    let mut tensors = initialize(&config, Init::Uniform, 5);
    // Projections start at zero; a model without them would not show a leak through attention or tables.
    for (name, tensor) in &mut tensors {
        if tensor.shape().len() == 2 && tensor.f32s().iter().all(|x| *x == 0.0) {
            let mut rng = ChaCha8Rng::seed_from_u64(name.len() as u64);
            let values = (0..tensor.ty().numel()).map(|_| rng.random_range(-0.5..0.5f32)).collect();
            *tensor = crate::tensor::Tensor::f32(tensor.shape(), values);
        }
    }
    ModelWeights::new(config, tensors, [7; 32]).expect("the model's own parameters")
}

pub(super) fn stream(targets: usize, seed: u64) -> Stream {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let tokens = (0..=targets).map(|_| rng.random_range(0..24)).collect();
    let target_bytes = (0..targets).map(|p| p as u32 % 4).collect();
    Stream { tokens, target_bytes, source: Source::default(), marks: Marks::default() }
}

pub(super) fn options(stride: usize, chunk: usize) -> EvalOptions {
    EvalOptions {
        rule: WindowRule::Exact,
        window: WINDOW,
        stride,
        chunk,
        batch_tokens: 20,
        ..EvalOptions::default()
    }
}

pub(super) fn ttt(optimizer: TttOptimizer) -> Option<AdaptOptions> {
    Some(AdaptOptions { optimizer, lr: 0.02, epochs: 2, batch_rows: 2, ..AdaptOptions::default() })
}

pub(super) const SGD: TttOptimizer = TttOptimizer::Sgd { momentum: 0.9 };

/// Position and bits of every score, chunk by chunk, and the receipt.
fn evaluate(
    stream: Stream,
    options: EvalOptions,
    adapt: Option<AdaptOptions>,
) -> (Vec<Vec<(usize, u64)>>, Receipt) {
    let mut backend = Reference::new();
    let model = model();
    let evaluator = Evaluator::new(&mut backend, &model, stream, options, adapt);
    let mut evaluator = block_on(evaluator).expect("a valid run");
    let mut scores = Vec::new();
    while let Some(chunk) = evaluator.next_chunk() {
        let scored = block_on(evaluator.score(chunk)).expect("the next chunk");
        scores.push(scored.targets().map(|(p, nll)| (p, nll.to_bits())).collect());
        block_on(evaluator.adapt(scored)).expect("its own score");
    }
    (scores, evaluator.receipt().expect("all chunks are done"))
}

#[test]
fn tokens_from_t_on_leave_the_scores_before_t_alone() {
    let original = stream(60, 1);
    let (before, _) = evaluate(original.clone(), options(3, 16), None);
    for t in [1, 9, 33, 60] {
        let mut changed = original.clone();
        changed.tokens[t..].iter_mut().for_each(|id| *id = (*id + 11) % 24);
        let (after, _) = evaluate(changed, options(3, 16), None);
        // Target p is token p + 1: its score may depend on tokens up to p + 1.
        let early = |scores: &[Vec<(usize, u64)>]| {
            scores.iter().flatten().filter(|(p, _)| p + 1 < t).copied().collect::<Vec<_>>()
        };
        assert_eq!(early(&before), early(&after), "tokens from {t}");
        assert_ne!(before, after, "tokens from {t}");
    }
}

#[test]
fn adaptation_never_reaches_the_scores_of_earlier_or_the_same_chunk() {
    let original = stream(60, 2);
    for optimizer in [SGD, TttOptimizer::Adamw] {
        // 5 divides neither the chunk nor the window: windows run over chunk borders.
        let (before, _) = evaluate(original.clone(), options(5, 16), ttt(optimizer));
        for t in [18, 33, 50] {
            let mut changed = original.clone();
            changed.tokens[t..].iter_mut().for_each(|id| *id = (*id + 11) % 24);
            let (after, _) = evaluate(changed, options(5, 16), ttt(optimizer));
            let early = |scores: &[Vec<(usize, u64)>]| {
                scores.iter().flatten().filter(|(p, _)| p + 1 < t).copied().collect::<Vec<_>>()
            };
            assert_eq!(early(&before), early(&after), "{optimizer:?}, tokens from {t}");
        }
    }
}

#[test]
fn adaptation_changes_later_chunks_and_never_the_first() {
    let (fixed, _) = evaluate(stream(64, 3), options(8, 16), None);
    let (adapted, receipt) = evaluate(stream(64, 3), options(8, 16), ttt(SGD));
    assert_eq!(fixed[0], adapted[0]);
    assert_ne!(fixed[1], adapted[1]);
    let steps: Vec<u64> = receipt.chunks.iter().map(|c| c.steps).collect();
    assert_eq!(steps, [2, 2, 2, 0], "two epochs of one batch, none on the last chunk");
    assert_eq!(receipt.verify(), Ok(()));
}

#[test]
fn batches_do_not_change_the_scores_in_f64() {
    let run = |batch_tokens| evaluate(stream(50, 4), EvalOptions { batch_tokens, ..options(4, 16) }, None).0;
    assert_eq!(run(1), run(1000));
}

#[test]
fn micro_batches_give_the_gradient_of_the_whole_batch() {
    let run = |batch_tokens| {
        let options = EvalOptions { batch_tokens, ..options(8, 40) };
        let adapt = AdaptOptions { batch_rows: 5, ..ttt(SGD).expect("some") };
        evaluate(stream(80, 5), options, Some(adapt)).1.totals.nll
    };
    let (whole, split) = (run(1000), run(16));
    assert!((whole - split).abs() < 1e-9 * whole, "{whole} {split}");
}

#[test]
fn a_resumed_run_has_the_receipt_of_an_uninterrupted_one() {
    for adapt in [None, ttt(SGD), ttt(TttOptimizer::Adamw)] {
        let (_, whole) = evaluate(stream(70, 6), options(5, 16), adapt.clone());
        for stop in 0..=5 {
            let fresh = |backend| {
                block_on(Evaluator::new(backend, &model(), stream(70, 6), options(5, 16), adapt.clone()))
                    .expect("a valid run")
            };
            let run_to = |evaluator: &mut Evaluator<'_>, end: usize| {
                while let Some(chunk) = evaluator.next_chunk().filter(|chunk| *chunk < end) {
                    let scored = block_on(evaluator.score(chunk)).expect("the next chunk");
                    block_on(evaluator.adapt(scored)).expect("its own score");
                }
            };
            let (mut one, mut other) = (Reference::new(), Reference::new());
            let mut first = fresh(&mut one);
            run_to(&mut first, stop);
            let bytes = block_on(first.snapshot()).expect("between chunks").to_bytes();
            let mut second = fresh(&mut other);
            let snapshot = Snapshot::from_bytes(&bytes).expect("its own bytes");
            block_on(second.restore(snapshot)).expect("the same run");
            run_to(&mut second, usize::MAX);
            assert_eq!(second.receipt().expect("all chunks are done"), whole, "stopped before chunk {stop}");
        }
    }
}

#[test]
fn a_state_of_another_run_or_with_a_flipped_bit_is_refused() {
    let mut backend = Reference::new();
    let mut evaluator =
        block_on(Evaluator::new(&mut backend, &model(), stream(40, 7), options(8, 16), ttt(SGD)))
            .expect("a valid run");
    let scored = block_on(evaluator.score(0)).expect("the first chunk");
    block_on(evaluator.adapt(scored)).expect("its own score");
    let snapshot = block_on(evaluator.snapshot()).expect("between chunks");
    let bytes = snapshot.to_bytes();
    for at in [bytes.len() - 1, bytes.len() / 2] {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1;
        assert!(Snapshot::from_bytes(&damaged).is_err(), "byte {at}");
    }
    assert!(matches!(Snapshot::from_bytes(&bytes[..20]), Err(ResumeError::Format { .. })));

    let mut backend = Reference::new();
    let mut other = block_on(Evaluator::new(&mut backend, &model(), stream(40, 8), options(8, 16), ttt(SGD)))
        .expect("a valid run");
    let refused = block_on(other.restore(snapshot)).unwrap_err();
    assert_eq!(refused, ResumeError::OtherRun { field: "tokens_sha256".into() }.into());
}

#[test]
fn chunks_are_scored_once_and_in_order_and_scores_stay_with_their_evaluator() {
    let (mut a, mut b) = (Reference::new(), Reference::new());
    let run = |backend| {
        block_on(Evaluator::new(backend, &model(), stream(40, 9), options(8, 16), None)).expect("a valid run")
    };
    let (mut a, mut b) = (run(&mut a), run(&mut b));
    assert_eq!(block_on(a.score(1)).unwrap_err(), EvalError::ChunkOrder { expected: 0, got: 1 });
    let scored = block_on(a.score(0)).expect("the first chunk");
    assert_eq!(block_on(a.score(0)).unwrap_err(), EvalError::Uncommitted { chunk: 0 });
    assert_eq!(block_on(b.adapt(scored)).unwrap_err(), EvalError::ForeignScore { chunk: 0 });
    assert_eq!(b.receipt().unwrap_err(), EvalError::Unfinished { chunks: 3, done: 0 });
    let scored = block_on(b.score(0)).expect("the first chunk");
    block_on(b.adapt(scored)).expect("its own score");
    assert_eq!(block_on(b.score(0)).unwrap_err(), EvalError::ChunkOrder { expected: 1, got: 0 });
}

#[test]
fn published_windows_are_marked_and_counted_twice() {
    let published = EvalOptions { rule: WindowRule::Original, ..options(4, 16) };
    let (_, receipt) = evaluate(stream(40, 10), published, None);
    assert!(receipt.run.marks.as_published);
    assert_eq!((receipt.totals.tokens, receipt.coverage.duplicates), (44, 4));
    assert_eq!((receipt.totals.raw_bpb, receipt.verify()), (None, Ok(())));
}

#[test]
fn training_before_scoring_is_marked_in_run_and_receipt() {
    let mut backend = Reference::new();
    let how = TrainThenScoreOptions {
        adapt: AdaptOptions { epochs: 5, lr: 0.02, ..TrainThenScoreOptions::pr951().adapt },
        ..TrainThenScoreOptions::pr951()
    };
    let model = model();
    let run = TrainThenScore::train(&mut backend, &model, stream(40, 11), options(8, 16), how);
    let mut run = block_on(run).expect("a valid run");
    assert_eq!(run.run().marks.illegal.as_deref(), Some("train-then-score"));
    assert!(run.losses()[4] < run.losses()[0], "it learns what it will score: {:?}", run.losses());
    while let Some(chunk) = run.next_chunk() {
        let scored = block_on(run.score(chunk)).expect("the next chunk");
        block_on(run.commit(scored)).expect("its own score");
    }
    let receipt = run.receipt().expect("all chunks are done");
    assert_eq!(receipt.verify(), Ok(()));
    assert_eq!(receipt.run.marks.lines(), ["illegal: train-then-score"]);
    let (_, honest) = evaluate(stream(40, 11), options(8, 16), None);
    assert!(receipt.totals.nll < honest.totals.nll);
    let mut laundered = receipt.clone();
    laundered.run.marks.illegal = None;
    assert!(laundered.verify().is_err());
    laundered.run.method = Method::ScoreFirst;
    assert!(laundered.verify().is_err());
}

/// Every leaf of a JSON value, changed one at a time.
fn tampered(value: &serde_json::Value) -> Vec<serde_json::Value> {
    use serde_json::Value;
    match value {
        Value::Null => vec![Value::from(1)],
        Value::Bool(b) => vec![Value::from(!b)],
        Value::Number(n) if n.is_f64() => vec![Value::from(n.as_f64().expect("a float") + 0.25)],
        Value::Number(n) => vec![Value::from(n.as_u64().expect("a count") + 1)],
        Value::String(s) => vec![Value::from(format!("{s}0"))],
        Value::Array(items) => (0..items.len())
            .flat_map(|i| {
                let with = move |changed| {
                    let mut items = items.clone();
                    items[i] = changed;
                    Value::Array(items)
                };
                tampered(&items[i]).into_iter().map(with)
            })
            .collect(),
        Value::Object(fields) => fields
            .iter()
            .flat_map(|(key, value)| {
                let with = move |changed| {
                    let mut fields = fields.clone();
                    fields[key] = changed;
                    Value::Object(fields)
                };
                tampered(value).into_iter().map(with)
            })
            .collect(),
    }
}

#[test]
fn no_field_of_a_receipt_can_be_changed_unnoticed() {
    let (_, receipt) = evaluate(stream(40, 12), options(8, 16), ttt(SGD));
    let json = serde_json::to_value(&receipt).expect("a JSON form");
    let back: Receipt = serde_json::from_value(json.clone()).expect("its own JSON");
    assert_eq!((&back, back.verify()), (&receipt, Ok(())));
    let mut refused = 0;
    for changed in tampered(&json) {
        let text = changed.to_string();
        match serde_json::from_value::<Receipt>(changed) {
            Err(_) => refused += 1,
            Ok(changed) => assert!(changed.verify().is_err(), "{text}"),
        }
    }
    assert!(refused < 40, "most changes reach the verifier");
    let mut short = receipt.clone();
    short.chunks.pop();
    assert_eq!(short.verify(), Err(ReceiptError::Chunks { expected: 3, got: 2 }));
    let mut swapped = receipt;
    swapped.chunks.swap(0, 1);
    assert_eq!(swapped.verify(), Err(ReceiptError::Order { position: 0, got: 1 }));
}

#[test]
fn tokens_and_tensors_that_do_not_fit_the_model_are_refused_by_name() {
    let refused = |stream: Stream| {
        let mut backend = Reference::new();
        block_on(Evaluator::new(&mut backend, &model(), stream, options(8, 16), None)).err().expect("refused")
    };
    let mut outside = stream(40, 13);
    outside.tokens[17] = 24;
    assert_eq!(refused(outside), EvalError::Token { position: 17, id: 24, vocab: 24 });
    let mut short = stream(40, 13);
    short.target_bytes.pop();
    assert_eq!(refused(short), EvalError::TargetBytes { targets: 40, got: 39 });
    assert_eq!(refused(stream(0, 13)), WindowError::NoTargets.into());

    let mut tensors = model().tensors().clone();
    tensors.remove("smear.gate");
    let config = model().config().clone();
    let missing = ModelWeights::new(config.clone(), tensors.clone(), [0; 32]).unwrap_err();
    assert_eq!(missing, EvalError::MissingParameter { name: "smear.gate".into() });
    tensors.insert("smear.gate".into(), crate::tensor::Tensor::f32(&[9], vec![0.0; 9]));
    assert!(matches!(ModelWeights::new(config, tensors, [0; 32]), Err(EvalError::ParameterShape { .. })));
}

#[test]
fn generation_is_reproducible_and_stops_when_told() {
    let generate = |seed, stop_after: usize| {
        let mut backend = Reference::new();
        let mut generator = Generator::new(&mut backend, &model(), WINDOW).expect("a window");
        let mut tokens = vec![1, 2, 3];
        let mut emitted = 0;
        let sampling = Sampling { temperature: 1.0, top_k: 0, seed };
        let emit = async |_| {
            emitted += 1;
            if emitted == stop_after {
                std::ops::ControlFlow::Break(())
            } else {
                std::ops::ControlFlow::Continue(())
            }
        };
        block_on(generator.generate(&mut tokens, 12, sampling, emit)).expect("a valid prompt");
        tokens
    };
    assert_eq!(generate(1, 99), generate(1, 99));
    assert_ne!(generate(1, 99), generate(2, 99));
    assert_eq!((generate(1, 99).len(), generate(1, 4).len()), (15, 7));
    assert_eq!(generate(1, 99)[..7], generate(1, 4)[..]);
}

#[test]
fn alternatives_have_the_probabilities_that_the_score_has() {
    let stream = stream(20, 3);
    let tokens = stream.tokens.clone();
    let (scores, _) = evaluate(stream, options(4, 100), None);
    let plan = WindowPlan::new(WindowRule::Exact, 20, WINDOW, 4).expect("a valid plan");
    for span in plan.iter() {
        let (mut backend, model) = (Reference::new(), model());
        let found = alternatives(&mut backend, &model, &tokens, span, 24);
        let found = block_on(found).expect("tokens of the vocabulary");
        assert_eq!(found.len(), span.scored());
        for (target, found) in (span.first_scored..span.end).zip(found) {
            assert!(found.windows(2).all(|pair| pair[0].probability >= pair[1].probability));
            assert!((found.iter().map(|a| a.probability).sum::<f64>() - 1.0).abs() < 1e-9);
            let own = found.iter().find(|a| a.token == tokens[target + 1]).expect("all 24 were asked for");
            let (_, nll) = scores[0].iter().find(|(position, _)| *position == target).expect("scored");
            assert!((own.probability.ln() + f64::from_bits(*nll)).abs() < 1e-5, "target {target}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn every_plan_scores_every_target_once_under_adaptation(
        targets in 1usize..60, stride in 1usize..=WINDOW, chunk in 1usize..40, seed in 0u64..100,
    ) {
        let (scores, receipt) = evaluate(stream(targets, seed), options(stride, chunk), ttt(SGD));
        let mut positions: Vec<usize> = scores.iter().flatten().map(|(p, _)| *p).collect();
        positions.sort_unstable();
        prop_assert_eq!(positions, (0..targets).collect::<Vec<_>>());
        prop_assert_eq!(receipt.verify(), Ok(()));
    }
}
