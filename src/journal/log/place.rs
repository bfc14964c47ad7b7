//! Placing: parts go from the queue into the current segment, and on into the next ones.
//!
//! A segment's header says which position its records follow, so a segment can be given up
//! at any point: the next one simply follows an earlier place, and what lies between is void.
//! That is the answer to a failed write (follow what was acknowledged) and to a failed sync
//! (follow what was synced, and write again what was kept). A second failure in a row
//! poisons the log; a full disk only makes it wait.

use std::io::IoSlice;

use super::super::segment::{SEGMENT_HEADER_LEN, SegmentHeader};
use super::parts::{Part, PartKind};
use super::*;

/// What a segment needs beside the records of cores, in bytes.
pub(super) const SEGMENT_OVERHEAD: u64 = SEGMENT_HEADER_LEN as u64 + MARKS_LEN_MAX;
/// What the log's own marks may take of a segment before it is reckoned with again, in bytes.
pub(super) const MARKS_LEN_MAX: u64 = 4096;
/// A tail is given back if it is this part of its segment or more: short records leave less,
/// and cost no system call.
const TAIL_SHARE: u64 = 16;
/// The most parts that one write takes.
const GROUP_PARTS_MAX: usize = 512;

/// A segment that is or will be written.
#[derive(Debug)]
pub(super) struct Segment<File> {
    pub number: SegmentNumber,
    pub file: File,
    /// Preallocated, in bytes.
    pub len: u64,
    /// Where the next record goes. `end <= len`
    pub end: u64,
    pub salt: Salt,
    /// A sync of it has failed: what was not synced before counts no more.
    pub is_void: bool,
}

/// Makes the file of a new segment and prepares it, so that it will be found again after a crash,
/// with a header that can be read.
pub(super) fn create_file<S: Storage>(
    storage: &S,
    number: SegmentNumber,
    len: ByteCount,
) -> Result<S::File, StorageError> {
    let file = storage.create(number, len)?;
    let header = SegmentHeader::prepared(number);
    let prepared = storage.write_at(&file, 0, &[IoSlice::new(&header)]);
    let made_sure = prepared.and_then(|()| storage.sync(&file)).and_then(|()| storage.sync_directory());
    if made_sure.is_err() {
        // A crash may bring it back: then it must not hold a piece of a header, which is damage.
        let _ = storage.truncate(&file, ByteCount::ZERO);
        // Each new try has a number of its own, so this one would lie there until the next start.
        let _ = storage.unlink(number);
    }
    made_sure.map(|()| file)
}

impl<File> Segment<File> {
    /// A segment whose file is there, and is prepared.
    pub fn new(number: SegmentNumber, file: File, len: u64, salt: Salt) -> Self {
        Self { number, file, len, end: 0, salt, is_void: false }
    }

    /// What is left of it, in bytes.
    pub fn rest(&self) -> u64 {
        debug_assert!(self.end <= self.len);
        self.len - self.end
    }

    /// Writes the header, after which records may come: they follow those before `previous`.
    pub fn begin<S: Storage<File = File>>(
        &mut self,
        storage: &S,
        epoch: BootEpoch,
        previous: Option<Position>,
    ) -> Result<(), StorageError> {
        let header = SegmentHeader { number: self.number, salt: self.salt, epoch, previous }.encode();
        storage.write_at(&self.file, 0, &[IoSlice::new(&header)])?;
        self.end = header.len() as u64;
        Ok(())
    }

    pub fn position(&self) -> Position {
        Position { segment: self.number, offset: LogOffset::new(self.end) }
    }
}

impl<S: Storage> Log<S> {
    pub(super) fn take_in(&mut self, buffer: Buffer) {
        let Buffer { shard, bytes, last, needs_sync, copied_below } = buffer;
        debug_assert!(shard.index() < self.written.len(), "{shard}");
        if let Some(below) = copied_below {
            self.cleaning.copied(shard, last, below);
        }
        let needs_sync = needs_sync || copied_below.is_some();
        self.queue.push_back(Part::new(bytes, PartKind::Records { shard, last, needs_sync }));
    }

    /// Queues the news of the last sync, if there are any.
    pub(super) fn mark_sync(&mut self, now: Now) {
        if let Some(position) = self.unmarked_sync.take() {
            let time = self.time_mark(now);
            self.queue_mark(Entry::Synced { upto: position, mark: time }, PartKind::SyncMark);
            self.last_mark = now.moment;
        }
    }

    pub(super) fn mark_time(&mut self, now: Now) {
        let time = self.time_mark(now);
        self.queue_mark(Entry::Time(time), PartKind::TimeMark);
        self.last_mark = now.moment;
    }

    pub(super) fn time_mark(&self, now: Now) -> TimeMark {
        let (time, at) = self.clock;
        TimeMark { journal: time.after(now.moment.since(at)), wall: now.wall }
    }

    /// Queues a record of the log's own.
    pub(super) fn queue_mark(&mut self, entry: Entry<'_>, kind: PartKind) {
        self.marks = self.marks.next();
        let origin = Origin { shard: NO_SHARD, epoch: self.epoch, sequence: self.marks };
        let mut bytes = BytesMut::with_capacity(128);
        encode(&mut bytes, &Record { origin, entry });
        debug_assert!(bytes.len() as u64 <= MARKS_LEN_MAX);
        self.queue.push_back(Part::new(bytes, kind));
    }

    /// Places the queue; goes on in another segment where this one fails, and gives up where
    /// that fails too.
    pub(super) fn place_or_mend(&mut self, now: Moment) {
        if self.is_poisoned() || matches!(self.health, Health::Full { until } if now < until) {
            return;
        }
        let mut has_failed = false;
        loop {
            match self.place(now) {
                Ok(()) => {
                    self.health = Health::Good;
                    return;
                }
                Err(StorageError::NoSpace) => {
                    self.health = Health::Full { until: now.after(FULL_DISK_PAUSE) };
                    return;
                }
                Err(error) if has_failed => return self.poison(&error),
                Err(error) => {
                    log::error!("{error}; the journal goes on in another segment");
                    has_failed = true;
                    self.resume_at.get_or_insert(self.current.position());
                }
            }
        }
    }

    pub(super) fn poison(&mut self, error: &StorageError) {
        log::error!("{error}; nothing is acknowledged any more, restart once the disk is sound");
        self.health = Health::Poisoned;
        self.queue.clear();
    }

    /// Writes the whole queue.
    pub(super) fn place(&mut self, now: Moment) -> Result<(), StorageError> {
        if let Some(position) = self.resume_at {
            // Cuts away what a failed write may have left; the next header voids it anyway.
            if !self.current.is_void {
                let _ = self.storage.truncate(&self.current.file, ByteCount::new(self.current.end));
            }
            self.roll(position)?;
            self.resume_at = None;
        }
        while !self.queue.is_empty() {
            match self.fitting_group() {
                0 => self.roll(self.current.position())?,
                count => self.write_group(count, now)?,
            }
        }
        Ok(())
    }

    /// How many parts of the queue's front fit into the current segment. Splits the last one
    /// between two records if that makes a part of it fit.
    fn fitting_group(&mut self) -> usize {
        let mut rest = self.current.rest();
        for index in 0..self.queue.len().min(GROUP_PARTS_MAX) {
            let len = self.queue[index].len();
            if len <= rest {
                rest -= len;
                continue;
            }
            let Some(head) = self.queue[index].split(rest) else { return index };
            self.queue.insert(index, head);
            return index + 1;
        }
        self.queue.len().min(GROUP_PARTS_MAX)
    }

    /// Writes that many parts in one go and moves them to those that are kept.
    fn write_group(&mut self, count: usize, now: Moment) -> Result<(), StorageError> {
        let salt = self.current.salt;
        let mut at = LogOffset::new(self.current.end);
        for part in self.queue.iter_mut().take(count) {
            part.seal_for(&salt, at);
            at = at.after(part.bytes.len());
        }
        let slices: Vec<IoSlice<'_>> =
            self.queue.iter().take(count).map(|part| IoSlice::new(&part.bytes)).collect();
        self.storage.write_at(&self.current.file, self.current.end, &slices)?;
        for _ in 0..count {
            let Some(part) = self.queue.pop_front() else { break };
            self.keep(part, now);
        }
        debug_assert!(self.current.end <= self.current.len);
        Ok(())
    }

    /// Notes that a part is written.
    fn keep(&mut self, mut part: Part, now: Moment) {
        self.current.end += part.len();
        self.kept_bytes += part.len();
        if part.is_reserved() {
            self.placed_bytes += part.len();
        }
        part.end = Some(self.current.position());
        match part.kind {
            PartKind::Records { shard, last, needs_sync } => {
                let (placed, written) = (&mut self.placed[shard.index()], &mut self.written[shard.index()]);
                *placed = last.max(*placed);
                *written = last.max(*written);
                self.is_sync_wanted |= needs_sync;
            }
            PartKind::Checkpoint(below) => {
                self.cleaning.checkpoint_at(below, self.current.position());
                self.is_sync_wanted = true;
            }
            PartKind::Head | PartKind::SyncMark | PartKind::TimeMark => {}
        }
        if part.kind != PartKind::SyncMark {
            self.dirty_since.get_or_insert(now);
        }
        self.kept.push_back(part);
    }

    /// Goes on in the next segment, whose records will follow `position`. Changes nothing
    /// where it fails, but that a spare which could not be begun is given up.
    fn roll(&mut self, position: Position) -> Result<(), StorageError> {
        let needed = self.queue.front().map_or(0, Part::first_len) + SEGMENT_HEADER_LEN as u64;
        let mut next = match self.spares.pop_front() {
            Some(spare) => spare,
            None => {
                let number = self.take_number()?;
                let len = self.segment_len.max(needed);
                let file = create_file(&self.storage, number, ByteCount::new(len))?;
                Segment::new(number, file, len, (self.draw_salt)())
            }
        };
        if let Err(error) = self.begin(&mut next, position, needed) {
            if error.is_no_space() {
                next.end = 0;
                self.spares.push_front(next);
            } else {
                self.condemned.push_back(next.number);
            }
            return Err(error);
        }
        let mut last = std::mem::replace(&mut self.current, next);
        debug_assert!(last.number < self.current.number);
        self.cut_tail(&mut last);
        self.no_cut_until = None;
        self.older.push_back(SegmentFile { number: last.number, len: ByteCount::new(last.len) });
        if !last.is_void {
            self.unsynced.push(last.file);
        }
        Ok(())
    }

    /// Gives back what is left of a segment that is followed by another one: records that are
    /// nearly as long as a segment leave much of it, which would be kept, and cleaned for,
    /// as if something lived there. Nothing was ever written there.
    fn cut_tail(&self, last: &mut Segment<S::File>) {
        let is_worth_it = last.rest() >= last.len / TAIL_SHARE;
        if is_worth_it && !last.is_void {
            let end = ByteCount::new(last.end);
            if self.storage.truncate(&last.file, end).is_ok() {
                last.len = last.end;
            }
        }
    }

    /// Writes the header of `segment`, after which its records may come.
    fn begin(
        &self,
        segment: &mut Segment<S::File>,
        previous: Position,
        needed: u64,
    ) -> Result<(), StorageError> {
        if segment.len < needed {
            self.storage.extend(&segment.file, ByteCount::new(needed))?;
            segment.len = needed;
        }
        segment.begin(&self.storage, self.epoch, Some(previous))
    }

    /// The next number; a log that has had them all can go on no further.
    pub(super) fn take_number(&mut self) -> Result<SegmentNumber, StorageError> {
        let number = self.next_number.ok_or_else(|| {
            StorageError::new("new segment", std::io::Error::other("all segment numbers are used up"))
        })?;
        self.next_number = number.next();
        Ok(number)
    }

    /// A sync has failed: what it should have covered is lost for all that is known, however
    /// it reads. All that is kept goes into another segment, once.
    pub(super) fn sync_failed(&mut self, error: &StorageError, now: Moment) {
        if self.is_mending {
            return self.poison(error);
        }
        log::error!("{error}; the journal writes again what was not synced");
        self.is_mending = true;
        self.current.is_void = true;
        self.unsynced.clear();
        self.resume_at = Some(self.synced_at);
        self.cleaning.forget_checkpoint();
        // Until it is there again no sync covers it, and it takes the room of others.
        self.placed.copy_from_slice(&self.synced);
        while let Some(part) = self.kept.pop_back() {
            if part.is_reserved() {
                self.placed_bytes -= part.len();
            }
            self.queue.push_front(part);
        }
        self.kept_bytes = 0;
        self.is_sync_wanted = true;
        self.place_or_mend(now);
    }
}
