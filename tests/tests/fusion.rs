//! Fused plans against unfused ones, for every published system at small size: the same numbers, fewer steps.

use golf_core::backend::Backend;
use golf_core::cpu::Cpu;
use golf_core::graph::Graph;
use golf_core::model::gpt::{Weights, Window};
use golf_core::model::graphs::{gradient_graph, score_graph};
use golf_core::model::{ModelConfig, parameters};
use golf_core::plan::{Fusion, Plan, PlanOptions};
use golf_core::reference::Reference;
use golf_core::tensor::Tensor;
use golf_tests::models::small_models;
use golf_tests::run::model_results;

const WINDOW: Window = Window { rows: 2, seq: 9 };

fn plan(graph: &Graph, fuse: Fusion) -> Plan {
    Plan::new("fusion", graph, PlanOptions { fuse, ..PlanOptions::default() })
}

/// How many steps of a plan run the op `name`.
fn count(plan: &Plan, name: &str) -> usize {
    plan.steps.iter().filter(|step| step.op.def().name() == name).count()
}

/// Outputs and assigned states of one run under these rewrites.
fn results(backend: &mut dyn Backend, config: &ModelConfig, graph: &Graph, fuse: Fusion) -> Vec<Tensor> {
    model_results(backend, config, WINDOW, graph, PlanOptions { fuse, ..PlanOptions::default() })
}

/// The score's graph, and the gradient's towards all parameters and towards the last block alone.
fn graphs(config: &ModelConfig) -> [Graph; 3] {
    let weights = Weights::default();
    let all: Vec<String> = parameters(config).into_iter().map(|p| p.name).collect();
    let block = format!("blocks.{}.", config.layers - 1);
    let last: Vec<String> = all.iter().filter(|name| name.starts_with(&block)).cloned().collect();
    [
        score_graph(config, &weights, WINDOW).expect("a valid model"),
        gradient_graph(config, &weights, WINDOW, &all).expect("a valid model"),
        gradient_graph(config, &weights, WINDOW, &last).expect("a valid model"),
    ]
}

#[test]
fn every_rewrite_leaves_every_result_unchanged() {
    let names: Vec<&str> = Fusion::names().collect();
    let only = |wanted: &str| {
        let others = names.iter().filter(|name| **name != wanted);
        others.fold(Fusion::ALL, |fusion, name| fusion.without(name).expect("a listed rewrite"))
    };
    let choices: Vec<Fusion> = names.iter().map(|name| only(name)).chain([Fusion::ALL]).collect();
    for (name, config) in small_models() {
        for graph in graphs(&config) {
            let exact = results(&mut Reference::with_poison(), &config, &graph, Fusion::NONE);
            // The parts of a fused op do the same operations in the same order, so nothing at all may change.
            let fast = results(&mut Cpu::new().with_poison(), &config, &graph, Fusion::NONE);
            for &fuse in &choices {
                let got = results(&mut Reference::with_poison(), &config, &graph, fuse);
                assert_eq!(got, exact, "{name}, reference, {fuse:?}");
                let got = results(&mut Cpu::new().with_poison(), &config, &graph, fuse);
                assert_eq!(got, fast, "{name}, cpu, {fuse:?}");
            }
        }
    }
}

/// Mixes of the residual stream and the stem.
fn blends(config: &ModelConfig) -> usize {
    if config.resid_mix { config.layers } else { 0 }
}

#[test]
fn a_score_fuses_every_sublayer() {
    for (name, config) in small_models() {
        let [score, ..] = graphs(&config);
        let (fused, plain) = (plan(&score, Fusion::ALL), plan(&score, Fusion::NONE));
        assert_eq!(count(&fused, "linear_activation"), config.layers, "{name}");
        assert_eq!(count(&fused, "linear_add_scaled"), 2 * config.layers, "{name}");
        assert_eq!(count(&fused, "residual_mix_norm"), blends(&config), "{name}");
        let fewer = 3 * config.layers + count(&fused, "linear_add") + blends(&config);
        assert_eq!(plain.steps.len() - fused.steps.len(), fewer, "{name}");
        assert_eq!((fused.flops(), fused.states.len()), (plain.flops(), plain.states.len()), "{name}");
        assert!(fused.scratch_bytes() <= plain.scratch_bytes(), "{name}");
    }
}

#[test]
fn a_product_that_the_backward_pass_reads_is_kept() {
    for (name, config) in small_models() {
        let [_, all, last] = graphs(&config);
        assert_eq!(count(&plan(&all, Fusion::ALL), "linear_activation"), 0, "{name}");
        let frozen = config.layers - 1;
        assert_eq!(count(&plan(&last, Fusion::ALL), "linear_activation"), frozen, "{name}");
        assert_eq!(count(&plan(&last, Fusion::ALL), "linear_add_scaled"), 2 * frozen, "{name}");
    }
}

#[test]
fn a_rewrite_is_switched_off_by_its_name() {
    let (_, config) = small_models().remove(0);
    let graphs = graphs(&config);
    for name in Fusion::names() {
        let with = |fuse: Fusion| graphs.iter().map(|graph| count(&plan(graph, fuse), name)).sum::<usize>();
        assert_eq!(with(Fusion::ALL.without(name).expect("a listed rewrite")), 0);
        assert!(with(Fusion::ALL) > 0, "`{name}` applies to no graph");
    }
    assert_eq!(Fusion::ALL.without("no such rewrite"), None);
}

#[test]
fn gradients_that_add_up_are_added_where_they_are_made() {
    for (name, config) in small_models() {
        let [_, all, _] = graphs(&config);
        let plan = plan(&all, Fusion::ALL);
        // Of queries, keys and values the first gradient towards the stream is stored; both norms of a block branch off it.
        assert!(count(&plan, "linear_add") >= 2 * config.layers, "{name}");
        let blends = blends(&config);
        assert!(count(&plan, "rms_norm_grad_add") >= 2 * config.layers - blends, "{name}");
        // The last block begins the stem's gradient, and to the first one the stem is the stream too.
        assert_eq!(count(&plan, "residual_mix_norm_grad"), blends.min(2), "{name}");
        assert_eq!(count(&plan, "residual_mix_norm_grad_add"), blends.saturating_sub(2), "{name}");
        let parts = ["residual_mix", "residual_mix_grad"].map(|op| count(&plan, op));
        assert_eq!(parts, [0, 0], "{name}");
        // What is left are skips, which scale an activation and no product.
        let scaled = plan.steps.iter().filter(|step| step.op.def().name() == "add_scaled_grad");
        assert!(scaled.map(|step| &step.label).all(|label| label.starts_with("skip.")), "{name}");
        assert_eq!(count(&plan, "scale_rows_grad"), 2 * config.layers, "{name}");
    }
}
