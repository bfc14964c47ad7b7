//! The wheel against tables at its borders, and against a naive model.

use std::collections::BTreeMap;

use super::*;
use crate::store::tests::Random;

/// Entries that are nothing but a link and a deadline.
struct Entries {
    links: Vec<Link>,
    deadlines: Vec<Deadline>,
}

impl Links for Entries {
    fn link(&self, index: u32) -> Link {
        self.links[index as usize]
    }

    fn link_mut(&mut self, index: u32) -> &mut Link {
        &mut self.links[index as usize]
    }
}

/// A wheel with entries of its own, driven as a store drives it.
struct Driver {
    wheel: Wheel,
    entries: Entries,
    /// Entries handed out before they were due, which the store files again.
    refiled: usize,
}

impl Driver {
    fn new(start: Moment) -> Self {
        let entries = Entries { links: Vec::new(), deadlines: Vec::new() };
        Self { wheel: Wheel::new(start), entries, refiled: 0 }
    }

    fn file(&mut self, deadline: Deadline) -> u32 {
        let index = self.entries.links.len() as u32;
        self.entries.links.push(Link::UNFILED);
        self.entries.deadlines.push(deadline);
        self.wheel.file(&mut self.entries, index, deadline);
        index
    }

    fn unlink(&mut self, index: u32) {
        self.wheel.unlink(&mut self.entries, index);
    }

    /// Looks at one entry: `Some(Some(index))` if it was due, `Some(None)` if it was filed again.
    fn step(&mut self, now: Moment) -> Option<Option<u32>> {
        let index = self.wheel.next_fired(&mut self.entries, now)?;
        let deadline = self.entries.deadlines[index as usize];
        if deadline.is_due(now) {
            return Some(Some(index));
        }
        self.wheel.file(&mut self.entries, index, deadline);
        self.refiled += 1;
        Some(None)
    }

    fn due(&mut self, now: Moment) -> Vec<u32> {
        let mut due = Vec::new();
        while let Some(step) = self.step(now) {
            due.extend(step);
        }
        assert!(!self.wheel.has_fired(now));
        assert_eq!(self.wheel.lag(now), Millis::ZERO);
        due
    }

    fn assert_consistent(&self) {
        let filed =
            assert_consistent(&self.wheel, &self.entries, |index| self.entries.deadlines[index as usize]);
        assert_eq!(filed, self.entries.links.iter().filter(|link| link.is_filed()).count());
    }
}

/// Walks all slots: links agree with each other, heads with the bitmaps, and no entry lies
/// in a slot that fires after its deadline's tick. Returns how many entries there are.
pub(in crate::store) fn assert_consistent(
    wheel: &Wheel,
    links: &impl Links,
    deadline: impl Fn(u32) -> Deadline,
) -> usize {
    let mut count = 0;
    for slot in 0..SLOT_COUNT {
        let mut before = SLOT_FLAG | slot as u32;
        let mut index = wheel.heads[slot];
        if slot < LEVEL_SLOTS {
            assert_eq!(index != NONE, wheel.occupied[slot / 64] >> (slot % 64) & 1 == 1, "slot {slot}");
        }
        let tick = fires_at(wheel, slot);
        while index != NONE {
            let link = links.link(index);
            assert_eq!(link.prev, before, "entry {index} in slot {slot}");
            assert!(tick <= Tick::when_due(deadline(index)) || slot == FIRED, "entry {index} in slot {slot}");
            assert!(tick > wheel.current || slot == FIRED, "slot {slot} has fired");
            (before, index, count) = (index, link.next, count + 1);
        }
    }
    count
}

fn fires_at(wheel: &Wheel, slot: usize) -> Tick {
    let current = wheel.current.as_u64();
    match slot {
        FIRED => wheel.current,
        BEYOND => Tick::new(((current >> 32) + 1) << 32),
        0..256 => Tick::new((current >> 8 << 8) + slot as u64),
        _ => {
            let (level, number) = ((slot - 256) / 64, (slot % 64) as u64);
            let shift = 8 + 6 * level;
            Tick::new((current >> (shift + 6) << (shift + 6)) + (number << shift))
        }
    }
}

fn second(tick: u64) -> Moment {
    Moment::from_millis(tick * 1000)
}

const BORDERS: [u64; 21] = [
    1,
    2,
    63,
    64,
    255,
    256,
    257,
    511,
    512,
    16_383,
    16_384,
    16_385,
    32_768,
    1 << 20,
    (1 << 20) + 1,
    (1 << 26) - 1,
    1 << 26,
    315_360_000,
    (1 << 32) - 1,
    1 << 32,
    (1 << 34) + 12_345,
];

#[test]
fn an_entry_comes_at_its_tick_and_not_a_millisecond_before_at_every_border() {
    let starts =
        [0, 1, 254, 255, 256, 16_383, 16_384, (1 << 20) - 1, 1 << 20, (1 << 26) + 77, (1 << 32) - 1, 1 << 32];
    for start in starts {
        for span in BORDERS {
            let mut driver = Driver::new(second(start));
            let index = driver.file(Deadline::at(second(start + span)));
            driver.assert_consistent();
            assert_eq!(
                driver.due(Moment::from_millis((start + span) * 1000 - 1)),
                [0_u32; 0],
                "{start} + {span}"
            );
            driver.assert_consistent();
            assert_eq!(driver.due(second(start + span)), [index], "{start} + {span}");
            assert!(driver.refiled <= 6, "{start} + {span}: filed again {} times", driver.refiled);
        }
    }
}

#[test]
fn an_entry_comes_at_its_tick_when_every_second_is_a_turn() {
    for start in [0, 200, 16_300] {
        let mut driver = Driver::new(second(start));
        let spans = [1, 55, 56, 57, 84, 85, 255, 256, 257, 511, 512, 600];
        let indices: Vec<u32> =
            spans.iter().map(|span| driver.file(Deadline::at(second(start + span)))).collect();
        for tick in 0..700 {
            let due = driver.due(second(start + tick));
            let expected = spans.iter().position(|span| *span == tick).map(|place| indices[place]);
            assert_eq!(due, Vec::from_iter(expected), "{start} + {tick}");
        }
    }
}

#[test]
fn a_deadline_within_a_second_waits_for_the_seconds_end() {
    let mut driver = Driver::new(Moment::from_millis(5_300));
    let index = driver.file(Deadline::at(Moment::from_millis(6_300)));
    assert_eq!(driver.due(Moment::from_millis(6_999)), [0_u32; 0]);
    assert_eq!(driver.due(Moment::from_millis(7_000)), [index]);
}

#[test]
fn a_deadline_that_has_passed_comes_next() {
    let mut driver = Driver::new(second(1_000));
    let index = driver.file(Deadline::at(second(3)));
    assert!(driver.wheel.has_fired(second(1_000)));
    assert_eq!(driver.due(second(1_000)), [index]);
}

#[test]
fn a_jump_of_thirty_days_looks_at_entries_only() {
    let mut driver = Driver::new(second(100));
    for number in 0..1_000 {
        driver.file(Deadline::at(second(200 + number * 2_592)));
    }
    let late = driver.file(Deadline::at(second(315_360_000)));
    let month = second(30 * 86_400);
    let mut steps = 0;
    while driver.step(month).is_some() {
        steps += 1;
    }
    assert!(steps <= 1_005, "{steps} steps for 1,001 entries");
    driver.assert_consistent();
    assert_eq!(driver.due(second(315_360_000)), [late]);
}

#[test]
fn deadlines_past_the_range_are_kept_and_come_in_their_time() {
    let mut driver = Driver::new(second(7));
    let never = driver.file(Deadline::at(Moment::from_millis(u64::MAX)));
    let far = driver.file(Deadline::at(second((1 << 33) + 5)));
    assert_eq!(driver.due(second((1 << 33) + 4)), [0_u32; 0]);
    assert_eq!(driver.due(second((1 << 33) + 5)), [far]);
    driver.assert_consistent();
    assert_eq!(driver.due(Moment::from_millis(u64::MAX - 2_000)), [0_u32; 0]);
    assert!(driver.entries.links[never as usize].is_filed());
}

#[test]
fn an_entry_is_unlinked_from_anywhere_in_its_slot() {
    for victim in 0..5 {
        let mut driver = Driver::new(second(0));
        for _ in 0..5 {
            driver.file(Deadline::at(second(300)));
        }
        driver.unlink(victim);
        driver.assert_consistent();
        let mut due = driver.due(second(300));
        due.sort_unstable();
        assert_eq!(due, (0..5).filter(|index| *index != victim).collect::<Vec<_>>());
    }
}

#[test]
fn the_last_entry_unlinked_leaves_an_empty_slot() {
    let mut driver = Driver::new(second(0));
    for span in BORDERS {
        let index = driver.file(Deadline::at(second(span)));
        driver.unlink(index);
        driver.assert_consistent();
        assert!(!driver.wheel.has_fired(second(u64::MAX / 1000)), "{span}");
    }
}

#[test]
fn a_fired_slot_can_be_left_and_changed_half_way() {
    for victim in 0..10_u32 {
        let mut driver = Driver::new(second(0));
        for _ in 0..10 {
            driver.file(Deadline::at(second(9)));
        }
        let mut due: Vec<u32> = (0..4).filter_map(|_| driver.step(second(9)).flatten()).collect();
        assert_eq!(due.len(), 4);
        driver.assert_consistent();
        let was_waiting = driver.entries.link(victim).is_filed();
        if was_waiting {
            driver.unlink(victim);
        }
        driver.assert_consistent();
        let passed = driver.file(Deadline::at(second(8)));
        let later = driver.file(Deadline::at(second(10)));
        due.extend(driver.due(second(9)));
        assert_eq!(due.len(), 11 - usize::from(was_waiting));
        assert!(due.contains(&passed) && !due.contains(&later));
        assert_eq!(driver.due(second(10)), [later]);
    }
}

#[test]
fn a_clock_that_stands_or_goes_back_hands_nothing_out() {
    let mut driver = Driver::new(second(50));
    let index = driver.file(Deadline::at(second(60)));
    assert_eq!(driver.due(second(55)), [0_u32; 0]);
    assert_eq!(driver.wheel.next_fired(&mut driver.entries, second(40)), None);
    assert_eq!(driver.due(second(55)), [0_u32; 0]);
    assert_eq!(driver.due(second(60)), [index]);
}

#[test]
fn lag_is_the_age_of_the_oldest_slot_that_should_have_fired() {
    let mut driver = Driver::new(second(0));
    driver.file(Deadline::at(second(5)));
    driver.file(Deadline::at(second(5)));
    driver.file(Deadline::at(second(8)));
    assert_eq!(driver.wheel.lag(Moment::from_millis(4_999)), Millis::ZERO);
    assert_eq!(driver.wheel.lag(Moment::from_millis(9_250)), Millis::new(4_250));
    driver.step(second(9));
    assert_eq!(driver.wheel.lag(second(9)), Millis::from_secs(4), "half drained");
    driver.step(second(9));
    assert_eq!(driver.wheel.lag(second(9)), Millis::from_secs(1));
}

#[test]
fn the_wheel_and_a_sorted_list_agree() {
    for seed in 0..200 {
        agree_with_a_sorted_list(seed);
    }
}

fn agree_with_a_sorted_list(seed: u64) {
    let mut random = Random(seed);
    let mut now = random.of_any_size(42);
    let mut driver = Driver::new(Moment::from_millis(now));
    let mut filed: BTreeMap<u32, u64> = BTreeMap::new();
    for _ in 0..1_000 {
        match random.below(10) {
            0..6 => {
                let due = (now + random.of_any_size(44)).saturating_sub(2_000);
                filed.insert(driver.file(Deadline::at(Moment::from_millis(due))), due);
            }
            6 => {
                let skip = random.below(filed.len() as u64 + 1) as usize;
                if let Some(index) = filed.keys().nth(skip).copied() {
                    driver.unlink(index);
                    filed.remove(&index);
                }
            }
            7 => now += random.of_any_size(38),
            _ => {
                let moment = Moment::from_millis(now);
                let budget = random.below(30);
                for _ in 0..budget {
                    let Some(step) = driver.step(moment) else { break };
                    if let Some(index) = step {
                        let due = filed.remove(&index);
                        assert!(due.is_some_and(|due| due <= now), "seed {seed}: {due:?} at {now}");
                    }
                }
                if !driver.wheel.has_fired(moment) {
                    let overdue = filed.values().find(|due| due.div_ceil(1000) <= now / 1000);
                    assert_eq!(overdue, None, "seed {seed} at {now}");
                }
            }
        }
    }
    driver.assert_consistent();
    assert_eq!(
        driver.entries.links.iter().filter(|link| link.is_filed()).count(),
        filed.len(),
        "seed {seed}"
    );
}
