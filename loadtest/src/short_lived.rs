//! The sessions that nobody keeps alive, waiting to be looked at before and after their deadlines.
//!
//! A session that was touched again is then due once more. One that must not be touched is peeked
//! at before its deadline, which stays where it is: in a wave all fall due together, and bots
//! never come back. Bounded; the ledger judges what is found.

use std::collections::VecDeque;

use crate::clock::Moment;
use crate::session::Session;
use crate::step::Place;

/// The most short-lived sessions that one core keeps waiting at a time.
const SHORT_LIVED_MAX: usize = 16 * 1024;

/// Every how many of the sessions that nobody touches again, one is looked at before its deadline.
pub const PEEK_PERIOD: u64 = 8;

/// The short-lived sessions of one core.
#[derive(Debug, Default)]
pub struct ShortLived {
    /// In the order of their deadlines: one that waited behind a later one would not be told from
    /// one that has rightly gone.
    early: VecDeque<Session>,
    /// In the order of their last touch, and so nearly of their deadlines; those that were only
    /// peeked at come behind what was made meanwhile.
    late: VecDeque<Session>,
}

impl ShortLived {
    /// Whether there is room for another one.
    pub fn has_room(&self) -> bool {
        self.early.len() + self.late.len() < SHORT_LIVED_MAX
    }

    /// The place of the one whose time to be looked at has come.
    pub fn due(&self, now: Moment) -> Option<Place> {
        if self.late.front().is_some_and(|session| now >= session.due_late()) {
            return Some(Place::Late);
        }
        self.early.front().is_some_and(|session| now >= session.due_early()).then_some(Place::Early)
    }

    /// Takes in a new one that may be touched before its deadline.
    pub fn add(&mut self, session: Session) {
        let due = session.due_early();
        // Almost always the last; in a wave, TTLs shrink by whole seconds while time flows.
        let at = self.early.partition_point(|other| other.due_early() <= due);
        self.early.insert(at, session);
        debug_assert!(self.early.back().is_some_and(|last| last.due_early() >= due), "they are in order");
    }

    /// Takes in a new one that must not be touched before its deadline. More come than can be
    /// looked after, so that some are left to themselves.
    pub fn add_untouched(&mut self, session: Session) {
        if !self.has_room() {
            return;
        }
        if session.number.is_multiple_of(PEEK_PERIOD) {
            self.add(Session { peeked: true, ..session });
        } else {
            self.late.push_back(session);
        }
    }

    /// Takes one back that was looked at. Where that touched it its deadline is the last of all;
    /// else it is looked at later than it might be, when it must be gone all the same.
    pub fn put(&mut self, session: Session) {
        self.late.push_back(session);
    }

    /// Takes out the next one to be looked at before its deadline.
    pub fn take_early(&mut self) -> Option<Session> {
        self.early.pop_front()
    }

    /// Takes out the next one to be looked at after its deadline.
    pub fn take_late(&mut self) -> Option<Session> {
        self.late.pop_front()
    }
}
