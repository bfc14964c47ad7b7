//! Time: the one place of this crate that reads a clock.
//!
//! A [`Moment`] is a point on the monotonic clock, counted from the [`Clock`]'s start, so
//! that all cores of one run share one axis. A [`Span`] is what an exchange is judged and
//! measured by: the server acted at some point within it, and nobody here knows when.

use std::time::{Duration, Instant};

/// A point of the run, in nanoseconds since its clock was started.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Debug)]
pub struct Moment(u64);

impl Moment {
    /// The point this long after the clock's start; the last one of all where that does not fit.
    pub fn after_start(span: Duration) -> Self {
        Self(nanos(span))
    }

    /// The point `span` later.
    pub fn after(self, span: Duration) -> Self {
        Self(self.0.saturating_add(nanos(span)))
    }

    /// The point `span` earlier; the clock's start where that lies before it.
    pub fn before(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(nanos(span)))
    }

    /// The span since `earlier`; none where `earlier` is in fact later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

/// An exchange's two ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Span {
    /// Before the request's first byte left. `sent <= received`
    pub sent: Moment,
    /// After the answer's last byte had come.
    pub received: Moment,
}

impl Span {
    /// The exchange's latency.
    pub fn length(self) -> Duration {
        debug_assert!(self.sent <= self.received, "an answer comes after its request");
        self.received.since(self.sent)
    }
}

/// The CPU time that this thread has used.
pub fn cpu_time() -> Duration {
    let used = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    // Never negative: it counts from the thread's start.
    Duration::new(used.tv_sec as u64, used.tv_nsec as u32)
}

/// The run's clock; its copies share one start.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// A clock that shows zero now.
    #[allow(clippy::disallowed_methods, reason = "a load generator measures real time, and only here")]
    pub fn started() -> Self {
        Self { start: Instant::now() }
    }

    /// The moment now.
    pub fn now(self) -> Moment {
        Moment::after_start(self.start.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_saturate_at_both_ends_of_the_axis() {
        let one = Moment::after_start(Duration::from_secs(1));
        assert_eq!(one.before(Duration::from_secs(2)), Moment::default());
        assert_eq!(one.after(Duration::MAX), Moment::after_start(Duration::MAX));
        assert_eq!(Moment::default().since(one), Duration::ZERO);
    }

    #[test]
    fn a_spans_length_is_what_lies_between_its_ends() {
        let sent = Moment::after_start(Duration::from_millis(3));
        let span = Span { sent, received: sent.after(Duration::from_micros(40)) };
        assert_eq!(span.length(), Duration::from_micros(40));
    }
}
