//! What a core holds of the journal: room, records of this turn, and how far the log is.
//!
//! In each turn the core reserves room before it applies a change, logs the change, and at
//! the turn's end hands over what was logged. It then waits, without blocking, until the
//! sequences that its answers depend on have reached their level. Sequences, epochs and
//! levels are this handle's business; the core only keeps what [`CoreJournal::log`] returns.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::Thread;

use crossbeam_channel::{Sender, TrySendError};

use super::chunks::Chunks;
use super::log::{Buffer, SyncPolicy};
use super::progress::{Condition, Level, Progress};
use super::record::{Entry, Origin, Record, encode};
use super::room::{Need, NoRoom, Room};
use super::units::{SegmentNumber, Sequence};
use super::wait::Wait;
use crate::types::{BootEpoch, ByteCount, ShardId};

/// What cores and threads share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) progress: Progress,
    pub(super) room: Room,
    /// By shard: what its live sessions take, in bytes of records.
    live_bytes: Box<[AtomicU64]>,
    /// What the registry takes, in bytes of records; a part of the first shard's.
    registry_bytes: AtomicU64,
    /// The last sync of a shutdown has covered everything.
    is_settled: AtomicBool,
}

impl Shared {
    /// Until the shards have said what lives in them, each is taken to have its part of `live`.
    pub(super) fn new(progress: Progress, room: Room, live: ByteCount) -> Self {
        let share = live.as_u64() / progress.shard_count() as u64;
        let live_bytes = (0..progress.shard_count()).map(|_| AtomicU64::new(share)).collect();
        let registry_bytes = AtomicU64::new(0);
        Self { progress, room, live_bytes, registry_bytes, is_settled: AtomicBool::new(false) }
    }

    pub(super) fn live(&self) -> ByteCount {
        self.live_bytes.iter().map(|bytes| ByteCount::new(bytes.load(Ordering::Relaxed))).sum()
    }

    pub(super) fn registry(&self) -> ByteCount {
        ByteCount::new(self.registry_bytes.load(Ordering::Relaxed))
    }

    pub(super) fn settle(&self) {
        self.is_settled.store(true, Ordering::Release);
    }

    pub(super) fn is_settled(&self) -> bool {
        self.is_settled.load(Ordering::Acquire)
    }
}

/// The way to the thread that writes.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) buffers: Sender<Buffer>,
    pub(super) writer: Thread,
}

impl Lane {
    /// Sends a buffer, or gives it back where the lane is full.
    fn send(&self, buffer: Buffer) -> Result<(), Buffer> {
        match self.buffers.try_send(buffer) {
            // Without its thread the journal is at its end: nothing is reached any more.
            Ok(()) | Err(TrySendError::Disconnected(_)) => {}
            Err(TrySendError::Full(buffer)) => return Err(buffer),
        }
        // Costs a system call only where the thread sleeps.
        self.writer.unpark();
        Ok(())
    }
}

/// A core's side of the journal. Stays on its core.
#[derive(Debug)]
pub struct CoreJournal {
    shard: ShardId,
    epoch: BootEpoch,
    policy: SyncPolicy,
    shared: Arc<Shared>,
    lane: Lane,
    /// What was logged and not handed over.
    pending: Chunks,
    /// The newest record's, handed over or not.
    last: Sequence,
    /// Whether an answer to what is pending waits for a sync.
    needs_sync: bool,
    /// What is to be reported with what is pending, see [`Buffer::copied_below`].
    copied_below: Option<SegmentNumber>,
    /// Room that was reserved and not used since the last hand-over, in bytes.
    reserved_bytes: u64,
    /// What was logged since the last hand-over, in bytes.
    turn_bytes: u64,
    /// How far this shard's log was known to have come when last looked at.
    seen: Cell<Wait>,
    /// The levels at which this core has asked to be woken.
    announced: Cell<[bool; 2]>,
}

impl CoreJournal {
    /// The most memory that a core keeps to write its records into, in bytes.
    pub const KEPT_BYTES_MAX: usize = Chunks::KEPT_BYTES_MAX;

    pub(super) fn new(
        shard: ShardId,
        epoch: BootEpoch,
        policy: SyncPolicy,
        shared: Arc<Shared>,
        lane: Lane,
    ) -> Self {
        Self {
            shard,
            epoch,
            policy,
            shared,
            lane,
            pending: Chunks::default(),
            last: Sequence::NONE,
            needs_sync: false,
            copied_below: None,
            reserved_bytes: 0,
            turn_bytes: 0,
            seen: Cell::default(),
            announced: Cell::default(),
        }
    }

    /// The shard whose records these are.
    pub const fn shard(&self) -> ShardId {
        self.shard
    }

    /// Reserves room for a record of this many bytes, or changes nothing. Lasts until the
    /// turn's end; what is not used by then goes back.
    pub fn reserve(&mut self, need: Need, bytes: ByteCount) -> Result<(), NoRoom> {
        if let Err(reason) = self.shared.room.take(need, bytes) {
            let has_failed = self.shared.progress.condition() == Condition::Poisoned;
            return Err(if has_failed { NoRoom::Failed } else { reason });
        }
        self.reserved_bytes += bytes.as_u64();
        Ok(())
    }

    /// The level that the answer to a change must wait for. Removals and changes of keys are
    /// promised to outlive a power loss.
    pub const fn level_of(&self, entry: &Entry<'_>) -> Level {
        match entry {
            Entry::Delete(_) | Entry::Key { .. } | Entry::KeyDelete { .. } => Level::Synced,
            _ => self.level_of_sessions(),
        }
    }

    /// The level that whoever is shown a session must wait for.
    pub const fn level_of_sessions(&self) -> Level {
        match self.policy {
            SyncPolicy::Always => Level::Synced,
            SyncPolicy::EverySecond => Level::Written,
        }
    }

    /// Logs an entry and returns its sequence, which [`CoreJournal::reached`] will reach. Room
    /// should have been reserved; an entry that cannot be refused takes it all the same.
    pub fn log(&mut self, entry: Entry<'_>) -> Sequence {
        let level = self.level_of(&entry);
        let len = entry.record_len();
        if !self.pending.has_room(len) {
            if self.send_pending() {
                self.pending.advance(len);
            } else {
                self.pending.grow(len);
            }
        }
        let sequence = self.last.next();
        let origin = Origin { epoch: self.epoch, shard: self.shard, sequence };
        encode(self.pending.end(), &Record { origin, entry });
        let len = len as u64;
        self.use_room(len);
        self.turn_bytes += len;
        self.last = sequence;
        self.needs_sync |= level == Level::Synced;
        sequence
    }

    /// The sequence of the newest record, handed over or not.
    pub const fn last(&self) -> Sequence {
        self.last
    }

    /// What was logged since the last hand-over.
    pub const fn logged_this_turn(&self) -> ByteCount {
        ByteCount::new(self.turn_bytes)
    }

    /// Reports that everything of this shard that lives has been logged above `below`.
    pub fn report_copied(&mut self, below: SegmentNumber) {
        self.copied_below = Some(below);
    }

    /// At the turn's end: hands over what was logged, gives back the room that was not used.
    /// False where the lane is full: the core must call again, and will be woken to.
    pub fn hand_over(&mut self) -> bool {
        self.turn_bytes = 0;
        let unused = std::mem::take(&mut self.reserved_bytes);
        if unused > 0 {
            self.shared.room.give_back(ByteCount::new(unused));
        }
        if self.send_pending() {
            return true;
        }
        // The lane is full of what will be written: that wakes this core. Unless it was just
        // now, which the second attempt finds out.
        self.announce(Level::Written);
        self.send_pending()
    }

    /// Whether nothing is left to be handed over.
    pub fn is_handed_over(&self) -> bool {
        self.pending.is_empty() && self.copied_below.is_none()
    }

    /// How far `shard` has come. What [`CoreJournal::log`] returned there is reached with it.
    pub fn reached(&self, shard: ShardId, level: Level) -> Sequence {
        self.shared.progress.reached(shard, level)
    }

    /// What of `wait`, on this shard's log, has not come yet.
    pub fn missing(&self, wait: Wait) -> Wait {
        let mut missing = wait;
        let mut seen = self.seen.get();
        for level in [Level::Written, Level::Synced] {
            if wait.at(level) > seen.at(level) {
                // The counter is written by another thread: looked at only where it may tell more.
                seen = seen.and(Wait::until(level, self.reached(self.shard, level)));
            }
            if wait.at(level) <= seen.at(level) {
                missing = missing.without(level);
            }
        }
        self.seen.set(seen);
        missing
    }

    /// What of `wait`, on the log of `shard`, has not come yet.
    pub fn missing_of(&self, shard: ShardId, wait: Wait) -> Wait {
        if shard == self.shard {
            return self.missing(wait);
        }
        let is_met = |level: Level| wait.at(level) <= self.reached(shard, level);
        let met = [Level::Written, Level::Synced].into_iter().filter(|level| is_met(*level));
        met.fold(wait, Wait::without)
    }

    /// Before this core sleeps with answers that wait for `level`; see [`Progress::announce`].
    pub fn announce(&self, level: Level) {
        self.shared.progress.announce(self.shard, level);
        self.set_announced(level, true);
    }

    /// This core is awake: it looks by itself, whatever it has announced.
    pub fn withdraw(&self) {
        for level in [Level::Written, Level::Synced] {
            if self.announced.get()[level as usize] {
                self.shared.progress.withdraw(self.shard, level);
                self.set_announced(level, false);
            }
        }
    }

    fn set_announced(&self, level: Level, is_announced: bool) {
        let mut announced = self.announced.get();
        announced[level as usize] = is_announced;
        self.announced.set(announced);
    }

    /// The journal's progress: its condition, segment, cut.
    pub fn progress(&self) -> &Progress {
        &self.shared.progress
    }

    /// Says what this shard's live sessions take, in bytes of records, and what the registry does
    /// where this shard is the one that logs it.
    pub fn set_live(&self, live: ByteCount, registry: Option<ByteCount>) {
        let both = live + registry.unwrap_or_default();
        self.shared.live_bytes[self.shard.index()].store(both.as_u64(), Ordering::Relaxed);
        if let Some(registry) = registry {
            self.shared.registry_bytes.store(registry.as_u64(), Ordering::Relaxed);
        }
    }

    fn use_room(&mut self, bytes: u64) {
        let missing = bytes.saturating_sub(self.reserved_bytes);
        if missing > 0 {
            self.shared.room.take_anyway(ByteCount::new(missing));
        }
        self.reserved_bytes -= bytes - missing;
    }

    /// True where nothing is left to be handed over.
    fn send_pending(&mut self) -> bool {
        if self.is_handed_over() {
            return true;
        }
        let Self { shard, last, needs_sync, copied_below, .. } = *self;
        let bytes = self.pending.take();
        if let Err(buffer) = self.lane.send(Buffer { shard, bytes, last, needs_sync, copied_below }) {
            self.pending.put_back(buffer.bytes);
            return false;
        }
        (self.needs_sync, self.copied_below) = (false, None);
        true
    }
}
