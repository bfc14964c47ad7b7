//! How a record lies in memory and in a segment: a head of fixed length, a body, a tail.
//!
//! Everything is little-endian and at multiples of 8. The head's check covers the head, the
//! body's check the body with its padding; the tail repeats what names the record, so that
//! one damaged end still tells what was lost. Checks are made here as plain CRC-32 and
//! salted for their place by `seal`. No length that is read is believed before its check.
//!
//! ```text
//!  0 mark  4 head check  8 body check  12 body len  16 kind  17 type len  18 shard  20 epoch
//!  24 sequence  32 bucket  36 TTL  40 id  56 deadline  64 version  72 body, padded to 8
//!  tail: 0 id  16 kind and body len  20 tail check
//! ```

use super::seal::Marks;
use super::units::{LogOffset, Sequence};
use crate::types::{BootEpoch, BucketId, ShardId};

/// The longest blob that a record holds: what `session.max_payload` may be at most.
pub const BLOB_BYTES_MAX: usize = 64 * 1024 * 1024;
/// The longest Content-Type that a record holds.
pub const CONTENT_TYPE_BYTES_MAX: usize = 255;
/// The length of a record without a body, and the least of any.
pub const RECORD_LEN_MIN: usize = HEAD_LEN + TAIL_LEN;
/// The length of the longest record.
pub const RECORD_BYTES_MAX: usize = len_of(BODY_BYTES_MAX);

/// Records begin and end at multiples of this.
pub(super) const ALIGN: usize = 8;
pub(super) const HEAD_LEN: usize = 72;
pub(super) const TAIL_LEN: usize = 24;
const BODY_BYTES_MAX: usize = CONTENT_TYPE_BYTES_MAX + BLOB_BYTES_MAX;

/// Where the head's fields lie.
pub(super) const MARK_AT: usize = 0;
pub(super) const HEAD_CHECK_AT: usize = 4;
pub(super) const BODY_CHECK_AT: usize = 8;
const BODY_LEN_AT: usize = 12;
/// The head's check covers the head from here on.
const CHECKED_FROM: usize = BODY_LEN_AT;
/// Where the tail's check lies, from the tail's beginning.
pub(super) const TAIL_CHECK_AT: usize = 20;
/// The tail's word keeps the kind above this many bits of body length.
const BODY_LEN_BITS: u32 = 27;

const _: () = assert!(BODY_BYTES_MAX < 1 << BODY_LEN_BITS, "a body's length leaves room for the kind");
const _: () = assert!(HEAD_LEN.is_multiple_of(ALIGN) && TAIL_LEN.is_multiple_of(ALIGN));

/// What a record does. The numbers are the format: none is ever used for something else.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Create = 1,
    Update = 2,
    Delete = 3,
    Expire = 4,
    Touch = 5,
    Bucket = 6,
    Key = 7,
    KeyDelete = 8,
    Synced = 9,
    Checkpoint = 10,
    Time = 11,
}

impl Kind {
    const ALL: [Self; 11] = [
        Self::Create,
        Self::Update,
        Self::Delete,
        Self::Expire,
        Self::Touch,
        Self::Bucket,
        Self::Key,
        Self::KeyDelete,
        Self::Synced,
        Self::Checkpoint,
        Self::Time,
    ];

    fn from_number(number: u8) -> Option<Self> {
        let kind = *Self::ALL.get(usize::from(number).checked_sub(1)?)?;
        debug_assert_eq!(kind as u8, number, "the kinds are listed in order");
        Some(kind)
    }
}

/// A record's head, checked. Fields that a kind has no use for are 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Head {
    pub(super) kind: Kind,
    /// Bytes of the body that are the Content-Type; `<= body_len`.
    pub(super) content_type_len: u8,
    /// Bytes of the body without its padding; `<= BODY_BYTES_MAX`.
    pub(super) body_len: u32,
    /// CRC-32 of the body and its padding, without salt.
    pub(super) body_check: u32,
    pub(super) shard: ShardId,
    pub(super) epoch: BootEpoch,
    pub(super) sequence: Sequence,
    pub(super) bucket: BucketId,
    /// Seconds; 0 for a session that takes the configured TTL.
    pub(super) ttl_secs: u32,
    /// The session's id, or the number of what else the record is about.
    pub(super) id: [u8; 16],
    /// Journal time in milliseconds.
    pub(super) deadline: u64,
    pub(super) version: u64,
}

impl Head {
    /// The length of the whole record.
    pub(super) const fn len(&self) -> usize {
        len_of(self.body_len as usize)
    }

    /// The head as it is before it is sealed.
    pub(super) fn to_bytes(self) -> [u8; HEAD_LEN] {
        let mut bytes = [0; HEAD_LEN];
        put(&mut bytes, BODY_CHECK_AT, &self.body_check.to_le_bytes());
        put(&mut bytes, BODY_LEN_AT, &self.body_len.to_le_bytes());
        put(&mut bytes, 16, &[self.kind as u8, self.content_type_len]);
        put(&mut bytes, 18, &self.shard.as_u16().to_le_bytes());
        put(&mut bytes, 20, &self.epoch.as_u32().to_le_bytes());
        put(&mut bytes, 24, &self.sequence.as_u64().to_le_bytes());
        put(&mut bytes, 32, &self.bucket.as_u32().to_le_bytes());
        put(&mut bytes, 36, &self.ttl_secs.to_le_bytes());
        put(&mut bytes, 40, &self.id);
        put(&mut bytes, 56, &self.deadline.to_le_bytes());
        put(&mut bytes, 64, &self.version.to_le_bytes());
        let check = crc32fast::hash(&bytes[CHECKED_FROM..]);
        put(&mut bytes, HEAD_CHECK_AT, &check.to_le_bytes());
        bytes
    }

    /// The head of a sealed record at the beginning of `bytes`; nothing where none is there.
    /// What mark and check vouch for, 64 bits together, cannot be forged by who writes blobs.
    pub(super) fn read(bytes: &[u8], marks: &Marks) -> Option<Self> {
        let bytes: &[u8; HEAD_LEN] = bytes.first_chunk()?;
        // The mark first: in a search it rules out all but one place in 2³² without a checksum.
        let is_marked = u32_at(bytes, MARK_AT)? == marks.mark;
        if !is_marked || u32_at(bytes, HEAD_CHECK_AT)? ^ marks.head != crc32fast::hash(&bytes[CHECKED_FROM..])
        {
            return None;
        }
        let head = Self {
            kind: Kind::from_number(bytes[16])?,
            content_type_len: bytes[17],
            body_len: u32_at(bytes, BODY_LEN_AT)?,
            body_check: u32_at(bytes, BODY_CHECK_AT)? ^ marks.body,
            shard: ShardId::new(u16::from_le_bytes([bytes[18], bytes[19]])),
            epoch: BootEpoch::new(u32_at(bytes, 20)?)?,
            sequence: Sequence::new(u64_at(bytes, 24)?),
            bucket: BucketId::new(u32_at(bytes, 32)?),
            ttl_secs: u32_at(bytes, 36)?,
            id: *bytes[40..].first_chunk()?,
            deadline: u64_at(bytes, 56)?,
            version: u64_at(bytes, 64)?,
        };
        // Who has the check right wrote it, yet a length that is too large is still not followed.
        let is_sound =
            head.body_len as usize <= BODY_BYTES_MAX && u32::from(head.content_type_len) <= head.body_len;
        is_sound.then_some(head)
    }

    /// The tail that belongs to this head.
    pub(super) fn tail(&self) -> Tail {
        Tail { id: self.id, kind: self.kind, body_len: self.body_len }
    }
}

/// A record's tail: what was there, even where the head is lost.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Tail {
    pub(super) id: [u8; 16],
    pub(super) kind: Kind,
    pub(super) body_len: u32,
}

impl Tail {
    /// The length of the whole record.
    pub(super) const fn len(&self) -> usize {
        len_of(self.body_len as usize)
    }

    /// The tail with its check, salted by `salt`; 0 leaves it plain.
    pub(super) fn to_bytes(self, salt: u32) -> [u8; TAIL_LEN] {
        let mut bytes = [0; TAIL_LEN];
        put(&mut bytes, 0, &self.id);
        put(&mut bytes, 16, &(((self.kind as u32) << BODY_LEN_BITS) | self.body_len).to_le_bytes());
        let check = crc32fast::hash(&bytes[..TAIL_CHECK_AT]) ^ salt;
        put(&mut bytes, TAIL_CHECK_AT, &check.to_le_bytes());
        bytes
    }

    /// The tail of the sealed record that ends at `end` of a segment; nothing where none does.
    pub(super) fn read_before(
        segment: &[u8],
        end: usize,
        marks_at: impl Fn(LogOffset) -> Marks,
    ) -> Option<Self> {
        let bytes: &[u8; TAIL_LEN] = segment.get(..end)?.last_chunk()?;
        let word = u32_at(bytes, 16)?;
        let kind = Kind::from_number((word >> BODY_LEN_BITS) as u8)?;
        let body_len = word & ((1 << BODY_LEN_BITS) - 1);
        let tail = Self { id: *bytes.first_chunk()?, kind, body_len };
        // A file that was cut may end anywhere, a record begins at a multiple of 8.
        let start = end.checked_sub(tail.len()).filter(|start| start.is_multiple_of(ALIGN))?;
        let marks = marks_at(LogOffset::of_len(start));
        (*bytes == tail.to_bytes(marks.tail)).then_some(tail)
    }
}

/// The length of the first record of `buffer`, which holds whole records, sealed or not;
/// nothing where it holds none. For buffers that were encoded here, not for what a disk says.
pub fn record_len(buffer: &[u8]) -> Option<usize> {
    let body_len = u32_at(buffer.get(..HEAD_LEN)?, BODY_LEN_AT)?;
    let len = len_of(body_len as usize);
    (len <= buffer.len()).then_some(len)
}

/// The length of a record with a body of `body_len` bytes.
pub(super) const fn len_of(body_len: usize) -> usize {
    HEAD_LEN + body_len.next_multiple_of(ALIGN) + TAIL_LEN
}

pub(super) fn put(bytes: &mut [u8], at: usize, field: &[u8]) {
    bytes[at..at + field.len()].copy_from_slice(field);
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

pub(super) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kinds_keep_their_numbers() {
        for (index, kind) in Kind::ALL.into_iter().enumerate() {
            assert_eq!(Kind::from_number(index as u8 + 1), Some(kind));
        }
        assert_eq!((Kind::from_number(0), Kind::from_number(12)), (None, None));
        assert_eq!((Kind::Create as u8, Kind::Touch as u8, Kind::Time as u8), (1, 5, 11));
    }

    #[test]
    fn lengths_are_multiples_of_8() {
        let lengths = [(0, 96), (1, 104), (8, 104), (9, 112), (1024, 1120)];
        for (body, whole) in lengths {
            assert_eq!(len_of(body), whole, "{body}");
        }
        assert!(RECORD_BYTES_MAX.is_multiple_of(ALIGN));
    }
}
