//! What is CUDA's alone: the order of threads, and products on tensor cores. Emulated, so on every machine with a C++
//! compiler; a machine without one says so.

use golf_core::backend::Backend;
use golf_core::ops::Op;
use golf_core::reference::Reference;
use golf_core::tensor::{Data, Tensor};
use golf_cuda::{Cuda, Driver, Emulator, Fidelity, Order, Precision};
use golf_tests::cases::{self, Case};
use golf_tests::run::run_case;
use golf_tests::tolerance::{BF16, compare};

fn emulated(test: &str, order: Order) -> Option<Cuda<Emulator>> {
    match Emulator::new(order) {
        Ok(emulator) => Some(Cuda::over(emulator).with_poison()),
        Err(reason) => {
            println!("SKIPPED {test}: {reason}");
            None
        }
    }
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
    let test = "the_order_of_threads_and_blocks_does_not_change_a_bit";
    let (Some(mut forwards), Some(mut backwards)) =
        (emulated(test, Order::Forwards), emulated(test, Order::Backwards))
    else {
        return;
    };
    same_bits(&mut forwards, &mut backwards);
}

#[test]
fn two_runs_on_a_gpu_give_the_same_bits() {
    let (mut first, mut second) = match (Cuda::open(0), Cuda::open(0)) {
        (Ok(first), Ok(second)) => (first, second),
        (Err(reason), _) | (_, Err(reason)) => {
            println!("SKIPPED two_runs_on_a_gpu_give_the_same_bits: {reason}");
            return;
        }
    };
    same_bits(&mut first, &mut second);
}

/// Runs every case on both.
fn same_bits<D: Driver>(first: &mut Cuda<D>, second: &mut Cuda<D>) {
    for case in cases::all() {
        let [a, b] = [&mut *first, &mut *second]
            .map(|cuda| run_case(cuda, &case).unwrap_or_else(|error| panic!("{}: {error}", describe(&case))));
        assert!(a.iter().zip(&b).all(|(a, b)| bits(a) == bits(b)), "{}", describe(&case));
    }
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
            | Op::LinearAddScaled(_)
            | Op::NewtonSchulz(_)
    )
}

#[test]
fn products_of_bf16_agree_with_the_oracle_to_its_precision() {
    let test = "products_of_bf16_agree_with_the_oracle_to_its_precision";
    let Some(own) = emulated(test, Order::Forwards) else { return };
    agrees_in_bf16(own);
    let emulator = Emulator::new(Order::Forwards).expect("there was one a moment ago");
    agrees_in_bf16(Cuda::over(emulator.with_library(Fidelity::Right)).with_poison());
}

#[test]
fn products_of_bf16_on_a_gpu_agree_with_the_oracle_to_its_precision() {
    match Cuda::open(0) {
        Ok(mut cuda) => {
            cuda = cuda.with_poison();
            agrees_in_bf16(cuda);
        }
        Err(reason) => {
            let required = std::env::var("REQUIRE_BACKENDS").unwrap_or_default();
            assert!(
                !required.split(',').any(|name| name == "cuda"),
                "backend `cuda` is required but unavailable: {reason}"
            );
            println!("SKIPPED products_of_bf16_on_a_gpu_agree_with_the_oracle_to_its_precision: {reason}");
        }
    }
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
    cuda.notes().iter().for_each(|note| println!("note: {note}"));
}
