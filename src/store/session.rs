//! What goes into a store and what is seen of it: new sessions, replacements, views.
//!
//! Beside them the entry that a session is kept in. Its size is most of what a session
//! costs over its data, so it is fixed by an assertion: 80 bytes, of which a chunk of 256
//! fills a size class of the allocator.

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

/// A session that is there already, as whoever kept it elsewhere gives it back.
#[derive(Clone, Copy)]
pub struct RestoredSession<'a> {
    /// The id it is found by.
    pub id: SessionId,
    /// The bucket it is found in, and in no other.
    pub bucket: BucketId,
    /// Its data, which is copied.
    pub data: &'a [u8],
    /// The field value as it came, at most 255 bytes; empty if none was given.
    pub content_type: &'a [u8],
    /// Its version, of an earlier epoch than the store's.
    pub version: Version,
    /// When it is gone.
    pub deadline: Deadline,
    /// Its own TTL, or none to take the store's at each touch.
    pub own_ttl: Option<Ttl>,
    /// What is noted with it.
    pub stamp: Stamp,
}

/// Three numbers that are kept with a session for whoever keeps sessions elsewhere too. They
/// mean nothing in here; a new session has zeros.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Stamp(pub [u32; 3]);

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
    /// What was noted with it.
    pub stamp: Stamp,
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
            stamp: Stamp::default(),
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

/// A session that was found: its place in the slab. Valid until it is removed or expires, so
/// it is used at once and never kept: the next session may take the place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Handle(pub(super) u32);

/// What was found under an id.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Found {
    /// A session that lives.
    Live(Handle),
    /// A session whose deadline has passed: gone for whoever asks, and to be expired.
    Due(Handle),
    /// None.
    Missing,
}

/// A walk over all sessions, one after another, while the store changes. Whoever is there
/// from the walk's beginning to its end is passed by once.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Walk {
    /// The place in the slab that is looked at next.
    pub(super) next: u32,
}

/// What a step of a [`Walk`] comes to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// A session, due ones included.
    At(Handle),
    /// The budget is used up.
    Pause,
    /// No session is left.
    End,
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
    pub(super) stamp: Stamp,
}

const _: () = assert!(size_of::<Option<Entry>>() <= 80, "an entry is most of a session's cost");

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
