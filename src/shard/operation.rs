//! The language of shards: what they are told to do, and what comes of it.
//!
//! No HTTP words. Whatever answers an [`Operation`] with an [`Outcome`] can stand behind
//! the interface: today the mesh of shards in this process, another day a cluster.

use std::borrow::Cow;

use crate::store::SessionView;
use crate::types::{BucketId, SessionId, Ttl, Version};

/// One thing to do to one session of one bucket.
#[derive(Clone, Debug)]
pub struct Operation<'a> {
    /// The bucket whose key was shown. Another bucket's session is missing to it.
    pub bucket: BucketId,
    /// The session.
    pub id: SessionId,
    /// What to do to it.
    pub action: Action<'a>,
}

/// What to do.
#[derive(Clone, Debug)]
pub enum Action<'a> {
    /// Make the session. Refused where the id is in use.
    Create {
        /// A TTL of its own; without one it takes the configured TTL at each touch.
        own_ttl: Option<Ttl>,
        /// Its first data.
        data: Data<'a>,
    },
    /// Yield the data.
    Read {
        /// Whether to extend the session's life; a peek does not.
        touch: bool,
        /// What must hold of the session's version.
        conditions: &'a Conditions,
    },
    /// Replace the data and extend the session's life.
    Update {
        /// A new TTL of its own; without one it keeps what it has.
        own_ttl: Option<Ttl>,
        /// The new data.
        data: Data<'a>,
        /// What must hold of the session's version.
        conditions: &'a Conditions,
    },
    /// Remove the session.
    Delete {
        /// What must hold of the session's version.
        conditions: &'a Conditions,
    },
}

/// A blob with its media type.
#[derive(Clone, Debug)]
pub struct Data<'a> {
    /// The bytes: borrowed ones are copied into the store, owned ones move in.
    pub bytes: Cow<'a, [u8]>,
    /// The media type it came with, at most 255 bytes; empty where none was given.
    pub content_type: &'a [u8],
}

/// A set of versions that a condition names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum VersionSet {
    /// Every version: `*`.
    Any,
    /// This one alone, by far the most common.
    One(Version),
    /// Each of these; none of them, where the tags named were never ours.
    Listed(Vec<Version>),
}

impl VersionSet {
    fn contains(&self, version: Version) -> bool {
        match self {
            Self::Any => true,
            Self::One(one) => *one == version,
            Self::Listed(listed) => listed.contains(&version),
        }
    }
}

/// What must hold of a session's version for an operation to be done.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Conditions {
    /// The version must be one of these.
    pub if_match: Option<VersionSet>,
    /// The version must be none of these; a read of one of these yields no data.
    pub if_none_match: Option<VersionSet>,
}

impl Conditions {
    /// Whether the version is one that the operation asks for.
    pub(super) fn if_match_holds(&self, version: Version) -> bool {
        self.if_match.as_ref().is_none_or(|set| set.contains(version))
    }

    /// Whether the version is one that the operation does not want to meet.
    pub(super) fn if_none_match_hits(&self, version: Version) -> bool {
        self.if_none_match.as_ref().is_some_and(|set| set.contains(version))
    }
}

/// What came of an operation.
#[derive(Clone, Copy, Debug)]
pub enum Outcome<'s> {
    /// The session was made.
    Created(SessionView<'s>),
    /// The session, to be shown whole.
    Found(SessionView<'s>),
    /// The session, whose data the asker has already.
    Unchanged(SessionView<'s>),
    /// The session, with the data that it was just given.
    Updated(SessionView<'s>),
    /// The session is gone.
    Deleted,
    /// A legal no; nothing has changed.
    Refused(Refusal),
}

/// Why an operation was not done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// No such session in this bucket: never made, deleted or expired.
    Missing,
    /// The session is at this version, which the conditions exclude.
    PreconditionFailed(Version),
    /// No memory for new data.
    Full,
    /// The disk has no room to keep the change.
    DiskFull,
    /// Too much waits to be kept; in a moment there is room again.
    Behind,
    /// Nothing can be kept any more, for ever.
    Unkept,
    /// The id is in use already; draw another.
    Exists,
    /// The bucket's key was changed after the request had shown it.
    KeyChanged,
    /// The owner could not be asked, or did not answer in time.
    Unavailable,
}
