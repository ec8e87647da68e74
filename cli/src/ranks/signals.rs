//! Signals during a run: the first asks it to save and end, the second ends it at once.

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// What has been received.
#[derive(Clone)]
pub struct Signals {
    number: Arc<AtomicUsize>,
}

/// Listens to SIGTERM and SIGINT.
pub fn install() -> io::Result<Signals> {
    let (again, number) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    for signal in [SIGTERM, SIGINT] {
        // Order matters: at the first signal the condition is still false, at the second it ends the process.
        flag::register_conditional_shutdown(signal, 128 + signal, again.clone())?;
        flag::register(signal, again.clone())?;
        flag::register_usize(signal, number.clone(), signal as usize)?;
    }
    Ok(Signals { number })
}

impl Signals {
    /// Records a signal that somebody else received for this process.
    pub fn relay(&self) -> impl Fn(u8) + Send + 'static {
        let number = self.number.clone();
        move |signal| number.store(usize::from(signal), Ordering::Relaxed)
    }

    /// Number of the last signal.
    pub fn received(&self) -> Option<u8> {
        match self.number.load(Ordering::Relaxed) {
            0 => None,
            number => Some(number as u8),
        }
    }
}
