//! Which kernels the ops of a real model are lowered to: pure, from plans and what an adapter can do.

use crate::model::{Extents, Model, Phase};
use golf_core::model::gpt::Window;
use golf_core::model::parameters;
use golf_core::ops::OpError;
use golf_core::optim::{Group, Optimizer, Rule};
use golf_core::plan::{Plan, PlanOptions};
use golf_core::quant::ExportRecipe;
use golf_wgpu::{Capabilities, Lowering, kernels};
use std::collections::BTreeMap;

/// The model whose plans are looked at, and its window.
pub(super) const PRESET: &str = "pr549";
pub(super) const WINDOW: usize = 1024;

/// The kernels of every op in the plans of scoring and generation from packed weights, of gradients, and of every update rule.
pub(super) fn by_op(
    capabilities: Capabilities,
) -> Result<BTreeMap<&'static str, Vec<&'static str>>, OpError> {
    let mut found = BTreeMap::<&str, Vec<&str>>::new();
    for plan in plans()? {
        for step in &plan.steps {
            let mut lowering = Lowering::new(step, capabilities);
            kernels::lower(&step.op, &mut lowering);
            let names = found.entry(step.op.def().name()).or_default();
            names.extend(lowering.launches.iter().map(|launch| launch.kernel.name));
        }
    }
    found.values_mut().for_each(|names| {
        names.sort_unstable();
        names.dedup();
    });
    Ok(found)
}

fn plans() -> Result<Vec<Plan>, OpError> {
    let model = Model::open(PRESET, Some(ExportRecipe::Int6)).expect("the preset exists");
    let window = Window { rows: 1, seq: WINDOW };
    let mut graphs = Vec::new();
    // Decoding reads a prompt in chunks, then token by token.
    for (phase, new) in [(Phase::Score, 1), (Phase::Decode, 1), (Phase::Decode, 64), (Phase::Gradient, 1)] {
        graphs.push((phase.name(), model.graph(phase, Extents { window, new })?));
    }
    let shapes: BTreeMap<_, _> = parameters(&model.config).into_iter().map(|p| (p.name, p.shape)).collect();
    let adamw = Rule::AdamW { beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weight_decay: 0.01 };
    let muon = Rule::Muon { weight_decay: 0.04, decay_first: true };
    for (rule, ranks) in [(Rule::Sgd { momentum: 0.9 }, 0..=2), (adamw, 0..=2), (muon, 2..=2)] {
        let members = shapes.iter().filter(|(_, shape)| ranks.contains(&shape.len()));
        let params = members.map(|(name, _)| name.clone()).collect();
        let groups = vec![Group { rule, lr: 1e-3, params }];
        let optimizer = Optimizer { groups, clip: 1.0, counted_only: vec![] };
        graphs.push(("update", optimizer.update_graph(&shapes)?));
    }
    Ok(graphs.iter().map(|(name, graph)| Plan::new(name, graph, PlanOptions::default())).collect())
}
