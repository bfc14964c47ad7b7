//! Segments with every kind of hole: what is still found, what is named, what is never taken.

use super::*;
use crate::journal::record::tests::{Random, id, image, origin, position, salt};
use crate::journal::{Entry, HeaderError, Position, SegmentNumber, encode, record_len, seal};
use crate::types::BootEpoch;

/// A segment under construction, as a writer would leave it on disk.
pub(in crate::journal) struct Segment {
    pub(in crate::journal) header: SegmentHeader,
    pub(in crate::journal) bytes: Vec<u8>,
}

impl Segment {
    pub(in crate::journal) fn new(number: u32, previous: Option<Position>) -> Self {
        let number = SegmentNumber::new(number).unwrap();
        let epoch = BootEpoch::new(5).unwrap();
        let header = SegmentHeader { number, salt: salt(number.as_u32() as u8), epoch, previous };
        Self { header, bytes: header.encode().to_vec() }
    }

    /// Appends and seals a record; yields where it begins.
    pub(in crate::journal) fn push(&mut self, record: &Record<'_>) -> usize {
        let at = self.bytes.len();
        encode(&mut self.bytes, record);
        seal(&mut self.bytes[at..], &self.header.salt, LogOffset::of_len(at));
        at
    }

    pub(in crate::journal) fn end(&self) -> Position {
        position(self.header.number.as_u32(), self.bytes.len() as u64)
    }
}

/// Ten updates with blobs of growing length; and where they begin, and the end.
fn ten() -> (Segment, Vec<usize>) {
    let mut segment = Segment::new(1, None);
    let mut places: Vec<usize> = (0..10)
        .map(|number| {
            let blob = vec![number as u8 + 1; number as usize * 13];
            segment.push(&Record {
                origin: origin(0, number + 1),
                entry: Entry::Update(image(number, 1, &blob)),
            })
        })
        .collect();
    places.push(segment.bytes.len());
    (segment, places)
}

fn scan(segment: &Segment) -> Vec<Found<'_>> {
    Scan::new(&segment.bytes, &segment.header).collect()
}

/// The sequences of the good records.
fn sequences(found: &[Found<'_>]) -> Vec<u64> {
    let sequence = |found: &Found<'_>| match found {
        Found::Record { record, .. } => Some(record.origin.sequence.as_u64()),
        Found::Bad(_) => None,
    };
    found.iter().filter_map(sequence).collect()
}

fn bad(found: &[Found<'_>]) -> Vec<(usize, usize, Option<Lost>)> {
    let span = |found: &Found<'_>| match found {
        Found::Record { .. } => None,
        Found::Bad(span) => Some((span.start.as_usize(), span.end.as_usize(), span.lost)),
    };
    found.iter().filter_map(span).collect()
}

fn session(number: u64) -> Option<Lost> {
    Some(Lost::Session(id(number)))
}

#[test]
fn a_whole_segment_is_read_to_its_end_with_or_without_zeros_behind() {
    let (mut segment, places) = ten();
    for zeros in [0, 1, 7, 8, 5_000, 100_000] {
        segment.bytes.truncate(places[10]);
        segment.bytes.resize(places[10] + zeros, 0);
        let mut scan = Scan::new(&segment.bytes, &segment.header);
        let found: Vec<Found<'_>> = scan.by_ref().collect();
        assert_eq!(sequences(&found), (1..=10).collect::<Vec<_>>(), "{zeros}");
        assert_eq!((bad(&found), scan.end().as_usize()), (vec![], places[10]), "{zeros}");
    }
}

#[test]
fn an_empty_segment_has_nothing_and_ends_behind_its_header() {
    let segment = Segment::new(1, None);
    for len in [0, 10, SEGMENT_HEADER_LEN] {
        let mut scan = Scan::new(&segment.bytes[..len], &segment.header);
        assert_eq!((scan.next(), scan.end().as_usize()), (None, len));
    }
    assert_eq!(SegmentHeader::decode(&[0; 2048], segment.header.number), Err(HeaderError::Blank));
}

#[test]
fn a_cut_at_every_byte_of_the_last_three_records_leaves_exactly_those_before_it() {
    let (segment, places) = ten();
    for cut in places[7]..places[10] {
        for zeros in [0, 4_000] {
            let mut bytes = segment.bytes[..cut].to_vec();
            bytes.resize(cut + zeros, 0);
            let cut_segment = Segment { header: segment.header, bytes };
            let found = scan(&cut_segment);
            let whole = places[1..].iter().filter(|end| **end <= cut).count() as u64;
            assert_eq!(sequences(&found), (1..=whole).collect::<Vec<_>>(), "cut at {cut}");
        }
    }
}

#[test]
fn a_damaged_body_costs_its_own_record_only() {
    let (mut segment, places) = ten();
    segment.bytes[places[4] + 80] ^= 1;
    let found = scan(&segment);
    assert_eq!(sequences(&found), [1, 2, 3, 4, 6, 7, 8, 9, 10]);
    assert_eq!(bad(&found), [(places[4], places[5], session(4))]);
    let Found::Bad(span) = found[4] else { panic!("the bad one comes in its place") };
    assert_eq!(span.origin, Some(origin(0, 5)));
}

#[test]
fn a_damaged_head_is_named_by_the_tail() {
    let (mut segment, places) = ten();
    segment.bytes[places[4] + 13] ^= 0x40;
    let found = scan(&segment);
    assert_eq!(sequences(&found), [1, 2, 3, 4, 6, 7, 8, 9, 10]);
    assert_eq!(bad(&found), [(places[4], places[5], session(4))]);
}

#[test]
fn a_hole_over_many_records_is_named_as_far_as_tails_and_heads_are_left() {
    let (mut segment, places) = ten();
    // From inside record 2 to inside the head of record 6: 3, 4 and 5 leave no trace.
    segment.bytes[places[2] + 75..places[6] + 20].fill(0);
    let found = scan(&segment);
    assert_eq!(sequences(&found), [1, 2, 8, 9, 10]);
    let expected = [
        (places[2], places[3], session(2)),
        (places[3], places[6], None),
        (places[6], places[7], session(6)),
    ];
    assert_eq!(bad(&found), expected);
}

#[test]
fn bad_heads_in_a_row_are_each_named() {
    let (mut segment, places) = ten();
    for number in [3, 4, 5, 9] {
        segment.bytes[places[number]] ^= 1;
    }
    let found = scan(&segment);
    assert_eq!(sequences(&found), [1, 2, 3, 7, 8, 9]);
    let expected = [3, 4, 5, 9].map(|number| (places[number], places[number + 1], session(number as u64)));
    assert_eq!(bad(&found), expected);
}

#[test]
fn a_lost_touch_is_told_from_lost_data_and_a_lost_key_names_its_bucket() {
    let (touched, bucket) = (id(9), BucketId::new(0x0102_0304));
    let version = crate::types::Version::new(2).unwrap();
    let name = crate::types::BucketName::parse(b"cart").unwrap();
    let table = [
        (Entry::Touch { id: touched, version, deadline: Default::default() }, Lost::Deadline(touched)),
        (Entry::Delete(touched), Lost::Removal(touched)),
        (Entry::Expire(touched), Lost::Removal(touched)),
        (Entry::KeyDelete { bucket, name }, Lost::Bucket(bucket)),
        (Entry::Checkpoint(SegmentNumber::FIRST), Lost::Note),
    ];
    for (entry, lost) in table {
        let mut segment = Segment::new(1, None);
        let record = Record { origin: origin(0, 1), entry };
        let at = segment.push(&record);
        segment.push(&record);
        let damages = [at, at + record.entry.record_len() - 1];
        for damage in damages {
            segment.bytes[damage] ^= 0x10;
            assert_eq!(bad(&scan(&segment)), [(at, at + record.entry.record_len(), Some(lost))], "{entry:?}");
            segment.bytes[damage] ^= 0x10;
        }
    }
}

/// Blobs that hold whole records, as another segment's, unsealed, and as this segment's from
/// another place: what somebody may store who knows the format, or who once saw a segment.
fn hostile_blobs(header: &SegmentHeader) -> Vec<Vec<u8>> {
    let mut plain = Vec::new();
    for number in 0..20 {
        encode(
            &mut plain,
            &Record { origin: origin(0, 100 + number), entry: Entry::Update(image(66, 9, b"forged")) },
        );
    }
    let sealed = |salt: &Salt, at| {
        let mut bytes = plain.clone();
        seal(&mut bytes, salt, LogOffset::new(at));
        bytes
    };
    vec![plain.clone(), sealed(&salt(99), 1024), sealed(&header.salt, 8), sealed(&header.salt, 1 << 20)]
}

#[test]
fn records_inside_of_blobs_are_never_taken_for_records_not_even_after_damage() {
    let header = Segment::new(1, None).header;
    for blob in hostile_blobs(&header) {
        for shift in 0..8 {
            let padded = [&vec![0; shift][..], &blob].concat();
            let mut segment = Segment::new(1, None);
            let first =
                segment.push(&Record { origin: origin(0, 1), entry: Entry::Update(image(1, 1, &padded)) });
            segment.push(&Record { origin: origin(0, 2), entry: Entry::Update(image(2, 1, &padded)) });
            // A damaged head, a damaged body, and a head and a tail that are gone altogether.
            let len = record_len(&segment.bytes[first..]).unwrap();
            for damage in [first..first + 1, first + 90..first + 95, first..first + 72, first..first + 90] {
                let whole = segment.bytes.clone();
                segment.bytes[damage.clone()].iter_mut().for_each(|byte| *byte ^= 0x55);
                assert_eq!(sequences(&scan(&segment)), [2], "{damage:?}");
                segment.bytes[first + len - 24..first + len].fill(0);
                let found = scan(&segment);
                assert_eq!(sequences(&found), [2], "{damage:?}");
                assert!(bad(&found).iter().all(|(.., lost)| *lost != session(66)), "{damage:?}");
                segment.bytes = whole;
            }
        }
    }
}

#[test]
fn random_flips_are_all_found_and_nothing_wrong_is_ever_yielded() {
    let (good, places) = ten();
    let expected = scan(&good);
    for seed in 0..10_000 {
        let mut random = Random(seed);
        let mut segment = Segment { header: good.header, bytes: good.bytes.clone() };
        let span = segment.bytes.len() as u64 - places[0] as u64;
        let mut hit = [false; 10];
        for _ in 0..=random.below(4) {
            let at = places[0] + random.below(span) as usize;
            segment.bytes[at] ^= 1 << random.below(8);
            hit[places[1..].iter().filter(|end| **end <= at).count()] = true;
        }
        let same = (0..10).filter(|number| {
            segment.bytes[places[*number]..places[number + 1]]
                == good.bytes[places[*number]..places[number + 1]]
        });
        let found = scan(&segment);
        let records: Vec<&Found<'_>> =
            found.iter().filter(|found| matches!(found, Found::Record { .. })).collect();
        assert_eq!(records, same.map(|number| &expected[number]).collect::<Vec<_>>(), "seed {seed}");
        let spans = bad(&found);
        let covered: Vec<bool> = (0..10)
            .map(|number| spans.iter().any(|(start, end, _)| (*start..*end).contains(&places[number])))
            .collect();
        assert!(covered.iter().zip(hit).all(|(covered, hit)| hit || !covered), "seed {seed}");
    }
}

#[test]
fn any_bytes_behind_a_header_are_read_without_a_panic_and_to_their_end() {
    for seed in 0..2_000 {
        let mut random = Random(seed);
        let (mut segment, places) = ten();
        for _ in 0..random.below(20) {
            let from = places[0] + random.below((places[10] - places[0]) as u64) as usize;
            let len = random.below(200) as usize;
            let to = (from + len).min(places[10]);
            let byte = random.next() as u8;
            segment.bytes[from..to]
                .iter_mut()
                .for_each(|old| *old = if seed % 2 == 0 { 0 } else { old.wrapping_mul(byte) });
        }
        let cut = places[0] + random.below((places[10] - places[0]) as u64) as usize;
        segment.bytes.truncate(cut);
        let mut at = places[0];
        for found in scan(&segment) {
            let (start, end) = match found {
                Found::Record { at, record } => (at.as_usize(), at.as_usize() + record.entry.record_len()),
                Found::Bad(span) => (span.start.as_usize(), span.end.as_usize()),
            };
            assert!(start == at && end > at && end <= cut, "seed {seed}: {start}..{end} after {at}");
            at = end;
        }
        assert!(segment.bytes[at..].iter().all(|byte| *byte == 0), "seed {seed}");
    }
}

#[test]
fn the_filled_length_ends_behind_the_last_byte_that_is_not_zero() {
    for filled in [0, 1, 4_095, 4_096, 4_097, 9_000, 20_000] {
        let mut bytes = vec![0; 20_000];
        bytes[..filled].fill(1);
        assert_eq!(filled_len(&bytes), filled);
    }
}
