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

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::process::{Child, Command, Stdio};

    use rustix::process::{Pid, Signal, kill_process};

    use super::*;

    /// Set for the child alone, which would otherwise wait for ever.
    const CHILD: &str = "SIGNALS_TEST_CHILD";

    /// Not a test but the process that the tests below send signals to: it tells what happens.
    #[test]
    #[ignore = "runs as a child of the other tests"]
    fn child_that_watches() {
        if std::env::var_os(CHILD).is_none() {
            return;
        }
        let tell = |line: &str| std::io::stderr().write_all(format!("{line}\n").as_bytes()).unwrap();
        let stopping = Stopping::new();
        let seen = stopping.clone();
        watch(stopping, move || tell(if seen.is_set() { "stopping" } else { "woken without a flag" }))
            .unwrap();
        tell("ready");
        loop {
            thread::park();
        }
    }

    fn started_child() -> (Child, impl FnMut() -> String) {
        let this_file = std::env::current_exe().unwrap();
        let name = "runtime::signals::tests::child_that_watches";
        let mut child = Command::new(this_file)
            .args(["--ignored", "--exact", "--nocapture", name])
            .env(CHILD, "1")
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        (child, move || lines.next().unwrap().unwrap())
    }

    fn send(child: &Child, signal: Signal) {
        kill_process(Pid::from_child(child), signal).unwrap();
    }

    #[test]
    fn the_first_signal_wakes_the_cores_and_the_second_ends_the_process() {
        for (first, second, status) in [
            (Signal::TERM, Signal::TERM, 143),
            (Signal::INT, Signal::INT, 130),
            (Signal::INT, Signal::TERM, 143),
        ] {
            let (mut child, mut next_line) = started_child();
            assert_eq!(next_line(), "ready");
            send(&child, first);
            assert_eq!(next_line(), "stopping");
            assert!(child.try_wait().unwrap().is_none(), "one signal lets it finish its work");
            send(&child, second);
            assert_eq!(child.wait().unwrap().code(), Some(status), "{first:?}, {second:?}");
        }
    }

    #[test]
    fn only_the_first_to_ask_is_told_so() {
        let stopping = Stopping::new();
        assert!(!stopping.is_set());
        assert!(stopping.set());
        assert!(stopping.is_set() && !stopping.clone().set());
    }
}
