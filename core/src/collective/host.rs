//! Collectives over any backend and any transport: states are read to the host, exchanged as bytes, summed in rank order
//! and written back.
//!
//! A sum of all states is cut into one piece per rank, which sums it and hands it out (a reduce-scatter and a gather): every
//! value crosses the wire twice, however many ranks there are.

use super::floats::Floats;
use super::{Bank, Call, Collective, CollectiveError, Message, Transport};
use crate::backend::{Backend, LocalFuture};
use crate::tensor::Tensor;
use std::sync::Arc;

/// A rank whose states travel through the host.
pub struct HostCollective<'a> {
    backend: &'a mut dyn Backend,
    transport: &'a mut dyn Transport,
}

impl<'a> HostCollective<'a> {
    /// The rank of `transport`, with its states on `backend`.
    pub fn new(backend: &'a mut dyn Backend, transport: &'a mut dyn Transport) -> Self {
        Self { backend, transport }
    }

    async fn read(&mut self, states: &[String]) -> Result<Vec<Tensor>, CollectiveError> {
        let mut tensors = Vec::with_capacity(states.len());
        for name in states {
            tensors.push(self.backend.read_state(name).await?);
        }
        Ok(tensors)
    }

    fn same_to_all(&mut self, call: Call<'_>, message: Vec<u8>) -> Result<Vec<Message>, CollectiveError> {
        let message = Arc::new(message);
        self.transport.exchange(call, vec![message; self.transport.size()])
    }

    async fn reduce_all(&mut self, call: Call<'_>, states: &[String]) -> Result<(), CollectiveError> {
        let tensors = self.read(states).await?;
        let values = Floats::of(&tensors);
        let size = self.size();
        let piece = |r: usize| values.len() * r / size..values.len() * (r + 1) / size;
        let outgoing = (0..size).map(|r| Arc::new(values.encode(piece(r)))).collect();
        let incoming = self.transport.exchange(call, outgoing)?;
        let sum = sum(call, &incoming, piece(self.rank()).len())?;
        let pieces = self.same_to_all(call, sum.encode(0..sum.len()))?;
        let mut whole = values.empty();
        for (r, bytes) in pieces.iter().enumerate() {
            let part = decode(call, r, bytes, piece(r).len())?;
            if !whole.append(part) {
                return Err(payload(call, r, piece(r).len(), bytes));
            }
        }
        self.write(states, tensors.iter().map(Tensor::shape), &whole)
    }

    fn write<'s>(
        &mut self,
        states: &[String],
        shapes: impl Iterator<Item = &'s [usize]>,
        values: &Floats,
    ) -> Result<(), CollectiveError> {
        let mut start = 0;
        for (name, shape) in states.iter().zip(shapes) {
            self.backend.write_state(name, &values.tensor(start, shape))?;
            start += shape.iter().product::<usize>();
        }
        Ok(())
    }

    async fn scatter_sums(&mut self, call: Call<'_>, banks: &[Bank]) -> Result<(), CollectiveError> {
        let mut outgoing = Vec::new();
        for r in 0..self.size() {
            let values = Floats::of(&self.read(&owned(banks, r)).await?);
            outgoing.push(Arc::new(values.encode(0..values.len())));
        }
        let rank = self.rank();
        let incoming = self.transport.exchange(call, outgoing)?;
        let sum = sum(call, &incoming, elements(banks, rank))?;
        self.write(&owned(banks, rank), shapes(banks, rank), &sum)
    }

    async fn gather_all(&mut self, call: Call<'_>, banks: &[Bank]) -> Result<(), CollectiveError> {
        let rank = self.rank();
        let values = Floats::of(&self.read(&owned(banks, rank)).await?);
        let messages = self.same_to_all(call, values.encode(0..values.len()))?;
        for (r, bytes) in messages.iter().enumerate().filter(|(r, _)| *r != rank) {
            let values = decode(call, r, bytes, elements(banks, r))?;
            self.write(&owned(banks, r), shapes(banks, r), &values)?;
        }
        Ok(())
    }

    async fn spread(&mut self, call: Call<'_>, states: &[String]) -> Result<(), CollectiveError> {
        let tensors = self.read(states).await?;
        let own = Floats::of(&tensors);
        let message = if self.rank() == 0 { own.encode(0..own.len()) } else { Vec::new() };
        let messages = self.same_to_all(call, message)?;
        if self.rank() == 0 {
            return Ok(());
        }
        let values = decode(call, 0, &messages[0], own.len())?;
        self.write(states, tensors.iter().map(Tensor::shape), &values)
    }
}

/// The states of all `banks` that `rank` owns.
fn owned(banks: &[Bank], rank: usize) -> Vec<String> {
    banks.iter().flat_map(|bank| bank.owned(rank).iter().cloned()).collect()
}

/// Their shapes.
fn shapes(banks: &[Bank], rank: usize) -> impl Iterator<Item = &[usize]> {
    banks.iter().flat_map(move |bank| bank.owned(rank).iter().map(|_| bank.shape()))
}

/// How many values they have.
fn elements(banks: &[Bank], rank: usize) -> usize {
    shapes(banks, rank).map(|shape| shape.iter().product::<usize>()).sum()
}

/// The sum in rank order of what every rank sent, `expected` values each.
fn sum(call: Call<'_>, messages: &[Message], expected: usize) -> Result<Floats, CollectiveError> {
    let mut total = decode(call, 0, &messages[0], expected)?;
    for (rank, bytes) in messages.iter().enumerate().skip(1) {
        if !total.add(&decode(call, rank, bytes, expected)?) {
            return Err(payload(call, rank, expected, bytes));
        }
    }
    Ok(total)
}

/// The `expected` values that `rank` sent.
fn decode(call: Call<'_>, rank: usize, bytes: &[u8], expected: usize) -> Result<Floats, CollectiveError> {
    let values = Floats::decode(bytes).filter(|values| values.len() == expected);
    values.ok_or_else(|| payload(call, rank, expected, bytes))
}

fn payload(call: Call<'_>, rank: usize, expected: usize, bytes: &[u8]) -> CollectiveError {
    let got = match Floats::decode(bytes) {
        Some(values) => format!("{} floats of {} bytes", values.len(), values.width()),
        None => format!("{} bytes", bytes.len()),
    };
    CollectiveError::Payload { rank, call: call.name.to_owned(), expected, got }
}

impl Collective for HostCollective<'_> {
    fn rank(&self) -> usize {
        self.transport.rank()
    }

    fn size(&self) -> usize {
        self.transport.size()
    }

    fn ordered(&self) -> bool {
        true
    }

    fn backend(&mut self) -> &mut dyn Backend {
        &mut *self.backend
    }

    fn gather(&mut self, call: Call<'_>, message: Vec<u8>) -> Result<Vec<Message>, CollectiveError> {
        self.same_to_all(call, message)
    }

    fn all_reduce<'a>(
        &'a mut self,
        call: Call<'a>,
        states: &'a [String],
    ) -> LocalFuture<'a, Result<(), CollectiveError>> {
        Box::pin(self.reduce_all(call, states))
    }

    fn reduce_scatter<'a>(
        &'a mut self,
        call: Call<'a>,
        banks: &'a [Bank],
    ) -> LocalFuture<'a, Result<(), CollectiveError>> {
        Box::pin(self.scatter_sums(call, banks))
    }

    fn all_gather<'a>(
        &'a mut self,
        call: Call<'a>,
        banks: &'a [Bank],
    ) -> LocalFuture<'a, Result<(), CollectiveError>> {
        Box::pin(self.gather_all(call, banks))
    }

    fn broadcast<'a>(
        &'a mut self,
        call: Call<'a>,
        states: &'a [String],
    ) -> LocalFuture<'a, Result<(), CollectiveError>> {
        Box::pin(self.spread(call, states))
    }

    fn abort(&mut self, culprit: usize, reason: &str) {
        self.transport.abort(culprit, reason);
    }
}
