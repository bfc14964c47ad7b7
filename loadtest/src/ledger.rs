//! What each session of one connection must look like, and the judge of every answer.
//!
//! [`Ledger::begin`] takes a session out and makes an [`Attempt`] of it; the driver sends
//! its request, then gives the attempt back to [`Ledger::settle`] with the answer, or
//! drops it where no answer came: the session's state is unknown then and it is judged no
//! more. The same holds for a session with a wrong answer, so that one fault counts once.
//!
//! The server acted at some point of the exchange's [`Span`]. An answer is wrong only if
//! it is wrong for every such point, widened by [`crate::session::EXPIRY_MARGIN`] on both sides.

use std::collections::VecDeque;

use crate::clock::{Moment, Span};
use crate::judge;
use crate::session::{Presence, Session, Terms};
use crate::verdict::{Verdict, Wrong};
use crate::wire::{Answer, Method, Request};

/// The most short-lived sessions that one connection keeps waiting at a time.
pub const SHORT_LIVED_MAX: usize = 256;

/// The most ids of deleted and expired sessions that are remembered; then the oldest goes.
const GONE_MAX: usize = 64;

/// Where a session is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// Among the sessions that live as long as the run.
    Kept(usize),
    /// The first short-lived one to be read before its deadline.
    Early,
    /// The first short-lived one to be read after its deadline.
    Late,
    /// Among the deleted and expired ones.
    Gone(usize),
}

/// What to do next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// Make a session.
    Create {
        /// With a short TTL of its own.
        short: bool,
        /// With its first data.
        with_data: bool,
    },
    /// Read the session there.
    Read(Place),
    /// Replace its data.
    Update(Place),
    /// Remove it.
    Delete(Place),
}

/// A session that is out for one exchange.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// What is being done.
    pub step: Step,
    session: Session,
}

/// The sessions of one connection.
#[derive(Debug)]
pub struct Ledger {
    terms: Terms,
    /// The number of the next session made here.
    next_number: u64,
    kept: Vec<Session>,
    /// In the order of their creation, and so of their deadlines.
    early: VecDeque<Session>,
    /// In the order of their last touch, and so of their deadlines.
    late: VecDeque<Session>,
    /// `gone.len() <= GONE_MAX`
    gone: VecDeque<Session>,
}

impl Ledger {
    /// A ledger without sessions, whose sessions will be numbered from `first_number`.
    pub fn new(terms: Terms, first_number: u64) -> Self {
        debug_assert!(terms.short_ttl_s > 0, "a TTL is at least a second");
        let (kept, gone) = (Vec::new(), VecDeque::with_capacity(GONE_MAX + 1));
        Self { terms, next_number: first_number, kept, early: VecDeque::new(), late: VecDeque::new(), gone }
    }

    /// How many sessions live as long as the run.
    pub fn kept_count(&self) -> usize {
        self.kept.len()
    }

    /// How many deleted and expired sessions are remembered.
    pub fn gone_count(&self) -> usize {
        self.gone.len()
    }

    /// Whether there is room for another short-lived session.
    pub fn takes_short_lived(&self) -> bool {
        self.early.len() + self.late.len() < SHORT_LIVED_MAX
    }

    /// The place of the session used last, if it waits for its first data.
    pub fn unwritten(&self) -> Option<Place> {
        let last = self.kept.last()?;
        (last.version == 0).then_some(Place::Kept(self.kept.len() - 1))
    }

    /// The short-lived session whose time to be read has come.
    pub fn due(&self, now: Moment) -> Option<Place> {
        if self.late.front().is_some_and(|session| now >= session.due_late()) {
            return Some(Place::Late);
        }
        self.early.front().is_some_and(|session| now >= session.due_early()).then_some(Place::Early)
    }

    /// Takes the step's session out.
    pub fn begin(&mut self, step: Step) -> Attempt {
        let session = match step {
            Step::Create { short, with_data } => self.new_session(short, with_data),
            Step::Read(place) | Step::Update(place) | Step::Delete(place) => self.take(place),
        };
        Attempt { step, session }
    }

    /// The request that the attempt sends.
    pub fn request(&self, attempt: &Attempt) -> Request {
        let session = &attempt.session;
        let id = Some(session.id);
        let (method, id, own_ttl_s, content) = match attempt.step {
            Step::Create { short, .. } => {
                let content = (session.version > 0).then(|| session.content(&self.terms));
                (Method::Put, None, short.then_some(session.ttl_s), content)
            }
            Step::Read(_) => (Method::Get, id, None, None),
            Step::Update(_) => (Method::Post, id, None, Some(session.written().content(&self.terms))),
            Step::Delete(_) => (Method::Delete, id, None, None),
        };
        Request { method, id, own_ttl_s, content }
    }

    /// Judges the answer and puts the session where it now belongs; `path` is what precedes
    /// the slash and the id in a Location.
    pub fn settle(&mut self, attempt: Attempt, answer: &Answer<'_>, span: Span, path: &[u8]) -> Verdict {
        let status = answer.head.status;
        match (attempt.step, status) {
            // A full queue between cores, whose outcome is unknown: judged no more.
            (_, 429 | 503) => Verdict::Refused { status },
            // No room: nothing was changed and nothing extended.
            (Step::Create { .. }, 507) => Verdict::Refused { status },
            (Step::Update(place), 507) => {
                self.put(place, attempt.session);
                Verdict::Refused { status }
            }
            (Step::Create { short, .. }, _) => {
                self.settle_created(attempt.session, answer, span, (short, path))
            }
            (Step::Read(place) | Step::Update(place) | Step::Delete(place), _) => {
                self.settle_existing(attempt, place, answer, span)
            }
        }
    }

    fn settle_created(
        &mut self,
        mut session: Session,
        answer: &Answer<'_>,
        span: Span,
        (short, path): (bool, &[u8]),
    ) -> Verdict {
        match judge::created(&session, answer, path) {
            Err(wrong) => Verdict::Wrong(wrong),
            Ok((id, etag)) => {
                (session.id, session.etag, session.touched) = (id, etag, span);
                if short {
                    self.early.push_back(session)
                } else {
                    self.kept.push(session)
                }
                Verdict::Right
            }
        }
    }

    fn settle_existing(
        &mut self,
        attempt: Attempt,
        place: Place,
        answer: &Answer<'_>,
        span: Span,
    ) -> Verdict {
        let Attempt { step, session } = attempt;
        let presence = match place {
            Place::Gone(_) => Presence::Absent,
            _ => session.presence(span),
        };
        match (answer.head.status, presence) {
            (200, Presence::Absent) if matches!(place, Place::Gone(_)) => Verdict::Wrong(Wrong::Revived),
            (200, Presence::Absent) => Verdict::Wrong(session.outlived(span)),
            (200, _) => match self.judge_present(step, &session, answer) {
                Err(wrong) => Verdict::Wrong(wrong),
                Ok(etag) => {
                    self.put_touched(step, place, session.touched_by(span, etag));
                    right_unless(presence)
                }
            },
            (404, Presence::There) => Verdict::Wrong(session.expired_early(span)),
            (404, _) => match judge::absent(answer) {
                Err(wrong) => Verdict::Wrong(wrong),
                Ok(()) => {
                    self.remember_gone(session);
                    right_unless(presence)
                }
            },
            (got, Presence::Absent) => Verdict::Wrong(Wrong::Status { expected: 404, got }),
            (got, _) => Verdict::Wrong(Wrong::Status { expected: 200, got }),
        }
    }

    /// Judges a 200 about a session that may be there; gives the number of its ETag now.
    fn judge_present(&self, step: Step, session: &Session, answer: &Answer<'_>) -> Result<u64, Wrong> {
        match step {
            Step::Create { .. } => unreachable!("a session that is made was not there before"),
            Step::Read(_) => judge::read(session, &session.content(&self.terms), answer),
            Step::Update(_) => judge::updated(session, answer),
            Step::Delete(_) => judge::deleted(answer).map(|()| session.etag),
        }
    }

    fn new_session(&mut self, short: bool, with_data: bool) -> Session {
        let number = self.next_number;
        self.next_number += 1;
        Session::new(number, if short { self.terms.short_ttl_s } else { self.terms.ttl_s }, with_data)
    }

    fn take(&mut self, place: Place) -> Session {
        let taken = match place {
            // The order of the kept ones means nothing: places in it are drawn.
            Place::Kept(index) => return self.kept.swap_remove(index),
            Place::Early => self.early.pop_front(),
            Place::Late => self.late.pop_front(),
            Place::Gone(index) => self.gone.remove(index),
        };
        taken.expect("a step names a place that has a session")
    }

    fn put_touched(&mut self, step: Step, place: Place, session: Session) {
        match step {
            Step::Delete(_) => self.remember_gone(session),
            Step::Update(_) => self.put(place, session.written()),
            Step::Create { .. } | Step::Read(_) => self.put(place, session),
        }
    }

    fn put(&mut self, place: Place, session: Session) {
        match place {
            Place::Kept(_) => self.kept.push(session),
            // Just touched, so its deadline is the last of all.
            Place::Early | Place::Late => self.late.push_back(session),
            Place::Gone(_) => self.remember_gone(session),
        }
    }

    fn remember_gone(&mut self, session: Session) {
        if self.gone.len() == GONE_MAX {
            self.gone.pop_front();
        }
        self.gone.push_back(session);
        debug_assert!(self.gone.len() <= GONE_MAX, "the memory of gone sessions is bounded");
    }
}

impl Attempt {
    /// The session's number, for the text of a wrong answer.
    pub fn session_number(&self) -> u64 {
        self.session.number
    }
}

fn right_unless(presence: Presence) -> Verdict {
    if presence == Presence::Either { Verdict::Borderline } else { Verdict::Right }
}

#[cfg(test)]
mod tests;
