//! What the executor asks of a device: memory, kernels, launches in order. A CUDA GPU is one; the emulation on the host,
//! which checks the same kernels where there is no GPU, is another.

use crate::kernel::{Kernel, Param};
use golf_core::backend::BackendError;

/// A device that runs kernels one after the other.
///
/// Calls are in order: what is uploaded or launched later sees what was before. Only [`Driver::read`] waits.
pub trait Driver {
    /// Memory of the device; clones are the same memory, given back with the last of them.
    type Buffer: Clone;
    /// A kernel made ready to launch.
    type Function: Clone;

    /// Name for messages and receipts.
    fn name(&self) -> String;

    /// Memory of `words` words, zeroed; `what` it is for is said where there is none left.
    fn allocate(&mut self, words: usize, what: &str) -> Result<Self::Buffer, BackendError>;

    /// Writes `words` to the start of `to`. They are copied before this returns.
    fn upload(&mut self, words: &[u32], to: &Self::Buffer) -> Result<(), BackendError>;

    /// Copies the first `words` words of `from` to `to`.
    fn copy(&mut self, from: &Self::Buffer, to: &Self::Buffer, words: usize) -> Result<(), BackendError>;

    /// The first `words` words of `from`, once everything before has run.
    fn read(&mut self, from: &Self::Buffer, words: usize) -> Result<Vec<u32>, BackendError>;

    /// Compiles `kernel`, or finds it compiled.
    fn function(&mut self, kernel: &'static Kernel) -> Result<Self::Function, BackendError>;

    /// Runs `function`, made of `kernel`, over `blocks` blocks with these pointers and scalars.
    fn launch(
        &mut self,
        function: &Self::Function,
        kernel: &'static Kernel,
        blocks: usize,
        buffers: &[Self::Buffer],
        params: &[Param],
    ) -> Result<(), BackendError>;
}
