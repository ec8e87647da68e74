//! Export quantizers: how the rows of one tensor become integers and steps.
//!
//! Each scheme is one line of a table: which magnitudes are tried as the clip of a row, how a clip becomes a
//! step, which integers are allowed, and whether the least squared error decides per row or per matrix. One
//! loop serves them all. Invariant: arithmetic is `f32`, rounding is half to even, errors are summed in
//! `f64`; so integers and steps are those of the published exporters. Inputs must be finite, which
//! [`super::export`](mod@super::export) checks. Not here: compensation from activations ([`super::gptq`]) and
//! the choice of scheme per tensor ([`super::route`]).

use half::f16;

use super::float::{Float, largest_magnitude};
use super::quantile::{magnitudes, quantile, quantile_sorted, sort_from};
use super::rows::{Quantized, Scales, half_step, storage_bits};

/// The clip quantile of the int8 exporter: 99.99984 %.
pub const CLIP_QUANTILE: f64 = 99.999_84 / 100.0;
/// Percentiles of a row's magnitudes that the searching schemes try, ascending.
pub const PERCENTILES: [f64; 5] = [0.9990, 0.9995, 0.9999, 0.99999, 1.0];
/// Fractions of a row's largest magnitude that [`Scheme::Ratio`] tries.
pub const RATIOS: [f64; 9] = [0.80, 0.85, 0.90, 0.93, 0.95, 0.97, 0.98, 0.99, 1.00];

/// A row quantizer. `c` is the largest positive integer; formulas use the row's clip `a` and step `Δ`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// int8: `a` at [`CLIP_QUANTILE`], `Δ = max(a/127, 1/127)`, values clipped to `±a`, integers `±127`.
    /// The lower bound on `Δ` dominates for rows below 1 (openai/parameter-golf, the baseline).
    Q8,
    /// `a` is the row maximum, `Δ = fp16(a/c)`, integers `[-(c+1), c]` (PR #264).
    RowMax {
        /// Largest integer.
        c: u32,
    },
    /// One of [`PERCENTILES`] for the whole matrix, `Δ = fp16(a/c)`, integers `[-(c+1), c]` (PR #1216).
    Percentile {
        /// Largest integer.
        c: u32,
    },
    /// One of [`PERCENTILES`] for the whole matrix, `Δ = fp16(max(a/c, 1/c))`, integers `±c` (PR #549).
    PercentileFloor {
        /// Largest integer.
        c: u32,
    },
    /// For every row its own one of [`RATIOS`] of the maximum, `Δ = fp16(a/c)`, integers `[-(c+1), c]` (PR
    /// #951).
    Ratio {
        /// Largest integer.
        c: u32,
    },
    /// [`Scheme::Ratio`] with `c = 7`, which PR #951 stores two to a byte ([`super::nibble`]).
    Nibble,
    /// For every row its own one of [`PERCENTILES`], `Δ = max(a/15, 1/15)`, integers `±15` (PR #585 without
    /// its Hessian).
    S585,
    /// `a` at [`CLIP_QUANTILE`], `Δ = max(a/15, 1/15)`, values clipped to `±a`, integers `±15` (PR #861).
    S861,
    /// `a` is a multiple of the row's standard deviation, `Δ = fp16(a/c)`, integers `±c` (PR #1855): the step alone decides
    /// how many bits an entropy coder pays, and the clip hardly ever binds.
    Sigma {
        /// Largest integer.
        c: u32,
        /// Tenths of a standard deviation at which rows are clipped.
        tenths: u32,
    },
    /// One step for all rows, so many hundredths of the matrix's standard deviation; integers `±127`, which hardly ever
    /// bind. What an entropy coder wants: no bits for rows that are small anyway, no clip for those that are not.
    Uniform {
        /// Hundredths of a standard deviation between neighbouring integers.
        percent: u32,
    },
}

/// Magnitudes tried as the clip of a row.
#[derive(Clone, Copy, PartialEq)]
enum Clips {
    Maximum,
    Quantile,
    Percentiles,
    Ratios,
    /// So many tenths of the standard deviation.
    Deviation(u32),
    /// 127 steps of so many hundredths of the standard deviation of the whole matrix.
    Steps(u32),
}

/// How a clip becomes the step that integers are computed with.
#[derive(Clone, Copy, PartialEq)]
enum Step {
    /// `fp16(a/c)`, at least the smallest normal fp16 number.
    Half,
    /// `fp16(max(a/c, 1/c))`.
    FloorHalf,
    /// `max(a/c, 1/c)` in `f32`, rounded to fp16 only when stored.
    FloorSingle,
}

/// What shares one choice among several clips.
#[derive(Clone, Copy, PartialEq)]
enum Choice {
    Row,
    Matrix,
}

struct Rule {
    c: u32,
    clips: Clips,
    step: Step,
    symmetric: bool,
    choice: Choice,
}

impl Scheme {
    /// Largest integer.
    pub fn c(self) -> u32 {
        self.rule().c
    }

    /// The same clips with one bit more, up to 8 bits; `None` where the scheme is of one width only.
    pub fn widened(self) -> Option<Scheme> {
        let c = 2 * self.c() + 1;
        let wider = match self {
            Scheme::RowMax { .. } => Scheme::RowMax { c },
            Scheme::Percentile { .. } => Scheme::Percentile { c },
            Scheme::Ratio { .. } => Scheme::Ratio { c },
            Scheme::Sigma { tenths, .. } => Scheme::Sigma { c, tenths },
            Scheme::Uniform { .. } => return Some(self),
            Scheme::PercentileFloor { .. } | Scheme::Q8 | Scheme::Nibble | Scheme::S585 | Scheme::S861 => {
                return None;
            }
        };
        (c <= 127).then_some(wider)
    }

    /// Name in reports and fixtures.
    pub fn name(self) -> &'static str {
        match self {
            Scheme::Q8 => "q8",
            Scheme::RowMax { .. } => "max",
            Scheme::Percentile { .. } => "pct",
            Scheme::PercentileFloor { .. } => "floor",
            Scheme::Ratio { .. } => "ratio",
            Scheme::Nibble => "nibble",
            Scheme::S585 => "s585",
            Scheme::S861 => "s861",
            Scheme::Sigma { .. } => "sigma",
            Scheme::Uniform { .. } => "uniform",
        }
    }

    /// Bits of the narrowest packed type that holds the integers: 4, 5, 6 or 8.
    pub fn bits(self) -> u32 {
        storage_bits(self.c())
    }

    /// Quantizes a tensor of `shape`; a matrix by rows, anything else as one row with one step. Values must
    /// be finite.
    pub fn quantize(self, shape: &[usize], values: &[f32]) -> Quantized {
        match *shape {
            [rows, cols] => self.rule().matrix(rows, cols, values),
            _ => self.rule().vector(values),
        }
    }

    /// The steps that the integers of a matrix `[rows, cols]` are computed with, before those that are stored in half
    /// precision only are rounded to it. For a rounding that is not to nearest.
    pub fn steps(self, rows: usize, cols: usize, values: &[f32]) -> Vec<f32> {
        self.rule().grids(rows, cols, values).iter().map(|grid| grid.step).collect()
    }

    #[rustfmt::skip]
    fn rule(self) -> Rule {
        use {Choice::*, Clips::*, Step::*};
        let (c, clips, step, symmetric, choice) = match self {
            Scheme::Q8                     => (127, Quantile,    FloorSingle, true,  Row),
            Scheme::RowMax { c }           => (c,   Maximum,     Half,        false, Row),
            Scheme::Percentile { c }       => (c,   Percentiles, Half,        false, Matrix),
            Scheme::PercentileFloor { c }  => (c,   Percentiles, FloorHalf,   true,  Matrix),
            Scheme::Ratio { c }            => (c,   Ratios,      Half,        false, Row),
            Scheme::Nibble                 => (7,   Ratios,      Half,        false, Row),
            Scheme::S585                   => (15,  Percentiles, FloorSingle, true,  Row),
            Scheme::S861                   => (15,  Quantile,    FloorSingle, true,  Row),
            Scheme::Sigma { c, tenths }    => (c,   Deviation(tenths), Half,  true,  Row),
            Scheme::Uniform { percent }    => (127, Steps(percent), Half,     true,  Row),
        };
        Rule { c, clips, step, symmetric, choice }
    }
}

impl Rule {
    fn matrix(&self, rows: usize, cols: usize, values: &[f32]) -> Quantized {
        let grids = self.grids(rows, cols, values);
        let mut q = Vec::with_capacity(values.len());
        for (r, grid) in grids.iter().enumerate() {
            grid.extend(&values[r * cols..(r + 1) * cols], &mut q);
        }
        Quantized { rows, cols, q, scales: Scales::PerRow(grids.iter().map(Grid::stored_step).collect()) }
    }

    /// The grid of every row.
    fn grids(&self, rows: usize, cols: usize, values: &[f32]) -> Vec<Grid> {
        let (mut scratch, mut clips) = (Vec::with_capacity(cols), Vec::new());
        if let Clips::Steps(percent) = self.clips {
            let step = percent as f32 / 100.0 * deviation(values);
            return vec![self.grid(step * self.c as f32); rows];
        }
        let mut grids = Vec::new();
        let mut totals = Vec::new();
        for row in (0..rows).map(|r| &values[r * cols..(r + 1) * cols]) {
            self.clips(row, &mut scratch, &mut clips);
            let candidates = clips.iter().map(|&clip| self.grid(clip));
            let several = clips.len() > 1;
            match self.choice {
                Choice::Row if several => {
                    let errors: Vec<f64> = candidates.clone().map(|grid| grid.squared_error(row)).collect();
                    grids.extend(candidates.skip(first_least(&errors)).take(1));
                }
                Choice::Row => grids.extend(candidates),
                Choice::Matrix => {
                    totals.resize(clips.len(), 0.0);
                    for (total, grid) in totals.iter_mut().zip(candidates) {
                        *total += grid.squared_error(row);
                        grids.push(grid);
                    }
                }
            }
        }
        if self.choice == Choice::Matrix {
            grids = grids.into_iter().skip(first_least(&totals)).step_by(totals.len().max(1)).collect();
        }
        grids
    }

    fn vector(&self, values: &[f32]) -> Quantized {
        let mut scratch = Vec::new();
        magnitudes(values, &mut scratch);
        let clip = match self.clips {
            Clips::Quantile => quantile(&mut scratch, CLIP_QUANTILE),
            _ => largest_magnitude(values),
        };
        // The published exporters divide in double precision here, and give an all-zero vector the step 1.
        let step = (f64::from(clip) / f64::from(self.c)) as f32;
        let step = if clip == 0.0 && self.step != Step::Half { 1.0 } else { step };
        let scales = if self.clips == Clips::Quantile {
            Scales::Single(step.max(f32::MIN_POSITIVE))
        } else {
            Scales::Half(half_step(step.max(1e-12)))
        };
        let mut q = Vec::with_capacity(values.len());
        self.with_step(clip, scales.step(0)).extend(values, &mut q);
        Quantized { rows: 1, cols: values.len(), q, scales }
    }

    /// The candidate clips of a row, in the order in which ties are decided.
    fn clips(&self, row: &[f32], scratch: &mut Vec<f32>, clips: &mut Vec<f32>) {
        clips.clear();
        match self.clips {
            Clips::Maximum => clips.push(largest_magnitude(row)),
            Clips::Ratios => {
                let top = largest_magnitude(row);
                clips.extend(RATIOS.iter().map(|&ratio| top * ratio as f32));
            }
            Clips::Quantile => {
                magnitudes(row, scratch);
                clips.push(quantile(scratch, CLIP_QUANTILE));
            }
            Clips::Deviation(tenths) => clips.push(tenths as f32 / 10.0 * deviation(row)),
            Clips::Steps(_) => unreachable!("not a matter of one row"),
            Clips::Percentiles => {
                magnitudes(row, scratch);
                sort_from(scratch, PERCENTILES[0]);
                clips.extend(PERCENTILES.iter().map(|&p| quantile_sorted(scratch, p)));
            }
        }
    }

    fn grid(&self, clip: f32) -> Grid {
        let c = self.c as f32;
        let floored = (clip / c).max((1.0 / f64::from(self.c)) as f32);
        let step = match self.step {
            Step::Half => half_step((clip / c).max(1e-12)).max(f16::MIN_POSITIVE).to_f32(),
            Step::FloorHalf => half_step(floored).to_f32(),
            Step::FloorSingle => floored,
        };
        self.with_step(clip, step)
    }

    fn with_step(&self, clip: f32, step: f32) -> Grid {
        let highest = self.c as f32;
        let lowest = if self.symmetric { -highest } else { -(highest + 1.0) };
        // Only these exporters clip before dividing; it shows where the lower bound on the step exceeds a/c.
        let clip = if self.clips == Clips::Quantile { clip } else { f32::INFINITY };
        Grid { step, clip, lowest, highest }
    }
}

/// Unbiased standard deviation, accumulated in `f64`; 0 of fewer than two values.
pub(super) fn deviation(row: &[f32]) -> f32 {
    let n = row.len().max(1) as f64;
    let mean = row.iter().map(|&x| f64::from(x)).sum::<f64>() / n;
    let squares: f64 = row.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum();
    (squares / (n - 1.0).max(1.0)).sqrt() as f32
}

/// Index of the first least error.
pub(super) fn first_least(errors: &[f64]) -> usize {
    (1..errors.len()).fold(0, |best, i| if errors[i] < errors[best] { i } else { best })
}

/// The uniform grid of one row.
#[derive(Clone, Copy)]
struct Grid {
    step: f32,
    clip: f32,
    lowest: f32,
    highest: f32,
}

impl Grid {
    fn round(&self, x: f32) -> f32 {
        (x.min(self.clip).max(-self.clip) / self.step).round_within(self.lowest, self.highest)
    }

    /// Sum of squared differences; eight partial sums so that the loop becomes vector instructions.
    fn squared_error(&self, row: &[f32]) -> f64 {
        let difference = |x: f32| f64::from(x - self.round(x) * self.step);
        let mut sums = [0.0; 8];
        let blocks = row.chunks_exact(8);
        let rest: f64 = blocks.remainder().iter().map(|&x| difference(x).powi(2)).sum();
        for block in blocks {
            for (sum, &x) in sums.iter_mut().zip(block) {
                *sum += difference(x).powi(2);
            }
        }
        sums.iter().sum::<f64>() + rest
    }

    fn extend(&self, row: &[f32], q: &mut Vec<i8>) {
        q.extend(row.iter().map(|&x| self.round(x) as i8));
    }

    fn stored_step(&self) -> f16 {
        half_step(self.step)
    }
}

#[cfg(test)]
#[path = "scheme_tests.rs"]
mod tests;
