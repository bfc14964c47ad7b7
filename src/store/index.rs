//! From a hash to a slab's number: 256 hash tables of four-byte numbers.
//!
//! One table grows or shrinks at a time, so that no turn pays for the whole. The last table
//! gets twice the share of the first one, and so on between them: so they double one after
//! the other as entries become more, never all at about the same count, and the index takes about
//! as much for each of any number of entries. It holds no keys: whoever asks compares, and rehashes,
//! through the slab. It counts its own memory and announces its growth.
//!
//! Bits of a hash: the low 16 choose the table, the upper half its place in there and the
//! 7 bits below its tag (a table takes both from the rotated hash); the very highest
//! choose the owner of an id, above this module.

use hashbrown::HashTable;

use super::budget::usable_size;
use crate::types::ByteCount;

/// Tables of an index.
const TABLE_COUNT: usize = 256;
/// A table this much larger than its content is made smaller, in places for each number.
const SPARSE: usize = 8;
/// What a table allocates behind its places: one group of control bytes, and alignment.
const TABLE_EXTRA_BYTES: usize = 16 + 16;

/// Numbers by hash.
pub(super) struct Index {
    /// By the low 16 bits of the hash, unevenly.
    tables: Box<[HashTable<u32>; TABLE_COUNT]>,
    /// What the tables have allocated, in usable bytes.
    table_bytes: usize,
}

impl Index {
    /// What an empty index takes.
    pub(super) const BASE_BYTES: usize = usable_size(size_of::<[HashTable<u32>; TABLE_COUNT]>());

    pub(super) fn new() -> Self {
        Self { tables: Box::new([const { HashTable::new() }; TABLE_COUNT]), table_bytes: 0 }
    }

    /// What the index takes.
    pub(super) const fn bytes(&self) -> ByteCount {
        ByteCount::of_len(Self::BASE_BYTES + self.table_bytes)
    }

    /// The most that inserting under `hash` will add to [`Index::bytes`].
    pub(super) fn growth(&self, hash: u64) -> ByteCount {
        let table = &self.tables[table_of(hash)];
        // The capacity shrinks with each tombstone, so this is exactly when a table reallocates.
        if table.len() < table.capacity() {
            return ByteCount::ZERO;
        }
        let doubled = 2 * table.num_buckets().max(2) * (size_of::<u32>() + 1) + TABLE_EXTRA_BYTES;
        ByteCount::of_len(usable_size(doubled).saturating_sub(usable_size(table.allocation_size())))
    }

    /// The number under `hash` that `is_it` says yes to.
    pub(super) fn find(&self, hash: u64, mut is_it: impl FnMut(u32) -> bool) -> Option<u32> {
        self.tables[table_of(hash)].find(place_hash(hash), |index| is_it(*index)).copied()
    }

    /// Adds `index` under `hash`. `rehash` gives the hash of any number in the index.
    pub(super) fn insert(&mut self, hash: u64, index: u32, rehash: impl Fn(u32) -> u64) {
        let announced = self.bytes() + self.growth(hash);
        let table = &mut self.tables[table_of(hash)];
        let before = usable_size(table.allocation_size());
        table.insert_unique(place_hash(hash), index, |index| place_hash(rehash(*index)));
        self.table_bytes += usable_size(table.allocation_size());
        self.table_bytes -= before;
        debug_assert!(self.bytes() <= announced, "a table grows by doubling at most");
    }

    /// Takes `index` out, which is under `hash`.
    pub(super) fn remove(&mut self, hash: u64, index: u32, rehash: impl Fn(u32) -> u64) {
        let table = &mut self.tables[table_of(hash)];
        let found = table.find_entry(place_hash(hash), |other| *other == index);
        debug_assert!(found.is_ok(), "only what was inserted is removed");
        if let Ok(found) = found {
            found.remove();
        }
        // Half of what it had keeps it from growing again at once.
        if table.len() * SPARSE <= table.num_buckets() {
            let before = usable_size(table.allocation_size());
            table.shrink_to(2 * table.len(), |index| place_hash(rehash(*index)));
            self.table_bytes -= before;
            self.table_bytes += usable_size(table.allocation_size());
        }
    }
}

/// `TABLE_COUNT · log2(1 + x)` for `x` from 0 to below 1, which the low 16 bits say: with a parabola in
/// the logarithm's place, at most 0.8 % of the tables beside it.
const fn table_of(hash: u64) -> usize {
    const ONE: u64 = 1 << 16;
    /// 1.343 and 0.343: the parabola through 0 and 1 whose slope halves in between.
    const SLOPE: u64 = 88_021;
    const BEND: u64 = SLOPE - ONE;
    let x = hash % ONE;
    (x * (SLOPE - x * BEND / ONE) * TABLE_COUNT as u64 / (ONE * ONE)) as usize
}

const _: () = assert!(table_of(0) == 0 && table_of(u64::MAX) == TABLE_COUNT - 1);

/// The hash that a table sees: its place comes from the low bits and its tag from the top 7,
/// and neither may come from the bits that have chosen the table.
const fn place_hash(hash: u64) -> u64 {
    hash.rotate_left(32)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A hash for each number: any bijection that mixes will do.
    fn hash(index: u32) -> u64 {
        let mixed = (u64::from(index) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9)
    }

    fn filled(len: u32) -> Index {
        let mut index = Index::new();
        (0..len).for_each(|number| index.insert(hash(number), number, hash));
        index
    }

    #[test]
    fn what_was_inserted_is_found_and_nothing_else() {
        let index = filled(20_000);
        for number in 0..20_000 {
            assert_eq!(index.find(hash(number), |found| found == number), Some(number));
        }
        assert_eq!(index.find(hash(20_000), |found| found == 20_000), None);
        assert_eq!(index.find(hash(7), |_| false), None);
    }

    #[test]
    fn numbers_under_one_hash_are_told_apart() {
        let mut index = Index::new();
        for number in 0..5 {
            index.insert(42, number, |_| 42);
        }
        index.remove(42, 2, |_| 42);
        assert_eq!(index.find(42, |found| found == 2), None);
        assert_eq!(index.find(42, |found| found == 3), Some(3));
    }

    #[test]
    fn growth_is_never_more_than_announced() {
        let mut index = Index::new();
        for number in 0..50_000 {
            let announced = index.bytes() + index.growth(hash(number));
            index.insert(hash(number), number, hash);
            assert!(index.bytes() <= announced, "{number}");
        }
    }

    #[test]
    fn churn_neither_loses_numbers_nor_leaks_room() {
        let mut index = filled(10_000);
        let full = index.bytes();
        for number in 10_000..100_000 {
            index.remove(hash(number - 10_000), number - 10_000, hash);
            index.insert(hash(number), number, hash);
        }
        assert!(index.bytes().as_u64() <= 2 * full.as_u64(), "{} of {full}", index.bytes());
        for number in 90_000..100_000 {
            assert_eq!(index.find(hash(number), |found| found == number), Some(number));
        }
    }

    #[test]
    fn an_emptied_index_takes_what_a_new_one_takes() {
        let mut index = filled(30_000);
        for number in 0..30_000 {
            index.remove(hash(number), number, hash);
        }
        assert_eq!(index.bytes(), Index::new().bytes());
    }

    #[test]
    fn a_number_takes_about_as_much_however_many_there_are() {
        let mut index = Index::new();
        for number in 0..1_100_000 {
            index.insert(hash(number), number, hash);
            if number > 250_000 && number % 10_000 == 0 {
                let bytes_each = index.bytes().as_u64() as f64 / f64::from(number);
                assert!((9.0..10.7).contains(&bytes_each), "{number}: {bytes_each}");
            }
        }
    }

    #[test]
    fn the_last_table_has_twice_the_share_of_the_first() {
        let mut shares = [0; TABLE_COUNT];
        (0..1 << 16).for_each(|low| shares[table_of(low)] += 1);
        assert!(shares.is_sorted_by(|less, more| *less <= more + 1), "{shares:?}");
        let (first, last) = (f64::from(shares[0]), f64::from(shares[TABLE_COUNT - 1]));
        assert!((1.9..2.15).contains(&(last / first)), "{first} and {last}");
    }
}
