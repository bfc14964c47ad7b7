//! Records of every kind: there and back, every flipped bit, every cut, other places and salts.

use super::*;
use crate::journal::seal::{Salt, seal};

/// Reproducible numbers (SplitMix64), from a seed that each panic names.
pub(in crate::journal) struct Random(pub(in crate::journal) u64);

impl Random {
    pub(in crate::journal) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// `0 <= number < end`; `end` may be 0 for 0.
    pub(in crate::journal) fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }
}

pub(in crate::journal) fn salt(number: u8) -> Salt {
    Salt::from_random(std::array::from_fn(|byte| (byte as u8).wrapping_mul(31) ^ number))
}

pub(in crate::journal) fn id(number: u64) -> SessionId {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    SessionId::from_random(bytes)
}

pub(in crate::journal) fn origin(shard: u16, sequence: u64) -> Origin {
    Origin {
        epoch: BootEpoch::new(5).unwrap(),
        shard: ShardId::new(shard),
        sequence: Sequence::new(sequence),
    }
}

pub(in crate::journal) fn image(number: u64, version: u64, blob: &[u8]) -> SessionImage<'_> {
    SessionImage {
        id: id(number),
        bucket: BucketId::new(3),
        version: Version::new(version).unwrap(),
        deadline: JournalMillis::new(1_000_000 + number),
        own_ttl: None,
        content_type: b"text/plain",
        blob,
    }
}

pub(in crate::journal) fn mark(journal: u64, wall: u64) -> TimeMark {
    TimeMark { journal: JournalMillis::new(journal), wall: UnixMillis::new(wall) }
}

pub(in crate::journal) fn position(segment: u32, offset: u64) -> Position {
    Position { segment: SegmentNumber::new(segment).unwrap(), offset: LogOffset::new(offset) }
}

pub(in crate::journal) fn name(text: &str) -> BucketName {
    BucketName::parse(text.as_bytes()).unwrap()
}

fn entries() -> Vec<Entry<'static>> {
    let (bucket, key) = (BucketId::new(77), ApiKey::from_random(&[9; 32]));
    let extreme = SessionImage {
        bucket: BucketId::new(u32::MAX),
        version: Version::new(u64::MAX).unwrap(),
        deadline: JournalMillis::MAX,
        own_ttl: Some(Ttl::MAX),
        content_type: &[0xff; 255],
        ..image(2, 1, b"seven b")
    };
    vec![
        Entry::Create(image(1, 1, b"")),
        Entry::Create(SessionImage {
            content_type: b"",
            own_ttl: Ttl::from_secs(1),
            ..image(1, 1, b"12345678")
        }),
        Entry::Update(image(1, 2, b"data of some length")),
        Entry::Update(extreme),
        Entry::Delete(id(3)),
        Entry::Expire(id(4)),
        Entry::Touch { id: id(5), version: Version::new(6).unwrap(), deadline: JournalMillis::new(7) },
        Entry::Bucket { bucket, name: name("cart") },
        Entry::Key { bucket, name: name(&"n".repeat(64)), key },
        Entry::KeyDelete { bucket, name: name("c") },
        Entry::Synced { upto: position(8, 4096), mark: mark(10, 1_700_000_000_000) },
        Entry::Checkpoint(SegmentNumber::MAX),
        Entry::Time(mark(u64::MAX, 0)),
    ]
}

fn sealed(record: &Record<'_>, salt: &Salt, at: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    assert_eq!(encode(&mut bytes, record), bytes.len());
    seal(&mut bytes, salt, LogOffset::new(at));
    bytes
}

fn read<'b>(bytes: &'b [u8], salt: &Salt, at: u64) -> Result<(Record<'b>, usize), Bad> {
    decode(bytes, &salt.marks(LogOffset::new(at)))
}

#[test]
fn every_kind_is_read_back_as_it_was_written() {
    for (number, entry) in entries().into_iter().enumerate() {
        let record = Record { origin: origin(number as u16, u64::MAX - number as u64), entry };
        let mut bytes = sealed(&record, &salt(1), 4096);
        assert_eq!(bytes.len(), record.entry.record_len());
        assert!(bytes.len().is_multiple_of(ALIGN));
        bytes.extend_from_slice(b"what comes next");
        assert_eq!(read(&bytes, &salt(1), 4096), Ok((record, record.entry.record_len())), "{entry:?}");
    }
}

#[test]
fn every_flipped_bit_of_every_kind_is_noticed() {
    for entry in entries() {
        let record = Record { origin: origin(1, 2), entry };
        let good = sealed(&record, &salt(1), 4096);
        for bit in 0..good.len() * 8 {
            let mut bytes = good.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let bad = read(&bytes, &salt(1), 4096).expect_err("a flipped bit is noticed");
            // The body's check lies in the head and is judged with the body.
            let is_head = bit / 8 < HEAD_LEN && !(8..12).contains(&(bit / 8));
            assert_eq!(matches!(bad, Bad::Head), is_head, "bit {bit} of {entry:?}");
        }
    }
}

#[test]
fn a_record_cut_anywhere_is_no_record_and_is_named_if_its_head_is_there() {
    for entry in entries() {
        let record = Record { origin: origin(1, 2), entry };
        let good = sealed(&record, &salt(1), 4096);
        for len in 0..good.len() {
            let bad = read(&good[..len], &salt(1), 4096).expect_err("a cut is noticed");
            match bad {
                Bad::Head => assert!(len < HEAD_LEN, "{len} of {entry:?}"),
                Bad::Rest(head) => assert_eq!((head.len(), head.id), (good.len(), record.head().id)),
            }
        }
    }
}

#[test]
fn a_record_is_good_in_its_place_of_its_segment_only() {
    for entry in entries() {
        let record = Record { origin: origin(1, 2), entry };
        let good = sealed(&record, &salt(1), 4096);
        let mut plain = Vec::new();
        encode(&mut plain, &record);
        assert_eq!(read(&good, &salt(2), 4096), Err(Bad::Head), "another salt");
        assert_eq!(read(&good, &salt(1), 4104), Err(Bad::Head), "another place");
        assert_eq!(read(&plain, &salt(1), 4096), Err(Bad::Head), "no salt");
    }
}

#[test]
fn sealing_twice_takes_the_seal_off_a_whole_buffer() {
    let mut plain = Vec::new();
    for (number, entry) in entries().into_iter().enumerate() {
        encode(&mut plain, &Record { origin: origin(0, number as u64), entry });
    }
    let mut bytes = plain.clone();
    seal(&mut bytes, &salt(1), LogOffset::new(1024));
    assert_ne!(bytes, plain);
    seal(&mut bytes, &salt(1), LogOffset::new(1024));
    assert_eq!(bytes, plain);
}

#[test]
fn well_checked_records_that_make_no_sense_are_bad_and_named() {
    let broken: [fn(&mut Head); 4] = [
        |head| head.version = 0,
        |head| head.ttl_secs = Ttl::MAX.as_secs() + 1,
        |head| head.kind = Kind::Bucket,
        |head| head.kind = Kind::Synced,
    ];
    for breaks in broken {
        let mut bytes = Vec::new();
        let record = Record { origin: origin(1, 2), entry: Entry::Update(image(1, 1, b"no name: /")) };
        encode(&mut bytes, &record);
        let mut head = record.head();
        head.body_len = 20;
        head.body_check = crc32fast::hash(&bytes[HEAD_LEN..bytes.len() - TAIL_LEN]);
        breaks(&mut head);
        let tail_at = bytes.len() - TAIL_LEN;
        bytes[..HEAD_LEN].copy_from_slice(&head.to_bytes());
        bytes[tail_at..].copy_from_slice(&head.tail().to_bytes(0));
        seal(&mut bytes, &salt(1), LogOffset::new(0));
        assert_eq!(read(&bytes, &salt(1), 0), Err(Bad::Rest(head)));
    }
}

#[test]
fn random_bytes_are_never_a_record() {
    let seed = 0x5e55;
    let mut random = Random(seed);
    for round in 0..2_000 {
        let bytes: Vec<u8> = (0..random.below(300)).map(|_| random.next() as u8).collect();
        assert_eq!(read(&bytes, &salt(1), 8 * round), Err(Bad::Head), "seed {seed} round {round}");
    }
}

#[test]
fn what_is_reserved_for_a_session_is_what_it_takes() {
    for (content_type_len, blob_len) in [(0, 0), (10, 1024), (255, 7)] {
        let (content_type, blob) = (vec![b't'; content_type_len], vec![b'b'; blob_len]);
        let session = SessionImage { content_type: &content_type, ..image(1, 1, &blob) };
        let record = Record { origin: origin(0, 1), entry: Entry::Update(session) };
        assert_eq!(session_record_len(content_type_len, blob_len), sealed(&record, &salt(0), 0).len());
    }
}
