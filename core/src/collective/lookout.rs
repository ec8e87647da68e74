//! What ranks know of each other while their devices, and not their hosts, wait for each other.
//!
//! A host that waits for another one sees in [`super::Inbox`] whether that one is silent, late or gone. A device sees nothing: where
//! one does not come to a collective, or the connection between them fails, the hosts behind all of them wait for their own
//! devices for ever, and go on giving signs of life. So whoever queues collectives on devices counts them ([`Progress`]), a
//! [`Lookout`] tells the other ranks how far this one is, and a [`Wait`] says when the wait for them is over, and who is to blame.
//!
//! Invariant: time counts from when this rank's own device is in the collective, and only while this process runs, so neither
//! the work that is queued before a collective nor a suspended job ends a run.

use super::{CollectiveError, Limits};
use std::time::Duration;

/// How far a rank is with what all ranks do on their devices, in the same order: numbers of collectives, from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The last one that its host has queued.
    pub queued: u64,
    /// The last one that its device has come to.
    pub begun: u64,
    /// The last one that its device has done.
    pub done: u64,
}

/// What is known of a rank.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// How far it is, by its last sign of life.
    pub progress: Progress,
    /// Since its last sign of life; nothing for this rank.
    pub silence: Duration,
}

/// What a thread beside a rank's own may know and do while that one waits for its device.
pub trait Lookout: Send + Sync {
    /// This rank.
    fn rank(&self) -> usize;

    /// How long ranks wait for each other.
    fn limits(&self) -> Limits;

    /// Tells the others how far this rank is, with its next sign of life.
    fn tell(&self, progress: Progress);

    /// What is known of all ranks, in rank order.
    fn seen(&self) -> Vec<Seen>;

    /// The first failure of another rank, once it is known, as it is seen from `call`.
    fn fault(&self, call: &str) -> Option<CollectiveError>;

    /// Ends the run on all ranks because of `error`: tells them, and ends this process if it does not end by itself soon.
    fn end(&self, error: &CollectiveError);
}

/// How long this rank's device has been in one collective.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wait {
    number: u64,
    /// Since it came to it.
    waited: Duration,
    /// Since all are known to have come to it.
    together: Duration,
}

impl Wait {
    /// Another look at collective `number`, named `call`, in which this rank's device is, `passed` after the last one: why it will
    /// not end, if it took too long. A device may come to it as late as a host to an exchange; once all are in it, what remains is
    /// a transfer, and may take as long as a rank may be silent.
    pub fn look(
        &mut self,
        call: &str,
        number: u64,
        passed: Duration,
        seen: &[Seen],
        limits: Limits,
    ) -> Option<CollectiveError> {
        if self.number != number {
            *self = Wait { number, ..Wait::default() };
        }
        self.waited += passed;
        let ranks = |is: fn(Progress, u64) -> bool| -> Vec<usize> {
            (0..seen.len()).filter(|&rank| is(seen[rank].progress, number)).collect()
        };
        let late = ranks(|at, number| at.begun < number);
        self.together = if late.is_empty() { self.together + passed } else { Duration::ZERO };
        let call = || call.to_owned();
        let silence = limits.silence.filter(|limit| self.waited > *limit);
        let silent = |limit| seen.iter().position(|rank| rank.silence > limit);
        if let Some(rank) = silence.and_then(silent) {
            return Some(CollectiveError::Silent { rank, call: call(), silence: seen[rank].silence });
        }
        let transfer = limits.silence.unwrap_or(limits.lateness);
        (self.together > transfer || self.waited > limits.lateness).then(|| CollectiveError::Stuck {
            call: call(),
            waited: self.waited,
            unqueued: ranks(|at, number| at.queued < number),
            computing: ranks(|at, number| at.begun < number && at.queued >= number),
            within: ranks(|at, number| at.begun >= number && at.done < number),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits =
        Limits { silence: Some(Duration::from_secs(2)), lateness: Duration::from_secs(20) };
    const TICK: Duration = Duration::from_millis(500);

    fn at(queued: u64, begun: u64, done: u64) -> Seen {
        Seen { progress: Progress { queued, begun, done }, silence: Duration::ZERO }
    }

    /// Looks until the wait is over, for at most a minute: how long that took, and why.
    fn over(seen: &[Seen]) -> Option<(Duration, CollectiveError)> {
        let mut wait = Wait::default();
        let looks = (1..=120).map(|look| look * TICK);
        looks.into_iter().find_map(|at| Some((at, wait.look("sum", 7, TICK, seen, LIMITS)?)))
    }

    #[test]
    fn a_device_that_computes_is_waited_for_as_long_as_a_late_host_and_then_named() {
        let (after, error) = over(&[at(9, 7, 6), at(8, 6, 6), at(8, 7, 6)]).expect("not for ever");
        assert_eq!(after, LIMITS.lateness + TICK);
        assert_eq!(error.culprit(), Some(1));
        let said = "`sum` hangs on the devices, for 20.5 s now: ranks [0, 2] are in it, the devices of ranks [1] have not come to it";
        assert_eq!(error.to_string(), said);
    }

    #[test]
    fn a_host_that_queued_nothing_is_named_before_devices_that_compute() {
        let (_, error) = over(&[at(7, 7, 6), at(7, 6, 6), at(6, 6, 6)]).expect("not for ever");
        assert_eq!(error.culprit(), Some(2));
        assert!(error.to_string().contains("the hosts of ranks [2] have not queued it"), "{error}");
    }

    #[test]
    fn a_collective_in_which_all_are_takes_as_long_as_a_silence_may() {
        let (after, error) = over(&[at(7, 7, 6), at(9, 9, 8)]).expect("not for ever");
        assert_eq!(after, Duration::from_secs(2) + TICK);
        assert_eq!(error.culprit(), None);
        assert!(error.to_string().contains("ranks [0] are in it, and no rank is late"), "{error}");
    }

    #[test]
    fn a_silent_rank_is_named_once_this_device_waited_as_long() {
        let silent = Seen { silence: Duration::from_secs(9), ..at(6, 6, 6) };
        let (after, error) = over(&[at(7, 7, 6), silent]).expect("not for ever");
        assert_eq!(after, Duration::from_secs(2) + TICK);
        assert!(matches!(error, CollectiveError::Silent { rank: 1, .. }), "{error}");
    }

    #[test]
    fn every_collective_has_its_own_time() {
        let mut wait = Wait::default();
        for number in 1..100 {
            let seen = [at(number, number, number - 1), at(number, number, number - 1)];
            for _ in 0..4 {
                assert_eq!(wait.look("sum", number, TICK, &seen, LIMITS), None);
            }
        }
    }
}
