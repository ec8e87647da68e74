//! Single kernels beyond the conformance suite, emulated: sizes that need several blocks and stages, bits that must be
//! exact, and mistakes that the emulation has to notice.

use golf_core::backend::{Backend, BackendError};
use golf_core::graph::Graph;
use golf_core::ops::{
    AddScaledGrad, Embed, EmbedGrad, FakeQuant, HashBucket, HashKind, Mean, Op, SumSquares,
};
use golf_core::plan::{Plan, PlanOptions};
use golf_core::quant::pack::{dequantize, pack};
use golf_core::quant::{FakeQuantKind, FakeQuantRule};
use golf_core::tensor::{DType, Data, Tensor, TensorType};
use golf_cuda::{Cuda, Driver, Emulator, Kernel, Order, Param, Row, Source, Storage};
use half::f16;
use pollster::block_on;

/// An emulated device; `None`, said aloud, where there is no C++ compiler.
fn emulator(test: &str) -> Option<Emulator> {
    Emulator::new(Order::Forwards).map_err(|reason| println!("SKIPPED {test}: {reason}")).ok()
}

/// The first result of `op`, its buffers poisoned.
fn run(driver: Emulator, op: impl Into<Op>, inputs: &[&Tensor]) -> Tensor {
    let mut cuda = Cuda::over(driver).with_poison();
    let (mut graph, names) = (Graph::new(), ["x0", "x1", "x2"]);
    let operands: Vec<_> =
        names.iter().zip(inputs).map(|(name, x)| graph.input(name, x.ty().clone())).collect();
    let result = graph.push(op, &operands).expect("the operands fit the op")[0];
    graph.output("y", result);
    let plan = Plan::new("one op", &graph, PlanOptions::default());
    let executable = block_on(cuda.compile(plan)).expect("it compiles");
    let named: Vec<_> = names.into_iter().zip(inputs.iter().copied()).collect();
    cuda.submit(executable, &named).expect("it runs");
    block_on(cuda.read_output(executable, "y")).expect("it is an output")
}

#[test]
fn every_element_of_a_long_vector_is_counted_once() {
    let Some(driver) = emulator("every_element_of_a_long_vector_is_counted_once") else { return };
    // More pieces than threads of the second stage; small integers, whose sums are exact in any order.
    let n = 600_001;
    let x: Vec<f32> = (0..n).map(|i| (i * 7 % 5) as f32 - 1.0).collect();
    let (squares, sum): (f32, f32) = (x.iter().map(|x| x * x).sum(), x.iter().sum());
    let x = Tensor::f32(&[n], x);
    assert_eq!(run(driver, SumSquares, &[&x]).to_f32(), [squares]);
    let Some(driver) = emulator("every_element_of_a_long_vector_is_counted_once") else { return };
    let mean = run(driver, Mean, &[&x]).to_f32()[0];
    assert!((mean - sum / n as f32).abs() <= 2.0 * f32::EPSILON, "{mean}");
}

#[test]
fn many_chunks_of_rows_are_each_counted_once() {
    let Some(driver) = emulator("many_chunks_of_rows_are_each_counted_once") else { return };
    let (n, d) = (1301, 70);
    let y: Vec<f32> = (0..n * d).map(|i| (i * 31 % 13) as f32 - 6.0).collect();
    let dz: Vec<f32> = (0..n * d).map(|i| (i * 17 % 11) as f32 - 5.0).collect();
    let want: Vec<f32> = (0..d).map(|c| (0..n).map(|r| y[r * d + c] * dz[r * d + c]).sum()).collect();
    let operands = [Tensor::f32(&[d], vec![1.0; d]), Tensor::f32(&[n, d], y), Tensor::f32(&[n, d], dz)];
    assert_eq!(run(driver, AddScaledGrad, &operands.each_ref()).to_f32(), want);
}

#[test]
fn every_occurrence_counts_once_in_the_gradient_of_an_embedding() {
    // The second has more chunks of tokens than a block has threads; the third reads rows as whole vectors.
    for (n, rows, d) in [(3001, 700, 131), (270_000, 40, 3), (5000, 9, 136)] {
        let test = "every_occurrence_counts_once_in_the_gradient_of_an_embedding";
        let Some(driver) = emulator(test) else { return };
        // Frequent ids and ids that never occur; small integers, whose sums are exact in any order.
        let ids: Vec<i32> = (0..n).map(|i| ((i * 7919) % 1009 * (i % 5) / 8) as i32 % rows as i32).collect();
        let dy: Vec<f32> = (0..n * d).map(|i| ((i * 40_503) % 101) as f32 - 50.0).collect();
        let mut want = vec![0.0f32; rows * d];
        for (row, &id) in dy.chunks(d).zip(&ids) {
            want[id as usize * d..][..d].iter_mut().zip(row).for_each(|(sum, x)| *sum += x);
        }
        let (ids, dy) = (Tensor::i32(&[n], ids), Tensor::f32(&[n, d], dy));
        assert_eq!(run(driver, EmbedGrad { rows }, &[&ids, &dy]).to_f32(), want);
    }
}

#[test]
fn packed_rows_are_exact_with_any_scale() {
    let Some(driver) = emulator("packed_rows_are_exact_with_any_scale") else { return };
    let scales: Vec<f16> = [0, 1, 0x3ff, 0x400, 0x3c00, 0x7bff, 0x8001, 0xbc00].map(f16::from_bits).into();
    let (rows, d, bits) = (scales.len(), 77, 5);
    let q: Vec<i8> = (0..rows * d).map(|i| (i * 13 % 32) as i8 - 16).collect();
    let words = pack(bits, rows, d, &q, &scales);
    let want = dequantize(bits, &words, rows, d);
    let dtype = DType::from_quant_bits(bits).expect("a width that operands have");
    let table = Tensor::new(TensorType { dtype, shape: vec![rows, d] }, Data::Packed(words));
    let ids = Tensor::i32(&[rows], (0..rows as i32).collect());
    assert_eq!(run(driver, Embed, &[&ids, &table]).to_f32(), want);
}

#[test]
fn products_of_a_hash_beyond_a_word_are_exact() {
    let token = |i: u32| (i.wrapping_mul(0x9e37_79b9) ^ 0x1234_5678) as i32 & i32::MAX;
    let tokens: Vec<i32> = (0..400).map(token).chain([0, 1, i32::MAX, 0xffff, 0x1_0000]).collect();
    let wide = HashKind::Trigram([0xffff_ffff, 0x1_2345_6789, 0xfedc_ba98]);
    for kind in [HashKind::BigramV1, HashKind::BigramV2, HashKind::TRIGRAM_S951, wide] {
        for buckets in [2, 3, 10_240, 65_537, i32::MAX as usize] {
            let Some(driver) = emulator("products_of_a_hash_beyond_a_word_are_exact") else { return };
            let op = HashBucket { kind, buckets, seq: 81 };
            let windows = tokens.chunks(op.seq);
            let want: Vec<i32> = windows
                .flat_map(|window| (0..op.seq).map(|t| op.bucket(window, t)).collect::<Vec<_>>())
                .collect();
            let x = Tensor::i32(&[tokens.len()], tokens.clone());
            assert_eq!(run(driver, op, &[&x]).i32s(), want, "{kind:?}, {buckets} buckets");
        }
    }
}

/// The same numbers on every machine, in (-1, 1).
fn scrambled(i: usize) -> f32 {
    let hash = (i as u32).wrapping_mul(0x9e37_79b9).wrapping_add(12345);
    (hash ^ (hash >> 15)).wrapping_mul(0x85eb_ca6b) as i32 as f32 / (1u32 << 31) as f32
}

#[test]
fn fake_quantization_has_the_bits_of_the_rule() {
    use FakeQuantKind::{Max, MaxFloorAfter, P549, S585, S861};
    let rows = 24;
    for (kind, c, k) in [S585, S861, P549, Max, MaxFloorAfter]
        .into_iter()
        .flat_map(|kind| [(7, 1), (15, 17), (127, 900), (15, 4100)].map(|(c, k)| (kind, c, k)))
    {
        let Some(driver) = emulator("fake_quantization_has_the_bits_of_the_rule") else { return };
        let rule = FakeQuantRule::new(kind, c);
        // From rows whose floors bind to rows far above them; every other one has an outlier.
        let entry = |i: usize| {
            let size = [1e-14, 0.01, 1.0, 3.7, 41.0, 1e6][i / k % 6];
            if i % (2 * k) == k { 2.7 * size } else { size * scrambled(i) }
        };
        let w: Vec<f32> = (0..rows * k).map(entry).collect();
        let mut want = vec![0.0; w.len()];
        rule.apply(k, &w, &mut want);
        let got = run(driver, FakeQuant { rule }, &[&Tensor::f32(&[rows, k], w)]).to_f32();
        let differing = got.iter().zip(&want).position(|(got, want)| got.to_bits() != want.to_bits());
        assert_eq!(differing, None, "{kind:?} c={c} k={k}");
    }
}

/// Launches a kernel that is wrong, over one block of 64 threads and a buffer of 64 words, or a row of them; returns the words.
fn wrong(order: Order, entry: &'static str, signature: &'static str) -> Result<Vec<u32>, BackendError> {
    let mut driver = Emulator::new(order).expect("it was there");
    let kernel: &'static Kernel =
        Box::leak(Box::new(Kernel { source: &WRONG, entry, signature, threads: 64 }));
    let function = driver.function_in(kernel, Storage::Full, &[kernel])?;
    let buffer = driver.allocate(64, "a test")?;
    let (first, scalar) = match kernel.row() {
        None => (buffer.clone(), Param::U32(64)),
        Some(_) => (driver.table(&[Row::of_pieces(vec![buffer.clone()], 64)])?, Param::U32(1)),
    };
    driver.launch(&function, kernel, 1, &[first], &[scalar])?;
    driver.read(&buffer, 64)
}

static WRONG: Source = Source { file: "wrong.cu", text: include_str!("wrong.cu") };

#[test]
fn mistakes_of_a_kernel_are_noticed() {
    if emulator("mistakes_of_a_kernel_are_noticed").is_none() {
        return;
    }
    let refused = |entry| wrong(Order::Forwards, entry, "wu").expect_err(entry).to_string();
    assert!(refused("writes_behind").contains("wrote outside buffer 0"));
    assert!(refused("leaves_before_a_barrier").contains("reached a barrier"));
    assert!(refused("leaves_before_a_shuffle").contains("reached a shuffle"));
    assert!(refused("collides_in_a_bank").contains("collide in a bank"));
    assert!(refused("forgets_to_wait").contains("ended before its copies"));
    assert!(refused("takes_a_float").contains("signature: expected `wu`, got `wf`"));
    assert!(refused("takes_more_behind_a_struct").contains("got `wuf?u`"));
    for race in ["forgets_a_barrier", "copies_over_what_is_read"] {
        let [forwards, backwards] =
            [Order::Forwards, Order::Backwards].map(|order| wrong(order, race, "wu").expect(race));
        assert_ne!(forwards, backwards, "{race}");
    }
    let refused = |entry| wrong(Order::Forwards, entry, "wu|").expect_err(entry).to_string();
    assert!(refused("writes_behind_a_row").contains("wrote outside buffer 0 of its rows"));
    assert!(refused("takes_another_row").contains("signature: expected `wu|u`, got `uw|u`"));
    assert!(refused("takes_a_padded_row").contains("got `wuu?|u`"));
}
