//! Our own entropy coder for quantized matrices: adaptive binary context mixing in integers.
//!
//! ```text
//! 1        revision of the model in the upper four bits (1: every row is a way through [`crate::quant::trellis`] and has 3 bits
//!          or more; 0: otherwise), bits of a symbol (1 to 8) in the lower four
//! 1        bit 7: signs are predicted; below it the level of the mean |q|, in eighths of an octave above 1/256
//! number   runs of matrices, R
//! R times  three numbers above 0: how many matrices, their rows, their columns
//! rest     range-coded bits
//! ```
//!
//! A number is LEB128 in its shortest form, below 2^32. The stream carries its shapes, a few bytes for all layers of one
//! role, so decoding needs nothing but the length, as for the other codecs. Symbol `s` of `b` bits is the integer
//! `s - 2^(b-1)`; a matrix runs row by row. How the next symbol is
//! predicted is the model's documentation.
//!
//! Memory beyond the output: below 3 MiB whatever the shapes. No damage is detected but that the stream ends early or late;
//! checksums are the caller's. Invariants: decoding returns
//! what was encoded on every machine (no floating point); any bytes decode to the length asked for or to an error.

mod header;
mod logistic;
mod model;
mod predictor;
mod range;
#[cfg(test)]
mod tests;
mod tree;

use super::CodecError;
use crate::quant::trellis::follows;
use header::{Header, NAME, Run, Signs, TRELLIS_BITS};
use model::Model;
use range::{RangeDecoder, RangeEncoder};

/// Predicting signs must save one byte in so many, or they are left to chance, which decodes faster.
const SIGNS_WORTH: usize = 1000;
/// Fewer symbols may be a way through the trellis by chance, and gain nothing.
const TRELLIS_LEAST: usize = 64;

/// Encodes `symbols`, each below `2^bits`, which are the `matrices` (rows, columns) one after another, row by row.
///
/// Panics if the matrices do not hold as many symbols, if one is empty, or if a symbol is too large.
pub(super) fn encode(symbols: &[u8], bits: u32, matrices: &[(usize, usize)]) -> Vec<u8> {
    assert!(symbols.iter().all(|&symbol| symbol >> (bits - 1) >> 1 == 0), "symbols of {bits} bits");
    let mut runs: Vec<Run> = Vec::new();
    for &(rows, cols) in matrices {
        match runs.last_mut() {
            Some(run) if (run.rows, run.cols) == (rows, cols) => run.count += 1,
            _ => runs.push(Run { count: 1, rows, cols }),
        }
    }
    let (trellis, mean_level) = (on_trellis(symbols, bits, &runs), mean_level(symbols, bits));
    let mut header = Header { bits, trellis, signs: Signs::Coins, mean_level, runs };
    let coins = encode_as(&header, symbols);
    header.signs = Signs::Predicted;
    let predicted = encode_as(&header, symbols);
    if coins.len().saturating_sub(predicted.len()) > coins.len() / SIGNS_WORTH { predicted } else { coins }
}

fn encode_as(header: &Header, symbols: &[u8]) -> Vec<u8> {
    let mut coder = RangeEncoder::new(header.to_bytes());
    let mut symbols = symbols.to_vec();
    each_matrix(header, &mut symbols, |model, cols, matrix| {
        model.matrix(&mut coder, cols, matrix, |_| true);
        true
    });
    coder.finish()
}

/// Decodes `bytes` into `raw_len` symbols.
pub(super) fn decode(bytes: &[u8], raw_len: usize) -> Result<Vec<u8>, CodecError> {
    let (header, coded) = Header::parse(bytes, raw_len)?;
    let mut coder = RangeDecoder::new(coded);
    let mut symbols = vec![0; raw_len];
    each_matrix(&header, &mut symbols, |model, cols, matrix| {
        model.matrix(&mut coder, cols, matrix, |coder| coder.missing() == 0);
        coder.missing() == 0
    });
    match (coder.missing(), coder.left()) {
        (0, 0) => Ok(symbols),
        (0, count) => Err(CodecError::TrailingBytes { codec: NAME, count }),
        _ => Err(CodecError::Ended { codec: NAME, len: bytes.len() }),
    }
}

/// Hands every matrix of the stream to `code`, with its columns, until it declines.
fn each_matrix(
    header: &Header,
    mut symbols: &mut [u8],
    mut code: impl FnMut(&mut Model, usize, &mut [u8]) -> bool,
) {
    let mut model = Model::new(header);
    for run in &header.runs {
        for _ in 0..run.count {
            let (matrix, rest) = symbols.split_at_mut(run.rows * run.cols);
            symbols = rest;
            if !code(&mut model, run.cols, matrix) {
                return;
            }
        }
    }
    // A decoder has compared the sum with the length; an encoder's caller has the shapes of its own symbols.
    assert!(symbols.is_empty(), "the matrices hold all symbols");
}

/// Whether the integers of every row are a way through the trellis, so that half of each symbol need not be coded.
fn on_trellis(symbols: &[u8], bits: u32, runs: &[Run]) -> bool {
    let mut left = symbols;
    bits >= TRELLIS_BITS
        && symbols.len() >= TRELLIS_LEAST
        && runs.iter().all(|run| {
            let (own, rest) = left.split_at(run.count * run.rows * run.cols);
            left = rest;
            follows(own.iter().map(|&symbol| i32::from(symbol) - (1 << (bits - 1))), run.cols)
        })
}

/// The level of the mean magnitude, rounded down.
fn mean_level(symbols: &[u8], bits: u32) -> u8 {
    let sum: u64 =
        symbols.iter().map(|&symbol| u64::from((i32::from(symbol) - (1 << (bits - 1))).unsigned_abs())).sum();
    let mean = (sum << 8) / symbols.len().max(1) as u64 + 1;
    let octave = mean.ilog2();
    (octave * 8 + (mean << 3 >> octave) as u32 % 8) as u8
}
