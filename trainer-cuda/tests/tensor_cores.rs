//! Kernels on tensor cores, emulated: every class of shape against the oracle on operands that bf16 holds exactly, so that
//! what is left is the rounding of what is formed in between, and bounds can be tight.

use golf_core::backend::Backend;
use golf_core::graph::Graph;
use golf_core::ops::{
    Attention, AttentionGrad, HeadCrossEntropy, HeadCrossEntropyGrad, Linear, LinearActivation,
    LinearAddScaled, NewtonSchulz, Op,
};
use golf_core::plan::{Plan, PlanOptions};
use golf_core::quant::pack::pack;
use golf_core::reference::Reference;
use golf_core::tensor::{DType, Data, Tensor, TensorType};
use golf_cuda::{Cuda, Emulator, Fidelity, Order, Precision};
use half::{bf16, f16};
use pollster::block_on;

/// Unit roundoff of bf16.
const UNIT: f64 = 1.0 / 512.0;

/// What sums of exact products in f32 may be off by, relative to the largest result.
const SUMS: f64 = 4e-6;

/// `[windows, seq, heads, kv_heads, width]`: windows shorter than a tile, of whole tiles, one token beyond, and of tiles whose
/// stages lie on both sides of the diagonal; more heads and windows than are taken at a time; groups of 1, 2, 3 and 4; rows of
/// 32, 64 and 128 channels, full and not.
const SHAPES: [[usize; 5]; 13] = [
    [1, 1, 1, 1, 64],
    [3, 7, 4, 1, 64],
    [1, 64, 2, 2, 32],
    [2, 65, 2, 1, 64],
    [1, 128, 2, 2, 64],
    [1, 129, 6, 2, 24],
    [1, 300, 2, 1, 64],
    [1, 193, 1, 1, 128],
    [2, 70, 2, 1, 100],
    [2, 33, 3, 1, 5],
    [1, 131, 2, 1, 47],
    [2, 193, 6, 2, 64],
    [9, 70, 2, 2, 40],
];

/// Numbers in (-2, 2) that bf16 holds exactly, the same on every machine.
fn drawn(seed: usize, shape: &[usize]) -> Tensor {
    let entry = |i: usize| {
        let hash = ((i + seed * 7919) as u32).wrapping_mul(0x9e37_79b9).wrapping_add(12_345);
        let hash = (hash ^ (hash >> 15)).wrapping_mul(0x85eb_ca6b);
        bf16::from_f32((hash ^ (hash >> 13)) as i32 as f32 / (1u32 << 30) as f32).to_f32()
    };
    Tensor::f32(shape, (0..shape.iter().product()).map(entry).collect())
}

/// All results of `op`.
fn run(backend: &mut dyn Backend, op: &Op, inputs: &[Tensor]) -> Vec<Tensor> {
    let mut graph = Graph::new();
    let names: Vec<String> = (0..inputs.len()).map(|i| format!("x{i}")).collect();
    let operands: Vec<_> =
        names.iter().zip(inputs).map(|(name, x)| graph.input(name, x.ty().clone())).collect();
    let results = graph.push(op.clone(), &operands).expect("the operands fit the op");
    let outputs: Vec<String> = (0..results.len()).map(|i| format!("y{i}")).collect();
    outputs.iter().zip(results).for_each(|(name, y)| graph.output(name, y));
    let plan = Plan::new("one op", &graph, PlanOptions::default());
    let executable = block_on(backend.compile(plan)).expect("it compiles");
    let named: Vec<(&str, &Tensor)> = names.iter().map(String::as_str).zip(inputs).collect();
    backend.submit(executable, &named).expect("it runs");
    outputs.iter().map(|y| block_on(backend.read_output(executable, y)).expect("an output")).collect()
}

/// Emulated devices that run threads in either order; `None`, said aloud, where there is no C++ compiler.
fn emulated(test: &str) -> Option<[Cuda<Emulator>; 2]> {
    devices(test, |emulator| emulator)
}

/// The same with what stands in for Hopper's own products.
fn emulated_hopper(test: &str) -> Option<[Cuda<Emulator>; 2]> {
    devices(test, |emulator| emulator.with_wgmma(Fidelity::Right))
}

fn devices(test: &str, of: impl Fn(Emulator) -> Emulator) -> Option<[Cuda<Emulator>; 2]> {
    let device = |order| {
        let made = Emulator::new(order).map_err(|reason| println!("SKIPPED {test}: {reason}")).ok()?;
        Some(Cuda::over(of(made)).with_poison().with_precision(Precision::Bf16))
    };
    Some([device(Order::Forwards)?, device(Order::Backwards)?])
}

/// Asserts that devices that have Hopper's products used them.
fn used(devices: &mut [Cuda<Emulator>; 2]) {
    for device in devices {
        assert!(device.uses_wgmma(), "{:?}", device.notes());
    }
}

/// Results of both orders, which must be the same bits; those of the first.
fn same_in_both(devices: &mut [Cuda<Emulator>; 2], op: &Op, inputs: &[Tensor], what: &str) -> Vec<Vec<f64>> {
    let [forwards, backwards] = devices.each_mut().map(|device| run(device, op, inputs));
    for (result, (a, b)) in forwards.iter().zip(&backwards).enumerate() {
        let bits = |x: &Tensor| x.to_f32().iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        assert!(bits(a) == bits(b), "{what}: result {result} depends on the order of threads");
    }
    forwards.iter().map(Tensor::to_f64).collect()
}

/// Magnitude of the largest entry.
fn largest(x: &[f64]) -> f64 {
    x.iter().fold(0.0, |largest, x| largest.max(x.abs()))
}

/// Asserts that entries differ by at most `bound` times the largest entry.
fn close(got: &[f64], want: &[f64], bound: f64, what: &str) {
    let largest = largest(want);
    for (i, (got, want)) in got.iter().zip(want).enumerate() {
        let off = (got - want).abs();
        assert!(off <= bound * largest, "{what}, entry {i}: expected {want}, got {got} (largest {largest})");
    }
}

#[test]
fn attention_on_tensor_cores_rounds_nothing_but_its_weights() {
    let test = "attention_on_tensor_cores_rounds_nothing_but_its_weights";
    let Some(mut devices) = emulated(test) else { return };
    attention_is_the_oracles(&mut devices, &SHAPES);
}

#[test]
fn attention_by_warpgroups_rounds_nothing_but_its_weights() {
    let test = "attention_by_warpgroups_rounds_nothing_but_its_weights";
    let Some(mut devices) = emulated_hopper(test) else { return };
    attention_is_the_oracles(&mut devices, &of_warpgroups());
    used(&mut devices);
}

#[test]
fn a_device_whose_warpgroups_compute_something_else_falls_back_and_says_so() {
    let test = "a_device_whose_warpgroups_compute_something_else_falls_back_and_says_so";
    let Some(mut devices) = devices(test, |emulator| emulator.with_wgmma(Fidelity::Wrong)) else { return };
    attention_is_the_oracles(&mut devices, &[[1, 65, 2, 1, 64]]);
    for device in &mut devices {
        let notes = device.notes();
        assert!(!device.uses_wgmma() && notes.len() == 1, "{notes:?}");
        for part in
            ["attention by products of warpgroups (wgmma) is off by", "of `y`", "products of warps are used"]
        {
            assert!(notes[0].contains(part), "no `{part}` in: {}", notes[0]);
        }
    }
}

#[test]
fn a_device_that_is_lost_by_warpgroups_ends_with_how_to_do_without() {
    let test = "a_device_that_is_lost_by_warpgroups_ends_with_how_to_do_without";
    let Some([mut device, _]) = devices(test, |emulator| emulator.with_wgmma(Fidelity::Fatal)) else {
        return;
    };
    let mut graph = Graph::new();
    let [q, k, v] = ["q", "k", "v"].map(|name| graph.input(name, TensorType::f32(&[8, 64])));
    let y = graph.push(Attention { heads: 1, kv_heads: 1, seq: 8 }, &[q, k, v]).expect("the operands fit")[0];
    graph.output("y", y);
    let compiled = block_on(device.compile(Plan::new("one head", &graph, PlanOptions::default())));
    let error = compiled.expect_err("the device is lost").to_string();
    assert!(error.contains("illegal instruction") && error.contains("`GOLF_WGMMA=off`"), "{error}");
}

/// Those of [`SHAPES`] whose products warpgroups form.
fn of_warpgroups() -> Vec<[usize; 5]> {
    SHAPES.into_iter().filter(|[.., width]| (33..=64).contains(width)).collect()
}

fn attention_is_the_oracles(devices: &mut [Cuda<Emulator>; 2], shapes: &[[usize; 5]]) {
    for &[windows, seq, heads, kv_heads, width] in shapes {
        let (n, kv) = (windows * seq, kv_heads * width);
        let inputs = [drawn(1, &[n, heads * width]), drawn(2, &[n, kv]), drawn(3, &[n, kv])];
        let op = Op::from(Attention { heads, kv_heads, seq });
        let what = format!("{windows} windows of {seq}, {heads} heads on {kv_heads} of {width}");
        let got = same_in_both(devices, &op, &inputs, &what);
        let want: Vec<_> =
            run(&mut Reference::new(), &op, &inputs).iter().map(|x| x.f64s().to_vec()).collect();
        // Values are weighted means, whose weights are off by one rounding each.
        close(&got[0], &want[0], UNIT, &format!("{what}: y"));
        close(&got[1], &want[1], 1e-6, &format!("{what}: lse"));
    }
}

#[test]
fn gradients_of_attention_on_tensor_cores_are_those_of_the_oracle() {
    let test = "gradients_of_attention_on_tensor_cores_are_those_of_the_oracle";
    let Some(mut devices) = emulated(test) else { return };
    gradients_are_the_oracles(&mut devices, &SHAPES);
}

#[test]
fn gradients_of_attention_by_warpgroups_are_those_of_the_oracle() {
    let test = "gradients_of_attention_by_warpgroups_are_those_of_the_oracle";
    let Some(mut devices) = emulated_hopper(test) else { return };
    gradients_are_the_oracles(&mut devices, &of_warpgroups());
    used(&mut devices);
}

fn gradients_are_the_oracles(devices: &mut [Cuda<Emulator>; 2], shapes: &[[usize; 5]]) {
    for &[windows, seq, heads, kv_heads, width] in shapes {
        let (n, kv) = (windows * seq, kv_heads * width);
        let operands = [drawn(1, &[n, heads * width]), drawn(2, &[n, kv]), drawn(3, &[n, kv])];
        let forward = run(&mut Reference::new(), &Op::from(Attention { heads, kv_heads, seq }), &operands);
        let mut inputs = operands.to_vec();
        inputs.extend(forward.iter().map(|x| Tensor::f32(x.shape(), x.to_f32())));
        inputs.push(drawn(4, &[n, heads * width]));
        let op = Op::from(AttentionGrad { heads, kv_heads, seq });
        let what = format!("{windows} windows of {seq}, {heads} heads on {kv_heads} of {width}");
        let got = same_in_both(devices, &op, &inputs, &what);
        let want = run(&mut Reference::new(), &op, &inputs);
        for (name, (got, want)) in ["dq", "dk", "dv"].into_iter().zip(got.iter().zip(&want)) {
            // One token attends to itself alone: these gradients cancel to zero.
            if seq == 1 && name != "dv" {
                assert!(got.iter().all(|x| x.abs() < 1e-5), "{what}: {name} {got:?}");
            } else {
                close(got, want.f64s(), 2.0 * UNIT, &format!("{what}: {name}"));
            }
        }
    }
}

/// Integers of `bits` bits with scales that are powers of two: bf16 holds every weight.
fn packed(bits: u32, [rows, cols]: [usize; 2]) -> Tensor {
    let q: Vec<i8> = (0..rows * cols).map(|i| (i * 7 % (1 << bits)) as i8 - (1 << (bits - 1))).collect();
    let scales: Vec<f16> = (0..rows).map(|row| f16::from_f32([0.25, 0.125, 0.0625][row % 3])).collect();
    let dtype = DType::from_quant_bits(bits).expect("a width that operands have");
    Tensor::new(
        TensorType { dtype, shape: vec![rows, cols] },
        Data::Packed(pack(bits, rows, cols, &q, &scales)),
    )
}

/// Asserts that every result of `op` is the oracle's up to `bound` of its largest entry.
fn agree(devices: &mut [Cuda<Emulator>; 2], op: impl Into<Op>, inputs: &[Tensor], bound: f64) {
    let op = op.into();
    let shapes: Vec<_> = inputs.iter().map(Tensor::shape).collect();
    let what = format!("{op:?} of {shapes:?}");
    let got = same_in_both(devices, &op, inputs, &what);
    let want = run(&mut Reference::new(), &op, inputs);
    for (result, (got, want)) in got.iter().zip(&want).enumerate() {
        close(got, want.f64s(), bound, &format!("{what}: result {result}"));
    }
}

#[test]
fn products_on_tensor_cores_are_exact_up_to_their_sums() {
    let Some(mut devices) = emulated("products_on_tensor_cores_are_exact_up_to_their_sums") else { return };
    // Within a slice, around slices and tiles, lines that are not aligned, and depths that are cut into parts.
    let extents = [
        [5, 3, 7],
        [130, 129, 33],
        [128, 128, 100],
        [140, 257, 70],
        [9, 300, 300],
        [12, 6, 260],
        [132, 140, 512],
    ];
    for [rows, cols, depth] in extents {
        let a = drawn(5, &[rows, depth]);
        agree(&mut devices, Linear::NT, &[a.clone(), drawn(6, &[cols, depth])], SUMS);
        agree(&mut devices, Linear::NN, &[a.clone(), drawn(6, &[depth, cols])], SUMS);
        agree(&mut devices, Linear::TN, &[drawn(5, &[depth, rows]), drawn(6, &[depth, cols])], SUMS);
    }
    for [rows, cols, depth] in [[5, 6, 7], [130, 129, 36], [9, 70, 300]] {
        let (a, stream) = (drawn(5, &[rows, depth]), drawn(7, &[rows, cols]));
        let scale = drawn(8, &[cols]);
        for w in [drawn(6, &[cols, depth]), packed(5, [cols, depth])] {
            agree(&mut devices, Linear::NT, &[a.clone(), w.clone()], SUMS);
            agree(&mut devices, LinearActivation { slope: 0.5 }, &[a.clone(), w.clone()], SUMS);
            let inputs = [stream.clone(), scale.clone(), a.clone(), w];
            agree(&mut devices, LinearAddScaled, &inputs, SUMS);
        }
        agree(&mut devices, Linear::NN, &[a, packed(6, [depth, cols])], SUMS);
    }
}

#[test]
fn newton_schulz_on_tensor_cores_stays_near_the_oracle() {
    let Some(mut devices) = emulated("newton_schulz_on_tensor_cores_stays_near_the_oracle") else { return };
    for shape in [[40, 150], [150, 40], [17, 17]] {
        // Three roundings a product, carried through two iterations that amplify.
        agree(&mut devices, NewtonSchulz { steps: 2 }, &[drawn(9, &shape)], 32.0 * UNIT);
    }
}

#[test]
fn the_heads_loss_on_tensor_cores_is_exact_and_its_gradients_round_slopes() {
    let test = "the_heads_loss_on_tensor_cores_is_exact_and_its_gradients_round_slopes";
    let Some(mut devices) = emulated(test) else { return };
    for (n, vocab, d) in [(1, 5, 4), (150, 300, 40), (130, 129, 33), (3, 128, 64)] {
        let x = drawn(10, &[n, d]);
        let targets = Tensor::i32(&[n], (0..n).map(|i| (i * 37 % vocab) as i32).collect());
        for e in [drawn(11, &[vocab, d]), packed(4, [vocab, d])] {
            let inputs = [x.clone(), e.clone(), targets.clone()];
            let op = HeadCrossEntropy { softcap: 15.0 };
            agree(&mut devices, op.clone(), &inputs, 1e-5);
            let lse = &run(&mut Reference::new(), &Op::from(op), &inputs)[1];
            let lse = Tensor::f32(&[n], lse.to_f32());
            let plain = e.ty().dtype == DType::F32;
            let inputs = [x.clone(), e, targets.clone(), lse, drawn(12, &[n])];
            let op = Op::from(HeadCrossEntropyGrad { softcap: 15.0, wants_embedding: plain });
            let what = format!("gradient of {n} rows over {vocab} entries of {d}, plain: {plain}");
            let got = same_in_both(&mut devices, &op, &inputs, &what);
            let want = run(&mut Reference::new(), &op, &inputs);
            // Magnitudes of a row's slopes add up to at most 2·|dnll|; here |dnll| and |e| are at most 2.
            let bound = UNIT * 8.0 / largest(want[0].f64s());
            close(&got[0], want[0].f64s(), bound, &format!("{what}: dx"));
            if plain {
                close(&got[1], want[1].f64s(), 2.0 * UNIT, &format!("{what}: de"));
            }
        }
    }
}
