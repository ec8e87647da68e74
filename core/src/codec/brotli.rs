//! Decoding one Brotli stream (RFC 7932).
//!
//! The strict decoder state refuses the large-window extension, so the window is at most 16 MiB by construction.

use brotli::{BrotliDecompressStream, BrotliResult, BrotliState, HeapAlloc, HuffmanCode};

use super::CodecError;

const NAME: &str = "brotli";

/// Decodes `bytes`; the result may have any length up to `raw_len + 1`.
pub(super) fn decode(bytes: &[u8], raw_len: usize) -> Result<Vec<u8>, CodecError> {
    let mut state = BrotliState::new_strict(
        HeapAlloc::<u8>::default(),
        HeapAlloc::<u32>::default(),
        HeapAlloc::<HuffmanCode>::default(),
    );
    // One byte more than declared: a longer stream shows by filling it.
    let mut raw = vec![0; raw_len + 1];
    let (mut left, mut offset, mut room, mut written, mut total) = (bytes.len(), 0, raw.len(), 0, 0);
    let result = BrotliDecompressStream(
        &mut left,
        &mut offset,
        bytes,
        &mut room,
        &mut written,
        &mut raw,
        &mut total,
        &mut state,
    );
    match result {
        BrotliResult::ResultSuccess if left > 0 => {
            Err(CodecError::TrailingBytes { codec: NAME, count: left })
        }
        BrotliResult::ResultSuccess | BrotliResult::NeedsMoreOutput => {
            raw.truncate(written);
            Ok(raw)
        }
        BrotliResult::NeedsMoreInput | BrotliResult::ResultFailure => Err(CodecError::Brotli { offset }),
    }
}
