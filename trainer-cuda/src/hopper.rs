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
use golf_core::ops::{Attention, AttentionGrad, Op};
use golf_core::plan::{Plan, PlanOptions};
use golf_core::tensor::{Tensor, TensorType};
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
    #[error(
        "attention by products of warpgroups (wgmma) does not run: {reason}; products of warps are used\nhint: if nothing runs from here on, set `GOLF_WGMMA=off`"
    )]
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

/// Largest difference allowed, of a result's largest entry. Both round the same weights to bf16, and add in other orders.
const BOUND: f32 = 1.0 / 256.0;

const WINDOWS: usize = 2;
/// Neither whole tiles of either kind of kernel nor less than two.
const SEQ: usize = 200;
const HEADS: usize = 4;
const KV_HEADS: usize = 2;
const WIDTH: usize = 64;

const RESULTS: [&str; 4] = ["y", "dq", "dk", "dv"];

/// Whether a plan has anything that they would form.
pub(crate) fn concerns(plan: &Plan) -> bool {
    plan.steps.iter().any(|step| matches!(step.op, Op::Attention(_) | Op::AttentionGrad(_)))
}

/// Compares them on the device.
pub(crate) fn checked<D: Driver>(driver: &mut D, options: Options) -> Result<(), HopperError> {
    let refused = |error: BackendError| HopperError::Refused { reason: error.to_string() };
    let of = |driver: &mut D, wgmma| results(driver, Options { wgmma, ..options }).map_err(refused);
    let (got, want) = (of(driver, true)?, of(driver, false)?);
    for ((result, got), want) in RESULTS.into_iter().zip(got).zip(want) {
        let largest = want.iter().fold(0.0, |largest: f32, x| largest.max(x.abs()));
        // NaN, which is in no order, counts as well.
        let off = |(got, want): (&f32, &f32)| Some((got - want).abs()).filter(|d| !d.is_nan());
        let error = got.iter().zip(&want).map(|pair| off(pair).unwrap_or(f32::INFINITY)).fold(0.0, f32::max);
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
    let inputs: Vec<Tensor> =
        executable.plan.inputs.iter().zip(1..).map(|(port, seed)| drawn(seed, &port.operand.ty)).collect();
    executable.load(driver, &inputs.iter().collect::<Vec<_>>())?;
    executable.run(driver, &mut |_, _| Ok(()))?;
    let read = |name: &str| {
        let (buffer, ty) = executable.output(name).expect("the plan was made with it");
        Ok(driver.read(buffer, ty.words())?.into_iter().map(f32::from_bits).collect())
    };
    RESULTS.into_iter().map(read).collect()
}

fn plan() -> Plan {
    let (n, mut graph) = (WINDOWS * SEQ, Graph::new());
    let [q, dy] = ["q", "dy"].map(|name| graph.input(name, TensorType::f32(&[n, HEADS * WIDTH])));
    let [k, v] = ["k", "v"].map(|name| graph.input(name, TensorType::f32(&[n, KV_HEADS * WIDTH])));
    let (heads, kv_heads, seq) = (HEADS, KV_HEADS, SEQ);
    let fits = "operands of these extents fit";
    let [y, lse] = graph.push(Attention { heads, kv_heads, seq }, &[q, k, v]).expect(fits)[..] else {
        unreachable!("attention has two results")
    };
    let slopes = graph.push(AttentionGrad { heads, kv_heads, seq }, &[q, k, v, y, lse, dy]).expect(fits);
    RESULTS.into_iter().zip([y].into_iter().chain(slopes)).for_each(|(name, x)| graph.output(name, x));
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
