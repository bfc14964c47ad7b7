//! A slab: places for values, found by a small number that stays theirs.
//!
//! Places come in chunks of 256, so growth never copies a value and stalls no turn. A
//! new value goes into the first chunk in use that has room, which lets later chunks run
//! empty; an empty chunk is given back to the allocator, except for one spare. It counts
//! its own memory and never allocates more than it announced.
//!
//! ```text
//!   index = chunk · 256 + place      chunk 0 [████████]  chunk 1 [██·█··██]  chunk 2 (given back)
//! ```

use super::budget::usable_size;
use crate::types::ByteCount;

/// Places in a chunk. Of a session's entries that is 20 KiB, of which the allocator gets 25 out of the
/// 512 KiB that it asks the system for; of four times as much six, which wastes 6 %.
const CHUNK_LEN: usize = 256;
/// The most places of one slab: a bit of an index stays free for those who link by it.
const PLACES_MAX: usize = 1 << 31;
/// The end of a chunk's list of vacant places.
const NO_PLACE: u16 = u16::MAX;

const _: () = assert!(CHUNK_LEN < NO_PLACE as usize);
const _: () = assert!(PLACES_MAX.is_multiple_of(CHUNK_LEN));

/// Values under numbers below 2^31.
pub(super) struct Slab<T> {
    /// By chunk number. A chunk that was given back keeps its number, with no places.
    chunks: Vec<Chunk<T>>,
    /// Chunks in use that have a vacant place; never the spare.
    with_room: NumberSet,
    /// Chunks that were given back.
    absent: NumberSet,
    /// An empty chunk that was kept.
    spare: Option<usize>,
    /// Values in all chunks.
    len: usize,
}

/// What [`Slab::pass`] comes to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Passed {
    /// The value of this number.
    Value(u32),
    /// The budget is used up.
    Pause,
    /// No value is left.
    End,
}

impl<T> Slab<T> {
    /// What one chunk takes: its places, and its part of the list of chunks, which grows by doubling.
    const CHUNK_BYTES: usize = usable_size(CHUNK_LEN * size_of::<Place<T>>()) + 2 * size_of::<Chunk<T>>();

    pub(super) const fn new() -> Self {
        Self {
            chunks: Vec::new(),
            with_room: NumberSet::new(),
            absent: NumberSet::new(),
            spare: None,
            len: 0,
        }
    }

    /// Values held.
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// What the slab takes.
    pub(super) fn bytes(&self) -> ByteCount {
        ByteCount::of_len((self.chunks.len() - self.absent.len) * Self::CHUNK_BYTES)
    }

    /// What the next [`Slab::insert`] will add to [`Slab::bytes`]; more than there is when
    /// no number is left.
    pub(super) fn growth(&self) -> ByteCount {
        let has_room = self.with_room.len > 0 || self.spare.is_some();
        let has_numbers = self.absent.len > 0 || self.chunks.len() < PLACES_MAX / CHUNK_LEN;
        match (has_room, has_numbers) {
            (true, _) => ByteCount::ZERO,
            (false, true) => ByteCount::of_len(Self::CHUNK_BYTES),
            (false, false) => ByteCount::new(u64::MAX),
        }
    }

    /// Puts `value` into a vacant place and returns its number.
    pub(super) fn insert(&mut self, value: T) -> u32 {
        let number = self.chunk_with_room();
        let chunk = &mut self.chunks[number];
        let place = chunk.insert(value);
        if chunk.is_full() {
            self.with_room.remove(number);
        }
        self.len += 1;
        debug_assert!(number < PLACES_MAX / CHUNK_LEN, "growth() said that no number is left");
        (number * CHUNK_LEN + place) as u32
    }

    /// The value under `index`, if there is one.
    pub(super) fn get(&self, index: u32) -> Option<&T> {
        match self.chunks.get(chunk_of(index))?.places.get(place_of(index))? {
            Place::Live(value) => Some(value),
            Place::Vacant { .. } => None,
        }
    }

    /// The value under `index`, if there is one, to be changed.
    pub(super) fn get_mut(&mut self, index: u32) -> Option<&mut T> {
        match self.chunks.get_mut(chunk_of(index))?.places.get_mut(place_of(index))? {
            Place::Live(value) => Some(value),
            Place::Vacant { .. } => None,
        }
    }

    /// Takes the value under `index` out, if there is one.
    pub(super) fn remove(&mut self, index: u32) -> Option<T> {
        let number = chunk_of(index);
        let chunk = self.chunks.get_mut(number)?;
        let value = chunk.remove(place_of(index))?;
        let is_empty = chunk.len == 0;
        self.len -= 1;
        self.with_room.insert(number);
        if is_empty {
            self.retire(number);
        }
        Some(value)
    }

    /// Goes on from place `next` to the first value there or behind. Looks at no more than
    /// `budget` places, which it takes off; chunks without values are passed over at once.
    pub(super) fn pass(&self, next: &mut u32, budget: &mut usize) -> Passed {
        while let Some(chunk) = self.chunks.get(chunk_of(*next)) {
            let place = place_of(*next);
            if chunk.len == 0 || place >= chunk.places.len() {
                *next = ((chunk_of(*next) + 1) * CHUNK_LEN) as u32;
                continue;
            }
            if *budget == 0 {
                return Passed::Pause;
            }
            *budget -= 1;
            *next += 1;
            if matches!(chunk.places[place], Place::Live(_)) {
                return Passed::Value(*next - 1);
            }
        }
        Passed::End
    }

    fn chunk_with_room(&mut self) -> usize {
        // The first, not the latest: live values gather in front and chunks behind run empty.
        if let Some(number) = self.with_room.first() {
            return number;
        }
        let number = self.spare.take().unwrap_or_else(|| self.grow());
        self.with_room.insert(number);
        number
    }

    fn grow(&mut self) -> usize {
        let number = self.absent.first().unwrap_or(self.chunks.len());
        if number == self.chunks.len() {
            // Copies 32 bytes for each 256 values when it doubles: 125 KB at a million.
            self.chunks.push(Chunk::absent());
        }
        self.absent.remove(number);
        // Reserved and not filled: memory is first touched when a place is first used.
        self.chunks[number].places.reserve_exact(CHUNK_LEN);
        number
    }

    /// Keeps the empty chunk as the spare, or gives it back where there is one.
    fn retire(&mut self, number: usize) {
        debug_assert_eq!(self.chunks[number].len, 0);
        self.with_room.remove(number);
        if self.spare.is_none() {
            self.spare = Some(number);
        } else {
            self.chunks[number] = Chunk::absent();
            self.absent.insert(number);
        }
    }
}

const fn chunk_of(index: u32) -> usize {
    index as usize / CHUNK_LEN
}

const fn place_of(index: u32) -> usize {
    index as usize % CHUNK_LEN
}

enum Place<T> {
    Live(T),
    /// `next`: another vacant place of the same chunk, or [`NO_PLACE`].
    Vacant {
        next: u16,
    },
}

struct Chunk<T> {
    /// `places.len() <= CHUNK_LEN`; places behind it were never used and cost no memory yet.
    places: Vec<Place<T>>,
    /// The head of the list of vacant places.
    first_vacant: u16,
    /// Live places. `0 <= len <= places.len()`
    len: u16,
}

impl<T> Chunk<T> {
    const fn absent() -> Self {
        Self { places: Vec::new(), first_vacant: NO_PLACE, len: 0 }
    }

    const fn is_full(&self) -> bool {
        self.len as usize == CHUNK_LEN
    }

    fn insert(&mut self, value: T) -> usize {
        debug_assert!(!self.is_full());
        self.len += 1;
        let place = usize::from(self.first_vacant);
        let Some(Place::Vacant { next }) = self.places.get(place) else {
            debug_assert_eq!(self.first_vacant, NO_PLACE, "the list holds vacant places only");
            self.places.push(Place::Live(value));
            return self.places.len() - 1;
        };
        self.first_vacant = *next;
        self.places[place] = Place::Live(value);
        place
    }

    fn remove(&mut self, place: usize) -> Option<T> {
        let found = self.places.get_mut(place).filter(|found| matches!(found, Place::Live(_)))?;
        let Place::Live(value) = std::mem::replace(found, Place::Vacant { next: self.first_vacant }) else {
            return None;
        };
        self.first_vacant = place as u16;
        self.len -= 1;
        Some(value)
    }
}

/// A set of chunk numbers that knows its lowest.
struct NumberSet {
    /// Bit `n % 64` of word `n / 64` says whether `n` is in it.
    words: Vec<u64>,
    /// All words before this one are 0.
    first_word: usize,
    /// Numbers in it.
    len: usize,
}

impl NumberSet {
    const fn new() -> Self {
        Self { words: Vec::new(), first_word: 0, len: 0 }
    }

    fn insert(&mut self, number: usize) {
        let (word, bit) = (number / 64, 1 << (number % 64));
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        self.len += usize::from(self.words[word] & bit == 0);
        self.words[word] |= bit;
        self.first_word = self.first_word.min(word);
    }

    fn remove(&mut self, number: usize) {
        let (word, bit) = (number / 64, 1 << (number % 64));
        if let Some(word) = self.words.get_mut(word) {
            self.len -= usize::from(*word & bit != 0);
            *word &= !bit;
        }
    }

    fn first(&mut self) -> Option<usize> {
        if self.len == 0 {
            return None;
        }
        while self.words[self.first_word] == 0 {
            self.first_word += 1;
        }
        Some(self.first_word * 64 + self.words[self.first_word].trailing_zeros() as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(len: u32) -> Slab<u64> {
        let mut slab = Slab::new();
        for index in 0..len {
            assert_eq!(slab.insert(u64::from(index)), index);
        }
        slab
    }

    #[test]
    fn a_value_keeps_its_number_while_the_slab_grows() {
        let slab = filled(5_000);
        assert_eq!(slab.len(), 5_000);
        for index in 0..5_000 {
            assert_eq!(slab.get(index), Some(&u64::from(index)));
        }
        assert_eq!(slab.get(5_000), None);
        assert_eq!(slab.get(u32::MAX), None);
    }

    #[test]
    fn growth_is_announced_to_the_byte() {
        let mut slab = Slab::new();
        for value in 0..2 * CHUNK_LEN as u64 + 1 {
            let expected = slab.bytes() + slab.growth();
            slab.insert(value);
            assert_eq!(slab.bytes(), expected, "{value}");
        }
        assert_eq!(slab.bytes(), ByteCount::of_len(3 * Slab::<u64>::CHUNK_BYTES));
    }

    #[test]
    fn a_vacant_place_is_nobodys_and_is_used_again() {
        let mut slab = filled(10);
        assert_eq!(slab.remove(4), Some(4));
        assert_eq!(slab.remove(4), None);
        assert_eq!(slab.get(4), None);
        assert_eq!(slab.get_mut(4), None);
        assert_eq!(slab.insert(44), 4);
        assert_eq!(slab.insert(10), 10);
        assert_eq!(slab.remove(99), None);
    }

    #[test]
    fn chunks_in_use_are_filled_before_others_and_the_first_before_the_last() {
        let mut slab = filled(3 * CHUNK_LEN as u32);
        let (second, third) = (CHUNK_LEN as u32 + 9, 2 * CHUNK_LEN as u32 + 5);
        slab.remove(third);
        slab.remove(7);
        slab.remove(second);
        assert_eq!([slab.insert(0), slab.insert(0), slab.insert(0)], [7, second, third]);
        assert_eq!(slab.insert(0), 3 * CHUNK_LEN as u32);
    }

    #[test]
    fn empty_chunks_are_given_back_except_for_one() {
        let mut slab = filled(4 * CHUNK_LEN as u32);
        let one = ByteCount::of_len(Slab::<u64>::CHUNK_BYTES);
        for index in 0..4 * CHUNK_LEN as u32 {
            slab.remove(index);
        }
        assert_eq!((slab.len(), slab.bytes()), (0, one));
        assert_eq!(slab.growth(), ByteCount::ZERO);
        assert_eq!(slab.insert(1), CHUNK_LEN as u32 - 1, "the first chunk is the spare");
        for _ in 0..CHUNK_LEN {
            slab.insert(1);
        }
        assert_eq!(slab.bytes(), one + one);
        assert!(slab.get(CHUNK_LEN as u32).is_some(), "the first number that was given back comes again");
    }

    #[test]
    fn every_value_is_come_across_once_in_order_however_small_the_steps() {
        let fourth_chunk = 3 * CHUNK_LEN as u32;
        let mut slab = filled(fourth_chunk + 10);
        let second_chunk = CHUNK_LEN as u32..2 * CHUNK_LEN as u32;
        for index in second_chunk.chain([0, 5, 6, fourth_chunk - 1, fourth_chunk + 9]) {
            assert!(slab.remove(index).is_some());
        }
        for budget in [1, 3, 5_000] {
            let (mut next, mut found) = (0, Vec::new());
            loop {
                let (before, mut left) = (next, budget);
                match slab.pass(&mut next, &mut left) {
                    Passed::Value(index) => found.push(index),
                    Passed::Pause => assert!(next > before && left == 0),
                    Passed::End => break,
                }
            }
            assert_eq!(found.len(), slab.len(), "{budget}");
            assert!(found.is_sorted_by(|one, other| one < other), "{budget}");
            assert!(found.iter().all(|index| slab.get(*index).is_some()));
        }
        assert_eq!(slab.pass(&mut (fourth_chunk + 10), &mut 0), Passed::End);
        assert_eq!(slab.pass(&mut 10, &mut 0), Passed::Pause);
        assert_eq!(Slab::<u64>::new().pass(&mut 0, &mut 10), Passed::End);
    }

    #[test]
    fn the_lowest_number_of_a_set_is_found() {
        let mut set = NumberSet::new();
        assert_eq!(set.first(), None);
        for number in [700, 3, 64, 3] {
            set.insert(number);
        }
        assert_eq!((set.len, set.first()), (3, Some(3)));
        set.remove(3);
        set.remove(9_999);
        assert_eq!(set.first(), Some(64));
        set.remove(64);
        assert_eq!(set.first(), Some(700));
        set.insert(0);
        assert_eq!(set.first(), Some(0));
    }
}
