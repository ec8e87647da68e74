//! What can be wrong with a compressed stream.

use thiserror::Error;

/// Why a stream was refused.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CodecError {
    /// No codec has this id.
    #[error("codec {id}: expected one of 0..=4\nhint: the file may come from a newer version")]
    Unknown {
        /// The id found.
        id: u8,
    },
    /// The stream holds more or less than was declared. For more, `got` is where decoding stopped.
    #[error("{codec} stream: expected {expected} decoded bytes, got {got}")]
    Length {
        /// Codec.
        codec: &'static str,
        /// Bytes declared.
        expected: usize,
        /// Bytes decoded.
        got: usize,
    },
    /// Bytes follow the end of the stream: a second frame, or garbage.
    #[error("{codec} stream: {count} bytes follow its end")]
    TrailingBytes {
        /// Codec.
        codec: &'static str,
        /// Bytes left over.
        count: usize,
    },
    /// The stream asks for more working memory than is allowed.
    #[error("{codec} stream: expected a window of at most {limit} bytes, got {got}")]
    WindowTooLarge {
        /// Codec.
        codec: &'static str,
        /// Window or dictionary asked for, in bytes.
        got: u64,
        /// Limit in bytes.
        limit: u64,
    },
    /// The stream's header is valid for its codec but uses something that artifacts never do.
    #[error("{codec} stream: header byte {byte:#04x} asks for {feature}, which is not supported")]
    Unsupported {
        /// Codec.
        codec: &'static str,
        /// The byte that asks.
        byte: u8,
        /// What it asks for.
        feature: &'static str,
    },
    /// The Zstandard frame header is damaged.
    #[error("zstd stream: damaged header")]
    ZstdHeader(#[source] ruzstd::decoding::errors::FrameDecoderError),
    /// The Zstandard blocks are damaged.
    #[error("zstd stream: damaged data")]
    ZstdData(#[source] std::io::Error),
    /// The LZMA data are damaged.
    #[error("lzma stream: damaged data")]
    Lzma(#[source] lzma_rs::error::Error),
    /// The Brotli data are damaged.
    #[error("brotli stream: damaged at byte {offset}")]
    Brotli {
        /// Bytes of the stream consumed before the decoder gave up.
        offset: usize,
    },
    /// The stream ends before its last symbol.
    #[error("{codec} stream: expected more than its {len} bytes")]
    Ended {
        /// Codec.
        codec: &'static str,
        /// Bytes there.
        len: usize,
    },
    /// The stream's header holds a number that is no shape, or not in its shortest form.
    #[error("{codec} stream: damaged shapes at byte {offset}")]
    Shape {
        /// Codec.
        codec: &'static str,
        /// Offset in the stream.
        offset: usize,
    },
}
