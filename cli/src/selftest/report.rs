//! What a selftest found: a table per case, the worst deviation of every quantity, and the misses.

use super::fault::Fault;
use super::tolerance::{Measure, Precision, Quantity, nan_max, raised};
use serde::Serialize;
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
    /// How many comparisons exceeded the suggested limit and were judged by what the fixture itself says of single
    /// precision: the oracle's recorded loss, or weights on the edge between two integers.
    pub raised: usize,
    /// Whether every comparison stayed within its limit.
    pub ok: bool,
    /// Why the quantity could not be compared at all.
    pub problem: Option<String>,
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
        self.compare_beside(label, quantity, None, at, got, expected);
    }

    /// The same where the fixture records what the oracle itself lost in single precision.
    pub fn compare_beside(
        &mut self,
        label: &str,
        quantity: Quantity,
        oracle_loss: Option<f64>,
        at: &str,
        got: &[f64],
        expected: &[f64],
    ) {
        let (measure, limit) = quantity.rule(self.precision);
        self.judge(label, measure, measure.deviation(got, expected), limit, oracle_loss, at);
    }

    /// Files a deviation. One beyond `limit` is judged by the oracle's own loss, where the device has single precision.
    pub fn judge(
        &mut self,
        label: &str,
        measure: Measure,
        deviation: f64,
        limit: f64,
        oracle_loss: Option<f64>,
        at: &str,
    ) {
        let wider = raised(limit, oracle_loss);
        if self.precision == Precision::F32 && deviation > limit && wider > limit {
            self.record_raised(label, measure, deviation, wider, at);
        } else {
            self.record(label, measure, deviation, limit, at);
        }
    }

    /// Compares two things that must be equal, entry by entry.
    pub fn equal<T: PartialEq>(&mut self, label: &str, at: &str, got: &[T], expected: &[T]) {
        let differing = got.iter().zip(expected).filter(|(g, e)| g != e).count();
        let missing = got.len().abs_diff(expected.len());
        self.record(label, Measure::Count, (differing + missing) as f64, 0.0, at);
    }

    /// Files a deviation under the suggested limit.
    pub fn record(&mut self, label: &str, measure: Measure, deviation: f64, limit: f64, at: &str) {
        self.file(label, measure, deviation, limit, 0, at);
    }

    /// Files a deviation under a limit that was raised, which the row then says.
    pub fn record_raised(&mut self, label: &str, measure: Measure, deviation: f64, limit: f64, at: &str) {
        self.file(label, measure, deviation, limit, 1, at);
    }

    /// The row of `label` keeps the deviation that is worst relative to its limit.
    fn file(&mut self, label: &str, measure: Measure, deviation: f64, limit: f64, raised: usize, at: &str) {
        // Written so that a NaN is a miss.
        let ok = deviation <= limit;
        let check = Check {
            quantity: label.to_owned(),
            compared: 1,
            measure: measure.name(),
            worst: deviation,
            at: at.to_owned(),
            limit,
            raised,
            ok,
            problem: None,
        };
        let Some(row) = self.checks.iter_mut().find(|c| c.quantity == label && c.problem.is_none()) else {
            self.checks.push(check);
            return;
        };
        row.compared += 1;
        row.raised += raised;
        if severity(&check) > severity(row) {
            *row = Check { compared: row.compared, raised: row.raised, ok: row.ok && ok, ..check };
        }
        row.ok &= ok;
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
        });
    }

    /// Runs a part of a replay; should it stop early, files its fault.
    pub fn attempt(&mut self, part: &str, replay: impl FnOnce(&mut Self) -> Result<(), Fault>) {
        if let Err(fault) = replay(self) {
            self.refuse(part, fault);
        }
    }
}

/// Orders deviations by how far they are beyond what is allowed.
fn severity(check: &Check) -> f64 {
    let excess = if check.limit > 0.0 { check.worst / check.limit } else { check.worst };
    if nan_max(excess, 0.0).is_nan() { f64::INFINITY } else { excess }
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
                "raised: {} comparisons exceeded the suggested limit and were judged by what the fixture says of \
                 float32: the oracle's own recorded loss there, or weights on the edge between two integers",
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
