//! The graphs that the phases of a model's life run: score, logits, decode, gradients.
//!
//! Inputs are `tokens` and `targets` (`i32[n]`, `n = rows·seq`, target = next token). Gradients accumulate in states named
//! `grad/<parameter>`, so that micro-batches and a collective can sit between them and the optimizer.

use super::config::ModelConfig;
use super::gpt::{Gpt, Weights, Window};
use crate::autodiff::gradients;
use crate::graph::Graph;
use crate::ops::{Accumulate, Embed, Linear, Mean, OpError, ScaleBy, Softcap};
use crate::tensor::TensorType;

/// Name of the state that accumulates a parameter's gradient.
pub fn grad_name(parameter: &str) -> String {
    format!("grad/{parameter}")
}

/// Name of the state that accumulates the mean nll of a step, as gradients do.
pub const STEP_LOSS: &str = "step_loss";

/// `tokens, targets → nll[n]` in nats.
pub fn score_graph(config: &ModelConfig, weights: &Weights, window: Window) -> Result<Graph, OpError> {
    let mut graph = Graph::new();
    let nll = append_nll(&mut graph, config, weights, window, &[])?;
    graph.output("nll", nll);
    Ok(graph)
}

/// `tokens, rows i32[m], targets i32[m] → nll[m]` in nats, of the tokens at `rows` alone: what the last layer computes behind its
/// attention, and the head, are theirs only. Of `count` rows, which may repeat.
pub fn score_rows_graph(
    config: &ModelConfig,
    weights: &Weights,
    window: Window,
    count: usize,
) -> Result<Graph, OpError> {
    let mut graph = Graph::new();
    let tokens = graph.input("tokens", TensorType::i32(&[window.tokens()]));
    let [rows, targets] = ["rows", "targets"].map(|name| graph.input(name, TensorType::i32(&[count])));
    let mut gpt = Gpt::new(&mut graph, config, weights, window).of_rows(rows);
    let x = gpt.hidden(tokens)?;
    let nll = gpt.nll(x, targets)?;
    graph.output("nll", nll);
    Ok(graph)
}

/// `tokens → logits[n,v]`, softcapped.
pub fn logits_graph(config: &ModelConfig, weights: &Weights, window: Window) -> Result<Graph, OpError> {
    let mut graph = Graph::new();
    let tokens = graph.input("tokens", TensorType::i32(&[window.tokens()]));
    let mut gpt = Gpt::new(&mut graph, config, weights, window);
    let x = gpt.hidden(tokens)?;
    let head = gpt.head()?;
    let z = graph.apply(Linear::NT, &[x, head])?;
    let logits = graph.apply(Softcap { cap: config.softcap }, &[z])?;
    graph.output("logits", logits);
    Ok(graph)
}

/// `tokens i32[new], before i32[2], position i32[1], last i32[1] → logits[1,v]`, softcapped, of the token that follows
/// `tokens[last]`; `tokens` stand at `position ..` of a window of `window` tokens, whose earlier ones the caches hold.
///
/// One plan serves every position. `position + new ≤ window`; tokens past `last` are padding, whose rows in the caches are
/// written again before anything reads them. `before` (the two tokens before `position`) is an input only of models that
/// hash, `last` only when `new` is above 1.
pub fn decode_graph(
    config: &ModelConfig,
    weights: &Weights,
    window: usize,
    new: usize,
) -> Result<Graph, OpError> {
    let mut graph = Graph::new();
    let tokens = graph.input("tokens", TensorType::i32(&[new]));
    let mut gpt = Gpt::cached(&mut graph, config, weights, window);
    let mut x = gpt.hidden(tokens)?;
    let head = gpt.head()?;
    if new > 1 {
        let last = graph.input("last", TensorType::i32(&[1]));
        x = graph.apply(Embed, &[last, x])?;
    }
    let z = graph.apply(Linear::NT, &[x, head])?;
    let logits = graph.apply(Softcap { cap: config.softcap }, &[z])?;
    graph.output("logits", logits);
    Ok(graph)
}

/// `tokens, targets, share[], keep[] → loss[]`: the mean nll, and `grad/p ← keep·grad/p + share·∂loss/∂p` for every
/// parameter in `wrt`; [`STEP_LOSS`] likewise, so that nobody need wait for a micro-batch. With `a` micro-batches,
/// `share = 1/a`, and `keep` is 0 for the first and 1 for the others.
pub fn gradient_graph(
    config: &ModelConfig,
    weights: &Weights,
    window: Window,
    wrt: &[String],
) -> Result<Graph, OpError> {
    let mut graph = Graph::new();
    let nll = append_nll(&mut graph, config, weights, window, wrt)?;
    let loss = graph.apply(Mean, &[nll])?;
    graph.output("loss", loss);
    let (share, keep) = (graph.scalar("share"), graph.scalar("keep"));
    let shared = graph.apply(ScaleBy, &[loss, share])?;
    let mut gpt = Gpt::new(&mut graph, config, weights, window);
    let parameters: Vec<_> = wrt.iter().map(|name| gpt.parameter(name)).collect();
    let grads = gradients(&mut graph, shared, &parameters)?;
    graph.scope("accumulate");
    let total = graph.state(STEP_LOSS, graph.ty(shared).clone());
    let sum = graph.apply(Accumulate, &[total, shared, keep])?;
    graph.assign(total, sum);
    for (name, grad) in wrt.iter().zip(grads) {
        let Some(grad) = grad else { continue };
        let state = graph.state(&grad_name(name), graph.ty(grad).clone());
        let sum = graph.apply(Accumulate, &[state, grad, keep])?;
        graph.assign(state, sum);
    }
    Ok(graph)
}

fn append_nll(
    graph: &mut Graph,
    config: &ModelConfig,
    weights: &Weights,
    window: Window,
    trained: &[String],
) -> Result<crate::graph::ValueId, OpError> {
    let tokens = graph.input("tokens", TensorType::i32(&[window.tokens()]));
    let targets = graph.input("targets", TensorType::i32(&[window.tokens()]));
    let mut gpt = Gpt::new(graph, config, weights, window).trained(trained);
    let x = gpt.hidden(tokens)?;
    gpt.nll(x, targets)
}
