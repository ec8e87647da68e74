//! Logits, per-token nll, loss and the gradient of every parameter on the first batch.

use super::case::Case;
use super::fault::Fault;
use super::report::CaseReport;
use super::session::Session;
use super::tolerance::Quantity;
use golf_core::model::gpt::Weights;
use golf_core::model::graphs::{grad_name, gradient_graph, logits_graph, score_graph};
use golf_core::tensor::Tensor;
use std::collections::BTreeMap;

/// Replays the forward pass and the gradients, without fake quantization.
pub fn replay(case: &Case<'_>, report: &mut CaseReport) -> Result<(), Fault> {
    let (fixture, batch, window) = (case.fixture, &case.batches[0], case.window);
    let weights = Weights::default();
    let mut session = Session::with_states(case.device, &case.params)?;
    let graph = logits_graph(&case.config, &weights, window)?;
    let logits = session.evaluate(&graph, &[("tokens", &batch.tokens)])?.remove(0).to_f64();
    let shape = [window.rows, window.seq, case.config.vocab];
    let expected = fixture.floats_of("logits", &shape)?;
    report.compare("logits", Quantity::Logits, "", &logits, &expected);
    let nll = score(case, &case.params, &weights)?;
    let expected = fixture.floats_of("nll", &shape[..2])?;
    report.compare("nll", Quantity::Nll, "", &nll, &expected);
    let (loss, grads) = gradients(case, &weights)?;
    let stored = [("tensor", fixture.floats_of("loss", &[])?), ("json", vec![fixture.json().get("loss")?])];
    for (at, expected) in stored {
        report.compare("loss", Quantity::Loss, at, &[loss], &expected);
    }
    for (name, shape) in case.shapes.iter().chain(&case.empty) {
        let expected = fixture.floats_of(&format!("grad/{name}"), shape)?;
        report.compare("grad", Quantity::Gradient, name, &grads[name], &expected);
    }
    Ok(())
}

/// Nll of every target of the first batch under these parameters.
pub fn score(
    case: &Case<'_>,
    params: &BTreeMap<String, Tensor>,
    weights: &Weights,
) -> Result<Vec<f64>, Fault> {
    let mut session = Session::with_states(case.device, params)?;
    let graph = score_graph(&case.config, weights, case.window)?;
    let batch = &case.batches[0];
    let outputs = session.evaluate(&graph, &[("tokens", &batch.tokens), ("targets", &batch.targets)])?;
    Ok(outputs[0].to_f64())
}

/// Loss and gradients of all parameters on the first batch; those without elements have an empty one.
pub fn gradients(case: &Case<'_>, weights: &Weights) -> Result<(f64, BTreeMap<String, Vec<f64>>), Fault> {
    let mut session = Session::with_states(case.device, &case.params)?;
    zero_gradients(&mut session, case)?;
    let names: Vec<String> = case.names().cloned().collect();
    let graph = gradient_graph(&case.config, weights, case.window, &names)?;
    let (share, keep, batch) = (Tensor::scalar(1.0), Tensor::scalar(0.0), &case.batches[0]);
    let inputs = [("tokens", &batch.tokens), ("targets", &batch.targets), ("share", &share), ("keep", &keep)];
    let loss = session.evaluate(&graph, &inputs)?[0].item();
    let read = |name: String| Ok((name.clone(), session.state(&grad_name(&name))?));
    let mut grads = names.into_iter().map(read).collect::<Result<BTreeMap<_, _>, Fault>>()?;
    grads.extend(case.empty.keys().map(|name| (name.clone(), Vec::new())));
    Ok((loss, grads))
}

/// Gives every parameter a gradient of zero: those that the loss does not reach keep it.
pub fn zero_gradients(session: &mut Session, case: &Case<'_>) -> Result<(), Fault> {
    for (name, tensor) in &case.params {
        session.write(&grad_name(name), &Tensor::zeros(tensor.ty()))?;
    }
    Ok(())
}
