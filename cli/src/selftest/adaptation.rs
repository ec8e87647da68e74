//! Score-first test-time training: sums and counts of every chunk, and the parameters after each.

use super::case::Case;
use super::fake_quant;
use super::fault::Fault;
use super::fixture::Node;
use super::report::CaseReport;
use super::session::Session;
use super::summary::Summaries;
use super::tolerance::Quantity;
use super::windows::{model, rule_of, stream};
use golf_core::eval::{AdaptOptions, EvalOptions, Evaluator, Trainable, TttOptimizer};
use golf_core::model::config::Names;
use std::collections::BTreeMap;

/// The schedule that the evaluator has.
const COSINE: &str = "lr0 * 0.5 * (1 + cos(pi * c / (C - 1)))";

/// Replays the block.
pub fn replay(case: &Case<'_>, node: &Node<'_>, report: &mut CaseReport) -> Result<(), Fault> {
    let options = evaluation(node)?;
    let adapt = adaptation(case, node, report)?;
    let fixture = case.fixture;
    let tokens = fixture.ints("ttt.stream")?.values;
    let sums = fixture.floats("ttt.chunk_nll_sum")?.values;
    let counts = fixture.ints("ttt.chunk_count")?.values;
    let chunks = (tokens.len().saturating_sub(1)).div_ceil(options.chunk.max(1));
    let expected = [sums.len(), counts.len(), node.get("chunks")?];
    report.equal("ttt.chunks", "", &[chunks; 3], &expected);
    // Also where there is a single chunk, and so no digest at all.
    fixture.floats_of("ttt.digest", &[chunks.saturating_sub(1), case.order.len(), 3])?;
    let summaries = Summaries { fixture, order: &case.order };
    let mut session = Session::new(case.device)?;
    let (mut total, mut scored_targets) = (0.0, 0);
    let model = model(case)?;
    let mut evaluator =
        pollster::block_on(Evaluator::new(session.backend(), &model, stream(&tokens), options, Some(adapt)))?;
    while let Some(chunk) = evaluator.next_chunk() {
        let scored = pollster::block_on(evaluator.score(chunk))?;
        let nll: Vec<f64> = scored.targets().map(|(_, nll)| nll).collect();
        let (at, sum) = (format!("chunk {chunk}"), nll.iter().sum::<f64>());
        let expected = sums.get(chunk..=chunk).unwrap_or_default();
        report.compare("ttt.chunk_nll_sum", Quantity::ChunkSum, &at, &[sum], expected);
        let expected = counts.get(chunk..=chunk).unwrap_or_default();
        report.equal("ttt.chunk_count", &at, &[nll.len() as i32], expected);
        total += sum;
        scored_targets += nll.len();
        pollster::block_on(evaluator.adapt(scored))?;
        let states = pollster::block_on(evaluator.snapshot())?.states;
        let of = |name: &String| states.get(name).map_or_else(|| case.initial(name), |t| t.to_f64());
        let params: BTreeMap<String, Vec<f64>> =
            case.order.iter().map(|name| (name.clone(), of(name))).collect();
        if chunk + 1 < chunks {
            summaries.adapted(report, "ttt", [chunk, chunks - 1], |name| case.initial(name), &params)?;
        } else {
            summaries.final_samples(report, "ttt.final.sample", &params)?;
        }
    }
    report.compare("ttt.nll_sum", Quantity::ChunkSum, "json", &[total], &[node.get("nll_sum")?]);
    report.equal("ttt.scored", "json", &[scored_targets], &[node.get("scored")?]);
    Ok(())
}

fn evaluation(node: &Node<'_>) -> Result<EvalOptions, Fault> {
    let stated: String = node.get("window_rule")?;
    let rule = stated.split_whitespace().next().and_then(rule_of);
    let rule = rule.ok_or_else(|| node.refuse("a `window_rule` that starts with a known rule"))?;
    Ok(EvalOptions {
        rule,
        window: node.get("T")?,
        stride: node.get("stride")?,
        chunk: node.get("chunk")?,
        ..EvalOptions::default()
    })
}

fn adaptation(case: &Case<'_>, node: &Node<'_>, report: &mut CaseReport) -> Result<AdaptOptions, Fault> {
    node.expect("lr_rule", &COSINE.to_owned())?;
    node.expect("weight_decay", &0.0)?;
    let momentum: f64 = node.get("momentum")?;
    let optimizer = match node.get::<String>("opt")?.as_str() {
        "sgd" => {
            node.acknowledge_fields(&["betas", "eps"]);
            TttOptimizer::Sgd { momentum }
        }
        "adamw" => {
            node.expect("betas", &[0.9, 0.999])?;
            node.expect("eps", &1e-8)?;
            TttOptimizer::Adamw
        }
        _ => return Err(node.field("opt")?.refuse("`sgd` or `adamw`")),
    };
    let trainable = match node.get::<String>("selection")?.as_str() {
        "all" => Trainable::All,
        "s861" if case.config.names == Names::S861 => Trainable::Mlp,
        // PR #861 selects by its own names of the matrices, which such a model lacks: the scales remain.
        "s861" => Trainable::Named(case.names().filter(|name| name.contains("scale")).cloned().collect()),
        "s585" => Trainable::LastBlocks(2),
        _ => return Err(node.field("selection")?.refuse("`all`, `s585` or `s861`")),
    };
    let (mut selected, mut listed) =
        (trainable.select(&case.config), case.without_empty(node.get("trained")?));
    selected.sort();
    listed.sort();
    report.equal("ttt.trained", "", &selected, &listed);
    let fake_quant = match node.get("fake_quant_while_adapting")? {
        true => fake_quant::weights_of(case)?.fake_quant,
        false => BTreeMap::new(),
    };
    Ok(AdaptOptions {
        trainable,
        optimizer,
        lr: node.get("lr0")?,
        epochs: node.get("epochs")?,
        batch_rows: node.get("batch_rows")?,
        clip: node.get("clip")?,
        fake_quant,
    })
}
