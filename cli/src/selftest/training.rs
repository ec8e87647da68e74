//! A few optimizer steps: losses, gradient norms, parameters after steps, and the averages of the weights.

use super::case::Case;
use super::fake_quant;
use super::fault::Fault;
use super::fixture::Node;
use super::forward::zero_gradients;
use super::report::CaseReport;
use super::session::Session;
use super::summary::Summaries;
use super::tolerance::Quantity;
use golf_core::backend::ExecutableId;
use golf_core::model::gpt::Weights;
use golf_core::model::graphs::gradient_graph;
use golf_core::optim::{
    Group, NEWTON_SCHULZ_STEPS, Optimizer, Rule, average_graph, average_name, average_restart_graph,
};
use golf_core::tensor::Tensor;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// The block that says how to train.
struct Recipe {
    optimizer: Optimizer,
    lr_scale: Vec<f64>,
    momentum: Vec<f64>,
    betas: [f64; 2],
    fake_quant: bool,
    average: Average,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredGroup {
    kind: GroupKind,
    lr: f64,
    wd: f64,
    params: Vec<String>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum GroupKind {
    Muon,
    AdamW,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum EmaStart {
    Initial,
    FirstStep,
}

/// Which average of the weights is kept.
enum Average {
    Ema {
        beta: f64,
        start: EmaStart,
    },
    /// Plain mean of the states after these steps, counted from 1.
    Mean {
        steps: Vec<usize>,
    },
}

/// Replays the steps.
pub fn replay(case: &Case<'_>, node: &Node<'_>, report: &mut CaseReport) -> Result<(), Fault> {
    let recipe = Recipe::read(case, node)?;
    let steps = recipe.lr_scale.len();
    let losses = case.fixture.floats_of("step.losses", &[steps])?;
    let norms = case.fixture.floats_of("step.grad_norms", &[steps])?;
    let weights = match recipe.fake_quant {
        true => fake_quant::weights_of(case)?,
        false => Weights::default(),
    };
    let mut run = Run::new(case, &recipe, &weights)?;
    let summaries = Summaries { fixture: case.fixture, order: &case.order };
    let (mut got_losses, mut got_norms) = (Vec::new(), Vec::new());
    for step in 0..steps {
        let (loss, norm) = run.step(step)?;
        let quantity = if step == 0 { Quantity::Loss } else { Quantity::LaterLoss };
        let at = format!("step {}", step + 1);
        report.compare("step.losses", quantity, &at, &[loss], &losses[step..=step]);
        report.compare("step.grad_norms", Quantity::GradientNorm, &at, &[norm], &norms[step..=step]);
        got_losses.push(loss);
        got_norms.push(norm);
        let key = format!("step{}", step + 1);
        if case.fixture.has(&format!("{key}.digest")) {
            let states = run.states(|name| name.to_owned())?;
            report.attempt(&key, |report| {
                summaries.changes(report, &key, step + 1, |name| case.initial(name), &states)
            });
        }
    }
    let losses: Vec<f64> = node.get("losses")?;
    report.compare("training.losses", Quantity::LaterLoss, "json", &got_losses, &losses);
    let norms: Vec<f64> = node.get("grad_norms")?;
    report.compare("training.grad_norms", Quantity::GradientNorm, "json", &got_norms, &norms);
    let key = format!("average{steps}");
    let averages = run.states(average_name)?;
    summaries.changes(report, &key, steps, |name| case.initial(name), &averages)
}

impl Recipe {
    fn read(case: &Case<'_>, node: &Node<'_>) -> Result<Self, Fault> {
        node.expect("nesterov", &true)?;
        node.expect("ns_steps", &NEWTON_SCHULZ_STEPS)?;
        // The oracle's own precision; a device answers for its own.
        node.acknowledge_fields(&["ns_precision"]);
        let (lr_scale, momentum): (Vec<f64>, Vec<f64>) = (node.get("lr_scale")?, node.get("muon_momentum")?);
        if momentum.len() != lr_scale.len() || lr_scale.len() > case.batches.len() {
            return Err(node.field("lr_scale")?.refuse("one value per momentum and per batch"));
        }
        let (betas, epsilon): ([f64; 2], f64) = (node.get("adam_betas")?, node.get("adam_eps")?);
        let decay_first: bool = node.get("muon_decay_before_update")?;
        let rule = |kind, weight_decay| match kind {
            GroupKind::Muon => Rule::Muon { weight_decay, decay_first },
            GroupKind::AdamW => Rule::AdamW { beta1: betas[0], beta2: betas[1], epsilon, weight_decay },
        };
        let stored: Vec<StoredGroup> = node.get("groups")?;
        let groups = stored
            .into_iter()
            .map(|g| Group { rule: rule(g.kind, g.wd), lr: g.lr, params: case.without_empty(g.params) })
            .collect();
        let counted_only = case.without_empty(node.get("frozen")?);
        let optimizer = Optimizer { groups, clip: node.get("clip")?, counted_only };
        let listed = optimizer.parameters();
        let known: BTreeSet<&String> = listed.iter().collect();
        if known.len() != listed.len() || !known.iter().copied().eq(case.shapes.keys()) {
            return Err(node.field("groups")?.refuse("every parameter once, in a group or in `frozen`"));
        }
        let fake_quant = node.get("fake_quant_during_steps")?;
        let average = Average::read(&node.field("average")?)?;
        Ok(Self { optimizer, lr_scale, momentum, betas, fake_quant, average })
    }
}

impl Average {
    fn read(node: &Node<'_>) -> Result<Self, Fault> {
        match node.get::<String>("kind")?.as_str() {
            "ema" => Ok(Average::Ema { beta: node.get("beta")?, start: node.get("start")? }),
            "mean" => {
                let of: String = node.get("of")?;
                let steps = of.strip_prefix("states after steps ").map(|list| {
                    list.replace(" and ", ",").split(',').map(|n| n.trim().parse()).collect::<Result<_, _>>()
                });
                match steps {
                    Some(Ok(steps)) => Ok(Average::Mean { steps }),
                    _ => Err(node.field("of")?.refuse("`states after steps A, B and C`")),
                }
            }
            _ => Err(node.field("kind")?.refuse("`ema` or `mean`")),
        }
    }

    /// How much of the old average remains after step number `step` from 1: `None` leaves it, 0 restarts it.
    fn keep(&self, step: usize) -> Option<f64> {
        match self {
            Average::Ema { start: EmaStart::FirstStep, .. } if step == 1 => Some(0.0),
            Average::Ema { beta, .. } => Some(*beta),
            Average::Mean { steps } => {
                let before = steps.iter().position(|&s| s == step)? as f64;
                Some(before / (before + 1.0))
            }
        }
    }
}

/// A model in training on a device.
struct Run<'a> {
    case: &'a Case<'a>,
    recipe: &'a Recipe,
    session: Session,
    gradients: ExecutableId,
    update: ExecutableId,
    average: ExecutableId,
    restart: ExecutableId,
}

impl<'a> Run<'a> {
    fn new(case: &'a Case<'a>, recipe: &'a Recipe, weights: &Weights) -> Result<Self, Fault> {
        let mut session = Session::with_states(case.device, &case.params)?;
        zero_gradients(&mut session, case)?;
        let names: Vec<String> = case.names().cloned().collect();
        let graph = gradient_graph(&case.config, weights, case.window, &names)?;
        let gradients = session.compile("gradients", &graph)?;
        let update = session.compile("update", &recipe.optimizer.update_graph(&case.shapes)?)?;
        let average = session.compile("average", &average_graph(&case.shapes)?)?;
        let restart = session.compile("restart", &average_restart_graph(&case.shapes)?)?;
        session.submit(restart, &[])?;
        Ok(Self { case, recipe, session, gradients, update, average, restart })
    }

    /// One step; returns the loss before it and the gradient's norm.
    fn step(&mut self, index: usize) -> Result<(f64, f64), Fault> {
        let (recipe, batch) = (self.recipe, &self.case.batches[index]);
        let (share, none) = (Tensor::scalar(1.0), Tensor::scalar(0.0));
        let inputs =
            [("tokens", &batch.tokens), ("targets", &batch.targets), ("share", &share), ("keep", &none)];
        self.session.submit(self.gradients, &inputs)?;
        let loss = self.session.output(self.gradients, "loss")?.item();
        let number = index + 1;
        let lr_scale = Tensor::scalar(recipe.lr_scale[index]);
        let mu = Tensor::scalar(recipe.momentum[index]);
        let [bias1, bias2] = recipe.betas.map(|beta| Tensor::scalar(1.0 - beta.powi(number as i32)));
        let inputs = [("lr_scale", &lr_scale), ("mu", &mu), ("bias1", &bias1), ("bias2", &bias2)];
        self.session.submit(self.update, &inputs)?;
        let norm = self.session.output(self.update, "grad_norm")?.item();
        match recipe.average.keep(number) {
            Some(0.0) => self.session.submit(self.restart, &[])?,
            Some(keep) => self.session.submit(self.average, &[("keep", &Tensor::scalar(keep))])?,
            None => {}
        }
        Ok((loss, norm))
    }

    /// The states that `of` names for every parameter; nothing for those without elements.
    fn states(&mut self, of: impl Fn(&str) -> String) -> Result<BTreeMap<String, Vec<f64>>, Fault> {
        let read = |name: &String| Ok((name.clone(), self.session.state(&of(name))?));
        let mut states = self.case.names().map(read).collect::<Result<BTreeMap<_, _>, Fault>>()?;
        states.extend(self.case.empty.keys().map(|name| (name.clone(), Vec::new())));
        Ok(states)
    }
}
