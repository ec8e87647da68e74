//! What the executor asks of a device: memory, kernels, products of a library, launches in order. A CUDA GPU is one; the emulation on the host,
//! which checks the same kernels where there is no GPU, is another.

use crate::gemm::Gemm;
use crate::kernel::{Kernel, Param, Storage};
use crate::products::ProductError;
use crate::rows::Row;
use golf_core::backend::BackendError;

/// A device that runs kernels one after the other.
///
/// Calls are in order: what is uploaded or launched later sees what was before. Only [`Driver::read`] waits.
pub trait Driver {
    /// Memory of the device; clones are the same memory, given back with the last of them.
    type Buffer: Clone;
    /// A kernel made ready to launch.
    type Function: Clone;
    /// A product that the device's library is ready to form.
    type Product: Clone;
    /// Calls to be made again as one.
    type Recording;
    /// A moment in the order of calls.
    type Moment;

    /// Name for messages and receipts.
    fn name(&self) -> String;

    /// Whether it has Hopper's products of warpgroups (`wgmma`).
    fn has_wgmma(&self) -> bool;

    /// Memory of `words` words, at least one, zeroed; `what` it is for is said where there is none left.
    fn allocate(&mut self, words: usize, what: &str) -> Result<Self::Buffer, BackendError>;

    /// The table of `rows`, as [`crate::Row`]s lie in memory. It keeps the buffers that they name.
    fn table(&mut self, rows: &[Row<Self::Buffer>]) -> Result<Self::Buffer, BackendError>;

    /// Writes `words` to the start of `to`. They are copied before this returns.
    fn upload(&mut self, words: &[u32], to: &Self::Buffer) -> Result<(), BackendError>;

    /// Copies the first `words` words of `from` to `to`.
    fn copy(&mut self, from: &Self::Buffer, to: &Self::Buffer, words: usize) -> Result<(), BackendError>;

    /// The first `words` words of `from`, once everything before has run.
    fn read(&mut self, from: &Self::Buffer, words: usize) -> Result<Vec<u32>, BackendError>;

    /// Compiles `kernel` for activations of this form, or finds it compiled.
    fn function(&mut self, kernel: &'static Kernel, storage: Storage)
    -> Result<Self::Function, BackendError>;

    /// Runs `function`, made of `kernel`, over `blocks` blocks with these pointers and scalars.
    fn launch(
        &mut self,
        function: &Self::Function,
        kernel: &'static Kernel,
        blocks: usize,
        buffers: &[Self::Buffer],
        params: &[Param],
    ) -> Result<(), BackendError>;

    /// Makes the library ready to form `gemm`, in the ways that it knows, the one that it likes best first; or says why it does
    /// not.
    fn products(&mut self, gemm: &Gemm) -> Result<Vec<Self::Product>, ProductError>;

    /// Whether a library's products are compared with our own before they are used.
    fn is_checked(&self) -> bool;

    /// Forms `product` of the bf16 operands `a` and `b`, perhaps added to a third matrix, into the fourth, both from entry `offset`
    /// of their buffers on. These are one, unless the product is added to another matrix than its result.
    fn multiply(
        &mut self,
        product: &Self::Product,
        buffers: [&Self::Buffer; 4],
        offset: usize,
    ) -> Result<(), BackendError>;

    /// Writes down what `calls` launches, multiplies and copies, without doing it.
    fn record(
        &mut self,
        calls: &mut dyn FnMut(&mut Self) -> Result<(), BackendError>,
    ) -> Result<Self::Recording, BackendError>;

    /// Does what was written down. Buffers are those of then; what they hold is what they hold now.
    fn replay(&mut self, recording: &Self::Recording) -> Result<(), BackendError>;

    /// The moment at which everything so far has run.
    fn moment(&mut self) -> Result<Self::Moment, BackendError>;

    /// Seconds from one moment to another, once both have come.
    fn seconds(&mut self, from: &Self::Moment, to: &Self::Moment) -> Result<f64, BackendError>;
}
