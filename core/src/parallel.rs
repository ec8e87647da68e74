//! Independent jobs over all cores natively, one after the other on wasm32. Kernels have threads of their own.

/// `job` of every item, in the items' order.
#[cfg(not(target_arch = "wasm32"))]
pub(crate) fn on_all_cores<T: Sync, R: Send>(items: &[T], job: impl Fn(&T) -> R + Sync + Send) -> Vec<R> {
    use rayon::iter::{IntoParallelRefIterator, ParallelIterator};
    items.par_iter().map(job).collect()
}

/// `job` of every item, in the items' order.
#[cfg(target_arch = "wasm32")]
pub(crate) fn on_all_cores<T: Sync, R: Send>(items: &[T], job: impl Fn(&T) -> R + Sync + Send) -> Vec<R> {
    items.iter().map(job).collect()
}
