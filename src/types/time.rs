//! Time, with its units: monotonic moments and deadlines, spans, TTLs, wheel ticks, wall time.
//!
//! A [`Moment`] counts milliseconds on a clock that never steps and goes on in suspend.
//! Deadlines are judged in one place, [`Deadline::is_due`], and every conversion to a
//! coarser unit rounds up, so that nothing is ever early. Wall time ([`UnixMillis`])
//! only names a point for people; nothing is decided by it.

use std::num::NonZeroU32;

/// A span of time in milliseconds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct Millis(u64);

impl Millis {
    /// No time at all.
    pub const ZERO: Self = Self(0);

    /// This many milliseconds.
    pub const fn new(millis: u64) -> Self {
        Self(millis)
    }

    /// This many seconds.
    pub const fn from_secs(seconds: u64) -> Self {
        Self(seconds.saturating_mul(1000))
    }

    /// The number of milliseconds.
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// Whole seconds, rounded up.
    pub const fn as_secs_ceil(self) -> u64 {
        self.0.div_ceil(1000)
    }
}

/// A point on the monotonic clock, in milliseconds since the machine booted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct Moment(u64);

impl Moment {
    /// The point this many milliseconds after the clock's zero.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the clock's zero.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// The point `span` later.
    pub const fn after(self, span: Millis) -> Self {
        Self(self.0.saturating_add(span.0))
    }

    /// The span since `earlier`; none where `earlier` is in fact later.
    pub const fn since(self, earlier: Self) -> Millis {
        Millis(self.0.saturating_sub(earlier.0))
    }
}

/// A point of wall time, in milliseconds since 1970-01-01T00:00:00Z. Names a point, decides nothing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct UnixMillis(u64);

impl UnixMillis {
    /// This many milliseconds after the epoch.
    pub const fn new(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the epoch.
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// Whole seconds since the epoch, rounded down.
    pub const fn as_secs(self) -> u64 {
        self.0 / 1000
    }
}

/// The present, read once a turn: the same point on both clocks.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Now {
    /// The point on the monotonic clock, by which everything is judged.
    pub moment: Moment,
    /// The point in wall time, which is only ever shown.
    pub wall: UnixMillis,
}

impl Now {
    /// What the wall clock will show when `deadline` is due, if nobody steps it.
    pub const fn wall_at(self, deadline: Deadline) -> UnixMillis {
        UnixMillis(self.wall.0.saturating_add(deadline.left(self.moment).0))
    }
}

/// How long a session lives after its last touch: whole seconds, from 1 s to 10 years.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Ttl(NonZeroU32);

impl Ttl {
    /// The longest TTL: ten years of 365 days.
    pub const MAX: Self = Self(NonZeroU32::new(10 * 365 * 24 * 60 * 60).expect("ten years are not 0"));

    /// This many seconds, or nothing for 0 and for more than [`Ttl::MAX`].
    pub fn from_secs(seconds: u64) -> Option<Self> {
        let seconds = NonZeroU32::new(u32::try_from(seconds).ok()?)?;
        (seconds <= Self::MAX.0).then_some(Self(seconds))
    }

    /// The number of seconds.
    pub const fn as_secs(self) -> u32 {
        self.0.get()
    }

    /// The same span in milliseconds.
    pub const fn as_millis(self) -> Millis {
        Millis::from_secs(self.0.get() as u64)
    }
}

/// The moment from which a session is gone.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Deadline(Moment);

impl Deadline {
    /// Due at this very moment.
    pub const fn at(moment: Moment) -> Self {
        Self(moment)
    }

    /// Due one `ttl` after a touch at `now`.
    pub const fn after(now: Moment, ttl: Ttl) -> Self {
        Self(now.after(ttl.as_millis()))
    }

    /// The one judgement of expiry: gone from the deadline on, there before it.
    pub const fn is_due(self, now: Moment) -> bool {
        now.0 >= self.0.0
    }

    /// Time left; none once due.
    pub const fn left(self, now: Moment) -> Millis {
        self.0.since(now)
    }

    /// The moment itself.
    pub const fn moment(self) -> Moment {
        self.0
    }
}

/// The timer wheel's unit of time: seconds on the monotonic clock.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct Tick(u64);

impl Tick {
    /// The tick with this number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The first tick at which `deadline` is due: rounded up, so that the wheel never fires early.
    pub const fn when_due(deadline: Deadline) -> Self {
        Self(deadline.0.0.div_ceil(1000))
    }

    /// The last tick that `now` has reached.
    pub const fn reached_at(now: Moment) -> Self {
        Self(now.0 / 1000)
    }

    /// The tick's number.
    pub const fn as_u64(self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_due_from_its_millisecond_on_and_not_before() {
        let ttl = Ttl::from_secs(2).unwrap();
        let deadline = Deadline::after(Moment::from_millis(1_500), ttl);
        assert!(!deadline.is_due(Moment::from_millis(3_499)));
        assert!(deadline.is_due(Moment::from_millis(3_500)));
        assert_eq!(deadline.left(Moment::from_millis(3_499)), Millis::new(1));
        assert_eq!(deadline.left(Moment::from_millis(9_999)), Millis::ZERO);
    }

    #[test]
    fn a_tick_never_comes_before_the_deadline_it_stands_for() {
        for millis in [0, 1, 999, 1_000, 1_001, 59_999, 60_000] {
            let deadline = Deadline::at(Moment::from_millis(millis));
            let tick = Tick::when_due(deadline);
            let fires = Moment::from_millis(tick.as_u64() * 1000);
            assert!(deadline.is_due(fires), "{millis}");
            assert!(fires.since(deadline.moment()) < Millis::from_secs(1), "{millis}");
            assert_eq!(Tick::reached_at(fires), tick);
        }
    }

    #[test]
    fn a_ttl_is_one_second_to_ten_years() {
        assert_eq!(Ttl::from_secs(0), None);
        assert_eq!(Ttl::from_secs(1).unwrap().as_millis(), Millis::new(1000));
        assert_eq!(Ttl::from_secs(315_360_000), Some(Ttl::MAX));
        assert_eq!(Ttl::from_secs(315_360_001), None);
        assert_eq!(Ttl::from_secs(u64::MAX), None);
    }

    #[test]
    fn seconds_left_are_rounded_up() {
        let spans = [(0, 0), (1, 1), (999, 1), (1_000, 1), (1_001, 2)];
        for (millis, seconds) in spans {
            assert_eq!(Millis::new(millis).as_secs_ceil(), seconds);
        }
    }

    #[test]
    fn wall_time_of_a_deadline_is_now_plus_what_is_left() {
        let now = Now { moment: Moment::from_millis(5_000), wall: UnixMillis::new(1_700_000_000_000) };
        let deadline = Deadline::at(Moment::from_millis(7_250));
        assert_eq!(now.wall_at(deadline), UnixMillis::new(1_700_000_002_250));
    }
}
