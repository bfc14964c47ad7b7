//! The memory that sessions may take: one pool for the process, a lease for each shard.
//!
//! A lease takes whole chunks of 1 MiB from the pool and gives them back, so that one
//! shard may hold nearly all of it and a session's bytes cost no shared write. It counts
//! usable sizes, by a pure model of the allocator's size classes, and refuses before
//! anything has changed. Atomics only: nobody waits here, and nothing is ever evicted.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::types::ByteCount;

/// What a lease takes from the pool at a time, in bytes.
const LEASE_CHUNK_BYTES: u64 = 1024 * 1024;

/// The refusal for lack of memory: nothing has changed, and smaller requests may still fit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Full;

/// What all shards together may take.
#[derive(Debug)]
pub struct MemoryPool {
    /// The most that reservations take, in bytes.
    max_bytes: u64,
    /// What leases hold, in bytes. Above `max_bytes` only by what could not be refused.
    taken_bytes: AtomicU64,
    /// The process itself is at its limit, whatever was counted.
    is_full: AtomicBool,
}

impl MemoryPool {
    /// A pool of `max` bytes.
    pub const fn new(max: ByteCount) -> Self {
        Self { max_bytes: max.as_u64(), taken_bytes: AtomicU64::new(0), is_full: AtomicBool::new(false) }
    }

    /// The most that reservations take.
    pub const fn max(&self) -> ByteCount {
        ByteCount::new(self.max_bytes)
    }

    /// What leases hold at present, in whole chunks.
    pub fn taken(&self) -> ByteCount {
        ByteCount::new(self.taken_bytes.load(Ordering::Relaxed))
    }

    /// Says whether the process has reached its limit by the system's own count, which
    /// refuses every reservation until it is said otherwise.
    pub fn set_full(&self, is_full: bool) {
        self.is_full.store(is_full, Ordering::Relaxed);
    }

    /// What was last said by [`MemoryPool::set_full`].
    pub fn is_full(&self) -> bool {
        self.is_full.load(Ordering::Relaxed)
    }

    // Relaxed throughout: the counter guards no other memory, it only has to be atomic itself.
    fn take(&self, bytes: u64) -> Result<(), Full> {
        let taken = |taken: u64| taken.checked_add(bytes).filter(|sum| *sum <= self.max_bytes);
        self.taken_bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, taken).map(drop).map_err(|_| Full)
    }

    fn take_anyway(&self, bytes: u64) {
        self.taken_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    fn give_back(&self, bytes: u64) {
        let before = self.taken_bytes.fetch_sub(bytes, Ordering::Relaxed);
        debug_assert!(before >= bytes, "only what was taken is given back");
    }
}

/// One shard's part of the pool. What it holds goes back when it is dropped.
#[derive(Debug)]
pub struct Lease {
    /// Shared with the leases of all shards.
    pool: Arc<MemoryPool>,
    /// What the pool has handed to this lease, in bytes; a multiple of a chunk.
    held_bytes: u64,
    /// What of it is reserved, in bytes. `0 <= used_bytes <= held_bytes < used_bytes + 2 chunks`
    used_bytes: u64,
}

impl Lease {
    /// A lease that holds nothing yet.
    pub const fn new(pool: Arc<MemoryPool>) -> Self {
        Self { pool, held_bytes: 0, used_bytes: 0 }
    }

    /// What is reserved.
    pub const fn used(&self) -> ByteCount {
        ByteCount::new(self.used_bytes)
    }

    /// Reserves `bytes` more, or changes nothing.
    pub fn reserve(&mut self, bytes: ByteCount) -> Result<(), Full> {
        if self.pool.is_full() {
            return Err(Full);
        }
        let used = self.used_bytes.checked_add(bytes.as_u64()).ok_or(Full)?;
        if let Some(missing) = self.missing(used)? {
            self.pool.take(missing)?;
            self.held_bytes += missing;
        }
        self.used_bytes = used;
        debug_assert!(self.is_balanced());
        Ok(())
    }

    /// Reserves `bytes` more even above the limit: for what is there already and cannot be refused.
    pub fn reserve_anyway(&mut self, bytes: ByteCount) {
        let used = self.used_bytes.saturating_add(bytes.as_u64());
        if let Ok(Some(missing)) = self.missing(used) {
            self.pool.take_anyway(missing);
            self.held_bytes += missing;
        }
        self.used_bytes = used.min(self.held_bytes);
        debug_assert!(self.is_balanced());
    }

    /// Gives up `bytes` of what was reserved. One free chunk at most is kept for later.
    pub fn release(&mut self, bytes: ByteCount) {
        debug_assert!(bytes.as_u64() <= self.used_bytes, "only what was reserved is released");
        self.used_bytes = self.used_bytes.saturating_sub(bytes.as_u64());
        // One chunk stays, or a session created and removed at a border would go to the pool each time.
        let free_chunks = (self.held_bytes - self.used_bytes) / LEASE_CHUNK_BYTES;
        if free_chunks > 1 {
            let surplus = (free_chunks - 1) * LEASE_CHUNK_BYTES;
            self.held_bytes -= surplus;
            self.pool.give_back(surplus);
        }
        debug_assert!(self.is_balanced());
    }

    /// Whole chunks that must be taken before `used` bytes are covered, in bytes.
    fn missing(&self, used: u64) -> Result<Option<u64>, Full> {
        let target = used.checked_next_multiple_of(LEASE_CHUNK_BYTES).ok_or(Full)?;
        Ok(target.checked_sub(self.held_bytes).filter(|missing| *missing > 0))
    }

    const fn is_balanced(&self) -> bool {
        self.used_bytes <= self.held_bytes
            && self.held_bytes - self.used_bytes < 2 * LEASE_CHUNK_BYTES
            && self.held_bytes.is_multiple_of(LEASE_CHUNK_BYTES)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.pool.give_back(self.held_bytes);
    }
}

/// The largest allocation that comes from a size class, in bytes.
const CLASS_MAX: usize = 512 * 1024;
/// What larger allocations are rounded up to, in bytes.
const SLICE: usize = 64 * 1024;

/// What an allocation of `len` bytes really takes, by mimalloc's size classes: one word,
/// then pairs of 8-byte words to 64 bytes, then four classes a doubling, then whole slices.
pub const fn usable_size(len: usize) -> usize {
    match len {
        0 => 0,
        1..=8 => 8,
        9..=64 => len.next_multiple_of(16),
        65..=CLASS_MAX => {
            let class_step = 1 << ((len - 1).ilog2() - 2);
            len.next_multiple_of(class_step)
        }
        _ => len.saturating_add(SLICE - 1) & !(SLICE - 1),
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    const MIB: u64 = LEASE_CHUNK_BYTES;

    fn pool_of(mib: u64) -> Arc<MemoryPool> {
        Arc::new(MemoryPool::new(ByteCount::from_mib(mib)))
    }

    fn bytes(bytes: u64) -> ByteCount {
        ByteCount::new(bytes)
    }

    #[test]
    fn usable_sizes_follow_the_allocators_classes() {
        let rows = [
            (0, 0),
            (1, 8),
            (8, 8),
            (9, 16),
            (17, 32),
            (24, 32),
            (33, 48),
            (64, 64),
            (65, 80),
            (80, 80),
            (81, 96),
            (128, 128),
            (129, 160),
            (1_024, 1_024),
            (1_025, 1_280),
            (1_040, 1_280),
            (73_728, 81_920),
            (81_920, 81_920),
            (262_145, 327_680),
            (524_288, 524_288),
            (524_289, 589_824),
            (1_048_576, 1_048_576),
            (1_048_577, 1_114_112),
        ];
        for (len, usable) in rows {
            assert_eq!(usable_size(len), usable, "{len}");
        }
    }

    #[test]
    fn usable_sizes_cover_the_length_and_never_shrink() {
        let mut before = 0;
        for len in 0..2_000_000 {
            let usable = usable_size(len);
            assert!(usable >= len && usable >= before, "{len}: {usable} after {before}");
            assert_eq!(usable_size(usable), usable, "{len}");
            before = usable;
        }
    }

    #[test]
    fn a_lease_takes_whole_chunks_and_keeps_one_spare() {
        let pool = pool_of(10);
        let mut lease = Lease::new(Arc::clone(&pool));
        lease.reserve(bytes(1)).unwrap();
        assert_eq!(pool.taken(), bytes(MIB));
        lease.reserve(bytes(3 * MIB)).unwrap();
        assert_eq!((pool.taken(), lease.used()), (bytes(4 * MIB), bytes(3 * MIB + 1)));
        lease.release(bytes(3 * MIB));
        assert_eq!(pool.taken(), bytes(2 * MIB));
        lease.release(bytes(1));
        assert_eq!((pool.taken(), lease.used()), (bytes(MIB), ByteCount::ZERO));
        drop(lease);
        assert_eq!(pool.taken(), ByteCount::ZERO);
    }

    #[test]
    fn what_does_not_fit_changes_nothing() {
        let pool = pool_of(2);
        let mut lease = Lease::new(Arc::clone(&pool));
        lease.reserve(bytes(MIB)).unwrap();
        for too_much in [MIB + 1, 5 * MIB, u64::MAX - MIB, u64::MAX] {
            assert_eq!(lease.reserve(bytes(too_much)), Err(Full));
            assert_eq!((pool.taken(), lease.used()), (bytes(MIB), bytes(MIB)), "{too_much}");
        }
        lease.reserve(bytes(MIB)).unwrap();
        assert_eq!(lease.reserve(bytes(1)), Err(Full));
    }

    #[test]
    fn a_process_at_its_limit_refuses_until_it_is_below_again() {
        let pool = pool_of(8);
        let mut lease = Lease::new(Arc::clone(&pool));
        lease.reserve(bytes(10)).unwrap();
        pool.set_full(true);
        assert_eq!(lease.reserve(bytes(1)), Err(Full));
        lease.release(bytes(5));
        pool.set_full(false);
        assert_eq!(lease.reserve(bytes(1)), Ok(()));
        assert_eq!(lease.used(), bytes(6));
    }

    #[test]
    fn what_cannot_be_refused_is_counted_above_the_limit() {
        let pool = pool_of(1);
        let mut lease = Lease::new(Arc::clone(&pool));
        lease.reserve_anyway(bytes(3 * MIB));
        assert_eq!((pool.taken(), lease.used()), (bytes(3 * MIB), bytes(3 * MIB)));
        assert_eq!(lease.reserve(bytes(1)), Err(Full));
        lease.release(bytes(3 * MIB));
        assert_eq!(pool.taken(), bytes(MIB));
    }

    #[test]
    fn one_lease_takes_nearly_all_while_the_others_idle() {
        let pool = pool_of(64);
        let idle: Vec<Lease> = (0..7)
            .map(|_| {
                let mut lease = Lease::new(Arc::clone(&pool));
                lease.reserve(bytes(100)).unwrap();
                lease
            })
            .collect();
        let mut greedy = Lease::new(Arc::clone(&pool));
        while greedy.reserve(bytes(1_000)).is_ok() {}
        assert!(greedy.used() > bytes(57 * MIB - 1_000), "{}", greedy.used());
        drop(idle);
        greedy.reserve(bytes(7 * MIB)).unwrap();
    }

    #[test]
    fn eight_shards_together_never_pass_the_limit() {
        let pool = pool_of(20);
        thread::scope(|scope| {
            for shard in 0..8_u64 {
                let pool = Arc::clone(&pool);
                scope.spawn(move || reserve_and_release(shard, pool));
            }
        });
        assert_eq!(pool.taken(), ByteCount::ZERO);
    }

    fn reserve_and_release(seed: u64, pool: Arc<MemoryPool>) {
        let mut lease = Lease::new(Arc::clone(&pool));
        let mut random = seed;
        let mut reserved = Vec::new();
        for _ in 0..20_000 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let wanted = bytes((random >> 33) % (2 * MIB));
            if (random >> 32) & 1 == 0 && lease.reserve(wanted).is_ok() {
                reserved.push(wanted);
            } else if let Some(bytes) = reserved.pop() {
                lease.release(bytes);
            }
            assert!(pool.taken() <= pool.max(), "seed {seed}");
        }
        assert_eq!(lease.used(), reserved.into_iter().sum(), "seed {seed}");
    }
}
