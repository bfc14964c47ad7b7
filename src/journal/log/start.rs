//! The start: what recovery has left is made sure of, and a new segment follows it.
//!
//! Until that segment is synced and says what it follows, nothing is removed or cut off that a
//! recovery looks at: a start that is cut short is found again as it was. On a full disk that
//! leaves to be given up what was never used, and what lies below the oldest segment kept.

use super::super::segment::SegmentHeader;
use super::*;

/// The shortest first segment, in bytes: the log's own marks and a few removals.
const FIRST_LEN_MIN: u64 = 16 * 1024;
/// What is read at once where nothing should be, in bytes.
const BLANK_PIECE_LEN: usize = 64 * 1024;

const _: () = assert!(FIRST_LEN_MIN > place::SEGMENT_OVERHEAD, "the marks of a start find room");

impl<S: Storage> Log<S> {
    /// Syncs what recovery has left, opens the first new segment behind it and syncs that: the
    /// epoch is used up then, and what was not recovered will never be seen again.
    pub fn start(storage: S, mut start: LogStart, now: Now) -> Result<Self, StorageError> {
        let segment_len = segment_len(&storage, start.record_len_max)?;
        let shards = usize::from(start.shards.get());
        unlink_blank(&storage, &mut start.condemned);
        for segment in &start.segments {
            storage.sync(&storage.open(segment.number)?)?;
        }
        let (file, len) = make_first(&storage, &mut start, segment_len)?;
        let mut current = Segment::new(start.next, file, len, (start.draw_salt)());
        current.begin(&storage, start.epoch, start.continues)?;
        let synced_at = current.position();
        let mut log = Self {
            storage,
            policy: start.policy,
            draw_salt: start.draw_salt,
            segment_len,
            record_len_max: start.record_len_max.as_u64(),
            health: Health::Good,
            is_mending: false,
            older: start.segments.into(),
            unsynced: Vec::new(),
            current,
            spares: VecDeque::new(),
            resume_at: None,
            next_number: start.next.next(),
            queue: VecDeque::new(),
            kept: VecDeque::new(),
            kept_bytes: 0,
            synced_at,
            written: vec![Sequence::NONE; shards].into(),
            placed: vec![Sequence::NONE; shards].into(),
            synced: vec![Sequence::NONE; shards].into(),
            placed_bytes: 0,
            synced_bytes: 0,
            dirty_since: None,
            syncing_since: None,
            is_sync_wanted: false,
            last_sync_end: now.moment,
            is_sync_running: false,
            is_chore_running: false,
            spares_pause_until: now.moment,
            unlinks_pause_until: now.moment,
            prepared_in_a_row: 0,
            unmarked_sync: None,
            is_settling: false,
            last_mark: now.moment,
            clock: (start.journal_time, now.moment),
            epoch: start.epoch,
            marks: Sequence::NONE,
            cleaning: Cleaning::Idle,
            cleanings: 0,
            no_cut_until: None,
            cleaned_from: 0,
            damaged_below: start.is_damaged.then_some(start.next),
            live_bytes: start.live.as_u64(),
            registry_bytes: 0,
            condemned: start.condemned.into(),
            is_short: false,
        };
        debug_assert!(log.older.iter().all(|segment| segment.number < log.current.number));
        log.found(start.continues, start.synced, now)?;
        Ok(log)
    }

    /// Says from which segment on the log is needed, what of it is synced, and what time it is.
    fn found(
        &mut self,
        continues: Option<Position>,
        synced: Option<Position>,
        now: Now,
    ) -> Result<(), StorageError> {
        let oldest = self.older.front().map_or(self.current.number, |segment| segment.number);
        self.queue_mark(Entry::Checkpoint(oldest), parts::PartKind::Checkpoint(oldest));
        match synced {
            // What tells damage from a tear may lie behind the place where the log ends, and is lost
            // with that: a start after this one has to find the same. No more than that is said: what
            // an earlier process failed to sync may read well, and be lost with the power.
            Some(upto) => {
                let mark = self.time_mark(now);
                self.queue_mark(Entry::Synced { upto, mark }, parts::PartKind::TimeMark);
                self.last_mark = now.moment;
            }
            None => self.mark_time(now),
        }
        self.place(now.moment)?;
        self.sync_inline(now)?;
        // What was torn off gives its room back; the new header has voided it already.
        if let Some(end) = continues
            && let Some(last) = self.older.back_mut().filter(|last| last.number == end.segment)
            && let Ok(file) = self.storage.open(last.number)
            && self.storage.truncate(&file, ByteCount::new(end.offset.as_u64())).is_ok()
        {
            last.len = ByteCount::new(end.offset.as_u64());
        }
        Ok(())
    }
}

/// How long segments are: as the file system would have it, and long enough for any record.
pub(in super::super) fn segment_len<S: Storage>(
    storage: &S,
    record_len_max: ByteCount,
) -> Result<u64, StorageError> {
    Ok(storage.segment_len()?.as_u64().max(record_len_max.as_u64() + place::SEGMENT_OVERHEAD))
}

/// Removes at once what lies below the oldest segment that is kept: a checkpoint covers it, or
/// the header of that segment steps over it, and both are synced by now. A recovery sees the
/// same without it. Where nothing is kept there is nothing that says so.
fn unlink_below<S: Storage>(storage: &S, start: &mut LogStart) -> Result<(), StorageError> {
    let Some(oldest) = start.segments.first() else { return Ok(()) };
    start.condemned.retain(|number| *number > oldest.number || storage.unlink(*number).is_err());
    // Some file systems give the room back only with this.
    storage.sync_directory()
}

/// Makes the first new segment, and says how long it is. On a full disk it takes the room of
/// what no recovery needs, then what the last process had preallocated behind the log's end and
/// never came to write; and it is shorter if need be, so that a log can be cleaned whose last
/// process was killed in cleaning.
fn make_first<S: Storage>(
    storage: &S,
    start: &mut LogStart,
    segment_len: u64,
) -> Result<(S::File, u64), StorageError> {
    let mut len = segment_len;
    let mut has_removed = false;
    let mut has_cut = false;
    loop {
        match place::create_file(storage, start.next, ByteCount::new(len)) {
            Ok(file) => return Ok((file, len)),
            Err(error) if !error.is_no_space() => return Err(error),
            Err(_) if !std::mem::replace(&mut has_removed, true) => {
                unlink_below(storage, start)?;
            }
            Err(_) if !std::mem::replace(&mut has_cut, true) => {
                start.continues.into_iter().for_each(|end| cut_blank_end(storage, end));
            }
            Err(error) if len / 2 < FIRST_LEN_MIN => return Err(error),
            Err(_) => len /= 2,
        }
    }
}

/// Cuts a segment off at `end` if there are only zeros behind it. One that cannot be cut off
/// stays: the room is missed where it is asked for.
fn cut_blank_end<S: Storage>(storage: &S, end: Position) {
    let Ok(file) = storage.open(end.segment) else { return };
    let mut piece = vec![0; BLANK_PIECE_LEN];
    let mut at = end.offset.as_u64();
    loop {
        match storage.read_at(&file, at, &mut piece) {
            Ok(0) => break,
            Ok(count) if piece[..count].iter().all(|byte| *byte == 0) => at += count as u64,
            _ => return,
        }
    }
    let _ = storage.truncate(&file, ByteCount::new(end.offset.as_u64()));
}

/// Removes those segments at once that were never used, so that a disk they had filled takes a
/// new one. Leaves the others.
fn unlink_blank<S: Storage>(storage: &S, condemned: &mut Vec<SegmentNumber>) {
    let is_blank = |number: SegmentNumber| {
        let mut start = vec![1; BLANK_PIECE_LEN];
        let read = storage.open(number).and_then(|file| storage.read_at(&file, 0, &mut start));
        read.is_ok_and(|count| SegmentHeader::is_unbegun(&start[..count], number))
    };
    // One that cannot be removed now is tried again like the rest.
    condemned.retain(|number| !is_blank(*number) || storage.unlink(*number).is_err());
}
