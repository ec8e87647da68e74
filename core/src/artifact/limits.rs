//! What a reader is willing to spend on a file, whatever the file declares.
//!
//! Every number here is compared before the memory that it stands for is allocated. The writer obeys the default
//! limits too, so everything that it writes can be read.

use crate::codec::CodecLimits;

use super::error::ArtifactError;

/// Largest rank of a tensor.
pub const MAX_RANK: usize = 4;
/// Longest tensor name, in bytes.
pub const MAX_NAME: usize = 255;

/// Limits of [`super::Artifact::decode`]. Sizes are in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The file.
    pub file: u64,
    /// Header with section table; and, each, the decompressed config, tensor table and provenance.
    pub header: u64,
    /// Number of sections.
    pub sections: u64,
    /// Number of tensors.
    pub tensors: u64,
    /// All sections together, decompressed.
    pub raw: u64,
    /// Decompressed bytes per byte of the file, beyond `ratio_allowance`.
    pub ratio: u64,
    /// Decompressed bytes that are harmless at any ratio: a model whose weights are still zero shrinks to nothing.
    pub ratio_allowance: u64,
    /// Working memory of the decoders.
    pub codec: CodecLimits,
}

impl Default for Limits {
    /// 64 MiB a file, 1 MiB a header, 4,096 sections, 65,536 tensors, 1 GiB raw, ratio 64 beyond 16 MiB.
    fn default() -> Self {
        Self {
            file: 64 << 20,
            header: 1 << 20,
            sections: 4096,
            tensors: 65_536,
            raw: 1 << 30,
            ratio: 64,
            ratio_allowance: 16 << 20,
            codec: CodecLimits::default(),
        }
    }
}

impl Limits {
    /// Checks the sum of declared raw sizes against the file that declares them.
    pub(super) fn check_raw(&self, raw: u64, file: u64) -> Result<(), ArtifactError> {
        within("bytes after decompression", raw, self.raw)?;
        let affordable = file.saturating_mul(self.ratio).saturating_add(self.ratio_allowance);
        within("bytes after decompression for a file of this size", raw, affordable)?;
        Ok(())
    }
}

/// `got` if it is at most `limit`.
pub(super) fn within(what: &'static str, got: u64, limit: u64) -> Result<u64, ArtifactError> {
    if got <= limit { Ok(got) } else { Err(ArtifactError::Limit { what, got, limit }) }
}
