//! Decoding behind caches against the whole forward pass, for every published system at small size.

use golf_core::backend::{Backend, BackendError, ExecutableId, LocalFuture};
use golf_core::cpu::Cpu;
use golf_core::eval::{Generator, ModelWeights, Sampling, context_start};
use golf_core::model::gpt::{Weights, Window};
use golf_core::model::graphs::{decode_graph, logits_graph};
use golf_core::model::{ModelConfig, Role, parameters};
use golf_core::plan::{Plan, PlanOptions};
use golf_core::quant::pack::dequantize;
use golf_core::reference::Reference;
use golf_core::tensor::Tensor;
use golf_tests::draw::Draw;
use golf_tests::models::{VOCAB, random_weights, small_models};
use golf_tests::run::wait;
use std::collections::BTreeMap;
use std::ops::ControlFlow;

const WINDOW: usize = 16;

/// The most likely token, again and again.
const GREEDY: Sampling = Sampling { temperature: 0.0, top_k: 0, seed: 0 };

fn prompt(len: usize) -> Vec<i32> {
    Draw::new(len as u64).ids(len, VOCAB).i32s().to_vec()
}

fn model(config: &ModelConfig, tensors: BTreeMap<String, Tensor>) -> ModelWeights {
    ModelWeights::new(config.clone(), tensors, [0; 32]).expect("the model's own parameters")
}

fn decode(
    backend: &mut dyn Backend,
    model: &ModelWeights,
    window: usize,
    prompt: &[i32],
    count: usize,
) -> Vec<i32> {
    let mut generator = Generator::new(backend, model, window).expect("a window");
    let mut tokens = prompt.to_vec();
    wait(generator.generate(&mut tokens, count, GREEDY, async |_| ControlFlow::Continue(())))
        .expect("a valid prompt");
    tokens
}

/// The same without caches: every token from the whole forward pass over its context.
fn whole(
    backend: &mut dyn Backend,
    config: &ModelConfig,
    tensors: &BTreeMap<String, Tensor>,
    window: usize,
    prompt: &[i32],
    count: usize,
) -> Vec<i32> {
    let shape = Window { rows: 1, seq: window };
    let graph = logits_graph(config, &Weights::default(), shape).expect("a valid model");
    let plan = Plan::new("whole", &graph, PlanOptions::default());
    tensors.iter().for_each(|(name, tensor)| backend.write_state(name, tensor).expect("a new state"));
    let executable = wait(backend.compile(plan)).expect("the plan compiles");
    let mut tokens = prompt.to_vec();
    for _ in 0..count {
        let context = &tokens[context_start(tokens.len(), window)..];
        assert!(context.len() <= window && (context.len() > window / 2 || context.len() == tokens.len()));
        let mut padded = context.to_vec();
        padded.resize(window, 0);
        backend.submit(executable, &[("tokens", &Tensor::i32(&[window], padded))]).expect("valid tokens");
        let logits = wait(backend.read_output(executable, "logits")).expect("an output of the plan").to_f64();
        let last = &logits[(context.len() - 1) * config.vocab..context.len() * config.vocab];
        let best = (0..last.len()).reduce(|a, b| if last[b] > last[a] { b } else { a });
        tokens.push(best.expect("a vocabulary") as i32);
    }
    tokens
}

#[test]
fn decoding_behind_a_cache_writes_what_the_whole_forward_pass_writes() {
    for (name, config) in small_models() {
        let tensors = random_weights(&config, 7);
        let weights = model(&config, tensors.clone());
        // One token, fewer than a chunk, a chunk and a rest, a full window, and more than one.
        for len in [1, 7, 13, WINDOW, WINDOW + 1, 3 * WINDOW + 5] {
            let prompt = prompt(len);
            let want = whole(&mut Reference::new(), &config, &tensors, WINDOW, &prompt, 24);
            let exact = decode(&mut Reference::with_poison(), &weights, WINDOW, &prompt, 24);
            assert_eq!(exact, want, "{name}, reference, a prompt of {len}");
            let fast = decode(&mut Cpu::new().with_poison(), &weights, WINDOW, &prompt, 24);
            assert_eq!(fast, want, "{name}, cpu, a prompt of {len}");
        }
    }
}

/// Logits after each of `tokens`, read `new` at a time behind the caches.
fn cached_logits(
    backend: &mut dyn Backend,
    config: &ModelConfig,
    tensors: &BTreeMap<String, Tensor>,
    tokens: &[i32],
    new: usize,
) -> Vec<f64> {
    tensors.iter().for_each(|(name, tensor)| backend.write_state(name, tensor).expect("a new state"));
    let graph = decode_graph(config, &Weights::default(), tokens.len(), new).expect("a valid model");
    let plan = Plan::new("decode", &graph, PlanOptions::default());
    let executable = wait(backend.compile(plan)).expect("the plan compiles");
    let single = |value: usize| Tensor::i32(&[1], vec![value as i32]);
    let mut logits = Vec::new();
    for position in (0..tokens.len()).step_by(new) {
        // Before position 0 there is nothing: what stands there must not matter.
        let text = [&[3, 5], tokens].concat();
        let before = Tensor::i32(&[2], text[position..position + 2].to_vec());
        let ids = Tensor::i32(&[new], tokens[position..position + new].to_vec());
        for last in 0..new {
            let (at, last) = (single(position), single(last));
            let inputs = [("tokens", &ids), ("before", &before), ("position", &at), ("last", &last)];
            backend.submit(executable, &inputs).expect("valid tokens");
            logits.extend(wait(backend.read_output(executable, "logits")).expect("an output").to_f64());
        }
    }
    logits
}

#[test]
fn logits_behind_a_cache_are_those_of_the_whole_forward_pass() {
    for (name, config) in small_models() {
        let tensors = random_weights(&config, 6);
        let tokens = prompt(24);
        let graph =
            logits_graph(&config, &Weights::default(), Window { rows: 1, seq: 24 }).expect("a valid model");
        let mut reference = Reference::new();
        tensors.iter().for_each(|(name, tensor)| reference.write_state(name, tensor).expect("a new state"));
        let plan = Plan::new("whole", &graph, PlanOptions::default());
        let executable = wait(reference.compile(plan)).expect("the plan compiles");
        reference
            .submit(executable, &[("tokens", &Tensor::i32(&[24], tokens.clone()))])
            .expect("valid tokens");
        let want = wait(reference.read_output(executable, "logits")).expect("an output").to_f64();
        for new in [1, 4, 24] {
            let close = |got: Vec<f64>, limit: f64| {
                let worst = got.iter().zip(&want).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
                assert!(got.len() == want.len() && worst < limit, "{name}, {new} at a time: {worst}");
            };
            close(cached_logits(&mut Reference::with_poison(), &config, &tensors, &tokens, new), 1e-11);
            close(cached_logits(&mut Cpu::new().with_poison(), &config, &tensors, &tokens, new), 1e-4);
        }
    }
}

#[test]
fn a_chunk_that_would_pass_the_end_of_the_window_starts_earlier() {
    // 64 tokens, then 20 more of which a second chunk must begin at 32.
    let (window, len) = (96, 84);
    for (name, config) in small_models() {
        let tensors = random_weights(&config, 8);
        let want = whole(&mut Cpu::new(), &config, &tensors, window, &prompt(len), 14);
        let got = decode(&mut Cpu::new().with_poison(), &model(&config, tensors), window, &prompt(len), 14);
        assert_eq!(got, want, "{name}");
    }
}

#[test]
fn packed_weights_write_what_their_values_write() {
    let (name, config) = small_models().remove(4);
    let mut draw = Draw::new(1);
    let (mut packed, mut plain) = (random_weights(&config, 9), random_weights(&config, 9));
    for param in parameters(&config).into_iter().filter(|p| p.role != Role::Control) {
        let [rows, cols] = [param.shape[0], param.shape[1]];
        let weight = draw.packed(6, rows, cols);
        let values = dequantize(6, weight.words(), rows, cols);
        plain.insert(param.name.clone(), Tensor::f32(&param.shape, values));
        packed.insert(param.name, weight);
    }
    let want = whole(&mut Reference::new(), &config, &plain, WINDOW, &prompt(9), 20);
    let (packed, plain) = (model(&config, packed), model(&config, plain));
    for weights in [&packed, &plain] {
        assert_eq!(decode(&mut Reference::new(), weights, WINDOW, &prompt(9), 20), want, "{name}, reference");
        assert_eq!(decode(&mut Cpu::new(), weights, WINDOW, &prompt(9), 20), want, "{name}, cpu");
    }
}

/// A backend that counts what is asked of another.
struct Counting {
    backend: Cpu,
    compiled: usize,
    submitted: Vec<usize>,
}

impl Backend for Counting {
    fn name(&self) -> String {
        self.backend.name()
    }

    fn compile(&mut self, plan: Plan) -> LocalFuture<'_, Result<ExecutableId, BackendError>> {
        self.compiled += 1;
        self.backend.compile(plan)
    }

    fn release(&mut self, executable: ExecutableId) {
        self.backend.release(executable);
    }

    fn write_state(&mut self, name: &str, tensor: &Tensor) -> Result<(), BackendError> {
        self.backend.write_state(name, tensor)
    }

    fn read_state<'a>(&'a mut self, name: &'a str) -> LocalFuture<'a, Result<Tensor, BackendError>> {
        self.backend.read_state(name)
    }

    fn submit(&mut self, executable: ExecutableId, inputs: &[(&str, &Tensor)]) -> Result<(), BackendError> {
        self.submitted.push(inputs[0].1.ty().numel());
        self.backend.submit(executable, inputs)
    }

    fn read_output<'a>(
        &'a mut self,
        executable: ExecutableId,
        name: &'a str,
    ) -> LocalFuture<'a, Result<Tensor, BackendError>> {
        self.backend.read_output(executable, name)
    }
}

#[test]
fn a_new_token_costs_one_pass_over_itself_and_nothing_is_compiled_for_it() {
    let (_, config) = small_models().remove(2);
    let weights = model(&config, random_weights(&config, 2));
    let mut backend = Counting { backend: Cpu::new(), compiled: 0, submitted: vec![] };
    decode(&mut backend, &weights, 512, &prompt(323), 50);
    // Two chunks and three tokens of the prompt; the last token generated is never read.
    assert_eq!(backend.submitted[..5], [256, 64, 1, 1, 1]);
    assert_eq!(backend.submitted[5..], [1; 49]);
    assert_eq!(backend.compiled, 3);
}

#[test]
fn a_conversation_may_be_read_and_continued_in_pieces() {
    for (name, config) in small_models() {
        let weights = model(&config, random_weights(&config, 5));
        let want = decode(&mut Cpu::new(), &weights, WINDOW, &prompt(11), 30);
        let mut backend = Cpu::new();
        let mut generator = Generator::new(&mut backend, &weights, WINDOW).expect("a window");
        let mut tokens = prompt(11);
        wait(generator.prefill(&tokens[..6])).expect("a valid prompt");
        wait(generator.prefill(&tokens)).expect("a valid prompt");
        for count in [1, 9, 20] {
            let go_on = async |_| ControlFlow::Continue(());
            wait(generator.generate(&mut tokens, count, GREEDY, go_on)).expect("a valid prompt");
        }
        assert_eq!(tokens, want, "{name}");
        // Another text altogether, and back again.
        wait(generator.prefill(&prompt(14))).expect("a valid prompt");
        let mut tokens = prompt(11);
        wait(generator.generate(&mut tokens, 30, GREEDY, async |_| ControlFlow::Continue(())))
            .expect("a valid prompt");
        assert_eq!(tokens, want, "{name}, after another text");
    }
}

#[test]
fn tokens_that_would_pass_the_end_of_the_window_are_refused() {
    let (_, config) = small_models().remove(2);
    let graph = decode_graph(&config, &Weights::default(), WINDOW, 4).expect("a valid model");
    let mut backend = Cpu::new();
    let plan = Plan::new("decode", &graph, PlanOptions::default());
    let executable = wait(backend.compile(plan)).expect("the plan compiles");
    let single = |value: i32| Tensor::i32(&[1], vec![value]);
    let (tokens, before, last) = (Tensor::i32(&[4], vec![1; 4]), Tensor::i32(&[2], vec![1; 2]), single(3));
    let mut submit = |position: i32| {
        let position = single(position);
        let inputs = [("tokens", &tokens), ("before", &before), ("position", &position), ("last", &last)];
        backend.submit(executable, &inputs)
    };
    assert_eq!(submit(12), Ok(()));
    for value in [13, -1] {
        let (plan, name) = ("decode".to_owned(), "position".to_owned());
        let refused = BackendError::IndexOutOfRange { plan, name, position: 0, value, bound: 13 };
        assert_eq!(submit(value), Err(refused));
    }
}

#[test]
fn contexts_start_at_half_windows_and_never_shrink_below_half() {
    let starts: Vec<usize> = (1..=26).map(|len| context_start(len, 10)).collect();
    assert_eq!(starts[..10], [0; 10]);
    assert_eq!(starts[10..15], [5; 5]);
    assert_eq!(starts[15..20], [10; 5]);
    assert_eq!(starts[20..25], [15; 5]);
    for (len, window) in [(1, 1), (5, 1), (8, 3), (100, 7)] {
        let left = len - context_start(len, window);
        assert!((1..=window).contains(&left) && (left > window / 2 || left == len), "{len} {window}: {left}");
    }
}
