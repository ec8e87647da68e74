//! What can be wrong with an artifact, one variant a cause.

use thiserror::Error;

use crate::codec::CodecError;
use crate::model::config::ConfigError;

/// Why an artifact could not be read or written. Offsets are in bytes from the start of the file.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ArtifactError {
    /// The file is something else.
    #[error(
        "offset 0: expected the artifact magic 89 47 4c 46 0d 0a 1a 0a, got {got:02x?}\n\
         hint: a file that was transferred as text is damaged here; otherwise it is not an artifact"
    )]
    Magic {
        /// The first bytes, at most eight.
        got: Vec<u8>,
    },
    /// The layout is one that this code does not know.
    #[error(
        "offset 8: expected major version {supported}, got {major}.{minor}\nhint: update golf to read this file"
    )]
    Version {
        /// Major version of the file.
        major: u16,
        /// Minor version of the file.
        minor: u16,
        /// The major version that is read.
        supported: u16,
    },
    /// The byte order mark is wrong.
    #[error("offset 12: expected byte order mark 1 (little-endian), got {got}")]
    ByteOrder {
        /// The mark.
        got: u8,
    },
    /// The file requires features that this code does not know.
    #[error("offset 24: required features {bits:#010x} are not known\nhint: update golf to read this file")]
    Features {
        /// The bits.
        bits: u32,
    },
    /// The file is shorter than its header says or than any artifact.
    #[error("file is truncated: expected {expected} bytes, got {got}")]
    Truncated {
        /// Bytes declared, or needed at least.
        expected: u64,
        /// Bytes there.
        got: u64,
    },
    /// The file goes on after its declared end.
    #[error("file goes on after its end: expected {expected} bytes, got {got}")]
    TrailingBytes {
        /// Bytes declared.
        expected: u64,
        /// Bytes there.
        got: u64,
    },
    /// Something declared is larger than the reader allows.
    #[error("{what}: expected at most {limit}, got {got}")]
    Limit {
        /// What is too large.
        what: &'static str,
        /// The declared value.
        got: u64,
        /// The limit.
        limit: u64,
    },
    /// Header or section table are damaged.
    #[error("offset 28: header CRC-32: expected {expected:08x}, got {got:08x}")]
    HeaderCrc {
        /// As stored.
        expected: u32,
        /// As computed.
        got: u32,
    },
    /// A section's stored bytes are damaged.
    #[error("offset {offset}: section {index} ({kind}) CRC-32: expected {expected:08x}, got {got:08x}")]
    SectionCrc {
        /// Index in the section table.
        index: usize,
        /// Kind of the section.
        kind: &'static str,
        /// Where its bytes start.
        offset: u64,
        /// As stored.
        expected: u32,
        /// As computed.
        got: u32,
    },
    /// The file's SHA-256 is wrong although every CRC is right.
    #[error("SHA-256 at the end of the file does not match its bytes")]
    FileDigest,
    /// The decoded content is not what the header's digest names.
    #[error("offset 32: content digest does not match the decoded content")]
    ContentDigest,
    /// The sections' sizes do not add up to the file.
    #[error("section table: expected sections of {expected} stored bytes, got {got}")]
    SectionSum {
        /// Bytes between section table and digest.
        expected: u64,
        /// Sum over the table.
        got: u64,
    },
    /// Sections are not in ascending order of kind, or one appears twice.
    #[error("section {index}: kind {kind} after kind {previous}")]
    SectionOrder {
        /// Index in the section table.
        index: usize,
        /// Its kind.
        kind: u8,
        /// The kind before it.
        previous: u8,
    },
    /// A section is required that this code does not know.
    #[error("section {index}: kind {kind} is required and not known\nhint: update golf to read this file")]
    UnknownSection {
        /// Index in the section table.
        index: usize,
        /// Its kind.
        kind: u8,
    },
    /// Bits of a section entry have no meaning, or not for this kind.
    #[error("section {index} ({kind}): detail {detail} with flags {flags:#04x} has no meaning")]
    SectionFlags {
        /// Index in the section table.
        index: usize,
        /// Its kind.
        kind: &'static str,
        /// Detail byte.
        detail: u8,
        /// Flags byte.
        flags: u8,
    },
    /// A section that must be there is not.
    #[error("section {kind} is missing")]
    MissingSection {
        /// Its kind.
        kind: &'static str,
    },
    /// A section's raw size disagrees with what the tensor table (or the kind) asks for.
    #[error("section {index} ({kind}): expected {expected} raw bytes, got {got}")]
    SectionSize {
        /// Index in the section table.
        index: usize,
        /// Its kind.
        kind: &'static str,
        /// What the tensors need.
        expected: u64,
        /// What the entry declares.
        got: u64,
    },
    /// A section without content, which should have been left out.
    #[error("section {kind} is empty\nhint: leave out what is absent")]
    EmptySection {
        /// Its kind.
        kind: &'static str,
    },
    /// A section no tensor uses.
    #[error("section {index} ({kind}) belongs to no tensor")]
    UnusedSection {
        /// Index in the section table.
        index: usize,
        /// Its kind.
        kind: &'static str,
    },
    /// A section does not decompress.
    #[error("offset {offset}: section {index} ({kind})")]
    Codec {
        /// Index in the section table.
        index: usize,
        /// Its kind.
        kind: &'static str,
        /// Where its bytes start.
        offset: u64,
        /// Why.
        #[source]
        source: CodecError,
    },
    /// A structure inside a section ends before its fields do.
    #[error("{what} ends early: expected {needed} more bytes, got {left}")]
    EndsEarly {
        /// The structure.
        what: &'static str,
        /// Bytes of the next field.
        needed: u64,
        /// Bytes there.
        left: u64,
    },
    /// A structure inside a section has bytes after its last field.
    #[error("{what}: {left} bytes follow its end")]
    BytesLeft {
        /// The structure.
        what: &'static str,
        /// Bytes left over.
        left: u64,
    },
    /// JSON of the wrong syntax or schema.
    #[error("section {kind} is not the expected JSON")]
    Json {
        /// Kind of the section.
        kind: &'static str,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// JSON that says the right thing in other bytes than the writer's.
    #[error("section {kind} is not in canonical form")]
    NotCanonical {
        /// Kind of the section.
        kind: &'static str,
    },
    /// The model's configuration is out of range.
    #[error("section config")]
    Config(#[from] ConfigError),
    /// A provenance field is too long or holds control characters.
    #[error(
        "provenance `{field}`: expected at most {limit} bytes without control characters, got {got} bytes"
    )]
    Provenance {
        /// The field.
        field: &'static str,
        /// Largest length.
        limit: usize,
        /// Its length.
        got: usize,
    },
    /// A name's length is not 1 to 255 bytes.
    #[error("tensor {index}: expected a name of 1..=255 bytes, got {got}")]
    NameLength {
        /// Index of the tensor.
        index: usize,
        /// Length of the name.
        got: usize,
    },
    /// A name is not text.
    #[error("tensor {index}: its name is not UTF-8 from byte {at}")]
    NameEncoding {
        /// Index of the tensor.
        index: usize,
        /// First bad byte of the name.
        at: usize,
    },
    /// A name holds control characters, which could disturb a terminal.
    #[error("tensor {index}: its name {name:?} holds control characters")]
    NameControl {
        /// Index of the tensor.
        index: usize,
        /// The name.
        name: String,
    },
    /// Two tensors have the same name.
    #[error("tensor {index}: the name `{name}` appears twice")]
    NameDuplicate {
        /// Index of the second one.
        index: usize,
        /// The name.
        name: String,
    },
    /// Names do not ascend.
    #[error("tensor {index}: `{name}` must not follow `{previous}`\nhint: tensors are sorted by name")]
    NameOrder {
        /// Index of the second one.
        index: usize,
        /// The name.
        name: String,
        /// The name before it.
        previous: String,
    },
    /// The element type is none of 4, 5, 6, 8, 16, 32.
    #[error("tensor `{name}`: expected 4, 5, 6, 8, 16 or 32 bits, got {got}")]
    ElementType {
        /// The tensor.
        name: String,
        /// Its type.
        got: u32,
    },
    /// The rank is above 4, or a quantized tensor is no matrix.
    #[error("tensor `{name}`: expected {expected}, got rank {got}")]
    Rank {
        /// The tensor.
        name: String,
        /// What would be accepted.
        expected: &'static str,
        /// Its rank.
        got: usize,
    },
    /// A dimension is zero or does not fit 32 bits.
    #[error("tensor `{name}`: expected dimensions of 1..2^32, got {got} on axis {axis}")]
    Dimension {
        /// The tensor.
        name: String,
        /// The axis.
        axis: usize,
        /// Its extent.
        got: u64,
    },
    /// The size of a tensor, or of all tensors, overflows.
    #[error("tensor `{name}`: its size does not fit 64 bits")]
    SizeOverflow {
        /// The tensor at which it happens.
        name: String,
    },
    /// A tensor's data do not fill its shape (on writing).
    #[error("tensor `{name}`: expected {expected} {what}, got {got}")]
    DataLength {
        /// The tensor.
        name: String,
        /// Values or scales.
        what: &'static str,
        /// What the shape asks for.
        expected: u64,
        /// What is there.
        got: u64,
    },
    /// A quantized tensor refers to a symbols section that does not exist or has another width.
    #[error("tensor `{name}`: no symbols section {group} of {bits} bits")]
    SymbolGroup {
        /// The tensor.
        name: String,
        /// Index among the symbols sections.
        group: usize,
        /// Bits of the tensor.
        bits: u32,
    },
    /// An integer is outside its bit width.
    #[error("tensor `{name}`: integer {got} at {index} does not fit {bits} bits")]
    Integer {
        /// The tensor.
        name: String,
        /// Row-major index.
        index: usize,
        /// The integer.
        got: i32,
        /// Bits of the tensor.
        bits: u32,
    },
    /// A scale is negative, infinite or not a number.
    #[error("tensor `{name}`: expected a finite scale without sign, got {got} for row {row}")]
    Scale {
        /// The tensor.
        name: String,
        /// The row.
        row: usize,
        /// The scale.
        got: f32,
    },
    /// A weight is infinite or not a number.
    #[error("tensor `{name}`: expected finite values, got {got} at {index}")]
    Weight {
        /// The tensor.
        name: String,
        /// Row-major index.
        index: usize,
        /// The value.
        got: f32,
    },
}
