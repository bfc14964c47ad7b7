//! A timer that wakes within microseconds, where the runtime's own rounds up to milliseconds.
//!
//! One timerfd, awaited by a read: as an operation of the ring, or as a readiness that
//! epoll reports. A request that leaves a millisecond late would be counted against the
//! server.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::time::Duration;

use monoio::buf::VecBuf;
use monoio::io::AsyncReadRent;
use monoio::net::UnixStream;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};

/// Bytes of the count of expirations that a read gives.
const COUNT_LEN: usize = 8;

/// A timer of this thread's runtime.
pub struct Timer {
    descriptor: OwnedFd,
    waiting: Waiting,
    /// Where the count is read into; away while a wait is pending.
    count: Vec<u8>,
}

enum Waiting {
    Ring(monoio::fs::File),
    /// The stream type is the only one that the runtime registers with epoll; `readv`, unlike
    /// `recv`, asks for no socket.
    Epoll(UnixStream),
}

impl Timer {
    /// A timer; `ring` says whether this thread's runtime, in which it must be called, is io_uring.
    pub fn new(ring: bool) -> io::Result<Self> {
        // io_uring waits by itself, and only on a descriptor that is allowed to block.
        let flags = if ring { TimerfdFlags::CLOEXEC } else { TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK };
        let descriptor = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        let reading = descriptor.try_clone()?;
        let waiting = if ring {
            Waiting::Ring(monoio::fs::File::from_std(File::from(reading))?)
        } else {
            Waiting::Epoll(UnixStream::from_std(StdUnixStream::from(reading))?)
        };
        Ok(Self { descriptor, waiting, count: vec![0; COUNT_LEN] })
    }

    /// Waits for so long. Must not be dropped while it is pending.
    pub async fn sleep(&mut self, span: Duration) -> io::Result<()> {
        // A span of nothing would stop the timer.
        let nanos = i64::try_from(span.as_nanos()).unwrap_or(i64::MAX).max(1);
        let value = Timespec { tv_sec: nanos / 1_000_000_000, tv_nsec: (nanos % 1_000_000_000) as _ };
        let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: value };
        timerfd_settime(&self.descriptor, TimerfdTimerFlags::empty(), &once)?;
        let count = std::mem::take(&mut self.count);
        debug_assert_eq!(count.len(), COUNT_LEN, "one wait at a time, none dropped");
        let (read, count) = match &mut self.waiting {
            Waiting::Ring(file) => file.read_at(count, 0).await,
            Waiting::Epoll(stream) => {
                let (read, counts) = stream.readv(VecBuf::from(vec![count])).await;
                (read, Vec::<Vec<u8>>::from(counts).pop().unwrap_or_default())
            }
        };
        self.count = count;
        read.map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::event_loop::EventLoop;

    #[test]
    fn a_timer_never_ends_early_and_can_be_used_again() {
        for epoll in [false, true] {
            let mut event_loop = EventLoop::build(epoll).unwrap();
            let (name, ring) = (event_loop.name(), event_loop.is_ring());
            event_loop.block_on(async {
                let (clock, mut timer) = (Clock::started(), Timer::new(ring).unwrap());
                for micros in [0, 300, 2000, 50] {
                    let (before, span) = (clock.now(), Duration::from_micros(micros));
                    timer.sleep(span).await.unwrap();
                    assert!(clock.now().since(before) >= span, "{name}: {micros} us");
                }
            });
        }
    }
}
