//! Pinned host memory through which small uploads pass, so that the host does not wait for the device: a copy from ordinary
//! memory may, since the driver has to have read it when the call returns.

#![allow(unsafe_code)]

use cudarc::driver::{CudaContext, CudaEvent, CudaStream, DriverError, result, sys};
use std::ffi::c_void;
use std::sync::Arc;

/// Places in the ring: a step uploads fewer inputs, so the place that is next has long been read.
const PLACES: usize = 32;

/// Longest upload that passes through: a micro-batch of a million tokens.
pub(crate) const LONGEST: usize = 4 << 20;

/// A ring of pinned memory.
pub(crate) struct Staging {
    context: Arc<CudaContext>,
    places: Vec<Pinned>,
    next: usize,
}

/// Pinned memory, and when the device has read it.
struct Pinned {
    pointer: *mut c_void,
    bytes: usize,
    read: CudaEvent,
}

impl Staging {
    /// An empty ring.
    pub fn new(context: Arc<CudaContext>) -> Self {
        Self { context, places: Vec::new(), next: 0 }
    }

    /// Queues a copy of `words` to the device's memory at `to`, which has as many.
    pub fn upload(
        &mut self,
        words: &[u32],
        to: sys::CUdeviceptr,
        stream: &CudaStream,
    ) -> Result<(), DriverError> {
        let place = self.place(4 * words.len())?;
        place.read.synchronize()?;
        // SAFETY: the place has as many bytes and the device has read what it held; pinned memory is aligned to pages.
        let staged = unsafe {
            std::ptr::copy_nonoverlapping(words.as_ptr(), place.pointer.cast(), words.len());
            std::slice::from_raw_parts(place.pointer.cast::<u32>(), words.len())
        };
        // SAFETY: the caller vouches for `to`; the place is not written before `read` has happened.
        unsafe { result::memcpy_htod_async(to, staged, stream.cu_stream()) }?;
        place.read.record(stream)
    }

    /// The next place, grown to `bytes` where it is smaller.
    fn place(&mut self, bytes: usize) -> Result<&mut Pinned, DriverError> {
        let index = self.next;
        self.next = (self.next + 1) % PLACES;
        if index == self.places.len() {
            self.places.push(Pinned::new(&self.context, bytes)?);
        } else if self.places[index].bytes < bytes {
            self.places[index].read.synchronize()?;
            self.places[index] = Pinned::new(&self.context, bytes)?;
        }
        Ok(&mut self.places[index])
    }
}

impl Pinned {
    fn new(context: &Arc<CudaContext>, bytes: usize) -> Result<Self, DriverError> {
        let bytes = bytes.next_power_of_two();
        let read = context.new_event(None)?;
        // SAFETY: the context is bound, which the event's creation did.
        let pointer = unsafe { result::malloc_host(bytes, 0) }?;
        Ok(Self { pointer, bytes, read })
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // A context that cannot be bound is gone, and its memory with it.
        if self.read.context().bind_to_thread().is_ok() && self.read.synchronize().is_ok() {
            // SAFETY: the pointer came from `malloc_host`, and the device has read what it holds.
            let _ = unsafe { result::free_host(self.pointer) };
        }
    }
}
