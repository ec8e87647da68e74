//! What several ranks of a run do together: sum, scatter, gather and broadcast the states of their backends.
//!
//! A *rank* is one process (or thread) with one backend; all ranks run the same program and call the same collectives in
//! the same order. [`Collective`] speaks of states by name, so that an implementation may move them wherever they are: a
//! GPU's would move device buffers and never touch the host, [`HostCollective`] reads them, sends them over a
//! [`Transport`] and writes them back. [`threads`] is a transport between threads; one over sockets opens the network and
//! is therefore not in this crate.
//!
//! Invariant: a sum is formed in rank order, `((x₀ + x₁) + x₂) + …`, element by element, so that it has the same bits on
//! every rank and in every run (an implementation that cannot promise this says so by [`Collective::ordered`]). A rank that
//! fails, dies or hangs makes the call fail on every other rank with its number.
//!
//! Not here: what is summed when ([`crate::train`]), and how processes find each other.

mod error;
mod floats;
mod host;
mod inbox;
mod lookout;
pub mod threads;
mod transport;

pub use error::CollectiveError;
pub use host::HostCollective;
pub use inbox::{Delivery, Event, Inbox, Limits};
pub use lookout::{Lookout, Progress, Seen, Wait};
pub use transport::{Message, Transport};

use crate::backend::{Backend, ExecutableId, LocalFuture};
use crate::tensor::Tensor;
use std::sync::Arc;

/// Why and how patiently ranks meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call<'a> {
    /// For messages; the same on all ranks.
    pub name: &'a str,
    /// How long a rank may take to arrive.
    pub patience: Patience,
}

/// How long a rank that shows signs of life may take to arrive at a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// As long as a step's imbalance may be: [`Limits::lateness`].
    Step,
    /// As long as it lives: for what rank 0 does alone, such as writing the artifact.
    Unlimited,
}

impl<'a> Call<'a> {
    /// A call to which all ranks come at about the same time.
    pub fn step(name: &'a str) -> Self {
        Self { name, patience: Patience::Step }
    }

    /// A call to which a rank may come much later than the others.
    pub fn unlimited(name: &'a str) -> Self {
        Self { name, patience: Patience::Unlimited }
    }
}

/// States of one shape, dealt to ranks in contiguous runs: Parallel Muon's bank of stacked matrices (PR #549), whose leading
/// size is padded to a multiple of the number of ranks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bank {
    states: Vec<String>,
    shape: Vec<usize>,
    per_rank: usize,
}

impl Bank {
    /// `states`, each of `shape`, over `size` ranks: rank `r` owns states `r·⌈n/size⌉ ..`; the last ranks may own fewer, or
    /// none.
    pub fn new(states: Vec<String>, shape: &[usize], size: usize) -> Self {
        let per_rank = states.len().div_ceil(size).max(1);
        Self { states, shape: shape.to_vec(), per_rank }
    }

    /// All states.
    pub fn states(&self) -> &[String] {
        &self.states
    }

    /// Shape of each state.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The states that `rank` owns.
    pub fn owned(&self, rank: usize) -> &[String] {
        let n = self.states.len();
        &self.states[(rank * self.per_rank).min(n)..((rank + 1) * self.per_rank).min(n)]
    }

    /// A bank with the same owners of one state of `shape` for each of these, such as its gradient.
    pub fn beside(&self, name: impl Fn(&str) -> String, shape: &[usize]) -> Self {
        let states = self.states.iter().map(|state| name(state)).collect();
        Self { states, shape: shape.to_vec(), per_rank: self.per_rank }
    }
}

/// States that ranks sum: those of banks onto their owners, the others everywhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// Summed at their owners, as by [`Collective::reduce_scatter`].
    pub banks: Vec<Bank>,
    /// Summed everywhere, as by [`Collective::all_reduce`].
    pub states: Vec<String>,
}

/// One rank: its backend, and what it does together with the others.
///
/// All ranks make the same calls in the same order with the same names, states and shapes. The futures may resolve as soon
/// as the work is queued, as [`Backend::submit`] returns: what is submitted later sees the result.
pub trait Collective {
    /// This rank, from 0.
    fn rank(&self) -> usize;

    /// Number of ranks.
    fn size(&self) -> usize;

    /// Whether sums are formed in rank order, element by element.
    fn ordered(&self) -> bool;

    /// The backend that holds this rank's states.
    fn backend(&mut self) -> &mut dyn Backend;

    /// The messages of all ranks, in rank order: host data of any length, such as losses and decisions.
    fn gather(&mut self, call: Call<'_>, message: Vec<u8>) -> Result<Vec<Message>, CollectiveError>;

    /// Replaces each of `states` by its sum over all ranks. (A mean is a sum of shares: the gradient is scaled before.)
    fn all_reduce<'a>(
        &'a mut self,
        call: Call<'a>,
        states: &'a [String],
    ) -> LocalFuture<'a, Result<(), CollectiveError>>;

    /// Replaces each state of `banks` by its sum over all ranks, on its owner; elsewhere it is unspecified afterwards.
    fn reduce_scatter<'a>(
        &'a mut self,
        call: Call<'a>,
        banks: &'a [Bank],
    ) -> LocalFuture<'a, Result<(), CollectiveError>>;

    /// Gives every rank each state of `banks` as its owner has it.
    fn all_gather<'a>(
        &'a mut self,
        call: Call<'a>,
        banks: &'a [Bank],
    ) -> LocalFuture<'a, Result<(), CollectiveError>>;

    /// Gives every rank each of `states` as rank 0 has it.
    fn broadcast<'a>(
        &'a mut self,
        call: Call<'a>,
        states: &'a [String],
    ) -> LocalFuture<'a, Result<(), CollectiveError>>;

    /// Queues the plan `executable` and then `sums`. An implementation may begin with a state as soon as the plan has left it
    /// ([`Plan::settled`]), so that sums run beside the rest of the plan.
    ///
    /// [`Plan::settled`]: crate::plan::Plan::settled
    fn submit_and_sum<'a>(
        &'a mut self,
        call: Call<'a>,
        executable: ExecutableId,
        inputs: &'a [(&'a str, &'a Tensor)],
        sums: &'a Sums,
    ) -> LocalFuture<'a, Result<(), CollectiveError>> {
        Box::pin(async move {
            self.backend().submit(executable, inputs)?;
            self.reduce_scatter(call, &sums.banks).await?;
            self.all_reduce(call, &sums.states).await
        })
    }

    /// Tells all ranks that the run is over because of `culprit`: their next call fails with this.
    fn abort(&mut self, culprit: usize, reason: &str);

    /// The numbers of all ranks, in rank order; every rank gives equally many.
    fn gather_values(&mut self, call: Call<'_>, values: &[f64]) -> Result<Vec<Vec<f64>>, CollectiveError> {
        let message = values.iter().flat_map(|x| x.to_le_bytes()).collect();
        let value = |b: &[u8]| f64::from_le_bytes(b.try_into().expect("chunks of 8 bytes"));
        let decode = |(rank, bytes): (usize, Message)| {
            if bytes.len() != 8 * values.len() {
                let (call, got) = (call.name.to_owned(), format!("{} bytes", bytes.len()));
                return Err(CollectiveError::Payload { rank, call, expected: values.len(), got });
            }
            Ok(bytes.chunks_exact(8).map(value).collect())
        };
        self.gather(call, message)?.into_iter().enumerate().map(decode).collect()
    }

    /// Waits until all ranks are here.
    fn barrier(&mut self, call: Call<'_>) -> Result<(), CollectiveError> {
        self.gather(call, Vec::new()).map(drop)
    }
}

/// A run of one rank: every collective is what it would be with nobody else, nothing.
pub struct Alone<'a>(&'a mut dyn Backend);

impl<'a> Alone<'a> {
    /// The only rank, on `backend`.
    pub fn new(backend: &'a mut dyn Backend) -> Self {
        Self(backend)
    }

    fn nothing<'b>() -> LocalFuture<'b, Result<(), CollectiveError>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

impl Collective for Alone<'_> {
    fn rank(&self) -> usize {
        0
    }

    fn size(&self) -> usize {
        1
    }

    fn ordered(&self) -> bool {
        true
    }

    fn backend(&mut self) -> &mut dyn Backend {
        &mut *self.0
    }

    fn gather(&mut self, _call: Call<'_>, message: Vec<u8>) -> Result<Vec<Message>, CollectiveError> {
        Ok(vec![Arc::new(message)])
    }

    fn all_reduce<'a>(
        &'a mut self,
        _call: Call<'a>,
        _states: &'a [String],
    ) -> LocalFuture<'a, Result<(), CollectiveError>> {
        Self::nothing()
    }

    fn reduce_scatter<'a>(
        &'a mut self,
        _call: Call<'a>,
        _banks: &'a [Bank],
    ) -> LocalFuture<'a, Result<(), CollectiveError>> {
        Self::nothing()
    }

    fn all_gather<'a>(
        &'a mut self,
        _call: Call<'a>,
        _banks: &'a [Bank],
    ) -> LocalFuture<'a, Result<(), CollectiveError>> {
        Self::nothing()
    }

    fn broadcast<'a>(
        &'a mut self,
        _call: Call<'a>,
        _states: &'a [String],
    ) -> LocalFuture<'a, Result<(), CollectiveError>> {
        Self::nothing()
    }

    fn abort(&mut self, _culprit: usize, _reason: &str) {}
}

#[cfg(test)]
mod tests;
