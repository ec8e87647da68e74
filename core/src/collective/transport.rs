//! What carries bytes between ranks.

use super::{Call, CollectiveError, Lookout};
use std::sync::Arc;

/// Bytes on their way; shared, because the same ones often go to every rank.
pub type Message = Arc<Vec<u8>>;

/// Exchanges bytes between all ranks, in lockstep.
///
/// One primitive carries every collective: each rank gives one message for every rank and receives one from every rank.
/// [`super::Inbox`] is the receiving side of every implementation: it knows what silence, lateness and death look like.
pub trait Transport {
    /// This rank, from 0.
    fn rank(&self) -> usize;

    /// Number of ranks.
    fn size(&self) -> usize;

    /// Sends `outgoing[r]` to rank `r`, waits for one message from every rank, and gives them in rank order. What a rank
    /// sends itself it receives.
    fn exchange(&mut self, call: Call<'_>, outgoing: Vec<Message>) -> Result<Vec<Message>, CollectiveError>;

    /// Tells all ranks that the run is over because of `culprit`. Best effort: it never fails and never waits long.
    fn abort(&mut self, culprit: usize, reason: &str);

    /// What a thread that watches this rank's device needs; none where ranks cannot be ended from there.
    fn lookout(&self) -> Option<Arc<dyn Lookout>> {
        None
    }
}
