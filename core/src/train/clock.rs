//! The budget clock: how much monotonic time each phase of a run has used.
//!
//! Exactly one phase runs at a time, or none. What is not inside a phase (opening files, compiling plans) is not counted;
//! what validation uses is [`Phase::Evaluate`] and never [`Phase::Train`]. Clock jumps of the system do not matter.

use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant};

/// A phase of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Training steps, with their data and checkpoints.
    Train,
    /// Statistics for quantization.
    Calibrate,
    /// Averaging, pruning, quantizing.
    Quantize,
    /// Entropy coding and writing the artifact.
    Compress,
    /// Validation and evaluation.
    Evaluate,
}

/// Milliseconds that each phase has used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Used {
    /// [`Phase::Train`].
    pub train: f64,
    /// [`Phase::Calibrate`].
    pub calibrate: f64,
    /// [`Phase::Quantize`].
    pub quantize: f64,
    /// [`Phase::Compress`].
    pub compress: f64,
    /// [`Phase::Evaluate`].
    pub evaluate: f64,
}

impl Used {
    fn of(&mut self, phase: Phase) -> &mut f64 {
        match phase {
            Phase::Train => &mut self.train,
            Phase::Calibrate => &mut self.calibrate,
            Phase::Quantize => &mut self.quantize,
            Phase::Compress => &mut self.compress,
            Phase::Evaluate => &mut self.evaluate,
        }
    }
}

/// Time since some fixed moment.
type Source = Box<dyn Fn() -> Duration>;

/// The clock.
pub struct BudgetClock {
    now: Source,
    used: Used,
    running: Option<(Phase, Duration)>,
}

impl BudgetClock {
    /// A stopped clock on the system's monotonic time, with what an earlier part of the run has used.
    pub fn system(used: Used) -> Self {
        let origin = Instant::now();
        Self::with_source(used, Box::new(move || origin.elapsed()))
    }

    /// A stopped clock on any monotonic time.
    pub fn with_source(used: Used, now: Source) -> Self {
        Self { now, used, running: None }
    }

    /// Ends the running phase, if any, and begins `phase`.
    pub fn enter(&mut self, phase: Phase) {
        let now = self.settle();
        self.running = Some((phase, now));
    }

    /// Ends the running phase.
    pub fn stop(&mut self) {
        self.settle();
        self.running = None;
    }

    /// Milliseconds used so far.
    pub fn used(&mut self) -> Used {
        self.settle();
        self.used
    }

    /// Milliseconds of training so far.
    pub fn train_ms(&mut self) -> f64 {
        self.used().train
    }

    /// Books the time since the last look.
    fn settle(&mut self) -> Duration {
        let now = (self.now)();
        if let Some((phase, since)) = &mut self.running {
            *self.used.of(*phase) += (now - *since).as_secs_f64() * 1e3;
            *since = now;
        }
        now
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::rc::Rc;

    #[test]
    fn validation_is_not_training_time_and_idle_time_is_nobodys() {
        let now = Rc::new(Cell::new(0u64));
        let source = now.clone();
        let earlier = Used { train: 5.0, ..Used::default() };
        let mut clock =
            BudgetClock::with_source(earlier, Box::new(move || Duration::from_millis(source.get())));
        let advance = |ms: u64| now.set(now.get() + ms);
        advance(100);
        clock.enter(Phase::Train);
        advance(10);
        assert_eq!(clock.train_ms(), 15.0);
        clock.enter(Phase::Evaluate);
        advance(1000);
        clock.enter(Phase::Train);
        advance(1);
        clock.stop();
        advance(50);
        assert_eq!(clock.used(), Used { train: 16.0, evaluate: 1000.0, ..Used::default() });
    }
}
