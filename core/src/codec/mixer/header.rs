//! The start of a stream: what [`super`] documents as its layout.

use super::super::CodecError;

/// Whether signs are predicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signs {
    /// Each costs one bit.
    Coins,
    /// Each is predicted.
    Predicted,
}

/// Name of the codec in messages.
pub(super) const NAME: &str = "mixer";

/// Revisions of the model, in the upper half of the first byte: any integers; integers on a trellis.
const REVISIONS: [u8; 2] = [0, 1];
/// Bits of integers that hold every subset of a trellis.
pub(super) const TRELLIS_BITS: u32 = 3;
/// Flag of predicted signs, in the second byte; the rest of it is the level of the mean.
const PREDICTED_SIGNS: u8 = 0x80;

/// Matrices of one shape, one after another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub count: usize,
    pub rows: usize,
    pub cols: usize,
}

/// Everything before the coded bits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// Bits of a symbol, 1 to 8.
    pub bits: u32,
    /// Every row is a way through [`crate::quant::trellis`].
    pub trellis: bool,
    pub signs: Signs,
    /// Eighths of an octave; see [`Header::mean`].
    pub mean_level: u8,
    pub runs: Vec<Run>,
}

impl Header {
    /// The mean magnitude in units of 1/256.
    pub(super) fn mean(&self) -> u32 {
        let level = u32::from(self.mean_level);
        (8 + level % 8) << (level / 8) >> 3
    }

    /// Columns of the widest matrix.
    pub(super) fn widest(&self) -> usize {
        self.runs.iter().map(|run| run.cols).max().unwrap_or(0)
    }

    /// The header's bytes.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let signs = if self.signs == Signs::Predicted { PREDICTED_SIGNS } else { 0 };
        let mut bytes =
            vec![REVISIONS[usize::from(self.trellis)] << 4 | self.bits as u8, signs | self.mean_level];
        number(self.runs.len(), &mut bytes);
        for run in &self.runs {
            [run.count, run.rows, run.cols].into_iter().for_each(|value| number(value, &mut bytes));
        }
        bytes
    }

    /// Reads a header whose matrices hold `raw_len` symbols; also the bytes after it.
    pub(super) fn parse(bytes: &[u8], raw_len: usize) -> Result<(Header, &[u8]), CodecError> {
        let mut fields = Fields { bytes, at: 0 };
        let (byte, second) = (fields.byte()?, fields.byte()?);
        let bits = u32::from(byte & 15);
        if !REVISIONS.contains(&(byte >> 4)) {
            return Err(CodecError::Unsupported {
                codec: NAME,
                byte,
                feature: "another revision of the model",
            });
        }
        let trellis = byte >> 4 == REVISIONS[1];
        if !(if trellis { TRELLIS_BITS..=8 } else { 1..=8 }).contains(&bits) {
            return Err(CodecError::Unsupported { codec: NAME, byte, feature: "symbols of another width" });
        }
        let signs = if second & PREDICTED_SIGNS == 0 { Signs::Coins } else { Signs::Predicted };
        let count = fields.number()?;
        let (mut runs, mut total) = (Vec::new(), 0usize);
        for _ in 0..count {
            // A run takes three bytes or more, so this list is no longer than the stream.
            let run = Run { count: fields.number()?, rows: fields.number()?, cols: fields.number()? };
            let symbols = run.count.checked_mul(run.rows).and_then(|n| n.checked_mul(run.cols));
            let sum = symbols.filter(|&n| n > 0).and_then(|n| total.checked_add(n));
            total = sum
                .filter(|&sum| sum <= raw_len)
                .ok_or(CodecError::Shape { codec: NAME, offset: fields.at })?;
            runs.push(run);
        }
        if total != raw_len {
            return Err(CodecError::Length { codec: NAME, expected: raw_len, got: total });
        }
        Ok((
            Header { bits, trellis, signs, mean_level: second & !PREDICTED_SIGNS, runs },
            &bytes[fields.at..],
        ))
    }
}

/// Appends a number, seven bits a byte, the lowest first, the highest bit set on all bytes but the last (LEB128).
fn number(mut value: usize, bytes: &mut Vec<u8>) {
    while value > 0x7f {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

struct Fields<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Fields<'_> {
    fn byte(&mut self) -> Result<u8, CodecError> {
        let byte = self.bytes.get(self.at).ok_or(CodecError::Ended { codec: NAME, len: self.bytes.len() })?;
        self.at += 1;
        Ok(*byte)
    }

    /// A number below 2^32 in its shortest form.
    fn number(&mut self) -> Result<usize, CodecError> {
        let (mut value, start) = (0u64, self.at);
        for shift in (0..35).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                let shortest = byte != 0 || shift == 0;
                let fits = u32::try_from(value).ok().filter(|_| shortest);
                return fits
                    .map(|value| value as usize)
                    .ok_or(CodecError::Shape { codec: NAME, offset: start });
            }
        }
        Err(CodecError::Shape { codec: NAME, offset: start })
    }
}
