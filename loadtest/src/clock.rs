//! Time: the one place of this crate that reads a clock.
//!
//! A [`Moment`] is a point on the monotonic clock, counted from the [`Clock`]'s start, so
//! that all cores of one run share one axis. A [`Span`] is what an exchange is judged and
//! measured by: the server acted at some point within it, and nobody here knows when.

use std::fmt;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

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

/// The last millisecond of the year 9999: what lies beyond it cannot be written as a date.
const LAST_UNIX_MS: u64 = 253_402_300_799_999;

/// A point on the wall clock, in milliseconds since 1970: for reports, never for measuring.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct UnixMillis(u64);

impl UnixMillis {
    /// The point `span` later.
    pub fn after(self, span: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(span.as_millis()).unwrap_or(u64::MAX)))
    }

    /// The point as the standard library has it; the end of the year 9999 where it lies beyond that.
    pub fn to_system(self) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(self.0.min(LAST_UNIX_MS))
    }
}

impl fmt::Display for UnixMillis {
    /// As RFC 3339 has it, to the second and in UTC.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_rfc3339_seconds(self.to_system()).fmt(f)
    }
}

/// The run's clock; its copies share one start.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
    start_on_wall: UnixMillis,
}

impl Clock {
    /// A clock that shows zero now.
    #[allow(clippy::disallowed_methods, reason = "a load generator measures real time, and only here")]
    pub fn started() -> Self {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { start: Instant::now(), start_on_wall: UnixMillis::default().after(since_1970) }
    }

    /// The moment now.
    pub fn now(self) -> Moment {
        Moment::after_start(self.start.elapsed())
    }

    /// The moment on the wall clock, as that stood when this one was started.
    pub fn on_wall(self, moment: Moment) -> UnixMillis {
        self.start_on_wall.after(moment.since(Moment::default()))
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
    fn the_wall_clock_goes_on_with_the_runs() {
        let clock = Clock { start_on_wall: UnixMillis(1_700_000_000_000), ..Clock::started() };
        let later = clock.on_wall(Moment::after_start(Duration::from_secs(61)));
        assert_eq!(later.to_string(), "2023-11-14T22:14:21Z");
        assert_eq!(UnixMillis(u64::MAX).to_string(), "9999-12-31T23:59:59Z", "a foreign report may say so");
    }

    #[test]
    fn a_spans_length_is_what_lies_between_its_ends() {
        let sent = Moment::after_start(Duration::from_millis(3));
        let span = Span { sent, received: sent.after(Duration::from_micros(40)) };
        assert_eq!(span.length(), Duration::from_micros(40));
    }
}
