//! The hash of a file while it is read for something else.

use crate::digest::hex;
use sha2::{Digest, Sha256};
use std::io::{self, Read};

/// A reader that hashes what passes.
pub(super) struct Hashing<R> {
    reader: R,
    hash: Sha256,
    bytes: u64,
}

impl<R: Read> Hashing<R> {
    /// Hashes what is read from `reader`.
    pub(super) fn new(reader: R) -> Self {
        Self { reader, hash: Sha256::new(), bytes: 0 }
    }

    /// SHA-256 (hex) and number of the bytes so far.
    pub(super) fn finish(self) -> (String, u64) {
        (hex(&self.hash.finalize()), self.bytes)
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        self.hash.update(&buffer[..count]);
        self.bytes += count as u64;
        Ok(count)
    }
}
