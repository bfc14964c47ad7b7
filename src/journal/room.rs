//! Room in the log, reserved before anything changes.
//!
//! All cores take from one counter of bytes ever granted; the journal's thread moves the
//! limits that it is compared with, as segments are prepared and records become durable. So
//! what was applied always finds its place, and a refusal leaves everything as it was.
//! Nobody waits here.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::log::RoomLimits;
use crate::types::ByteCount;

/// What a record is needed for, which says how far it may go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Need {
    /// The data grows: created and changed sessions, new buckets and keys.
    Ordinary,
    /// It must get through on a full disk too: DELETE, lost keys, touches, expiry.
    Reserve,
    /// A copy made in cleaning, which is what makes room again: from the reserve too, but
    /// never so many at once that those who wait for an answer find the backlog full.
    Copy,
}

/// The refusal for lack of room: nothing has changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NoRoom {
    /// The disk has none. It is made by cleaning, or by whoever frees the disk.
    Disk,
    /// Too much waits to become durable, or the next segment is not ready yet: in a moment there
    /// is room again.
    Backlog,
    /// Nothing becomes durable any more, for ever.
    Failed,
}

/// The room of one log. Alone on its cache lines, which every core writes.
#[derive(Debug)]
#[repr(align(128))]
pub struct Room {
    /// Bytes ever reserved and not given back.
    granted_bytes: AtomicU64,
    limits: Limits,
}

/// What [`Room::set`] was given last.
#[derive(Default, Debug)]
#[repr(align(128))]
struct Limits {
    ordinary: AtomicU64,
    reserve: AtomicU64,
    backlog: AtomicU64,
    copies: AtomicU64,
    is_disk_full: AtomicBool,
}

impl Room {
    /// Room up to these limits.
    pub fn new(limits: RoomLimits) -> Self {
        let room = Self { granted_bytes: AtomicU64::new(0), limits: Limits::default() };
        room.set(limits);
        room
    }

    // Relaxed throughout: the counter guards no other memory, and a limit that comes a little
    // late was right a little earlier.

    /// Moves the limits. What was granted above them stays granted.
    pub fn set(&self, limits: RoomLimits) {
        self.limits.ordinary.store(limits.ordinary, Ordering::Relaxed);
        self.limits.reserve.store(limits.reserve, Ordering::Relaxed);
        self.limits.backlog.store(limits.backlog, Ordering::Relaxed);
        self.limits.copies.store(limits.copies, Ordering::Relaxed);
        self.limits.is_disk_full.store(limits.is_disk_full, Ordering::Relaxed);
    }

    /// Reserves room for `bytes` of records, or changes nothing.
    pub fn take(&self, need: Need, bytes: ByteCount) -> Result<(), NoRoom> {
        let disk = match need {
            Need::Ordinary => self.limits.ordinary.load(Ordering::Relaxed),
            Need::Reserve | Need::Copy => self.limits.reserve.load(Ordering::Relaxed),
        };
        let backlog = match need {
            Need::Ordinary | Need::Reserve => self.limits.backlog.load(Ordering::Relaxed),
            Need::Copy => self.limits.copies.load(Ordering::Relaxed),
        };
        let limit = disk.min(backlog);
        let grant = |granted: u64| granted.checked_add(bytes.as_u64()).filter(|sum| *sum <= limit);
        let is_disk_full = disk <= backlog && self.limits.is_disk_full.load(Ordering::Relaxed);
        let refusal = if is_disk_full { NoRoom::Disk } else { NoRoom::Backlog };
        self.granted_bytes
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, grant)
            .map(drop)
            .map_err(|_| refusal)
    }

    /// Reserves room for what can be refused no more, above the limits if need be.
    pub fn take_anyway(&self, bytes: ByteCount) {
        self.granted_bytes.fetch_add(bytes.as_u64(), Ordering::Relaxed);
    }

    /// Gives back what was reserved and not used.
    pub fn give_back(&self, bytes: ByteCount) {
        let before = self.granted_bytes.fetch_sub(bytes.as_u64(), Ordering::Relaxed);
        debug_assert!(before >= bytes.as_u64(), "only what was reserved is given back");
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    fn room(ordinary: u64, reserve: u64, backlog: u64) -> Room {
        Room::new(RoomLimits { ordinary, reserve, backlog, copies: backlog / 2, is_disk_full: true })
    }

    fn bytes(bytes: u64) -> ByteCount {
        ByteCount::new(bytes)
    }

    #[test]
    fn what_does_not_fit_is_refused_with_its_reason_and_changes_nothing() {
        let room = room(100, 200, 150);
        room.take(Need::Ordinary, bytes(90)).unwrap();
        for too_much in [11, 1_000, u64::MAX] {
            assert_eq!(room.take(Need::Ordinary, bytes(too_much)), Err(NoRoom::Disk), "{too_much}");
        }
        assert_eq!(room.take(Need::Reserve, bytes(61)), Err(NoRoom::Backlog));
        assert_eq!(room.take(Need::Copy, bytes(1)), Err(NoRoom::Backlog), "copies leave half to others");
        room.take(Need::Reserve, bytes(60)).unwrap();
        assert_eq!(room.take(Need::Reserve, bytes(1)), Err(NoRoom::Backlog));
    }

    #[test]
    fn room_comes_back_as_the_limits_move_and_what_was_not_used_returns() {
        let room = room(100, 100, 100);
        room.take(Need::Ordinary, bytes(100)).unwrap();
        room.give_back(bytes(40));
        room.take(Need::Ordinary, bytes(40)).unwrap();
        let limits = RoomLimits { ordinary: 130, reserve: 130, backlog: 130, ..RoomLimits::default() };
        room.set(limits);
        room.take(Need::Ordinary, bytes(30)).unwrap();
        assert_eq!(room.take(Need::Ordinary, bytes(1)), Err(NoRoom::Backlog), "a segment is being made");
        room.set(RoomLimits { is_disk_full: true, ..limits });
        assert_eq!(room.take(Need::Ordinary, bytes(1)), Err(NoRoom::Disk));
        room.set(RoomLimits::default());
        assert!(room.take(Need::Reserve, bytes(1)).is_err(), "a poisoned log takes nothing");
    }

    #[test]
    fn cores_together_never_pass_a_limit() {
        let room = room(10_000, 20_000, 50_000);
        let granted: u64 = thread::scope(|scope| {
            let take_all = || {
                let taken = (0..5_000).filter(|_| room.take(Need::Ordinary, bytes(7)).is_ok());
                7 * taken.count() as u64
            };
            let cores: Vec<_> = (0..4).map(|_| scope.spawn(take_all)).collect();
            cores.into_iter().map(|core| core.join().unwrap()).sum()
        });
        assert_eq!(granted, 10_000 / 7 * 7);
    }
}
