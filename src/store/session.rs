//! What goes into a store and what is seen of it: new sessions, replacements, views.
//!
//! Beside them the entry that a session is kept in. Its size is most of what a session
//! costs over its data, so it is fixed by an assertion: 72 bytes, and a chunk of 1,024
//! entries of up to 80 bytes takes the same size class of the allocator.

use std::borrow::Cow;
use std::fmt;

use super::content_types::ContentTypeId;
use super::slab::Slab;
use super::wheel::{Link, Links};
use crate::types::{BucketId, Deadline, Moment, SessionId, Ttl, Version};

/// A session to be created.
#[derive(Clone)]
pub struct NewSession<'a> {
    /// Drawn by the caller; one that is there already is refused.
    pub id: SessionId,
    /// The bucket it is found in, and in no other.
    pub bucket: BucketId,
    /// Its own TTL, or none to take the store's at each touch.
    pub own_ttl: Option<Ttl>,
    /// Its first data. Owned data is moved, not copied.
    pub data: Cow<'a, [u8]>,
    /// The field value as it came, at most 255 bytes; empty if none was given.
    pub content_type: &'a [u8],
}

/// What takes the place of a session's data.
#[derive(Clone)]
pub struct Replacement<'a> {
    /// A new TTL of its own; none keeps what the session has.
    pub own_ttl: Option<Ttl>,
    /// The new data. Owned data is moved, not copied.
    pub data: Cow<'a, [u8]>,
    /// The field value as it came, at most 255 bytes; empty if none was given.
    pub content_type: &'a [u8],
}

/// A session as it is at present.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SessionView<'s> {
    /// The id it is found by.
    pub id: SessionId,
    /// The bucket it belongs to.
    pub bucket: BucketId,
    /// The data, to the byte.
    pub data: &'s [u8],
    /// The Content-Type that came with the data; empty if none was given.
    pub content_type: &'s [u8],
    /// Grows with each replacement, not with a touch.
    pub version: Version,
    /// When it is gone.
    pub deadline: Deadline,
    /// Its own TTL, or none if it takes the store's.
    pub own_ttl: Option<Ttl>,
}

impl SessionView<'_> {
    /// The view of a session that is gone: no data, due since ever.
    pub(super) fn of_nothing() -> Self {
        Self {
            id: SessionId::from_random([0; 16]),
            bucket: BucketId::new(u32::MAX),
            data: &[],
            content_type: &[],
            version: Version::first(Default::default()),
            deadline: Deadline::at(Moment::default()),
            own_ttl: None,
        }
    }
}

impl fmt::Debug for SessionView<'_> {
    /// The data is the client app's: its length says enough.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionView")
            .field("bucket", &self.bucket)
            .field("data_len", &self.data.len())
            .field("version", &self.version)
            .field("deadline", &self.deadline)
            .field("own_ttl", &self.own_ttl)
            .finish_non_exhaustive()
    }
}

/// A session that was found: valid until it is removed or expires.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Handle {
    /// Its place in the slab.
    pub(super) index: u32,
    /// The entry's own number, which the next session in that place does not have.
    pub(super) serial: u32,
}

/// A session as it is kept.
pub(super) struct Entry {
    pub(super) id: SessionId,
    /// An allocation of exactly this length.
    pub(super) data: Box<[u8]>,
    /// Never before the tick that the wheel has it filed under.
    pub(super) deadline: Deadline,
    pub(super) version: Version,
    /// In the wheel for as long as the entry is in the slab.
    pub(super) link: Link,
    pub(super) bucket: BucketId,
    pub(super) own_ttl: Option<Ttl>,
    /// One acquisition of it.
    pub(super) content_type: ContentTypeId,
    /// Counts the creations of a store, wrapping: tells a stale handle.
    pub(super) serial: u32,
}

const _: () = assert!(size_of::<Option<Entry>>() <= 72, "an entry is most of a session's cost");

/// The wheel's links live in the entries. A number that is in a slot is a live entry, for
/// entries are unlinked before they are removed; no other is ever asked for.
impl Links for Slab<Entry> {
    fn link(&self, index: u32) -> Link {
        self.get(index).map_or(Link::UNFILED, |entry| entry.link)
    }

    fn link_mut(&mut self, index: u32) -> &mut Link {
        &mut self.get_mut(index).expect("a filed entry is unlinked before it is removed").link
    }
}
