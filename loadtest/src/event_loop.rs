//! A core's event loop: io_uring with the flags that make it cheap, or epoll.
//!
//! Containers and old kernels often refuse a ring or some of its flags, so the cheaper
//! forms are tried first and the last one always works. A ring without flags is left out:
//! it costs more CPU a request than epoll does.

use std::io;

use io_uring::{Builder, IoUring};
use monoio::time::TimeDriver;
use monoio::{IoUringDriver, LegacyDriver, Runtime, RuntimeBuilder};

/// Entries of a ring, halved down to [`ENTRIES_MIN`] where the locked-memory limit is too low.
const ENTRIES: u32 = 4096;

/// The fewest entries that monoio makes a ring with.
const ENTRIES_MIN: u32 = 256;

/// An event loop for the thread that built it.
pub struct EventLoop {
    runtime: Driven,
    name: &'static str,
}

enum Driven {
    Ring(Runtime<TimeDriver<IoUringDriver>>),
    Epoll(Runtime<TimeDriver<LegacyDriver>>),
}

impl EventLoop {
    /// The cheapest loop that this machine allows, or the epoll one if it is asked for.
    pub fn build(epoll: bool) -> io::Result<Self> {
        let ring = if epoll { None } else { FORMS.iter().find_map(build_ring) };
        if let Some(ring) = ring {
            return Ok(ring);
        }
        let runtime = RuntimeBuilder::<LegacyDriver>::new().enable_timer().build()?;
        Ok(Self { runtime: Driven::Epoll(runtime), name: "epoll" })
    }

    /// Which form it took.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Whether it is io_uring.
    pub fn is_ring(&self) -> bool {
        matches!(self.runtime, Driven::Ring(_))
    }

    /// Runs `task` to its end, and with it all tasks that it spawned as far as they come.
    pub fn block_on<F: Future>(&mut self, task: F) -> F::Output {
        match &mut self.runtime {
            Driven::Ring(runtime) => runtime.block_on(task),
            Driven::Epoll(runtime) => runtime.block_on(task),
        }
    }
}

/// A way to set a ring up, and its name.
type Form = (&'static str, fn(&mut Builder));

/// From the cheapest to the one that most kernels take.
const FORMS: [Form; 3] = [
    ("io_uring (single issuer, deferred, cooperative)", |ring| {
        ring.setup_single_issuer().setup_defer_taskrun().setup_coop_taskrun();
    }),
    ("io_uring (single issuer, deferred)", |ring| {
        ring.setup_single_issuer().setup_defer_taskrun();
    }),
    ("io_uring (cooperative)", |ring| {
        ring.setup_coop_taskrun();
    }),
];

fn build_ring((name, set_up): &Form) -> Option<EventLoop> {
    let mut entries = ENTRIES;
    while entries >= ENTRIES_MIN {
        let mut ring = IoUring::builder();
        set_up(&mut ring);
        let builder = RuntimeBuilder::<IoUringDriver>::new().with_entries(entries).uring_builder(ring);
        match builder.enable_timer().build() {
            Ok(runtime) => return Some(EventLoop { runtime: Driven::Ring(runtime), name }),
            Err(error) if error.kind() == io::ErrorKind::OutOfMemory => entries /= 2,
            Err(_) => return None,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_can_be_had_on_every_machine_and_runs_a_task() {
        for epoll in [false, true] {
            let mut event_loop = EventLoop::build(epoll).unwrap();
            assert_eq!(event_loop.block_on(async { 7 }), 7, "{}", event_loop.name());
        }
    }
}
