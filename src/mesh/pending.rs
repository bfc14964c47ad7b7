//! The table of answers that a core awaits from others.
//!
//! A place is reserved before the request leaves, so an answer always has somewhere to go.
//! Each use of a place has its own generation: an answer that comes after its asker has
//! given up finds another generation there, and is dropped.

use super::frame::{Parcel, Ticket};
use crate::types::{Millis, Moment};

/// How long a forwarded request may take before its asker gives up.
pub const FORWARD_TIMEOUT: Millis = Millis::from_secs(1);

/// What a place is used for. `W` is what the driver needs to wake the asker.
#[derive(Debug)]
enum State<W> {
    Free,
    /// Nothing yet. `until` is none for what may take as long as it takes.
    Waiting { until: Option<Moment>, waker: Option<W> },
    Answered(Parcel),
    /// The asker has not noticed yet that nothing came in time.
    TimedOut,
}

#[derive(Debug)]
struct Slot<W> {
    generation: u32,
    state: State<W>,
}

/// What an asker finds in its place.
#[derive(Debug)]
pub enum Reply {
    /// The answer. The place is free again.
    Answered(Parcel),
    /// Nothing came in time. The place is free again; what comes later is dropped.
    TimedOut,
}

/// The answers that one core awaits.
#[derive(Debug)]
pub struct Pending<W> {
    slots: Vec<Slot<W>>,
    free: Vec<u32>,
}

impl<W> Default for Pending<W> {
    fn default() -> Self {
        Self { slots: Vec::new(), free: Vec::new() }
    }
}

impl<W> Pending<W> {
    /// Reserves a place for the answer to `parcel`, which is sent off at `now`.
    pub fn reserve(&mut self, parcel: &mut Parcel, now: Moment) -> Ticket {
        let until = match parcel {
            Parcel::Sessions(_) => Some(now.after(FORWARD_TIMEOUT)),
            // A key change ends when all cores have it; its asker must not be told less.
            Parcel::Key(_) => None,
        };
        let state = State::Waiting { until, waker: None };
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slots[slot as usize].state = state;
                slot
            }
            None => {
                self.slots.push(Slot { generation: 0, state });
                (self.slots.len() - 1) as u32
            }
        };
        let ticket = Ticket { slot, generation: self.slots[slot as usize].generation };
        parcel.set_ticket(ticket);
        ticket
    }

    /// Gives a place back for which nothing was sent after all.
    pub fn cancel(&mut self, ticket: Ticket) {
        if self.slot(ticket).is_some() {
            self.free(ticket);
        }
    }

    /// Puts an answer into its place and says whom to wake. An answer that comes too late is
    /// dropped here.
    pub fn complete(&mut self, parcel: Parcel) -> Option<W> {
        let slot = self.slot(parcel.ticket())?;
        match std::mem::replace(&mut slot.state, State::Free) {
            State::Waiting { waker, .. } => {
                slot.state = State::Answered(parcel);
                waker
            }
            other => {
                debug_assert!(matches!(other, State::TimedOut), "one request, one answer");
                slot.state = other;
                None
            }
        }
    }

    /// Takes what has come for `ticket`; if nothing has, notes whom to wake.
    pub fn poll(&mut self, ticket: Ticket, waker: impl FnOnce() -> W) -> Option<Reply> {
        let slot = self.slot(ticket)?;
        match std::mem::replace(&mut slot.state, State::Free) {
            State::Waiting { until, .. } => {
                slot.state = State::Waiting { until, waker: Some(waker()) };
                return None;
            }
            State::Answered(parcel) => {
                self.free(ticket);
                Some(Reply::Answered(parcel))
            }
            State::TimedOut | State::Free => {
                self.free(ticket);
                Some(Reply::TimedOut)
            }
        }
    }

    /// Gives up on everything whose time is over at `now`, and says whom to wake.
    pub fn time_out(&mut self, now: Moment) -> Vec<W> {
        let mut woken = Vec::new();
        for slot in &mut self.slots {
            if let State::Waiting { until: Some(until), waker } = &mut slot.state
                && *until <= now
            {
                woken.extend(waker.take());
                slot.state = State::TimedOut;
            }
        }
        woken
    }

    /// How many answers are awaited, or there and not yet taken.
    pub fn len(&self) -> usize {
        debug_assert!(self.free.len() <= self.slots.len());
        self.slots.len() - self.free.len()
    }

    /// Whether nothing is awaited.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn slot(&mut self, ticket: Ticket) -> Option<&mut Slot<W>> {
        self.slots.get_mut(ticket.slot as usize).filter(|slot| slot.generation == ticket.generation)
    }

    fn free(&mut self, ticket: Ticket) {
        let slot = &mut self.slots[ticket.slot as usize];
        slot.state = State::Free;
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(ticket.slot);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mesh::frame::{Frame, KeyFrame};
    use crate::registry::{KeyAction, KeyOperation};
    use crate::types::{BucketName, ShardId};

    const NOW: Moment = Moment::from_millis(1_000);

    fn sessions() -> Parcel {
        Parcel::Sessions(Box::new(Frame::new(ShardId::FIRST)))
    }

    fn key(ticket: Ticket) -> Parcel {
        let bucket = BucketName::parse(b"cart").unwrap();
        let operation = KeyOperation { bucket, action: KeyAction::Read };
        Parcel::Key(Box::new(KeyFrame { sender: ShardId::FIRST, ticket, operation, outcome: None }))
    }

    #[test]
    fn an_answer_wakes_its_asker_and_is_taken_once() {
        let mut pending = Pending::<&str>::default();
        let mut parcel = sessions();
        let ticket = pending.reserve(&mut parcel, NOW);
        assert!(pending.poll(ticket, || "asker").is_none());
        assert_eq!(pending.complete(parcel), Some("asker"));
        assert!(matches!(pending.poll(ticket, || "asker"), Some(Reply::Answered(_))));
        assert!(pending.poll(ticket, || "asker").is_none());
        assert!(pending.is_empty());
    }

    #[test]
    fn an_answer_that_comes_before_anyone_asks_is_kept() {
        let mut pending = Pending::<()>::default();
        let mut parcel = sessions();
        let ticket = pending.reserve(&mut parcel, NOW);
        assert_eq!(pending.complete(parcel), None);
        assert!(matches!(pending.poll(ticket, || ()), Some(Reply::Answered(_))));
    }

    #[test]
    fn a_late_answer_is_dropped_even_where_its_place_is_used_again() {
        let mut pending = Pending::<u8>::default();
        let mut late = sessions();
        let ticket = pending.reserve(&mut late, NOW);
        assert!(pending.poll(ticket, || 1).is_none());
        assert!(pending.time_out(Moment::from_millis(1_999)).is_empty());
        assert_eq!(pending.time_out(Moment::from_millis(2_000)), [1]);
        assert!(matches!(pending.poll(ticket, || 1), Some(Reply::TimedOut)));
        let mut next = sessions();
        let second = pending.reserve(&mut next, NOW);
        assert_eq!((second.slot, ticket.slot), (0, 0));
        assert!(pending.poll(second, || 2).is_none());
        assert_eq!(pending.complete(late), None, "the late one");
        assert_eq!(pending.complete(next), Some(2));
    }

    #[test]
    fn an_answer_between_the_timeout_and_its_notice_is_dropped() {
        let mut pending = Pending::<u8>::default();
        let mut parcel = sessions();
        let ticket = pending.reserve(&mut parcel, NOW);
        assert!(pending.time_out(Moment::from_millis(9_000)).is_empty(), "nobody to wake");
        assert_eq!(pending.complete(parcel), None);
        assert!(matches!(pending.poll(ticket, || 1), Some(Reply::TimedOut)));
        assert_eq!(pending.len(), 0);
    }

    #[test]
    fn a_key_change_is_waited_for_however_long_it_takes() {
        let mut pending = Pending::<u8>::default();
        let mut parcel = key(Ticket { slot: 0, generation: 0 });
        let ticket = pending.reserve(&mut parcel, NOW);
        assert!(pending.poll(ticket, || 1).is_none());
        assert!(pending.time_out(Moment::from_millis(u64::MAX)).is_empty());
        assert_eq!(pending.complete(parcel), Some(1));
    }

    #[test]
    fn a_cancelled_place_is_used_again() {
        let mut pending = Pending::<u8>::default();
        for _ in 0..3 {
            let ticket = pending.reserve(&mut sessions(), NOW);
            assert_eq!(ticket.slot, 0);
            pending.cancel(ticket);
        }
        assert!(pending.is_empty());
    }
}
