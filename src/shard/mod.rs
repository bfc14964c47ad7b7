//! A shard: the sessions that one core owns, as a pure machine.
//!
//! [`Shard::apply`] does one [`Operation`] at a given moment and yields its [`Outcome`];
//! [`Shard::advance`] expires what is due, a bounded piece at a time. Whoever drives it
//! calls `apply` in the order of arrival and `advance` once a turn. No HTTP in here, no
//! clock, no I/O; and nobody but the shard's own core touches it.
//!
//! A panic in here may have left the store half changed, so it ends the process: the
//! supervisor restarts it, and no client is served from a broken state.

mod operation;
mod owner;

use crate::store::{Counters, CreateRefused, Handle, NewSession, Replacement, Store};
use crate::types::{ByteCount, Millis, Moment};

pub use operation::{Action, Conditions, Data, Operation, Outcome, Refusal, VersionSet};
pub use owner::Owners;

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

/// The sessions of one core.
pub struct Shard {
    store: Store,
}

impl Shard {
    /// A shard over this store.
    pub fn new(store: Store) -> Self {
        Self { store }
    }

    /// Does one operation at `now`. Judges existence first, then preconditions, then acts; an
    /// operation that is refused changes nothing, and extends nothing.
    pub fn apply(&mut self, now: Moment, operation: Operation<'_>) -> Outcome<'_> {
        let guard = AbortOnUnwind;
        let outcome = self.judge_and_act(now, operation);
        std::mem::forget(guard);
        outcome
    }

    /// Expires sessions that are due at `now`, at most `budget` steps of work.
    pub fn advance(&mut self, now: Moment, budget: usize) -> Advanced {
        let guard = AbortOnUnwind;
        let advance = self.store.advance(now, budget);
        std::mem::forget(guard);
        Advanced { expired: advance.expired, more_due: advance.more_due }
    }

    /// What was done to the sessions since the start, by access or by the wheel.
    pub fn counters(&self) -> Counters {
        self.store.counters()
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

    /// How far the removal of due sessions is behind `now`. Holds memory, never shows.
    pub fn lag(&self, now: Moment) -> Millis {
        self.store.lag(now)
    }

    fn judge_and_act(&mut self, now: Moment, operation: Operation<'_>) -> Outcome<'_> {
        let Operation { bucket, id, action } = operation;
        let (touch, conditions) = match action {
            Action::Create { own_ttl, data } => {
                let Data { bytes, content_type } = data;
                return self.create(now, NewSession { id, bucket, own_ttl, data: bytes, content_type });
            }
            Action::Read { touch, conditions } => (touch, conditions),
            Action::Update { conditions, .. } | Action::Delete { conditions } => (false, conditions),
        };
        let Some(handle) = self.store.find(now, bucket, id) else {
            return Outcome::Refused(Refusal::Missing);
        };
        let version = self.store.view(handle).version;
        if !conditions.if_match_holds(version) {
            return Outcome::Refused(Refusal::PreconditionFailed(version));
        }
        let is_known = conditions.if_none_match_hits(version);
        match action {
            Action::Read { .. } => self.read(now, handle, touch, is_known),
            _ if is_known => Outcome::Refused(Refusal::PreconditionFailed(version)),
            Action::Update { own_ttl, data, .. } => {
                let Data { bytes, content_type } = data;
                self.update(now, handle, Replacement { own_ttl, data: bytes, content_type })
            }
            Action::Delete { .. } | Action::Create { .. } => {
                self.store.remove(handle);
                Outcome::Deleted
            }
        }
    }

    fn create(&mut self, now: Moment, new: NewSession<'_>) -> Outcome<'_> {
        match self.store.create(now, new) {
            Ok(session) => Outcome::Created(session),
            Err(CreateRefused::Full) => Outcome::Refused(Refusal::Full),
            Err(CreateRefused::Exists) => Outcome::Refused(Refusal::Exists),
        }
    }

    fn read(&mut self, now: Moment, handle: Handle, touch: bool, is_known: bool) -> Outcome<'_> {
        if touch {
            self.store.touch(now, handle);
        }
        let session = self.store.view(handle);
        if is_known { Outcome::Unchanged(session) } else { Outcome::Found(session) }
    }

    fn update(&mut self, now: Moment, handle: Handle, new: Replacement<'_>) -> Outcome<'_> {
        match self.store.replace(now, handle, new) {
            Ok(()) => Outcome::Updated(self.store.view(handle)),
            Err(_) => Outcome::Refused(Refusal::Full),
        }
    }
}

#[cfg(test)]
mod tests;
