//! Kernels of one warp per item, or of a few lanes per head: how many share a block.

/// Threads of a block.
pub(super) const THREADS: usize = 256;

/// Threads of a warp.
const WARP: usize = 32;

/// Blocks for `items` warps.
pub(super) fn blocks(items: usize) -> usize {
    items.div_ceil(THREADS / WARP)
}

/// Blocks for `items` heads of `width` channels, with lanes as in `shared/heads.cuh`.
pub(super) fn head_blocks(items: usize, width: usize) -> usize {
    let lanes = width.div_ceil(8).next_power_of_two().min(WARP);
    items.div_ceil(THREADS / lanes)
}
