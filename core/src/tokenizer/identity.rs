//! What makes two tokenizers the same, independent of the file they came from.
//!
//! A `.model` file also holds training options, sample sentences and raw scores, so equal tokenizers come in
//! different files, and different ones circulate under one name. The identity is a digest over everything
//! that decides ids and byte counts, and over nothing else.

use sha2::{Digest, Sha256};

use super::Tokenizer;

impl Tokenizer {
    /// SHA-256 over the pieces in id order (text, kind, merge rank), the byte table, the markers, the
    /// unknown surface, the whitespace settings and all normalization rules.
    pub fn identity(&self) -> [u8; 32] {
        let mut hash = Hasher::new("golf tokenizer 1");
        self.hash_pieces(&mut hash);
        for (row, piece) in self.pieces.iter().enumerate() {
            hash.number(piece.rank);
            hash.number(self.byte_table.bytes[row]);
            hash.flag(self.byte_table.leading_space[row]);
            hash.flag(self.byte_table.boundary[row]);
        }
        hash.flag(self.byte_fallback());
        for marker in [self.markers.bos, self.markers.eos, self.markers.pad] {
            hash.flag(marker.is_some());
            hash.number(marker.unwrap_or(0));
        }
        hash.text(&self.unk_surface);
        let settings = self.normalizer.settings;
        hash.flag(settings.add_dummy_prefix);
        hash.flag(settings.remove_extra_whitespaces);
        hash.flag(settings.escape_whitespaces);
        hash.flag(settings.whitespace_as_suffix);
        let rules = self.normalizer.rules.rules();
        hash.number(rules.len() as u32);
        for rule in &rules {
            hash.text(&rule.source);
            hash.text(&rule.target);
        }
        hash.finish()
    }

    /// SHA-256 over the pieces in id order, text and kind only: equal for vocabularies that number the same
    /// pieces alike, whatever their merge order and normalizer.
    pub fn pieces_identity(&self) -> [u8; 32] {
        let mut hash = Hasher::new("golf pieces 1");
        self.hash_pieces(&mut hash);
        hash.finish()
    }

    fn hash_pieces(&self, hash: &mut Hasher) {
        hash.number(self.pieces.len() as u32);
        for piece in &self.pieces {
            hash.text(&piece.text);
            hash.number(piece.kind as u32);
        }
    }
}

/// Length-prefixed fields, so that no two sequences of fields hash the same bytes.
struct Hasher(Sha256);

impl Hasher {
    fn new(domain: &str) -> Hasher {
        let mut hasher = Hasher(Sha256::new());
        hasher.text(domain);
        hasher
    }

    fn number(&mut self, value: u32) {
        self.0.update(value.to_le_bytes());
    }

    fn flag(&mut self, value: bool) {
        self.0.update([u8::from(value)]);
    }

    fn text(&mut self, text: &str) {
        self.number(text.len() as u32);
        self.0.update(text);
    }

    fn finish(self) -> [u8; 32] {
        self.0.finalize().into()
    }
}
