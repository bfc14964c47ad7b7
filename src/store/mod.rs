//! One shard's sessions: created, found, touched, replaced, removed, and expired when due.
//!
//! Pure and single-threaded: time is an argument, and the only thing shared with other
//! shards is the memory pool. A session that is due is gone for whoever asks, whether or
//! not the wheel has come by; one that is not due is never removed to make room. What
//! needs memory is refused before anything has changed.
//!
//! A driver calls, in any order: `find`, then what it wants with the handle; `create`; and
//! once a turn `advance`, again soon if more is due.
//!
//! ```text
//!   id ─▶ hash ─▶ index (256 tables of u32) ─▶ slab (chunks of entries) ─▶ data (its own allocation)
//!                                                ▲ links in the entries
//!                                    wheel (slots by deadline)
//! ```

mod budget;
mod content_types;
mod hash;
mod index;
mod session;
mod slab;
pub mod wheel;

use std::borrow::Cow;

pub use budget::{Full, Lease, MemoryPool, usable_size};
pub use content_types::CONTENT_TYPE_LEN_MAX;
pub use hash::IdHasher;
pub use session::{Handle, NewSession, Replacement, SessionView};

use crate::types::{BootEpoch, BucketId, ByteCount, Deadline, Millis, Moment, SessionId, Ttl, Version};
use content_types::{ContentTypeId, ContentTypes};
use index::Index;
use session::Entry;
use slab::Slab;
use wheel::{Link, Wheel};

/// What holds for all sessions of a store.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Settings {
    /// The TTL of sessions that have none of their own.
    pub ttl: Ttl,
    /// The number of this start of the server, for versions.
    pub epoch: BootEpoch,
}

/// Why a session was not created. Nothing has changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CreateRefused {
    /// There is no memory for it.
    Full,
    /// Its id is in use, in whichever bucket: draw another.
    Exists,
}

impl From<Full> for CreateRefused {
    fn from(_: Full) -> Self {
        Self::Full
    }
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
    /// `lease.used()` is what [`Store::bytes`] counts, between calls.
    lease: Lease,
    counters: Counters,
}

impl Store {
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
            lease: memory,
            counters: Counters::default(),
        };
        store.settle();
        store
    }

    /// Creates a session, or changes nothing.
    pub fn create(&mut self, now: Moment, new: NewSession<'_>) -> Result<SessionView<'_>, CreateRefused> {
        let hash = self.hasher.hash(new.id);
        // Across buckets: an id in two of them would make one session answer for the other.
        if let Some(index) = self.index_of(hash, new.id)
            && !self.expire_if_due(now, index)
        {
            return Err(CreateRefused::Exists);
        }
        self.reserve_for(hash, &new).inspect_err(|_| self.counters.refused_full += 1)?;
        let index = self.insert(now, hash, new);
        self.settle();
        self.counters.created += 1;
        Ok(self.entries.get(index).map_or_else(SessionView::of_nothing, |entry| self.view_of(entry)))
    }

    /// The session `id`, if it is in `bucket` and not due. A due one is expired here and now.
    pub fn find(&mut self, now: Moment, bucket: BucketId, id: SessionId) -> Option<Handle> {
        let index = self.index_of(self.hasher.hash(id), id)?;
        let entry = self.entries.get(index)?;
        if entry.bucket != bucket {
            return None;
        }
        let serial = entry.serial;
        (!self.expire_if_due(now, index)).then_some(Handle { index, serial })
    }

    /// The session as it is; one without data, long due, for a handle that is no longer valid.
    pub fn view(&self, handle: Handle) -> SessionView<'_> {
        let entry = self.entry(handle);
        debug_assert!(entry.is_some(), "a handle is used while its session is there");
        entry.map_or_else(SessionView::of_nothing, |entry| self.view_of(entry))
    }

    /// Extends the session's life: its deadline is one TTL from `now`.
    pub fn touch(&mut self, now: Moment, handle: Handle) {
        if self.entry(handle).is_some() {
            self.extend(now, handle.index);
            self.counters.touched += 1;
        } else {
            debug_assert!(false, "a handle is used while its session is there");
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
        let has_new_type = self.content_types.text(entry.content_type) != new.content_type;
        // A change of type alone is never refused: it is bounded, and a smaller session has to fit.
        if after > before {
            let growth = self.content_types.growth(new.content_type) + ByteCount::of_len(after - before);
            self.lease.reserve(growth).inspect_err(|_| self.counters.refused_full += 1)?;
        }
        if has_new_type {
            self.set_content_type(handle.index, new.content_type);
        }
        let epoch = self.settings.epoch;
        if let Some(entry) = self.entries.get_mut(handle.index) {
            put_data(&mut entry.data, new.data);
            entry.version = entry.version.next(epoch);
            entry.own_ttl = new.own_ttl.or(entry.own_ttl);
        }
        self.data_bytes = self.data_bytes + after - before;
        self.extend(now, handle.index);
        self.settle();
        self.counters.replaced += 1;
        Ok(())
    }

    /// Removes the session.
    pub fn remove(&mut self, handle: Handle) {
        if self.entry(handle).is_none() {
            debug_assert!(false, "a handle is used while its session is there");
            return;
        }
        self.wheel.unlink(&mut self.entries, handle.index);
        self.take_out(handle.index);
        self.settle();
        self.counters.removed += 1;
    }

    /// Expires what is due, looking at no more than `budget` entries.
    pub fn advance(&mut self, now: Moment, budget: usize) -> Advance {
        let mut expired = 0;
        for _ in 0..budget {
            let Some(index) = self.wheel.next_fired(&mut self.entries, now) else {
                break;
            };
            let Some(deadline) = self.entries.get(index).map(|entry| entry.deadline) else {
                debug_assert!(false, "the wheel holds live entries only");
                continue;
            };
            // By the deadline and not by the slot: a touch moves only the deadline, and after a
            // jump of the clock an entry of a high level need not come down through the lower ones.
            if deadline.is_due(now) {
                self.take_out(index);
                expired += 1;
            } else {
                self.wheel.file(&mut self.entries, index, deadline);
            }
        }
        self.settle();
        self.counters.expired += expired as u64;
        Advance { expired, more_due: self.wheel.has_fired(now) }
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

    /// Totals since the store was made.
    pub const fn counters(&self) -> Counters {
        self.counters
    }

    fn index_of(&self, hash: u64, id: SessionId) -> Option<u32> {
        self.index.find(hash, |index| self.entries.get(index).is_some_and(|entry| entry.id == id))
    }

    fn entry(&self, handle: Handle) -> Option<&Entry> {
        self.entries.get(handle.index).filter(|entry| entry.serial == handle.serial)
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
        }
    }

    fn reserve_for(&mut self, hash: u64, new: &NewSession<'_>) -> Result<(), Full> {
        let data = ByteCount::of_len(usable_size(new.data.len()));
        let parts = self.entries.growth() + self.index.growth(hash);
        self.lease.reserve(data + parts + self.content_types.growth(new.content_type))
    }

    fn insert(&mut self, now: Moment, hash: u64, new: NewSession<'_>) -> u32 {
        let deadline = Deadline::after(now, new.own_ttl.unwrap_or(self.settings.ttl));
        self.data_bytes += usable_size(new.data.len());
        let index = self.entries.insert(Entry {
            id: new.id,
            data: Box::from(new.data),
            deadline,
            version: Version::first(self.settings.epoch),
            link: Link::UNFILED,
            bucket: new.bucket,
            own_ttl: new.own_ttl,
            content_type: self.content_types.acquire(new.content_type),
            serial: self.counters.created as u32,
        });
        let (entries, hasher) = (&self.entries, &self.hasher);
        self.index.insert(hash, index, |other| hash_of(entries, hasher, other));
        self.wheel.file(&mut self.entries, index, deadline);
        index
    }

    /// Moves the deadline. The wheel finds a later one by itself when the slot fires; only an
    /// earlier one has to be filed again.
    fn extend(&mut self, now: Moment, index: u32) {
        let Some(entry) = self.entries.get_mut(index) else { return };
        let deadline = Deadline::after(now, entry.own_ttl.unwrap_or(self.settings.ttl));
        let is_earlier = deadline < entry.deadline;
        entry.deadline = deadline;
        if is_earlier {
            self.wheel.unlink(&mut self.entries, index);
            self.wheel.file(&mut self.entries, index, deadline);
        }
    }

    fn set_content_type(&mut self, index: u32, text: &[u8]) {
        // Acquired before the old one is released, so that a text both share is not dropped.
        let content_type = self.content_types.acquire(text);
        let Some(entry) = self.entries.get_mut(index) else { return };
        let before: ContentTypeId = std::mem::replace(&mut entry.content_type, content_type);
        self.content_types.release(before);
    }

    fn expire_if_due(&mut self, now: Moment, index: u32) -> bool {
        let is_due = self.entries.get(index).is_some_and(|entry| entry.deadline.is_due(now));
        if is_due {
            self.wheel.unlink(&mut self.entries, index);
            self.take_out(index);
            self.settle();
            self.counters.expired += 1;
        }
        is_due
    }

    /// Drops an entry that is no longer in the wheel.
    fn take_out(&mut self, index: u32) {
        let Some(entry) = self.entries.remove(index) else { return };
        debug_assert!(!entry.link.is_filed(), "unlinked before it is removed");
        let (entries, hasher) = (&self.entries, &self.hasher);
        self.index.remove(hasher.hash(entry.id), index, |other| hash_of(entries, hasher, other));
        self.content_types.release(entry.content_type);
        self.data_bytes -= usable_size(entry.data.len());
    }

    /// Brings the lease to what is really taken, after a change.
    fn settle(&mut self) {
        let (bytes, reserved) = (self.bytes(), self.lease.used());
        if bytes > reserved {
            self.lease.reserve_anyway(bytes.saturating_sub(reserved));
        } else {
            self.lease.release(reserved.saturating_sub(bytes));
        }
        debug_assert_eq!(self.lease.used(), bytes);
    }
}

fn hash_of(entries: &Slab<Entry>, hasher: &IdHasher, index: u32) -> u64 {
    let entry = entries.get(index);
    debug_assert!(entry.is_some(), "the index holds live entries only");
    entry.map_or(0, |entry| hasher.hash(entry.id))
}

/// Puts `data` in the place of `held`; in the same allocation where it has the same length.
fn put_data(held: &mut Box<[u8]>, data: Cow<'_, [u8]>) {
    match data {
        Cow::Borrowed(data) if data.len() == held.len() => held.copy_from_slice(data),
        data => *held = Box::from(data),
    }
}

#[cfg(test)]
mod tests;
