//! The one place where time is read.
//!
//! [`Clock::now`] is called once a turn and handed down; nothing below the runtime can ask
//! again. The monotonic clock is CLOCK_BOOTTIME: nobody can step it and it goes on while
//! the machine is suspended, as a session's life does. Both readings are rounded down to
//! the millisecond, so that a deadline is judged due only once it is truly past.

use std::time::Duration;

use rustix::time::{ClockId, Timespec, clock_gettime};

use crate::types::{Moment, Now, UnixMillis};

/// The machine's clocks.
#[derive(Clone, Copy, Debug)]
pub struct Clock;

impl Clock {
    /// A clock that is fine enough to time single operations, from no particular point on.
    pub fn stopwatch() -> Duration {
        let Timespec { tv_sec, tv_nsec } = clock_gettime(ClockId::Monotonic);
        Duration::new(u64::try_from(tv_sec).unwrap_or(0), u32::try_from(tv_nsec).unwrap_or(0))
    }

    /// The present on both clocks.
    pub fn now() -> Now {
        Now {
            moment: Moment::from_millis(whole_millis(clock_gettime(ClockId::Boottime))),
            wall: UnixMillis::new(whole_millis(clock_gettime(ClockId::Realtime))),
        }
    }
}

/// Whole milliseconds, rounded down; 0 for a wall clock that is set before 1970.
fn whole_millis(reading: Timespec) -> u64 {
    debug_assert!((0..1_000_000_000).contains(&reading.tv_nsec), "nanoseconds are a part of a second");
    let millis = reading.tv_sec.saturating_mul(1000).saturating_add(reading.tv_nsec / 1_000_000);
    u64::try_from(millis).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readings_are_rounded_down_to_the_millisecond() {
        let table = [
            ((0, 0), 0),
            ((0, 999_999), 0),
            ((0, 1_000_000), 1),
            ((1, 999_999_999), 1_999),
            ((1_700_000_000, 1), 1_700_000_000_000),
            ((-1, 999_999_999), 0),
            ((i64::MAX, 0), i64::MAX as u64),
        ];
        for ((tv_sec, tv_nsec), millis) in table {
            assert_eq!(whole_millis(Timespec { tv_sec, tv_nsec }), millis, "{tv_sec} s {tv_nsec} ns");
        }
    }

    #[test]
    fn the_moment_never_goes_back() {
        let mut last = Clock::now().moment;
        for _ in 0..10_000 {
            let now = Clock::now().moment;
            assert!(now >= last);
            last = now;
        }
    }

    #[test]
    fn wall_time_is_counted_from_1970() {
        // 2024-01-01 and 2200-01-01: wrong units or the wrong clock fall outside.
        let wall = Clock::now().wall.as_secs();
        assert!((1_704_067_200..7_258_118_400).contains(&wall), "{wall}");
    }
}
