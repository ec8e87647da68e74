//! A model on a backend: scores batches of windows and differentiates batches of rows. No policy: what may be scored
//! or adapted, and when, is decided by its owners.
//!
//! Plans are compiled once per number of rows. A batch never exceeds `batch_tokens` tokens (but has at least one row),
//! which bounds memory; the numbers do not depend on it except through the order of sums inside a backend.

use super::batches::{Feed, batches, in_order};
use super::error::EvalError;
use super::ranks::{add_gradients, gather_scores, turns};
use super::weights::{ModelWeights, plain};
use super::windows::WindowSpan;
use crate::backend::{Backend, ExecutableId};
use crate::collective::{Alone, Collective};
use crate::graph::Graph;
use crate::model::gpt::{Weights, Window};
use crate::model::graphs::{decode_graph, gradient_graph, logits_graph, score_graph, score_rows_graph};
use crate::model::{ModelConfig, parameters};
use crate::ops::OpError;
use crate::plan::{Plan, PlanOptions};
use crate::quant::fake::FakeQuantRule;
use crate::tensor::{DType, Tensor};
use std::collections::{BTreeMap, BTreeSet, HashMap};

pub(super) struct Engine<'b> {
    collective: Box<dyn Collective + 'b>,
    pub config: ModelConfig,
    weights: Weights,
    batch_tokens: usize,
    plans: PlanOptions,
    /// By extents and by the number of rows that are asked for, where it is not all.
    score_plans: HashMap<(Window, Option<usize>), ExecutableId>,
    gradient_plans: HashMap<Window, ExecutableId>,
}

impl<'b> Engine<'b> {
    /// An engine of one rank.
    pub fn new(
        backend: &'b mut dyn Backend,
        model: &ModelWeights,
        adapted: &BTreeSet<String>,
        batch_tokens: usize,
        plans: PlanOptions,
    ) -> Result<Self, EvalError> {
        Self::on_ranks(Box::new(Alone::new(backend)), model, adapted, batch_tokens, plans)
    }

    /// Writes the weights to the backend; those in `adapted` as plain f32.
    pub fn on_ranks(
        mut collective: Box<dyn Collective + 'b>,
        model: &ModelWeights,
        adapted: &BTreeSet<String>,
        batch_tokens: usize,
        plans: PlanOptions,
    ) -> Result<Self, EvalError> {
        let backend = collective.backend();
        let mut weights = Weights::default();
        for (name, tensor) in model.tensors() {
            if adapted.contains(name) {
                backend.write_state(name, &plain(tensor))?;
                continue;
            }
            if tensor.ty().dtype != DType::F32 {
                weights.dtypes.insert(name.clone(), tensor.ty().dtype);
            }
            backend.write_state(name, tensor)?;
        }
        let (score_plans, gradient_plans) = (HashMap::new(), HashMap::new());
        let config = model.config().clone();
        Ok(Self { collective, config, weights, batch_tokens, plans, score_plans, gradient_plans })
    }

    /// The backend of this rank.
    pub fn backend(&mut self) -> &mut dyn Backend {
        self.collective.backend()
    }

    /// The ranks.
    pub fn collective(&mut self) -> &mut dyn Collective {
        &mut *self.collective
    }

    /// Shapes of the parameters `names`.
    pub fn shapes(&self, names: &[String]) -> BTreeMap<String, Vec<usize>> {
        let wanted: BTreeSet<&String> = names.iter().collect();
        let all = parameters(&self.config).into_iter();
        all.filter(|p| wanted.contains(&p.name)).map(|p| (p.name, p.shape)).collect()
    }

    fn batch_rows(&self, seq: usize) -> usize {
        (self.batch_tokens / seq).max(1)
    }

    /// The nll of every scored position of `spans`, in order, on every rank; each scores its share of the batches.
    pub async fn score(
        &mut self,
        tokens: &[i32],
        spans: &[WindowSpan],
        seq: usize,
    ) -> Result<Vec<f64>, EvalError> {
        let batches = batches(spans, seq, self.batch_rows(seq));
        let mut out = Vec::new();
        for batch in batches.iter().skip(self.collective.rank()).step_by(self.collective.size()) {
            let nll = self.run(batch.feed(spans, tokens, seq)).await?;
            for (target, value) in batch.scores(spans, seq, &nll) {
                if !value.is_finite() {
                    return Err(EvalError::NotFinite { target, value });
                }
                out.push(value);
            }
        }
        let lengths: Vec<usize> = batches.iter().map(|batch| batch.len(spans)).collect();
        let scores = gather_scores(&mut *self.collective, &lengths, out)?;
        Ok(in_order(spans, &batches, &scores))
    }

    /// The nll in nats of every target `y` of rows of `x`, whatever the targets are.
    pub async fn nll(&mut self, window: Window, x: Vec<i32>, y: Vec<i32>) -> Result<Vec<f64>, EvalError> {
        self.run(Feed { window, tokens: x, rows: None, targets: y }).await
    }

    async fn run(&mut self, feed: Feed) -> Result<Vec<f64>, EvalError> {
        let Feed { window, tokens, rows, targets } = feed;
        let key = (window, rows.as_ref().map(Vec::len));
        let executable = match self.score_plans.get(&key) {
            Some(executable) => *executable,
            None => {
                let graph = match key.1 {
                    None => score_graph(&self.config, &self.weights, window)?,
                    Some(count) => score_rows_graph(&self.config, &self.weights, window, count)?,
                };
                let executable = self.compile("score", &graph).await?;
                self.score_plans.insert(key, executable);
                executable
            }
        };
        let ids = |list: Vec<i32>| Tensor::i32(&[list.len()], list);
        let (tokens, targets, rows) = (ids(tokens), ids(targets), rows.map(ids));
        let mut inputs = vec![("tokens", &tokens), ("targets", &targets)];
        inputs.extend(rows.as_ref().map(|rows| ("rows", rows)));
        self.backend().submit(executable, &inputs)?;
        Ok(self.backend().read_output(executable, "nll").await?.to_f64())
    }

    pub async fn compile(&mut self, name: &str, graph: &Graph) -> Result<ExecutableId, EvalError> {
        let plan = Plan::new(name, graph, self.plans);
        Ok(self.backend().compile(plan).await?)
    }

    /// The plan for the logits of a window.
    pub async fn compile_logits(&mut self, window: Window) -> Result<ExecutableId, EvalError> {
        let graph = logits_graph(&self.config, &self.weights, window)?;
        self.compile("logits", &graph).await
    }

    /// The plan that reads `new` tokens of a window of `window` behind the caches.
    pub async fn compile_decode(&mut self, window: usize, new: usize) -> Result<ExecutableId, EvalError> {
        let graph = decode_graph(&self.config, &self.weights, window, new)?;
        self.compile("decode", &graph).await
    }

    /// Queues what leaves in the gradient states of `wrt` the gradient of the mean nll over the rows of `segment`
    /// (`rows · seq + 1` tokens), and that mean in the state `step_loss`. Micro-batches keep within `batch_tokens`; each rank
    /// does its share of them, and all end with the sum.
    pub async fn gradient(
        &mut self,
        segment: &[i32],
        seq: usize,
        wrt: &[String],
        fake_quant: &BTreeMap<String, FakeQuantRule>,
    ) -> Result<(), EvalError> {
        let rows = (segment.len() - 1) / seq;
        let (per_run, ordered) = (self.batch_rows(seq), self.collective.ordered());
        let place = (self.collective.rank(), self.collective.size());
        for turn in turns(rows.div_ceil(per_run), place, ordered) {
            let first = turn.run * per_run;
            let window = Window { rows: per_run.min(rows - first), seq };
            let executable = self.gradient_plan(window, wrt, fake_quant).await?;
            let (from, n) = (first * seq, window.tokens());
            let x = Tensor::i32(&[n], segment[from..from + n].to_vec());
            let y = Tensor::i32(&[n], segment[from + 1..from + n + 1].to_vec());
            let weight = if turn.counts { window.rows as f64 / rows as f64 } else { 0.0 };
            let (share, keep) = (Tensor::scalar(weight), Tensor::scalar(f64::from(u8::from(turn.keep))));
            let inputs = [("tokens", &x), ("targets", &y), ("share", &share), ("keep", &keep)];
            self.backend().submit(executable, &inputs)?;
            if turn.reduce {
                add_gradients(&mut *self.collective, wrt).await?;
            }
        }
        Ok(())
    }

    async fn gradient_plan(
        &mut self,
        window: Window,
        wrt: &[String],
        fake_quant: &BTreeMap<String, FakeQuantRule>,
    ) -> Result<ExecutableId, EvalError> {
        if let Some(executable) = self.gradient_plans.get(&window) {
            return Ok(*executable);
        }
        let weights = Weights { fake_quant: fake_quant.clone(), ..self.weights.clone() };
        let graph: Result<Graph, OpError> = gradient_graph(&self.config, &weights, window, wrt);
        let executable = self.compile("adapt", &graph?).await?;
        self.gradient_plans.insert(window, executable);
        Ok(executable)
    }
}
