//! Whether a result can be believed: a table of rules, each with a verdict and the evidence for it.
//!
//! A [`Case`] holds what there is: files as they ship, artifacts, receipts, logs, and what was derived or run again for
//! the check (tokens of the raw text, replayed chunks, probes, an overlap audit). A rule compares two things that should
//! agree and says PASS, FAIL, or CANNOT TELL where one of them is missing; it opens no file and runs no model, so every
//! verdict follows from the evidence alone. CANNOT TELL is not a pass.
//!
//! The rules are the challenge's (README; issues #402, #677, #1017) and those that its disputes taught (#1719, #2124,
//! #2127). Adding one is a file and a row of [`RULES`].
//!
//! Not here: where files lie and how findings are printed.

mod artifact;
mod bytes;
mod claims;
mod error;
mod eval_budget;
mod evidence;
mod exactly_once;
mod future;
mod log;
mod normalized;
mod overlap;
pub mod probe;
mod receipt;
mod replay;
mod run_log;
mod same_config;
mod score_first;
mod size;
mod stated;
mod target;
mod text;
mod tokenizer;
mod train_budget;

pub use error::CheckError;
pub use evidence::{ArtifactFile, Case, Replay, Run, ShippedFile, Text};
pub use probe::{Probe, ProbeOptions, probe};
pub use run_log::RunLog;
pub use size::CAP_BYTES;
pub use stated::{Claims, EvalReport};

use serde::Serialize;

/// What a rule says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The two sides agree.
    Pass,
    /// They do not.
    Fail,
    /// A side is missing. Not a pass.
    CannotTell,
}

impl Verdict {
    /// As tables print it.
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Pass => "PASS",
            Verdict::Fail => "FAIL",
            Verdict::CannotTell => "CANNOT TELL",
        }
    }
}

/// A verdict with its reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// The verdict.
    pub verdict: Verdict,
    /// What was seen; for [`Verdict::CannotTell`], what is missing.
    pub evidence: String,
    /// What was compared with what.
    pub compared: String,
}

impl Judgement {
    fn new(verdict: Verdict, compared: &str, evidence: impl Into<String>) -> Self {
        Self { verdict, compared: compared.to_owned(), evidence: evidence.into() }
    }

    fn pass(compared: &str, evidence: impl Into<String>) -> Self {
        Self::new(Verdict::Pass, compared, evidence)
    }

    fn fail(compared: &str, evidence: impl Into<String>) -> Self {
        Self::new(Verdict::Fail, compared, evidence)
    }

    fn cannot_tell(compared: &str, missing: impl Into<String>) -> Self {
        Self::new(Verdict::CannotTell, compared, missing)
    }
}

/// Whether a difference is within a tolerance; what is no number is not.
fn within(difference: f64, tolerance: f64) -> bool {
    difference.abs() <= tolerance
}

/// What a rule looks at.
#[derive(Clone, Copy)]
enum Judge {
    /// Every run for itself.
    Run(fn(&Case, &Run) -> Judgement),
    /// All of it.
    Case(fn(&Case) -> Judgement),
}

/// A rule.
pub struct Rule {
    /// Its name in findings.
    pub id: &'static str,
    /// What it demands.
    pub demand: &'static str,
    judge: Judge,
}

const fn each(id: &'static str, demand: &'static str, judge: fn(&Case, &Run) -> Judgement) -> Rule {
    Rule { id, demand, judge: Judge::Run(judge) }
}

const fn whole(id: &'static str, demand: &'static str, judge: fn(&Case) -> Judgement) -> Rule {
    Rule { id, demand, judge: Judge::Case(judge) }
}

/// All rules, in the order of the table.
pub const RULES: [Rule; 18] = [
    each("size", "model and code fit in 16,000,000 bytes, as shipped", size::judge),
    each("train-budget", "training and calibration take at most 600 s", train_budget::judge),
    each("eval-budget", "evaluation takes at most 600 s", eval_budget::judge),
    each("receipt", "the receipt's hashes and sums follow from its records", receipt::judge),
    each("artifact", "the receipt is of this artifact", artifact::judge),
    each("log", "the training log is of this artifact", log::judge),
    each("tokenizer", "the text was scored with the model's own tokenizer", tokenizer::judge),
    each("text", "the scored tokens are those of the whole text", text::judge),
    each("bytes", "the bytes charged are those of the raw text", bytes::judge),
    each("exactly-once", "every target was scored once", exactly_once::judge),
    each("score-first", "no target was scored by weights that had seen it", score_first::judge),
    each("replay", "chunks that are run again score what the receipt says", replay::judge),
    each("normalized", "the probabilities of all tokens sum to 1", normalized::judge),
    each("future", "later tokens do not change earlier scores", future::judge),
    each("target", "the token to predict does not change its prediction", target::judge),
    whole("overlap", "no validation document was trained on", overlap::judge),
    whole("same-config", "runs of a mean differ in their seeds only", same_config::judge),
    whole("claims", "the numbers of submission.json are those of the evidence", claims::judge),
];

/// One row of the table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The rule's name.
    pub rule: &'static str,
    /// What it demands.
    pub demand: &'static str,
    /// The run, where a rule judges each for itself.
    pub run: Option<String>,
    /// The verdict.
    pub verdict: Verdict,
    /// What was seen, or is missing.
    pub evidence: String,
    /// What was compared with what.
    pub compared: String,
}

/// Judges `case` by every rule.
pub fn examine(case: &Case) -> Vec<Finding> {
    let mut findings = Vec::new();
    for rule in &RULES {
        let mut push = |run: Option<&Run>, judgement: Judgement| {
            let Judgement { verdict, evidence, compared } = judgement;
            let run = run.map(|run| run.name.clone());
            findings.push(Finding { rule: rule.id, demand: rule.demand, run, verdict, evidence, compared });
        };
        match rule.judge {
            Judge::Run(judge) => case.runs.iter().for_each(|run| push(Some(run), judge(case, run))),
            Judge::Case(judge) => push(None, judge(case)),
        }
    }
    findings
}
