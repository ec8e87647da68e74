//! Newton–Schulz orthogonalization, and a few updates of Muon and AdamW.

use super::{Site, groups};
use crate::selftest::fault::Fault;
use crate::selftest::report::CaseReport;
use crate::selftest::session::Session;
use crate::selftest::tolerance::Quantity;
use golf_core::graph::Graph;
use golf_core::model::graphs::grad_name;
use golf_core::ops::{LARGEST_BANK, NewtonSchulz};
use golf_core::optim::{Group, NEWTON_SCHULZ_STEPS, Optimizer, Rule, moment_name, second_moment_name};
use golf_core::tensor::{Tensor, TensorType};
use std::collections::BTreeMap;

/// `ns5.<i>.input → output`, with the singular values of the output; leading extents are a bank.
pub fn newton_schulz(site: &Site<'_>, report: &mut CaseReport) -> Result<(), Fault> {
    for group in groups(site.fixture, "ns5.") {
        let at = format!("ns5.{group}");
        let input = site.fixture.singles(&format!("{at}.input"))?;
        let [.., rows, cols] = input.shape[..] else {
            let name = format!("{at}.input");
            return Err(Fault::TensorShape { name, expected: vec![1, 1], got: input.shape });
        };
        let expected = site.fixture.floats_of(&format!("{at}.output"), &input.shape)?;
        let values = site.fixture.floats(&format!("{at}.singular_values"))?.values;
        let spectrum = rows.min(cols);
        let matrices: Vec<Tensor> = input
            .values
            .chunks(rows * cols)
            .map(|matrix| Tensor::f32(&[rows, cols], matrix.to_vec()))
            .collect();
        for (i, got) in orthogonalized(site, &matrices)?.into_iter().enumerate() {
            let got = got.to_f64();
            let expected = expected.get(i * rows * cols..(i + 1) * rows * cols).unwrap_or_default();
            report.compare("ns5.output", Quantity::NewtonSchulz, &at, &got, expected);
            let expected = values.get(i * spectrum..(i + 1) * spectrum).unwrap_or_default();
            let got = singular_values(&got, cols);
            report.compare("ns5.singular_values", Quantity::NewtonSchulz, &at, &got, expected);
        }
    }
    Ok(())
}

/// A bank of matrices after its Newton–Schulz steps.
fn orthogonalized(site: &Site<'_>, bank: &[Tensor]) -> Result<Vec<Tensor>, Fault> {
    let mut results = Vec::with_capacity(bank.len());
    for bank in bank.chunks(LARGEST_BANK) {
        let mut graph = Graph::new();
        let names: Vec<String> = (0..bank.len()).map(|i| format!("u{i}")).collect();
        let inputs: Vec<(&str, &Tensor)> = names.iter().map(String::as_str).zip(bank).collect();
        let operands: Vec<_> = inputs.iter().map(|(name, u)| graph.input(name, u.ty().clone())).collect();
        let orthogonal = graph.push(NewtonSchulz { steps: NEWTON_SCHULZ_STEPS }, &operands)?;
        orthogonal.into_iter().enumerate().for_each(|(i, o)| graph.output(&format!("o{i}"), o));
        results.extend(Session::new(site.device)?.evaluate(&graph, &inputs)?);
    }
    Ok(results)
}

/// Singular values in descending order, by one-sided Jacobi rotations of the shorter side.
fn singular_values(matrix: &[f64], cols: usize) -> Vec<f64> {
    let rows = matrix.len() / cols;
    let mut x: Vec<Vec<f64>> = match rows <= cols {
        true => matrix.chunks(cols).map(<[f64]>::to_vec).collect(),
        false => (0..cols).map(|c| (0..rows).map(|r| matrix[r * cols + c]).collect()).collect(),
    };
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    for _sweep in 0..30 {
        for i in 1..x.len() {
            let (before, rest) = x.split_at_mut(i);
            for a in before {
                let b = &mut rest[0];
                let (aa, bb, ab) = (dot(a, a), dot(b, b), dot(a, b));
                if ab == 0.0 {
                    continue;
                }
                let zeta = (bb - aa) / (2.0 * ab);
                let t = zeta.signum() / (zeta.abs() + (1.0 + zeta * zeta).sqrt());
                let (c, s) = (1.0 / (1.0 + t * t).sqrt(), t / (1.0 + t * t).sqrt());
                for (a, b) in a.iter_mut().zip(b) {
                    (*a, *b) = (c * *a - s * *b, s * *a + c * *b);
                }
            }
        }
    }
    let mut values: Vec<f64> = x.iter().map(|row| dot(row, row).sqrt()).collect();
    values.sort_by(|a, b| b.total_cmp(a));
    values
}

/// `muon.<order>.{w0,g0,g1,…} → {w<n>,m<n>}`, where the order of decay and update is the name.
pub fn muon(site: &Site<'_>, report: &mut CaseReport) -> Result<(), Fault> {
    let node = site.fixture.json().field("muon")?;
    let (lr, weight_decay): (f64, f64) = (node.get("lr")?, node.get("wd")?);
    let momentum: Vec<f64> = node.get("momentum")?;
    for group in groups(site.fixture, "muon.") {
        let decay_first = match group {
            "decay_first" => true,
            "decay_last" => false,
            _ => {
                let name = format!("muon.{group}");
                return Err(Fault::TensorName { name, expected: "`decay_first` or `decay_last`" });
            }
        };
        let run = Run { at: format!("muon.{group}"), rule: Rule::Muon { weight_decay, decay_first }, lr };
        run.replay(site, report, momentum.len(), |step| ("mu", momentum[step]), &[("m", moment_name)])?;
    }
    Ok(())
}

/// `adamw.{w0,g0,g1,…} → {w<n>,m<n>,v<n>}`.
pub fn adamw(site: &Site<'_>, report: &mut CaseReport) -> Result<(), Fault> {
    let node = site.fixture.json().field("adamw")?;
    let [beta1, beta2]: [f64; 2] = node.get("betas")?;
    let rule = Rule::AdamW { beta1, beta2, epsilon: node.get("eps")?, weight_decay: node.get("wd")? };
    let run = Run { at: "adamw".to_owned(), rule, lr: node.get("lr")? };
    let steps = (0..).take_while(|step| site.fixture.has(&format!("adamw.g{step}"))).count();
    run.replay(site, report, steps, |_| ("mu", 0.0), &[("m", moment_name), ("v", second_moment_name)])
}

/// One parameter under one rule.
struct Run {
    at: String,
    rule: Rule,
    lr: f64,
}

/// Name in the fixture and name of the state of a moment.
type Moment = (&'static str, fn(&str) -> String);

impl Run {
    fn replay(
        &self,
        site: &Site<'_>,
        report: &mut CaseReport,
        steps: usize,
        momentum: impl Fn(usize) -> (&'static str, f64),
        moments: &[Moment],
    ) -> Result<(), Fault> {
        let initial = site.fixture.singles(&format!("{}.w0", self.at))?;
        let shape = initial.shape;
        let group = Group { rule: self.rule.clone(), lr: self.lr, params: vec!["w".to_owned()] };
        let optimizer = Optimizer { groups: vec![group], clip: 0.0, counted_only: Vec::new() };
        let graph = optimizer.update_graph(&BTreeMap::from([("w".to_owned(), shape.clone())]))?;
        let mut session = Session::new(site.device)?;
        session.write("w", &Tensor::f32(&shape, initial.values))?;
        session.write(&grad_name("w"), &Tensor::zeros(&TensorType::f32(&shape)))?;
        let update = session.compile("update", &graph)?;
        let betas = if let Rule::AdamW { beta1, beta2, .. } = self.rule { [beta1, beta2] } else { [0.0; 2] };
        for step in 0..steps {
            let name = format!("{}.g{step}", self.at);
            let grad = site.fixture.floats_of(&name, &shape)?;
            session.write(&grad_name("w"), &Tensor::f32(&shape, grad.iter().map(|&g| g as f32).collect()))?;
            let [bias1, bias2] = betas.map(|beta| Tensor::scalar(1.0 - beta.powi(step as i32 + 1)));
            let (mu_name, mu) = momentum(step);
            let (one, mu) = (Tensor::scalar(1.0), Tensor::scalar(mu));
            session.submit(
                update,
                &[("lr_scale", &one), (mu_name, &mu), ("bias1", &bias1), ("bias2", &bias2)],
            )?;
        }
        let mut results = vec![("w", "w".to_owned())];
        results.extend(moments.iter().map(|(key, state)| (*key, state("w"))));
        for (key, state) in results {
            let expected = site.fixture.floats_of(&format!("{}.{key}{steps}", self.at), &shape)?;
            report.compare(&self.at, Quantity::Update, key, &session.state(&state)?, &expected);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn singular_values_of_a_known_matrix() {
        // Singular values of a diagonal, rotated and padded by a zero column, in either orientation.
        let (c, s) = (0.6, 0.8);
        let wide = [3.0 * c, -s, 0.0, 3.0 * s, c, 0.0];
        let tall = [3.0 * c, 3.0 * s, -s, c, 0.0, 0.0];
        for got in [singular_values(&wide, 3), singular_values(&tall, 2)] {
            assert!((got[0] - 3.0).abs() < 1e-14 && (got[1] - 1.0).abs() < 1e-14, "{got:?}");
        }
    }
}
