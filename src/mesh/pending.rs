//! The table of answers that a core awaits from others.
//!
//! A place is reserved before the request leaves, so an answer always has somewhere to go.
//! A place whose asker has given up stays taken until the answer has come after all, and is
//! dropped there: so no more answers are ever under way than there are places, and whatever
//! carries them home can be made large enough to never be full.

use super::frame::{Parcel, Ticket};
use crate::types::{Millis, Moment};

/// How long a forwarded request may take before its asker gives up.
pub const FORWARD_TIMEOUT: Millis = Millis::from_secs(1);

/// What a place is used for. `W` is what the driver needs to wake the asker.
#[derive(Debug)]
enum State<W> {
    Free,
    /// Nothing yet. `until` is none for what may take as long as it takes.
    Waiting {
        until: Option<Moment>,
        waker: Option<W>,
    },
    Answered(Parcel),
    /// The asker has not noticed yet that nothing came in time.
    TimedOut,
    /// The asker is gone; the answer is still on its way.
    Abandoned,
    /// The answer came after the time was over, and before the asker noticed.
    TooLate,
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
    /// Nothing came in time; what comes later is dropped.
    TimedOut,
}

/// The answers that one core awaits.
#[derive(Debug)]
pub struct Pending<W> {
    /// `slots.len() <= places_max`
    slots: Vec<Slot<W>>,
    free: Vec<u32>,
    places_max: usize,
}

impl<W> Pending<W> {
    /// A table of at most so many places.
    pub fn new(places_max: usize) -> Self {
        Self { slots: Vec::new(), free: Vec::new(), places_max }
    }

    /// Reserves a place for the answer to `parcel`, which is sent off at `now`. None where all
    /// places are taken.
    pub fn reserve(&mut self, parcel: &mut Parcel, now: Moment) -> Option<Ticket> {
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
            None if self.slots.len() >= self.places_max => return None,
            None => {
                self.slots.push(Slot { generation: 0, state });
                (self.slots.len() - 1) as u32
            }
        };
        let ticket = Ticket { slot, generation: self.slots[slot as usize].generation };
        parcel.set_ticket(ticket);
        Some(ticket)
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
        let ticket = parcel.ticket();
        let slot = self.slot(ticket)?;
        match std::mem::replace(&mut slot.state, State::TooLate) {
            State::Waiting { waker, .. } => {
                slot.state = State::Answered(parcel);
                waker
            }
            State::TimedOut => None,
            State::Abandoned => {
                self.free(ticket);
                None
            }
            other => {
                debug_assert!(false, "one request, one answer: {parcel:?}");
                slot.state = other;
                None
            }
        }
    }

    /// Takes what has come for `ticket`; if nothing has, notes whom to wake.
    pub fn poll(&mut self, ticket: Ticket, waker: impl FnOnce() -> W) -> Option<Reply> {
        let slot = self.slot(ticket)?;
        match std::mem::replace(&mut slot.state, State::Abandoned) {
            State::Waiting { until, .. } => {
                slot.state = State::Waiting { until, waker: Some(waker()) };
                None
            }
            State::Answered(parcel) => {
                self.free(ticket);
                Some(Reply::Answered(parcel))
            }
            State::TimedOut => Some(Reply::TimedOut),
            State::TooLate | State::Free | State::Abandoned => {
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

    /// How many places are taken: answers awaited, given up on, or there and not yet taken.
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
        let mut pending = Pending::<&str>::new(8);
        let mut parcel = sessions();
        let ticket = pending.reserve(&mut parcel, NOW).unwrap();
        assert!(pending.poll(ticket, || "asker").is_none());
        assert_eq!(pending.complete(parcel), Some("asker"));
        assert!(matches!(pending.poll(ticket, || "asker"), Some(Reply::Answered(_))));
        assert!(pending.poll(ticket, || "asker").is_none());
        assert!(pending.is_empty());
    }

    #[test]
    fn an_answer_that_comes_before_anyone_asks_is_kept() {
        let mut pending = Pending::<()>::new(8);
        let mut parcel = sessions();
        let ticket = pending.reserve(&mut parcel, NOW).unwrap();
        assert_eq!(pending.complete(parcel), None);
        assert!(matches!(pending.poll(ticket, || ()), Some(Reply::Answered(_))));
    }

    #[test]
    fn a_late_answer_is_dropped_and_frees_the_place_that_was_kept_for_it() {
        let mut pending = Pending::<u8>::new(8);
        let mut late = sessions();
        let ticket = pending.reserve(&mut late, NOW).unwrap();
        assert!(pending.poll(ticket, || 1).is_none());
        assert!(pending.time_out(Moment::from_millis(1_999)).is_empty());
        assert_eq!(pending.time_out(Moment::from_millis(2_000)), [1]);
        assert!(matches!(pending.poll(ticket, || 1), Some(Reply::TimedOut)));
        let mut next = sessions();
        let second = pending.reserve(&mut next, NOW).unwrap();
        assert_eq!((ticket.slot, second.slot), (0, 1), "the place is kept");
        assert_eq!(pending.complete(late), None);
        assert_eq!(pending.len(), 1);
        assert_eq!(pending.reserve(&mut sessions(), NOW).unwrap().slot, 0);
    }

    #[test]
    fn an_answer_between_the_timeout_and_its_notice_is_dropped() {
        let mut pending = Pending::<u8>::new(8);
        let mut parcel = sessions();
        let ticket = pending.reserve(&mut parcel, NOW).unwrap();
        assert!(pending.time_out(Moment::from_millis(9_000)).is_empty(), "nobody to wake");
        assert_eq!(pending.complete(parcel), None);
        assert!(matches!(pending.poll(ticket, || 1), Some(Reply::TimedOut)));
        assert_eq!(pending.len(), 0);
    }

    #[test]
    fn a_key_change_is_waited_for_however_long_it_takes() {
        let mut pending = Pending::<u8>::new(8);
        let mut parcel = key(Ticket { slot: 0, generation: 0 });
        let ticket = pending.reserve(&mut parcel, NOW).unwrap();
        assert!(pending.poll(ticket, || 1).is_none());
        assert!(pending.time_out(Moment::from_millis(u64::MAX)).is_empty());
        assert_eq!(pending.complete(parcel), Some(1));
    }

    #[test]
    fn no_more_answers_are_under_way_than_there_are_places() {
        let mut pending = Pending::<u8>::new(2);
        let mut parcels = [sessions(), sessions(), sessions()];
        assert!(parcels[..2].iter_mut().all(|parcel| pending.reserve(parcel, NOW).is_some()));
        assert!(pending.reserve(&mut parcels[2], NOW).is_none());
        pending.time_out(Moment::from_millis(9_000));
        assert!(matches!(pending.poll(parcels[0].ticket(), || 1), Some(Reply::TimedOut)));
        assert!(pending.reserve(&mut sessions(), NOW).is_none(), "its answer is still under way");
    }

    #[test]
    fn a_cancelled_place_is_used_again() {
        let mut pending = Pending::<u8>::new(8);
        for _ in 0..3 {
            let ticket = pending.reserve(&mut sessions(), NOW).unwrap();
            assert_eq!(ticket.slot, 0);
            pending.cancel(ticket);
        }
        assert!(pending.is_empty());
    }
}
