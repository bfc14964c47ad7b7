//! A segment's header: what a file of the log is, and how it hangs together with the last one.
//!
//! It is written and synced before any record. It stands there twice, half a kilobyte apart,
//! each copy with its check: without the salt nothing of the segment can be read, and one
//! flipped bit must not cost 64 MiB. There is no magic number; who draws the salt decides
//! what a record looks like.

use super::layout::{put, u32_at, u64_at};
use super::seal::Salt;
use super::units::{LogOffset, Position, SegmentNumber};
use crate::types::BootEpoch;

/// Where the first record of a segment lies, in bytes.
pub const SEGMENT_HEADER_LEN: usize = 2 * COPY_SPAN;

/// The format of headers and records that is written and read here.
pub(super) const FORMAT: u32 = 1;
/// From one copy to the next: each lies in a disk block of its own.
const COPY_SPAN: usize = 512;
const COPY_LEN: usize = 52;
/// The check covers a copy up to itself.
const CHECK_AT: usize = 48;

/// Why a segment's header cannot be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum HeaderError {
    /// Only zeros, or nothing: space that was allocated and never used.
    #[error("the segment was never used")]
    Blank,
    /// Neither copy is good. Recovery judges by the synced position whether that is damage.
    #[error("the segment's header is damaged")]
    Damaged,
    /// Written in another format. Recovery stops and touches nothing.
    #[error("the segment is of format {0}, this program reads format {FORMAT}")]
    Format(u32),
}

/// A segment's header.
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
    /// The header's bytes, for the beginning of the file.
    pub fn encode(&self) -> [u8; SEGMENT_HEADER_LEN] {
        let mut copy = [0; COPY_LEN];
        put(&mut copy, 0, &FORMAT.to_le_bytes());
        put(&mut copy, 4, &self.number.as_u32().to_le_bytes());
        put(&mut copy, 8, &self.salt.to_bytes());
        put(&mut copy, 24, &self.epoch.as_u32().to_le_bytes());
        if let Some(previous) = self.previous {
            put(&mut copy, 28, &previous.segment.as_u32().to_le_bytes());
            put(&mut copy, 32, &previous.offset.as_u64().to_le_bytes());
        }
        let check = crc32fast::hash(&copy[..CHECK_AT]);
        put(&mut copy, CHECK_AT, &check.to_le_bytes());
        let mut bytes = [0; SEGMENT_HEADER_LEN];
        put(&mut bytes, 0, &copy);
        put(&mut bytes, COPY_SPAN, &copy);
        bytes
    }

    /// The header of the segment whose file begins with `bytes` and is named by `number`.
    pub fn decode(bytes: &[u8], number: SegmentNumber) -> Result<Self, HeaderError> {
        let bytes = &bytes[..bytes.len().min(SEGMENT_HEADER_LEN)];
        // No segment is ever 0, so a header of zeros alone cannot have been written.
        if bytes.iter().all(|byte| *byte == 0) {
            return Err(HeaderError::Blank);
        }
        let copies = [0, COPY_SPAN].map(|at| bytes.get(at..at + COPY_LEN));
        let mut outcome = Err(HeaderError::Damaged);
        for copy in copies.into_iter().flatten() {
            // A good copy with another number is a file that was renamed: not this segment.
            match parse_copy(copy) {
                Ok(header) if header.number == number => return Ok(header),
                Err(HeaderError::Format(format)) => outcome = Err(HeaderError::Format(format)),
                _ => {}
            }
        }
        outcome
    }
}

fn parse_copy(copy: &[u8]) -> Result<SegmentHeader, HeaderError> {
    if u32_at(copy, CHECK_AT) != Some(crc32fast::hash(&copy[..CHECK_AT])) {
        return Err(HeaderError::Damaged);
    }
    match u32_at(copy, 0) {
        // What another format means behind its number is not ours to judge.
        Some(FORMAT) => parse_fields(copy).ok_or(HeaderError::Damaged),
        format => Err(HeaderError::Format(format.unwrap_or_default())),
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

    #[test]
    fn any_flipped_bit_of_one_copy_is_healed_by_the_other() {
        for header in headers() {
            for bit in 0..SEGMENT_HEADER_LEN * 8 {
                let mut bytes = header.encode();
                bytes[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(SegmentHeader::decode(&bytes, header.number), Ok(header), "bit {bit}");
            }
        }
    }

    #[test]
    fn any_flipped_bit_of_a_lone_copy_is_noticed() {
        let header = headers()[1];
        for bit in 0..COPY_LEN * 8 {
            let mut bytes = header.encode();
            bytes[COPY_SPAN..].fill(0);
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(SegmentHeader::decode(&bytes, header.number), Err(HeaderError::Damaged), "bit {bit}");
        }
    }

    #[test]
    fn a_header_cut_anywhere_is_whole_or_nothing() {
        let header = headers()[1];
        for len in 0..=SEGMENT_HEADER_LEN {
            let expected = if len < COPY_LEN { Err(HeaderError::Damaged) } else { Ok(header) };
            let outcome = SegmentHeader::decode(&header.encode()[..len], header.number);
            assert_eq!(outcome, if len == 0 { Err(HeaderError::Blank) } else { expected }, "{len}");
        }
        assert_eq!(SegmentHeader::decode(&[0; 4096], header.number), Err(HeaderError::Blank));
    }

    #[test]
    fn another_format_is_told_apart_from_damage() {
        let mut bytes = headers()[0].encode();
        for at in [0, COPY_SPAN] {
            bytes[at] = 2;
            let check = crc32fast::hash(&bytes[at..at + CHECK_AT]);
            put(&mut bytes, at + CHECK_AT, &check.to_le_bytes());
        }
        assert_eq!(SegmentHeader::decode(&bytes, number(1)), Err(HeaderError::Format(2)));
    }
}
