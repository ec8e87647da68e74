//! (stub replaced by the quantization branch)

/// Fake-quantization rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FakeQuantRule;

impl FakeQuantRule {
    /// Row.
    pub fn apply_row(&self, _w: &[f64], _y: &mut [f64]) {}
}
