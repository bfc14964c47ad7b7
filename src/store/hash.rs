//! The one hash of a session's id, by which shards and index tables are chosen.
//!
//! It is keyed with random numbers drawn once a process and shared by all shards, so that
//! nobody outside can aim ids at one shard or one table. It never reaches disk or wire:
//! the next process draws another key. Which bits serve whom is settled here: the owner
//! of an id takes the high bits, the index the low ones (see `index`).

use std::fmt;

use ahash::RandomState;

use crate::types::SessionId;

/// Hashes ids with this process's key. A clone has the same key.
#[derive(Clone)]
pub struct IdHasher(RandomState);

impl IdHasher {
    /// The hasher with a key drawn from the system's random numbers.
    pub fn random(seed: [u64; 4]) -> Self {
        Self(RandomState::with_seeds(seed[0], seed[1], seed[2], seed[3]))
    }

    /// A hasher that is the same in each run, for tests and simulations.
    pub fn with_seed(seed: u64) -> Self {
        Self(RandomState::with_seeds(seed, seed.rotate_left(17), !seed, seed.rotate_left(41)))
    }

    /// The hash of `id`; all 64 bits are well mixed.
    pub fn hash(&self, id: SessionId) -> u64 {
        self.0.hash_one(u128::from_ne_bytes(*id.as_bytes()))
    }

    /// The hash of a Content-Type, keyed as well: clients choose it.
    pub(super) fn hash_bytes(&self, bytes: &[u8]) -> u64 {
        self.0.hash_one(bytes)
    }
}

impl fmt::Debug for IdHasher {
    /// The key is a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IdHasher(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u64) -> SessionId {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&number.to_le_bytes());
        SessionId::from_random(bytes)
    }

    #[test]
    fn clones_and_equal_seeds_agree_and_others_do_not() {
        let hasher = IdHasher::with_seed(7);
        assert_eq!(hasher.hash(id(1)), hasher.clone().hash(id(1)));
        assert_eq!(hasher.hash(id(1)), IdHasher::with_seed(7).hash(id(1)));
        assert_ne!(hasher.hash(id(1)), IdHasher::with_seed(8).hash(id(1)));
        assert_ne!(hasher.hash(id(1)), IdHasher::random([1, 2, 3, 4]).hash(id(1)));
        assert_eq!(format!("{hasher:?}"), "IdHasher(..)");
    }

    #[test]
    fn every_byte_of_a_hash_is_spread_evenly() {
        let hasher = IdHasher::with_seed(1);
        for shift in (0..64).step_by(8) {
            let mut counts = [0_u32; 256];
            for number in 0..65_536 {
                counts[(hasher.hash(id(number)) >> shift) as usize & 0xff] += 1;
            }
            // 256 are expected in each; 7 standard deviations of 16 either way.
            assert!(counts.iter().all(|count| (144..=368).contains(count)), "bits from {shift}: {counts:?}");
        }
    }
}
