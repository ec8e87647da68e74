//! The honest evaluation: score a chunk, commit to the score, only then adapt on it.
//!
//! A stream of targets is cut into chunks of `chunk` targets. A window belongs to the chunk of its first scored position,
//! so no target of a chunk is scored by weights that have seen it: the weights of chunk `c` were adapted on targets
//! below `c·chunk`, and every position scored with them is `c·chunk` or later. When the stride divides chunk and window
//! (all published systems) windows and chunks end together; when it does not, the last window of a chunk runs over into
//! the next one and scores its first targets a little early, with older weights, which costs nothing but freshness.
//! (Assigning windows by their *last* scored position would score targets with weights that had been adapted on them.)
//!
//! Invariant, by types: [`Scored`] is made by [`Evaluator::score`] alone, is neither `Clone` nor constructible elsewhere,
//! and [`Evaluator::adapt`] consumes it. By checks: chunks go from left to right, each once; no target is scored twice
//! under an exact rule; no target is scored by weights that have seen it.
//!
//! ```compile_fail,E0599
//! fn twice(scored: golf_core::eval::Scored) -> (golf_core::eval::Scored, golf_core::eval::Scored) {
//!     (scored.clone(), scored)
//! }
//! ```
//!
//! ```compile_fail,E0451
//! let forged = golf_core::eval::Scored { chunk: 0, owner: 0, nll: vec![], spans: vec![], commitment: [0; 32] };
//! ```
//!
//! ```compile_fail,E0382
//! async fn adapt_twice(evaluator: &mut golf_core::eval::Evaluator<'_>, scored: golf_core::eval::Scored) {
//!     let _ = evaluator.adapt(scored).await;
//!     let _ = evaluator.adapt(scored).await;
//! }
//! ```

use super::adapt::{Adapter, cosine};
use super::adapt_options::AdaptOptions;
use super::bpb::Totals;
use super::coverage::{Coverage, CoverageError};
use super::engine::Engine;
use super::error::EvalError;
use super::ranks::agree;
use super::receipt::{ChunkRecord, Method, Receipt, RunRecord, commitment, first_link, link};
use super::resume::{ResumeError, Snapshot};
use super::stream::{EvalOptions, Stream, check, describe};
use super::weights::ModelWeights;
use super::windows::{WindowPlan, WindowSpan};
use crate::backend::Backend;
use crate::collective::{Alone, Collective};
use crate::digest::hex;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

/// The committed score of one chunk.
///
/// Only [`Evaluator::score`] makes one, and [`Evaluator::adapt`] consumes it.
#[derive(Debug)]
#[must_use = "a score that is dropped never reaches the receipt"]
pub struct Scored {
    owner: u64,
    chunk: usize,
    spans: Vec<WindowSpan>,
    nll: Vec<f64>,
    commitment: [u8; 32],
}

impl Scored {
    /// Its chunk.
    pub fn chunk(&self) -> usize {
        self.chunk
    }

    /// Position and score in nats of every scored target, in plan order. The target of position `p` is token `p + 1`.
    pub fn targets(&self) -> impl Iterator<Item = (usize, f64)> + '_ {
        let positions = self.spans.iter().flat_map(|span| span.first_scored..span.end);
        positions.zip(self.nll.iter().copied())
    }
}

/// A stream, a model on a backend, and the record of what has been scored.
pub struct Evaluator<'b> {
    id: u64,
    pub(super) engine: Engine<'b>,
    adapter: Option<Adapter>,
    pub(super) stream: Stream,
    pub(super) plan: WindowPlan,
    options: EvalOptions,
    run: RunRecord,
    records: Vec<ChunkRecord>,
    coverage: Coverage,
    /// Windows of the plan that have been scored.
    windows_done: usize,
    /// A chunk was scored and its record is not written yet.
    pending: bool,
    /// One past the last target that the weights have seen.
    trained: usize,
    model_digest: [u8; 32],
    pub(super) weights_digest: [u8; 32],
}

static NEXT_ID: AtomicU64 = AtomicU64::new(0);

impl<'b> Evaluator<'b> {
    /// Puts `model` on `backend` and plans the windows. With `adapt`, [`Self::adapt`] trains on committed chunks.
    pub async fn new(
        backend: &'b mut dyn Backend,
        model: &ModelWeights,
        stream: Stream,
        options: EvalOptions,
        adapt: Option<AdaptOptions>,
    ) -> Result<Self, EvalError> {
        Self::on_ranks(Box::new(Alone::new(backend)), model, stream, options, adapt).await
    }

    /// The same on several ranks, which all make the same calls and have the same results.
    pub async fn on_ranks(
        collective: Box<dyn Collective + 'b>,
        model: &ModelWeights,
        stream: Stream,
        options: EvalOptions,
        adapt: Option<AdaptOptions>,
    ) -> Result<Self, EvalError> {
        let method = if adapt.is_some() { Method::ScoreFirst } else { Method::Fixed };
        let mut evaluator = Self::prepare(collective, model, stream, options, method, adapt.clone())?;
        if let Some(adapt) = adapt {
            let adapter = Adapter::new(&mut evaluator.engine, adapt, &|_| 1.0).await?;
            evaluator.weights_digest = adapter.digest(&mut evaluator.engine, evaluator.model_digest).await?;
            evaluator.adapter = Some(adapter);
        }
        Ok(evaluator)
    }

    pub(super) fn prepare(
        mut collective: Box<dyn Collective + 'b>,
        model: &ModelWeights,
        mut stream: Stream,
        options: EvalOptions,
        method: Method,
        adapt: Option<AdaptOptions>,
    ) -> Result<Self, EvalError> {
        let plan = check(&stream, &options, model)?;
        stream.marks.as_published |= !options.rule.is_exact();
        if method == Method::TrainThenScore {
            stream.marks.illegal = Some("train-then-score".to_owned());
        }
        let selection = match &adapt {
            Some(adapt) => adapt.selection(model.config())?.into_iter().collect(),
            None => BTreeSet::new(),
        };
        let run = describe(&stream, &options, &plan, model, collective.backend().name(), method, adapt);
        agree(&mut *collective, "artifact, text and settings", first_link(&run).as_bytes())?;
        let engine = Engine::on_ranks(collective, model, &selection, options.batch_tokens, options.plans)?;
        let coverage = Coverage::new(plan.targets(), options.rule.is_exact());
        Ok(Self {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            engine,
            adapter: None,
            stream,
            plan,
            options,
            run,
            records: Vec::new(),
            coverage,
            windows_done: 0,
            pending: false,
            trained: 0,
            model_digest: model.digest(),
            weights_digest: Sha256::digest(model.digest()).into(),
        })
    }

    /// Number of chunks.
    pub fn chunks(&self) -> usize {
        self.plan.targets().div_ceil(self.options.chunk)
    }

    /// The chunk whose turn it is; `None` when all are done.
    pub fn next_chunk(&self) -> Option<usize> {
        Some(self.records.len()).filter(|chunk| *chunk < self.chunks())
    }

    /// Description of the run.
    pub fn run(&self) -> &RunRecord {
        &self.run
    }

    /// Records of the committed chunks.
    pub fn records(&self) -> &[ChunkRecord] {
        &self.records
    }

    /// Targets `c·chunk ..` of chunk `c`.
    fn chunk_targets(&self, chunk: usize) -> Range<usize> {
        let start = chunk * self.options.chunk;
        start..(start + self.options.chunk).min(self.plan.targets())
    }

    /// The windows that belong to `chunk`, the next one.
    fn chunk_windows(&self, chunk: usize) -> Vec<WindowSpan> {
        let last = self.chunks() - 1;
        let own = |span: &WindowSpan| (span.first_scored / self.options.chunk).min(last) == chunk;
        self.plan.iter().skip(self.windows_done).take_while(own).collect()
    }

    /// Scores the chunk whose turn it is with the current weights, and commits to the result.
    pub async fn score(&mut self, chunk: usize) -> Result<Scored, EvalError> {
        let expected = self.records.len();
        if self.pending {
            return Err(EvalError::Uncommitted { chunk: expected });
        }
        if chunk != expected || chunk >= self.chunks() {
            return Err(EvalError::ChunkOrder { expected, got: chunk });
        }
        let spans = self.chunk_windows(chunk);
        for span in &spans {
            assert!(span.first_scored >= self.trained, "windows belong to the chunk of their first target");
            self.coverage.mark(*span)?;
        }
        self.pending = true;
        let nll = self.engine.score(&self.stream.tokens, &spans, self.plan.window()).await?;
        self.windows_done += spans.len();
        let commitment = commitment(&nll);
        Ok(Scored { owner: self.id, chunk, spans, nll, commitment })
    }

    /// Writes the chunk's record and adapts on it, where this evaluation adapts and the chunk is not the last. The rows
    /// are the `⌊targets/window⌋` non-overlapping windows from the chunk's start; their targets have all been scored.
    pub async fn adapt(&mut self, scored: Scored) -> Result<&ChunkRecord, EvalError> {
        let chunk = scored.chunk;
        if scored.owner != self.id {
            return Err(EvalError::ForeignScore { chunk });
        }
        let before = self.weights_digest;
        let mut steps = 0;
        if chunk + 1 < self.chunks()
            && let Some(mut adapter) = self.adapter.take()
        {
            let taken = adapter.steps;
            let outcome = self.train_on(chunk, &mut adapter).await;
            steps = adapter.steps - taken;
            self.adapter = Some(adapter);
            outcome?;
        }
        let mut sums = Totals::default();
        scored.targets().for_each(|(target, nll)| sums.push(nll, self.stream.target_bytes[target]));
        let mut record = ChunkRecord {
            index: chunk,
            tokens: sums.tokens,
            bytes: sums.bytes,
            nll: sums.nll,
            bpb: sums.bpb(),
            weights_before: hex(&before),
            nll_sha256: hex(&scored.commitment),
            steps,
            weights_after: hex(&self.weights_digest),
            link: String::new(),
        };
        let previous = self.records.last().map_or_else(|| first_link(&self.run), |r| r.link.clone());
        record.link = link(&previous, &record);
        self.records.push(record);
        self.pending = false;
        Ok(&self.records[chunk])
    }

    async fn train_on(&mut self, chunk: usize, adapter: &mut Adapter) -> Result<(), EvalError> {
        let (targets, window) = (self.chunk_targets(chunk), self.plan.window());
        let rows = targets.len() / window;
        if rows == 0 {
            return Ok(());
        }
        let seen = targets.start..targets.start + rows * window;
        if let Some(target) = seen.clone().find(|target| !self.coverage.contains(*target)) {
            let (missing, targets) = (seen.len(), self.plan.targets());
            return Err(CoverageError::Missing { target, missing, targets }.into());
        }
        let segment = &self.stream.tokens[seen.start..seen.end + 1];
        let rate = cosine(chunk, self.chunks());
        adapter.adapt(&mut self.engine, segment, window, chunk, |_| rate).await?;
        self.trained = seen.end;
        self.weights_digest = adapter.digest(&mut self.engine, self.model_digest).await?;
        Ok(())
    }

    /// The receipt, once every chunk is committed and every target is scored.
    pub fn receipt(&self) -> Result<Receipt, EvalError> {
        if let Some(done) = self.next_chunk() {
            return Err(EvalError::Unfinished { chunks: self.chunks(), done });
        }
        self.coverage.complete()?;
        Ok(Receipt::new(self.run.clone(), self.records.clone(), &self.coverage))
    }

    /// Everything that a later process needs to go on after the last committed chunk.
    pub async fn snapshot(&mut self) -> Result<Snapshot, EvalError> {
        if self.pending {
            return Err(EvalError::Uncommitted { chunk: self.records.len() });
        }
        let mut states = BTreeMap::new();
        for name in self.adapter.as_ref().map(Adapter::states).unwrap_or_default() {
            let tensor = self.engine.backend().read_state(&name).await?;
            states.insert(name, tensor);
        }
        let steps = self.adapter.as_ref().map_or(0, |adapter| adapter.steps);
        Ok(Snapshot { run: self.run.clone(), records: self.records.clone(), steps, states })
    }

    /// Goes on from a snapshot of the same run; this evaluation must not have begun.
    pub async fn restore(&mut self, snapshot: Snapshot) -> Result<(), EvalError> {
        let begun = self.records.len();
        if begun > 0 || self.pending {
            return Err(EvalError::ChunkOrder { expected: begun, got: 0 });
        }
        snapshot.check(&self.run, self.chunks())?;
        let expected = self.adapter.as_ref().map(Adapter::states).unwrap_or_default();
        for name in expected {
            let Some(tensor) = snapshot.states.get(&name) else {
                return Err(ResumeError::MissingState { name }.into());
            };
            self.engine.backend().write_state(&name, tensor)?;
        }
        if let Some(adapter) = &mut self.adapter {
            adapter.steps = snapshot.steps;
            self.weights_digest = adapter.digest(&mut self.engine, self.model_digest).await?;
        }
        if let Some(record) = snapshot.records.last().filter(|r| r.weights_after != hex(&self.weights_digest))
        {
            return Err(ResumeError::Weights { chunk: record.index }.into());
        }
        for chunk in 0..snapshot.records.len() {
            let spans = self.chunk_windows(chunk);
            spans.iter().try_for_each(|span| self.coverage.mark(*span))?;
            self.windows_done += spans.len();
            if self.adapter.is_some() && chunk + 1 < self.chunks() {
                let targets = self.chunk_targets(chunk);
                self.trained = targets.start + targets.len() / self.plan.window() * self.plan.window();
            }
        }
        self.records = snapshot.records;
        Ok(())
    }
}
