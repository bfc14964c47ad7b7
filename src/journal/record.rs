//! One record: what it says, how it is encoded, how it is read back.
//!
//! A record is good as a whole or not at all: head, body and tail must all be as they were
//! sealed for this place, and the fields must make sense. Reading never panics and believes no
//! length before its check; of a bad record it yields the head where that is good, so that
//! the reader can say what was lost. Encoding is for the core, before the place is known.

use std::fmt;
use std::ops::DerefMut;

use bytes::BufMut;

use super::layout::{
    ALIGN, BLOB_BYTES_MAX, CONTENT_TYPE_BYTES_MAX, HEAD_LEN, Head, Kind, TAIL_LEN, len_of, u32_at, u64_at,
};
use super::seal::Marks;
use super::units::{JournalMillis, LogOffset, Position, SegmentNumber, Sequence};
use crate::types::{
    API_KEY_LEN, ApiKey, BUCKET_NAME_LEN_MAX, BootEpoch, BucketId, BucketName, SessionId, ShardId, Ttl,
    UnixMillis, Version,
};

/// Stands for the shard of records that the journal logs by itself.
pub const NO_SHARD: ShardId = ShardId::new(u16::MAX);

/// Who logged a record, and as which of its records.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Origin {
    /// The boot epoch.
    pub epoch: BootEpoch,
    /// The shard; [`NO_SHARD`] for the journal itself.
    pub shard: ShardId,
    /// Counts the records of this shard in this epoch, without gaps.
    pub sequence: Sequence,
}

/// A record: who logged it and what it says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Record<'a> {
    /// Who logged it.
    pub origin: Origin,
    /// What it says.
    pub entry: Entry<'a>,
}

/// What a record says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Entry<'a> {
    /// The session was made.
    Create(SessionImage<'a>),
    /// The session is so now: after a change of its data, or as a copy made in cleaning.
    Update(SessionImage<'a>),
    /// The session was removed at its client's word.
    Delete(SessionId),
    /// The session was removed because it was due.
    Expire(SessionId),
    /// The session's deadline was moved, and nothing else.
    Touch {
        /// The session.
        id: SessionId,
        /// Which of its data it had. A base of an older version means that a change was lost.
        version: Version,
        /// The deadline from now on, with its slack.
        deadline: JournalMillis,
    },
    /// The bucket is there, without a key.
    Bucket {
        /// Its number, for ever.
        bucket: BucketId,
        /// Its name.
        name: BucketName,
    },
    /// The bucket is there, with this key.
    Key {
        /// Its number, for ever.
        bucket: BucketId,
        /// Its name.
        name: BucketName,
        /// The key that opens it from now on.
        key: ApiKey,
    },
    /// The bucket has lost its key.
    KeyDelete {
        /// Its number, for ever.
        bucket: BucketId,
        /// Its name.
        name: BucketName,
    },
    /// The log was on stable storage up to here when this was written.
    Synced {
        /// Where a record ends and all before it is kept.
        upto: Position,
        /// The time then.
        mark: TimeMark,
    },
    /// Segments before this one hold nothing that is needed.
    Checkpoint(SegmentNumber),
    /// What time it was.
    Time(TimeMark),
}

/// A session, whole.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SessionImage<'a> {
    /// Its id.
    pub id: SessionId,
    /// The bucket it belongs to.
    pub bucket: BucketId,
    /// Which of its data this is.
    pub version: Version,
    /// Its deadline with slack: it expires no later, unless a touch moves it.
    pub deadline: JournalMillis,
    /// Its own TTL, or none if it takes the configured one.
    pub own_ttl: Option<Ttl>,
    /// At most [`CONTENT_TYPE_BYTES_MAX`] bytes; empty if none was given.
    pub content_type: &'a [u8],
    /// At most [`BLOB_BYTES_MAX`] bytes.
    pub blob: &'a [u8],
}

impl fmt::Debug for SessionImage<'_> {
    /// The blob is the client app's: its length says enough.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionImage")
            .field("bucket", &self.bucket)
            .field("version", &self.version)
            .field("deadline", &self.deadline)
            .field("own_ttl", &self.own_ttl)
            .field("blob_len", &self.blob.len())
            .finish_non_exhaustive()
    }
}

/// The same point in journal time and on the wall clock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TimeMark {
    /// In journal time.
    pub journal: JournalMillis,
    /// On the wall clock, which may have been wrong.
    pub wall: UnixMillis,
}

/// The length of a record that holds a whole session with so much data: what to reserve.
pub const fn session_record_len(content_type_len: usize, blob_len: usize) -> usize {
    len_of(content_type_len + blob_len)
}

/// The length of the longest record about a bucket.
pub const fn bucket_record_len_max() -> usize {
    len_of(API_KEY_LEN + BUCKET_NAME_LEN_MAX)
}

/// Appends `record` to `out`, unsealed, and returns its length. `out` holds whole records.
pub fn encode(out: &mut (impl BufMut + DerefMut<Target = [u8]>), record: &Record<'_>) -> usize {
    debug_assert!(out.len().is_multiple_of(ALIGN), "a buffer holds whole records");
    let start = out.len();
    // The head's place is kept free: it holds the check of the body behind it.
    out.put_bytes(0, HEAD_LEN);
    let mut head = record.head();
    record.write_body(out);
    let body_len = out.len() - start - HEAD_LEN;
    head.body_len = body_len as u32;
    out.put_bytes(0, body_len.next_multiple_of(ALIGN) - body_len);
    // The padding is checked too, so that no bit of a record can flip unnoticed.
    head.body_check = crc32fast::hash(&out[start + HEAD_LEN..]);
    out[start..start + HEAD_LEN].copy_from_slice(&head.to_bytes());
    out.put_slice(&head.tail().to_bytes(0));
    debug_assert_eq!(out.len() - start, head.len());
    debug_assert_eq!(head.len(), record.entry.record_len(), "what was reserved is what is used");
    head.len()
}

/// Why there is no good record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Bad {
    /// No record begins here, or its head is damaged: its length is unknown.
    Head,
    /// The head is good, so the record is known by name and length; the rest is damaged, or
    /// cut off, or means nothing.
    Rest(Head),
}

/// The sealed record at the beginning of `bytes`, and its length.
pub(super) fn decode<'b>(bytes: &'b [u8], marks: &Marks) -> Result<(Record<'b>, usize), Bad> {
    let head = Head::read(bytes, marks).ok_or(Bad::Head)?;
    let record = bytes.get(..head.len()).ok_or(Bad::Rest(head))?;
    let (body, tail) = record[HEAD_LEN..].split_at(head.len() - HEAD_LEN - TAIL_LEN);
    // The tail first: where a write was torn it is what is missing, and it is cheap.
    let is_whole = *tail == head.tail().to_bytes(marks.tail) && crc32fast::hash(body) == head.body_check;
    let entry = if is_whole { parse(&head, &body[..head.body_len as usize]) } else { None };
    let entry = entry.ok_or(Bad::Rest(head))?;
    let origin = Origin { epoch: head.epoch, shard: head.shard, sequence: head.sequence };
    Ok((Record { origin, entry }, head.len()))
}

impl Entry<'_> {
    /// The length of the record that says this.
    pub fn record_len(&self) -> usize {
        let body_len = match self {
            Self::Create(session) | Self::Update(session) => session.content_type.len() + session.blob.len(),
            Self::Delete(_) | Self::Expire(_) | Self::Touch { .. } => 0,
            Self::Bucket { name, .. } | Self::KeyDelete { name, .. } => name.as_str().len(),
            Self::Key { name, .. } => API_KEY_LEN + name.as_str().len(),
            Self::Synced { .. } => SYNCED_LEN,
            Self::Checkpoint(_) => CHECKPOINT_LEN,
            Self::Time(_) => TIME_LEN,
        };
        len_of(body_len)
    }
}

impl Record<'_> {
    /// The head, but for what is only known when the body is written.
    fn head(&self) -> Head {
        let Origin { epoch, shard, sequence } = self.origin;
        let mut head = Head {
            kind: kind_of(&self.entry),
            content_type_len: 0,
            body_len: 0,
            body_check: 0,
            shard,
            epoch,
            sequence,
            bucket: BucketId::new(0),
            ttl_secs: 0,
            id: [0; 16],
            deadline: 0,
            version: 0,
        };
        match &self.entry {
            Entry::Create(session) | Entry::Update(session) => describe(&mut head, session),
            Entry::Delete(id) | Entry::Expire(id) => head.id = *id.as_bytes(),
            Entry::Touch { id, version, deadline } => {
                head.id = *id.as_bytes();
                (head.version, head.deadline) = (version.as_u64(), deadline.as_u64());
            }
            Entry::Bucket { bucket, .. } | Entry::Key { bucket, .. } | Entry::KeyDelete { bucket, .. } => {
                // Twice, for the tail repeats the id and not the bucket.
                head.bucket = *bucket;
                head.id = id_of_bucket(*bucket);
            }
            Entry::Synced { .. } | Entry::Checkpoint(_) | Entry::Time(_) => {}
        }
        head
    }

    fn write_body(&self, out: &mut impl BufMut) {
        match &self.entry {
            Entry::Create(session) | Entry::Update(session) => {
                out.put_slice(session.content_type);
                out.put_slice(session.blob);
            }
            Entry::Delete(_) | Entry::Expire(_) | Entry::Touch { .. } => {}
            Entry::Bucket { name, .. } | Entry::KeyDelete { name, .. } => {
                out.put_slice(name.as_str().as_bytes());
            }
            Entry::Key { name, key, .. } => {
                out.put_slice(key.expose().as_bytes());
                out.put_slice(name.as_str().as_bytes());
            }
            Entry::Synced { upto, mark } => {
                write_mark(out, mark);
                out.put_slice(&upto.offset.as_u64().to_le_bytes());
                out.put_slice(&upto.segment.as_u32().to_le_bytes());
            }
            Entry::Checkpoint(segment) => out.put_slice(&segment.as_u32().to_le_bytes()),
            Entry::Time(mark) => write_mark(out, mark),
        }
    }
}

/// Body bytes of the kinds whose body is numbers.
const TIME_LEN: usize = 16;
const SYNCED_LEN: usize = TIME_LEN + 12;
const CHECKPOINT_LEN: usize = 4;

fn write_mark(out: &mut impl BufMut, mark: &TimeMark) {
    out.put_slice(&mark.journal.as_u64().to_le_bytes());
    out.put_slice(&mark.wall.as_u64().to_le_bytes());
}

fn kind_of(entry: &Entry<'_>) -> Kind {
    match entry {
        Entry::Create(_) => Kind::Create,
        Entry::Update(_) => Kind::Update,
        Entry::Delete(_) => Kind::Delete,
        Entry::Expire(_) => Kind::Expire,
        Entry::Touch { .. } => Kind::Touch,
        Entry::Bucket { .. } => Kind::Bucket,
        Entry::Key { .. } => Kind::Key,
        Entry::KeyDelete { .. } => Kind::KeyDelete,
        Entry::Synced { .. } => Kind::Synced,
        Entry::Checkpoint(_) => Kind::Checkpoint,
        Entry::Time(_) => Kind::Time,
    }
}

/// Fills in what a head says of a whole session.
fn describe(head: &mut Head, session: &SessionImage<'_>) {
    // A record past these limits could not be read back: the session would be lost at the next
    // start. The configuration keeps payloads below them, the wire Content-Types.
    assert!(session.content_type.len() <= CONTENT_TYPE_BYTES_MAX, "a Content-Type is at most 255 bytes");
    assert!(session.blob.len() <= BLOB_BYTES_MAX, "a blob is at most 64 MiB");
    head.id = *session.id.as_bytes();
    head.bucket = session.bucket;
    head.version = session.version.as_u64();
    head.deadline = session.deadline.as_u64();
    head.ttl_secs = session.own_ttl.map_or(0, Ttl::as_secs);
    head.content_type_len = session.content_type.len() as u8;
}

/// What stands for a session's id in records about a bucket, so that a tail names it too.
fn id_of_bucket(bucket: BucketId) -> [u8; 16] {
    let mut id = [0; 16];
    id[..4].copy_from_slice(&bucket.as_u32().to_le_bytes());
    id
}

/// What a head and its body say; nothing where they make no sense.
fn parse<'b>(head: &Head, body: &'b [u8]) -> Option<Entry<'b>> {
    let id = SessionId::from_bytes(head.id);
    let bucket = head.bucket;
    Some(match head.kind {
        Kind::Create => Entry::Create(parse_session(head, body)?),
        Kind::Update => Entry::Update(parse_session(head, body)?),
        Kind::Delete => Entry::Delete(id),
        Kind::Expire => Entry::Expire(id),
        Kind::Touch => {
            let deadline = JournalMillis::new(head.deadline);
            Entry::Touch { id, version: Version::new(head.version)?, deadline }
        }
        Kind::Bucket => Entry::Bucket { bucket, name: BucketName::parse(body)? },
        Kind::Key => {
            let (key, name) = body.split_at_checked(API_KEY_LEN)?;
            Entry::Key { bucket, name: BucketName::parse(name)?, key: ApiKey::parse(key)? }
        }
        Kind::KeyDelete => Entry::KeyDelete { bucket, name: BucketName::parse(body)? },
        Kind::Synced => {
            let segment = SegmentNumber::new(u32_at(body, TIME_LEN + 8)?)?;
            let offset = LogOffset::new(u64_at(body, TIME_LEN)?);
            Entry::Synced { upto: Position { segment, offset }, mark: parse_mark(body)? }
        }
        Kind::Checkpoint => Entry::Checkpoint(SegmentNumber::new(u32_at(body, 0)?)?),
        Kind::Time => Entry::Time(parse_mark(body)?),
    })
}

fn parse_session<'b>(head: &Head, body: &'b [u8]) -> Option<SessionImage<'b>> {
    let (content_type, blob) = body.split_at_checked(usize::from(head.content_type_len))?;
    // 0 is no TTL at all, so it is free to stand for the configured one.
    let own_ttl = match head.ttl_secs {
        0 => None,
        seconds => Some(Ttl::from_secs(u64::from(seconds))?),
    };
    Some(SessionImage {
        id: SessionId::from_bytes(head.id),
        bucket: head.bucket,
        version: Version::new(head.version)?,
        deadline: JournalMillis::new(head.deadline),
        own_ttl,
        content_type,
        blob,
    })
}

fn parse_mark(body: &[u8]) -> Option<TimeMark> {
    let (journal, wall) = (u64_at(body, 0)?, u64_at(body, 8)?);
    Some(TimeMark { journal: JournalMillis::new(journal), wall: UnixMillis::new(wall) })
}

#[cfg(test)]
pub(super) mod tests;
