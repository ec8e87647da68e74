//! Every backend against the f64 oracle on every case, and the oracle's gradients against differences.

use golf_core::cpu::Cpu;
use golf_core::graph::Graph;
use golf_core::ops::{Op, OpError, Site};
use golf_core::plan::PlanOptions;
use golf_core::reference::Reference;
use golf_core::tensor::{DType, Data, Tensor};
use golf_tests::backends::available;
use golf_tests::cases::{self, Case};
use golf_tests::draw::{Draw, widen};
use golf_tests::run::{run_case, run_graph};
use golf_tests::tolerance::compare;
use std::collections::BTreeSet;

fn describe(case: &Case) -> String {
    format!("{} [{}]", case.op.def().name(), case.name)
}

#[test]
fn every_backend_agrees_with_the_oracle_on_every_case() {
    for (candidate, mut backend) in available() {
        let mut failures = Vec::new();
        for case in cases::all() {
            let want = run_case(&mut Reference::with_poison(), &case).expect("the oracle takes every case");
            let got = run_case(backend.as_mut(), &case).expect("the backend takes every case");
            for (result, (got, want)) in got.iter().zip(&want).enumerate() {
                if let Err(why) = compare(got, want, candidate.unit, case.terms(), case.condition) {
                    failures.push(format!("{} result {result}: {why}", describe(&case)));
                }
            }
        }
        assert!(failures.is_empty(), "`{}` is outside tolerance:\n{}", candidate.name, failures.join("\n"));
    }
}

#[test]
fn every_row_of_the_table_holds_cases_of_its_op() {
    for case in cases::all() {
        let kinds: BTreeSet<_> = cases::of(&case.op).iter().map(|c| c.op.def().name()).collect();
        assert_eq!(kinds, BTreeSet::from([case.op.def().name()]));
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

#[test]
fn the_number_of_threads_does_not_change_a_bit() {
    let (mut one, mut three) = (Cpu::with_threads(1), Cpu::with_threads(3));
    for case in cases::all() {
        let [a, b] =
            [&mut one, &mut three].map(|cpu| run_case(cpu, &case).expect("the backend takes every case"));
        assert!(a.iter().zip(&b).all(|(a, b)| bits(a) == bits(b)), "{}", describe(&case));
    }
}

#[test]
fn a_bank_has_the_bits_of_its_matrices_alone() {
    for (candidate, mut backend) in available() {
        for case in cases::all().iter().filter(|case| matches!(case.op, Op::NewtonSchulz(_))) {
            let together = run_case(backend.as_mut(), case).expect("the backend takes every case");
            for (matrix, together) in case.inputs.iter().zip(&together) {
                let alone = Case { inputs: vec![matrix.clone()], ..case.clone() };
                let alone = run_case(backend.as_mut(), &alone).expect("the backend takes every case");
                assert!(bits(&alone[0]) == bits(together), "{}: {}", candidate.name, describe(case));
            }
        }
    }
}

/// A case small enough to differentiate by differences, whose op is differentiable and smooth.
fn differentiable(case: &Case) -> bool {
    // Straight-through by definition, not a derivative: see `fake_quant_passes_its_gradient_through`.
    case.smooth && case.floats() <= 600 && !matches!(case.op, Op::FakeQuant(_))
}

/// Floats of a case that a gradient goes towards.
fn wanted(case: &Case) -> Vec<bool> {
    case.inputs.iter().map(|x| x.ty().dtype == DType::F32).collect()
}

/// Gradients of `Σ y₀ ⊙ cotangent` towards the operands, by the op's gradient rule; `None` without one.
fn analytic(case: &Case, cotangent: &Tensor) -> Option<Vec<Option<Tensor>>> {
    let mut graph = Graph::new();
    let names: Vec<String> = (0..case.inputs.len()).map(|i| format!("x{i}")).collect();
    let operands: Vec<_> =
        names.iter().zip(&case.inputs).map(|(n, x)| graph.input(n, x.ty().clone())).collect();
    let outputs = graph.push(case.op.clone(), &operands).expect("a case is well typed");
    let seed = graph.input("cotangent", cotangent.ty().clone());
    let mut grads = vec![None; outputs.len()];
    grads[0] = Some(seed);
    let wanted = wanted(case);
    let site = Site { inputs: &operands, outputs: &outputs, grads: &grads, wanted: &wanted };
    let towards = match case.op.def().grad(&mut graph, &site) {
        Ok(towards) => towards,
        Err(OpError::NoGradient { .. }) => return None,
        Err(error) => panic!("{}: {error}", describe(case)),
    };
    let found: Vec<bool> = towards.iter().map(Option::is_some).collect();
    for (i, value) in towards.into_iter().enumerate() {
        value.into_iter().for_each(|value| graph.output(&format!("d{i}"), value));
    }
    let mut inputs: Vec<(&str, &Tensor)> = names.iter().map(String::as_str).zip(&case.inputs).collect();
    inputs.push(("cotangent", cotangent));
    let values = run_graph(&mut Reference::new(), &graph, PlanOptions::default(), &inputs);
    let mut values = values.expect("the oracle takes every case").into_iter();
    Some(found.into_iter().map(|found| if found { values.next() } else { None }).collect())
}

/// `Σ y₀ ⊙ cotangent` with operand `operand`'s entry `entry` moved by `by`.
fn moved(case: &Case, cotangent: &[f64], operand: usize, entry: usize, by: f64) -> f64 {
    let mut inputs: Vec<Tensor> = case.inputs.iter().map(widen).collect();
    inputs[operand].f64s_mut()[entry] += by;
    let types: Vec<_> = inputs.iter().map(Tensor::ty).collect();
    let mut outputs: Vec<Tensor> = case
        .op
        .def()
        .infer(&types)
        .expect("a case is well typed")
        .iter()
        .map(|ty| widen(&Tensor::zeros(ty)))
        .collect();
    case.op.def().eval(&inputs.iter().collect::<Vec<_>>(), &mut outputs);
    outputs[0].f64s().iter().zip(cotangent).map(|(y, c)| y * c).sum()
}

/// Compares the analytic gradient with central differences; returns whether the op has one.
fn check_gradient(case: &Case) -> bool {
    let results = case.op.def().infer(&case.inputs.iter().map(Tensor::ty).collect::<Vec<_>>());
    let result = results.expect("a case is well typed")[0].clone();
    if result.dtype != DType::F32 {
        return false;
    }
    let cotangent = Draw::new(77).floats(&result.shape, 1.0);
    let Some(grads) = analytic(case, &cotangent) else { return false };
    let cotangent = cotangent.to_f64();
    for (operand, grad) in grads.iter().enumerate() {
        let Some(grad) = grad.as_ref().filter(|_| wanted(case)[operand]) else { continue };
        let rms = (grad.f64s().iter().map(|g| g * g).sum::<f64>() / grad.f64s().len() as f64).sqrt();
        let values = case.inputs[operand].to_f64();
        for (entry, &got) in grad.f64s().iter().enumerate() {
            let h = 1e-4 * values[entry].abs().clamp(1e-2, 1.0);
            let at = |by: f64| moved(case, &cotangent, operand, entry, by);
            // Four points: the error is of the order of h⁴.
            let want = (8.0 * (at(h) - at(-h)) - (at(2.0 * h) - at(-2.0 * h))) / (12.0 * h);
            let allowed = 1e-6 * (got.abs() + rms) + 1e-9;
            assert!(
                (got - want).abs() <= allowed,
                "{}: operand {operand} entry {entry}: rule {got}, differences {want}",
                describe(case)
            );
        }
    }
    true
}

#[test]
fn gradient_rules_agree_with_central_differences() {
    let (mut with, mut without) = (BTreeSet::new(), BTreeSet::new());
    for case in cases::all().iter().filter(|case| differentiable(case)) {
        let set = if check_gradient(case) { &mut with } else { &mut without };
        set.insert(case.op.def().name());
    }
    let expected = [
        "add",
        "add_scaled",
        "attention",
        "channel_affine",
        "copy",
        "embed",
        "gated_skip",
        "head_cross_entropy",
        "leaky_relu_squared",
        "linear",
        "mean",
        "qk_norm_rope",
        "residual_mix",
        "rms_norm",
        "row",
        "scale_by",
        "scale_rows",
        "smear_gate",
        "soft_quant",
        "softcap",
        "xsa",
    ];
    assert_eq!(with, BTreeSet::from(expected), "these ops were differentiated");
    assert!(with.is_disjoint(&without), "an op is differentiable or not");
}

#[test]
fn fake_quant_passes_its_gradient_through() {
    for case in cases::all().iter().filter(|case| matches!(case.op, Op::FakeQuant(_))) {
        let cotangent = Draw::new(1).floats(case.inputs[0].shape(), 1.0);
        let grads = analytic(case, &cotangent).expect("`fake_quant` is differentiable");
        assert_eq!(grads[0].as_ref().map(Tensor::to_f64), Some(cotangent.to_f64()));
    }
}
