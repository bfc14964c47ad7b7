//! Where a new session goes: here, as long as this shard is not much fuller than the others.
//!
//! The server makes the ids, so it can make one that the shard at hand owns, and most
//! creations need no forwarding. But one busy connection must not fill one core: a shard
//! that holds more than 1.1 times the mean hands creations to the emptiest one. The mean is
//! looked up when this shard seems too full: by then the others may have grown as much.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::types::{ByteCount, ShardCount, ShardId};

/// Sessions above the mean that are not worth a forward.
const SESSIONS_FREE: u64 = 1_024;
/// Bytes above the mean that are not worth a forward.
const BYTES_FREE: u64 = 4 * 1024 * 1024;
/// A shard that is too full looks at the others once in so many creations: a look reads a cache
/// line of each.
const CREATIONS_A_LOOK: u32 = 16;

/// One shard's load, on cache lines of its own: written by its core, read by the others.
#[repr(align(128))]
#[derive(Default, Debug)]
struct Load {
    sessions: AtomicU64,
    bytes: AtomicU64,
}

/// The loads of all shards, as each published its own at its last tick or creation.
#[derive(Clone, Debug)]
pub struct Loads(Arc<[Load]>);

impl Loads {
    /// Loads of so many empty shards.
    pub fn new(shards: ShardCount) -> Self {
        Self((0..shards.get()).map(|_| Load::default()).collect())
    }

    fn publish(&self, shard: ShardId, sessions: u64, bytes: u64) {
        let load = &self.0[shard.index()];
        load.sessions.store(sessions, Ordering::Relaxed);
        load.bytes.store(bytes, Ordering::Relaxed);
    }
}

/// Chooses the shard of new sessions on one core.
#[derive(Debug)]
pub struct Placement {
    here: ShardId,
    loads: Loads,
    /// Creations stay here up to this many sessions.
    sessions_max: u64,
    /// Creations stay here up to this many bytes.
    bytes_max: u64,
    emptiest: ShardId,
    /// Creations until the others are looked at again, while this shard is too full.
    creations_to_look: u32,
}

impl Placement {
    /// The placement of the core that owns shard `here`.
    pub fn new(here: ShardId, loads: Loads) -> Self {
        let mut placement =
            Self { here, loads, sessions_max: 0, bytes_max: 0, emptiest: here, creations_to_look: 0 };
        placement.refresh(0, ByteCount::ZERO);
        placement
    }

    /// Publishes what this shard holds and looks at what the others do.
    pub fn refresh(&mut self, sessions: usize, bytes: ByteCount) {
        self.loads.publish(self.here, sessions as u64, bytes.as_u64());
        self.look();
    }

    /// The shard that should own the next new session, given what this one holds by now.
    pub fn choose(&mut self, sessions: usize, bytes: ByteCount) -> ShardId {
        let (sessions, bytes) = (sessions as u64, bytes.as_u64());
        self.loads.publish(self.here, sessions, bytes);
        if !self.is_even(sessions, bytes) {
            match self.creations_to_look.checked_sub(1) {
                Some(left) => self.creations_to_look = left,
                None => self.look(),
            }
        }
        if self.is_even(sessions, bytes) {
            self.creations_to_look = 0;
            return self.here;
        }
        self.emptiest
    }

    fn is_even(&self, sessions: u64, bytes: u64) -> bool {
        sessions <= self.sessions_max && bytes <= self.bytes_max
    }

    /// Takes over what the shards have published.
    fn look(&mut self) {
        self.creations_to_look = CREATIONS_A_LOOK;
        let read = |load: &Load| (load.bytes.load(Ordering::Relaxed), load.sessions.load(Ordering::Relaxed));
        let loads = self.loads.0.iter().map(read);
        let count = self.loads.0.len() as u64;
        let (bytes, sessions) = loads.clone().fold((0, 0), |sum, load| (sum.0 + load.0, sum.1 + load.1));
        self.sessions_max = sessions / count * 11 / 10 + SESSIONS_FREE;
        self.bytes_max = bytes / count * 11 / 10 + BYTES_FREE;
        let emptiest = loads.enumerate().min_by_key(|(_, load)| *load).map_or(0, |(place, _)| place);
        self.emptiest = ShardId::new(emptiest as u16);
        debug_assert!(self.emptiest.index() < self.loads.0.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placements(shards: u16) -> Vec<Placement> {
        let count = ShardCount::new(shards).unwrap();
        let loads = Loads::new(count);
        count.shards().map(|shard| Placement::new(shard, loads.clone())).collect()
    }

    #[test]
    fn a_single_shard_keeps_everything() {
        let mut one = placements(1);
        one[0].refresh(1_000_000, ByteCount::from_mib(4_000));
        assert_eq!(one[0].choose(2_000_000, ByteCount::from_mib(9_000)), ShardId::FIRST);
    }

    #[test]
    fn small_differences_are_free() {
        let mut four = placements(4);
        assert_eq!(four[2].choose(1_000, ByteCount::from_mib(3)), ShardId::new(2));
    }

    #[test]
    fn a_shard_that_is_too_full_sends_new_sessions_to_the_emptiest() {
        let mut four = placements(4);
        for (place, sessions) in [40_000, 30_000, 9_000, 20_000].into_iter().enumerate() {
            four[place].refresh(sessions, ByteCount::from_mib(sessions as u64 / 1_000));
        }
        for placement in &mut four {
            let (sessions, bytes) = (30_000, ByteCount::from_mib(30));
            placement.refresh(sessions, bytes);
        }
        four[2].refresh(9_000, ByteCount::from_mib(9));
        four[0].refresh(40_000, ByteCount::from_mib(40));
        assert_eq!(four[0].choose(40_000, ByteCount::from_mib(40)), ShardId::new(2));
        assert_eq!(four[2].choose(9_000, ByteCount::from_mib(9)), ShardId::new(2));
    }

    #[test]
    fn shards_that_fill_alike_keep_what_they_make_also_between_two_ticks() {
        let mut placements = placements(32);
        for sessions in 0..20_000 {
            for placement in &mut placements {
                let chosen = placement.choose(sessions, ByteCount::from_kib(sessions as u64));
                assert_eq!(chosen, placement.here, "at {sessions} sessions a shard");
            }
        }
    }

    #[test]
    fn one_busy_shard_fills_all_of_them_evenly() {
        let mut four = placements(4);
        let mut held = [0usize; 4];
        let bytes = |sessions: usize| ByteCount::from_kib(sessions as u64);
        for _tick in 0..200 {
            for _ in 0..2_000 {
                let owner = four[0].choose(held[0], bytes(held[0]));
                held[owner.index()] += 1;
            }
            for (place, placement) in four.iter_mut().enumerate() {
                placement.refresh(held[place], bytes(held[place]));
            }
        }
        let mean = held.iter().sum::<usize>() / 4;
        assert!(held.iter().all(|count| *count <= mean * 12 / 10 + 4_096), "{held:?}");
    }
}
