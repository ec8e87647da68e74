//! A binary range coder: bits of known probability to bytes and back, exactly.
//!
//! One trait for both directions, so that a model is written once and cannot disagree with itself. Invariant: a decoder
//! that is asked with the encoder's probabilities returns the encoder's bits and consumes every byte. Carries run
//! through a pending byte and a count of 0xff bytes (G. N. N. Martin, 1979; the arrangement is LZMA's). Not here: any
//! probability.

/// Probabilities are in units of 2^-16.
pub(super) const PROBABILITY_BITS: u32 = 16;

/// Below this the range gives a byte away. Probabilities keep away from 0 and 1 by 2^-12, so the range never vanishes.
const LEAST_RANGE: u32 = 1 << 24;

/// Bytes that the encoder writes after its last bit, and the decoder reads before its first.
const TAIL: usize = 4;

/// Codes one bit after another.
pub(super) trait BitCoder {
    /// Codes a bit that is 1 with `probability` 2^-16, which is neither 0 nor 2^16. An encoder writes `bit` and returns it;
    /// a decoder returns the bit that was written.
    fn code(&mut self, probability: u32, bit: u32) -> u32;
}

/// Bits to bytes.
pub(super) struct RangeEncoder {
    low: u64,
    range: u32,
    /// The last byte that a carry may still change; `None` before the first.
    pending: Option<u8>,
    /// Bytes 0xff after it, which a carry would turn over.
    full: usize,
    bytes: Vec<u8>,
}

impl RangeEncoder {
    /// An encoder that appends to `bytes`.
    pub(super) fn new(bytes: Vec<u8>) -> Self {
        Self { low: 0, range: u32::MAX, pending: None, full: 0, bytes }
    }

    /// The bytes, complete.
    pub(super) fn finish(mut self) -> Vec<u8> {
        for _ in 0..TAIL {
            self.shift();
        }
        self.release(0);
        self.bytes
    }

    /// Moves the top byte of `low` out, as far as no carry can reach it any more.
    fn shift(&mut self) {
        let (carry, top) = ((self.low >> 32) as u8, (self.low >> 24) as u8);
        if carry == 0 && top == 0xff {
            self.full += 1;
        } else {
            self.release(carry);
            self.pending = Some(top);
        }
        self.low = (self.low & 0x00ff_ffff) << 8;
    }

    fn release(&mut self, carry: u8) {
        if let Some(byte) = self.pending.take() {
            self.bytes.push(byte.wrapping_add(carry));
        }
        self.bytes.extend(std::iter::repeat_n(0xff_u8.wrapping_add(carry), self.full));
        self.full = 0;
    }
}

impl BitCoder for RangeEncoder {
    fn code(&mut self, probability: u32, bit: u32) -> u32 {
        let ones = (self.range >> PROBABILITY_BITS) * probability;
        if bit == 1 {
            self.range = ones;
        } else {
            self.low += u64::from(ones);
            self.range -= ones;
        }
        while self.range < LEAST_RANGE {
            self.range <<= 8;
            self.shift();
        }
        bit
    }
}

/// Bytes to bits. Past the end it reads zeros and remembers that it did.
pub(super) struct RangeDecoder<'a> {
    code: u32,
    range: u32,
    left: std::slice::Iter<'a, u8>,
    missing: usize,
}

impl<'a> RangeDecoder<'a> {
    /// A decoder of `bytes`.
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        let mut decoder = Self { code: 0, range: u32::MAX, left: bytes.iter(), missing: 0 };
        for _ in 0..TAIL {
            decoder.pull();
        }
        decoder
    }

    /// Bytes asked for beyond the end.
    pub(super) fn missing(&self) -> usize {
        self.missing
    }

    /// Bytes not read.
    pub(super) fn left(&self) -> usize {
        self.left.len()
    }

    fn pull(&mut self) {
        let byte = self.left.next().copied().unwrap_or_else(|| {
            self.missing += 1;
            0
        });
        self.code = self.code << 8 | u32::from(byte);
    }
}

impl BitCoder for RangeDecoder<'_> {
    #[inline(always)]
    fn code(&mut self, probability: u32, _: u32) -> u32 {
        let ones = (self.range >> PROBABILITY_BITS) * probability;
        let bit = u32::from(self.code < ones);
        if bit == 1 {
            self.range = ones;
        } else {
            // A damaged stream may hold a code outside the range; it decodes to something, without overflow.
            self.code = self.code.wrapping_sub(ones);
            self.range -= ones;
        }
        while self.range < LEAST_RANGE {
            self.range <<= 8;
            self.pull();
        }
        bit
    }
}
