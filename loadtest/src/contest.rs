//! Sessions that many connections use at the same time, judged by the order of versions.
//!
//! Nobody here knows in which order a server takes what is on its way at once. But an
//! answer that has come says what was so before the next request leaves: no later answer
//! may show an older version, each version belongs to one writing, and a writing with
//! If-Match follows directly on the version that it names. What breaks one of these is
//! wrong in every order.
//!
//! An answer so late that it names a version forgotten by then is wrong by what is still
//! known, or borderline. A session with a wrong answer, or with a writing whose outcome is
//! unknown, is judged no more: one fault counts once.

use std::collections::BTreeMap;
use std::ops::Bound::Excluded;

use crate::blob::Blob;
use crate::clock::Span;
use crate::judge;
use crate::session::{Presence, Session, Terms};
use crate::verdict::{Verdict, Wrong};
use crate::wire::Answer;

/// Versions remembered of one session; then the oldest goes.
const HISTORY_MAX: usize = 256;

/// What is done to a contested session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Act {
    /// GET
    Read,
    /// POST
    Update,
    /// POST with If-Match and the newest version known.
    UpdateIf,
}

/// A contested session's part in one exchange.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Claim {
    /// What is done.
    pub act: Act,
    /// The newest ETag that an answer had shown before this request left; If-Match names it.
    pub floor: u64,
    /// The version that is written; 0 where nothing is.
    pub version: u32,
    /// The session's number.
    number: u64,
}

/// A version that the server is known to have given.
#[derive(Clone, Copy, Debug)]
struct Known {
    /// The writing that it belongs to.
    version: u32,
    /// The ETag that its If-Match named.
    after: Option<u64>,
}

/// A writing that was sent and not answered.
#[derive(Clone, Copy, Debug)]
struct Pending {
    version: u32,
    /// The ETag that a read has already found it under.
    seen: Option<u64>,
}

/// A session that several connections use.
#[derive(Debug)]
struct Contested {
    /// With the number of the newest writing as its version, and the newest ETag shown.
    session: Session,
    /// By ETag. `history.len() <= HISTORY_MAX`
    history: BTreeMap<u64, Known>,
    /// ETags below it may have been given and forgotten; never falls.
    known_from: u64,
    pending: Vec<Pending>,
    /// Exchanges on their way.
    flights: u32,
}

/// The contested sessions of one core.
#[derive(Debug, Default)]
pub struct Contest(Vec<Contested>);

impl Contest {
    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Takes a session in that was just made, with data.
    pub fn add(&mut self, session: Session) {
        debug_assert!(session.version == 1, "its first data came with it");
        let history = BTreeMap::from([(session.etag, Known { version: session.version, after: None })]);
        self.0.push(Contested { session, history, known_from: 0, pending: Vec::new(), flights: 0 });
    }

    /// Gives away one that nothing is on its way for.
    pub fn take_idle(&mut self) -> Option<Session> {
        let index = self.0.iter().position(|contested| contested.flights == 0)?;
        Some(self.0.swap_remove(index).session)
    }

    /// Begins an exchange about the session at `index`; gives the session as it will be written.
    pub fn begin(&mut self, index: usize, act: Act) -> (Claim, Session) {
        let contested = &mut self.0[index];
        contested.flights += 1;
        let floor = contested.session.etag;
        let mut version = 0;
        if act != Act::Read {
            version = contested.session.version + 1;
            contested.session.version = version;
            contested.pending.push(Pending { version, seen: None });
        }
        (Claim { act, floor, version, number: contested.session.number }, contested.session)
    }

    /// Judges the answer to an exchange that was begun.
    pub fn settle(&mut self, claim: Claim, terms: &Terms, answer: &Answer<'_>, span: Span) -> Verdict {
        let Some(index) = self.find(claim) else { return unjudged(answer) };
        let contested = &mut self.0[index];
        contested.flights -= 1;
        let status = answer.head.status;
        let judged = match status {
            429 | 503 if claim.act == Act::Read => return Verdict::Refused { status },
            429 | 503 => {
                self.0.swap_remove(index);
                return Verdict::Refused { status };
            }
            507 if claim.act != Act::Read => {
                contested.forget(claim.version);
                return Verdict::Refused { status };
            }
            404 => contested.judge_absent(answer, span),
            _ => contested.judge_answer(&claim, terms, answer, span),
        };
        if judged.is_err() || status == 404 {
            self.0.swap_remove(index);
        }
        judged.unwrap_or_else(Verdict::Wrong)
    }

    /// An exchange ended without an answer: what became of it is unknown.
    pub fn lose(&mut self, claim: Claim) {
        if let Some(index) = self.find(claim) {
            self.0.swap_remove(index);
        }
    }

    fn find(&self, claim: Claim) -> Option<usize> {
        self.0.iter().position(|contested| contested.session.number == claim.number)
    }
}

/// The verdict on an answer about a session that is judged no more.
fn unjudged(answer: &Answer<'_>) -> Verdict {
    match answer.head.status {
        status @ (429 | 503 | 507) => Verdict::Refused { status },
        _ => Verdict::Borderline,
    }
}

impl Contested {
    fn judge_absent(&mut self, answer: &Answer<'_>, span: Span) -> Result<Verdict, Wrong> {
        match self.session.presence(span) {
            Presence::There => Err(self.session.expired_early(span)),
            Presence::Absent | Presence::Either => judge::refused(answer).map(|()| Verdict::Borderline),
        }
    }

    fn judge_answer(
        &mut self,
        claim: &Claim,
        terms: &Terms,
        answer: &Answer<'_>,
        span: Span,
    ) -> Result<Verdict, Wrong> {
        let etag = match (claim.act, answer.head.status) {
            (Act::Read, 200) => self.judge_read(claim, terms, answer)?,
            (Act::Update | Act::UpdateIf, 200) => self.judge_written(claim, answer)?,
            // A refused precondition extends nothing.
            (Act::UpdateIf, 412) => return self.judge_refused(claim, answer),
            (_, got) => return Err(Wrong::Status { expected: 200, got }),
        };
        self.session = self.session.touched_with(span);
        self.session.etag = etag.max(self.session.etag);
        // Before what this answer itself has others forget.
        let verdict = self.verdict_at(etag);
        self.prune();
        Ok(verdict)
    }

    fn judge_read(&mut self, claim: &Claim, terms: &Terms, answer: &Answer<'_>) -> Result<u64, Wrong> {
        // The data says which writing it is of; whether it may be so is judged below.
        let named = Blob::version_in(answer.body()).filter(|&version| version <= self.session.version);
        let version = named.unwrap_or(self.session.version);
        let etag = judge::etag(answer)?;
        let shown = Session { version, etag, ..self.session };
        let content = shown.content(terms);
        content.blob.check(answer.body()).map_err(|found| Wrong::data(&content.blob, found))?;
        // Before the fields: those of another version say less than that it is another one.
        self.judge_order(claim.floor, etag, version)?;
        judge::read(&shown, &content, answer)
    }

    fn judge_order(&mut self, floor: u64, etag: u64, version: u32) -> Result<(), Wrong> {
        if etag < floor {
            return Err(self.outdated(floor, etag, version));
        }
        match self.history.get(&etag) {
            Some(known) if known.version == version => Ok(()),
            Some(known) => Err(self.mismatch(etag, known.version, version)),
            None => self.found(etag, version),
        }
    }

    /// A version that no answer had shown must be of a writing on its way.
    fn found(&mut self, etag: u64, version: u32) -> Result<(), Wrong> {
        let Some(pending) = self.pending.iter_mut().find(|pending| pending.version == version) else {
            return match self.etag_of(version) {
                None if self.is_forgotten(etag) => Ok(()),
                own => Err(Wrong::Version { known: own.unwrap_or(self.session.etag), got: etag }),
            };
        };
        // Another read may have found it under this ETag before that was forgotten.
        if let Some(known) = pending.seen.filter(|&known| known != etag) {
            return Err(Wrong::Version { known, got: etag });
        }
        pending.seen = Some(etag);
        self.insert(etag, Known { version, after: None })
    }

    fn judge_written(&mut self, claim: &Claim, answer: &Answer<'_>) -> Result<u64, Wrong> {
        let seen = self.forget(claim.version);
        let etag = judge::updated(&Session { etag: claim.floor, ..self.session }, answer)?;
        if let Some(known) = seen.filter(|&known| known != etag) {
            return Err(Wrong::Version { known, got: etag });
        }
        if self.history.get(&etag).is_some_and(|known| known.version != claim.version) {
            // Two writings under one version: the next If-Match could not tell them apart.
            return Err(Wrong::Version { known: etag, got: etag });
        }
        let after = (claim.act == Act::UpdateIf).then_some(claim.floor);
        self.insert(etag, Known { version: claim.version, after }).map(|()| etag)
    }

    /// Judges a 412: the version that was named must have been overtaken.
    fn judge_refused(&mut self, claim: &Claim, answer: &Answer<'_>) -> Result<Verdict, Wrong> {
        self.forget(claim.version);
        let etag = judge::precondition(answer)?;
        let given = self.history.contains_key(&etag) || self.is_forgotten(etag);
        let overtaken = given || !self.pending.is_empty();
        if etag <= claim.floor || !overtaken {
            return Err(Wrong::Precondition { named: claim.floor, current: etag });
        }
        self.session.etag = etag.max(self.session.etag);
        Ok(self.verdict_at(etag))
    }

    /// The verdict on an answer that nothing known speaks against and that names this ETag.
    fn verdict_at(&self, etag: u64) -> Verdict {
        if self.is_forgotten(etag) { Verdict::Borderline } else { Verdict::Right }
    }

    fn is_forgotten(&self, etag: u64) -> bool {
        etag < self.known_from
    }

    fn insert(&mut self, etag: u64, known: Known) -> Result<(), Wrong> {
        if let Some((_, Known { after: Some(base), .. })) = self.history.range(etag + 1..).next()
            && *base < etag
        {
            return Err(Wrong::LostUpdate { base: *base, lost: etag });
        }
        if let Some(base) = known.after
            && let Some((&lost, _)) = self.history.range((Excluded(base), Excluded(etag))).next()
        {
            return Err(Wrong::LostUpdate { base, lost });
        }
        self.history.insert(etag, known);
        Ok(())
    }

    /// What is wrong with a version below one that was shown before the request left.
    fn outdated(&self, floor: u64, etag: u64, version: u32) -> Wrong {
        match self.history.get(&floor) {
            Some(newest) if newest.version != version => {
                Wrong::Stale { expected: newest.version, got: version }
            }
            _ => Wrong::Version { known: floor, got: etag },
        }
    }

    /// What is wrong with data that came under another writing's ETag.
    fn mismatch(&self, etag: u64, expected: u32, got: u32) -> Wrong {
        match self.etag_of(got) {
            Some(own) if own < etag => Wrong::Stale { expected, got },
            _ => Wrong::Version { known: etag, got: etag },
        }
    }

    fn etag_of(&self, version: u32) -> Option<u64> {
        self.history.iter().find(|(_, known)| known.version == version).map(|(&etag, _)| etag)
    }

    /// Ends a writing; gives the ETag that a read found it under.
    fn forget(&mut self, version: u32) -> Option<u64> {
        let index = self.pending.iter().position(|pending| pending.version == version)?;
        self.pending.swap_remove(index).seen
    }

    fn prune(&mut self) {
        while self.history.len() > HISTORY_MAX {
            let Some((oldest, _)) = self.history.pop_first() else { break };
            self.known_from = self.known_from.max(oldest + 1);
        }
        debug_assert!(!self.history.is_empty(), "the newest version is remembered");
    }
}

#[cfg(test)]
mod tests;
