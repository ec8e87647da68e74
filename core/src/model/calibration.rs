//! The graph that measures what quantization will cost: second moments of what every weight meets, and of the loss's
//! gradient towards what comes out.
//!
//! It is an ordinary graph on an ordinary plan. Sums over tokens accumulate in states, so that any number of batches can
//! follow each other:
//!
//! | state | shape | sum over tokens of |
//! |---|---|---|
//! | `hessian/<weight>` | `[k,k]` | `x xᵀ`, `x` the inputs of a product or of the head |
//! | `sensitivity/<weight>` | `[1,m]` | `g²`, `g` the gradient of the summed nll towards the outputs of a product |
//! | `lookup/<table>` | `[1,d]` | `g²` towards the rows that a table gave |
//! | `count/<table>` | `[v,1]` | how often each row was selected |
//! | `count/targets` | `[v,1]` | how often each id was the target |
//!
//! Weights that meet the same inputs (queries, keys and values of a block) share one Hessian; a weight used by several
//! layers sums over all of them. Not here: running it, and what the sums are good for ([`crate::compress`]).

use super::config::ModelConfig;
use super::gpt::{Gpt, UseKind, WeightUse, Weights, Window};
use crate::autodiff::gradients;
use crate::graph::{Graph, ValueId};
use crate::ops::{Accumulate, Add, EmbedGrad, LeakyReluSquared, Linear, Mean, OpError, ScaleBy};
use crate::tensor::TensorType;
use std::collections::BTreeMap;

/// State of the target counts.
pub const TARGET_COUNTS: &str = "count/targets";

/// What a calibration measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Depth {
    /// Inputs only: a forward pass.
    Inputs,
    /// Inputs and sensitivities: a forward and a backward pass.
    Sensitivities,
}

/// A calibration graph and where it leaves its sums.
#[derive(Clone, Debug, PartialEq)]
pub struct CalibrationGraph {
    /// `tokens, targets, ones f32[1,n], column f32[n,1] (ones too), share[] = n, keep[] → loss[]`: the mean nll. `keep` is
    /// 0 for the first batch and 1 afterwards; `ones`, `column` and `share` are inputs only with
    /// [`Depth::Sensitivities`].
    pub graph: Graph,
    /// State of the Hessian of every weight that is multiplied with something.
    pub hessians: BTreeMap<String, String>,
    /// State of the output sensitivities of every weight of a product.
    pub sensitivities: BTreeMap<String, String>,
    /// States of row counts and of sensitivities of every table that is looked up.
    pub lookups: BTreeMap<String, [String; 2]>,
    /// The head's weight.
    pub head: String,
}

/// The calibration graph of a model with plain weights.
pub fn calibration_graph(
    config: &ModelConfig,
    window: Window,
    depth: Depth,
) -> Result<CalibrationGraph, OpError> {
    let mut graph = Graph::new();
    let n = window.tokens();
    let tokens = graph.input("tokens", TensorType::i32(&[n]));
    let targets = graph.input("targets", TensorType::i32(&[n]));
    let weights = Weights::default();
    let mut gpt = Gpt::new(&mut graph, config, &weights, window);
    let x = gpt.hidden(tokens)?;
    let nll = gpt.nll(x, targets)?;
    let uses = gpt.uses().to_vec();
    let loss = graph.apply(Mean, &[nll])?;
    graph.output("loss", loss);
    let mut sums = Sums { keep: graph.scalar("keep"), graph, window };
    let hessians = sums.hessians(&uses)?;
    let (mut sensitivities, mut lookups) = (BTreeMap::new(), BTreeMap::new());
    if depth == Depth::Sensitivities {
        sums.count(TARGET_COUNTS, config.vocab, &[targets])?;
        let squares = sums.squares(&uses, loss)?;
        sensitivities = sums.by_weight(&uses, &squares, UseKind::Product, "sensitivity")?;
        let tables = sums.by_weight(&uses, &squares, UseKind::Lookup, "lookup")?;
        for (table, state) in tables {
            let count = sums.counts(&uses, &table, config)?;
            lookups.insert(table, [count, state]);
        }
    }
    let head = uses.last().map(|head| head.weight.clone()).expect("a model ends with its head");
    Ok(CalibrationGraph { graph: sums.graph, hessians, sensitivities, lookups, head })
}

/// The accumulating part of the graph.
struct Sums {
    graph: Graph,
    keep: ValueId,
    window: Window,
}

impl Sums {
    /// `state ← keep·state + value`.
    fn accumulate(&mut self, state: &str, value: ValueId) -> Result<(), OpError> {
        self.graph.scope("calibrate");
        let old = self.graph.state(state, self.graph.ty(value).clone());
        let sum = self.graph.apply(Accumulate, &[old, value, self.keep])?;
        self.graph.assign(old, sum);
        Ok(())
    }

    fn add_all(&mut self, values: Vec<ValueId>) -> Result<ValueId, OpError> {
        let mut values = values.into_iter();
        let first = values.next().expect("every weight has a use");
        values.try_fold(first, |sum, value| self.graph.apply(Add, &[sum, value]))
    }

    /// One state per distinct list of inputs, named after the first weight that meets them.
    fn hessians(&mut self, uses: &[WeightUse]) -> Result<BTreeMap<String, String>, OpError> {
        let mut inputs: Vec<(&str, Vec<ValueId>)> = Vec::new();
        for used in uses.iter().filter(|used| used.kind != UseKind::Lookup) {
            match inputs.iter_mut().find(|(weight, _)| *weight == used.weight) {
                Some((_, list)) => list.push(used.input),
                None => inputs.push((&used.weight, vec![used.input])),
            }
        }
        let mut products: BTreeMap<ValueId, ValueId> = BTreeMap::new();
        let mut states: Vec<(Vec<ValueId>, String)> = Vec::new();
        let mut found = BTreeMap::new();
        for (weight, list) in inputs {
            if let Some((_, state)) = states.iter().find(|(known, _)| *known == list) {
                found.insert(weight.to_owned(), state.clone());
                continue;
            }
            let mut terms = Vec::with_capacity(list.len());
            for &x in &list {
                let product = match products.get(&x) {
                    Some(&product) => product,
                    None => self.graph.apply(Linear::TN, &[x, x])?,
                };
                products.insert(x, product);
                terms.push(product);
            }
            let sum = self.add_all(terms)?;
            let state = format!("hessian/{weight}");
            self.accumulate(&state, sum)?;
            found.insert(weight.to_owned(), state.clone());
            states.push((list, state));
        }
        Ok(found)
    }

    /// For every use but the head, `Σ g²` over tokens `[1,m]` of the gradient `g` of the summed nll towards its output.
    fn squares(&mut self, uses: &[WeightUse], loss: ValueId) -> Result<Vec<Option<ValueId>>, OpError> {
        let n = self.window.tokens();
        let share = self.graph.scalar("share");
        let total = self.graph.apply(ScaleBy, &[loss, share])?;
        let outputs: Vec<ValueId> =
            uses.iter().filter(|used| used.kind != UseKind::Head).map(|used| used.output).collect();
        let grads = gradients(&mut self.graph, total, &outputs)?;
        self.graph.scope("calibrate");
        let ones = self.graph.input("ones", TensorType::f32(&[1, n]));
        let mut squares = Vec::with_capacity(grads.len());
        for grad in grads {
            let Some(grad) = grad else {
                squares.push(None);
                continue;
            };
            // With slope 1 the squared rectifier is the square.
            let square = self.graph.apply(LeakyReluSquared { slope: 1.0 }, &[grad])?;
            squares.push(Some(self.graph.apply(Linear::NN, &[ones, square])?));
        }
        Ok(squares)
    }

    /// Sums the squares of every weight's uses of `kind` into states `<prefix>/<weight>`.
    fn by_weight(
        &mut self,
        uses: &[WeightUse],
        squares: &[Option<ValueId>],
        kind: UseKind,
        prefix: &str,
    ) -> Result<BTreeMap<String, String>, OpError> {
        let mut terms: BTreeMap<&str, Vec<ValueId>> = BTreeMap::new();
        let own = uses.iter().filter(|used| used.kind != UseKind::Head).zip(squares);
        for (used, square) in own.filter(|(used, _)| used.kind == kind) {
            if let Some(square) = *square {
                terms.entry(&used.weight).or_default().push(square);
            }
        }
        let mut states = BTreeMap::new();
        for (weight, list) in terms {
            let sum = self.add_all(list)?;
            let state = format!("{prefix}/{weight}");
            self.accumulate(&state, sum)?;
            states.insert(weight.to_owned(), state);
        }
        Ok(states)
    }

    /// Counts of the rows of `table` that its lookups selected; the name of their state.
    fn counts(&mut self, uses: &[WeightUse], table: &str, config: &ModelConfig) -> Result<String, OpError> {
        let own = uses.iter().filter(|used| used.kind == UseKind::Lookup && used.weight == table);
        let ids: Vec<ValueId> = own.map(|used| used.input).collect();
        let shapes = super::parameters(config);
        let rows = shapes.iter().find(|p| p.name == table).expect("a table is a parameter").shape[0];
        let state = format!("count/{table}");
        self.count(&state, rows, &ids)?;
        Ok(state)
    }

    fn count(&mut self, state: &str, rows: usize, ids: &[ValueId]) -> Result<(), OpError> {
        self.graph.scope("calibrate");
        let column = self.graph.input("column", TensorType::f32(&[self.window.tokens(), 1]));
        let mut terms = Vec::with_capacity(ids.len());
        for &ids in ids {
            terms.push(self.graph.apply(EmbedGrad { rows }, &[ids, column])?);
        }
        let sum = self.add_all(terms)?;
        self.accumulate(state, sum)
    }
}
