//! How far the log has come, for the cores to read without waiting, and how they are woken.
//!
//! ```text
//! core:    enqueue a wait, announce (store true, fence), look again     — or sleep
//! journal: publish a sequence, fence, look at the flag, clear, wake
//! ```
//! Both sides write before the fence and read behind it, so at least one of them sees the
//! other: the core finds what it waits for, or the journal finds the flag. Nothing here
//! blocks, and nobody but the journal's threads publishes.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering, fence};

use super::units::{SegmentNumber, Sequence};
use crate::types::{ShardCount, ShardId};

/// How safe a record must be before an answer leaves.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Level {
    /// A kill of the process does not lose it.
    Written,
    /// A power loss does not lose it.
    Synced,
}

/// What the journal can still do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Condition {
    /// It takes records and makes them durable.
    Good,
    /// The disk is full: room is refused until there is some. What was taken is kept.
    Full,
    /// Nothing is acknowledged any more, for ever. Connections with unanswered changes are
    /// closed, and only reads go on.
    Poisoned,
}

/// Wakes the core of a shard, from any thread. Never blocks.
pub type Wake = Box<dyn Fn(ShardId) + Send + Sync>;

/// The progress of one log.
pub struct Progress {
    shards: Box<[ShardProgress]>,
    /// The segment that records go to.
    segment: AtomicU32,
    /// Everything below this segment is to be logged again; 0 for nothing.
    cut: AtomicU32,
    /// The copies are to be made much faster than anything else is logged.
    is_cut_urgent: AtomicBool,
    condition: AtomicU8,
    wake: Wake,
}

/// One shard's sequences, alone on their cache lines, and its core's flags on others.
#[derive(Debug)]
#[repr(align(128))]
struct ShardProgress {
    written: AtomicU64,
    /// `synced <= written`
    synced: AtomicU64,
    waiting: Waiting,
}

/// What a core waits for: set by the core alone, cleared by it or by whoever wakes it.
#[derive(Default, Debug)]
#[repr(align(128))]
struct Waiting {
    is_for_written: AtomicBool,
    is_for_synced: AtomicBool,
}

impl Waiting {
    const fn flag(&self, level: Level) -> &AtomicBool {
        match level {
            Level::Written => &self.is_for_written,
            Level::Synced => &self.is_for_synced,
        }
    }
}

impl Progress {
    /// No progress yet, for so many shards, whose cores `wake` wakes.
    pub fn new(shards: ShardCount, wake: Wake) -> Self {
        let shard = |_| ShardProgress {
            written: AtomicU64::new(0),
            synced: AtomicU64::new(0),
            waiting: Waiting::default(),
        };
        Self {
            shards: shards.shards().map(shard).collect(),
            segment: AtomicU32::new(SegmentNumber::FIRST.as_u32()),
            cut: AtomicU32::new(0),
            is_cut_urgent: AtomicBool::new(false),
            condition: AtomicU8::new(0),
            wake,
        }
    }

    pub(super) fn shard_count(&self) -> usize {
        self.shards.len()
    }

    /// The newest sequence of `shard` that has reached `level`.
    pub fn reached(&self, shard: ShardId, level: Level) -> Sequence {
        let shard = &self.shards[shard.index()];
        let sequence = match level {
            Level::Written => shard.written.load(Ordering::Acquire),
            Level::Synced => shard.synced.load(Ordering::Acquire),
        };
        Sequence::new(sequence)
    }

    /// A core, `waiter`, is about to sleep with something that waits for `level`: whatever is
    /// published at that level from now on wakes it, once. It must look once more at all it
    /// waits for after this, and announce again after each wake-up.
    pub fn announce(&self, waiter: ShardId, level: Level) {
        self.shards[waiter.index()].waiting.flag(level).store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// The core is awake and looks by itself: it need not be woken. Costs a store where it had
    /// announced anything.
    pub fn withdraw(&self, waiter: ShardId, level: Level) {
        self.shards[waiter.index()].waiting.flag(level).store(false, Ordering::Relaxed);
    }

    /// The segment that records go to: those handed over after this call lie in it or above.
    pub fn segment(&self) -> SegmentNumber {
        SegmentNumber::new(self.segment.load(Ordering::Acquire)).unwrap_or(SegmentNumber::FIRST)
    }

    /// The segment below which everything that lives is to be logged again, if that is asked.
    pub fn cut(&self) -> Option<SegmentNumber> {
        SegmentNumber::new(self.cut.load(Ordering::Acquire))
    }

    /// Whether the log is near its longest, so that what is asked for should come before all else.
    pub fn is_cut_urgent(&self) -> bool {
        self.is_cut_urgent.load(Ordering::Relaxed)
    }

    /// What the journal can still do.
    pub fn condition(&self) -> Condition {
        match self.condition.load(Ordering::Acquire) {
            0 => Condition::Good,
            1 => Condition::Full,
            _ => Condition::Poisoned,
        }
    }

    /// Publishes each shard's newest sequence at `level`, and wakes whoever waits for that.
    pub(super) fn publish(&self, level: Level, sequences: &[Sequence]) {
        debug_assert_eq!(sequences.len(), self.shards.len());
        let mut has_changed = false;
        for (shard, sequence) in self.shards.iter().zip(sequences) {
            let reached = match level {
                Level::Written => &shard.written,
                Level::Synced => &shard.synced,
            };
            // One thread alone publishes a level, so nobody else changes it in between.
            let before = reached.load(Ordering::Relaxed);
            debug_assert!(before <= sequence.as_u64(), "progress never goes back");
            if before != sequence.as_u64() {
                reached.store(sequence.as_u64(), Ordering::Release);
                has_changed = true;
            }
        }
        if has_changed {
            self.wake_waiting(level);
        }
    }

    pub(super) fn publish_segment(&self, segment: SegmentNumber) {
        self.segment.store(segment.as_u32(), Ordering::Release);
    }

    /// Asks for copies, or ends the asking; wakes all cores for a new question.
    pub(super) fn publish_cut(&self, cut: Option<SegmentNumber>, is_urgent: bool) {
        self.is_cut_urgent.store(is_urgent, Ordering::Relaxed);
        let number = cut.map_or(0, SegmentNumber::as_u32);
        let before = self.cut.swap(number, Ordering::AcqRel);
        if number != 0 && number != before {
            self.wake_all();
        }
    }

    /// Publishes what the journal can still do; the news that it is poisoned wakes all cores.
    pub(super) fn publish_condition(&self, condition: Condition) {
        let before = self.condition.swap(condition as u8, Ordering::AcqRel);
        if condition == Condition::Poisoned && before != condition as u8 {
            self.wake_all();
        }
    }

    fn wake_waiting(&self, level: Level) {
        fence(Ordering::SeqCst);
        for (index, shard) in self.shards.iter().enumerate() {
            let flag = shard.waiting.flag(level);
            // A load first: a flag that is down stays in its core's cache.
            if flag.load(Ordering::Relaxed) && flag.swap(false, Ordering::AcqRel) {
                (self.wake)(ShardId::new(index as u16));
            }
        }
    }

    fn wake_all(&self) {
        (0..self.shards.len()).for_each(|index| (self.wake)(ShardId::new(index as u16)));
    }
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Progress").field("shards", &self.shards).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;

    use super::*;

    const FIRST: ShardId = ShardId::new(0);
    const SECOND: ShardId = ShardId::new(1);

    fn sequences(numbers: [u64; 2]) -> [Sequence; 2] {
        numbers.map(Sequence::new)
    }

    /// Progress of two shards, and how often each core was woken.
    fn progress() -> (Progress, Arc<[AtomicUsize; 2]>) {
        let rings: Arc<[AtomicUsize; 2]> = Arc::default();
        let counter = Arc::clone(&rings);
        let wake = move |shard: ShardId| {
            counter[shard.index()].fetch_add(1, Ordering::Relaxed);
        };
        (Progress::new(ShardCount::new(2).unwrap(), Box::new(wake)), rings)
    }

    fn counts(rings: &[AtomicUsize; 2]) -> [usize; 2] {
        [0, 1].map(|shard| rings[shard].load(Ordering::Relaxed))
    }

    #[test]
    fn sequences_are_read_as_they_were_published() {
        let (progress, _) = progress();
        progress.publish(Level::Written, &sequences([5, 9]));
        progress.publish(Level::Synced, &sequences([4, 9]));
        assert_eq!(progress.reached(FIRST, Level::Written), Sequence::new(5));
        assert_eq!(progress.reached(FIRST, Level::Synced), Sequence::new(4));
        assert_eq!(progress.reached(SECOND, Level::Synced), Sequence::new(9));
    }

    #[test]
    fn only_those_who_wait_for_a_level_are_woken_and_once_an_announcement() {
        let (progress, rings) = progress();
        progress.publish(Level::Written, &sequences([1, 1]));
        assert_eq!(counts(&rings), [0, 0]);
        progress.announce(SECOND, Level::Synced);
        progress.publish(Level::Written, &sequences([2, 2]));
        assert_eq!(counts(&rings), [0, 0]);
        progress.publish(Level::Synced, &sequences([2, 2]));
        progress.publish(Level::Synced, &sequences([3, 3]));
        assert_eq!(counts(&rings), [0, 1]);
        progress.announce(SECOND, Level::Synced);
        progress.publish(Level::Synced, &sequences([3, 3]));
        assert_eq!(counts(&rings), [0, 1], "nothing new, nobody woken");
    }

    #[test]
    fn a_core_that_is_awake_is_not_woken() {
        let (progress, rings) = progress();
        progress.announce(FIRST, Level::Written);
        progress.announce(FIRST, Level::Synced);
        progress.withdraw(FIRST, Level::Written);
        progress.publish(Level::Written, &sequences([1, 0]));
        assert_eq!(counts(&rings), [0, 0]);
        progress.publish(Level::Synced, &sequences([1, 0]));
        assert_eq!(counts(&rings), [1, 0]);
    }

    #[test]
    fn a_cut_and_poison_wake_all_cores_once() {
        let (progress, rings) = progress();
        progress.publish_cut(SegmentNumber::new(7), false);
        progress.publish_cut(SegmentNumber::new(7), true);
        assert!(progress.is_cut_urgent());
        assert_eq!((progress.cut(), counts(&rings)), (SegmentNumber::new(7), [1, 1]));
        progress.publish_cut(None, false);
        progress.publish_condition(Condition::Full);
        assert_eq!((progress.condition(), counts(&rings)), (Condition::Full, [1, 1]));
        progress.publish_condition(Condition::Poisoned);
        progress.publish_condition(Condition::Poisoned);
        assert_eq!((progress.condition(), counts(&rings)), (Condition::Poisoned, [2, 2]));
        assert_eq!(progress.cut(), None);
    }
}
