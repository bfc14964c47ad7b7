//! A segment's salt, and the seal that it puts on a record's marks and checks.
//!
//! Client apps choose what lies in blobs, so a blob may hold bytes that are a perfect record.
//! What a reader looks for therefore depends on 128 random bits that never leave the disk, and
//! on the record's place: neither a forged record nor a copy of a real one, from another
//! segment or from elsewhere in this one, is ever taken for a record. A guess hits a head with
//! 2⁻⁶⁴ and a whole record with 2⁻¹²⁸.

use std::fmt;

use super::layout::{
    ALIGN, BODY_CHECK_AT, HEAD_CHECK_AT, MARK_AT, TAIL_CHECK_AT, TAIL_LEN, put, record_len, u32_at,
};
use super::units::LogOffset;

/// The random bits of a segment, drawn when it is made.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Salt {
    low: u64,
    high: u64,
}

impl Salt {
    /// The salt made of these bytes, which must come from the system's CSPRNG.
    pub fn from_random(bytes: [u8; 16]) -> Self {
        let bits = u128::from_le_bytes(bytes);
        Self { low: bits as u64, high: (bits >> 64) as u64 }
    }

    /// The 16 bytes, for the segment's header.
    pub fn to_bytes(self) -> [u8; 16] {
        (u128::from(self.low) | (u128::from(self.high) << 64)).to_le_bytes()
    }

    /// What seals a record at `at`.
    pub(super) fn marks(&self, at: LogOffset) -> Marks {
        debug_assert!(at.as_u64().is_multiple_of(ALIGN as u64), "records lie at multiples of 8");
        // Places are multiples of 8, so the lowest bit is free to tell the second word.
        let (first, second) = (self.word(at.as_u64()), self.word(at.as_u64() | 1));
        Marks {
            mark: first as u32,
            head: (first >> 32) as u32,
            body: second as u32,
            tail: (second >> 32) as u32,
        }
    }

    /// The mark of a record at `at`, and nothing else: what a search compares first.
    pub(super) fn mark(&self, at: LogOffset) -> u32 {
        self.word(at.as_u64()) as u32
    }

    /// 64 bits that nobody can tell without the salt: SplitMix64's finaliser, keyed twice. No
    /// cipher, and none is needed, for nobody outside ever sees what comes out.
    fn word(&self, place: u64) -> u64 {
        let mixed = self.low.wrapping_add(place.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9) ^ self.high;
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

impl fmt::Debug for Salt {
    /// Who knows the salt can forge records.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Salt(..)")
    }
}

/// What is mixed into one record by its place.
#[derive(Clone, Copy)]
pub(super) struct Marks {
    pub(super) mark: u32,
    pub(super) head: u32,
    pub(super) body: u32,
    pub(super) tail: u32,
}

/// Seals the records of `buffer`, whole ones as they were encoded, for the place `start` in
/// the segment of this salt. Doing it twice takes the seal off again, so that a buffer which
/// has to go elsewhere can be sealed for there.
pub fn seal(buffer: &mut [u8], salt: &Salt, start: LogOffset) {
    let mut rest = buffer;
    let mut at = start;
    while let Some(len) = record_len(rest) {
        let (record, more) = rest.split_at_mut(len);
        let marks = salt.marks(at);
        // The length stays as it is: the walk needs it, and so does whoever takes the seal off.
        mix(record, MARK_AT, marks.mark);
        mix(record, HEAD_CHECK_AT, marks.head);
        mix(record, BODY_CHECK_AT, marks.body);
        mix(record, len - TAIL_LEN + TAIL_CHECK_AT, marks.tail);
        at = at.after(len);
        rest = more;
    }
    debug_assert!(rest.is_empty(), "a buffer holds whole records");
}

fn mix(record: &mut [u8], at: usize, salt: u32) {
    if let Some(word) = u32_at(record, at) {
        put(record, at, &(word ^ salt).to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_salt_is_written_and_read_back_and_never_shown() {
        let bytes: [u8; 16] = std::array::from_fn(|byte| byte as u8 * 17);
        let salt = Salt::from_random(bytes);
        assert_eq!(salt.to_bytes(), bytes);
        assert_eq!(format!("{salt:?}"), "Salt(..)");
    }

    #[test]
    fn marks_differ_by_place_and_by_every_bit_of_the_salt() {
        let words = |salt: &Salt, at: u64| {
            let marks = salt.marks(LogOffset::new(at));
            assert_eq!(marks.mark, salt.mark(LogOffset::new(at)));
            [marks.mark, marks.head, marks.body, marks.tail]
        };
        let salt = Salt::from_random([7; 16]);
        let here = words(&salt, 1024);
        for bit in 0..128 {
            let mut bytes = [7; 16];
            bytes[bit / 8] ^= 1 << (bit % 8);
            let other = words(&Salt::from_random(bytes), 1024);
            assert!(here.iter().zip(other).all(|(here, other)| *here != other), "bit {bit}");
        }
        for at in (1032..100_000).step_by(8) {
            assert!(here.iter().zip(words(&salt, at)).all(|(here, other)| *here != other), "{at}");
        }
    }
}
