//! A segment's header: what a file of the log is, and how it hangs together with the last one.
//!
//! It stands there twice, in two blocks of the disk, each copy with its check: without the
//! salt nothing of the segment can be read, and one bad block must not cost 64 MiB. It is
//! written twice, too. Who makes the file says that it is *prepared*, and syncs that before
//! anything else lies in it; who begins the segment writes over that, which is synced with the
//! first records. A copy lies within one sector, so a power cut leaves of each the one or the
//! other: a header that cannot be read is never a tear, only damage. There is no magic number;
//! who draws the salt decides what a record looks like.

use super::layout::{put, u32_at, u64_at};
use super::seal::Salt;
use super::units::{LogOffset, Position, SegmentNumber};
use crate::types::BootEpoch;

/// Where the first record of a segment lies, in bytes.
pub const SEGMENT_HEADER_LEN: usize = 2 * COPY_SPAN;

/// The format of headers and records that is written and read here.
pub(super) const FORMAT: u32 = 2;
/// From one copy to the next: each lies in a block of its own, of the disk and of most file systems.
const COPY_SPAN: usize = 4096;
const COPY_LEN: usize = 52;
/// Whether the segment is prepared or begun.
const STAGE_AT: usize = 40;
/// The check covers a copy up to itself.
const CHECK_AT: usize = 48;
/// What a disk writes whole or not at all, in bytes.
const SECTOR_LEN: usize = 512;

const PREPARED: u32 = 1;
const BEGUN: u32 = 2;

const _: () = assert!(COPY_LEN <= SECTOR_LEN && COPY_SPAN.is_multiple_of(SECTOR_LEN), "no copy is torn");

/// Why a segment's header cannot be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum HeaderError {
    /// Only zeros, or nothing: whoever made the file did not come to prepare it.
    #[error("the segment was never used")]
    Blank,
    /// Nobody has begun it, or a power cut came before that was synced.
    #[error("the segment was never begun")]
    Prepared,
    /// Neither copy is good: damage, for no power cut does that.
    #[error("the segment's header is damaged")]
    Damaged,
    /// Written in another format. Recovery stops and touches nothing.
    #[error("the segment is of format {0}, this program reads format {FORMAT}")]
    Format(u32),
}

/// The header of a segment that was begun.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SegmentHeader {
    /// The number that the file's name shows too.
    pub number: SegmentNumber,
    /// What seals the segment's records.
    pub salt: Salt,
    /// Who began the segment. A boot that begins one, and syncs it, has used its epoch up.
    pub epoch: BootEpoch,
    /// The segment before this one and where it really ended: what it holds behind that was
    /// never acknowledged. None where there is no segment before this one.
    pub previous: Option<Position>,
}

impl SegmentHeader {
    /// What the file of a segment begins with until it is begun. Synced before it is begun.
    pub fn prepared(number: SegmentNumber) -> [u8; SEGMENT_HEADER_LEN] {
        twice([0; COPY_LEN], number, PREPARED)
    }

    /// The header's bytes, for the beginning of the file.
    pub fn encode(&self) -> [u8; SEGMENT_HEADER_LEN] {
        let mut copy = [0; COPY_LEN];
        put(&mut copy, 8, &self.salt.to_bytes());
        put(&mut copy, 24, &self.epoch.as_u32().to_le_bytes());
        if let Some(previous) = self.previous {
            put(&mut copy, 28, &previous.segment.as_u32().to_le_bytes());
            put(&mut copy, 32, &previous.offset.as_u64().to_le_bytes());
        }
        twice(copy, self.number, BEGUN)
    }

    /// The header of the segment whose file begins with `bytes` and is named by `number`. One
    /// good copy that is begun is enough: the power may have gone before the other one was.
    pub fn decode(bytes: &[u8], number: SegmentNumber) -> Result<Self, HeaderError> {
        let bytes = &bytes[..bytes.len().min(SEGMENT_HEADER_LEN)];
        // No format is ever 0, so a header of zeros alone cannot have been written.
        if bytes.iter().all(|byte| *byte == 0) {
            return Err(HeaderError::Blank);
        }
        let copies = [0, COPY_SPAN].map(|at| bytes.get(at..at + COPY_LEN));
        let rank = |outcome: &Result<Self, HeaderError>| match outcome {
            Ok(_) => 0,
            Err(HeaderError::Format(_)) => 1,
            Err(HeaderError::Prepared) => 2,
            Err(HeaderError::Blank | HeaderError::Damaged) => 3,
        };
        let outcomes = copies.into_iter().flatten().map(|copy| parse_copy(copy, number));
        outcomes.min_by_key(rank).unwrap_or(Err(HeaderError::Damaged))
    }

    /// Whether the segment whose file begins with `bytes` is one that nobody has begun, as far as
    /// these bytes tell.
    pub(super) fn is_unbegun(bytes: &[u8], number: SegmentNumber) -> bool {
        let behind = bytes.get(SEGMENT_HEADER_LEN..).unwrap_or_default();
        let is_unbegun =
            matches!(Self::decode(bytes, number), Err(HeaderError::Blank | HeaderError::Prepared));
        is_unbegun && behind.iter().all(|byte| *byte == 0)
    }
}

/// A header whose copies are this one, once it is complete.
fn twice(mut copy: [u8; COPY_LEN], number: SegmentNumber, stage: u32) -> [u8; SEGMENT_HEADER_LEN] {
    put(&mut copy, 0, &FORMAT.to_le_bytes());
    put(&mut copy, 4, &number.as_u32().to_le_bytes());
    put(&mut copy, STAGE_AT, &stage.to_le_bytes());
    let check = crc32fast::hash(&copy[..CHECK_AT]);
    put(&mut copy, CHECK_AT, &check.to_le_bytes());
    let mut bytes = [0; SEGMENT_HEADER_LEN];
    put(&mut bytes, 0, &copy);
    put(&mut bytes, COPY_SPAN, &copy);
    bytes
}

fn parse_copy(copy: &[u8], number: SegmentNumber) -> Result<SegmentHeader, HeaderError> {
    if u32_at(copy, CHECK_AT) != Some(crc32fast::hash(&copy[..CHECK_AT])) {
        return Err(HeaderError::Damaged);
    }
    // What another format means behind its number is not ours to judge.
    match u32_at(copy, 0) {
        Some(FORMAT) => {}
        format => return Err(HeaderError::Format(format.unwrap_or_default())),
    }
    // A good copy with another number is a file that was renamed: not this segment.
    if u32_at(copy, 4) != Some(number.as_u32()) {
        return Err(HeaderError::Damaged);
    }
    match u32_at(copy, STAGE_AT) {
        Some(PREPARED) => Err(HeaderError::Prepared),
        Some(BEGUN) => parse_fields(copy).ok_or(HeaderError::Damaged),
        _ => Err(HeaderError::Damaged),
    }
}

fn parse_fields(copy: &[u8]) -> Option<SegmentHeader> {
    let offset = LogOffset::new(u64_at(copy, 32)?);
    let previous = SegmentNumber::new(u32_at(copy, 28)?);
    Some(SegmentHeader {
        number: SegmentNumber::new(u32_at(copy, 4)?)?,
        salt: Salt::from_random(*copy.get(8..)?.first_chunk()?),
        epoch: BootEpoch::new(u32_at(copy, 24)?)?,
        previous: previous.map(|segment| Position { segment, offset }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(number: u32) -> SegmentNumber {
        SegmentNumber::new(number).unwrap()
    }

    fn headers() -> [SegmentHeader; 2] {
        let previous = Position { segment: number(6), offset: LogOffset::new(67_108_000) };
        let salt = Salt::from_random(std::array::from_fn(|byte| byte as u8 + 1));
        let epoch = BootEpoch::new(9).unwrap();
        [
            SegmentHeader { number: number(1), salt, epoch, previous: None },
            SegmentHeader { number: number(7), salt, epoch, previous: Some(previous) },
        ]
    }

    #[test]
    fn a_header_is_read_back() {
        for header in headers() {
            assert_eq!(SegmentHeader::decode(&header.encode(), header.number), Ok(header));
            assert_eq!(SegmentHeader::decode(&header.encode(), number(99)), Err(HeaderError::Damaged));
        }
    }

    /// What the file begins with before it is begun, and once it is.
    fn stages() -> [[u8; SEGMENT_HEADER_LEN]; 2] {
        let header = headers()[1];
        [SegmentHeader::prepared(header.number), header.encode()]
    }

    #[test]
    fn any_flipped_bit_of_one_copy_is_healed_by_the_other() {
        let header = headers()[1];
        for (mut bytes, expected) in stages().into_iter().zip([Err(HeaderError::Prepared), Ok(header)]) {
            for bit in 0..SEGMENT_HEADER_LEN * 8 {
                bytes[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(SegmentHeader::decode(&bytes, header.number), expected, "bit {bit}");
                bytes[bit / 8] ^= 1 << (bit % 8);
            }
        }
    }

    #[test]
    fn a_bad_block_takes_one_copy_and_the_other_heals_it() {
        let header = headers()[1];
        for filler in [0, 0x55, 0xff] {
            for block in [0, 4096] {
                let mut bytes = header.encode();
                bytes[block..block + 4096].fill(filler);
                assert_eq!(SegmentHeader::decode(&bytes, header.number), Ok(header));
            }
            let all = if filler == 0 { HeaderError::Blank } else { HeaderError::Damaged };
            assert_eq!(SegmentHeader::decode(&[filler; SEGMENT_HEADER_LEN], header.number), Err(all));
        }
    }

    #[test]
    fn any_flipped_bit_of_a_lone_copy_is_noticed() {
        for whole in stages() {
            for bit in 0..COPY_LEN * 8 {
                let mut bytes = whole;
                bytes[COPY_SPAN..].fill(0);
                bytes[bit / 8] ^= 1 << (bit % 8);
                let outcome = SegmentHeader::decode(&bytes, number(7));
                assert_eq!(outcome, Err(HeaderError::Damaged), "bit {bit}");
            }
        }
    }

    /// All that a power cut may leave of `new`, written over `old`: each sector is one or the other.
    fn torn(old: &[u8], new: &[u8]) -> Vec<Vec<u8>> {
        let differ = |at: &usize| old[*at..at + SECTOR_LEN] != new[*at..at + SECTOR_LEN];
        let sectors: Vec<usize> = (0..SEGMENT_HEADER_LEN).step_by(SECTOR_LEN).filter(differ).collect();
        let subset = |chosen: u32| {
            let mut bytes = old.to_vec();
            for (_, at) in sectors.iter().enumerate().filter(|(index, _)| chosen >> index & 1 == 1) {
                bytes[*at..at + SECTOR_LEN].copy_from_slice(&new[*at..at + SECTOR_LEN]);
            }
            bytes
        };
        (0..1 << sectors.len()).map(subset).collect()
    }

    #[test]
    fn a_power_cut_never_leaves_a_header_that_cannot_be_read() {
        let [prepared, begun] = stages();
        let decode = |bytes: &Vec<u8>| SegmentHeader::decode(bytes, number(7));
        let outcomes: Vec<_> = torn(&[0; SEGMENT_HEADER_LEN], &prepared).iter().map(decode).collect();
        let (blank, unbegun) = (Err(HeaderError::Blank), Err(HeaderError::Prepared));
        assert_eq!(outcomes, [blank, unbegun, unbegun, unbegun]);
        let outcomes: Vec<_> = torn(&prepared, &begun).iter().map(decode).collect();
        let header = Ok(headers()[1]);
        assert_eq!(outcomes, [unbegun, header, header, header]);
    }

    #[test]
    fn a_segment_is_unbegun_while_nothing_of_it_is_seen_but_its_preparation() {
        let [prepared, begun] = stages();
        let is_unbegun =
            |header: &[u8], behind: &[u8]| SegmentHeader::is_unbegun(&[header, behind].concat(), number(7));
        for header in [&[][..], &[0; 600], &[0; SEGMENT_HEADER_LEN], &prepared] {
            assert!(is_unbegun(header, &[]), "{}", header.len());
        }
        assert!(is_unbegun(&prepared, &[0; 4096]) && is_unbegun(&[0; SEGMENT_HEADER_LEN], &[0; 9]));
        assert!(!is_unbegun(&prepared, &[0, 0, 1]) && !is_unbegun(&[0; SEGMENT_HEADER_LEN], &[0, 0, 1]));
        assert!(!is_unbegun(&begun, &[]) && !is_unbegun(&[1; SEGMENT_HEADER_LEN], &[]));
    }

    #[test]
    fn a_header_cut_anywhere_is_whole_or_nothing() {
        let header = headers()[1];
        for len in 0..=SEGMENT_HEADER_LEN {
            let expected = if len < COPY_LEN { Err(HeaderError::Damaged) } else { Ok(header) };
            let outcome = SegmentHeader::decode(&header.encode()[..len], header.number);
            assert_eq!(outcome, if len == 0 { Err(HeaderError::Blank) } else { expected }, "{len}");
        }
        assert_eq!(SegmentHeader::decode(&[0; 10_000], header.number), Err(HeaderError::Blank));
    }

    #[test]
    fn another_format_is_told_apart_from_damage() {
        for format in [1, 3] {
            let mut bytes = headers()[0].encode();
            bytes[0] = format;
            let check = crc32fast::hash(&bytes[..CHECK_AT]);
            put(&mut bytes, CHECK_AT, &check.to_le_bytes());
            // The first format's second copy lay elsewhere.
            bytes[COPY_SPAN..].fill(0x77);
            let outcome = SegmentHeader::decode(&bytes, number(1));
            assert_eq!(outcome, Err(HeaderError::Format(u32::from(format))));
        }
    }

    #[test]
    fn a_stage_that_nobody_writes_is_damage() {
        let bytes = twice([0; COPY_LEN], number(7), 3);
        assert_eq!(SegmentHeader::decode(&bytes, number(7)), Err(HeaderError::Damaged));
    }
}
