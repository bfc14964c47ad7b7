//! What the journal asks of a file system, and nothing more.
//!
//! Everything that touches a disk goes through [`Storage`], so that a test can put a disk
//! there that loses what was not synced and fails when told to. A file is written only at
//! positions that the caller names; nothing is durable before [`Storage::sync`], and no
//! file is sure to be found again before [`Storage::sync_directory`]. Both sides hold no
//! state: who writes where is the log's business.

use std::io::{self, IoSlice};

use super::units::SegmentNumber;
use crate::types::ByteCount;

/// An operation on the journal's files failed.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The disk or a quota is full. The log keeps what it could not place, refuses room to
    /// what needs some, and tries again by itself.
    #[error("no space is left for the journal: free some, and it goes on by itself")]
    NoSpace,
    /// A backup wants every segment to stay. The log removes them later, without a word.
    #[error("a backup holds the journal's segments: they go when it has ended")]
    Held,
    /// Anything else that the system reports. The log goes on in another segment, or is
    /// poisoned where that fails as well.
    #[error("the journal's {operation} failed: {source}")]
    Failed {
        /// What was attempted.
        operation: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

impl StorageError {
    /// The error by which `operation` failed.
    pub fn new(operation: &'static str, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::NoSpace,
            _ => Self::Failed { operation, source },
        }
    }

    /// Whether it goes away by itself once somebody makes room.
    pub const fn is_no_space(&self) -> bool {
        matches!(self, Self::NoSpace)
    }
}

/// A segment's file, as a listing shows it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct SegmentFile {
    /// Its number, which is its name.
    pub number: SegmentNumber,
    /// Its length, what was preallocated included.
    pub len: ByteCount,
}

/// The journal's folder. A clone speaks of the same folder, for the threads that block.
pub trait Storage: Clone {
    /// An open segment. A clone is the same open file, so that an error in writing back
    /// what was written through one is reported to the other.
    type File: Clone;

    /// The segments that there are, by number.
    fn list(&self) -> Result<Vec<SegmentFile>, StorageError>;

    /// A new segment of `len` zeros, whose room on the disk is taken. Leaves none behind
    /// where it fails.
    fn create(&self, number: SegmentNumber, len: ByteCount) -> Result<Self::File, StorageError>;

    /// A segment that is there already.
    fn open(&self, number: SegmentNumber) -> Result<Self::File, StorageError>;

    /// Makes a segment `len` bytes long, with its room taken: for a record that needs more
    /// than segments have.
    fn extend(&self, file: &Self::File, len: ByteCount) -> Result<(), StorageError>;

    /// Writes all `parts`, one behind the other, from `offset` on. After an error any of
    /// the bytes may have been written.
    fn write_at(&self, file: &Self::File, offset: u64, parts: &[IoSlice<'_>]) -> Result<(), StorageError>;

    /// Reads from `offset` on until `into` is full or the file ends; how many bytes came.
    fn read_at(&self, file: &Self::File, offset: u64, into: &mut [u8]) -> Result<usize, StorageError>;

    /// Cuts a segment off behind `len` bytes.
    fn truncate(&self, file: &Self::File, len: ByteCount) -> Result<(), StorageError>;

    /// Makes all that was written to this segment before the call durable. After an error
    /// nothing is known of any of it, and another call would tell nothing either.
    fn sync(&self, file: &Self::File) -> Result<(), StorageError>;

    /// Makes all creations and removals of files before the call durable.
    fn sync_directory(&self) -> Result<(), StorageError>;

    /// Removes a segment, unless a backup holds them all. One that is not there is removed
    /// already.
    fn unlink(&self, number: SegmentNumber) -> Result<(), StorageError>;

    /// The same of a segment that the page cache may hold, so slowly that those who are served
    /// meanwhile do not feel it. What is held is not touched.
    fn unlink_slowly(&self, number: SegmentNumber) -> Result<(), StorageError>;

    /// What an ordinary user may still take of the file system.
    fn free(&self) -> Result<ByteCount, StorageError>;

    /// How long a segment should be on this file system.
    fn segment_len(&self) -> Result<ByteCount, StorageError>;
}

/// The longest ordinary segment.
pub const SEGMENT_LEN_MAX: ByteCount = ByteCount::from_mib(64);
/// The shortest: below it headers and half-filled ends would take a share that can be felt.
const SEGMENT_LEN_MIN: ByteCount = ByteCount::from_kib(256);
/// How many segments a file system must be able to hold, the reserve included.
const SEGMENTS_PER_DISK: u64 = 16;
/// Segments are whole pages.
const PAGE_LEN: u64 = 4096;

/// The length of segments on a file system of `total` bytes.
pub fn segment_len_for(total: ByteCount) -> ByteCount {
    let share = ByteCount::new(total.as_u64() / SEGMENTS_PER_DISK / PAGE_LEN * PAGE_LEN);
    share.clamp(SEGMENT_LEN_MIN, SEGMENT_LEN_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_takes_a_sixteenth_of_a_small_disk_and_64_mib_of_a_large_one() {
        let rows = [
            (ByteCount::ZERO, SEGMENT_LEN_MIN),
            (ByteCount::from_mib(1), SEGMENT_LEN_MIN),
            (ByteCount::from_mib(16), ByteCount::from_mib(1)),
            (ByteCount::new(100_000_000), ByteCount::new(6_246_400)),
            (ByteCount::from_mib(1024), ByteCount::from_mib(64)),
            (ByteCount::from_mib(1024 * 1024), ByteCount::from_mib(64)),
        ];
        for (total, len) in rows {
            assert_eq!(segment_len_for(total), len, "{total}");
        }
    }

    #[test]
    fn a_full_disk_and_a_spent_quota_are_told_from_failures() {
        let error = |kind: io::ErrorKind| StorageError::new("write", kind.into());
        assert!(error(io::ErrorKind::StorageFull).is_no_space());
        assert!(error(io::ErrorKind::QuotaExceeded).is_no_space());
        assert!(!error(io::ErrorKind::PermissionDenied).is_no_space());
        assert!(error(io::ErrorKind::TimedOut).to_string().starts_with("the journal's write failed"));
    }
}
