//! What is CUDA's alone: the order of threads, products on tensor cores, and two runs of a training. Emulated, so on every
//! machine with a C++ compiler, and on a GPU where there is one; what a machine has not is said.

use golf_core::backend::Backend;
use golf_core::collective::Alone;
use golf_core::data::{TokenStream, shard};
use golf_core::model::ModelConfig;
use golf_core::ops::Op;
use golf_core::plan::{Activations, Plan, PlanOptions};
use golf_core::reference::Reference;
use golf_core::tensor::{Data, Tensor};
use golf_core::train::feed::Feed;
use golf_core::train::share::Reduction;
use golf_core::train::trainer::Trainer;
use golf_core::train::{Recipe, preset};
use golf_cuda::{Cuda, Driver, Emulator, Fidelity, Order, Precision, WGMMA};
use golf_tests::backends::{gpu_number, open};
use golf_tests::cases::{self, Case};
use golf_tests::run::{Flow, in_a_flow, run_case, run_in_a_flow};
use golf_tests::tolerance::{BF16, compare};
use half::bf16;
use std::collections::BTreeSet;

fn emulated(order: Order) -> Option<Cuda<Emulator>> {
    Some(Cuda::over(open("cuda-emulated", || Emulator::new(order))?).with_poison())
}

/// A real one.
fn gpu() -> Option<Cuda> {
    Some(open("cuda", || Cuda::open(gpu_number()))?.with_poison())
}

/// Bits of a tensor, so that NaN and signed zeros count.
fn bits(tensor: &Tensor) -> Vec<u32> {
    match tensor.data() {
        Data::F32(v) => v.iter().map(|x| x.to_bits()).collect(),
        Data::I32(v) => v.iter().map(|&x| x as u32).collect(),
        Data::F64(_) | Data::Packed(_) => panic!("a backend returns f32 or i32"),
    }
}

fn describe(case: &Case) -> String {
    format!("{} [{}]", case.op.def().name(), case.name)
}

#[test]
fn the_order_of_threads_and_blocks_does_not_change_a_bit() {
    let (Some(mut forwards), Some(mut backwards)) = (emulated(Order::Forwards), emulated(Order::Backwards))
    else {
        return;
    };
    same_bits(&mut forwards, &mut backwards);
}

#[test]
fn two_runs_on_a_gpu_give_the_same_bits() {
    let (Some(mut first), Some(mut second)) = (gpu(), gpu()) else { return };
    same_bits(&mut first, &mut second);
    let [mut first, mut second] = [first, second].map(|cuda| cuda.with_precision(Precision::Bf16));
    same_bits_in_a_flow(&mut first, &mut second, &flowing());
}

/// PR #549's structure and recipe with heads of 64 channels, matrices of whole tiles and sequences of several; otherwise as small
/// as a device in software wants it.
fn of_whole_tiles() -> (ModelConfig, Recipe) {
    let preset = preset("pr549", false).expect("a preset");
    let model = ModelConfig {
        vocab: 128,
        layers: 2,
        dim: 128,
        heads: 2,
        kv_heads: 1,
        hidden: 256,
        bigram_buckets: 64,
        ve_layers: vec![1],
        xsa_last_n: 1,
        ..preset.model
    };
    // Two micro-batches a step, so that gradients add up and every plan is replayed; fake quantization in the last step.
    let recipe = Recipe {
        train_batch_tokens: 512,
        train_seq_len: 256,
        grad_accum_steps: 1,
        micro_batch_rows: 1,
        iterations: 4,
        max_wallclock_seconds: 0.0,
        warmdown_iters: 3,
        qat_threshold: 0.5,
        ..preset.recipe
    };
    (model, recipe)
}

/// Losses and all states of a short training: weights, gradients, moments, averages.
fn trained(mut cuda: Cuda) -> (Vec<f64>, Vec<(String, Tensor)>) {
    let (model, recipe) = of_whole_tiles();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("t_train_000000.bin");
    let tokens: Vec<u16> = (0..4000u32).map(|i| ((i * i / 7 + 3 * i) % 128) as u16).collect();
    shard::write(&path, &tokens).expect("a shard is written");
    let mut feed = Feed::new(TokenStream::open(vec![path]).expect("the shard opens"));
    pollster::block_on(async {
        let mut alone = Alone::new(&mut cuda);
        let new = Trainer::new(&mut alone, &model, &recipe, Reduction::Once);
        let mut trainer = new.await.expect("the model compiles");
        let mut losses = Vec::new();
        for _ in 0..recipe.iterations {
            losses.push(trainer.step(&mut feed, 0.0).await.expect("a step").loss);
        }
        (losses, trainer.snapshot().await.expect("states"))
    })
}

#[test]
fn two_trainings_of_a_model_of_whole_tiles_on_a_gpu_end_in_the_same_bits() {
    for precision in [Precision::F32, Precision::Bf16] {
        let train = || Some(trained(gpu()?.with_precision(precision)));
        let (Some((losses, first)), Some((again, second))) = (train(), train()) else { return };
        println!("{precision:?}: losses {losses:?}");
        assert!(losses.iter().all(|loss| loss.is_finite()), "{losses:?}");
        assert_eq!(losses, again, "{precision:?}");
        for ((name, a), (_, b)) in first.iter().zip(&second) {
            assert!(bits(a) == bits(b), "{precision:?}: {name}");
        }
    }
}

/// Runs every case on both.
fn same_bits<D: Driver>(first: &mut Cuda<D>, second: &mut Cuda<D>) {
    for case in cases::all() {
        let [a, b] = [&mut *first, &mut *second]
            .map(|cuda| run_case(cuda, &case).unwrap_or_else(|error| panic!("{}: {error}", describe(&case))));
        assert!(a.iter().zip(&b).all(|(a, b)| bits(a) == bits(b)), "{}", describe(&case));
    }
}

/// The same between layers with activations of their own.
fn same_bits_in_a_flow<D: Driver>(first: &mut Cuda<D>, second: &mut Cuda<D>, cases: &[Case]) {
    for case in cases {
        let [a, b] = [&mut *first, &mut *second].map(|cuda| {
            run_in_a_flow(cuda, case, Flow::Natural)
                .unwrap_or_else(|error| panic!("{}: {error}", describe(case)))
        });
        assert!(a.iter().zip(&b).all(|(a, b)| bits(a) == bits(b)), "{}", describe(case));
    }
}

/// The same case where every float is one of bf16.
fn rounded(case: &Case) -> Case {
    let round = |x: &Tensor| match x.data() {
        Data::F32(v) => Tensor::f32(x.shape(), v.iter().map(|&x| bf16::from_f32(x).to_f32()).collect()),
        _ => x.clone(),
    };
    Case { inputs: case.inputs.iter().map(round).collect(), ..case.clone() }
}

/// Cases of ops between layers with activations of their own.
fn flowing() -> Vec<Case> {
    let flows = |case: &Case| {
        let plan = Plan::new("flow", &in_a_flow(case, Flow::Natural), PlanOptions::default());
        let activations = Activations::of(&plan);
        let own = plan.steps.iter().position(|step| step.op == case.op).expect("the op is in its plan");
        let ends = matches!(case.op, Op::EmbedGrad(_) | Op::HeadCrossEntropy(_) | Op::Linear(_));
        ends || activations.outputs[own].contains(&true)
    };
    cases::all().iter().map(rounded).filter(flows).collect()
}

#[test]
fn activations_of_bf16_agree_with_the_oracle_to_its_precision() {
    let Some(own) = emulated(Order::Forwards) else { return };
    let cases = flowing();
    let ops: BTreeSet<&str> = cases.iter().map(|case| case.op.def().name()).collect();
    assert!(ops.len() >= 25 || std::env::var_os("CONFORMANCE_OPS").is_some(), "{ops:?}");
    agrees_in_a_flow(own, &cases, Flow::Natural);
    let (products, others): (Vec<Case>, Vec<Case>) = cases.into_iter().partition(|case| is_product(&case.op));
    let another = || Emulator::new(Order::Forwards).expect("there was one a moment ago");
    let library = Cuda::over(another().with_library(Fidelity::Checked)).with_poison();
    let refused = agrees_in_a_flow(library, &products, Flow::Natural);
    assert!(refused.is_empty(), "a library that forms every product right is believed: {refused:?}");
    agrees_in_a_flow(Cuda::over(another()).with_poison(), &others, Flow::First);
}

#[test]
fn activations_of_bf16_on_a_gpu_agree_with_the_oracle_to_its_precision() {
    let Some(cuda) = gpu() else { return };
    agrees_in_a_flow(cuda, &flowing(), Flow::Natural);
}

/// Every op between layers of a model has the oracle's results to the precision of bf16; what the device has to tell.
fn agrees_in_a_flow<D: Driver>(cuda: Cuda<D>, cases: &[Case], flow: Flow) -> Vec<String> {
    let mut cuda = cuda.with_precision(Precision::Bf16);
    for case in cases {
        let want =
            run_in_a_flow(&mut Reference::with_poison(), case, flow).expect("the oracle takes every case");
        let got = run_in_a_flow(&mut cuda, case, flow)
            .unwrap_or_else(|error| panic!("{}: {error}", describe(case)));
        for (got, want) in got.iter().zip(&want) {
            let compared = compare(got, want, BF16, case.terms(), case.condition);
            compared.unwrap_or_else(|why| panic!("{} ({flow:?}): {why}", describe(case)));
        }
    }
    cuda.notes()
}

#[test]
fn the_order_of_threads_does_not_change_a_bit_of_activations() {
    let in_order = |order| emulated(order).map(|cuda| cuda.with_precision(Precision::Bf16));
    let (Some(mut forwards), Some(mut backwards)) = (in_order(Order::Forwards), in_order(Order::Backwards))
    else {
        return;
    };
    // Products of activations are those of rounded floats, whose order is tested with their fragments.
    let cases: Vec<Case> = flowing().into_iter().filter(|case| !is_product(&case.op)).collect();
    same_bits_in_a_flow(&mut forwards, &mut backwards, &cases);
}

/// Whether `op` is made of products that tensor cores form.
fn is_product(op: &Op) -> bool {
    matches!(
        op,
        Op::Attention(_)
            | Op::AttentionGrad(_)
            | Op::HeadCrossEntropy(_)
            | Op::HeadCrossEntropyGrad(_)
            | Op::Linear(_)
            | Op::LinearActivation(_)
            | Op::LinearAdd(_)
            | Op::LinearAddScaled(_)
            | Op::LinearResidual(_)
            | Op::NewtonSchulz(_)
    )
}

#[test]
fn products_of_bf16_agree_with_the_oracle_to_its_precision() {
    let Some(own) = emulated(Order::Forwards) else { return };
    agrees_in_bf16(own);
    let emulator = Emulator::new(Order::Forwards).expect("there was one a moment ago");
    agrees_in_bf16(Cuda::over(emulator.with_library(Fidelity::Right)).with_poison());
}

#[test]
fn products_of_bf16_on_a_gpu_agree_with_the_oracle_to_its_precision() {
    let Some(cuda) = gpu() else { return };
    agrees_in_bf16(cuda);
}

/// Every product in bf16, whoever forms it, is the oracle's to the precision of bf16.
fn agrees_in_bf16<D: Driver>(cuda: Cuda<D>) {
    let mut cuda = cuda.with_precision(Precision::Bf16);
    for case in cases::all().iter().filter(|case| is_product(&case.op)) {
        let want = run_case(&mut Reference::with_poison(), case).expect("the oracle takes every case");
        let got = run_case(&mut cuda, case).expect("the backend takes every case");
        for (got, want) in got.iter().zip(&want) {
            let compared = compare(got, want, BF16, case.terms(), case.condition);
            compared.unwrap_or_else(|why| panic!("{}: {why}", describe(case)));
        }
    }
    let notes = cuda.notes();
    notes.iter().for_each(|note| println!("note: {note}"));
    // Else what agrees is not what trains on this device.
    let allowed = std::env::var(WGMMA).as_deref() != Ok("off");
    assert_eq!(cuda.uses_wgmma(), cuda.driver().has_wgmma() && allowed, "{notes:?}");
}
