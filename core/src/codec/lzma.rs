//! Decoding raw LZMA1 with a bounded dictionary.
//!
//! The stream is what a `.lzma` file holds without its eight length bytes: the artifact knows the length. There is
//! no end marker. This is not a reader of `.lzma` or `.xz` files.

use lzma_rs::decompress::{Options, UnpackedSize};

use super::CodecError;

const NAME: &str = "lzma";

/// Context bits that the encoder may choose (the limit of LZMA2): bounds the probability tables at 24 KiB.
const MAX_LITERAL_BITS: u8 = 4;

/// Decodes `bytes`; the result has `raw_len` bytes.
pub(super) fn decode(bytes: &[u8], raw_len: usize, dictionary: u32) -> Result<Vec<u8>, CodecError> {
    if let [properties, size @ ..] = bytes
        && let Some(size) = size.first_chunk::<4>()
    {
        let (literal_context, literal_position) = (properties % 9, properties / 9 % 5);
        if literal_context + literal_position > MAX_LITERAL_BITS {
            return Err(CodecError::Unsupported {
                codec: NAME,
                byte: *properties,
                feature: "more than 4 literal bits",
            });
        }
        let got = u32::from_le_bytes(*size);
        if got > dictionary {
            return Err(CodecError::WindowTooLarge {
                codec: NAME,
                got: got.into(),
                limit: dictionary.into(),
            });
        }
    }
    let options = Options {
        unpacked_size: UnpackedSize::UseProvided(Some(raw_len as u64)),
        memlimit: Some(dictionary as usize),
        allow_incomplete: false,
    };
    let mut source = bytes;
    let mut raw = Vec::with_capacity(raw_len);
    // With a known length the decoder stops at the first symbol that reaches it, and a match overshoots it by at
    // most 272 bytes: no input can make the output longer.
    lzma_rs::lzma_decompress_with_options(&mut source, &mut raw, &options).map_err(CodecError::Lzma)?;
    if !source.is_empty() {
        return Err(CodecError::TrailingBytes { codec: NAME, count: source.len() });
    }
    Ok(raw)
}
