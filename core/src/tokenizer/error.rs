//! What can go wrong with a tokenizer, one enum per stage.

use super::{MAX_FILE_BYTES, MAX_PIECE_BYTES, MAX_PIECES};

/// Why a vocabulary or a SentencePiece `.model` file was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenizerError {
    /// The file is larger than any model should be.
    #[error("tokenizer file: expected at most {MAX_FILE_BYTES} bytes, got {got}")]
    FileTooLarge {
        /// Size in bytes.
        got: usize,
    },
    /// The protobuf framing is broken.
    #[error(
        "tokenizer file: broken protobuf field at byte {offset}\n\
         hint: expected a SentencePiece `.model` file, not a `.vocab` or a text file"
    )]
    Wire {
        /// Where the field starts.
        offset: usize,
    },
    /// One message has more fields than any model should have.
    #[error("tokenizer file: expected at most {limit} fields of this kind, got more at byte {offset}")]
    TooManyFields {
        /// Where the first field over the limit starts.
        offset: usize,
        /// The limit.
        limit: usize,
    },
    /// The framing is sound but the message is not a model.
    #[error("tokenizer file: not a SentencePiece model: {detail}")]
    NotAModel {
        /// What the protobuf decoder said.
        detail: String,
    },
    /// A model of another algorithm.
    #[error(
        "tokenizer file: expected model type `bpe`, got `{got}`\nhint: only byte-pair models are supported"
    )]
    ModelType {
        /// Name of the model type.
        got: String,
    },
    /// A piece type outside the format.
    #[error("piece {id}: unknown piece type {code}")]
    PieceType {
        /// Id of the piece.
        id: u32,
        /// The type number in the file.
        code: i32,
    },
    /// A score that does not order merges.
    #[error("piece {id}: expected a finite score, got {score}")]
    Score {
        /// Id of the piece.
        id: u32,
        /// The score in the file.
        score: f32,
    },
    /// No piece, or too many.
    #[error("vocabulary: expected 1 to {MAX_PIECES} pieces, got {got}")]
    PieceCount {
        /// Number of pieces.
        got: usize,
    },
    /// An empty or overlong piece.
    #[error("piece {id}: expected 1 to {MAX_PIECE_BYTES} bytes, got {bytes}")]
    PieceLength {
        /// Id of the piece.
        id: u32,
        /// Its length in bytes.
        bytes: usize,
    },
    /// A piece with a NUL character, which the format forbids.
    #[error("piece {id}: contains a NUL character")]
    NulInPiece {
        /// Id of the piece.
        id: u32,
    },
    /// Two pieces with the same text.
    #[error("pieces {first} and {second}: both are `{piece}`")]
    DuplicatePiece {
        /// The smaller id.
        first: u32,
        /// The larger id.
        second: u32,
        /// Their text.
        piece: String,
    },
    /// No piece of the unknown kind.
    #[error("vocabulary: has no unknown piece")]
    NoUnknownPiece,
    /// More than one piece of the unknown kind.
    #[error("pieces {first} and {second}: both are the unknown piece")]
    TwoUnknownPieces {
        /// The smaller id.
        first: u32,
        /// The larger id.
        second: u32,
    },
    /// BOS, EOS or padding that is not a control piece.
    #[error("piece {id}: expected a control piece, since it is a marker")]
    Marker {
        /// Id of the piece.
        id: u32,
    },
    /// A byte piece whose text is not `<0xNN>`.
    #[error("piece {id}: expected a byte piece `<0x00>` to `<0xFF>`, got `{piece}`")]
    BytePiece {
        /// Id of the piece.
        id: u32,
        /// Its text.
        piece: String,
    },
    /// Byte pieces in a model that says it has none.
    #[error("piece {id}: is a byte piece although byte fallback is off")]
    BytesWithoutFallback {
        /// Id of the piece.
        id: u32,
    },
    /// Byte fallback without all byte pieces.
    #[error("vocabulary: byte fallback is on but the piece for byte {byte:#04x} is missing")]
    MissingByte {
        /// The first byte without a piece.
        byte: usize,
    },
    /// The normalization rules are unsound.
    #[error("normalization rules: {0}")]
    Charsmap(#[from] CharsmapError),
    /// The model rewrites decoded text, which no tokenizer of the field does.
    #[error("tokenizer file: denormalization rules are not supported")]
    Denormalizer,
    /// The surface of the unknown piece is overlong.
    #[error("tokenizer file: expected an unknown surface of at most {MAX_PIECE_BYTES} bytes, got {bytes}")]
    UnknownSurface {
        /// Its length in bytes.
        bytes: usize,
    },
}

/// Why a precompiled character map was refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum CharsmapError {
    /// Too short to hold its own header.
    #[error("expected at least 5 bytes, got {got}")]
    TooShort {
        /// Size in bytes.
        got: usize,
    },
    /// The trie is longer than the map, not whole units, or empty.
    #[error("trie of {trie} bytes does not fit a map of {map} bytes")]
    TrieSize {
        /// Stated size of the trie in bytes.
        trie: usize,
        /// Bytes that follow the header.
        map: usize,
    },
    /// A value unit or a replacement lies outside the map.
    #[error("trie unit {unit} points outside the map")]
    Pointer {
        /// Index of the unit.
        unit: usize,
    },
    /// The trie is cyclic or unreasonably large.
    #[error("trie has more than {limit} nodes, or a cycle")]
    TooManyNodes {
        /// The limit.
        limit: usize,
    },
    /// More rules, or more bytes in rules, than any map should have.
    #[error("expected at most {rules} rules with {bytes} bytes in all")]
    TooLarge {
        /// Largest number of rules.
        rules: usize,
        /// Largest number of bytes in all rules.
        bytes: usize,
    },
    /// A source or replacement that is not UTF-8.
    #[error("the rule at trie unit {unit} is not UTF-8")]
    NotUtf8 {
        /// Index of the unit.
        unit: usize,
    },
}

/// Why a compact tokenizer was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CompactError {
    /// Larger than any tokenizer should be.
    #[error("compact tokenizer: expected at most {MAX_FILE_BYTES} bytes, got {got}")]
    TooLarge {
        /// Size in bytes.
        got: usize,
    },
    /// The data end inside a field.
    #[error("compact tokenizer: `{field}` at byte {offset} is cut off")]
    Truncated {
        /// Name of the field.
        field: &'static str,
        /// Where the field starts.
        offset: usize,
    },
    /// A version or a flag from the future.
    #[error("compact tokenizer: expected version {expected}, got {got}")]
    Version {
        /// The version that is read here.
        expected: u8,
        /// The version found.
        got: u8,
    },
    /// A number outside its range.
    #[error("compact tokenizer: `{field}` at byte {offset}: expected at most {limit}, got {got}")]
    OutOfRange {
        /// Name of the field.
        field: &'static str,
        /// Where the field starts.
        offset: usize,
        /// Largest value allowed.
        limit: u64,
        /// The value found.
        got: u64,
    },
    /// Bytes that should be text are not.
    #[error("compact tokenizer: `{field}` at byte {offset} is not UTF-8")]
    NotUtf8 {
        /// Name of the field.
        field: &'static str,
        /// Where the field starts.
        offset: usize,
    },
    /// The rules rebuilt from the data are not those that were saved.
    #[error(
        "compact tokenizer: the rebuilt normalization rules have another digest than the saved ones\n\
         hint: the data are damaged, or this build's Unicode tables contradict those of the writer"
    )]
    RulesDigest,
    /// Readable, but not the one way to write this tokenizer.
    #[error("compact tokenizer: not canonical, first difference at byte {offset}")]
    NotCanonical {
        /// Where the canonical form differs.
        offset: usize,
    },
    /// The vocabulary is unsound.
    #[error("compact tokenizer: {0}")]
    Tokenizer(#[from] TokenizerError),
}

/// Why ids could not be decoded.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodeError {
    /// An id past the end of the vocabulary.
    #[error("token {position}: expected an id below {vocab}, got {id}")]
    IdOutOfRange {
        /// Position in the sequence.
        position: usize,
        /// The id found there.
        id: u32,
        /// Number of pieces.
        vocab: usize,
    },
}

/// Why no tokenizer could be trained.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// No room for the markers, the bytes and a space.
    #[error("vocabulary size: expected {smallest} to {MAX_PIECES}, got {got}")]
    VocabSize {
        /// Smallest size that holds markers, bytes and one space.
        smallest: usize,
        /// The size asked for.
        got: usize,
    },
    /// The text has too few different words for so many pieces.
    #[error(
        "vocabulary size: the text yields only {reachable} pieces, {wanted} were asked for\n\
         hint: use more text or a smaller vocabulary"
    )]
    TooLittleText {
        /// The size asked for.
        wanted: usize,
        /// The size that the text allows.
        reachable: usize,
    },
    /// The result is not a sound vocabulary.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
}
