//! Sliding windows: plans of every rule, and the scores that the evaluator gives under them.

use super::case::Case;
use super::fault::Fault;
use super::fixture::{Array, Node};
use super::report::CaseReport;
use super::session::Session;
use super::tolerance::Quantity;
use golf_core::eval::{
    EvalOptions, Evaluator, Marks, ModelWeights, Source, Stream, WindowPlan, WindowRule, WindowSpan,
};

/// Replays the block: `T`, `stride`, `targets`, and an object per rule.
pub fn replay(case: &Case<'_>, node: &Node<'_>, report: &mut CaseReport) -> Result<(), Fault> {
    let tokens = case.fixture.ints("slide.stream")?.values;
    let (window, stride): (usize, usize) = (node.get("T")?, node.get("stride")?);
    let targets = tokens.len().saturating_sub(1);
    report.equal("slide.targets", "", &[targets], &[node.get("targets")?]);
    for (name, node) in node.entries() {
        if ["T", "stride", "targets"].contains(&name) {
            continue;
        }
        let Some(rule) = rule_of(name) else {
            report.refuse("slide", node.refuse("numbers of a known window rule"));
            continue;
        };
        let plan = WindowPlan::new(rule, targets, window, stride)?;
        let at = Sliding { case, name, plan, tokens: &tokens };
        report.attempt(&format!("slide.{name}"), |report| at.replay(&node, report));
    }
    Ok(())
}

/// The rule of this name.
pub fn rule_of(name: &str) -> Option<WindowRule> {
    serde_json::from_value(serde_json::Value::from(name)).ok()
}

/// A plan as rows `(start, end, first scored)`.
pub fn rows(plan: &WindowPlan) -> Vec<[i64; 3]> {
    let row = |w: WindowSpan| [w.start, w.end, w.first_scored].map(|p| p as i64);
    plan.iter().map(row).collect()
}

/// The evaluator's stream of these tokens; bytes play no role.
pub fn stream(tokens: &[i32]) -> Stream {
    let target_bytes = vec![1; tokens.len().saturating_sub(1)];
    Stream { tokens: tokens.to_vec(), target_bytes, source: Source::default(), marks: Marks::default() }
}

/// The case's model for the evaluator.
pub fn model(case: &Case<'_>) -> Result<ModelWeights, Fault> {
    Ok(ModelWeights::new(case.config.clone(), case.params.clone(), [0; 32])?)
}

/// One rule on the case's stream.
struct Sliding<'a> {
    case: &'a Case<'a>,
    name: &'a str,
    plan: WindowPlan,
    tokens: &'a [i32],
}

impl Sliding<'_> {
    fn replay(&self, node: &Node<'_>, report: &mut CaseReport) -> Result<(), Fault> {
        let (fixture, name) = (self.case.fixture, self.name);
        let Array { values, .. } = fixture.ints(&format!("slide.{name}.plan"))?;
        let expected: Vec<i64> = values.into_iter().map(i64::from).collect();
        report.equal("slide.plan", name, &rows(&self.plan).concat(), &expected);
        let scored: usize = self.plan.iter().map(|w| w.scored()).sum();
        let counts = [self.plan.count(), scored as u64];
        report.equal("slide.counts", name, &counts, &[node.get("windows")?, node.get("scored")?]);
        let got = self.score()?;
        let expected = fixture.floats_of(&format!("slide.{name}.nll"), &[scored])?;
        report.compare("slide.nll", Quantity::Nll, name, &got, &expected);
        let sum = got.iter().sum();
        report.compare("slide.nll_sum", Quantity::WindowSum, name, &[sum], &[node.get("nll_sum")?]);
        Ok(())
    }

    /// Scores in plan order.
    fn score(&self) -> Result<Vec<f64>, Fault> {
        let options = EvalOptions {
            rule: self.plan.rule(),
            window: self.plan.window(),
            stride: self.plan.stride(),
            chunk: self.plan.targets(),
            ..EvalOptions::default()
        };
        let mut session = Session::new(self.case.device)?;
        pollster::block_on(async {
            let (model, stream) = (model(self.case)?, stream(self.tokens));
            let mut evaluator = Evaluator::new(session.backend(), &model, stream, options, None).await?;
            let scored = evaluator.score(0).await?;
            let nll = scored.targets().map(|(_, nll)| nll).collect();
            evaluator.adapt(scored).await?;
            // A receipt proves that every target was scored; the published rules may leave out the stream's last ones.
            if self.plan.rule() == WindowRule::Exact {
                evaluator.receipt()?;
            }
            Ok(nll)
        })
    }
}
