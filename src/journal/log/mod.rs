//! The log: decides what is written where, what is synced when, and what may be unlinked.
//!
//! A machine without threads, clock or randomness of its own; its storage is given to it.
//! The driver calls, with the time: [`Log::write`] with what the cores handed over, then
//! [`Log::poll_job`] until it gives nothing (the jobs block, and may run on another
//! thread), [`Log::finish_job`] with each result, [`Log::advance`] when
//! [`Log::next_deadline`] has come. After each of these it publishes [`Log::written`] and [`Log::synced`].
//!
//! ```text
//! queue ──write──▶ kept ──sync──▶ dropped      older … older │ current │ spare spare
//!   ▲               │                          ◀─ unlinked         end ▶
//!   └─ failed sync ─┘
//! ```
//! It never syncs a range twice, and never unlinks what a checkpoint does not cover.

mod chores;
mod cleaning;
mod figures;
mod parts;
mod place;
mod start;

use std::collections::VecDeque;

use bytes::BytesMut;

use super::layout::RECORD_BYTES_MAX;
use super::record::{Entry, NO_SHARD, Origin, Record, TimeMark, encode};
use super::seal::Salt;
use super::storage::{SegmentFile, Storage, StorageError};
use super::units::{JournalMillis, LogOffset, Position, SegmentNumber, Sequence};
use crate::types::{BootEpoch, ByteCount, Millis, Moment, Now, ShardCount, ShardId};

pub use self::chores::{Covers, Job, JobResult};
use self::cleaning::Cleaning;
use self::parts::Part;
use self::place::Segment;
pub(super) use self::start::segment_len;

/// When an answer may leave.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SyncPolicy {
    /// Once written; synced each second, and at once where somebody waits for it.
    EverySecond,
    /// Once synced: each group is.
    Always,
}

/// Records of one shard on their way into the log.
#[derive(Debug)]
pub struct Buffer {
    /// Whose they are.
    pub shard: ShardId,
    /// Whole records, not sealed. May be empty.
    pub bytes: BytesMut,
    /// The shard's newest sequence once these are written. Never goes back.
    pub last: Sequence,
    /// Whether an answer waits until they are synced.
    pub needs_sync: bool,
    /// With these, everything of the shard that lay in segments below this one has been
    /// logged again.
    pub copied_below: Option<SegmentNumber>,
}

/// What the log starts from.
pub struct LogStart {
    /// When answers may leave.
    pub policy: SyncPolicy,
    /// How many shards hand buffers over.
    pub shards: ShardCount,
    /// The segments that hold what was recovered, oldest first.
    pub segments: Vec<SegmentFile>,
    /// Segments of which recovery has found that nothing is needed. They stay until the new
    /// log says so itself: a crash before that must find what this start has found.
    pub condemned: Vec<SegmentNumber>,
    /// The first segment to write; above all that have ever been there.
    pub next: SegmentNumber,
    /// Where what was recovered ends: the first new record follows this. None in a new log.
    pub continues: Option<Position>,
    /// The newest sync that what was recovered tells of, at or before its end.
    pub synced: Option<Position>,
    /// Whether synced records were found lost. What was recovered is then logged again as soon as
    /// there is room, so that a later start finds a sound log.
    pub is_damaged: bool,
    /// The number of this start.
    pub epoch: BootEpoch,
    /// Journal time at `now` of [`Log::start`].
    pub journal_time: JournalMillis,
    /// What live sessions take at the start, as [`Log::set_live`] has it.
    pub live: ByteCount,
    /// The longest record that cores will reserve room for.
    pub record_len_max: ByteCount,
    /// Draws the bits that a new segment mixes into its checksums.
    pub draw_salt: Box<dyn FnMut() -> Salt + Send>,
}

/// How far the log is open to records, in bytes ever reserved: what a core reserves must
/// leave the sum of all reservations at or below these.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct RoomLimits {
    /// For records that make the data grow.
    pub ordinary: u64,
    /// For those that must get through on a full disk too: copies, removals, touches.
    pub reserve: u64,
    /// By what is kept in memory until it is synced.
    pub backlog: u64,
    /// For copies, by both: they must not crowd out what somebody waits for.
    pub copies: u64,
    /// The disk has no more to give. Otherwise the next segment is on its way.
    pub is_disk_full: bool,
}

/// The most that is kept in memory until it is synced.
pub const BACKLOG_MAX: ByteCount = ByteCount::from_mib(128);
/// What copies may take of it.
const BACKLOG_COPIES: ByteCount = ByteCount::from_mib(48);
/// Above this a sync does not wait for its second.
const BACKLOG_SYNC: ByteCount = ByteCount::from_mib(8);
/// How long written records may wait for a sync that nobody asked for.
const SYNC_DELAY_MAX: Millis = Millis::from_secs(1);
/// The least time between syncs that are asked for: those who come meanwhile share one.
const SYNC_GAP: Millis = Millis::new(2);
/// How often journal time is noted in an idle log.
const TIME_MARK_INTERVAL: Millis = Millis::from_secs(60);
/// How long a full disk is left alone before the log looks again.
const FULL_DISK_PAUSE: Millis = Millis::new(100);
/// Preallocated segments that only removals, touches and copies may use.
const RESERVE_SEGMENTS: usize = 2;

const _: () =
    assert!(BACKLOG_SYNC.as_u64() < BACKLOG_COPIES.as_u64(), "the sync must come before the refusals");
const _: () = assert!(BACKLOG_COPIES.as_u64() < BACKLOG_MAX.as_u64() / 2, "copies leave most to others");
const _: () = assert!(
    RECORD_BYTES_MAX as u64 + 2 * BACKLOG_SYNC.as_u64() <= BACKLOG_MAX.as_u64(),
    "the longest record fits beside others, as a copy too"
);

/// Whether the log takes records.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Health {
    Good,
    /// The disk is full: what is queued waits until then. Nothing is lost.
    Full {
        until: Moment,
    },
    /// Nothing is acknowledged any more. For ever.
    Poisoned,
}

/// The log of a process.
pub struct Log<S: Storage> {
    storage: S,
    policy: SyncPolicy,
    draw_salt: Box<dyn FnMut() -> Salt + Send>,
    /// What segments are preallocated to; holds any record that room was reserved for.
    segment_len: u64,
    record_len_max: u64,
    health: Health,
    /// A sync has failed and its records go into another segment; the next must succeed.
    is_mending: bool,

    /// Whole segments below the current one, oldest first.
    older: VecDeque<SegmentFile>,
    /// Those of them that no sync has covered yet, oldest first.
    unsynced: Vec<S::File>,
    current: Segment<S::File>,
    /// Preallocated, in order, all above the current one.
    spares: VecDeque<Segment<S::File>>,
    /// What a segment must follow that could not be begun yet.
    resume_at: Option<Position>,
    /// The number that no segment has had yet.
    next_number: Option<SegmentNumber>,

    /// Handed over, not written.
    queue: VecDeque<Part>,
    /// Written, not synced, in the order of the log.
    kept: VecDeque<Part>,
    /// Sum of the lengths in `kept`, in bytes.
    kept_bytes: u64,
    /// Up to where a crash loses nothing.
    synced_at: Position,
    /// By shard: the newest sequence that was ever written, that is in the log as it stands
    /// (after a failed sync less than was written), and that is synced. None is larger than
    /// the one before.
    written: Box<[Sequence]>,
    placed: Box<[Sequence]>,
    synced: Box<[Sequence]>,
    /// Lengths of all buffers that are in the log, and of those synced, in bytes. The latter is
    /// never larger.
    placed_bytes: u64,
    synced_bytes: u64,

    /// Since when something is written that no sync has begun for.
    dirty_since: Option<Moment>,
    /// The same of what the sync that is running covers.
    syncing_since: Option<Moment>,
    /// Somebody waits for a sync of what is written or queued.
    is_sync_wanted: bool,
    last_sync_end: Moment,
    is_sync_running: bool,
    is_chore_running: bool,
    /// Not before this moment is a spare tried again; the moment of the last one, or later.
    spares_pause_until: Moment,
    /// The same of unlinks.
    unlinks_pause_until: Moment,
    /// Spares that were tried while a segment waits to be removed.
    prepared_in_a_row: usize,
    /// A sync has covered up to here, and the log does not say so yet.
    unmarked_sync: Option<Position>,
    /// The end has begun: the last sync is noted at once, and that is synced too.
    is_settling: bool,
    last_mark: Moment,
    /// Journal time and the moment that it was read at.
    clock: (JournalMillis, Moment),
    epoch: BootEpoch,
    /// The newest sequence of the log's own records.
    marks: Sequence,

    cleaning: Cleaning,
    cleanings: u64,
    /// There was no cut when one was last looked for.
    no_cut_until: Option<Moment>,
    /// What the log held when it became too long, in bytes; 0 while it is not.
    cleaned_from: u64,
    /// Segments below this one are cleaned whatever the log's length is.
    damaged_below: Option<SegmentNumber>,
    /// What live sessions and the registry take, in bytes of records.
    live_bytes: u64,
    /// The registry's part of it, which each cleaning logs again.
    registry_bytes: u64,
    /// Covered by a synced checkpoint, oldest first.
    condemned: VecDeque<SegmentNumber>,
    /// The disk had no room for a spare when one was last tried.
    is_short: bool,
}

impl<S: Storage> Log<S> {
    /// Takes what the cores have handed over and writes all of it in one go, as far as the
    /// disk allows. What it does not allow waits in order.
    pub fn write(&mut self, buffers: impl IntoIterator<Item = Buffer>, now: Now) {
        if self.is_poisoned() {
            return;
        }
        let mut is_first = true;
        for buffer in buffers {
            if std::mem::take(&mut is_first) {
                self.mark_sync(now);
            }
            self.take_in(buffer);
        }
        self.place_or_mend(now.moment);
        self.consider_cleaning(now);
    }

    /// Does what is due by now.
    pub fn advance(&mut self, now: Now) {
        if self.is_poisoned() {
            return;
        }
        if now.moment.since(self.last_mark) >= TIME_MARK_INTERVAL {
            self.mark_time(now);
        }
        let is_mark_due = self.is_settling || now.moment >= self.last_sync_end.after(SYNC_DELAY_MAX);
        if self.unmarked_sync.is_some() && is_mark_due {
            self.mark_sync(now);
            self.is_sync_wanted |= self.is_settling;
        }
        self.place_or_mend(now.moment);
        self.consider_cleaning(now);
    }

    /// The next moment at which [`Log::advance`] or [`Log::poll_job`] has something to do
    /// by itself.
    pub fn next_deadline(&self) -> Option<Moment> {
        if self.is_poisoned() {
            return None;
        }
        let retry = match self.health {
            Health::Full { until } => Some(until),
            _ => None,
        };
        let sync = if self.is_sync_running { None } else { self.sync_due() };
        let mark = self.unmarked_sync.map(|_| self.last_sync_end.after(SYNC_DELAY_MAX));
        let time = Some(self.last_mark.after(TIME_MARK_INTERVAL));
        [retry, sync, mark, time, self.chore_due()].into_iter().flatten().min()
    }

    /// Notes journal time and asks for a last sync, and for one more that makes sure of the
    /// note of it: what is damaged later is then told from what a power cut has torn. For an
    /// orderly shutdown, which is complete when [`Log::is_settled`].
    pub fn settle(&mut self, now: Now) {
        if !self.is_poisoned() {
            self.is_settling = true;
            self.mark_time(now);
            self.is_sync_wanted = true;
            self.place_or_mend(now.moment);
        }
    }

    /// Whether everything that was handed over is synced, and the log says so.
    pub fn is_settled(&self) -> bool {
        let is_synced = self.queue.is_empty() && self.kept.is_empty() && !self.is_sync_running;
        is_synced && self.unmarked_sync.is_none()
    }

    /// The newest sequence of each shard that a kill of the process does not lose.
    pub fn written(&self) -> &[Sequence] {
        &self.written
    }

    /// The newest sequence of each shard that a power loss does not lose.
    pub fn synced(&self) -> &[Sequence] {
        &self.synced
    }

    /// The segment that new records go to. None handed over from now on lies below it.
    pub fn current_segment(&self) -> SegmentNumber {
        self.current.number
    }

    /// Nothing is acknowledged any more: the process may read, and must be restarted.
    pub fn is_poisoned(&self) -> bool {
        self.health == Health::Poisoned
    }

    /// Whether the log waits for room on the disk.
    pub fn is_full(&self) -> bool {
        matches!(self.health, Health::Full { .. })
    }

    /// Whether the disk has no more to give and what is left is the reserve.
    pub fn has_reserve_alone(&self) -> bool {
        self.is_short && self.spares.len() <= RESERVE_SEGMENTS
    }
}

#[cfg(test)]
mod tests;
