//! A hierarchical timer wheel: which entries may be due, found without looking at the others.
//!
//! Entries are numbers; the links between those in one slot live with the entries, behind
//! [`Links`], so filing and unlinking are O(1) and nothing stale ever remains. The wheel
//! keeps no deadlines: whoever takes an entry out of a fired slot judges it and files it
//! again if its deadline has moved on. It never fires a slot before its tick, and passes
//! over empty slots by bitmap, however far the clock has jumped.
//!
//! ```text
//!   level 0 ▕ 256 slots of 1 s       ▏ the current 4 min 16 s
//!   level 1 ▕ 64 slots of 256 s      ▏ the current 4.5 h     An entry is filed on the level of the
//!   level 2 ▕ 64 slots of 4.5 h      ▏ the current 12 d      highest bit in which its tick differs
//!   level 3 ▕ 64 slots of 12 d       ▏ the current 2.1 y     from the current one, so slots of a
//!   level 4 ▕ 64 slots of 2.1 y      ▏ the current 136 y     lower level always fire earlier.
//!   beyond  ▕ 1 slot                 ▏ looked at when those 136 y are over
//! ```

use crate::types::{Deadline, Millis, Moment, Tick};

/// Ticks in one slot of each level, as a power of two.
const SHIFTS: [u32; 5] = [0, 8, 14, 20, 26];
/// Bits of a tick that the levels together tell apart.
const RANGE_BITS: u32 = 32;
/// The first slot of each level.
const FIRST_SLOTS: [usize; 5] = [0, 256, 320, 384, 448];
/// Slots of all levels.
const LEVEL_SLOTS: usize = 512;
/// The slot of entries past the range.
const BEYOND: usize = LEVEL_SLOTS;
/// The slot whose tick has come: its entries are handed out one by one.
const FIRED: usize = LEVEL_SLOTS + 1;
const SLOT_COUNT: usize = LEVEL_SLOTS + 2;

/// No entry: the end of a slot, or a link that is not in one.
const NONE: u32 = u32::MAX;
/// Marks a `prev` that names a slot: its entry is the slot's first.
const SLOT_FLAG: u32 = 1 << 31;

const _: () = assert!(FIRST_SLOTS[4] + (1 << (RANGE_BITS - SHIFTS[4])) == LEVEL_SLOTS);
const _: () = assert!(LEVEL_SLOTS.is_multiple_of(64) && SLOT_COUNT < SLOT_FLAG as usize);

/// An entry's place in a slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Link {
    /// The entry before it, or its slot with [`SLOT_FLAG`] if it is the first; [`NONE`] if unfiled.
    prev: u32,
    /// The entry behind it, or [`NONE`].
    next: u32,
}

impl Link {
    /// The link of an entry that is in no slot.
    pub const UNFILED: Self = Self { prev: NONE, next: NONE };

    /// Whether the entry is in a slot.
    pub const fn is_filed(self) -> bool {
        self.prev != NONE
    }
}

/// Where the links of entries live. Entries are numbered below 2^31.
pub trait Links {
    /// The link of the entry `index`, which exists.
    fn link(&self, index: u32) -> Link;
    /// The link of the entry `index`, which exists, to be changed.
    fn link_mut(&mut self, index: u32) -> &mut Link;
}

/// The wheel. A driver calls [`Wheel::next_fired`] until it returns nothing, and judges and
/// files again or drops each entry that it gets.
pub struct Wheel {
    /// All slots up to this tick have fired.
    current: Tick,
    /// The first entry of each slot, or [`NONE`].
    heads: Box<[u32; SLOT_COUNT]>,
    /// Bit `slot % 64` of word `slot / 64` is set exactly if the level's slot has entries.
    occupied: [u64; LEVEL_SLOTS / 64],
}

impl Wheel {
    /// What the wheel takes outside of itself, in bytes.
    pub const HEAP_BYTES: usize = SLOT_COUNT * size_of::<u32>();

    /// An empty wheel that has reached `start`.
    pub fn new(start: Moment) -> Self {
        let heads = Box::new([NONE; SLOT_COUNT]);
        Self { current: Tick::reached_at(start), heads, occupied: [0; LEVEL_SLOTS / 64] }
    }

    /// Files the entry `index`, which is in no slot, to be handed out at its deadline's tick.
    /// A deadline whose tick has passed is handed out next.
    pub fn file(&mut self, links: &mut impl Links, index: u32, deadline: Deadline) {
        debug_assert!(!links.link(index).is_filed(), "an entry is in one slot at most");
        debug_assert!(index < SLOT_FLAG);
        let slot = slot_of(self.current, Tick::when_due(deadline));
        let next = self.heads[slot];
        *links.link_mut(index) = Link { prev: SLOT_FLAG | slot as u32, next };
        if next != NONE {
            links.link_mut(next).prev = index;
        }
        self.set_head(slot, index);
    }

    /// Takes the entry `index` out of its slot, whichever that is.
    pub fn unlink(&mut self, links: &mut impl Links, index: u32) {
        let Link { prev, next } = links.link(index);
        if prev == NONE {
            debug_assert!(false, "only a filed entry is unlinked");
            return;
        }
        *links.link_mut(index) = Link::UNFILED;
        if next != NONE {
            links.link_mut(next).prev = prev;
        }
        if prev & SLOT_FLAG == 0 {
            links.link_mut(prev).next = next;
        } else {
            self.set_head((prev & !SLOT_FLAG) as usize, next);
        }
    }

    /// What [`Wheel::next_fired`] hands out next, in its order, of the slot that has fired.
    pub fn fired_ahead(&self, links: &impl Links) -> impl Iterator<Item = u32> {
        let some = |index: u32| (index != NONE).then_some(index);
        std::iter::successors(some(self.heads[FIRED]), move |index| some(links.link(*index).next))
    }

    /// Takes out an entry whose slot's tick is at or before `now`, if there is one. It may
    /// have been filed there for a later deadline. A bounded step: at most one slot fires.
    pub fn next_fired(&mut self, links: &mut impl Links, now: Moment) -> Option<u32> {
        let reached = Tick::reached_at(now);
        // A clock behind the wheel's finds nothing due that the wheel would hand out again.
        if reached < self.current {
            return None;
        }
        if self.heads[FIRED] == NONE {
            match self.next_occupied().filter(|(_, tick)| *tick <= reached) {
                Some((slot, tick)) => self.fire(links, slot, tick),
                // Nothing lies between: all empty slots are passed over at once.
                None => {
                    self.current = reached;
                    return None;
                }
            }
        }
        let index = self.heads[FIRED];
        self.unlink(links, index);
        Some(index)
    }

    /// Whether [`Wheel::next_fired`] would return an entry.
    pub fn has_fired(&self, now: Moment) -> bool {
        self.next_tick().is_some_and(|tick| tick <= Tick::reached_at(now))
    }

    /// How long the oldest slot that should have fired has been waiting.
    pub fn lag(&self, now: Moment) -> Millis {
        match self.next_tick() {
            Some(tick) => now.since(Moment::from_millis(tick.as_u64().saturating_mul(1000))),
            None => Millis::ZERO,
        }
    }

    /// The tick of the first slot that has entries.
    fn next_tick(&self) -> Option<Tick> {
        if self.heads[FIRED] != NONE {
            return Some(self.current);
        }
        self.next_occupied().map(|(_, tick)| tick)
    }

    /// The first slot that has entries, and the tick at which it fires. Slots count from the
    /// lowest level up and none lies behind the current tick, so the first is the earliest.
    fn next_occupied(&self) -> Option<(usize, Tick)> {
        let Some(word) = self.occupied.iter().position(|word| *word != 0) else {
            let is_beyond = self.heads[BEYOND] != NONE;
            return is_beyond.then(|| (BEYOND, tick_of(self.current, 1, RANGE_BITS, RANGE_BITS)));
        };
        let slot = word * 64 + self.occupied[word].trailing_zeros() as usize;
        let level = FIRST_SLOTS.partition_point(|first| *first <= slot) - 1;
        let above = SHIFTS.get(level + 1).copied().unwrap_or(RANGE_BITS);
        let number = (slot - FIRST_SLOTS[level]) as u64;
        Some((slot, tick_of(self.current, number, SHIFTS[level], above)))
    }

    /// Moves to `tick` and makes the entries of `slot` the fired ones, without looking at them.
    fn fire(&mut self, links: &mut impl Links, slot: usize, tick: Tick) {
        debug_assert!(tick > self.current, "slots fire in order");
        debug_assert_eq!(self.heads[FIRED], NONE, "one slot fires at a time");
        // Only the first entry names its slot, so a slot of any length moves in one step.
        self.current = tick;
        let first = self.heads[slot];
        links.link_mut(first).prev = SLOT_FLAG | FIRED as u32;
        self.set_head(slot, NONE);
        self.set_head(FIRED, first);
    }

    fn set_head(&mut self, slot: usize, index: u32) {
        self.heads[slot] = index;
        if let Some(word) = self.occupied.get_mut(slot / 64) {
            let bit = 1 << (slot % 64);
            *word = if index == NONE { *word & !bit } else { *word | bit };
        }
    }
}

/// The slot of an entry that is due at `due`.
const fn slot_of(current: Tick, due: Tick) -> usize {
    let (current, due) = (current.as_u64(), due.as_u64());
    if due <= current {
        return FIRED;
    }
    let level = match (current ^ due).ilog2() {
        0..8 => 0,
        8..14 => 1,
        14..20 => 2,
        20..26 => 3,
        26..RANGE_BITS => 4,
        _ => return BEYOND,
    };
    let slot_mask = if level == 0 { 255 } else { 63 };
    FIRST_SLOTS[level] + ((due >> SHIFTS[level]) & slot_mask) as usize
}

/// The tick with `current`'s bits from `above` up and `number` from `shift` up. With both
/// the same it is the `number`-th of these spans after the current one.
const fn tick_of(current: Tick, number: u64, shift: u32, above: u32) -> Tick {
    let span = current.as_u64() >> above << above;
    Tick::new(span + (number << shift))
}

#[cfg(test)]
pub(super) mod tests;
