//! One shard's sessions: created, found, touched, replaced, removed, and expired when due.
//!
//! Pure and single-threaded: time is an argument, and the only thing shared with other
//! shards is the memory pool. A session that is due is told from one that lives by its
//! deadline alone, whether or not the wheel has come by; one that is not due is never
//! removed to make room. What needs memory is refused before anything has changed.
//!
//! A driver calls, in any order: `find`, then what it wants with the handle, `expire` for a
//! due one; `create` under an id that `occupant` does not know; and once a turn `advance`,
//! again soon if more is due.
//!
//! ```text
//!   id ─▶ hash ─▶ index (256 tables of u32) ─▶ slab (chunks of entries) ─▶ data (its own allocation)
//!                                                ▲ links in the entries
//!                                    wheel (slots by deadline)
//! ```

mod budget;
mod content_types;
mod entries;
mod foresee;
mod hash;
mod index;
mod session;
mod slab;
pub mod wheel;

pub use budget::{Full, Lease, MemoryPool, usable_size};
pub use content_types::CONTENT_TYPE_LEN_MAX;
pub use foresee::FORESEEN_MAX;
pub use hash::IdHasher;
pub use session::{Found, Handle, NewSession, Replacement, RestoredSession, SessionView, Stamp, Step, Walk};

use crate::types::{BootEpoch, BucketId, ByteCount, Deadline, Millis, Moment, SessionId, Ttl, Version};
use content_types::ContentTypes;
use entries::put_data;
use index::Index;
use session::Entry;
use slab::{Passed, Slab};
use wheel::{Link, Wheel};

/// What holds for all sessions of a store.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Settings {
    /// The TTL of sessions that have none of their own.
    pub ttl: Ttl,
    /// The number of this start of the server, for versions.
    pub epoch: BootEpoch,
}

/// What [`Store::advance`] has done.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Advance {
    /// Sessions that were due and are gone.
    pub expired: usize,
    /// The budget was too small: call again soon.
    pub more_due: bool,
}

/// Totals since the store was made.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Counters {
    /// Sessions created.
    pub created: u64,
    /// Replacements of a session's data.
    pub replaced: u64,
    /// Touches, without those of a replacement.
    pub touched: u64,
    /// Sessions removed on demand.
    pub removed: u64,
    /// Sessions removed because due, on access or by the wheel.
    pub expired: u64,
    /// Creations and replacements refused for lack of memory.
    pub refused_full: u64,
    /// Sessions restored.
    pub restored: u64,
}

/// One shard's sessions.
pub struct Store {
    settings: Settings,
    hasher: IdHasher,
    /// Every session, due or not, exactly once.
    entries: Slab<Entry>,
    /// Every entry, under the hash of its id.
    index: Index,
    /// Every entry, under a tick not after its deadline's.
    wheel: Wheel,
    content_types: ContentTypes,
    /// The data of all entries, in usable bytes.
    data_bytes: usize,
    /// The lengths of all entries' data and Content-Types together, in bytes.
    content_bytes: u64,
    /// `lease.used()` is what [`Store::bytes`] counts, between calls.
    lease: Lease,
    counters: Counters,
}

impl Store {
    /// What an empty store takes: its wheel and its index, in bytes.
    pub const BYTES_MIN: usize = Self::BASE_BYTES + Index::BASE_BYTES;
    /// What a store takes beside its parts that count themselves.
    const BASE_BYTES: usize = size_of::<Self>() + usable_size(Wheel::HEAP_BYTES);

    /// An empty store, which itself is never refused its memory.
    pub fn new(settings: Settings, hasher: IdHasher, start: Moment, memory: Lease) -> Self {
        let mut store = Self {
            settings,
            content_types: ContentTypes::new(hasher.clone()),
            hasher,
            entries: Slab::new(),
            index: Index::new(),
            wheel: Wheel::new(start),
            data_bytes: 0,
            content_bytes: 0,
            lease: memory,
            counters: Counters::default(),
        };
        store.settle();
        store
    }

    /// Creates a session, or changes nothing. Its id is in use in no bucket: an id in two of them
    /// would make one session answer for the other. [`Store::occupant`] tells.
    pub fn create(&mut self, now: Moment, new: NewSession<'_>) -> Result<Handle, Full> {
        let hash = self.hasher.hash(new.id);
        debug_assert!(self.index_of(hash, new.id).is_none(), "an id is one session's");
        self.reserve_for(hash, &new).inspect_err(|_| self.counters.refused_full += 1)?;
        let entry = Entry {
            id: new.id,
            data: Box::from(new.data),
            deadline: Deadline::after(now, new.own_ttl.unwrap_or(self.settings.ttl)),
            version: Version::first(self.settings.epoch),
            link: Link::UNFILED,
            bucket: new.bucket,
            own_ttl: new.own_ttl,
            content_type: self.content_types.acquire(new.content_type),
            stamp: Stamp::default(),
        };
        let handle = self.insert(hash, entry, new.content_type.len());
        self.counters.created += 1;
        Ok(handle)
    }

    /// Takes a session in that was here before the process was: whatever the memory limit, and
    /// at once due if that is how it stands. Its id is in use nowhere.
    pub fn restore(&mut self, restored: RestoredSession<'_>) {
        let hash = self.hasher.hash(restored.id);
        debug_assert!(self.index_of(hash, restored.id).is_none(), "an id is one session's");
        let entry = Entry {
            id: restored.id,
            data: Box::from(restored.data),
            deadline: restored.deadline,
            version: restored.version,
            link: Link::UNFILED,
            bucket: restored.bucket,
            own_ttl: restored.own_ttl,
            content_type: self.content_types.acquire(restored.content_type),
            stamp: restored.stamp,
        };
        self.insert(hash, entry, restored.content_type.len());
        self.counters.restored += 1;
    }

    /// The session `id`, if it is in `bucket`.
    pub fn find(&self, now: Moment, bucket: BucketId, id: SessionId) -> Found {
        self.found(now, id, |entry| entry.bucket == bucket)
    }

    /// Who has `id`, in whichever bucket.
    pub fn occupant(&self, now: Moment, id: SessionId) -> Found {
        self.found(now, id, |_| true)
    }

    /// The session as it is; one without data, long due, for a handle that is no longer valid.
    pub fn view(&self, handle: Handle) -> SessionView<'_> {
        let entry = self.entry(handle);
        debug_assert!(entry.is_some(), "a handle is used while its session is there");
        entry.map_or_else(SessionView::of_nothing, |entry| self.view_of(entry))
    }

    /// The deadline that a touch at `now` gives the session.
    pub fn deadline_after_touch(&self, now: Moment, handle: Handle) -> Deadline {
        let own_ttl = self.entry(handle).and_then(|entry| entry.own_ttl);
        Deadline::after(now, own_ttl.unwrap_or(self.settings.ttl))
    }

    /// Moves the session's deadline, by a touch.
    pub fn touch(&mut self, handle: Handle, deadline: Deadline) {
        self.move_deadline(handle, deadline);
        self.counters.touched += 1;
    }

    /// Notes something with the session, in place of what was noted before.
    pub fn stamp(&mut self, handle: Handle, stamp: Stamp) {
        if let Some(entry) = self.entries.get_mut(handle.0) {
            entry.stamp = stamp;
        }
    }

    /// Replaces the session's data and touches it, or changes nothing. Data that takes no
    /// more memory than before is never refused.
    pub fn replace(&mut self, now: Moment, handle: Handle, new: Replacement<'_>) -> Result<(), Full> {
        let Some(entry) = self.entry(handle) else {
            debug_assert!(false, "a handle is used while its session is there");
            return Ok(());
        };
        let (before, after) = (usable_size(entry.data.len()), usable_size(new.data.len()));
        let lens = (entry.data.len() as u64, new.data.len() as u64);
        let has_new_type = self.content_types.text(entry.content_type) != new.content_type;
        // A change of type alone is never refused: it is bounded, and a smaller session has to fit.
        if after > before {
            let growth = self.content_types.growth(new.content_type) + ByteCount::of_len(after - before);
            self.lease.reserve(growth).inspect_err(|_| self.counters.refused_full += 1)?;
        }
        if has_new_type {
            self.set_content_type(handle, new.content_type);
        }
        let epoch = self.settings.epoch;
        if let Some(entry) = self.entries.get_mut(handle.0) {
            put_data(&mut entry.data, new.data);
            entry.version = entry.version.next(epoch);
            entry.own_ttl = new.own_ttl.or(entry.own_ttl);
        }
        self.data_bytes = self.data_bytes + after - before;
        self.content_bytes = self.content_bytes + lens.1 - lens.0;
        self.move_deadline(handle, self.deadline_after_touch(now, handle));
        self.settle();
        self.counters.replaced += 1;
        Ok(())
    }

    /// Removes the session.
    pub fn remove(&mut self, handle: Handle) {
        if self.take_out_filed(handle) {
            self.counters.removed += 1;
        }
    }

    /// Removes the session because it is due.
    pub fn expire(&mut self, handle: Handle) {
        if self.take_out_filed(handle) {
            self.counters.expired += 1;
        }
    }

    /// Expires what is due, looking at no more than `budget` entries, and tells of each.
    pub fn advance(&mut self, now: Moment, budget: usize, mut tell: impl FnMut(SessionId)) -> Advance {
        let mut expired = 0;
        for step in 0..budget {
            if step % FORESEEN_MAX == 0 {
                self.foresee_fired(now, budget - step);
            }
            let Some(index) = self.wheel.next_fired(&mut self.entries, now) else {
                break;
            };
            let Some((id, deadline)) = self.entries.get(index).map(|entry| (entry.id, entry.deadline)) else {
                debug_assert!(false, "the wheel holds live entries only");
                continue;
            };
            // By the deadline and not by the slot: a touch moves only the deadline, and after a
            // jump of the clock an entry of a high level need not come down through the lower ones.
            if deadline.is_due(now) {
                self.take_out(index);
                tell(id);
                expired += 1;
            } else {
                self.wheel.file(&mut self.entries, index, deadline);
            }
        }
        self.settle();
        self.counters.expired += expired as u64;
        Advance { expired, more_due: self.has_fired(now) }
    }

    /// Whether [`Store::advance`] has anything to look at.
    pub fn has_fired(&self, now: Moment) -> bool {
        self.wheel.has_fired(now)
    }

    /// Goes on with a walk over all sessions, due ones included. Looks at no more than `budget`
    /// places, which it takes off.
    pub fn walk(&self, walk: &mut Walk, budget: &mut usize) -> Step {
        match self.entries.pass(&mut walk.next, budget) {
            Passed::Value(index) => Step::At(Handle(index)),
            Passed::Pause => Step::Pause,
            Passed::End => Step::End,
        }
    }

    /// How long the wheel's oldest slot that should have fired has been waiting.
    pub fn lag(&self, now: Moment) -> Millis {
        self.wheel.lag(now)
    }

    /// Sessions held, with those that are due and not yet found to be.
    pub const fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no session.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What the store takes: data, entries, index, wheel and Content-Types, in usable bytes.
    pub fn bytes(&self) -> ByteCount {
        self.entries.bytes()
            + self.index.bytes()
            + self.content_types.bytes()
            + ByteCount::of_len(Self::BASE_BYTES + self.data_bytes)
    }

    /// The lengths of all sessions' data and Content-Types together.
    pub const fn content(&self) -> ByteCount {
        ByteCount::new(self.content_bytes)
    }

    /// Totals since the store was made.
    pub const fn counters(&self) -> Counters {
        self.counters
    }

    fn index_of(&self, hash: u64, id: SessionId) -> Option<u32> {
        self.index.find(hash, |index| self.entries.get(index).is_some_and(|entry| entry.id == id))
    }

    fn found(&self, now: Moment, id: SessionId, is_meant: impl Fn(&Entry) -> bool) -> Found {
        let Some(index) = self.index_of(self.hasher.hash(id), id) else { return Found::Missing };
        match self.entries.get(index).filter(|entry| is_meant(entry)) {
            Some(entry) if entry.deadline.is_due(now) => Found::Due(Handle(index)),
            Some(_) => Found::Live(Handle(index)),
            None => Found::Missing,
        }
    }

    fn entry(&self, handle: Handle) -> Option<&Entry> {
        self.entries.get(handle.0)
    }

    fn view_of<'s>(&'s self, entry: &'s Entry) -> SessionView<'s> {
        SessionView {
            id: entry.id,
            bucket: entry.bucket,
            data: &entry.data,
            content_type: self.content_types.text(entry.content_type),
            version: entry.version,
            deadline: entry.deadline,
            own_ttl: entry.own_ttl,
            stamp: entry.stamp,
        }
    }

    fn reserve_for(&mut self, hash: u64, new: &NewSession<'_>) -> Result<(), Full> {
        let data = ByteCount::of_len(usable_size(new.data.len()));
        let parts = self.entries.growth() + self.index.growth(hash);
        self.lease.reserve(data + parts + self.content_types.growth(new.content_type))
    }
}

#[cfg(test)]
mod tests;
