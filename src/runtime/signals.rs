//! SIGTERM and SIGINT: the first asks for a shutdown in order, the second for one at once.
//!
//! A thread of its own waits for them. On the first it sets a flag, then wakes the cores,
//! which look at it in their next turn; on the second it ends the process with the status
//! that a shell gives to the signal. Nothing runs inside a signal handler but the library's.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// Whether the process has been asked to stop. Set once, never cleared.
#[derive(Clone, Default, Debug)]
pub struct Stopping(Arc<AtomicBool>);

impl Stopping {
    /// Nobody has asked yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether somebody has asked.
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    /// Asks. True for the first to do so.
    pub fn set(&self) -> bool {
        !self.0.swap(true, Ordering::AcqRel)
    }
}

/// Starts the thread that waits for signals. From the return on none ends the process by
/// itself. The first sets `stopping`, then calls `wake_all` once, which should ring every
/// core's doorbell; the next ends the process.
pub fn watch(stopping: Stopping, wake_all: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT])?;
    let mut wake_all = Some(wake_all);
    let wait = move || {
        for signal in signals.forever() {
            let is_first = stopping.set();
            match wake_all.take() {
                Some(wake_all) if is_first => wake_all(),
                _ => std::process::exit(status_of(signal)),
            }
        }
    };
    thread::Builder::new().name("signals".to_owned()).spawn(wait).map(drop)
}

/// The exit status by which a shell tells that a signal ended a process: 143 or 130.
fn status_of(signal: i32) -> i32 {
    debug_assert!(signal == SIGTERM || signal == SIGINT, "only these are waited for: {signal}");
    128 + signal
}

// What the signals do to a running server is tested from outside, in `tests/process`.
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_to_ask_is_told_so() {
        let stopping = Stopping::new();
        assert!(!stopping.is_set());
        assert!(stopping.set());
        assert!(stopping.is_set() && !stopping.clone().set());
    }

    #[test]
    fn a_shell_reads_the_signal_from_the_status() {
        assert_eq!((status_of(SIGINT), status_of(SIGTERM)), (130, 143));
    }
}
