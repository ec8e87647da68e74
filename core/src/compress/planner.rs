//! The budget planner: which width every tensor gets.
//!
//! Every quantized tensor has a ladder of schemes. Of each the bytes are predicted from the entropy of its integers, the
//! loss from the squared errors and their importance. On the lower convex hull of (bytes, loss) a step down in loss never
//! costs less per byte than the one before it, so the greedy choice, the step that removes most loss per byte until the
//! budget is used up, is the best one up to the last step (Shoham and Gersho 1988).
//!
//! Invariant: predictions are made with roundings to nearest; compensation lowers the loss of all rungs alike. Sizes are
//! corrected by [`Plan::correct`] with what an encoder really needed. Nothing here writes a file.

use std::fmt;

use super::{Calibration, Importance};
use crate::parallel::on_all_cores;
use crate::quant::entropy::order_zero_bytes;
use crate::quant::{Scheme, Storage};

/// A ladder of schemes, from 3 to 8 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// [`Family::Ratio`] and [`Family::Uniform`] together.
    Auto,
    /// The best of nine clips for every row.
    Ratio,
    /// The row maximum.
    Max,
    /// One of five percentiles for the whole matrix.
    Percentile,
    /// A multiple of the row's deviation, growing with the width.
    Sigma,
    /// One step for all rows of a matrix; the width says how coarse it is, two steps to each, and not how many integers there are.
    Uniform,
}

/// Widths that a tensor can have.
pub const WIDTHS: std::ops::RangeInclusive<u32> = 3..=8;

impl Family {
    /// Every family.
    pub const ALL: [Family; 6] =
        [Family::Auto, Family::Ratio, Family::Max, Family::Percentile, Family::Sigma, Family::Uniform];

    /// Name in options and reports.
    pub fn name(self) -> &'static str {
        match self {
            Family::Auto => "auto",
            Family::Ratio => "ratio",
            Family::Max => "max",
            Family::Percentile => "pct",
            Family::Sigma => "sigma",
            Family::Uniform => "uniform",
        }
    }

    /// The family of a name.
    pub fn from_name(name: &str) -> Option<Family> {
        Family::ALL.into_iter().find(|family| family.name() == name)
    }

    /// The schemes of `width` bits.
    pub fn schemes(self, width: u32) -> Vec<Scheme> {
        let (c, rung) = ((1 << (width - 1)) - 1, (width - WIDTHS.start()) as usize);
        // Clips grow with the width, as the published 11.5 to 14 sigmas for 6 and 7 bits do.
        let sigma = Scheme::Sigma { c, tenths: [30, 50, 80, 120, 140, 200][rung] };
        let percents = [[200, 140], [100, 75], [60, 48], [38, 30], [22, 16], [11, 8]][rung];
        let uniform = percents.map(|percent| Scheme::Uniform { percent });
        match self {
            Family::Auto => [&[Scheme::Ratio { c }], &uniform[..]].concat(),
            Family::Ratio => vec![Scheme::Ratio { c }],
            Family::Max => vec![Scheme::RowMax { c }],
            Family::Percentile => vec![Scheme::Percentile { c }],
            Family::Sigma => vec![sigma],
            Family::Uniform => uniform.to_vec(),
        }
    }
}

/// What a tensor may become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// Any width of the family.
    Free(Family),
    /// This width of the family.
    Width(Family, u32),
    /// Exactly this form.
    Fixed(Storage),
}

/// A parameter and what it may become.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Subject<'a> {
    /// Name.
    pub name: &'a str,
    /// Extents.
    pub shape: &'a [usize],
    /// Values.
    pub values: &'a [f32],
    /// Its choice.
    pub choice: Choice,
}

/// A form of a tensor with its predicted price.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rung {
    /// The form.
    pub storage: Storage,
    /// Bytes of integers and steps under an ideal order-0 coder; of plain values, as they are.
    pub bytes: f64,
    /// Predicted loss: nats per token with sensitivities, otherwise relative squared error.
    pub loss: f64,
}

/// One tensor's ladder and place on it.
#[derive(Clone, Debug, PartialEq)]
pub struct TensorPlan {
    /// Name.
    pub name: String,
    /// Elements.
    pub elements: usize,
    /// Rungs on the hull, by ascending bytes.
    pub rungs: Vec<Rung>,
    /// Index of the chosen one.
    pub chosen: usize,
}

impl TensorPlan {
    /// The chosen rung.
    pub fn rung(&self) -> Rung {
        self.rungs[self.chosen]
    }
}

impl fmt::Display for Rung {
    /// Prints like `ratio int5`, `uniform 0.48σ` or `fp16`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.storage {
            Storage::Quantized(Scheme::Uniform { percent }) => {
                write!(f, "uniform {:.2}σ", f64::from(percent) / 100.0)
            }
            Storage::Quantized(scheme) => {
                write!(f, "{} int{}", scheme.name(), u32::BITS - scheme.c().leading_zeros() + 1)
            }
            plain => f.write_str(plain.name()),
        }
    }
}

/// Widths of all tensors, and what a file adds to their predicted bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Tensors in the order given.
    pub tensors: Vec<TensorPlan>,
    /// Bytes of the file that no choice changes: configuration, tokenizer, header.
    pub overhead: f64,
    /// Real bytes per predicted byte of quantized tensors.
    pub quantized_factor: f64,
    /// Real bytes per byte of plain tensors.
    pub plain_factor: f64,
}

impl Plan {
    /// Measures every rung of every subject; all start at their cheapest.
    pub fn new(subjects: &[Subject<'_>], calibration: Option<&Calibration>, overhead: f64) -> Self {
        let tensors = on_all_cores(subjects, |subject| ladder(subject, calibration));
        Self { tensors, overhead, quantized_factor: 1.0, plain_factor: 0.95 }
    }

    /// Predicted bytes of the file.
    pub fn bytes(&self) -> f64 {
        self.overhead + self.tensors.iter().map(|t| self.real(t.rung())).sum::<f64>()
    }

    /// Predicted loss of all tensors together.
    pub fn loss(&self) -> f64 {
        self.tensors.iter().map(|t| t.rung().loss).sum()
    }

    /// Predicted bytes of a rung in the file.
    pub fn real(&self, rung: Rung) -> f64 {
        match rung.storage {
            Storage::Quantized(_) => rung.bytes * self.quantized_factor,
            Storage::Fp16 | Storage::Fp32 => rung.bytes * self.plain_factor,
        }
    }

    /// Replaces the guesses by what an encoder needed for this plan: bytes of quantized tensors, of plain ones, of the
    /// rest.
    pub fn correct(&mut self, quantized: f64, plain: f64, rest: f64) {
        let predicted = |quantized: bool| -> f64 {
            let rungs = self.tensors.iter().map(TensorPlan::rung);
            let of = rungs.filter(|r| matches!(r.storage, Storage::Quantized(_)) == quantized);
            of.map(|rung| rung.bytes).sum()
        };
        let (all_quantized, all_plain) = (predicted(true), predicted(false));
        if all_quantized > 0.0 {
            self.quantized_factor = quantized / all_quantized;
        }
        if all_plain > 0.0 {
            self.plain_factor = plain / all_plain;
        }
        self.overhead = rest;
    }

    /// Chooses rungs so that the predicted file has at most `budget` bytes; whether even the cheapest does.
    pub fn fit(&mut self, budget: f64) -> bool {
        self.tensors.iter_mut().for_each(|t| t.chosen = 0);
        let mut steps = Vec::new();
        for (index, tensor) in self.tensors.iter().enumerate() {
            for (rung, pair) in tensor.rungs.windows(2).enumerate() {
                let bytes = self.real(pair[1]) - self.real(pair[0]);
                steps.push((index, rung + 1, bytes, (pair[0].loss - pair[1].loss) / bytes.max(1e-9)));
            }
        }
        // Along one ladder gains fall, so a stable sort keeps its steps in order.
        steps.sort_by(|a, b| b.3.total_cmp(&a.3));
        let mut bytes = self.bytes();
        let reachable = bytes <= budget;
        for (index, rung, cost, _) in steps {
            let tensor = &mut self.tensors[index];
            if tensor.chosen + 1 == rung && bytes + cost <= budget {
                tensor.chosen = rung;
                bytes += cost;
            }
        }
        reachable
    }

    /// Whether every tensor has its dearest form.
    pub fn at_the_top(&self) -> bool {
        self.tensors.iter().all(|t| t.chosen + 1 == t.rungs.len())
    }

    /// Whether every tensor has its cheapest form.
    pub fn at_the_bottom(&self) -> bool {
        self.tensors.iter().all(|t| t.chosen == 0)
    }
}

fn ladder(subject: &Subject<'_>, calibration: Option<&Calibration>) -> TensorPlan {
    let Subject { name, shape, values, choice } = *subject;
    let schemes = match choice {
        Choice::Free(family) => WIDTHS.flat_map(|width| family.schemes(width)).collect(),
        Choice::Width(family, width) => family.schemes(width),
        Choice::Fixed(Storage::Quantized(scheme)) => vec![scheme],
        Choice::Fixed(_) => Vec::new(),
    };
    let elements = values.len();
    let rungs = match (choice, shape) {
        (Choice::Fixed(storage @ (Storage::Fp16 | Storage::Fp32)), _) => {
            let width = if storage == Storage::Fp16 { 2 } else { 4 };
            vec![Rung { storage, bytes: (width * elements) as f64, loss: 0.0 }]
        }
        (_, &[rows, cols]) => {
            let importance = calibration.and_then(|c| c.importance(name));
            let importance = importance.unwrap_or_else(|| Importance::alike(rows, cols, values));
            hull(schemes.into_iter().map(|scheme| rung(scheme, shape, values, &importance)).collect())
        }
        _ => vec![Rung { storage: Storage::Fp16, bytes: (2 * elements) as f64, loss: 0.0 }],
    };
    TensorPlan { name: name.to_owned(), elements, rungs, chosen: 0 }
}

fn rung(scheme: Scheme, shape: &[usize], values: &[f32], importance: &Importance) -> Rung {
    let quantized = scheme.quantize(shape, values);
    let bytes = order_zero_bytes(&quantized.q) + 2.0 * shape[0] as f64;
    let loss = importance.cost(values, &quantized.dequantize());
    Rung { storage: Storage::Quantized(scheme), bytes, loss }
}

/// The lower convex hull of (bytes, loss), by ascending bytes; never empty for a non-empty input.
fn hull(mut rungs: Vec<Rung>) -> Vec<Rung> {
    rungs.sort_by(|a, b| a.bytes.total_cmp(&b.bytes).then(a.loss.total_cmp(&b.loss)));
    let slope = |a: &Rung, b: &Rung| (b.loss - a.loss) / (b.bytes - a.bytes).max(1e-9);
    let mut hull: Vec<Rung> = Vec::new();
    for rung in rungs {
        if hull.last().is_some_and(|last| rung.loss >= last.loss) {
            continue;
        }
        while let [.., a, b] = &hull[..]
            && slope(b, &rung) <= slope(a, b)
        {
            hull.pop();
        }
        hull.push(rung);
    }
    hull
}

#[cfg(test)]
#[path = "planner_tests.rs"]
mod tests;
