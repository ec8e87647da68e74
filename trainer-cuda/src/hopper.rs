//! Whether Hopper's products of warpgroups are used on a device: once what they compute has been compared, on the device itself,
//! with what the tensor cores of any GPU since Ampere do.
//!
//! Invariant: the choice depends on device and driver alone, so two runs of a plan launch the same kernels.

use crate::driver::Driver;
use crate::exec::{Executable, States};
use crate::pending::Options;
use crate::products::Chosen;
use crate::tables::Tables;
use golf_core::backend::BackendError;
use golf_core::graph::Graph;
use golf_core::ops::{Attention, AttentionGrad, Copy, Embed, Op};
use golf_core::plan::{Plan, PlanOptions, Port};
use golf_core::tensor::{DType, Tensor, TensorType};
use thiserror::Error;

/// Why they are not used.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum HopperError {
    /// Results differ.
    #[error(
        "attention by products of warpgroups (wgmma) is off by {error:e} of the largest entry of `{result}`: expected at most {bound:e}; products of warps are used"
    )]
    Wrong {
        /// What differs most.
        result: &'static str,
        /// Its largest difference.
        error: f32,
        /// Largest one allowed.
        bound: f32,
    },
    /// The device does not run them.
    #[error("attention by products of warpgroups (wgmma) does not run: {reason}; products of warps are used")]
    Refused {
        /// What it said.
        reason: String,
    },
}

/// Environment variable that keeps them from being used where it is `off`: to compare, or where they fail.
pub const WGMMA: &str = "GOLF_WGMMA";

/// Whether the environment leaves the choice to the device.
pub(crate) fn allowed() -> bool {
    std::env::var_os(WGMMA).is_none_or(|value| value != "off")
}

/// Largest difference allowed, of a result's largest entry: two steps of bf16, in which results are stored. Both round the same
/// weights to bf16, and add in other orders; an operand that is misread is off by as much as there is.
const BOUND: f32 = 1.0 / 64.0;

/// More windows and heads of either kind than blocks take at a time, which are 16.
const WINDOWS: usize = 3;
const HEADS: usize = 12;
const KV_HEADS: usize = 6;
/// Neither whole tiles of either kind of kernel nor less than two.
const SEQ: usize = 130;
const WIDTH: usize = 64;
const TOKENS: usize = WINDOWS * SEQ;

const RESULTS: [&str; 4] = ["y", "dq", "dk", "dv"];

/// Whether a plan has anything that they would form.
pub(crate) fn concerns(plan: &Plan) -> bool {
    plan.steps.iter().any(|step| matches!(step.op, Op::Attention(_) | Op::AttentionGrad(_)))
}

/// Compares them on the device; why they are not used. After an instruction that a device cannot do it is lost, and what it is
/// asked for next fails: then the error says how to do without.
pub(crate) fn checked<D: Driver>(
    driver: &mut D,
    options: Options,
) -> Result<Result<(), HopperError>, BackendError> {
    let want = results(driver, Options { wgmma: false, ..options })?;
    let got = match results(driver, Options { wgmma: true, ..options }) {
        Ok(got) => got,
        Err(BackendError::Lost { backend, reason }) => {
            let tried =
                "while attention by products of warpgroups (wgmma) was tried; `GOLF_WGMMA=off` does without";
            return Err(BackendError::Lost { backend, reason: format!("{reason}, {tried}") });
        }
        Err(error) => return Ok(Err(HopperError::Refused { reason: error.to_string() })),
    };
    Ok(compared(&got, &want))
}

fn compared(got: &[Vec<f32>], want: &[Vec<f32>]) -> Result<(), HopperError> {
    for ((result, got), want) in RESULTS.into_iter().zip(got).zip(want) {
        let largest = want.iter().fold(0.0, |largest: f32, x| largest.max(x.abs()));
        // NaN, which is in no order, counts as well.
        let off = |(got, want): (&f32, &f32)| Some((got - want).abs()).filter(|d| !d.is_nan());
        let error = got.iter().zip(want).map(|pair| off(pair).unwrap_or(f32::INFINITY)).fold(0.0, f32::max);
        if error > BOUND * largest {
            return Err(HopperError::Wrong { result, error: error / largest, bound: BOUND });
        }
    }
    Ok(())
}

/// [`RESULTS`] of attention over numbers that are the same on every device.
fn results<D: Driver>(driver: &mut D, options: Options) -> Result<Vec<Vec<f32>>, BackendError> {
    let plan = plan();
    let (states, mut tables, chosen) = (States::new(), Tables::default(), Chosen::default());
    let mut executable = Executable::new(driver, plan, &states, &mut tables, &chosen, options)?;
    let drawn = |(port, seed): (&Port, u32)| match port.operand.ty.dtype {
        DType::I32 => Tensor::i32(&[TOKENS], (0..TOKENS as i32).collect()),
        _ => drawn(seed, &port.operand.ty),
    };
    let inputs: Vec<Tensor> = executable.plan.inputs.iter().zip(1..).map(drawn).collect();
    executable.load(driver, &inputs.iter().collect::<Vec<_>>())?;
    executable.run(driver, &mut |_, _| Ok(()))?;
    let read = |name: &str| {
        let (buffer, ty) = executable.output(name).expect("the plan was made with it");
        Ok(driver.read(buffer, ty.words())?.into_iter().map(f32::from_bits).collect())
    };
    RESULTS.into_iter().map(read).collect()
}

/// Attention and its gradient between other ops, as in a model: the kernels that read and write activations in bf16.
fn plan() -> Plan {
    let mut graph = Graph::new();
    let fits = "operands of these extents fit";
    let rows = graph.input("rows", TensorType::i32(&[TOKENS]));
    let operand = |(name, heads)| {
        let table = graph.input(name, TensorType::f32(&[TOKENS, heads * WIDTH]));
        graph.push(Embed, &[rows, table]).expect(fits)[0]
    };
    let [q, dy, k, v] = [("q", HEADS), ("dy", HEADS), ("k", KV_HEADS), ("v", KV_HEADS)].map(operand);
    let (heads, kv_heads, seq) = (HEADS, KV_HEADS, SEQ);
    let [y, lse] = graph.push(Attention { heads, kv_heads, seq }, &[q, k, v]).expect(fits)[..] else {
        unreachable!("attention has two results")
    };
    let slopes = graph.push(AttentionGrad { heads, kv_heads, seq }, &[q, k, v, y, lse, dy]).expect(fits);
    for (name, x) in RESULTS.into_iter().zip([y].into_iter().chain(slopes)) {
        let copy = graph.push(Copy, &[x]).expect(fits)[0];
        graph.output(name, copy);
    }
    Plan::new("comparison of attention", &graph, PlanOptions::default())
}

/// Numbers in [-1, 1).
fn drawn(seed: u32, ty: &TensorType) -> Tensor {
    let entry = |i: u32| {
        let hash = (i ^ (seed << 20)).wrapping_mul(0x9e37_79b9);
        (hash ^ (hash >> 15)).wrapping_mul(0x85eb_ca6b) as i32 as f32 / (1u32 << 31) as f32
    };
    Tensor::f32(&ty.shape, (0..ty.numel() as u32).map(entry).collect())
}
