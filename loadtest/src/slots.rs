//! The sessions of users who stay: one slot a user, read by many at a time, changed by one.
//!
//! A slot keeps its place as long as its user stays, so that the users who come often are
//! always the same ones. A new session takes the slot of one that is gone.
//!
//! ```text
//! vacant ──add──▶ held (readers 0, 1, 2 …) ──take──▶ out ──put──▶ held
//!    ▲               │ retire                         │ vacate
//!    └───────────────┴────────────────────────────────┘
//! ```

use std::collections::VecDeque;

use crate::clock::Span;
use crate::session::Session;

/// One user's slot.
#[derive(Clone, Copy, Debug)]
enum Slot {
    Vacant,
    Held { session: Session, readers: u32 },
    Out,
}

/// The slots of one core.
#[derive(Debug, Default)]
pub struct Slots {
    slots: Vec<Slot>,
    /// Indices of vacant slots. Each is there once.
    vacant: Vec<usize>,
    /// Indices of slots whose session had no data when it was added; some have since.
    unwritten: VecDeque<usize>,
    /// Where the search for a session to remove goes on.
    swept: usize,
}

impl Slots {
    /// How many users have a session, one that is out included.
    pub fn count(&self) -> usize {
        debug_assert!(self.vacant.len() <= self.slots.len(), "a vacant slot is a slot");
        self.slots.len() - self.vacant.len()
    }

    /// How many slots there are, vacant ones included.
    pub fn slot_count(&self) -> usize {
        self.slots.len()
    }

    /// Whether the session at `index` is there to be read.
    pub fn is_held(&self, index: usize) -> bool {
        matches!(self.slots.get(index), Some(Slot::Held { .. }))
    }

    /// Whether the session at `index` is there to be changed: nobody is reading it.
    pub fn is_idle(&self, index: usize) -> bool {
        matches!(self.slots.get(index), Some(Slot::Held { readers: 0, .. }))
    }

    /// The slot of a session without data that can be changed, the oldest first.
    pub fn unwritten(&mut self) -> Option<usize> {
        while let Some(&index) = self.unwritten.front() {
            match self.slots[index] {
                Slot::Held { session, readers } if session.version == 0 => {
                    return (readers == 0).then_some(index);
                }
                _ => drop(self.unwritten.pop_front()),
            }
        }
        None
    }

    /// Gives a session a slot.
    pub fn add(&mut self, session: Session) {
        let held = Slot::Held { session, readers: 0 };
        let index = match self.vacant.pop() {
            Some(index) => {
                self.slots[index] = held;
                index
            }
            None => {
                self.slots.push(held);
                self.slots.len() - 1
            }
        };
        if session.version == 0 {
            self.unwritten.push_back(index);
        }
    }

    /// Begins a read of the session at `index`, which is held.
    pub fn share(&mut self, index: usize) -> Session {
        let Slot::Held { session, readers } = &mut self.slots[index] else {
            unreachable!("a session is there when its read begins")
        };
        *readers += 1;
        *session
    }

    /// Ends a read that began with `begun`: whether nobody else has touched the session since
    /// or may be doing so; nothing where the slot has another session by now or none.
    pub fn unshare(&mut self, index: usize, begun: &Session) -> Option<bool> {
        match &mut self.slots[index] {
            Slot::Held { session, readers } if session.number == begun.number => {
                debug_assert!(*readers > 0, "the read was counted");
                *readers -= 1;
                Some(*readers == 0 && session.touched == begun.touched)
            }
            _ => None,
        }
    }

    /// The held session at `index` was touched within `span`.
    pub fn touch(&mut self, index: usize, span: Span) {
        if let Slot::Held { session, .. } = &mut self.slots[index] {
            *session = session.touched_with(span);
        }
    }

    /// Takes the session at `index` out, which is idle.
    pub fn take(&mut self, index: usize) -> Session {
        debug_assert!(self.is_idle(index), "a session that is read is not changed");
        match std::mem::replace(&mut self.slots[index], Slot::Out) {
            Slot::Held { session, .. } => session,
            _ => unreachable!("a session is there when it is taken"),
        }
    }

    /// Puts the session back that was taken out of `index`.
    pub fn put(&mut self, index: usize, session: Session) {
        debug_assert!(matches!(self.slots[index], Slot::Out), "it was taken out");
        self.slots[index] = Slot::Held { session, readers: 0 };
    }

    /// The session that was taken out of `index` does not come back.
    pub fn vacate(&mut self, index: usize) {
        debug_assert!(matches!(self.slots[index], Slot::Out), "it was taken out");
        self.slots[index] = Slot::Vacant;
        self.vacant.push(index);
    }

    /// The session `number` at `index` is used no more, if it is still there.
    pub fn retire(&mut self, index: usize, number: u64) {
        if matches!(&self.slots[index], Slot::Held { session, .. } if session.number == number) {
            self.slots[index] = Slot::Vacant;
            self.vacant.push(index);
        }
    }

    /// Takes out a session that nobody is using, for good.
    pub fn take_idle(&mut self) -> Option<Session> {
        let count = self.slots.len();
        let found = (0..count).map(|step| (self.swept + step) % count).find(|&index| self.is_idle(index))?;
        self.swept = found + 1;
        let session = self.take(found);
        self.vacate(found);
        Some(session)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Moment;
    use std::time::Duration;

    fn session(number: u64) -> Session {
        Session::new(number, 60, true)
    }

    fn with(count: u64) -> Slots {
        let mut slots = Slots::default();
        (0..count).for_each(|number| slots.add(session(number)));
        slots
    }

    #[test]
    fn a_user_keeps_the_slot_and_the_next_one_takes_it_over() {
        let mut slots = with(3);
        let taken = slots.take(1);
        assert!(!slots.is_held(1) && slots.count() == 3, "one that is out is not gone");
        slots.put(1, taken);
        assert_eq!(slots.share(1).number, 1);
        slots.retire(1, 1);
        assert_eq!((slots.count(), slots.slot_count()), (2, 3));
        slots.add(session(9));
        assert_eq!(slots.share(1).number, 9);
    }

    #[test]
    fn what_is_being_read_is_not_changed_and_can_be_read_by_others() {
        let mut slots = with(1);
        let (first, second) = (slots.share(0), slots.share(0));
        assert!(slots.is_held(0) && !slots.is_idle(0));
        assert_eq!(slots.unshare(0, &first), Some(false), "the other may come before or after");
        let at = Moment::after_start(Duration::from_secs(1));
        slots.touch(0, Span { sent: at, received: at });
        assert_eq!(slots.unshare(0, &second), Some(false), "the first has touched it");
        let third = slots.share(0);
        assert_eq!(slots.unshare(0, &third), Some(true));
        assert!(slots.is_idle(0));
    }

    #[test]
    fn a_read_whose_session_is_gone_is_told_so() {
        let mut slots = with(1);
        let (first, second) = (slots.share(0), slots.share(0));
        slots.retire(0, first.number);
        assert_eq!(slots.unshare(0, &second), None);
        slots.add(session(7));
        assert_eq!(slots.unshare(0, &second), None, "another session has the slot");
        slots.retire(0, second.number);
        assert!(slots.is_idle(0), "and stays there");
    }

    #[test]
    fn sessions_without_data_wait_in_line_for_it() {
        let mut slots = Slots::default();
        slots.add(Session::new(0, 60, false));
        slots.add(Session::new(1, 60, false));
        let reading = slots.share(0);
        assert_eq!(slots.unwritten(), None, "the first is being read");
        slots.unshare(0, &reading);
        assert_eq!(slots.unwritten(), Some(0));
        let taken = slots.take(0);
        assert_eq!(slots.unwritten(), Some(1));
        slots.put(0, taken.written());
        slots.retire(1, 1);
        assert_eq!(slots.unwritten(), None);
    }

    #[test]
    fn every_idle_session_can_be_taken_for_good_and_no_other() {
        let mut slots = with(5);
        let (reading, out) = (slots.share(2), slots.take(4));
        let mut numbers: Vec<u64> =
            std::iter::from_fn(|| slots.take_idle()).map(|taken| taken.number).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, [0, 1, 3]);
        slots.unshare(2, &reading);
        slots.put(4, out);
        assert_eq!(std::iter::from_fn(|| slots.take_idle()).count(), 2);
        assert!(Slots::default().take_idle().is_none());
    }
}
