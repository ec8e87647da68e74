//! Launches of `hash_bucket`.

use crate::kernel::Kernel;
use crate::lower::Lowering;
use golf_core::ops::HashBucket;

pub(super) const KERNELS: &[&Kernel] = &[];

pub(super) fn hash_bucket(_op: &HashBucket, _low: &mut Lowering<'_>) {
    panic!("hash_bucket::hash_bucket: not written")
}
