//! What every backend promises besides accuracy: the same bits twice, whatever is switched; whole models scored and adapted
//! like the oracle does; work that survives the loss of a device.

use golf_core::backend::{Backend, BackendError};
use golf_core::eval::{
    AdaptOptions, EvalError, EvalOptions, Evaluator, Marks, ModelWeights, Receipt, Source, Stream,
    TttOptimizer, WindowRule,
};
use golf_core::graph::Graph;
use golf_core::model::gpt::{Weights, Window};
use golf_core::model::graphs::{gradient_graph, score_graph, score_rows_graph};
use golf_core::model::{ModelConfig, parameters};
use golf_core::ops::Add;
use golf_core::plan::{Fusion, Plan, PlanOptions};
use golf_core::reference::Reference;
use golf_core::tensor::{Tensor, TensorType};
use golf_tests::backends::{Candidate, available, open};
use golf_tests::draw::Draw;
use golf_tests::models::{VOCAB, random_weights, small_models};
use golf_tests::run::{model_results, wait};
use golf_tests::tolerance::compare;

const WINDOW: Window = Window { rows: 2, seq: 9 };

/// The graphs of scoring and of the gradient towards every parameter.
fn graphs(config: &ModelConfig) -> [Graph; 2] {
    let all: Vec<String> = parameters(config).into_iter().map(|p| p.name).collect();
    let weights = Weights::default();
    let score = score_graph(config, &weights, WINDOW);
    [score, gradient_graph(config, &weights, WINDOW, &all)]
        .map(|graph| graph.expect("a small model is valid"))
}

/// The kinds of device that this machine has.
fn kinds() -> Vec<&'static Candidate> {
    available().into_iter().map(|(candidate, _)| candidate).collect()
}

/// A device of a kind that was there.
fn fresh(candidate: &Candidate, poison: bool) -> Box<dyn Backend> {
    (candidate.make)(poison).expect("a backend that was there is still there")
}

#[test]
fn two_runs_give_the_same_bits() {
    for candidate in kinds() {
        for (name, config) in small_models() {
            let (mut one, mut other) = (fresh(candidate, true), fresh(candidate, true));
            for graph in graphs(&config) {
                let options = PlanOptions::default();
                let first = model_results(&mut *one, &config, WINDOW, &graph, options);
                assert_eq!(
                    model_results(&mut *one, &config, WINDOW, &graph, options),
                    first,
                    "{}, {name}",
                    candidate.name
                );
                assert_eq!(
                    model_results(&mut *other, &config, WINDOW, &graph, options),
                    first,
                    "{}, {name}",
                    candidate.name
                );
            }
        }
    }
}

/// The first output of `graph`, of a model with random weights.
fn output(
    device: &mut dyn Backend,
    config: &ModelConfig,
    graph: &Graph,
    inputs: &[(&str, &Tensor)],
) -> Tensor {
    for (name, tensor) in random_weights(config, 3) {
        device.write_state(&name, &tensor).expect("a parameter keeps its type");
    }
    let plan = wait(device.compile(Plan::new("model", graph, PlanOptions::default()))).expect("a small plan");
    device.submit(plan, inputs).expect("all inputs are given");
    wait(device.read_output(plan, &graph.outputs()[0].0)).expect("an output of the graph")
}

#[test]
fn rows_that_are_asked_for_have_the_scores_that_they_have_among_all() {
    let mut draw = Draw::new(5);
    let [tokens, targets] = [0, 1].map(|_| draw.ids(WINDOW.tokens(), VOCAB));
    // In any order, and twice.
    let asked = [17, 8, 3, 8, 0];
    let of_asked: Vec<i32> = asked.iter().map(|&row: &i32| targets.i32s()[row as usize]).collect();
    let (rows, of_asked) =
        (Tensor::i32(&[asked.len()], asked.to_vec()), Tensor::i32(&[asked.len()], of_asked));
    for candidate in kinds() {
        for (name, config) in small_models() {
            let weights = Weights::default();
            let all = score_graph(&config, &weights, WINDOW).expect("a small model is valid");
            let some = score_rows_graph(&config, &weights, WINDOW, asked.len()).expect("the same model");
            let mut device = fresh(candidate, true);
            let inputs = [("tokens", &tokens), ("targets", &targets)];
            let all = output(&mut *device, &config, &all, &inputs).to_f64();
            let inputs = [("tokens", &tokens), ("rows", &rows), ("targets", &of_asked)];
            let got = output(&mut *device, &config, &some, &inputs);
            let want: Vec<f64> = asked.iter().map(|&row| all[row as usize]).collect();
            let close = compare(&got, &Tensor::f64(&[asked.len()], want), candidate.unit, 64, 8.0);
            assert_eq!(close, Ok(()), "{}, {name}", candidate.name);
        }
    }
}

#[test]
fn a_released_plan_leaves_states_and_other_plans_as_they_were() {
    for candidate in kinds() {
        let mut device = fresh(candidate, true);
        let mut adding = Graph::new();
        let ty = TensorType::f32(&[3]);
        let (sum, x) = (adding.state("sum", ty.clone()), adding.input("x", ty));
        let new = adding.apply(Add, &[sum, x]).expect("equal shapes");
        adding.assign(sum, new);
        let mut compile = || wait(device.compile(Plan::new("add", &adding, PlanOptions::default())));
        let [first, second] = [compile(), compile()].map(|plan| plan.expect("a small plan"));
        let x = Tensor::f32(&[3], vec![1.0, 2.0, 3.0]);
        for plan in [first, second] {
            device.submit(plan, &[("x", &x)]).expect("it runs");
        }
        device.release(first);
        device.submit(second, &[("x", &x)]).expect("it still runs");
        let third = wait(device.compile(Plan::new("add", &adding, PlanOptions::default()))).expect("a plan");
        assert!(![first, second].contains(&third), "{}: a handle is given once", candidate.name);
        device.submit(third, &[("x", &x)]).expect("it runs");
        let sum = wait(device.read_state("sum")).expect("the state").to_f32();
        assert_eq!(sum, [4.0, 8.0, 12.0], "{}", candidate.name);
    }
}

#[test]
fn no_switch_changes_a_result() {
    for candidate in kinds() {
        for (name, config) in small_models() {
            let (mut plain, mut poisoned) = (fresh(candidate, false), fresh(candidate, true));
            for graph in graphs(&config) {
                let all = PlanOptions::default();
                let expected = model_results(&mut *plain, &config, WINDOW, &graph, all);
                let got = model_results(&mut *poisoned, &config, WINDOW, &graph, all);
                assert_eq!(got, expected, "{}, {name}, poisoned", candidate.name);
                let got =
                    model_results(&mut *plain, &config, WINDOW, &graph, PlanOptions { reuse: false, ..all });
                assert_eq!(got, expected, "{}, {name}, no slot used twice", candidate.name);
                // A device may round the end of a product differently where it is fused with what follows.
                let got = model_results(
                    &mut *plain,
                    &config,
                    WINDOW,
                    &graph,
                    PlanOptions { fuse: Fusion::NONE, ..all },
                );
                // A scalar's gradient adds up a term for every channel of every token.
                let terms = WINDOW.tokens() * config.dim;
                for (got, expected) in got.iter().zip(&expected) {
                    let expected = Tensor::f64(expected.shape(), expected.to_f64());
                    let close = compare(got, &expected, candidate.unit, terms, 8.0);
                    assert_eq!(close, Ok(()), "{}, {name}, nothing fused", candidate.name);
                }
            }
        }
    }
}

/// A model, a stream of a few chunks, and how it is adapted.
fn evaluation() -> (ModelWeights, Stream, EvalOptions, AdaptOptions) {
    let (_, config) = small_models().swap_remove(2);
    let model = ModelWeights::new(config.clone(), random_weights(&config, 3), [0; 32])
        .expect("all parameters are there");
    let tokens = Draw::new(8).ids(16 * 12 + 1, VOCAB).i32s().to_vec();
    let target_bytes = vec![1; tokens.len() - 1];
    let stream = Stream { tokens, target_bytes, source: Source::default(), marks: Marks::default() };
    let options = EvalOptions {
        rule: WindowRule::NonOverlapping,
        window: 12,
        stride: 12,
        chunk: 48,
        ..EvalOptions::default()
    };
    let adapt = AdaptOptions {
        optimizer: TttOptimizer::Sgd { momentum: 0.9 },
        lr: 0.01,
        epochs: 2,
        batch_rows: 2,
        clip: 1.0,
        ..AdaptOptions::default()
    };
    (model, stream, options, adapt)
}

fn finish(evaluator: &mut Evaluator<'_>) -> Result<Receipt, EvalError> {
    while let Some(chunk) = evaluator.next_chunk() {
        let scored = wait(evaluator.score(chunk))?;
        wait(evaluator.adapt(scored))?;
    }
    evaluator.receipt()
}

fn whole(backend: &mut dyn Backend) -> Receipt {
    let (model, stream, options, adapt) = evaluation();
    let mut evaluator =
        wait(Evaluator::new(backend, &model, stream, options, Some(adapt))).expect("a valid run");
    finish(&mut evaluator).expect("a run without accidents ends")
}

#[test]
fn adaptation_follows_the_oracle_chunk_by_chunk() {
    let expected = whole(&mut Reference::new());
    for (candidate, mut backend) in available() {
        let got = whole(&mut *backend);
        for (got, expected) in got.chunks.iter().zip(&expected.chunks) {
            let error = (got.nll - expected.nll).abs() / expected.nll;
            assert!(
                error < 1e-5,
                "{}: chunk {}: {} for {}",
                candidate.name,
                got.index,
                got.nll,
                expected.nll
            );
        }
    }
}

#[test]
fn a_lost_device_is_reported_and_its_work_goes_on_elsewhere_from_the_last_committed_chunk() {
    let make = || wait(golf_wgpu::Wgpu::open(0));
    let Some(mut device) = open("wgpu", make) else { return };
    let expected = whole(&mut device);
    let (model, stream, options, adapt) = evaluation();
    let start = |device| Evaluator::new(device, &model, stream.clone(), options.clone(), Some(adapt.clone()));
    let mut doomed = make().expect("a second device");
    let switch = doomed.switch();
    let snapshot = {
        let mut evaluator = wait(start(&mut doomed)).expect("a valid run");
        for chunk in 0..2 {
            let scored = wait(evaluator.score(chunk)).expect("the device is there");
            wait(evaluator.adapt(scored)).expect("the device is there");
        }
        let snapshot = wait(evaluator.snapshot()).expect("two chunks are committed");
        switch.destroy();
        let error = wait(evaluator.score(2)).map(|scored| scored.chunk()).expect_err("the device is gone");
        assert!(matches!(error, EvalError::Backend(BackendError::Lost { .. })), "{error}");
        snapshot
    };
    let mut other = make().expect("a third device");
    let mut evaluator = wait(start(&mut other)).expect("a valid run");
    wait(evaluator.restore(snapshot)).expect("a snapshot of the same run");
    assert_eq!(finish(&mut evaluator).expect("nothing else is lost"), expected);
}
