//! What each session of one core must look like, and the judge of every answer.
//!
//! [`Ledger::begin`] makes an [`Attempt`] of a step; the driver sends its request, then gives
//! the attempt back to [`Ledger::settle`] with the answer, or to [`Ledger::lose`] where none
//! came: the session's state is unknown then and it is judged no more. The same holds for a
//! session with a wrong answer, so that one fault counts once.
//!
//! A session is used by whichever connection comes next: several may read it at a time, one
//! alone may change it. `contest` holds those that are changed at the same time.
//!
//! The server acted at some point of the exchange's [`Span`]. An answer is wrong only if
//! it is wrong for every such point, widened by [`crate::session::EXPIRY_MARGIN`] on both sides.

use std::collections::VecDeque;

use crate::clock::{Moment, Span};
use crate::contest::{Act, Claim, Contest};
use crate::judge;
use crate::session::{Presence, Session, Terms};
use crate::short_lived::ShortLived;
use crate::slots::Slots;
use crate::step::{Place, Step, Visit};
use crate::verdict::{Verdict, Wrong};
use crate::wire::{Answer, Method, Request};

/// The most ids of deleted and expired sessions that are remembered; then the oldest goes.
const GONE_MAX: usize = 64;

/// A session's part in one exchange.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// What is being done.
    pub step: Step,
    session: Session,
    /// Where the step is about a contested session, and only there.
    claim: Option<Claim>,
}

/// The sessions of one core.
#[derive(Debug)]
pub struct Ledger {
    terms: Terms,
    /// The number of the next session made here.
    next_number: u64,
    /// Sessions that are being made and will stay, contested ones included.
    creating: usize,
    kept: Slots,
    contest: Contest,
    short_lived: ShortLived,
    /// `gone.len() <= GONE_MAX`
    gone: VecDeque<Session>,
}

impl Ledger {
    /// A ledger without sessions, whose sessions will be numbered from `first_number`.
    pub fn new(terms: Terms, first_number: u64) -> Self {
        debug_assert!(terms.short_ttl_s > 0, "a TTL is at least a second");
        Self {
            terms,
            next_number: first_number,
            creating: 0,
            kept: Slots::default(),
            contest: Contest::default(),
            short_lived: ShortLived::default(),
            gone: VecDeque::with_capacity(GONE_MAX + 1),
        }
    }

    /// The users who stay.
    pub fn kept(&self) -> &Slots {
        &self.kept
    }

    /// How many sessions stay, with those that are being made.
    pub fn staying_count(&self) -> usize {
        self.kept.count() + self.contest.count() + self.creating
    }

    /// How many contested sessions can be used.
    pub fn contested_count(&self) -> usize {
        self.contest.count()
    }

    /// How many deleted and expired sessions are remembered.
    pub fn gone_count(&self) -> usize {
        self.gone.len()
    }

    /// Whether there is room for another short-lived session that is read before its deadline.
    pub fn takes_short_lived(&self) -> bool {
        self.short_lived.has_room()
    }

    /// The place of a session that waits for its first data.
    pub fn unwritten(&mut self) -> Option<Place> {
        self.kept.unwritten().map(Place::Kept)
    }

    /// The short-lived session whose time to be read has come.
    pub fn due(&self, now: Moment) -> Option<Place> {
        self.short_lived.due(now)
    }

    /// Begins the step at `now`.
    pub fn begin(&mut self, step: Step, now: Moment) -> Attempt {
        let mut claim = None;
        let session = match step {
            Step::Create { visit, with_data } => self.new_session(visit, with_data, now),
            Step::Read(Place::Kept(index)) => self.kept.share(index),
            Step::Read(place) | Step::Update(place) | Step::Delete(place) => self.take(place),
            Step::Contested(index, act) => {
                let (claimed, session) = self.contest.begin(index, act);
                claim = Some(claimed);
                session
            }
        };
        Attempt { step, session, claim }
    }

    /// Takes out a session that stays and that nothing is on its way for, to remove it.
    pub fn begin_sweep(&mut self) -> Option<Attempt> {
        let session = self.kept.take_idle().or_else(|| self.contest.take_idle())?;
        // It has no slot any more, and goes to the gone ones when it is removed.
        Some(Attempt { step: Step::Delete(Place::Late), session, claim: None })
    }

    /// The request that the attempt sends.
    pub fn request(&self, attempt: &Attempt) -> Request {
        let session = &attempt.session;
        let content = |session: &Session| Some(session.content(&self.terms));
        let (id, none) = (Some(session.id), Request::default());
        match attempt.step {
            Step::Create { visit, .. } => Request {
                method: Method::Put,
                own_ttl_s: visit.is_short().then_some(session.ttl_s),
                content: content(session).filter(|_| session.version > 0),
                ..none
            },
            step if session.is_peeked_by(step) => Request { method: Method::Peek, id, ..none },
            Step::Read(_) | Step::Contested(_, Act::Read) => Request { id, ..none },
            Step::Update(_) => {
                Request { method: Method::Post, id, content: content(&session.written()), ..none }
            }
            Step::Delete(_) => Request { method: Method::Delete, id, ..none },
            Step::Contested(_, act) => Request {
                method: Method::Post,
                id,
                content: content(session),
                if_match: attempt.claim.filter(|_| act == Act::UpdateIf).map(|claim| claim.floor),
                ..none
            },
        }
    }

    /// Judges the answer and puts the session where it now belongs; `path` is what precedes
    /// the slash and the id in a Location.
    pub fn settle(&mut self, attempt: Attempt, answer: &Answer<'_>, span: Span, path: &[u8]) -> Verdict {
        let status = answer.head.status;
        if let Some(claim) = attempt.claim {
            return self.contest.settle(claim, &self.terms, answer, span);
        }
        match (attempt.step, status) {
            // A full queue between cores, whose outcome is unknown: judged no more.
            (_, 429 | 503) => {
                self.lose(attempt);
                Verdict::Refused { status }
            }
            // No room: nothing was changed and nothing extended.
            (Step::Create { .. }, 507) => {
                self.lose(attempt);
                Verdict::Refused { status }
            }
            (Step::Update(place), 507) => {
                self.put(place, attempt.session);
                Verdict::Refused { status }
            }
            (Step::Create { visit, .. }, _) => {
                self.settle_created(attempt.session, answer, span, (visit, path))
            }
            (Step::Read(Place::Kept(index)), _) => self.settle_shared(index, attempt.session, answer, span),
            (Step::Read(place) | Step::Update(place) | Step::Delete(place), _) => {
                self.settle_taken(attempt, place, answer, span)
            }
            (Step::Contested(..), _) => unreachable!("a contested session has a claim"),
        }
    }

    /// An exchange ended without an answer, or with one that leaves its outcome open.
    pub fn lose(&mut self, attempt: Attempt) {
        match (attempt.step, attempt.claim) {
            (_, Some(claim)) => self.contest.lose(claim),
            (Step::Create { visit, .. }, _) => self.creating -= usize::from(visit.is_lasting()),
            (Step::Read(Place::Kept(index)), _) => self.kept.retire(index, attempt.session.number),
            (Step::Update(Place::Kept(index)) | Step::Delete(Place::Kept(index)), _) => {
                self.kept.vacate(index)
            }
            _ => {}
        }
    }

    fn settle_created(
        &mut self,
        mut session: Session,
        answer: &Answer<'_>,
        span: Span,
        (visit, path): (Visit, &[u8]),
    ) -> Verdict {
        self.creating -= usize::from(visit.is_lasting());
        let (id, etag) = match judge::created(&session, answer, path) {
            Err(wrong) => return Verdict::Wrong(wrong),
            Ok(made) => made,
        };
        (session.id, session.etag, session.touched) = (id, etag, span);
        match visit {
            Visit::Stays => self.kept.add(session),
            Visit::Contested => self.contest.add(session),
            Visit::Abandons if self.terms.wave.is_none() => self.short_lived.add(session),
            Visit::Abandons | Visit::Bot => self.short_lived.add_untouched(session),
        }
        Verdict::Right
    }

    /// Judges a read that others may have read beside.
    fn settle_shared(&mut self, index: usize, session: Session, answer: &Answer<'_>, span: Span) -> Verdict {
        let Some(alone) = self.kept.unshare(index, &session) else {
            // Another read has found it gone or wrong; there is nothing left to judge by.
            return Verdict::Borderline;
        };
        let presence = match session.presence(span) {
            // Somebody else's read may have come first and have extended it.
            Presence::Absent if !alone => Presence::Either,
            presence => presence,
        };
        match self.judge_existing(Step::Read(Place::Kept(index)), &session, answer, (span, presence)) {
            Ok(Some(etag)) => {
                debug_assert_eq!(etag, session.etag, "a read moves no ETag");
                self.kept.touch(index, span);
                right_unless(presence)
            }
            Ok(None) => {
                self.kept.retire(index, session.number);
                self.remember_gone(session);
                right_unless(presence)
            }
            Err(wrong) => {
                self.kept.retire(index, session.number);
                Verdict::Wrong(wrong)
            }
        }
    }

    /// Judges an exchange that had its session for itself.
    fn settle_taken(&mut self, attempt: Attempt, place: Place, answer: &Answer<'_>, span: Span) -> Verdict {
        let is_peek = attempt.session.is_peeked_by(attempt.step);
        let Attempt { step, session, .. } = attempt;
        let presence = match place {
            Place::Gone(_) => Presence::Absent,
            _ => session.presence(span),
        };
        let judged = self.judge_existing(step, &session, answer, (span, presence));
        match judged {
            Ok(Some(_)) if is_peek => self.put(place, session),
            Ok(Some(etag)) => self.put_touched(step, place, session.touched_by(span, etag)),
            Ok(None) | Err(_) => self.leave(place),
        }
        match judged {
            Ok(Some(_)) => right_unless(presence),
            Ok(None) => {
                self.remember_gone(session);
                right_unless(presence)
            }
            Err(wrong) => Verdict::Wrong(wrong),
        }
    }

    /// The number of its ETag now where the session is there, nothing where it is rightly gone.
    fn judge_existing(
        &self,
        step: Step,
        session: &Session,
        answer: &Answer<'_>,
        (span, presence): (Span, Presence),
    ) -> Result<Option<u64>, Wrong> {
        let was_gone = matches!(
            step,
            Step::Read(Place::Gone(_)) | Step::Update(Place::Gone(_)) | Step::Delete(Place::Gone(_))
        );
        match (answer.head.status, presence) {
            (200, Presence::Absent) if was_gone => Err(Wrong::Revived),
            (200, Presence::Absent) => Err(session.outlived(span)),
            (200, _) if session.is_peeked_by(step) => {
                judge::peeked(session, &session.content(&self.terms), answer, span)
                    .map(|()| Some(session.etag))
            }
            (200, _) => self.judge_present(step, session, answer).map(Some),
            (404, Presence::There) => Err(session.expired_early(span)),
            (404, _) => judge::refused(answer).map(|()| None),
            (got, Presence::Absent) => Err(Wrong::Status { expected: 404, got }),
            (got, _) => Err(Wrong::Status { expected: 200, got }),
        }
    }

    /// Judges a 200 about a session that may be there; gives the number of its ETag now.
    fn judge_present(&self, step: Step, session: &Session, answer: &Answer<'_>) -> Result<u64, Wrong> {
        match step {
            Step::Read(_) => judge::read(session, &session.content(&self.terms), answer),
            Step::Update(_) => judge::updated(session, answer),
            Step::Delete(_) => judge::deleted(answer).map(|()| session.etag),
            Step::Create { .. } | Step::Contested(..) => unreachable!("these are settled elsewhere"),
        }
    }

    fn new_session(&mut self, visit: Visit, with_data: bool, now: Moment) -> Session {
        let number = self.next_number;
        self.next_number += 1;
        self.creating += usize::from(visit.is_lasting());
        let ttl_s = if visit.is_short() { self.terms.short_ttl_at(now) } else { self.terms.ttl_s };
        Session { named: visit == Visit::Contested, ..Session::new(number, ttl_s, with_data) }
    }

    fn take(&mut self, place: Place) -> Session {
        let taken = match place {
            Place::Kept(index) => return self.kept.take(index),
            Place::Early => self.short_lived.take_early(),
            Place::Late => self.short_lived.take_late(),
            Place::Gone(index) => self.gone.remove(index),
        };
        taken.expect("a step names a place that has a session")
    }

    fn put_touched(&mut self, step: Step, place: Place, session: Session) {
        match step {
            Step::Delete(_) => {
                self.leave(place);
                self.remember_gone(session);
            }
            Step::Update(_) => self.put(place, session.written()),
            _ => self.put(place, session),
        }
    }

    fn put(&mut self, place: Place, session: Session) {
        match place {
            Place::Kept(index) => self.kept.put(index, session),
            Place::Early | Place::Late => self.short_lived.put(session),
            Place::Gone(_) => self.remember_gone(session),
        }
    }

    /// Its session does not come back.
    fn leave(&mut self, place: Place) {
        if let Place::Kept(index) = place {
            self.kept.vacate(index);
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
