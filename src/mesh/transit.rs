//! The memory that bodies and answers take while they are on their way.
//!
//! One budget for the process, apart from what sessions may take: many large bodies at once
//! must neither crowd sessions out nor be crowded out by them. What is small travels free,
//! so that the counter, which all cores share, stays out of the common path.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::types::ByteCount;

/// What a connection may have in transit without being counted, in bytes.
pub(super) const FREE_BYTES_MAX: usize = 64 * 1024;

#[derive(Debug)]
struct Pool {
    max: u64,
    taken: AtomicU64,
}

/// The budget that all connections share.
#[derive(Clone, Debug)]
pub struct TransitPool(Arc<Pool>);

impl TransitPool {
    /// A budget of so many bytes.
    pub fn new(max: ByteCount) -> Self {
        Self(Arc::new(Pool { max: max.as_u64(), taken: AtomicU64::new(0) }))
    }

    /// What is taken at present.
    pub fn taken(&self) -> ByteCount {
        ByteCount::new(self.0.taken.load(Ordering::Relaxed))
    }
}

/// One connection's part of the budget. Given back when dropped.
#[derive(Debug)]
pub(super) struct Transit {
    pool: TransitPool,
    /// `held` bytes of the pool's `taken` are ours.
    held: u64,
}

impl Transit {
    pub(super) fn new(pool: TransitPool) -> Self {
        Self { pool, held: 0 }
    }

    /// Holds as much as `bytes` need, no more, no less. Says no where the pool has no room for
    /// more; what was held before stays held.
    pub(super) fn hold(&mut self, bytes: usize) -> bool {
        let wanted = if bytes <= FREE_BYTES_MAX { 0 } else { bytes as u64 };
        if wanted <= self.held {
            self.release(self.held - wanted);
            return true;
        }
        let more = wanted - self.held;
        let pool = &self.pool.0;
        let before = pool.taken.fetch_add(more, Ordering::Relaxed);
        if before.saturating_add(more) > pool.max {
            pool.taken.fetch_sub(more, Ordering::Relaxed);
            return false;
        }
        self.held = wanted;
        true
    }

    fn release(&mut self, bytes: u64) {
        if bytes > 0 {
            let before = self.pool.0.taken.fetch_sub(bytes, Ordering::Relaxed);
            debug_assert!(before >= bytes, "only what is held is given back");
            self.held -= bytes;
        }
    }
}

impl Drop for Transit {
    fn drop(&mut self) {
        self.release(self.held);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_things_travel_free() {
        let pool = TransitPool::new(ByteCount::ZERO);
        let mut transit = Transit::new(pool.clone());
        assert!(transit.hold(0) && transit.hold(FREE_BYTES_MAX));
        assert_eq!(pool.taken(), ByteCount::ZERO);
        assert!(!transit.hold(FREE_BYTES_MAX + 1));
    }

    #[test]
    fn what_is_held_follows_what_is_needed_and_ends_with_the_connection() {
        let pool = TransitPool::new(ByteCount::from_mib(1));
        let mut first = Transit::new(pool.clone());
        let mut second = Transit::new(pool.clone());
        assert!(first.hold(600_000) && first.hold(700_000));
        assert!(!second.hold(600_000));
        assert_eq!(pool.taken(), ByteCount::new(700_000));
        assert!(first.hold(100_000) && second.hold(600_000));
        assert_eq!(pool.taken(), ByteCount::new(700_000));
        drop(second);
        assert!(first.hold(0));
        assert_eq!(pool.taken(), ByteCount::ZERO);
    }
}
