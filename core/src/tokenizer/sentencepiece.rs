//! Reads a SentencePiece `.model` file.
//!
//! Only what decides ids, text and byte counts is kept: pieces, merge order, normalizer, markers. Training
//! options and self-test samples are ignored. Every limit is checked before the protobuf decoder runs.

use sentencepiece_model::{ModelType, SentencePieceModel, TrainerSpec};

use super::normalizer::{Normalizer, NormalizerSettings, RuleMap};
use super::{MAX_PIECE_BYTES, Markers, Parts, Piece, PieceKind, Tokenizer, TokenizerError, charsmap, wire};

/// What the reference implementation writes for the unknown piece unless the model says otherwise.
pub(crate) const DEFAULT_UNK_SURFACE: &str = " \u{2047} ";

impl Tokenizer {
    /// Reads the bytes of a SentencePiece `.model` file of type BPE.
    ///
    /// # Errors
    /// Any malformed, oversized or unsupported model; memory stays within a small multiple of the file.
    pub fn from_sentencepiece(file: &[u8]) -> Result<Tokenizer, TokenizerError> {
        wire::admit(file)?;
        let model = SentencePieceModel::from_slice(file)
            .map_err(|error| TokenizerError::NotAModel { detail: error.to_string() })?;
        let trainer = model.trainer().cloned().unwrap_or_default();
        check_type(&trainer)?;
        if model.denormalizer().is_some_and(|spec| !spec.precompiled_charsmap().is_empty()) {
            return Err(TokenizerError::Denormalizer);
        }
        let unk_surface = trainer.unk_surface.clone().unwrap_or_else(|| DEFAULT_UNK_SURFACE.to_owned());
        if unk_surface.len() > MAX_PIECE_BYTES {
            return Err(TokenizerError::UnknownSurface { bytes: unk_surface.len() });
        }
        let pieces = pieces(&model)?;
        let markers = markers(&pieces, &trainer);
        let spec = model.normalizer().cloned().unwrap_or_default();
        let rules = match spec.precompiled_charsmap() {
            [] => Vec::new(),
            map => charsmap::rules_of(map)?,
        };
        let settings = NormalizerSettings {
            add_dummy_prefix: spec.add_dummy_prefix(),
            remove_extra_whitespaces: spec.remove_extra_whitespaces(),
            escape_whitespaces: spec.escape_whitespaces(),
            whitespace_as_suffix: trainer.treat_whitespace_as_suffix(),
        };
        Tokenizer::assemble(Parts {
            pieces,
            normalizer: Normalizer { settings, rules: RuleMap::new(rules) },
            byte_fallback: trainer.byte_fallback(),
            markers,
            unk_surface,
        })
    }
}

fn check_type(trainer: &TrainerSpec) -> Result<(), TokenizerError> {
    match trainer.model_type() {
        ModelType::Bpe => Ok(()),
        other => Err(TokenizerError::ModelType { got: other.as_str_name().to_lowercase() }),
    }
}

fn pieces(model: &SentencePieceModel) -> Result<Vec<Piece>, TokenizerError> {
    let mut pieces = Vec::with_capacity(model.pieces().len());
    let mut scores = Vec::with_capacity(model.pieces().len());
    for (id, piece) in (0u32..).zip(model.pieces()) {
        let code = piece.r#type.unwrap_or(PieceKind::Normal as i32);
        let kind = PieceKind::from_code(code).ok_or(TokenizerError::PieceType { id, code })?;
        let score = piece.score();
        if !score.is_finite() {
            return Err(TokenizerError::Score { id, score });
        }
        // Adding zero makes -0 and 0 one score, as comparison does.
        scores.push(score + 0.0);
        pieces.push(Piece { text: piece.piece().into(), kind, rank: 0 });
    }
    let mut order: Vec<f32> = pieces
        .iter()
        .zip(&scores)
        .filter(|(piece, _)| piece.kind.is_merged())
        .map(|(_, score)| *score)
        .collect();
    order.sort_by(|a, b| b.total_cmp(a));
    order.dedup();
    for (piece, score) in pieces.iter_mut().zip(&scores).filter(|(piece, _)| piece.kind.is_merged()) {
        piece.rank = order.partition_point(|other| other > score) as u32;
    }
    Ok(pieces)
}

/// A marker is the control piece with the name that the trainer gave it.
fn markers(pieces: &[Piece], trainer: &TrainerSpec) -> Markers {
    let find = |name: &str| {
        (0u32..).zip(pieces).find(|(_, p)| p.kind == PieceKind::Control && &*p.text == name).map(|(id, _)| id)
    };
    Markers { bos: find(trainer.bos_piece()), eos: find(trainer.eos_piece()), pad: find(trainer.pad_piece()) }
}
