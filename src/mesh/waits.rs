//! What an output waits for before it leaves, and who waits for what.
//!
//! An answer that tells of a change leaves once the journal has it. A conversation adds up
//! what all its unwritten answers wait for, one wait a shard, while it goes on answering into
//! the same output; [`Waits::first_missing`] tells what has not come yet. A core enters each
//! connection in [`Waiting`] by the record it waits for, and wakes those whose record has come.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::journal::{Level, Sequence, Wait};
use crate::types::{ShardCount, ShardId};

/// Both levels, the one that comes first first.
const LEVELS: [Level; 2] = [Level::Written, Level::Synced];

/// A record of a shard, and the level that it must reach.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Missing {
    /// Whose record.
    pub shard: ShardId,
    /// Which.
    pub sequence: Sequence,
    /// How safe it must be.
    pub level: Level,
}

/// What the unwritten answers of one connection wait for.
#[derive(Default, Debug)]
pub struct Waits {
    /// At most one a shard. Keeps its memory, so that a warm connection allocates nothing.
    shards: Vec<(ShardId, Wait)>,
}

impl Waits {
    /// Another answer waits for this on the log of `shard`.
    pub fn add(&mut self, shard: ShardId, wait: Wait) {
        if wait.is_none() {
            return;
        }
        match self.shards.iter_mut().find(|(known, _)| *known == shard) {
            Some((_, known)) => *known = known.and(wait),
            None => self.shards.push((shard, wait)),
        }
    }

    /// Whether nothing is waited for.
    pub fn is_empty(&self) -> bool {
        self.shards.is_empty()
    }

    /// Forgets what has come, as `missing` tells what of a shard's wait has not, and yields
    /// something that has not come yet.
    pub fn first_missing(&mut self, missing: impl Fn(ShardId, Wait) -> Wait) -> Option<Missing> {
        while let Some((shard, wait)) = self.shards.last_mut() {
            *wait = missing(*shard, *wait);
            let level = LEVELS.into_iter().rev().find(|level| wait.at(*level) > Sequence::NONE);
            if let Some(level) = level {
                return Some(Missing { shard: *shard, sequence: wait.at(level), level });
            }
            self.shards.pop();
        }
        None
    }
}

/// The connections of one core that wait for the journal. `W` wakes one.
#[derive(Debug)]
pub struct Waiting<W> {
    /// By shard and level: the earliest record first.
    lanes: Vec<BinaryHeap<Entry<W>>>,
    /// How many wait at each level.
    counts: [usize; LEVELS.len()],
}

#[derive(Debug)]
struct Entry<W> {
    sequence: Reverse<Sequence>,
    waker: W,
}

impl<W> PartialEq for Entry<W> {
    fn eq(&self, other: &Self) -> bool {
        self.sequence == other.sequence
    }
}

impl<W> Eq for Entry<W> {}

impl<W> PartialOrd for Entry<W> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<W> Ord for Entry<W> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.sequence.cmp(&other.sequence)
    }
}

impl<W> Waiting<W> {
    /// Nobody waits for any of so many shards.
    pub fn new(shards: ShardCount) -> Self {
        let lanes = (0..usize::from(shards.get()) * LEVELS.len()).map(|_| BinaryHeap::new()).collect();
        Self { lanes, counts: [0; LEVELS.len()] }
    }

    /// Somebody waits for this. Is woken once, and looks for itself whether it waits on.
    pub fn enter(&mut self, missing: Missing, waker: W) {
        let Missing { shard, sequence, level } = missing;
        let lane = shard.index() * LEVELS.len() + level as usize;
        debug_assert!(lane < self.lanes.len(), "{shard} is one of the shards");
        if let Some(lane) = self.lanes.get_mut(lane) {
            lane.push(Entry { sequence: Reverse(sequence), waker });
            self.counts[level as usize] += 1;
        }
    }

    /// Whether anybody waits for anything to reach `level`.
    pub fn is_for(&self, level: Level) -> bool {
        self.counts[level as usize] > 0
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        debug_assert_eq!(
            self.counts.iter().sum::<usize>(),
            self.lanes.iter().map(BinaryHeap::len).sum::<usize>()
        );
        self.counts.iter().sum()
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The next one whose record has come, as `reached` tells how far each shard's log is.
    pub fn poll_met(&mut self, reached: impl Fn(ShardId, Level) -> Sequence) -> Option<W> {
        for level in LEVELS.into_iter().filter(|level| self.counts[*level as usize] > 0) {
            for (shard, lane) in self.lanes.iter_mut().skip(level as usize).step_by(LEVELS.len()).enumerate()
            {
                let Some(first) = lane.peek() else { continue };
                if first.sequence.0 <= reached(ShardId::new(shard as u16), level) {
                    self.counts[level as usize] -= 1;
                    return lane.pop().map(|entry| entry.waker);
                }
            }
        }
        None
    }

    /// Everybody, whatever has come: nothing more will.
    pub fn take_all(&mut self) -> impl Iterator<Item = W> {
        self.counts = [0; LEVELS.len()];
        self.lanes.iter_mut().flat_map(BinaryHeap::drain).map(|entry| entry.waker)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: ShardId = ShardId::new(0);
    const SECOND: ShardId = ShardId::new(1);

    fn until(level: Level, number: u64) -> Wait {
        Wait::until(level, Sequence::new(number))
    }

    /// What is missing where every log has come to `number` at both levels.
    fn missing_at(number: u64) -> impl Fn(ShardId, Wait) -> Wait {
        move |_, wait| {
            let is_met = |level: Level| wait.at(level) <= Sequence::new(number);
            let met = LEVELS.into_iter().filter(|level| is_met(*level));
            met.fold(wait, Wait::without)
        }
    }

    #[test]
    fn answers_wait_for_the_latest_record_of_each_shard() {
        let mut waits = Waits::default();
        assert!(waits.is_empty() && waits.first_missing(missing_at(0)).is_none());
        waits.add(FIRST, Wait::NONE);
        assert!(waits.is_empty());
        waits.add(FIRST, until(Level::Written, 5));
        waits.add(FIRST, until(Level::Written, 3));
        waits.add(SECOND, until(Level::Synced, 9));
        waits.add(FIRST, until(Level::Synced, 4));
        let mut seen = Vec::new();
        for reached in 0..=9 {
            seen.extend(waits.first_missing(missing_at(reached)));
        }
        let (first, second) = (seen.first().copied(), seen.last().copied());
        let awaited = |shard, number, level| Missing { shard, sequence: Sequence::new(number), level };
        assert_eq!(first, Some(awaited(SECOND, 9, Level::Synced)));
        assert_eq!((second, seen.len()), (first, 9));
        assert!(waits.is_empty());
        waits.add(FIRST, until(Level::Written, 5));
        waits.add(FIRST, until(Level::Synced, 4));
        assert_eq!(waits.first_missing(missing_at(3)), Some(awaited(FIRST, 4, Level::Synced)));
        assert_eq!(waits.first_missing(missing_at(4)), Some(awaited(FIRST, 5, Level::Written)));
        assert_eq!(waits.first_missing(missing_at(5)), None);
    }

    #[test]
    fn those_whose_record_has_come_are_woken_and_nobody_else() {
        let mut waiting = Waiting::new(ShardCount::new(2).unwrap());
        let entries = [
            (FIRST, 7, Level::Written, "a"),
            (FIRST, 3, Level::Written, "b"),
            (SECOND, 3, Level::Written, "c"),
            (FIRST, 3, Level::Synced, "d"),
        ];
        for (shard, number, level, name) in entries {
            waiting.enter(Missing { shard, sequence: Sequence::new(number), level }, name);
        }
        assert!(waiting.is_for(Level::Written) && waiting.is_for(Level::Synced));
        let mut woken = |reached: fn(ShardId, Level) -> u64| {
            let reached = |shard, level| Sequence::new(reached(shard, level));
            let mut names: Vec<_> = std::iter::from_fn(|| waiting.poll_met(reached)).collect();
            names.sort_unstable();
            (names, waiting.len())
        };
        assert_eq!(woken(|_, _| 2), (vec![], 4));
        assert_eq!(
            woken(|shard, level| if (shard, level) == (FIRST, Level::Written) { 6 } else { 0 }),
            (vec!["b"], 3)
        );
        assert_eq!(woken(|_, level| if level == Level::Synced { 3 } else { 0 }), (vec!["d"], 2));
        assert_eq!(woken(|_, _| 9), (vec!["a", "c"], 0));
        assert!(!waiting.is_for(Level::Written) && waiting.is_empty());
    }

    #[test]
    fn all_are_woken_where_nothing_more_will_come() {
        let mut waiting = Waiting::new(ShardCount::ONE);
        for (level, name) in [(Level::Written, 1), (Level::Synced, 2)] {
            waiting.enter(Missing { shard: FIRST, sequence: Sequence::new(9), level }, name);
        }
        assert_eq!(waiting.take_all().collect::<Vec<_>>(), [1, 2]);
        assert!(waiting.is_empty());
    }
}
