//! Where pieces of work run: a rayon pool natively, one after the other on wasm32. The only place that knows.
//!
//! A kernel cuts its results into disjoint pieces and hands them over; nothing here depends on the number of threads
//! but the time that it takes.

use super::buffer::Buffer;
use std::cell::RefCell;

/// A pool of threads.
pub(super) struct Threads {
    #[cfg(not(target_arch = "wasm32"))]
    own: Option<rayon::ThreadPool>,
}

thread_local! {
    /// Scratch buffers of this thread that are not in use. More than one, because a thread that waits for pieces may
    /// run another piece meanwhile.
    static IDLE: RefCell<Vec<Buffer>> = const { RefCell::new(Vec::new()) };
}

/// Lends `words` words of scratch; what they hold is unspecified.
pub(super) fn with_scratch<R>(words: usize, body: impl FnOnce(&mut [f32]) -> R) -> R {
    let mut buffer = IDLE.with_borrow_mut(|idle| idle.pop().unwrap_or_default());
    let result = body(buffer.at_least(words));
    IDLE.with_borrow_mut(|idle| idle.push(buffer));
    result
}

#[cfg(not(target_arch = "wasm32"))]
impl Threads {
    /// The process-wide pool.
    pub(super) fn shared() -> Self {
        Self { own: None }
    }

    /// A pool of `n` threads; at least one.
    pub(super) fn own(n: usize) -> Self {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n.max(1)).build();
        // Without threads to be had the work still gets done, on the shared pool.
        Self { own: pool.ok() }
    }

    /// Runs `body` inside the pool, so that its pieces start without waking it anew.
    pub(super) fn enter<R: Send>(&self, body: impl FnOnce() -> R + Send) -> R {
        match &self.own {
            Some(pool) => pool.install(body),
            None => rayon::scope(|_| body()),
        }
    }

    /// Runs `body(index, piece)` for every piece, in any order.
    pub(super) fn each<T: Send>(&self, pieces: Vec<T>, body: impl Fn(usize, T) + Sync + Send) {
        use rayon::iter::{IndexedParallelIterator, IntoParallelIterator, ParallelIterator};
        if pieces.len() < 2 {
            return pieces.into_iter().enumerate().for_each(|(index, piece)| body(index, piece));
        }
        pieces.into_par_iter().with_max_len(1).enumerate().for_each(|(index, piece)| body(index, piece));
    }
}

#[cfg(target_arch = "wasm32")]
impl Threads {
    /// The calling thread.
    pub(super) fn shared() -> Self {
        Self {}
    }

    /// The calling thread, whatever `n`.
    pub(super) fn own(_n: usize) -> Self {
        Self {}
    }

    /// Runs `body`.
    pub(super) fn enter<R: Send>(&self, body: impl FnOnce() -> R + Send) -> R {
        body()
    }

    /// Runs `body(index, piece)` for every piece, in order.
    pub(super) fn each<T: Send>(&self, pieces: Vec<T>, body: impl Fn(usize, T) + Sync + Send) {
        pieces.into_iter().enumerate().for_each(|(index, piece)| body(index, piece));
    }
}
