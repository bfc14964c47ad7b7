//! What an answer waits for, and the clock that deadlines are logged by.
//!
//! A [`Wait`] says how far one shard's log must have come. Waits add up: an answer that
//! shows several changes waits for the latest at each level. A [`JournalClock`] turns moments
//! of this process into journal time and back; both run at the same pace, so one point that
//! is known on both is enough.

use super::progress::Level;
use super::units::{JournalMillis, Sequence};
use crate::types::{Deadline, Moment};

/// How far one shard's log must have come before something may be told.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Wait {
    /// This record must be written.
    pub written: Sequence,
    /// This record must be synced.
    pub synced: Sequence,
}

impl Wait {
    /// Nothing is waited for.
    pub const NONE: Self = Self { written: Sequence::NONE, synced: Sequence::NONE };

    /// Until the record `sequence` has reached `level`.
    pub const fn until(level: Level, sequence: Sequence) -> Self {
        match level {
            Level::Written => Self { written: sequence, ..Self::NONE },
            Level::Synced => Self { synced: sequence, ..Self::NONE },
        }
    }

    /// Until both have come.
    pub fn and(self, other: Self) -> Self {
        Self { written: self.written.max(other.written), synced: self.synced.max(other.synced) }
    }

    /// The record that must have reached `level`.
    pub const fn at(self, level: Level) -> Sequence {
        match level {
            Level::Written => self.written,
            Level::Synced => self.synced,
        }
    }

    /// The rest, once `level` has been reached.
    pub const fn without(self, level: Level) -> Self {
        match level {
            Level::Written => Self { written: Sequence::NONE, ..self },
            Level::Synced => Self { synced: Sequence::NONE, ..self },
        }
    }

    /// Whether nothing is waited for.
    pub fn is_none(self) -> bool {
        self == Self::NONE
    }
}

/// Moments of this process in journal time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct JournalClock {
    journal: JournalMillis,
    /// The same point as `journal`; nothing earlier is ever asked for.
    moment: Moment,
}

impl JournalClock {
    /// The clock on which it was `journal` at `moment`.
    pub const fn new(journal: JournalMillis, moment: Moment) -> Self {
        Self { journal, moment }
    }

    /// The time at `moment`; what is before the clock's beginning is taken for that.
    pub const fn time_at(self, moment: Moment) -> JournalMillis {
        self.journal.after(moment.since(self.moment))
    }

    /// When a session is due, in journal time.
    pub const fn time_of(self, deadline: Deadline) -> JournalMillis {
        self.time_at(deadline.moment())
    }

    /// When a session is due that is due at `time`; at the clock's beginning where that is
    /// before.
    pub const fn deadline_at(self, time: JournalMillis) -> Deadline {
        Deadline::at(self.moment.after(time.since(self.journal)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sequence(number: u64) -> Sequence {
        Sequence::new(number)
    }

    #[test]
    fn waits_add_up_to_the_later_of_each_level() {
        let written = Wait::until(Level::Written, sequence(7));
        let synced = Wait::until(Level::Synced, sequence(3));
        let both = written.and(synced).and(Wait::until(Level::Written, sequence(5)));
        assert_eq!((both.at(Level::Written), both.at(Level::Synced)), (sequence(7), sequence(3)));
        assert_eq!(both.and(Wait::NONE), both);
        assert!(Wait::NONE.is_none() && !synced.is_none());
    }

    #[test]
    fn a_deadline_comes_back_from_journal_time_as_it_was() {
        let clock = JournalClock::new(JournalMillis::new(10_000), Moment::from_millis(700));
        for millis in [700, 701, 5_000, 400_000_000_000] {
            let deadline = Deadline::at(Moment::from_millis(millis));
            assert_eq!(clock.time_of(deadline), JournalMillis::new(millis - 700 + 10_000));
            assert_eq!(clock.deadline_at(clock.time_of(deadline)), deadline);
        }
        assert_eq!(clock.deadline_at(JournalMillis::new(3)), Deadline::at(Moment::from_millis(700)));
        assert_eq!(clock.time_at(Moment::from_millis(5)), JournalMillis::new(10_000));
    }
}
