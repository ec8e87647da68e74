//! Memory of the emulated device.

#![allow(unsafe_code)]

use std::cell::{Cell, UnsafeCell};
use std::rc::Rc;

/// Emulated device memory between guards.
#[derive(Clone)]
pub struct Memory {
    pub(super) words: usize,
    lines: Rc<[UnsafeCell<Line>]>,
    /// Buffers whose addresses it holds.
    pub(super) named: Rc<[Memory]>,
    /// Gives the bytes back with the last clone.
    _share: Rc<Share>,
}

/// A part of the device's memory.
pub(super) struct Share {
    pub bytes: u64,
    pub used: Rc<Cell<u64>>,
}

impl Drop for Share {
    fn drop(&mut self) {
        self.used.set(self.used.get() - self.bytes);
    }
}

/// Sixteen bytes at their natural alignment, which vector loads of kernels need.
#[repr(C, align(16))]
#[derive(Clone, Copy)]
struct Line([u32; 4]);

/// Guards before and behind a buffer, in lines.
const GUARD: usize = 16;

/// What guards hold: a NaN.
const UNTOUCHED: u32 = 0x7fc0_dead;

impl Memory {
    pub(super) fn new(words: usize, share: Rc<Share>) -> Self {
        let count = words.div_ceil(4) + 2 * GUARD;
        let lines = (0..count).map(|_| UnsafeCell::new(Line([UNTOUCHED; 4]))).collect();
        let memory = Self { words, lines, named: Rc::default(), _share: share };
        memory.with(|memory| memory.fill(0));
        memory
    }

    /// The same memory, which keeps the buffers that it names.
    pub(super) fn naming(self, named: impl Iterator<Item = Memory>) -> Self {
        Self { named: named.collect(), ..self }
    }

    /// The first word of the buffer.
    pub(super) fn pointer(&self) -> *mut u32 {
        self.lines[GUARD].get().cast()
    }

    pub(super) fn with<T>(&self, access: impl FnOnce(&mut [u32]) -> T) -> T {
        // SAFETY: the lines from the guard on hold `words` words; kernels run inside `launch` only, the buffer does not
        // leave its thread, and no two calls of this function are nested.
        access(unsafe { std::slice::from_raw_parts_mut(self.pointer(), self.words) })
    }

    /// Whether nobody wrote before the buffer or behind it.
    pub(super) fn is_guarded(&self) -> bool {
        let (before, behind) = (4 * GUARD, 4 * (self.lines.len() - GUARD));
        // SAFETY: all lines are words; no kernel runs.
        let all =
            unsafe { std::slice::from_raw_parts(self.lines[0].get().cast::<u32>(), 4 * self.lines.len()) };
        all[..before]
            .iter()
            .chain(&all[before + self.words..behind])
            .chain(&all[behind..])
            .all(|&w| w == UNTOUCHED)
    }
}
