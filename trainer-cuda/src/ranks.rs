//! Ranks that keep their states on devices and sum them there: [`DeviceCollective`] over a [`Link`] between the devices.
//!
//! Every device collective begins with an exchange of nothing between the hosts. So a rank that is missing, dead, silent or
//! at another call is named exactly as it is by the host's collective, and nothing is queued that would wait for it; what
//! is left to whoever started the ranks is one that dies in the midst of a sum.
//!
//! Invariant: the states of a call are queued in the same order on all ranks. The order of a sum is the link's own, so these
//! are not [`Collective::ordered`].

use crate::Cuda;
use crate::driver::Driver;
use golf_core::backend::{Backend, BackendError, LocalFuture};
use golf_core::collective::{Bank, Call, Collective, CollectiveError, Message, Transport};
use golf_core::tensor::TensorType;
use std::sync::Arc;

/// What moves device memory between ranks. All ranks queue the same moves in the same order.
pub trait Link<D: Driver> {
    /// Queues all of `moves` as one: buffer, its words, and what becomes of it.
    fn run(&mut self, driver: &mut D, moves: &[(D::Buffer, usize, Move)]) -> Result<(), BackendError>;
}

/// What becomes of a buffer of floats that every rank has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    /// Its sum over all ranks, everywhere.
    Sum,
    /// Its sum over all ranks, at this one.
    SumAt(usize),
    /// What this rank has, everywhere.
    From(usize),
}

/// A rank whose states stay on its device.
pub struct DeviceCollective<'a, D: Driver, L: Link<D>> {
    cuda: &'a mut Cuda<D>,
    transport: &'a mut dyn Transport,
    link: L,
}

impl<'a, D: Driver, L: Link<D>> DeviceCollective<'a, D, L> {
    /// The rank of `transport`, with its states on `cuda`, which `link` connects to those of the other ranks.
    pub fn new(cuda: &'a mut Cuda<D>, transport: &'a mut dyn Transport, link: L) -> Self {
        Self { cuda, transport, link }
    }

    fn same_to_all(&mut self, call: Call<'_>, message: Vec<u8>) -> Result<Vec<Message>, CollectiveError> {
        let message = Arc::new(message);
        self.transport.exchange(call, vec![message; self.transport.size()])
    }

    /// Moves `states`, all of which exist.
    fn move_states(
        &mut self,
        call: Call<'_>,
        states: impl Iterator<Item = (String, Move)>,
    ) -> Result<(), CollectiveError> {
        let mut moves = Vec::new();
        for (name, what) in states {
            let state = self.cuda.states.get(&name).ok_or(BackendError::UnknownState { name })?;
            moves.push((state.buffer.clone(), state.ty.words(), what));
        }
        self.same_to_all(call, Vec::new())?;
        Ok(self.link.run(&mut self.cuda.driver, &moves)?)
    }

    /// Moves the states of `banks` as `what` says of their owners; makes those that do not exist here yet.
    fn move_banks(
        &mut self,
        call: Call<'_>,
        banks: &[Bank],
        what: fn(usize) -> Move,
    ) -> Result<(), CollectiveError> {
        let mut states = Vec::new();
        for bank in banks {
            for rank in 0..self.transport.size() {
                for name in bank.owned(rank) {
                    self.cuda.state(name, &TensorType::f32(bank.shape()))?;
                    states.push((name.clone(), what(rank)));
                }
            }
        }
        self.move_states(call, states.into_iter())
    }
}

fn done<'a>(result: Result<(), CollectiveError>) -> LocalFuture<'a, Result<(), CollectiveError>> {
    Box::pin(std::future::ready(result))
}

impl<D: Driver, L: Link<D>> Collective for DeviceCollective<'_, D, L> {
    fn rank(&self) -> usize {
        self.transport.rank()
    }

    fn size(&self) -> usize {
        self.transport.size()
    }

    fn ordered(&self) -> bool {
        false
    }

    fn backend(&mut self) -> &mut dyn Backend {
        self.cuda
    }

    fn gather(&mut self, call: Call<'_>, message: Vec<u8>) -> Result<Vec<Message>, CollectiveError> {
        self.same_to_all(call, message)
    }

    fn all_reduce<'a>(
        &'a mut self,
        call: Call<'a>,
        states: &'a [String],
    ) -> LocalFuture<'a, Result<(), CollectiveError>> {
        done(self.move_states(call, states.iter().map(|name| (name.clone(), Move::Sum))))
    }

    fn reduce_scatter<'a>(
        &'a mut self,
        call: Call<'a>,
        banks: &'a [Bank],
    ) -> LocalFuture<'a, Result<(), CollectiveError>> {
        done(self.move_banks(call, banks, Move::SumAt))
    }

    fn all_gather<'a>(
        &'a mut self,
        call: Call<'a>,
        banks: &'a [Bank],
    ) -> LocalFuture<'a, Result<(), CollectiveError>> {
        done(self.move_banks(call, banks, Move::From))
    }

    fn broadcast<'a>(
        &'a mut self,
        call: Call<'a>,
        states: &'a [String],
    ) -> LocalFuture<'a, Result<(), CollectiveError>> {
        done(self.move_states(call, states.iter().map(|name| (name.clone(), Move::From(0)))))
    }

    fn abort(&mut self, culprit: usize, reason: &str) {
        self.transport.abort(culprit, reason);
    }
}
