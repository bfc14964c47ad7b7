//! What the log says of itself: what may be reserved, and how it stands.
//!
//! Published by the driver after each step, for the cores to reserve room by and for the
//! operator to read. Nothing in here changes anything.

use super::*;

impl<S: Storage> Log<S> {
    /// What may be reserved.
    pub fn room(&self) -> RoomLimits {
        if self.health != Health::Good {
            return RoomLimits { is_disk_full: self.is_full(), ..RoomLimits::default() };
        }
        let spare = |segment: &Segment<S::File>| segment.len.saturating_sub(place::SEGMENT_OVERHEAD);
        let rest = self.current.rest().saturating_sub(place::MARKS_LEN_MAX);
        let ordinary_spares = self.spares.len().saturating_sub(RESERVE_SEGMENTS);
        let ordinary: u64 = self.spares.iter().take(ordinary_spares).map(spare).sum();
        let reserve: u64 = self.spares.iter().skip(ordinary_spares).map(spare).sum();
        // Without its reserve whole the log gives up nothing that it could clean with.
        let missing = (RESERVE_SEGMENTS - self.spares.len().min(RESERVE_SEGMENTS)) as u64 * self.segment_len;
        let to_copy = (rest + ordinary + reserve).saturating_sub(self.room_for_removals());
        // The longest copy must fit beside what the next sync leaves, or cleaning would wait for ever.
        let copies = BACKLOG_COPIES.as_u64().max(self.record_len_max + BACKLOG_SYNC.as_u64());
        RoomLimits {
            ordinary: self.placed_bytes + (rest + ordinary).saturating_sub(missing),
            reserve: self.placed_bytes + rest + ordinary + reserve,
            backlog: self.synced_bytes + BACKLOG_MAX.as_u64(),
            copies: (self.synced_bytes + copies).min(self.placed_bytes + to_copy),
            is_disk_full: self.is_short,
        }
    }

    /// What copies leave of the reserve: a full disk takes removals while it is cleaned.
    pub(super) const fn room_for_removals(&self) -> u64 {
        self.segment_len / 8
    }

    /// What all segments take that hold records, in bytes; those to be unlinked are left out.
    pub fn occupied(&self) -> ByteCount {
        self.older.iter().map(|segment| segment.len).sum::<ByteCount>() + ByteCount::new(self.current.len)
    }

    /// What is kept in memory until it is synced, or until there is room to write it.
    pub fn backlog(&self) -> ByteCount {
        let queued: u64 = self.queue.iter().map(Part::len).sum();
        ByteCount::new(self.kept_bytes + queued)
    }

    /// Since when the oldest record has been waiting that no sync has covered.
    pub fn unsynced_since(&self) -> Option<Moment> {
        self.syncing_since.or(self.dirty_since)
    }

    /// How many segments hold records or wait to be removed.
    pub fn segments(&self) -> usize {
        self.older.len() + 1 + self.condemned.len()
    }

    /// Whether a cleaning has begun and not come to its end.
    pub const fn is_cleaning(&self) -> bool {
        !matches!(self.cleaning, Cleaning::Idle)
    }

    /// How many cleanings have come to their end.
    pub const fn cleanings(&self) -> u64 {
        self.cleanings
    }
}
