//! The journal's words with units: sequences, segments, places in them, and journal time.
//!
//! None of them turns into another or into a plain number by itself. Only the journal and
//! what drives it speak them; sessions and buckets keep the words of `types`.

use std::fmt;

use crate::types::Millis;

/// The place of a record among all that one shard logs in one boot epoch. The first is 1,
/// and there is no gap, so that a record that is gone can be counted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct Sequence(u64);

impl Sequence {
    /// Before the first record: how far is kept while nothing is.
    pub const NONE: Self = Self(0);
    /// The first record's.
    pub const FIRST: Self = Self(1);

    /// This number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number.
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// The next record's.
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// How many records lie between `earlier` and this one, neither counted.
    pub const fn gap_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0).saturating_sub(1)
    }
}

/// A segment's number: it grows along the log, and no two segments of a folder ever share one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SegmentNumber(u32);

/// What the name of a segment's file ends in.
const SUFFIX: &str = ".log";
/// Digits in the name of a segment's file.
const DIGITS: usize = 8;

impl SegmentNumber {
    /// The first segment of a log.
    pub const FIRST: Self = Self(1);
    /// The last one that a file name can show; 64 MiB each, that is 6 PB of log.
    pub const MAX: Self = Self(99_999_999);

    /// The segment of this number, or nothing for 0 and past [`SegmentNumber::MAX`].
    pub const fn new(number: u32) -> Option<Self> {
        if number >= Self::FIRST.0 && number <= Self::MAX.0 { Some(Self(number)) } else { None }
    }

    /// The number.
    pub const fn as_u32(self) -> u32 {
        self.0
    }

    /// The segment after this one; none after the last.
    pub const fn next(self) -> Option<Self> {
        Self::new(self.0.saturating_add(1))
    }

    /// The name of the segment's file: `NNNNNNNN.log`.
    pub fn file_name(self) -> String {
        format!("{:0DIGITS$}{SUFFIX}", self.0)
    }

    /// The segment whose file has this name; nothing for any other file.
    pub fn parse_file_name(name: &str) -> Option<Self> {
        let digits = name.strip_suffix(SUFFIX)?;
        let is_number = digits.len() == DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit());
        if is_number { Self::new(digits.parse().ok()?) } else { None }
    }
}

impl fmt::Display for SegmentNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A place in a segment, in bytes from the beginning of its file. Records lie at multiples of 8.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct LogOffset(u64);

impl LogOffset {
    /// This many bytes into the file.
    pub const fn new(bytes: u64) -> Self {
        Self(bytes)
    }

    /// The place behind this many bytes in memory.
    pub const fn of_len(len: usize) -> Self {
        Self(len as u64)
    }

    /// Bytes from the beginning of the file.
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// The place as an index into the file's bytes. Lossless: Seshun runs on 64-bit Linux only.
    pub const fn as_usize(self) -> usize {
        self.0 as usize
    }

    /// The place `len` bytes further on.
    pub const fn after(self, len: usize) -> Self {
        Self(self.0.saturating_add(len as u64))
    }
}

impl fmt::Display for LogOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A place in the log: ordered by segment first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Position {
    /// The segment.
    pub segment: SegmentNumber,
    /// The place in it.
    pub offset: LogOffset,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.segment.file_name(), self.offset)
    }
}

/// A point in journal time, in milliseconds since the log began. It runs on while the
/// process is down and never back, whatever the wall clock does.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct JournalMillis(u64);

impl JournalMillis {
    /// Later than every deadline.
    pub const MAX: Self = Self(u64::MAX);

    /// This many milliseconds after the log began.
    pub const fn new(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the log began.
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// The point `span` later.
    pub const fn after(self, span: Millis) -> Self {
        Self(self.0.saturating_add(span.as_u64()))
    }

    /// The span since `earlier`; none where `earlier` is in fact later.
    pub const fn since(self, earlier: Self) -> Millis {
        Millis::new(self.0.saturating_sub(earlier.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segments_name_is_read_back_and_no_other_file_is_a_segment() {
        for number in [1, 42, 12_345_678, SegmentNumber::MAX.as_u32()] {
            let segment = SegmentNumber::new(number).unwrap();
            assert_eq!(SegmentNumber::parse_file_name(&segment.file_name()), Some(segment));
        }
        assert_eq!(SegmentNumber::FIRST.file_name(), "00000001.log");
        for name in ["", ".log", "1.log", "00000000.log", "000000001.log", "0000001x.log", "+0000001.log"] {
            assert_eq!(SegmentNumber::parse_file_name(name), None, "{name}");
        }
        for name in ["00000001.LOG", "00000001.log.bad", "00000001", "seshun"] {
            assert_eq!(SegmentNumber::parse_file_name(name), None, "{name}");
        }
    }

    #[test]
    fn segments_end_where_their_names_do() {
        assert_eq!(SegmentNumber::new(0), None);
        assert_eq!(SegmentNumber::MAX.next(), None);
        assert_eq!(SegmentNumber::FIRST.next(), SegmentNumber::new(2));
    }

    #[test]
    fn positions_are_ordered_by_segment_first() {
        let at = |segment, offset| Position {
            segment: SegmentNumber::new(segment).unwrap(),
            offset: LogOffset::new(offset),
        };
        assert!(at(1, 900) < at(2, 8) && at(2, 8) < at(2, 16));
        assert_eq!(at(3, 8).to_string(), "00000003.log:8");
    }

    #[test]
    fn a_gap_is_what_lies_between_two_sequences() {
        let gaps = [(0, 1, 0), (1, 2, 0), (1, 5, 3), (5, 5, 0), (5, 2, 0)];
        for (earlier, later, gap) in gaps {
            assert_eq!(Sequence::new(later).gap_since(Sequence::new(earlier)), gap, "{earlier} {later}");
        }
    }

    #[test]
    fn journal_time_saturates_and_never_runs_back() {
        let point = JournalMillis::new(5);
        assert_eq!(point.after(Millis::new(2)).since(point), Millis::new(2));
        assert_eq!(point.since(JournalMillis::new(9)), Millis::ZERO);
        assert_eq!(JournalMillis::MAX.after(Millis::new(1)), JournalMillis::MAX);
    }
}
