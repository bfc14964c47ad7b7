//! What happens to an entry: it comes in, its deadline or type changes, it goes.
//!
//! Slab, index, wheel, Content-Types and the counts of bytes change together in here, so
//! that between two calls from outside each entry is in all of them or in none, and the
//! lease holds what is really taken.

use std::borrow::Cow;

use super::content_types::ContentTypeId;
use super::hash::IdHasher;
use super::session::{Entry, Handle};
use super::slab::Slab;
use super::{Store, usable_size};
use crate::types::Deadline;

impl Store {
    pub(super) fn insert(&mut self, hash: u64, entry: Entry, content_type_len: usize) -> Handle {
        let deadline = entry.deadline;
        self.data_bytes += usable_size(entry.data.len());
        self.content_bytes += (entry.data.len() + content_type_len) as u64;
        let index = self.entries.insert(entry);
        let (entries, hasher) = (&self.entries, &self.hasher);
        self.index.insert(hash, index, |other| hash_of(entries, hasher, other));
        self.wheel.file(&mut self.entries, index, deadline);
        self.settle();
        Handle(index)
    }

    /// The wheel finds a later deadline by itself when the slot fires; only an earlier one has
    /// to be filed again.
    pub(super) fn move_deadline(&mut self, handle: Handle, deadline: Deadline) {
        let Some(entry) = self.entries.get_mut(handle.0) else {
            debug_assert!(false, "a handle is used while its session is there");
            return;
        };
        let is_earlier = deadline < entry.deadline;
        entry.deadline = deadline;
        if is_earlier {
            self.wheel.unlink(&mut self.entries, handle.0);
            self.wheel.file(&mut self.entries, handle.0, deadline);
        }
    }

    pub(super) fn set_content_type(&mut self, handle: Handle, text: &[u8]) {
        // Acquired before the old one is released, so that a text both share is not dropped.
        let content_type = self.content_types.acquire(text);
        let Some(entry) = self.entries.get_mut(handle.0) else { return };
        let before: ContentTypeId = std::mem::replace(&mut entry.content_type, content_type);
        self.content_bytes -= self.content_types.text(before).len() as u64;
        self.content_bytes += text.len() as u64;
        self.content_types.release(before);
    }

    /// Drops an entry that the wheel still has. False where there is none.
    pub(super) fn take_out_filed(&mut self, handle: Handle) -> bool {
        if self.entry(handle).is_none() {
            debug_assert!(false, "a handle is used while its session is there");
            return false;
        }
        self.wheel.unlink(&mut self.entries, handle.0);
        self.take_out(handle.0);
        self.settle();
        true
    }

    /// Drops an entry that is no longer in the wheel.
    pub(super) fn take_out(&mut self, index: u32) {
        let Some(entry) = self.entries.remove(index) else { return };
        debug_assert!(!entry.link.is_filed(), "unlinked before it is removed");
        let (entries, hasher) = (&self.entries, &self.hasher);
        self.index.remove(hasher.hash(entry.id), index, |other| hash_of(entries, hasher, other));
        let content_len = entry.data.len() + self.content_types.text(entry.content_type).len();
        self.content_types.release(entry.content_type);
        self.content_bytes -= content_len as u64;
        self.data_bytes -= usable_size(entry.data.len());
    }

    /// Brings the lease to what is really taken, after a change.
    pub(super) fn settle(&mut self) {
        let (bytes, reserved) = (self.bytes(), self.lease.used());
        if bytes > reserved {
            self.lease.reserve_anyway(bytes.saturating_sub(reserved));
        } else {
            self.lease.release(reserved.saturating_sub(bytes));
        }
        debug_assert_eq!(self.lease.used(), bytes);
    }
}

pub(super) fn hash_of(entries: &Slab<Entry>, hasher: &IdHasher, index: u32) -> u64 {
    let entry = entries.get(index);
    debug_assert!(entry.is_some(), "the index holds live entries only");
    entry.map_or(0, |entry| hasher.hash(entry.id))
}

/// Puts `data` in the place of `held`; in the same allocation where it has the same length.
pub(super) fn put_data(held: &mut Box<[u8]>, data: Cow<'_, [u8]>) {
    match data {
        Cow::Borrowed(data) if data.len() == held.len() => held.copy_from_slice(data),
        data => *held = Box::from(data),
    }
}
