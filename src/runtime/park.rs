//! The flag by which a core says that it is about to sleep.
//!
//! ```text
//! sleeper: announce (store true, fence), look at the lanes, sleep    — or withdraw and go on
//! ringer:  publish in a lane, should_ring (fence, look, clear), ring the doorbell
//! ```
//! Both sides write before the fence and read behind it, so at least one of them sees the
//! other: an item is found before the sleep, or its ringer finds the flag. Release and
//! Acquire alone lose wake-ups, on x86 too. `tests/loom_park.rs` checks this very file.
//! Nothing here sleeps or rings.

use super::sync::{AtomicBool, Ordering, fence};

/// Whether a core sleeps or is about to. Alone on its pair of cache lines: the core writes
/// it, and every peer that posts reads it.
#[derive(Debug)]
#[repr(align(128))]
pub struct ParkFlag {
    /// Set by the sleeper alone; cleared by it or by the one ringer that wakes it.
    parked: AtomicBool,
}

impl ParkFlag {
    /// The flag of a core that is awake.
    pub fn awake() -> Self {
        Self { parked: AtomicBool::new(false) }
    }

    /// Sleeper: says that it will sleep. The lanes must be looked at once more after this.
    pub fn announce(&self) {
        self.parked.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// Sleeper: awake after all. A ringer that was faster costs one spurious turn.
    pub fn withdraw(&self) {
        self.parked.store(false, Ordering::Relaxed);
    }

    /// Ringer: whether the doorbell must be rung for what was published before this call.
    /// True for exactly one ringer an announcement.
    pub fn should_ring(&self) -> bool {
        fence(Ordering::SeqCst);
        self.parked.load(Ordering::Relaxed) && self.take()
    }

    /// Clears the flag; true for the one that did. A ringer that comes too late writes
    /// nothing, and leaves the cache lines to their owner.
    fn take(&self) -> bool {
        self.parked.compare_exchange(true, false, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }
}
