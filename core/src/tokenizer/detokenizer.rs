//! Text from ids that arrive one at a time.
//!
//! Invariant: the parts handed out, joined, are what [`Tokenizer::decode`] gives for all the ids at once, less the text
//! of the prompt; a character whose bytes have not all arrived is held back.

use super::{DecodeError, PieceKind, SPACE_SYMBOL, Tokenizer, byte_of_piece};

/// A text that grows by tokens.
#[derive(Clone, Debug)]
pub struct Detokenizer<'t> {
    tokenizer: &'t Tokenizer,
    ids: Vec<u32>,
    /// Bytes of the decoded text that have been handed out.
    shown: usize,
}

impl<'t> Detokenizer<'t> {
    /// Continues after `prompt`, whose text is not handed out.
    ///
    /// # Errors
    /// When an id is not below the tokenizer's length.
    pub fn after(tokenizer: &'t Tokenizer, prompt: &[u32]) -> Result<Self, DecodeError> {
        let shown = tokenizer.decode_bytes(prompt)?.len();
        Ok(Self { tokenizer, ids: prompt.to_vec(), shown })
    }

    /// The text that became whole with `id`; often empty inside a character. Bytes that no character can start or
    /// continue become U+FFFD.
    ///
    /// # Errors
    /// When `id` is not below the tokenizer's length.
    pub fn push(&mut self, id: u32) -> Result<String, DecodeError> {
        self.ids.push(id);
        let bytes = self.tokenizer.decode_bytes(&self.ids)?;
        let mut text = String::new();
        for part in bytes[self.shown..].utf8_chunks() {
            text.push_str(part.valid());
            let invalid = part.invalid();
            let at_end = self.shown + part.valid().len() + invalid.len() == bytes.len();
            self.shown += part.valid().len();
            if at_end && may_continue(invalid) {
                break;
            }
            invalid.iter().for_each(|_| text.push(char::REPLACEMENT_CHARACTER));
            self.shown += invalid.len();
        }
        Ok(text)
    }

    /// What is still held back: one U+FFFD for each byte of a character that never became whole.
    ///
    /// # Errors
    /// None in practice: every id was decoded before.
    pub fn finish(self) -> Result<String, DecodeError> {
        let held = self.tokenizer.decode_bytes(&self.ids)?.len() - self.shown;
        Ok(String::from(char::REPLACEMENT_CHARACTER).repeat(held))
    }
}

impl Tokenizer {
    /// One token for people: spaces as spaces, a byte as its ASCII character or as its piece, such as `<0xE2>`. Ids past
    /// the vocabulary have no text.
    pub fn shown(&self, id: u32) -> String {
        let Some(piece) = self.piece(id) else { return String::new() };
        match byte_of_piece(&piece.text) {
            Some(byte) if piece.kind == PieceKind::Byte && byte.is_ascii() => char::from(byte).to_string(),
            _ => piece.text.replace(SPACE_SYMBOL, " "),
        }
    }
}

/// Whether `bytes` are the beginning of a character.
fn may_continue(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_err_and(|error| error.error_len().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokenizer::train_bpe;

    fn tokenizer() -> Tokenizer {
        train_bpe(["the cat and the hat", "that cat sat on the mat"], 270)
            .expect("a corpus with enough pairs")
    }

    fn parts(prompt: &[u32], ids: &[u32]) -> Vec<String> {
        let tokenizer = tokenizer();
        let mut text = Detokenizer::after(&tokenizer, prompt).expect("ids of the vocabulary");
        let mut parts: Vec<String> =
            ids.iter().map(|id| text.push(*id).expect("ids of the vocabulary")).collect();
        parts.push(text.finish().expect("decoded before"));
        parts
    }

    #[test]
    fn a_character_appears_with_its_last_byte() {
        let ids = tokenizer().encode("a €5");
        let (prompt, rest) = ids.split_at(1);
        let parts = parts(prompt, rest);
        assert_eq!(parts.concat(), tokenizer().decode(&ids).expect("ids")[1..]);
        assert!(parts.iter().any(|part| part.contains('€')) && !parts.concat().contains('\u{fffd}'));
    }

    #[test]
    fn broken_characters_are_replaced_byte_by_byte_as_decoding_does() {
        let tokenizer = tokenizer();
        let byte = |byte: u8| {
            let piece = format!("<0x{byte:02X}>");
            (0..tokenizer.len() as u32).find(|id| &*tokenizer.pieces()[*id as usize].text == piece.as_str())
        };
        for bytes in
            [&[0xe2, 0x82][..], &[0xe2, 0x41], &[0x80, 0xe2, 0x82, 0xac], &[0xf0, 0x9f, 0xe2, 0x82, 0xac]]
        {
            let ids: Vec<u32> = bytes.iter().map(|b| byte(*b).expect("a byte piece")).collect();
            let whole: Vec<u32> = tokenizer.encode("at").into_iter().chain(ids.clone()).collect();
            let parts = parts(&tokenizer.encode("at"), &ids);
            assert_eq!(format!("at{}", parts.concat()), tokenizer.decode(&whole).expect("ids"), "{bytes:x?}");
        }
    }
}
