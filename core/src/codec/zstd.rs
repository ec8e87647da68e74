//! Decoding one plain Zstandard frame (RFC 8878) with a bounded window.
//!
//! Only what our encoder writes is accepted: one frame whose header states the content size, without checksum and
//! dictionary (the artifact has its own digests). This is not a general `.zst` reader.

use std::io::Read;

use ruzstd::decoding::errors::{FrameDecoderError, FrameHeaderError};
use ruzstd::decoding::{FrameDecoder, StreamingDecoder};

use super::CodecError;

const NAME: &str = "zstd";

/// Bits of the frame header descriptor that must be zero: unused, reserved, checksum, dictionary id.
const REFUSED: [(u8, &str); 4] =
    [(1 << 4, "an unused bit"), (1 << 3, "a reserved bit"), (1 << 2, "a checksum"), (0b11, "a dictionary")];

/// Decodes `bytes`; the result may have any length up to `raw_len + 1`.
pub(super) fn decode(bytes: &[u8], raw_len: usize, window: u64) -> Result<Vec<u8>, CodecError> {
    if let Some(&byte) = bytes.get(4)
        && let Some((_, feature)) = REFUSED.iter().find(|(mask, _)| byte & mask != 0)
    {
        return Err(CodecError::Unsupported { codec: NAME, byte, feature });
    }
    let mut source = bytes;
    let mut frame = FrameDecoder::new();
    frame.set_max_window_size(window);
    let decoder =
        StreamingDecoder::new_with_decoder(&mut source, &mut frame).map_err(|e| header_error(e, window))?;
    let declared = decoder.decoder.content_size();
    if declared != raw_len as u64 {
        return Err(CodecError::Length {
            codec: NAME,
            expected: raw_len,
            got: usize::try_from(declared).unwrap_or(usize::MAX),
        });
    }
    let mut raw = Vec::with_capacity(raw_len + 1);
    decoder.take(raw_len as u64 + 1).read_to_end(&mut raw).map_err(CodecError::ZstdData)?;
    if raw.len() == raw_len && !source.is_empty() {
        return Err(CodecError::TrailingBytes { codec: NAME, count: source.len() });
    }
    Ok(raw)
}

fn header_error(error: FrameDecoderError, limit: u64) -> CodecError {
    match error {
        FrameDecoderError::WindowSizeTooBig { requested, .. } => {
            CodecError::WindowTooLarge { codec: NAME, got: requested, limit }
        }
        FrameDecoderError::FrameHeaderError(FrameHeaderError::WindowTooBig { got }) => {
            CodecError::WindowTooLarge { codec: NAME, got, limit }
        }
        other => CodecError::ZstdHeader(other),
    }
}
