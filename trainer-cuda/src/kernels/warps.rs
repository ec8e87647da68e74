//! Kernels of one warp per item: how many warps share a block.

/// Threads of a block.
pub(super) const THREADS: usize = 256;

/// Threads of a warp.
const WARP: usize = 32;

/// Blocks for `items` warps.
pub(super) fn blocks(items: usize) -> usize {
    items.div_ceil(THREADS / WARP)
}
