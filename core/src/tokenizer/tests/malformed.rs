//! Broken `.model` files: each is refused with its own error, none panics.

use proptest::prelude::*;

use super::super::{CharsmapError, MAX_FILE_BYTES, MAX_PIECES, Tokenizer, TokenizerError};
use super::{MODELS, model_bytes};

const BPE: [u8; 2] = [3 << 3, 2];
const BYTE_FALLBACK: [u8; 3] = [0x98, 0x02, 1];

fn field(number: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![number << 3 | 2];
    let mut length = body.len();
    while length >= 0x80 {
        bytes.push(length as u8 | 0x80);
        length >>= 7;
    }
    bytes.push(length as u8);
    bytes.extend_from_slice(body);
    bytes
}

fn piece(text: &[u8], score: f32, kind: u8) -> Vec<u8> {
    let score = [&[2 << 3 | 5][..], &score.to_le_bytes()].concat();
    field(1, &[field(1, text), score, vec![3 << 3, kind]].concat())
}

fn unk() -> Vec<u8> {
    piece(b"<unk>", 0.0, 2)
}

/// A BPE model of an unknown piece and `pieces`.
fn bpe(pieces: &[Vec<u8>]) -> Vec<u8> {
    [unk(), pieces.concat(), field(2, &BPE)].concat()
}

fn with_charsmap(map: &[u8]) -> Vec<u8> {
    [bpe(&[]), field(3, &field(2, map))].concat()
}

/// A precompiled map of these trie units and targets.
fn charsmap(units: &[u32], targets: &[u8]) -> Vec<u8> {
    let trie: Vec<u8> = units.iter().flat_map(|unit| unit.to_le_bytes()).collect();
    [&(trie.len() as u32).to_le_bytes()[..], &trie, targets].concat()
}

/// 256 units, of which unit `label` is the only child of the root and a leaf whose value is in unit 0 ^ 0
/// of its own block.
fn one_rule(label: u8, value: u32) -> Vec<u32> {
    let mut units = vec![0x8000_0000; 512];
    units[0] = 256 << 10;
    // Child at 256 ^ label; its own offset leads to unit 2, which holds the value.
    let child = 256 ^ usize::from(label);
    units[child] = ((child as u32 ^ 2) << 10) | 1 << 8 | u32::from(label);
    units[2] = 0x8000_0000 | value;
    units
}

fn refused(file: &[u8]) -> TokenizerError {
    match Tokenizer::from_sentencepiece(file) {
        Ok(_) => panic!("a malformed model was accepted"),
        Err(error) => error,
    }
}

macro_rules! refused_as {
    ($file:expr, $pattern:pat) => {{
        let error = refused(&$file);
        assert!(matches!(error, $pattern), "unexpected error: {error}");
    }};
}

#[test]
fn files_that_are_no_models_are_refused() {
    refused_as!([], TokenizerError::ModelType { .. });
    refused_as!(b"{\"model\": {}}\n".repeat(3), TokenizerError::Wire { .. });
    refused_as!(vec![0; MAX_FILE_BYTES + 1], TokenizerError::FileTooLarge { .. });
    refused_as!([0x0a, 0xff], TokenizerError::Wire { offset: 0 });
    refused_as!([0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f], TokenizerError::Wire { .. });
    refused_as!([0xff; 16], TokenizerError::Wire { .. });
    refused_as!([0x0b, 0x0c], TokenizerError::Wire { .. });
    refused_as!(field(2, &[0x12]), TokenizerError::Wire { .. });
    refused_as!(piece(&[0xff, 0xfe], 0.0, 1), TokenizerError::NotAModel { .. });
}

#[test]
fn floods_of_fields_are_refused_before_decoding() {
    refused_as!([0x0a, 0].repeat(MAX_PIECES + 1), TokenizerError::TooManyFields { limit: MAX_PIECES, .. });
    refused_as!(field(2, &[0x0a, 0].repeat(1 << 17)), TokenizerError::TooManyFields { .. });
    refused_as!([0x22, 0].repeat(1 << 17), TokenizerError::TooManyFields { .. });
}

#[test]
fn other_kinds_of_model_are_refused() {
    refused_as!(unk(), TokenizerError::ModelType { .. });
    for (code, name) in [(1, "unigram"), (3, "word"), (4, "char")] {
        let file = [unk(), field(2, &[3 << 3, code])].concat();
        assert!(matches!(refused(&file), TokenizerError::ModelType { got } if got == name));
    }
    let denormalizer = [bpe(&[]), field(5, &field(2, &[1]))].concat();
    refused_as!(denormalizer, TokenizerError::Denormalizer);
    let surface = [unk(), field(2, &[&BPE[..], &[0xe2, 0x02, 0x81, 0x08], &[b'x'; 1025]].concat())].concat();
    refused_as!(surface, TokenizerError::UnknownSurface { bytes: 1025 });
}

#[test]
fn unsound_vocabularies_are_refused() {
    assert!(Tokenizer::from_sentencepiece(&bpe(&[piece(b"a", -1.0, 1)])).is_ok(), "the sound case");
    refused_as!(field(2, &BPE), TokenizerError::PieceCount { got: 0 });
    refused_as!([piece(b"a", 0.0, 1), field(2, &BPE)].concat(), TokenizerError::NoUnknownPiece);
    refused_as!(bpe(&[piece(b"u", 0.0, 2)]), TokenizerError::TwoUnknownPieces { first: 0, second: 1 });
    refused_as!(bpe(&[piece(b"", 0.0, 1)]), TokenizerError::PieceLength { id: 1, bytes: 0 });
    refused_as!(bpe(&[piece(&[b'x'; 1025], 0.0, 1)]), TokenizerError::PieceLength { bytes: 1025, .. });
    refused_as!(bpe(&[piece(b"a\0", 0.0, 1)]), TokenizerError::NulInPiece { id: 1 });
    let twice = [piece(b"a", 0.0, 1), piece(b"a", -1.0, 4)];
    refused_as!(bpe(&twice), TokenizerError::DuplicatePiece { first: 1, second: 2, .. });
    refused_as!(bpe(&[piece(b"a", f32::NAN, 1)]), TokenizerError::Score { id: 1, .. });
    refused_as!(bpe(&[piece(b"a", f32::NEG_INFINITY, 1)]), TokenizerError::Score { id: 1, .. });
    refused_as!(bpe(&[piece(b"a", 0.0, 9)]), TokenizerError::PieceType { id: 1, code: 9 });
}

#[test]
fn unsound_byte_pieces_are_refused() {
    refused_as!(bpe(&[piece(b"<0x41>", 0.0, 6)]), TokenizerError::BytesWithoutFallback { id: 1 });
    for text in ["<0x4>", "<0x4a>", "<0x+4>", "<0x100>", "0x41"] {
        refused_as!(bpe(&[piece(text.as_bytes(), 0.0, 6)]), TokenizerError::BytePiece { id: 1, .. });
    }
    let trainer = field(2, &[&BPE[..], &BYTE_FALLBACK].concat());
    let one = [unk(), piece(b"<0x00>", 0.0, 6), trainer].concat();
    refused_as!(one, TokenizerError::MissingByte { byte: 1 });
}

#[test]
fn unsound_character_maps_are_refused() {
    let refused_map = |map: &[u8]| match refused(&with_charsmap(map)) {
        TokenizerError::Charsmap(error) => error,
        other => panic!("unexpected error: {other}"),
    };
    let sound = charsmap(&one_rule(b'a', 0), b"bc\0");
    let tokenizer = Tokenizer::from_sentencepiece(&with_charsmap(&sound)).expect("the sound case");
    assert_eq!(tokenizer.normalize("xa"), "\u{2581}xbc");
    assert_eq!(refused_map(&[4, 0, 0]), CharsmapError::TooShort { got: 3 });
    assert_eq!(refused_map(&[0, 0, 0, 0, 1]), CharsmapError::TrieSize { trie: 0, map: 1 });
    assert_eq!(refused_map(&[5, 0, 0, 0, 1, 1, 1, 1, 1]), CharsmapError::TrieSize { trie: 5, map: 5 });
    assert_eq!(
        refused_map(&[255, 255, 255, 255, 1]),
        CharsmapError::TrieSize { trie: u32::MAX as usize, map: 1 }
    );
    let beyond = charsmap(&one_rule(b'a', 4), b"bc\0");
    assert_eq!(refused_map(&beyond), CharsmapError::Pointer { unit: 256 ^ usize::from(b'a') });
    let mut far = one_rule(b'a', 0);
    far[256 ^ usize::from(b'a')] |= 0x7fff_fe00;
    assert!(matches!(refused_map(&charsmap(&far, b"bc\0")), CharsmapError::Pointer { .. }));
    assert!(matches!(refused_map(&charsmap(&one_rule(0xff, 0), b"b\0")), CharsmapError::NotUtf8 { .. }));
    assert!(matches!(refused_map(&charsmap(&one_rule(b'a', 0), b"\xff\0")), CharsmapError::NotUtf8 { .. }));
    // A unit that is its own child.
    let mut cycle = one_rule(b'a', 0);
    let child = 256 ^ usize::from(b'a');
    cycle[child] = ((b'a' as u32) << 10) | u32::from(b'a');
    assert!(matches!(refused_map(&charsmap(&cycle, b"b\0")), CharsmapError::TooManyNodes { .. }));
}

#[test]
fn every_prefix_of_a_model_is_refused_or_sound() {
    for name in ["plain_unk", "user_symbols"] {
        let file = model_bytes(name);
        for end in 0..file.len() {
            if let Ok(tokenizer) = Tokenizer::from_sentencepiece(&file[..end]) {
                tokenizer.decode(&tokenizer.encode("a b\u{e9}")).expect("own ids decode");
            }
        }
    }
}

proptest! {
    #[test]
    fn damaged_models_never_panic(
        which in 0..MODELS.len(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut file = MODELS[which].1.to_vec();
        for (at, byte) in damage {
            let at = at.index(file.len());
            file[at] = byte;
        }
        if let Ok(tokenizer) = Tokenizer::from_sentencepiece(&file) {
            let ids = tokenizer.encode("the \u{2581}cat\u{301}  \u{65e5} sat.");
            tokenizer.decode(&ids).expect("own ids decode");
            let read = Tokenizer::from_compact(&tokenizer.to_compact());
            prop_assert!(read.is_ok_and(|read| read.identity() == tokenizer.identity()));
        }
    }
}
