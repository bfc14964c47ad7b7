//! Reads one segment: its good records in order, and what lies between them.
//!
//! A bad head makes the scan search for the next place where a record can begin, 8 bytes at
//! a time, by the segment's salt: blobs cannot imitate it. What was skipped is then named
//! from behind, by each tail in it that is good. The scan judges nothing: whether
//! a bad span is damage or the torn end of the log only all segments together can tell.
//!
//! Pure, linear in the segment's length, and it never panics on any bytes.

use super::layout::{ALIGN, Head, Kind, Tail, u32_at};
use super::record::{Bad, Origin, Record, decode};
use super::seal::Salt;
use super::segment::{SEGMENT_HEADER_LEN, SegmentHeader};
use super::units::LogOffset;
use crate::types::{BucketId, SessionId};

/// What a scan comes across.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Found<'b> {
    /// A good record.
    Record {
        /// Where it begins.
        at: LogOffset,
        /// The record.
        record: Record<'b>,
    },
    /// Bytes that are no good record. Each span is one record if it has a name, else one or more.
    Bad(BadSpan),
}

/// Bytes that are no good record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BadSpan {
    /// Where a record had to begin.
    pub start: LogOffset,
    /// Where the next one begins, or where the segment's bytes end; `> start`.
    pub end: LogOffset,
    /// What the record was, if an end of it is good.
    pub lost: Option<Lost>,
    /// Who logged it, if its head is good.
    pub origin: Option<Origin>,
}

/// What a bad record was.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lost {
    /// A session's data: nothing older may be shown.
    Session(SessionId),
    /// That a session is gone.
    Removal(SessionId),
    /// A session's deadline; its data is as it was.
    Deadline(SessionId),
    /// Whether the bucket has a key, and which.
    Bucket(BucketId),
    /// Something that the journal noted for itself.
    Note,
}

/// A pass over one segment's bytes.
#[derive(Clone, Debug)]
pub struct Scan<'b> {
    segment: &'b [u8],
    salt: Salt,
    /// Where the next record has to begin; a multiple of 8, or the segment's end.
    at: usize,
    /// Behind the last byte that is not 0: from there on nothing was ever written.
    filled: usize,
    /// Spans that were skipped and not yet yielded, the last first.
    skipped: Vec<BadSpan>,
}

impl<'b> Scan<'b> {
    /// A pass over `segment`, the bytes of the file from its beginning.
    pub fn new(segment: &'b [u8], header: &SegmentHeader) -> Self {
        let at = SEGMENT_HEADER_LEN.min(segment.len());
        Self { segment, salt: header.salt, at, filled: filled_len(segment), skipped: Vec::new() }
    }

    /// Where the last record or span that was found ends.
    pub fn end(&self) -> LogOffset {
        LogOffset::of_len(self.skipped.last().map_or(self.at, |span| span.start.as_usize()))
    }

    /// Where a head stands that is good for its place, after `at`; else the end of what was written.
    fn resync(&self, at: usize) -> usize {
        let end = self.filled.next_multiple_of(ALIGN).min(self.segment.len());
        // The mark alone rules out nearly every place, and costs no checksum.
        // A good head is enough: a record with a bad rest is found again, and named, from there.
        let can_begin = |place: &usize| {
            let offset = LogOffset::of_len(*place);
            u32_at(self.segment, *place) == Some(self.salt.mark(offset))
                && Head::read(&self.segment[*place..], &self.salt.marks(offset)).is_some()
        };
        (at + ALIGN..end).step_by(ALIGN).find(can_begin).unwrap_or(end)
    }

    /// The spans from `start` to `end`, the last first: those that tails tell, and what is between.
    /// What is named does not depend on where the hole ends: the log may be cut off within it. That
    /// holds but for what passes for a tail by accident, once in 2³² places.
    fn name_backwards(&self, start: usize, end: usize) -> Vec<BadSpan> {
        let mut spans = Vec::new();
        // From `at` to `unnamed` no tail tells anything.
        let (mut at, mut unnamed) = (end, end);
        while at > start {
            let tail = Tail::read_before(self.segment, at, |at| self.salt.marks(at));
            // A record that begins before the hole was read already: this tail is an accident.
            let begin = tail.and_then(|tail| at.checked_sub(tail.len())).filter(|begin| *begin >= start);
            let Some((tail, begin)) = tail.zip(begin) else {
                // Records end at multiples of 8, but a file that was cut may end anywhere.
                at = (at - 1) / ALIGN * ALIGN;
                continue;
            };
            if at < unnamed {
                spans.push(span(at, unnamed, None, None));
            }
            spans.push(span(begin, at, Some(lost_by(tail.kind, tail.id)), None));
            (at, unnamed) = (begin, begin);
        }
        if unnamed > start {
            spans.push(span(start, unnamed, None, None));
        }
        debug_assert!(!spans.is_empty(), "something was skipped");
        spans
    }

    fn skip(&mut self, at: usize, bad: Bad) -> Option<Found<'b>> {
        match bad {
            Bad::Rest(head) => {
                // The head vouches for the length, so the next record is where it says.
                self.at = (at + head.len()).min(self.segment.len());
                let origin = Origin { epoch: head.epoch, shard: head.shard, sequence: head.sequence };
                let lost = lost_by(head.kind, head.id);
                Some(Found::Bad(span(at, self.at, Some(lost), Some(origin))))
            }
            Bad::Head => {
                self.at = self.resync(at);
                debug_assert!(self.at > at, "a scan goes on");
                self.skipped = self.name_backwards(at, self.at);
                self.skipped.pop().map(Found::Bad)
            }
        }
    }
}

impl<'b> Iterator for Scan<'b> {
    type Item = Found<'b>;

    fn next(&mut self) -> Option<Found<'b>> {
        if let Some(span) = self.skipped.pop() {
            return Some(Found::Bad(span));
        }
        let at = self.at;
        // Preallocated space is zeros; a record's own last bytes may be zeros too, so `at` may
        // have passed `filled`.
        if at >= self.filled {
            return None;
        }
        match decode(&self.segment[at..], &self.salt.marks(LogOffset::of_len(at))) {
            Ok((record, len)) => {
                self.at += len;
                Some(Found::Record { at: LogOffset::of_len(at), record })
            }
            Err(bad) => self.skip(at, bad),
        }
    }
}

/// How many bytes there are up to the last one that is not 0.
pub(super) fn filled_len(bytes: &[u8]) -> usize {
    // By large blocks first: most of a segment that was just begun is zeros.
    const BLOCK: usize = 4096;
    let zeros = [0; BLOCK];
    let mut len = bytes.len();
    while let Some(block) = bytes[..len].last_chunk::<BLOCK>()
        && *block == zeros
    {
        len -= BLOCK;
    }
    bytes[..len].iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
}

fn span(start: usize, end: usize, lost: Option<Lost>, origin: Option<Origin>) -> BadSpan {
    BadSpan { start: LogOffset::of_len(start), end: LogOffset::of_len(end), lost, origin }
}

fn lost_by(kind: Kind, id: [u8; 16]) -> Lost {
    let session = SessionId::from_bytes(id);
    match kind {
        Kind::Create | Kind::Update => Lost::Session(session),
        Kind::Delete | Kind::Expire => Lost::Removal(session),
        Kind::Touch => Lost::Deadline(session),
        Kind::Bucket | Kind::Key | Kind::KeyDelete => {
            Lost::Bucket(BucketId::new(u32_at(&id, 0).unwrap_or_default()))
        }
        Kind::Synced | Kind::Checkpoint | Kind::Time => Lost::Note,
    }
}

#[cfg(test)]
pub(super) mod tests;
