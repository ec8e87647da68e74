//! What a selftest found: a table per case, the worst deviation of every quantity, and the misses.

use super::fault::Fault;
use super::tolerance::{Measure, Precision, Quantity, nan_max};
use serde::Serialize;
use std::collections::BTreeSet;
use std::fmt;

/// One quantity of one case.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Check {
    /// What was compared.
    pub quantity: String,
    /// How many tensors, or parts of one, were compared.
    pub compared: usize,
    /// How the deviation is measured.
    pub measure: &'static str,
    /// Largest deviation found; absent for NaN in JSON.
    pub worst: f64,
    /// Where it was found.
    pub at: String,
    /// Largest deviation allowed there.
    pub limit: f64,
    /// How many comparisons exceeded the suggested limit and were judged by what single precision can tell on this fixture:
    /// its measured conditioning, or weights on the edge between two integers.
    pub raised: usize,
    /// Whether every comparison stayed within its limit.
    pub ok: bool,
    /// Why the quantity could not be compared at all.
    pub problem: Option<String>,
    #[serde(skip)]
    comparisons: Vec<Comparison>,
}

/// One comparison of a quantity.
#[derive(Clone, Debug, PartialEq)]
struct Comparison {
    measure: Measure,
    deviation: f64,
    limit: f64,
    raised: bool,
    at: String,
}

impl Comparison {
    /// Written so that a NaN is a miss.
    fn ok(&self) -> bool {
        self.deviation <= self.limit
    }

    /// A miss by rounding or by a fault: not a NaN, not an integer that must be equal.
    fn is_inexact(&self) -> bool {
        !self.ok() && self.deviation.is_finite() && self.measure != Measure::Count
    }

    /// How far it is beyond what is allowed.
    fn severity(&self) -> f64 {
        let excess = if self.limit > 0.0 { self.deviation / self.limit } else { self.deviation };
        if nan_max(excess, 0.0).is_nan() { f64::INFINITY } else { excess }
    }
}

impl Check {
    fn of(label: &str, first: Comparison) -> Self {
        Self {
            quantity: label.to_owned(),
            compared: 1,
            measure: first.measure.name(),
            worst: first.deviation,
            at: first.at.clone(),
            limit: first.limit,
            raised: usize::from(first.raised),
            ok: first.ok(),
            problem: None,
            comparisons: vec![first],
        }
    }

    /// Adds a comparison; the row tells the one that is worst relative to its limit.
    fn add(&mut self, comparison: Comparison) {
        let worst = self.comparisons.iter().map(Comparison::severity).fold(f64::NEG_INFINITY, f64::max);
        if comparison.severity() > worst {
            self.measure = comparison.measure.name();
            (self.worst, self.limit) = (comparison.deviation, comparison.limit);
            self.at.clone_from(&comparison.at);
        }
        self.compared += 1;
        self.raised += usize::from(comparison.raised);
        self.ok &= comparison.ok();
        self.comparisons.push(comparison);
    }
}

/// Everything about one case.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CaseReport {
    /// File stem.
    pub case: String,
    /// Quantities in the order of their first comparison.
    pub checks: Vec<Check>,
    #[serde(skip)]
    precision: Precision,
}

impl CaseReport {
    /// An empty report of a device of this precision.
    pub fn new(case: &str, precision: Precision) -> Self {
        Self { case: case.to_owned(), checks: Vec::new(), precision }
    }

    /// Working precision of the device.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// Whether something was compared and nothing missed.
    pub fn ok(&self) -> bool {
        !self.checks.is_empty() && self.checks.iter().all(|c| c.ok)
    }

    /// Compares two arrays under the rule of `quantity` and files the result under `label`.
    pub fn compare(&mut self, label: &str, quantity: Quantity, at: &str, got: &[f64], expected: &[f64]) {
        let (measure, limit) = quantity.rule(self.precision);
        self.record(label, measure, measure.deviation(got, expected), limit, at);
    }

    /// Compares two things that must be equal, entry by entry.
    pub fn equal<T: PartialEq>(&mut self, label: &str, at: &str, got: &[T], expected: &[T]) {
        let differing = got.iter().zip(expected).filter(|(g, e)| g != e).count();
        let missing = got.len().abs_diff(expected.len());
        self.record(label, Measure::Count, (differing + missing) as f64, 0.0, at);
    }

    /// Files a deviation under the suggested limit.
    pub fn record(&mut self, label: &str, measure: Measure, deviation: f64, limit: f64, at: &str) {
        self.file(label, Comparison { measure, deviation, limit, raised: false, at: at.to_owned() });
    }

    /// Files a deviation under a limit that was raised, which the row then says.
    pub fn record_raised(&mut self, label: &str, measure: Measure, deviation: f64, limit: f64, at: &str) {
        self.file(label, Comparison { measure, deviation, limit, raised: true, at: at.to_owned() });
    }

    fn file(&mut self, label: &str, comparison: Comparison) {
        let row = self.checks.iter_mut().find(|c| c.quantity == label && c.problem.is_none());
        match row {
            Some(row) => row.add(comparison),
            None => self.checks.push(Check::of(label, comparison)),
        }
    }

    /// Label and place of everything that missed and that [`Self::judge_again`] would judge.
    pub fn inexact_misses(&self) -> BTreeSet<(String, String)> {
        let of = |row: &Check| {
            let misses = row.comparisons.iter().filter(|c| c.is_inexact());
            misses.map(|c| (row.quantity.clone(), c.at.clone())).collect::<Vec<_>>()
        };
        self.checks.iter().flat_map(of).collect()
    }

    /// The deviation filed under this label at this place.
    pub fn deviation(&self, label: &str, at: &str) -> Option<f64> {
        let rows = self.checks.iter().filter(|row| row.quantity == label);
        rows.flat_map(|row| &row.comparisons).find(|c| c.at == at).map(|c| c.deviation)
    }

    /// Judges misses again, each by the limit that `limit_of` gives its label and place, if that is wider.
    pub fn judge_again(&mut self, limit_of: impl Fn(&str, &str) -> f64) {
        for row in self.checks.iter_mut().filter(|row| row.problem.is_none()) {
            let label = row.quantity.clone();
            let mut comparisons = std::mem::take(&mut row.comparisons);
            for c in comparisons.iter_mut().filter(|c| c.is_inexact()) {
                let wider = limit_of(&label, &c.at);
                if wider > c.limit {
                    (c.limit, c.raised) = (wider, true);
                }
            }
            let mut comparisons = comparisons.into_iter();
            if let Some(first) = comparisons.next() {
                *row = Check::of(&label, first);
                comparisons.for_each(|c| row.add(c));
            }
        }
    }

    /// Files something that could not be compared: always a miss.
    pub fn refuse(&mut self, label: &str, problem: impl fmt::Display) {
        self.checks.push(Check {
            quantity: label.to_owned(),
            compared: 0,
            measure: "",
            worst: f64::NAN,
            at: String::new(),
            limit: 0.0,
            raised: 0,
            ok: false,
            problem: Some(problem.to_string()),
            comparisons: Vec::new(),
        });
    }

    /// Runs a part of a replay; should it stop early, files its fault.
    pub fn attempt(&mut self, part: &str, replay: impl FnOnce(&mut Self) -> Result<(), Fault>) {
        if let Err(fault) = replay(self) {
            self.refuse(part, fault);
        }
    }
}

/// Everything about a folder.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Folder of the fixtures.
    pub folder: String,
    /// Device under test.
    pub device: String,
    /// One entry per case, in the order of their names.
    pub cases: Vec<CaseReport>,
    /// Whether every case passed.
    pub ok: bool,
}

impl Report {
    /// Number of rows that missed.
    pub fn misses(&self) -> usize {
        self.cases.iter().flat_map(|c| &c.checks).filter(|c| !c.ok).count()
    }

    /// Number of comparisons that were judged by a raised limit.
    pub fn raised(&self) -> usize {
        self.cases.iter().flat_map(|c| &c.checks).map(|c| c.raised).sum()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for case in &self.cases {
            writeln!(f, "{case}")?;
        }
        if self.cases.is_empty() {
            writeln!(f, "no case: expected `.safetensors` files, each with a `.json` beside it")?;
        }
        let (rows, misses) = (self.cases.iter().map(|c| c.checks.len()).sum::<usize>(), self.misses());
        let verdict = if self.ok { "ok" } else { "MISS" };
        if self.raised() > 0 {
            writeln!(
                f,
                "raised: {} comparisons exceeded the suggested limit and were judged by what float32 can tell there: how far \
                 the exact result moves under roundings at random, or weights on the edge between two integers",
                self.raised()
            )?;
        }
        writeln!(
            f,
            "{verdict}: {} cases, {rows} quantities, {misses} missed, device `{}`, folder `{}`",
            self.cases.len(),
            self.device,
            self.folder
        )
    }
}

impl fmt::Display for CaseReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.case)?;
        writeln!(
            f,
            "  {:<24} {:>8}  {:<10} {:>9} {:>9}  {:<4}  where",
            "quantity", "compared", "measure", "worst", "limit", ""
        )?;
        for check in &self.checks {
            let verdict = if check.ok { "ok" } else { "MISS" };
            match &check.problem {
                Some(problem) => writeln!(f, "  {:<24} {:>49}  {problem}", check.quantity, verdict)?,
                None => write!(
                    f,
                    "  {:<24} {:>8}  {:<10} {:>9.2e} {:>9.0e}  {verdict:<4}  {}",
                    check.quantity, check.compared, check.measure, check.worst, check.limit, check.at
                )?,
            }
            match (&check.problem, check.raised) {
                (Some(_), _) => {}
                (None, 0) => writeln!(f)?,
                (None, raised) => writeln!(f, "  ({raised} raised, see below)")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_miss_within_what_precision_can_tell_passes_visibly_and_no_other_does() {
        let filed = |deviation, measure, limit| {
            let mut report = CaseReport::new("case", Precision::F32);
            report.record("loss", Measure::Absolute, 1e-9, 1e-5, "step 1");
            report.record("loss", measure, deviation, limit, "step 2");
            // The first step is perfectly conditioned, the second one is not.
            report.judge_again(|label, at| if (label, at) == ("loss", "step 2") { 1e-3 } else { 0.0 });
            (report.ok(), report.checks[0].raised, report.checks[0].at.clone())
        };
        let second = "step 2".to_owned();
        assert_eq!(filed(5e-4, Measure::Absolute, 1e-5), (true, 1, second.clone()));
        assert_eq!(filed(2e-3, Measure::Absolute, 1e-5), (false, 1, second.clone()));
        // Within the suggested limit nothing is raised.
        assert_eq!(filed(5e-6, Measure::Absolute, 1e-5), (true, 0, second.clone()));
        assert_eq!(filed(f64::NAN, Measure::Absolute, 1e-5), (false, 0, second.clone()));
        assert_eq!(filed(1.0, Measure::Count, 0.0), (false, 0, second));
    }
}
