//! What is likely next: the model of a quantized matrix, row by row.
//!
//! A weight's spread is, to first order, the product of its row's and its column's. So the magnitude `|q|` is asked for by
//! the questions of [`super::tree`] in four contexts: the level of that product; the levels of row and column apart; the
//! histogram of the row so far; the histogram of the column over all rows, and all matrices of the stream, so far. The sign
//! is a coin toss almost everywhere; where it is not (an embedding's columns have a mean), it is predicted from the
//! column's mean and recent signs and from the neighbours'.
//!
//! Where the integers are on a trellis ([`crate::quant::trellis`]) the parity is known, and half the magnitude is asked for, with
//! counters of their own for even and odd integers.
//!
//! Invariant: [`Model::matrix`] with an encoder and with a decoder passes through the same states. All arithmetic is on
//! integers; magnitudes have eight bits after the point, levels are eighths of an octave. Not here: bytes.

use super::header::{Header, Signs};
use super::predictor::{Predictor, STEPS};
use super::range::{BitCoder, PROBABILITY_BITS};
use super::tree::{Next, Question, questions};
use crate::quant::trellis::State;

/// Columns that have statistics of their own; those of wider matrices share.
const COLUMNS: usize = 4096;
/// Levels of a product of spreads.
const PRODUCTS: usize = 128;
/// Coarse levels of one spread.
const SPREADS: usize = 32;

/// How many values the averages of a row and of a column look back on, at most.
const MEMORY: usize = 255;
/// Values that the averages of a fresh row and column are worth before there are any.
const ROW_PRIOR: usize = 3;
const COLUMN_PRIOR: usize = 2;

/// Levels of a column's pull on the sign, and of its recent signs.
const PULLS: usize = 64;
const TRENDS: usize = 32;
/// Magnitudes that the sign's contexts tell apart.
const SIGN_MAGNITUDES: usize = 16;
/// Signs of the neighbours to the left and above: 3 × 3.
const NEIGHBOURS: usize = 9;

/// Statistics of a column within a matrix.
#[derive(Clone, Copy)]
struct Column {
    /// Average of |q|.
    spread: i32,
    /// Average of q.
    mean: i32,
    /// Average of the last signs that there were, ±2^15.
    trend: i32,
}

/// The model of a stream of matrices of one bit width.
pub(super) struct Model {
    bits: u32,
    trellis: bool,
    signs: Signs,
    questions: Vec<Question>,
    magnitude: Predictor<4>,
    sign: Predictor<3>,
    columns: Vec<Column>,
    /// Average of |q| over the stream, and of how many values.
    spread: i32,
    seen: usize,
}

impl Model {
    /// A model of the integers that `header` announces.
    pub(super) fn new(header: &Header) -> Self {
        let Header { bits, trellis, signs, .. } = *header;
        let halved = u32::from(trellis);
        let questions = questions(1 << (bits - 1 - halved), header.mean() >> halved);
        let columns = header.widest().min(COLUMNS);
        let contexts = (1 + PRODUCTS + SPREADS * SPREADS + columns) << halved;
        Self {
            bits,
            trellis,
            signs,
            magnitude: Predictor::new(questions.len(), contexts * questions.len()),
            sign: Predictor::new(1, PULLS + TRENDS * SIGN_MAGNITUDES + SPREADS * NEIGHBOURS),
            questions,
            columns: vec![Column { spread: 0, mean: 0, trend: 0 }; columns],
            spread: 2 << 8,
            seen: 0,
        }
    }

    /// Codes a matrix of `cols` columns, one byte a symbol, in place: an encoder reads `symbols`, a decoder writes them.
    /// `proceed` is asked after every row; the rest is left alone once it declines.
    pub(super) fn matrix<C: BitCoder>(
        &mut self,
        coder: &mut C,
        cols: usize,
        symbols: &mut [u8],
        proceed: impl Fn(&C) -> bool,
    ) {
        self.columns.fill(Column { spread: self.spread, mean: 0, trend: 0 });
        for row in 0..symbols.len() / cols {
            let (above, rest) = symbols.split_at_mut(row * cols);
            let above = above.len().checked_sub(cols).map(|start| &above[start..]);
            self.row(coder, row, above, &mut rest[..cols]);
            if !proceed(coder) {
                return;
            }
        }
    }

    fn row<C: BitCoder>(&mut self, coder: &mut C, row: usize, above: Option<&[u8]>, symbols: &mut [u8]) {
        let (questions, halved) = (self.questions.len(), u32::from(self.trellis));
        self.magnitude.forget(0..questions << halved);
        let offset = 1i32 << (self.bits - 1);
        let step = STEPS[(row + COLUMN_PRIOR).min(MEMORY)];
        let (mut spread, mut left, mut state) = (self.spread, 0, State::default());
        for c in 0..symbols.len() {
            let at = c % COLUMNS;
            let column = self.columns[at];
            let (own, across, all) = (level(spread), level(column.spread), level(self.spread));
            let product = (own + across - all).clamp(0, 2 * PRODUCTS as i32 - 1) as usize / 2;
            let apart = own as usize / 8 * SPREADS + across as usize / 8;
            let contexts = [0, 1 + product, 1 + PRODUCTS + apart, 1 + PRODUCTS + SPREADS * SPREADS + at];
            let parity = if self.trellis { state.parity() as u32 } else { 0 };
            let bases = contexts.map(|context| (context << halved | parity as usize) * questions);
            let known = i32::from(symbols[c]) - offset;
            let asked = self.magnitude(coder, bases, known.unsigned_abs() >> halved);
            // A damaged stream may ask for more than there is.
            let magnitude = (asked << halved | parity).min(offset as u32 - parity);
            let q = if magnitude == 0 {
                0
            } else {
                let up = above.map_or(0, |above| (i32::from(above[c]) - offset).signum());
                let around = ((left + 1) * 3 + up + 1) as usize;
                self.signed(coder, magnitude as i32, known, column, own + across - all, around)
            };
            symbols[c] = (q + offset) as u8;
            state = state.after(q);
            left = q.signum();
            let size = q.abs() << 8;
            spread += towards(spread, size, STEPS[(c + ROW_PRIOR).min(MEMORY)]);
            self.columns[at] = Column {
                spread: column.spread + towards(column.spread, size, step),
                mean: column.mean + towards(column.mean, q << 8, step),
                trend: column.trend + if q == 0 { 0 } else { (q.signum() * (1 << 15) - column.trend) >> 4 },
            };
            self.spread += towards(self.spread, size, STEPS[self.seen.min(STEPS.len() - 1)]);
            self.seen += 1;
        }
    }

    /// Asks for a magnitude; an encoder knows it.
    #[inline(always)]
    fn magnitude(&mut self, coder: &mut impl BitCoder, bases: [usize; 4], known: u32) -> u32 {
        let mut index = 0;
        loop {
            let question = self.questions[index];
            let yes = u32::from(known >= u32::from(question.threshold));
            let yes = self.magnitude.code(coder, index, bases, yes);
            match question.next[yes as usize & 1] {
                Next::Ask(next) => index = usize::from(next),
                Next::Known(magnitude) => return u32::from(magnitude),
            }
        }
    }

    /// Asks for the sign of a magnitude that is not 0, and applies it.
    #[inline(always)]
    fn signed(
        &mut self,
        coder: &mut impl BitCoder,
        magnitude: i32,
        known: i32,
        column: Column,
        spread_level: i32,
        around: usize,
    ) -> i32 {
        // There is no positive integer of the largest magnitude.
        if magnitude == 1 << (self.bits - 1) {
            return -magnitude;
        }
        let bit = u32::from(known < 0);
        let negative = match self.signs {
            Signs::Coins => coder.code(1 << (PROBABILITY_BITS - 1), bit),
            Signs::Predicted => {
                let pull = pull(magnitude, column.mean, spread_level);
                let trend = (column.trend >> 11) + (TRENDS / 2) as i32;
                let trend = trend.clamp(0, TRENDS as i32 - 1) as usize;
                let recent = PULLS + trend * SIGN_MAGNITUDES + (magnitude as usize).min(SIGN_MAGNITUDES - 1);
                let near = PULLS + TRENDS * SIGN_MAGNITUDES + trend * NEIGHBOURS + around;
                self.sign.code(coder, 0, [pull, recent, near], bit)
            }
        };
        if negative == 1 { -magnitude } else { magnitude }
    }
}

/// How far an average moves towards a value.
#[inline(always)]
fn towards(average: i32, value: i32, step: i32) -> i32 {
    ((i64::from(value - average) * i64::from(step)) >> 16) as i32
}

/// Level of a spread of 0 to 128: sixteenths of an octave above an eighth of a step, 0 to 223.
#[inline(always)]
fn level(spread: i32) -> i32 {
    let value = spread as u32 + 4;
    let octave = 31 - value.leading_zeros() as i32;
    let fraction = ((value << 4) >> octave) as i32 & 15;
    (octave - 2) * 16 + fraction
}

/// Level of the log-odds of a sign: of a normal variable with this mean and spread, of which the magnitude is known, they
/// are 2·|q|·mean/variance.
#[inline(always)]
fn pull(magnitude: i32, mean: i32, spread_level: i32) -> usize {
    let level = (spread_level + 32).clamp(0, 255);
    // The inverse of `level`; the variance of a normal variable is π/2 times its squared mean magnitude.
    let spread = i64::from((16 + level % 16) << (level / 16)) >> 4;
    let odds = (i64::from(magnitude * mean) * (81 << 10)) / (spread * spread).max(1 << 12);
    ((odds + (PULLS as i64 / 2 * 64)) / 64).clamp(0, PULLS as i64 - 1) as usize
}
