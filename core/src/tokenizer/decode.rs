//! Ids to text, as the reference implementation does it.
//!
//! U+2581 becomes a space, control pieces vanish, the unknown piece becomes its surface, and runs of byte
//! pieces become the characters that they spell. At the start of the text the dummy space is dropped, or
//! every leading space if the normalizer removes extra ones. Not the inverse of encoding where
//! normalization or the unknown piece has lost something.

use super::{DecodeError, PieceKind, SPACE_SYMBOL, Tokenizer, byte_of_piece};

impl Tokenizer {
    /// The text of `ids`; byte pieces that do not spell UTF-8 become U+FFFD, one per byte.
    ///
    /// # Errors
    /// When an id is not below [`Tokenizer::len`].
    pub fn decode(&self, ids: &[u32]) -> Result<String, DecodeError> {
        let bytes = self.decode_runs(ids, replace_invalid)?;
        Ok(String::from_utf8(bytes).expect("pieces are UTF-8 and so are the replaced byte runs"))
    }

    /// The text of `ids` as bytes, byte pieces taken as they are.
    ///
    /// # Errors
    /// When an id is not below [`Tokenizer::len`].
    pub fn decode_bytes(&self, ids: &[u32]) -> Result<Vec<u8>, DecodeError> {
        self.decode_runs(ids, |run, output| output.extend_from_slice(run))
    }

    fn decode_runs(
        &self,
        ids: &[u32],
        mut flush: impl FnMut(&[u8], &mut Vec<u8>),
    ) -> Result<Vec<u8>, DecodeError> {
        let mut output = Vec::new();
        let mut run = Vec::new();
        let mut at_start = true;
        let mut dropped_space = false;
        for (position, id) in ids.iter().enumerate() {
            let piece =
                self.piece(*id).ok_or(DecodeError::IdOutOfRange { position, id: *id, vocab: self.len() })?;
            if let (PieceKind::Byte, Some(byte)) = (piece.kind, byte_of_piece(&piece.text)) {
                run.push(byte);
                continue;
            }
            flush(&run, &mut output);
            run.clear();
            at_start &= !dropped_space && output.is_empty();
            dropped_space = false;
            match piece.kind {
                PieceKind::Control => {}
                PieceKind::Unknown => output.extend_from_slice(self.unk_surface.as_bytes()),
                _ => {
                    let (text, dropped) = self.surface(&piece.text, at_start);
                    dropped_space = dropped;
                    output.extend_from_slice(text.replace(SPACE_SYMBOL, " ").as_bytes());
                }
            }
        }
        flush(&run, &mut output);
        Ok(output)
    }

    /// The piece without the space that does not belong to the text, and whether that was the only one.
    fn surface<'a>(&self, piece: &'a str, at_start: bool) -> (&'a str, bool) {
        let settings = self.normalizer.settings;
        if !at_start || !(settings.add_dummy_prefix || settings.remove_extra_whitespaces) {
            return (piece, false);
        }
        match piece.strip_prefix(SPACE_SYMBOL) {
            Some(rest) => (rest, !settings.remove_extra_whitespaces),
            None => (piece, false),
        }
    }
}

fn replace_invalid(run: &[u8], output: &mut Vec<u8>) {
    let mut rest = run;
    while !rest.is_empty() {
        let (valid, bad) = match std::str::from_utf8(rest) {
            Ok(_) => (rest.len(), 0),
            Err(error) => (error.valid_up_to(), 1),
        };
        output.extend_from_slice(&rest[..valid]);
        if bad > 0 {
            output.extend_from_slice("\u{fffd}".as_bytes());
        }
        rest = &rest[valid + bad..];
    }
}
