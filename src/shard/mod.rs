//! A shard: the sessions that one core owns, as a pure machine.
//!
//! [`Shard::apply`] does one [`Operation`] at a given moment and yields its [`Outcome`], with
//! what the journal must have reached before anybody hears of it; [`Shard::advance`] expires
//! what is due, [`Shard::copy_below`] and [`Shard::log_deadlines`] log again what lives, each
//! a bounded piece at a time. Whoever drives it calls `apply` in the order of arrival,
//! `advance` once a turn, and hands the journal's records over at the turn's end. No HTTP in
//! here, no clock, no I/O; and nobody but the shard's own core touches it.
//!
//! A panic in here may have left the store half changed, so it ends the process: the
//! supervisor restarts it, and no client is served from a broken state.

mod cleaning;
mod deletions;
mod keeper;
mod operation;
mod owner;
mod pace;

use crate::journal::{CoreJournal, Entry, JournalClock, Need, RestoredSession, Sequence, Wait};
use crate::store::{self, Counters, Found, Handle, NewSession, Replacement, Store};
use crate::types::{ByteCount, Millis, Moment, SessionId, Ttl};

use keeper::{Keeper, Logged, PLAIN_RECORD};

use cleaning::Copying;
pub use cleaning::Walked;
pub use keeper::KeeperCounters;
pub use operation::{Action, Conditions, Data, Operation, Outcome, Refusal, VersionSet};
pub use owner::Owners;
pub use pace::Pace;

/// Ends the process when dropped by a panic. Forgotten where all went well.
struct AbortOnUnwind;

impl Drop for AbortOnUnwind {
    fn drop(&mut self) {
        log::error!("a shard's state may be broken after a panic; the process ends here");
        std::process::abort();
    }
}

/// What one pass over the due sessions has done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Advanced {
    /// Sessions that were removed because they were due.
    pub expired: usize,
    /// Whether more is due: the core comes back in its next turn.
    pub more_due: bool,
}

/// What came of an operation, and when it may be told.
#[derive(Clone, Copy, Debug)]
pub struct Applied<'s> {
    /// What came of it.
    pub outcome: Outcome<'s>,
    /// What this shard's log must have reached first.
    pub wait: Wait,
}

/// The sessions of one core.
pub struct Shard {
    store: Store,
    /// None where nothing outlives the process.
    keeper: Option<Keeper>,
    copying: Copying,
}

impl Shard {
    /// A shard over this store, which keeps nothing beyond the process.
    pub fn new(store: Store) -> Self {
        Self { store, keeper: None, copying: Copying::default() }
    }

    /// Keeps everything in the journal from now on. All that was restored is in it already.
    pub fn keep_in(&mut self, journal: CoreJournal, clock: JournalClock, session_ttl: Ttl) {
        self.keeper = Some(Keeper::new(journal, clock, session_ttl));
    }

    /// Takes a session in that the journal has.
    pub fn restore(&mut self, session: &RestoredSession<'_>, clock: JournalClock) {
        let image = &session.image;
        self.store.restore(store::RestoredSession {
            id: image.id,
            bucket: image.bucket,
            data: image.blob,
            content_type: image.content_type,
            version: image.version,
            deadline: clock.deadline_at(session.deadline),
            own_ttl: image.own_ttl,
            stamp: Logged::new(session.segment, session.logged_deadline, Sequence::NONE).stamp(),
        });
    }

    /// Does one operation at `now`. Judges existence first, then preconditions, then acts; an
    /// operation that is refused changes nothing, and extends nothing.
    pub fn apply(&mut self, now: Moment, operation: Operation<'_>) -> Applied<'_> {
        let guard = AbortOnUnwind;
        let applied = self.judge_and_act(now, operation);
        std::mem::forget(guard);
        applied
    }

    /// The most that remembering deletions takes, in bytes.
    pub const DELETIONS_BYTES_MAX: usize = deletions::Deletions::BYTES_MAX;

    /// Looks at sessions that are about to be asked for, so that their memory is on its way.
    pub fn foresee(&self, ids: &[SessionId]) {
        self.store.foresee(ids);
    }

    /// Expires sessions that are due at `now`, at most `budget` steps of work; none as long as
    /// the journal has no room to say so.
    pub fn advance(&mut self, now: Moment, budget: usize) -> Advanced {
        let guard = AbortOnUnwind;
        let advance = self.expire_due(now, budget);
        std::mem::forget(guard);
        Advanced { expired: advance.expired, more_due: advance.more_due }
    }

    /// The journal's side of this shard, for what is not about sessions; none where nothing
    /// outlives the process.
    pub fn journal(&self) -> Option<&CoreJournal> {
        self.keeper.as_ref().map(|keeper| &keeper.journal)
    }

    /// The same, to hand over what was logged.
    pub fn journal_mut(&mut self) -> Option<&mut CoreJournal> {
        self.keeper.as_mut().map(|keeper| &mut keeper.journal)
    }

    /// Logs an entry that is about no session, or changes nothing where there is no room for
    /// it. The wait of what is logged; nothing is waited for where nothing outlives the process.
    pub fn log(&mut self, need: Need, entry: Entry<'_>) -> Result<Wait, Refusal> {
        let Some(keeper) = &mut self.keeper else { return Ok(Wait::NONE) };
        keeper.reserve(need, ByteCount::of_len(entry.record_len()))?;
        Ok(keeper.log(entry).1)
    }

    /// What was done to the sessions since the start, by access or by the wheel.
    pub fn counters(&self) -> Counters {
        self.store.counters()
    }

    /// What was logged and refused beside the sessions' changes since the start.
    pub fn keeper_counters(&self) -> KeeperCounters {
        self.keeper.as_ref().map_or_else(KeeperCounters::default, |keeper| keeper.counters)
    }

    /// How many sessions there are, due ones that have not been removed yet included.
    pub fn len(&self) -> usize {
        self.store.len()
    }

    /// Whether there is no session.
    pub fn is_empty(&self) -> bool {
        self.store.len() == 0
    }

    /// The memory that the sessions take, with all that is kept about them.
    pub fn bytes(&self) -> ByteCount {
        self.store.bytes()
    }

    /// What the sessions would take in the log if each was written once.
    pub fn live_bytes(&self) -> ByteCount {
        keeper::live_bytes(self.store.content(), self.store.len())
    }

    /// How far the removal of due sessions is behind `now`. Holds memory, never shows.
    pub fn lag(&self, now: Moment) -> Millis {
        self.store.lag(now)
    }

    fn judge_and_act(&mut self, now: Moment, operation: Operation<'_>) -> Applied<'_> {
        let Operation { bucket, id, action } = operation;
        let (touch, conditions) = match action {
            Action::Create { own_ttl, data } => {
                let Data { bytes, content_type } = data;
                return self.create(now, NewSession { id, bucket, own_ttl, data: bytes, content_type });
            }
            Action::Read { touch, conditions } => (touch, conditions),
            Action::Update { conditions, .. } | Action::Delete { conditions } => (false, conditions),
        };
        let handle = match self.store.find(now, bucket, id) {
            Found::Live(handle) => handle,
            Found::Due(handle) => return self.find_due(handle, id),
            Found::Missing => return self.refuse_missing(id),
        };
        let version = self.store.view(handle).version;
        let is_known = conditions.if_none_match_hits(version);
        let is_read = matches!(action, Action::Read { .. });
        if !conditions.if_match_holds(version) || (is_known && !is_read) {
            // The version that is named must not be one that a crash takes back.
            let wait = self.wait_to_show(handle);
            return Applied { outcome: Outcome::Refused(Refusal::PreconditionFailed(version)), wait };
        }
        match action {
            Action::Update { own_ttl, data, .. } => {
                let Data { bytes, content_type } = data;
                self.update(now, handle, Replacement { own_ttl, data: bytes, content_type })
            }
            Action::Read { .. } => self.read(now, handle, touch, is_known),
            Action::Delete { .. } | Action::Create { .. } => self.delete(handle),
        }
    }

    fn create(&mut self, now: Moment, new: NewSession<'_>) -> Applied<'_> {
        match self.store.occupant(now, new.id) {
            Found::Live(_) => return refused(Refusal::Exists),
            Found::Due(handle) => {
                if let Err(refusal) = self.expire(handle) {
                    return refused(refusal);
                }
            }
            Found::Missing => {}
        }
        if let Some(keeper) = &mut self.keeper
            && let Err(refusal) = keeper.reserve_session(new.content_type, &new.data)
        {
            return refused(refusal);
        }
        let Ok(handle) = self.store.create(now, new) else { return refused(Refusal::Full) };
        let mut wait = Wait::NONE;
        if let Some(keeper) = &mut self.keeper {
            let (stamp, logged) = keeper.created(&self.store.view(handle));
            self.store.stamp(handle, stamp);
            wait = logged;
        }
        Applied { outcome: Outcome::Created(self.store.view(handle)), wait }
    }

    fn read(&mut self, now: Moment, handle: Handle, touch: bool, is_known: bool) -> Applied<'_> {
        let wait = if touch { self.touch(now, handle) } else { self.wait_to_show(handle) };
        let session = self.store.view(handle);
        let outcome = if is_known { Outcome::Unchanged(session) } else { Outcome::Found(session) };
        Applied { outcome, wait }
    }

    fn touch(&mut self, now: Moment, handle: Handle) -> Wait {
        let wanted = self.store.deadline_after_touch(now, handle);
        let Some(keeper) = &mut self.keeper else {
            self.store.touch(handle, wanted);
            return Wait::NONE;
        };
        let covered = keeper.cover(&self.store.view(handle), wanted);
        self.store.touch(handle, covered.deadline);
        if let Some(stamp) = covered.stamp {
            self.store.stamp(handle, stamp);
        }
        covered.wait
    }

    fn update(&mut self, now: Moment, handle: Handle, new: Replacement<'_>) -> Applied<'_> {
        if let Some(keeper) = &mut self.keeper
            && let Err(refusal) = keeper.reserve_session(new.content_type, &new.data)
        {
            return refused(refusal);
        }
        if self.store.replace(now, handle, new).is_err() {
            return refused(Refusal::Full);
        }
        let mut wait = Wait::NONE;
        if let Some(keeper) = &mut self.keeper {
            let (stamp, logged) = keeper.updated(&self.store.view(handle));
            self.store.stamp(handle, stamp);
            wait = logged;
        }
        Applied { outcome: Outcome::Updated(self.store.view(handle)), wait }
    }

    fn delete(&mut self, handle: Handle) -> Applied<'_> {
        let mut wait = Wait::NONE;
        if let Some(keeper) = &mut self.keeper {
            if let Err(refusal) = keeper.reserve(Need::Reserve, PLAIN_RECORD) {
                return refused(refusal);
            }
            wait = keeper.deleted(self.store.view(handle).id);
        }
        self.store.remove(handle);
        Applied { outcome: Outcome::Deleted, wait }
    }

    /// A session is asked for that is due: it is gone from now on.
    fn find_due(&mut self, handle: Handle, id: SessionId) -> Applied<'_> {
        match self.expire(handle) {
            Ok(()) => self.refuse_missing(id),
            Err(refusal) => refused(refusal),
        }
    }

    fn refuse_missing(&self, id: SessionId) -> Applied<'_> {
        let wait = self.keeper.as_ref().map_or(Wait::NONE, |keeper| keeper.missing(id));
        Applied { outcome: Outcome::Refused(Refusal::Missing), wait }
    }

    fn wait_to_show(&self, handle: Handle) -> Wait {
        self.keeper.as_ref().map_or(Wait::NONE, |keeper| keeper.shown(&self.store.view(handle)))
    }

    fn expire(&mut self, handle: Handle) -> Result<(), Refusal> {
        if let Some(keeper) = &mut self.keeper {
            keeper.reserve(Need::Reserve, PLAIN_RECORD)?;
            keeper.expired(self.store.view(handle).id);
        }
        self.store.expire(handle);
        Ok(())
    }

    fn expire_due(&mut self, now: Moment, budget: usize) -> store::Advance {
        let Some(keeper) = &mut self.keeper else { return self.store.advance(now, budget, |_| ()) };
        let most = ByteCount::of_len(PLAIN_RECORD.as_usize() * budget);
        if !self.store.has_fired(now) || keeper.reserve(Need::Reserve, most).is_err() {
            return store::Advance::default();
        }
        self.store.advance(now, budget, |id| keeper.expired(id))
    }
}

fn refused<'s>(refusal: Refusal) -> Applied<'s> {
    Applied { outcome: Outcome::Refused(refusal), wait: Wait::NONE }
}

#[cfg(test)]
mod tests;
