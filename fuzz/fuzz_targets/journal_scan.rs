//! Any bytes as a segment, and a good segment with any damage: reading never panics, goes
//! through every byte once, and yields no record that was not written.
//!
//! The input's first byte tells how many edits of a good segment follow, 3 bytes each: where
//! and what. The rest is read as the records of a segment that was never written, and as a whole
//! segment with whatever header that gives.

#![no_main]

use libfuzzer_sys::fuzz_target;
use seshun::journal::{
    Entry, Found, JournalMillis, LogOffset, Origin, Record, RecoverError, Recovery, SEGMENT_HEADER_LEN, Salt,
    Scan, SegmentHeader, SegmentNumber, Sequence, SessionImage, Terms, encode, seal, survey,
};
use seshun::types::{
    BootEpoch, BucketId, BucketName, Millis, SessionId, ShardCount, ShardId, Ttl, UnixMillis, Version,
};

const RECORDS: u64 = 12;

fuzz_target!(|data: &[u8]| {
    let Some((&edit_count, rest)) = data.split_first() else { return };
    let (edits, rest) = rest.split_at(rest.len().min(usize::from(edit_count % 64) * 3));
    let header = header(data);
    let mut any = header.encode().to_vec();
    any.extend_from_slice(rest);
    assert!(walk(&any, &header).is_empty(), "nobody can guess the salt");
    drop(judge(rest, &header));
    let good = good(&header, rest);
    let written = walk(&good, &header);
    assert_eq!(written.len(), RECORDS as usize);
    let mut bytes = good.clone();
    for edit in edits.chunks_exact(3) {
        let at = usize::from(u16::from_le_bytes([edit[0], edit[1]])) % (bytes.len() - SEGMENT_HEADER_LEN);
        bytes[SEGMENT_HEADER_LEN + at] ^= edit[2];
    }
    for (at, record) in walk(&bytes, &header) {
        assert!(written.contains(&(at, record)), "only what was written is read");
    }
    recover(&bytes, &header, &good);
});

/// The salt hangs on every byte of the input, so that no input can be fitted to it: a fuzzer
/// sees what is compared, an attacker does not.
fn header(data: &[u8]) -> SegmentHeader {
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    let digest = data.iter().fold(1_u128, |digest, byte| (digest ^ u128::from(*byte)).wrapping_mul(PRIME));
    let salt = Salt::from_random(digest.to_le_bytes());
    SegmentHeader { number: SegmentNumber::FIRST, salt, epoch: BootEpoch::FIRST, previous: None }
}

/// Goes through a segment, which must be covered without a gap; yields the good records.
fn walk<'b>(bytes: &'b [u8], header: &SegmentHeader) -> Vec<(LogOffset, Record<'b>)> {
    let mut records = Vec::new();
    let mut end = LogOffset::of_len(SEGMENT_HEADER_LEN);
    let mut scan = Scan::new(bytes, header);
    for found in scan.by_ref() {
        let (start, next) = match found {
            Found::Record { at, record } => {
                records.push((at, record));
                (at, at.after(record.entry.record_len()))
            }
            Found::Bad(span) => (span.start, span.end),
        };
        assert!(start == end && next > start && next.as_usize() <= bytes.len());
        end = next;
    }
    assert_eq!(scan.end(), end);
    assert!(bytes[end.as_usize()..].iter().all(|byte| *byte == 0));
    records
}

/// A segment with a bucket and sessions that hold pieces of `blob`.
fn good(header: &SegmentHeader, blob: &[u8]) -> Vec<u8> {
    let mut bytes = header.encode().to_vec();
    for number in 1..=RECORDS {
        let id = SessionId::from_random([number as u8; 16]);
        let image = SessionImage {
            id,
            bucket: BucketId::new(1),
            version: Version::first(BootEpoch::FIRST),
            deadline: JournalMillis::new(1_000),
            own_ttl: Ttl::from_secs(number),
            content_type: b"text/plain",
            blob: &blob[..blob.len().min(number as usize * 50)],
        };
        let name = BucketName::parse(b"cart").expect("a good name");
        let entry = match number {
            1 => Entry::Bucket { bucket: BucketId::new(1), name },
            5 => Entry::Delete(SessionId::from_random([3; 16])),
            _ => Entry::Create(image),
        };
        let origin =
            Origin { epoch: BootEpoch::FIRST, shard: ShardId::FIRST, sequence: Sequence::new(number) };
        encode(&mut bytes, &Record { origin, entry });
    }
    seal(&mut bytes[SEGMENT_HEADER_LEN..], &header.salt, LogOffset::of_len(SEGMENT_HEADER_LEN));
    bytes
}

/// What a folder with this segment alone gives back.
fn judge(bytes: &[u8], header: &SegmentHeader) -> Result<Recovery, RecoverError> {
    let surveyed = survey(header.number, bytes, ShardCount::ONE, |_| ShardId::FIRST);
    let terms = Terms { wall_now: UnixMillis::new(0), session_ttl: Ttl::MAX, downtime_max: Millis::ZERO };
    Recovery::judge(vec![surveyed], terms)
}

/// Without a synced position the log is a prefix: what is restored was written, to the byte.
fn recover(bytes: &[u8], header: &SegmentHeader, good: &[u8]) {
    let recovery = judge(bytes, header).expect("one segment of our format");
    assert!(!recovery.report().is_damaged(), "nothing was synced");
    let end = recovery.end().expect("the header is good").offset.as_usize();
    assert_eq!(bytes[..end], good[..end], "the log ends before the first edit");
    for session in recovery.plan(ShardId::FIRST).load(header.number, bytes).expect("the header is good") {
        assert_eq!(session.expect("nothing has changed since").image.bucket, BucketId::new(1));
    }
}
