//! One segment, read once and made compact: what recovery has to know of it without its blobs.
//!
//! Segments are surveyed in any order and by any number of threads; [`Recovery`] judges the
//! surveys together. Changes of sessions are filed by today's owner already here, so that
//! each shard can later go through its own. Nothing is judged: a survey also lists what lies
//! behind the log's end, with its place, and the judge cuts it off.
//!
//! [`Recovery`]: super::Recovery

use ahash::AHashMap;

use super::record::{Entry, Origin, Record, SessionImage, TimeMark};
use super::scan::{BadSpan, Found, Lost, Scan, filled_len};
use super::segment::{HeaderError, SEGMENT_HEADER_LEN, SegmentHeader};
use super::units::{JournalMillis, LogOffset, Position, SegmentNumber, Sequence};
use crate::types::{ApiKey, BootEpoch, BucketId, BucketName, SessionId, ShardCount, ShardId, Version};

/// What recovery knows of one segment.
#[derive(Debug)]
pub struct Survey {
    pub(super) number: SegmentNumber,
    pub(super) header: Result<SegmentHeader, HeaderError>,
    /// Where the last record or bad span ends; `end <= filled`, give or take a record's zeros.
    pub(super) end: LogOffset,
    /// Behind the last byte that is not 0.
    pub(super) filled: LogOffset,
    /// What happened to sessions, by today's owner; each list in the order of the file.
    pub(super) by_owner: Vec<Vec<Event>>,
    /// What is not about sessions, in the order of the file.
    pub(super) notes: Vec<(LogOffset, Note)>,
    /// In the order of the file.
    pub(super) bad: Vec<BadSpan>,
    /// Where records are missing by the sequences, and how many; in the order of the file.
    pub(super) gaps: Vec<(LogOffset, u64)>,
    /// By who logged them.
    pub(super) runs: AHashMap<(u32, ShardId), Run>,
    /// The newest epoch of header and records.
    pub(super) epoch: Option<BootEpoch>,
    /// The highest bucket number that any record names.
    pub(super) bucket_max: Option<BucketId>,
}

/// Something that happened to a session.
#[derive(Clone, Copy, Debug)]
pub(super) struct Event {
    pub(super) id: SessionId,
    pub(super) at: LogOffset,
    pub(super) change: Change,
}

// README tells what a start takes: these are most of it.
const _: () = assert!(size_of::<Event>() == 48);

/// What happened.
#[derive(Clone, Copy, Debug)]
pub(super) enum Change {
    /// The session is so, in whole.
    Whole { bucket: BucketId, version: Version, deadline: JournalMillis },
    /// Its deadline was moved.
    Touch { version: Version, deadline: JournalMillis },
    /// Deleted or expired: what is known of it is enough, be the record good or bad.
    Gone,
    /// A bad record of its data: nothing older may be shown.
    Lost,
    /// A bad touch: the data stands, the deadline is unknown.
    LostDeadline,
}

/// What is not about a session.
#[derive(Clone, Copy, Debug)]
pub(super) enum Note {
    /// The bucket is there, with or without a key.
    Bucket {
        bucket: BucketId,
        name: BucketName,
        key: Option<ApiKey>,
    },
    /// A bad record about a bucket: nobody knows whether it has a key, and which.
    LostBucket(BucketId),
    Synced(Position, TimeMark),
    Checkpoint(SegmentNumber),
    Time(TimeMark),
    /// A bad record of the journal itself.
    Lost,
}

/// The records of one shard and epoch in one segment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    pub(super) first_at: LogOffset,
    pub(super) first: Sequence,
    pub(super) last: Sequence,
}

/// Surveys the segment that the file of this number holds: `bytes`, from its beginning.
/// Sessions are filed for `shards` shards by `owner_of`, which is asked for each record.
pub fn survey(
    number: SegmentNumber,
    bytes: &[u8],
    shards: ShardCount,
    owner_of: impl Fn(SessionId) -> ShardId,
) -> Survey {
    let filled = LogOffset::of_len(filled_len(bytes));
    let header = match SegmentHeader::decode(bytes, number) {
        // Nothing is written behind a header before the prepared one is synced.
        Err(HeaderError::Blank) if filled > LogOffset::default() => Err(HeaderError::Damaged),
        header => header,
    };
    let mut survey = Survey::empty(number, header, shards);
    survey.filled = filled;
    let Ok(header) = header else {
        survey.miss_all();
        return survey;
    };
    let mut scan = Scan::new(bytes, &header);
    for found in scan.by_ref() {
        match found {
            Found::Record { at, record } => survey.take(at, &record, &owner_of),
            Found::Bad(span) => survey.take_bad(span, &owner_of),
        }
    }
    survey.end = scan.end();
    survey
}

impl Survey {
    /// The segment's number.
    pub fn number(&self) -> SegmentNumber {
        self.number
    }

    /// Whether nobody has begun it.
    pub(super) fn is_unused(&self) -> bool {
        let is_unbegun = matches!(self.header, Err(HeaderError::Blank | HeaderError::Prepared));
        is_unbegun && self.filled.as_usize() <= SEGMENT_HEADER_LEN
    }

    /// Whether its header is damaged, so that nobody can tell what it holds.
    pub(super) fn is_unreadable(&self) -> bool {
        self.header == Err(HeaderError::Damaged)
    }

    fn empty(number: SegmentNumber, header: Result<SegmentHeader, HeaderError>, shards: ShardCount) -> Self {
        Self {
            number,
            header,
            end: LogOffset::default(),
            filled: LogOffset::default(),
            by_owner: (0..shards.get()).map(|_| Vec::new()).collect(),
            notes: Vec::new(),
            bad: Vec::new(),
            gaps: Vec::new(),
            runs: AHashMap::default(),
            epoch: header.ok().map(|header| header.epoch),
            bucket_max: None,
        }
    }

    /// Without a header nothing can be read: one bad span, if anything was written at all.
    fn miss_all(&mut self) {
        // Space that was never used lacks nothing, unless a later segment says that it was.
        self.end = self.filled;
        if self.filled > LogOffset::default() {
            self.bad.push(BadSpan {
                start: LogOffset::default(),
                end: self.filled,
                lost: None,
                origin: None,
            });
        }
    }

    fn take(&mut self, at: LogOffset, record: &Record<'_>, owner_of: &impl Fn(SessionId) -> ShardId) {
        debug_assert!(at.as_usize() >= SEGMENT_HEADER_LEN, "records lie behind the header");
        self.count(at, record.origin, false);
        match record.entry {
            Entry::Create(session) | Entry::Update(session) => self.file_whole(at, &session, owner_of),
            Entry::Touch { id, version, deadline } => {
                self.file(owner_of(id), Event { id, at, change: Change::Touch { version, deadline } });
            }
            Entry::Delete(id) | Entry::Expire(id) => {
                self.file(owner_of(id), Event { id, at, change: Change::Gone });
            }
            Entry::Bucket { bucket, name } | Entry::KeyDelete { bucket, name } => {
                self.note_bucket(at, Note::Bucket { bucket, name, key: None }, bucket);
            }
            Entry::Key { bucket, name, key } => {
                self.note_bucket(at, Note::Bucket { bucket, name, key: Some(key) }, bucket);
            }
            Entry::Synced { upto, mark } => self.notes.push((at, Note::Synced(upto, mark))),
            Entry::Checkpoint(segment) => self.notes.push((at, Note::Checkpoint(segment))),
            Entry::Time(mark) => self.notes.push((at, Note::Time(mark))),
        }
    }

    fn take_bad(&mut self, span: BadSpan, owner_of: &impl Fn(SessionId) -> ShardId) {
        self.bad.push(span);
        let at = span.start;
        // Where the head is good its sequence is known, and is not missed a second time.
        if let Some(origin) = span.origin {
            self.count(at, origin, true);
        }
        match span.lost {
            Some(Lost::Session(id)) => self.file(owner_of(id), Event { id, at, change: Change::Lost }),
            Some(Lost::Removal(id)) => self.file(owner_of(id), Event { id, at, change: Change::Gone }),
            Some(Lost::Deadline(id)) => {
                self.file(owner_of(id), Event { id, at, change: Change::LostDeadline });
            }
            Some(Lost::Bucket(bucket)) => self.note_bucket(at, Note::LostBucket(bucket), bucket),
            Some(Lost::Note) => self.notes.push((at, Note::Lost)),
            None => {}
        }
    }

    fn file_whole(
        &mut self,
        at: LogOffset,
        session: &SessionImage<'_>,
        owner_of: &impl Fn(SessionId) -> ShardId,
    ) {
        let SessionImage { id, bucket, version, deadline, .. } = *session;
        self.bucket_max = self.bucket_max.max(Some(bucket));
        self.file(owner_of(id), Event { id, at, change: Change::Whole { bucket, version, deadline } });
    }

    fn file(&mut self, owner: ShardId, event: Event) {
        debug_assert!(owner.index() < self.by_owner.len(), "an owner is one of the shards");
        if let Some(events) = self.by_owner.get_mut(owner.index()) {
            events.push(event);
        }
    }

    fn note_bucket(&mut self, at: LogOffset, note: Note, bucket: BucketId) {
        self.bucket_max = self.bucket_max.max(Some(bucket));
        self.notes.push((at, note));
    }

    /// Takes a sequence in: what is missing before it, and itself where the record is bad.
    fn count(&mut self, at: LogOffset, origin: Origin, is_lost: bool) {
        self.epoch = self.epoch.max(Some(origin.epoch));
        let sequence = origin.sequence;
        let first = Run { first_at: at, first: sequence, last: sequence };
        // A sequence that was there before is a copy of a buffer: nothing is missing for it.
        let mut missing = u64::from(is_lost);
        self.runs
            .entry((origin.epoch.as_u32(), origin.shard))
            .and_modify(|run| {
                missing += sequence.gap_since(run.last);
                run.last = run.last.max(sequence);
            })
            .or_insert(first);
        if missing > 0 {
            self.gaps.push((at, missing));
        }
    }
}
