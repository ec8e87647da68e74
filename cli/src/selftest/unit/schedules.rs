//! Schedules, window plans and counts: pure functions of a few numbers.

use super::Site;
use crate::selftest::fault::Fault;
use crate::selftest::report::CaseReport;
use crate::selftest::tolerance::Quantity;
use crate::selftest::windows::{rows, rule_of};
use golf_core::eval::{WindowPlan, WindowRule};
use golf_core::model::params::parameter_count;
use golf_core::model::presets::model;
use golf_core::train::schedule::{lr_scale_at, momentum_at};
use serde::Deserialize;

/// Names that the fixtures give to the published systems, and the presets that are those systems.
const SYSTEMS: [(&str, &str); 9] = [
    ("baseline", "baseline"),
    ("s264", "pr264"),
    ("p549", "pr549"),
    ("s585", "pr585"),
    ("s861", "pr861"),
    ("s951_16l", "pr951"),
    ("s1216_v7", "pr1216-v7"),
    ("s1216_v10", "pr1216-v10"),
    ("s1216_v11", "pr1216-v11"),
];

/// Steps of a run without a cap on its time, in the challenge's script.
const ITERATIONS: u64 = 20_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredScale {
    step: u64,
    elapsed_ms: f64,
    warmdown: u64,
    cap_ms: Option<f64>,
    value: f64,
}

/// `lr_scale`: factor on the learning rates at a step and time.
pub fn learning_rate(site: &Site<'_>, report: &mut CaseReport) -> Result<(), Fault> {
    for s in site.fixture.json().get::<Vec<StoredScale>>("lr_scale")? {
        let got = lr_scale_at(s.step, s.elapsed_ms, s.warmdown, s.cap_ms, ITERATIONS);
        report.compare("lr_scale", Quantity::Schedule, &format!("step {}", s.step), &[got], &[s.value]);
    }
    Ok(())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredMomentum {
    step: u64,
    mu0: f64,
    mu1: f64,
    warm: u64,
    value: f64,
}

/// `momentum`: Muon's momentum at a step.
pub fn momentum(site: &Site<'_>, report: &mut CaseReport) -> Result<(), Fault> {
    for s in site.fixture.json().get::<Vec<StoredMomentum>>("momentum")? {
        let got = momentum_at(s.step, s.mu0, s.mu1, s.warm);
        report.compare("momentum", Quantity::Schedule, &format!("step {}", s.step), &[got], &[s.value]);
    }
    Ok(())
}

/// `plans.N<targets>_T<window>_S<stride>.<rule>`: rows `(start, end, first scored)`.
pub fn plans(site: &Site<'_>, report: &mut CaseReport) -> Result<(), Fault> {
    for (sizes, node) in site.fixture.json().field("plans")?.entries() {
        let Some([targets, window, stride]) = sizes_of(sizes) else {
            report.refuse("plans", node.refuse("sizes such as `N75_T32_S8` as its key"));
            continue;
        };
        for (name, node) in node.entries() {
            let Some(rule) = rule_of(name) else {
                report.refuse("plans", node.refuse("the plan of a known window rule"));
                continue;
            };
            let got = rows(&WindowPlan::new(rule, targets, window, stride)?);
            report.equal("plans", &format!("{sizes}.{name}"), &got, &node.read::<Vec<[i64; 3]>>()?);
        }
    }
    Ok(())
}

fn sizes_of(key: &str) -> Option<[usize; 3]> {
    let mut parts = key.split('_');
    let mut next = |letter: char| parts.next()?.strip_prefix(letter)?.parse().ok();
    let sizes = [next('N')?, next('T')?, next('S')?];
    parts.next().is_none().then_some(sizes)
}

/// `planner_counts`: windows and chunks of a production-size stream. The window's length plays no role.
pub fn counts(site: &Site<'_>, report: &mut CaseReport) -> Result<(), Fault> {
    let node = site.fixture.json().field("planner_counts")?;
    let targets: usize = node.get("targets")?;
    for (key, node) in node.entries().into_iter().filter(|(key, _)| *key != "targets") {
        let got = if let Some(Ok(stride)) = key.strip_prefix("stride").map(str::parse) {
            WindowPlan::new(WindowRule::Original, targets, stride, stride)?.count()
        } else if let Some(Ok(chunk)) = key.strip_prefix("chunks_").map(str::parse::<usize>) {
            targets.div_ceil(chunk.max(1)) as u64
        } else {
            report.refuse("planner_counts", node.refuse("a count named `stride<n>` or `chunks_<n>`"));
            continue;
        };
        report.equal("planner_counts", key, &[got], &[node.read()?]);
    }
    Ok(())
}

/// `param_counts.<system>`: weights of the production-size models.
pub fn parameters(site: &Site<'_>, report: &mut CaseReport) -> Result<(), Fault> {
    for (system, node) in site.fixture.json().field("param_counts")?.entries() {
        let preset = SYSTEMS.iter().find(|(name, _)| *name == system).and_then(|(_, preset)| model(preset));
        let Some(config) = preset else {
            report.refuse("param_counts", node.refuse("the count of a known system"));
            continue;
        };
        report.equal("param_counts", system, &[parameter_count(&config)], &[node.read()?]);
    }
    Ok(())
}
