//! Ranks that keep their states on devices and sum them there: [`DeviceCollective`] over a [`Link`] between the devices.
//!
//! Every device collective begins with an exchange of nothing between the hosts. So a rank that is missing, dead, silent or
//! at another call is named exactly as it is by the host's collective, and nothing is queued that would wait for it; what
//! then hangs on the devices is the link's to notice.
//!
//! Sums of gradients run beside the backward pass that makes the others: the plan is cut where enough states have their last
//! value ([`Plan::settled`]), and a [`Link`] moves those while the device goes on with the next part.
//!
//! Invariant: the states of a call are queued in the same order on all ranks. The order of a sum is the link's own, so these
//! are not [`Collective::ordered`].

use crate::Cuda;
use crate::driver::Driver;
use golf_core::backend::{Backend, BackendError, ExecutableId, LocalFuture};
use golf_core::collective::{Bank, Call, Collective, CollectiveError, Message, Sums, Transport};
use golf_core::tensor::{Tensor, TensorType};
use std::sync::Arc;

/// What moves device memory between ranks. All ranks queue the same moves in the same order.
pub trait Link<D: Driver> {
    /// Queues all of `moves` as one, named `call`: buffer, its words, and what becomes of it. They begin when the device has done what was
    /// queued before; what is queued later does not wait for them, and touches none of the buffers before [`Link::join`].
    fn run(
        &mut self,
        driver: &mut D,
        call: &str,
        moves: &[(D::Buffer, usize, Move)],
    ) -> Result<(), BackendError>;

    /// Lets everything that is queued from now on wait for all moves.
    fn join(&mut self, driver: &mut D) -> Result<(), BackendError>;
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
    /// Bytes of states from which on their sum is begun.
    group: usize,
}

impl<'a, D: Driver, L: Link<D>> DeviceCollective<'a, D, L> {
    /// The rank of `transport`, with its states on `cuda`, which `link` connects to those of the other ranks.
    pub fn new(cuda: &'a mut Cuda<D>, transport: &'a mut dyn Transport, link: L) -> Self {
        Self { cuda, transport, link, group: GROUP }
    }

    /// The same, where sums beside a plan are begun for at least so many bytes of states together; 16 MiB unless said.
    pub fn with_group(self, bytes: usize) -> Self {
        Self { group: bytes, ..self }
    }

    /// The existing state `name`, to become `what`.
    fn moved(&self, name: &str, what: Move) -> Result<Moved<D>, BackendError> {
        let unknown = || BackendError::UnknownState { name: name.to_owned() };
        let state = self.cuda.states.get(name).ok_or_else(unknown)?;
        Ok((state.buffer.clone(), state.ty.words(), what))
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
            moves.push(self.moved(&name, what)?);
        }
        self.same_to_all(call, Vec::new())?;
        self.link.run(&mut self.cuda.driver, call.name, &moves)?;
        Ok(self.link.join(&mut self.cuda.driver)?)
    }

    /// The states of `banks` with what becomes of them by their owners; makes those that do not exist here yet.
    fn of_banks(
        &mut self,
        banks: &[Bank],
        what: fn(usize) -> Move,
    ) -> Result<Vec<(String, Move)>, BackendError> {
        let mut states = Vec::new();
        for bank in banks {
            for rank in 0..self.transport.size() {
                for name in bank.owned(rank) {
                    self.cuda.state(name, &TensorType::f32(bank.shape()))?;
                    states.push((name.clone(), what(rank)));
                }
            }
        }
        Ok(states)
    }

    /// Moves the states of `banks`.
    fn move_banks(
        &mut self,
        call: Call<'_>,
        banks: &[Bank],
        what: fn(usize) -> Move,
    ) -> Result<(), CollectiveError> {
        let states = self.of_banks(banks, what)?;
        self.move_states(call, states.into_iter())
    }

    /// Runs `executable` in parts, and sums states behind the part that leaves them.
    fn run_and_sum(
        &mut self,
        call: Call<'_>,
        executable: ExecutableId,
        inputs: &[(&str, &Tensor)],
        sums: &Sums,
    ) -> Result<(), CollectiveError> {
        let banked = self.of_banks(&sums.banks, Move::SumAt)?;
        let states = banked.into_iter().chain(sums.states.iter().map(|name| (name.clone(), Move::Sum)));
        let mut moves = Vec::new();
        for (name, what) in states {
            let settled = self.cuda.executables[executable].plan.settled(&name).unwrap_or(0);
            moves.push((settled, self.moved(&name, what)?));
        }
        let groups = grouped::<D>(moves, self.group);
        let cuts: Vec<usize> = groups.iter().map(|(settled, _)| *settled).collect();
        self.same_to_all(call, Vec::new())?;
        let Self { cuda, link, .. } = self;
        cuda.executables[executable].cut(&cuts);
        cuda.run(executable, inputs, &mut |driver, part| match groups.get(part) {
            Some((_, moves)) => link.run(driver, call.name, moves),
            None => Ok(()),
        })?;
        Ok(link.join(&mut cuda.driver)?)
    }
}

/// Bytes from which on a sum is worth a call of its own, unless said: in smaller ones a link's latency outweighs its bandwidth.
const GROUP: usize = 16 << 20;

/// A state's buffer, its words, and what becomes of it.
type Moved<D> = (<D as Driver>::Buffer, usize, Move);

/// `moves` by the number of steps after which they may begin, in groups of at least `bytes`, but for the last one.
/// Moves of one number stay in order, so groups are the same on all ranks.
fn grouped<D: Driver>(mut moves: Vec<(usize, Moved<D>)>, bytes: usize) -> Vec<(usize, Vec<Moved<D>>)> {
    moves.sort_by_key(|(settled, _)| *settled);
    let mut groups: Vec<(usize, Vec<Moved<D>>)> = Vec::new();
    let mut held = bytes;
    for (settled, moved) in moves {
        if held >= bytes {
            groups.push((settled, Vec::new()));
            held = 0;
        }
        held += 4 * moved.1;
        let (begins, group) = groups.last_mut().expect("one was just begun");
        *begins = settled;
        group.push(moved);
    }
    groups
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

    fn submit_and_sum<'a>(
        &'a mut self,
        call: Call<'a>,
        executable: ExecutableId,
        inputs: &'a [(&'a str, &'a Tensor)],
        sums: &'a Sums,
    ) -> LocalFuture<'a, Result<(), CollectiveError>> {
        done(self.run_and_sum(call, executable, inputs, sums))
    }

    fn abort(&mut self, culprit: usize, reason: &str) {
        self.transport.abort(culprit, reason);
    }
}
