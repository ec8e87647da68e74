//! What a plan takes is what the footprint says, and a device that has less says so: emulated.

use golf_core::backend::{Backend, BackendError};
use golf_core::model::gpt::Window;
use golf_core::model::graphs::gradient_graph;
use golf_core::model::parameters;
use golf_core::plan::{Plan, PlanOptions};
use golf_core::train::preset;
use golf_cuda::{Cuda, Emulator, Fidelity, Footprint, Order, Precision};
use pollster::block_on;

/// The gradient of a small model over `rows` rows.
fn plan(rows: usize) -> Plan {
    let model = preset("nano", false).expect("a preset").model;
    let names: Vec<String> = parameters(&model).into_iter().map(|p| p.name).collect();
    let graph = gradient_graph(&model, &Default::default(), Window { rows, seq: 32 }, &names);
    Plan::new("gradient", &graph.expect("a valid model"), PlanOptions::default())
}

/// Whether `plan` compiles on a device of so many bytes, and the bytes that it then takes.
fn compiled(plan: Plan, precision: Precision, memory: u64) -> Option<Result<u64, BackendError>> {
    let emulator = Emulator::new(Order::Forwards).map_err(|reason| println!("SKIPPED: {reason}")).ok()?;
    let emulator = emulator.with_library(Fidelity::Right).with_memory(memory);
    let mut cuda = Cuda::over(emulator).with_precision(precision);
    Some(block_on(cuda.compile(plan)).map(|_| cuda.buffer_bytes()))
}

#[test]
fn a_plan_takes_what_its_footprint_says_and_not_less() {
    for precision in [Precision::F32, Precision::Bf16] {
        let footprint = Footprint::of(&plan(2), precision);
        let Some(taken) = compiled(plan(2), precision, u64::MAX) else { return };
        let taken = taken.expect("memory is unlimited");
        // Constant tables and saved outputs are beside the plan's buffers; the library's workspace is the device's own.
        let workspace = if precision == Precision::Bf16 { 32 << 20 } else { 0 };
        let expected = footprint.total() - workspace;
        assert!((expected..=expected + 64 * 1024).contains(&taken), "{precision:?}: {taken} for {expected}");
        compiled(plan(2), precision, taken).expect("as before").expect("it fits exactly");
        let error =
            compiled(plan(2), precision, taken - 4).expect("as before").expect_err("a word is missing");
        let BackendError::OutOfMemory { room: Some(room), .. } = error else { panic!("{error}") };
        assert!(room.wanted > room.free && room.total == taken - 4, "{room}");
    }
}

#[test]
fn where_one_plan_fits_another_takes_its_place_once_it_is_released() {
    let Some(taken) = compiled(plan(2), Precision::F32, u64::MAX) else { return };
    let taken = taken.expect("memory is unlimited");
    let emulator = Emulator::new(Order::Forwards).expect("it was there");
    let mut cuda = Cuda::over(emulator.with_memory(taken + 4096));
    let first = block_on(cuda.compile(plan(2))).expect("it fits");
    let error = block_on(cuda.compile(plan(2))).expect_err("two do not fit");
    assert!(matches!(error, BackendError::OutOfMemory { .. }), "{error}");
    cuda.release(first);
    let second = block_on(cuda.compile(plan(2))).expect("it fits where the first one was");
    assert_ne!(first, second, "a handle is given once");
    assert_eq!(cuda.buffer_bytes(), taken);
}

#[test]
fn fewer_rows_take_less() {
    let totals = [1, 2, 4, 8].map(|rows| Footprint::of(&plan(rows), Precision::Bf16).total());
    assert!(totals.is_sorted_by(|a, b| a < b), "{totals:?}");
}
