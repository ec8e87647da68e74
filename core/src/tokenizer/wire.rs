//! A bounded look at protobuf framing before the real decoder allocates anything.
//!
//! The decoder makes one heap object per repeated field, so two bytes of input may cost fifty of memory.
//! Counting fields first keeps memory within a small multiple of the file. Not a decoder: it only walks
//! lengths, and knows which numbers of the outermost message hold pieces and nested messages.

use super::{MAX_FILE_BYTES, MAX_PIECES, TokenizerError};

/// Most fields, other than pieces, that one file may have in all.
const MAX_OTHER_FIELDS: usize = 1 << 16;

const PIECES: u64 = 1;
/// The trainer's, normalizer's, self test's and denormalizer's messages.
const NESTED: std::ops::RangeInclusive<u64> = 2..=5;

/// Refuses files that are too large, broken in framing, or that hold too many fields.
pub(crate) fn admit(file: &[u8]) -> Result<(), TokenizerError> {
    if file.len() > MAX_FILE_BYTES {
        return Err(TokenizerError::FileTooLarge { got: file.len() });
    }
    let mut pieces = 0;
    let mut others = 0;
    let mut outer = Walker { file, at: 0, end: file.len() };
    while let Some(field) = outer.next()? {
        if field.number == PIECES {
            count(&mut pieces, MAX_PIECES, field.offset)?;
            continue;
        }
        count(&mut others, MAX_OTHER_FIELDS, field.offset)?;
        if field.delimited && NESTED.contains(&field.number) {
            let mut inner = Walker { file, at: field.body, end: outer.at };
            while let Some(nested) = inner.next()? {
                count(&mut others, MAX_OTHER_FIELDS, nested.offset)?;
            }
        }
    }
    Ok(())
}

fn count(seen: &mut usize, limit: usize, offset: usize) -> Result<(), TokenizerError> {
    *seen += 1;
    if *seen > limit { Err(TokenizerError::TooManyFields { offset, limit }) } else { Ok(()) }
}

struct Field {
    number: u64,
    offset: usize,
    body: usize,
    delimited: bool,
}

struct Walker<'a> {
    file: &'a [u8],
    at: usize,
    end: usize,
}

impl Walker<'_> {
    fn next(&mut self) -> Result<Option<Field>, TokenizerError> {
        if self.at == self.end {
            return Ok(None);
        }
        let offset = self.at;
        let broken = || TokenizerError::Wire { offset };
        let key = self.varint().ok_or_else(broken)?;
        let delimited = key & 7 == 2;
        let body_bytes = match key & 7 {
            0 => {
                self.varint().ok_or_else(broken)?;
                0
            }
            1 => 8,
            2 => self.varint().ok_or_else(broken)?,
            5 => 4,
            // Groups are obsolete and no model has one.
            _ => return Err(broken()),
        };
        let body = self.at;
        if body_bytes > (self.end - body) as u64 {
            return Err(broken());
        }
        self.at += body_bytes as usize;
        Ok(Some(Field { number: key >> 3, offset, body, delimited }))
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = *self.file[..self.end].get(self.at)?;
            self.at += 1;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }
}
