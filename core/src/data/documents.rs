//! Text into documents, one at a time.
//!
//! A document is a run of lines between empty lines, a line, or a whole file. Its text is what stands between the
//! separators, without the final line break; a document of nothing but white space is none.
//!
//! Invariant: a document is valid UTF-8, or the error names the byte in the file where it stops being so. Memory is that
//! of one document, which is bounded.

use std::io::{self, BufRead};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Longest document in bytes.
pub const MAX_DOCUMENT: usize = 256 << 20;

/// What separates documents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Separation {
    /// One or more empty lines.
    #[default]
    EmptyLine,
    /// Every line is a document.
    Line,
    /// Every file is a document.
    File,
}

/// Why a text has no next document; offsets are in bytes from the beginning of the text.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DocumentError {
    /// The system refused.
    #[error("cannot read at offset {offset}: {source}")]
    Io {
        /// Where.
        offset: u64,
        /// What the system said.
        source: io::Error,
    },
    /// Bytes that are no text.
    #[error(
        "not UTF-8 at offset {offset}: byte {byte:#04x}\nhint: convert the file, for example with `iconv -t UTF-8`"
    )]
    Utf8 {
        /// Where.
        offset: u64,
        /// The first byte that does not fit.
        byte: u8,
    },
    /// A document beyond [`MAX_DOCUMENT`].
    #[error(
        "the document at offset {offset} is longer than {MAX_DOCUMENT} bytes\nhint: does the text separate documents in another way?"
    )]
    TooLong {
        /// Where it begins.
        offset: u64,
    },
}

/// The documents of a text.
#[derive(Debug)]
pub struct Documents<R> {
    reader: R,
    separation: Separation,
    /// Bytes read so far.
    offset: u64,
    ended: bool,
}

impl<R: BufRead> Documents<R> {
    /// Splits what `reader` gives.
    pub fn new(reader: R, separation: Separation) -> Self {
        Self { reader, separation, offset: 0, ended: false }
    }

    /// The reader, wherever it stands.
    pub fn into_inner(self) -> R {
        self.reader
    }

    /// The next document, `None` at the end.
    pub fn next_document(&mut self) -> Result<Option<String>, DocumentError> {
        while !self.ended {
            let start = self.offset;
            let bytes = self.gather(start)?;
            let text = String::from_utf8(bytes).map_err(|error| {
                let valid = error.utf8_error().valid_up_to();
                DocumentError::Utf8 { offset: start + valid as u64, byte: error.as_bytes()[valid] }
            })?;
            if !text.trim().is_empty() {
                return Ok(Some(text));
            }
        }
        Ok(None)
    }

    /// Bytes up to the next separator or the end, which are consumed with it.
    fn gather(&mut self, start: u64) -> Result<Vec<u8>, DocumentError> {
        let mut document = Vec::new();
        loop {
            let from = document.len();
            // One byte more than allowed tells a document that is too long from one that just fits.
            let room = (MAX_DOCUMENT + 1).saturating_sub(from) as u64;
            let read = io::Read::take(&mut self.reader, room)
                .read_until(b'\n', &mut document)
                .map_err(|source| DocumentError::Io { offset: self.offset, source })?;
            self.offset += read as u64;
            if document.len() > MAX_DOCUMENT {
                return Err(DocumentError::TooLong { offset: start });
            }
            self.ended = read == 0;
            let empty_line = matches!(&document[from..], b"\n" | b"\r\n" | b"");
            let complete = match self.separation {
                Separation::EmptyLine => empty_line,
                Separation::Line => true,
                Separation::File => false,
            };
            if self.ended || complete {
                break;
            }
        }
        if self.separation != Separation::File {
            let end = document.iter().rposition(|b| !matches!(b, b'\n' | b'\r')).map_or(0, |last| last + 1);
            document.truncate(end);
        }
        Ok(document)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &[u8], separation: Separation) -> Result<Vec<String>, DocumentError> {
        let mut documents = Documents::new(text, separation);
        let mut all = Vec::new();
        while let Some(document) = documents.next_document()? {
            all.push(document);
        }
        Ok(all)
    }

    #[test]
    fn separators_of_every_kind_split() {
        let text = b"\n\na\nb\n\n\nc\r\n\r\nd \n \ne";
        assert_eq!(split(text, Separation::EmptyLine).unwrap(), ["a\nb", "c", "d \n \ne"]);
        assert_eq!(split(text, Separation::Line).unwrap(), ["a", "b", "c", "d ", "e"]);
        assert_eq!(split(text, Separation::File).unwrap(), ["\n\na\nb\n\n\nc\r\n\r\nd \n \ne"]);
        for separation in [Separation::EmptyLine, Separation::Line, Separation::File] {
            assert!(split(b"", separation).unwrap().is_empty());
            assert!(split(b" \n\t\n\n", separation).unwrap().is_empty());
            assert_eq!(split("é".as_bytes(), separation).unwrap(), ["é"]);
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_named_by_offset() {
        for separation in [Separation::EmptyLine, Separation::Line, Separation::File] {
            let error = split(b"good\n\nb\xc3\xa9d \xff here", separation).unwrap_err();
            assert!(matches!(error, DocumentError::Utf8 { offset: 11, byte: 0xff }), "{error}");
            let error = split(b"cut \xe2\x96", separation).unwrap_err();
            assert!(matches!(error, DocumentError::Utf8 { offset: 4, byte: 0xe2 }), "{error}");
        }
    }
}
