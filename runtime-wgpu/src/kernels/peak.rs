//! A launch of nothing but multiply-adds: no op is lowered to it, the fraction of a device's peak is measured with it.

use crate::kernel::{Kernel, Param};
use crate::lower::Launch;

static PEAK: Kernel =
    Kernel { name: "peak", source: &[include_str!("peak.wgsl")], entry: "peak", access: "w" };

pub(super) const KERNELS: &[&Kernel] = &[&PEAK];

/// Invocations of a workgroup, one result each.
pub(crate) const RESULTS: usize = 256;

/// Floating-point operations of an invocation in one round: eight multiply-adds on two vectors of four.
const ROUND_FLOPS: u64 = 8 * 2 * 4 * 2;

/// `groups` workgroups of `rounds` rounds; the caller binds `groups ·` [`RESULTS`] words.
pub(crate) fn peak(groups: usize, rounds: u32) -> Launch {
    let flops = groups as u64 * RESULTS as u64 * u64::from(rounds) * ROUND_FLOPS;
    let params = vec![Param::U32(rounds), Param::F32(0.75), Param::F32(0.25)];
    Launch { kernel: &PEAK, bindings: Vec::new(), params, groups, flops }
}
