//! The pipe between a process and the ranks that it started: signals come through it, and its end means that the process is
//! gone.
//!
//! Ranks have process groups of their own, so that a terminal's Ctrl-C reaches the supervisor alone, which passes it on once.

use std::io::{Read, Write};
use std::thread;

/// Exit code of a rank whose supervisor is gone.
const ORPHANED: i32 = 1;

/// Passes a signal's number on.
pub fn pass_on(lifeline: &mut impl Write, signal: u8) {
    // A rank that is gone needs no signal.
    let _gone = lifeline.write_all(&[signal]).and_then(|()| lifeline.flush());
}

/// Reads the pipe in a thread: `received` is told the first signal; the second, like the pipe's end, ends the process.
pub fn hold(mut lifeline: impl Read + Send + 'static, received: impl Fn(u8) + Send + 'static) {
    thread::spawn(move || {
        let mut signal = [0u8];
        let mut first = true;
        while matches!(lifeline.read(&mut signal), Ok(1)) {
            if !first {
                std::process::exit(128 + i32::from(signal[0]));
            }
            received(signal[0]);
            first = false;
        }
        eprintln!("error: the process that started this rank is gone");
        std::process::exit(ORPHANED);
    });
}
