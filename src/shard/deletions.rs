//! Which sessions clients have deleted a moment ago, by id, until no crash brings them back.
//!
//! Whoever is told that a session is missing must not find it again after a crash, so a 404
//! waits for the deletion of that very session, and for no other. Remembered are as many as
//! a few syncs cover; what is forgotten too early, for there being too many, is waited for by
//! all. Work and memory are bounded, and nothing is cleared by time.

use std::collections::VecDeque;

use ahash::AHashMap;

use crate::journal::Wait;
use crate::types::SessionId;

/// Deletions that are remembered by id: more than a disk that syncs in 10 ms leaves unsynced at
/// a million a second.
const DELETIONS_MAX: usize = 10_000;
/// Deletions that are forgotten for each one that is noted: more than one, so that the memory
/// becomes empty again.
const FORGOTTEN_A_NOTE_MAX: usize = 2;

/// The newest deletions of a shard.
#[derive(Default, Debug)]
pub(super) struct Deletions {
    /// `waits.len() == order.len() <= DELETIONS_MAX`
    waits: AHashMap<SessionId, Wait>,
    /// Oldest first.
    order: VecDeque<SessionId>,
    /// What all that were forgotten too early wait for.
    others: Wait,
}

impl Deletions {
    /// The most that it takes, in bytes: a table that is full at seven eighths, with a byte more
    /// a place, and a queue, each of a power of two of places.
    pub(super) const BYTES_MAX: usize = {
        let places = (DELETIONS_MAX * 8 / 7).next_power_of_two();
        let queued = DELETIONS_MAX.next_power_of_two();
        places * (size_of::<(SessionId, Wait)>() + 1) + queued * size_of::<SessionId>()
    };

    /// Remembers that a session was deleted, by a record that `wait` is about. `is_kept` tells
    /// whether a wait is over.
    pub(super) fn note(&mut self, id: SessionId, wait: Wait, is_kept: impl Fn(Wait) -> bool) {
        for _ in 0..FORGOTTEN_A_NOTE_MAX {
            let oldest = self.order.front().and_then(|id| self.waits.get(id));
            if !oldest.is_some_and(|wait| is_kept(*wait)) {
                break;
            }
            self.forget_oldest();
        }
        if self.order.len() >= DELETIONS_MAX
            && let Some(wait) = self.forget_oldest()
        {
            self.others = self.others.and(wait);
        }
        if self.waits.insert(id, wait).is_none() {
            self.order.push_back(id);
        }
        debug_assert!(self.waits.len() == self.order.len() && self.order.len() <= DELETIONS_MAX);
    }

    /// What must come before anybody is told that this session is missing.
    pub(super) fn wait_of(&self, id: SessionId) -> Wait {
        self.waits.get(&id).copied().unwrap_or(self.others)
    }

    fn forget_oldest(&mut self) -> Option<Wait> {
        self.order.pop_front().and_then(|id| self.waits.remove(&id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{Level, Sequence};

    fn id(number: usize) -> SessionId {
        SessionId::from_random((number as u128).to_le_bytes())
    }

    fn wait(number: usize) -> Wait {
        Wait::until(Level::Synced, Sequence::new(number as u64 + 1))
    }

    #[test]
    fn a_missing_session_waits_for_its_own_deletion_alone() {
        let mut deletions = Deletions::default();
        (0..100).for_each(|number| deletions.note(id(number), wait(number), |_| false));
        assert!((0..100).all(|number| deletions.wait_of(id(number)) == wait(number)));
        assert_eq!(deletions.wait_of(id(100)), Wait::NONE);
    }

    #[test]
    fn what_is_kept_is_forgotten_and_what_is_not_is_waited_for_even_if_forgotten() {
        let mut deletions = Deletions::default();
        let kept = |upto: usize| move |wait: Wait| wait.synced <= Sequence::new(upto as u64);
        (0..1_000).for_each(|number| deletions.note(id(number), wait(number), kept(500)));
        (1_000..2_000).for_each(|number| deletions.note(id(number), wait(number), kept(1_000)));
        assert_eq!((deletions.order.len(), deletions.others), (1_000, Wait::NONE));
        (2_000..20_000).for_each(|number| deletions.note(id(number), wait(number), |_| false));
        assert_eq!(deletions.order.len(), DELETIONS_MAX);
        assert_eq!(deletions.wait_of(id(19_999)), wait(19_999));
        // The newest of those that are not known by their ids any more.
        let forgotten = 20_000 - DELETIONS_MAX - 1;
        assert_eq!(deletions.wait_of(id(forgotten)), wait(forgotten));
        assert_eq!(deletions.wait_of(id(30_000)), wait(forgotten));
    }
}
