//! Newton–Schulz over a bank of matrices: few launches for many matrices, and the bits of each one alone. Emulated.

use golf_core::backend::Backend;
use golf_core::graph::Graph;
use golf_core::model::parameters;
use golf_core::ops::{LARGEST_BANK, NewtonSchulz, Op};
use golf_core::plan::{Plan, PlanOptions};
use golf_core::tensor::{Tensor, TensorType};
use golf_core::train::{groups, preset};
use golf_cuda::{Cuda, Emulator, Fidelity, Lowering, Order, Precision, Products, kernels};
use pollster::block_on;
use std::collections::HashSet;

/// A plan of the Newton–Schulz steps of `count` matrices.
fn bank(count: usize, shape: [usize; 2], steps: usize) -> Plan {
    let mut graph = Graph::new();
    let operands: Vec<_> =
        (0..count).map(|i| graph.input(&format!("u{i}"), TensorType::f32(&shape))).collect();
    let results = graph.push(NewtonSchulz { steps }, &operands).expect("the operands fit the op");
    results.into_iter().enumerate().for_each(|(i, o)| graph.output(&format!("o{i}"), o));
    Plan::new("bank", &graph, PlanOptions::default())
}

/// Bits of all results of `matrices` as one bank.
fn run(cuda: &mut Cuda<Emulator>, matrices: &[Tensor], steps: usize) -> Vec<Vec<u32>> {
    let shape = [matrices[0].shape()[0], matrices[0].shape()[1]];
    let plan = bank(matrices.len(), shape, steps);
    let executable = block_on(cuda.compile(plan)).expect("it compiles");
    let names: Vec<String> = (0..matrices.len()).map(|i| format!("u{i}")).collect();
    let inputs: Vec<(&str, &Tensor)> = names.iter().map(String::as_str).zip(matrices).collect();
    cuda.submit(executable, &inputs).expect("it runs");
    let result = |i| block_on(cuda.read_output(executable, &format!("o{i}"))).expect("an output");
    let results: Vec<Tensor> = (0..matrices.len()).map(result).collect();
    results.iter().map(|o| o.to_f32().iter().map(|x| x.to_bits()).collect()).collect()
}

/// The same numbers on every machine, in (-1, 1), others for each seed.
fn scrambled(seed: usize, shape: [usize; 2]) -> Tensor {
    let entry = |i: usize| {
        let hash = ((i + seed * 7919) as u32).wrapping_mul(0x9e37_79b9).wrapping_add(12_345);
        (hash ^ (hash >> 15)).wrapping_mul(0x85eb_ca6b) as i32 as f32 / (1u32 << 31) as f32
    };
    Tensor::f32(&shape, (0..shape[0] * shape[1]).map(entry).collect())
}

#[test]
fn a_bank_has_the_bits_of_its_matrices_alone() {
    let ways = [
        (Precision::F32, None),
        (Precision::Bf16, None),
        (Precision::Bf16, Some(Fidelity::Right)),
        (Precision::Bf16, Some(Fidelity::Checked)),
    ];
    for (precision, library) in ways {
        let emulator = match Emulator::new(Order::Forwards) {
            Ok(emulator) => emulator,
            Err(reason) => return println!("SKIPPED a_bank_has_the_bits_of_its_matrices_alone: {reason}"),
        };
        let emulator = match library {
            Some(fidelity) => emulator.with_library(fidelity),
            None => emulator,
        };
        let mut cuda = Cuda::over(emulator).with_poison().with_precision(precision);
        // Wide, tall, square; the last are so many that f32 takes its larger tiles.
        let banks = [(3, [40, 150]), (2, [150, 40]), (3, [17, 17]), (LARGEST_BANK, [129, 24])];
        for (count, shape) in banks {
            let matrices: Vec<Tensor> = (0..count).map(|seed| scrambled(seed, shape)).collect();
            let together = run(&mut cuda, &matrices, 2);
            for (i, matrix) in matrices.iter().enumerate().step_by(count.div_ceil(3)) {
                let alone = run(&mut cuda, std::slice::from_ref(matrix), 2);
                assert!(alone[0] == together[i], "{precision:?} {library:?} {count} of {shape:?}: {i}");
            }
        }
        assert!(library.is_none() || cuda.notes().is_empty(), "{:?}", cuda.notes());
    }
}

/// Launches of the Newton–Schulz steps of `plan`, and how many of them are products.
fn launches(plan: &Plan, precision: Precision, products: &Products) -> [usize; 2] {
    let steps = plan.steps.iter().filter(|step| matches!(step.op, Op::NewtonSchulz(_)));
    let launches = steps.flat_map(|step| {
        let mut lowering = Lowering::new(step, precision).with_products(products);
        kernels::lower(&step.op, &mut lowering);
        lowering.launches
    });
    let is_product =
        launches.map(|launch| launch.gemm.is_some() || launch.kernel.entry.starts_with("linear"));
    let is_product: Vec<bool> = is_product.collect();
    [is_product.len(), is_product.iter().filter(|&&product| product).count()]
}

#[test]
fn the_matrices_of_pr549_are_four_banks_and_sixty_products() {
    let preset = preset("pr549", false).expect("a preset");
    let shapes = parameters(&preset.model).into_iter().map(|p| (p.name, p.shape)).collect();
    let optimizer = groups::optimizer(&preset.model, &preset.recipe);
    let graph = optimizer.update_graph(&shapes).expect("a valid model");
    let plan = Plan::new("update", &graph, PlanOptions::default());
    let library = Products::Library { refused: HashSet::new() };
    // A bank: two launches for the norms, one that stacks its matrices and one for the results, 60 / 4 products, and nine
    // combinations between them. Stacks are in bf16 where products are, so that a library reads them as they are.
    let all = [4 * (2 + 2 + 15 + 9), 60];
    assert_eq!(launches(&plan, Precision::F32, &Products::Own), all);
    assert_eq!(launches(&plan, Precision::Bf16, &Products::Own), all);
    assert_eq!(launches(&plan, Precision::Bf16, &library), all);
}
