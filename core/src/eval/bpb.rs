//! From nats to bits per byte.
//!
//! `val_loss = Σ nll / tokens` and `val_bpb = Σ nll / (ln 2 · bytes)`, summed in f64. Bytes are those that the
//! tokenizer's byte table charges to the scored targets; a target without bytes (a document marker) still counts as a
//! token and its nats are paid.

use serde::{Deserialize, Serialize};

/// Sums over scored targets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Totals {
    /// Sum of the negative log-likelihoods, in nats.
    pub nll: f64,
    /// Scored targets.
    pub tokens: u64,
    /// Bytes charged to them.
    pub bytes: u64,
}

impl Totals {
    /// Adds one target.
    pub fn push(&mut self, nll: f64, bytes: u32) {
        self.nll += nll;
        self.tokens += 1;
        self.bytes += u64::from(bytes);
    }

    /// Adds the sums of another stretch. Chunks are joined in order, so a total can be recomputed bit by bit.
    pub fn join(&mut self, other: &Totals) {
        self.nll += other.nll;
        self.tokens += other.tokens;
        self.bytes += other.bytes;
    }

    /// Mean nats per token; `None` without tokens.
    pub fn loss(&self) -> Option<f64> {
        (self.tokens > 0).then(|| self.nll / self.tokens as f64)
    }

    /// Bits per charged byte; `None` without bytes.
    pub fn bpb(&self) -> Option<f64> {
        bits_per_byte(self.nll, self.bytes)
    }

    /// Charged bytes per token; `None` without tokens.
    pub fn bytes_per_token(&self) -> Option<f64> {
        (self.tokens > 0).then(|| self.bytes as f64 / self.tokens as f64)
    }

    /// The bytes that a loss and a BPB imply together: what a checker recomputes from a log that prints only the two.
    pub fn implied_bytes(loss: f64, tokens: u64, bpb: f64) -> f64 {
        loss / std::f64::consts::LN_2 * tokens as f64 / bpb
    }
}

/// `nll` nats over `bytes` bytes in bits per byte; `None` without bytes.
pub fn bits_per_byte(nll: f64, bytes: u64) -> Option<f64> {
    (bytes > 0).then(|| nll / (std::f64::consts::LN_2 * bytes as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_per_byte_equals_the_independent_example() {
        let bpb = bits_per_byte(1000.0, 19_555).expect("bytes");
        assert!((bpb - 0.073_776_274_144_155_63).abs() < 1e-16, "{bpb}");
    }

    #[test]
    fn the_published_loss_and_bpb_imply_the_published_bytes() {
        // PR #861, seed 42: T = 1024, stride 64, re-scored tail included.
        let implied = Totals::implied_bytes(1.912_280_74, 62_022_592, 1.132_561_82);
        assert!((implied - 151_082_508.0).abs() < 2.0, "{implied}");
    }

    #[test]
    fn totals_without_bytes_have_no_bpb() {
        let mut totals = Totals::default();
        assert_eq!((totals.loss(), totals.bpb(), totals.bytes_per_token()), (None, None, None));
        totals.push(2.0, 0);
        assert_eq!((totals.loss(), totals.bpb()), (Some(2.0), None));
    }
}
