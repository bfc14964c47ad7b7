//! What the journal costs a core and a restart: encoding and sealing a session's record, and
//! reading a log of a million sessions of 1 KiB back, on as many threads as there are CPUs,
//! from memory and from files that the page cache holds.
//!
//! `cargo bench --bench journal`; with `-- --test` the log has 10,000 sessions.

use std::fs;
use std::hint::black_box;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use seshun::journal::{
    Disk, Entry, Filing, JournalMillis, LogOffset, Origin, Position, Record, Recovery, Replay,
    ReplayProgress, ReplayTerms, Salt, SegmentHeader, SegmentNumber, Sequence, SessionImage, Survey, Terms,
    encode, seal, survey,
};
use seshun::types::{
    BootEpoch, BucketId, BucketName, Millis, SessionId, ShardCount, ShardId, Ttl, UnixMillis, Version,
};

/// The server's allocator: most of a restart is memory that is touched for the first time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const BLOB_BYTES: usize = 1024;
const SEGMENT_BYTES: usize = 64 * 1024 * 1024;

fn id(number: u64) -> SessionId {
    let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    SessionId::from_random((u128::from(mixed) << 64 | u128::from(mixed.rotate_left(23))).to_le_bytes())
}

fn record(number: u64, blob: &[u8]) -> Record<'_> {
    let image = SessionImage {
        id: id(number),
        bucket: BucketId::new(0),
        version: Version::first(BootEpoch::FIRST),
        deadline: JournalMillis::new(2_592_000_000),
        own_ttl: None,
        content_type: b"application/json",
        blob,
    };
    Record { origin: origin(number), entry: Entry::Update(image) }
}

fn origin(number: u64) -> Origin {
    Origin { epoch: BootEpoch::FIRST, shard: ShardId::FIRST, sequence: Sequence::new(number + 1) }
}

fn encoding(c: &mut Criterion) {
    let mut group = c.benchmark_group("journal");
    group.throughput(Throughput::Bytes(BLOB_BYTES as u64));
    let blob = vec![b'x'; BLOB_BYTES];
    let record = record(1, &blob);
    let salt = Salt::from_random([7; 16]);
    let mut buffer = Vec::new();
    group.bench_function("encode, 1 KiB", |b| {
        b.iter(|| {
            buffer.clear();
            black_box(encode(&mut buffer, black_box(&record)));
        });
    });
    group.bench_function("seal, 1 KiB", |b| {
        b.iter(|| seal(black_box(&mut buffer), &salt, LogOffset::new(4096)))
    });
    group.finish();
}

/// A log of so many sessions, each logged once, as files would hold it.
fn log_of(sessions: u64) -> Vec<Vec<u8>> {
    let mut segments: Vec<Vec<u8>> = Vec::new();
    let mut previous = None;
    let mut numbers = 0..=sessions;
    while !numbers.is_empty() {
        let number = SegmentNumber::new(segments.len() as u32 + 1).expect("a few segments");
        let salt = Salt::from_random([number.as_u32() as u8; 16]);
        let header = SegmentHeader { number, salt, epoch: BootEpoch::FIRST, previous };
        let mut bytes = Vec::with_capacity(SEGMENT_BYTES);
        bytes.extend_from_slice(&header.encode());
        let start = bytes.len();
        while bytes.len() + 2 * BLOB_BYTES < SEGMENT_BYTES
            && let Some(number) = numbers.next()
        {
            let blob = [number as u8; BLOB_BYTES];
            let name = BucketName::parse(b"bench").expect("a good name");
            let bucket = Entry::Bucket { bucket: BucketId::new(0), name };
            let first = Record { origin: origin(0), entry: bucket };
            encode(&mut bytes, &if number == 0 { first } else { record(number, &blob) });
        }
        seal(&mut bytes[start..], &salt, LogOffset::of_len(start));
        previous = Some(Position { segment: number, offset: LogOffset::of_len(bytes.len()) });
        segments.push(bytes);
    }
    segments
}

fn owner_of(id: SessionId, shards: ShardCount) -> ShardId {
    ShardId::new(u16::from(id.as_bytes()[0]) % shards.get())
}

/// Surveys all segments on so many threads.
fn survey_all(segments: &[Vec<u8>], shards: ShardCount) -> Vec<Survey> {
    let next = AtomicUsize::new(0);
    let take = || {
        let mut surveys = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(bytes) = segments.get(index) else { return surveys };
            let number = SegmentNumber::new(index as u32 + 1).expect("a few segments");
            surveys.push(survey(number, bytes, shards, |id| owner_of(id, shards)));
        }
    };
    thread::scope(|scope| {
        let threads: Vec<_> = shards.shards().map(|_| scope.spawn(take)).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("no panic")).collect()
    })
}

const TERMS: Terms = Terms {
    wall_now: UnixMillis::new(0),
    session_ttl: Ttl::MAX,
    downtime_max: Millis::from_secs(7 * 86_400),
};

/// Recovers the whole log; every blob is copied to its own allocation.
fn recover(segments: &[Vec<u8>], shards: ShardCount) -> Vec<Vec<Box<[u8]>>> {
    let recovery = Recovery::judge(survey_all(segments, shards), TERMS).expect("a good log");
    let load = |shard: ShardId| {
        let plan = recovery.plan(shard);
        let mut blobs = Vec::new();
        for (number, bytes) in recovery.segments().zip(segments) {
            for session in plan.load(number, bytes).expect("a good log") {
                blobs.push(Box::from(session.expect("a good record").image.blob));
            }
        }
        blobs
    };
    thread::scope(|scope| {
        let load = &load;
        let threads: Vec<_> = shards.shards().map(|shard| scope.spawn(move || load(shard))).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    })
}

/// Writes the log into a journal's folder.
fn save(segments: &[Vec<u8>], path: &Path) {
    drop(Disk::open(path).expect("a folder of our own"));
    for (bytes, index) in segments.iter().zip(1..) {
        let number = SegmentNumber::new(index).expect("a few segments");
        fs::write(path.join(number.file_name()), bytes).expect("a disk with room");
    }
}

/// As `recover`, from a folder: one thread reads, and each shard copies its own.
fn replay(path: &Path, shards: ShardCount) -> Vec<Vec<Box<[u8]>>> {
    let owner_of = |id| owner_of(id, shards);
    let filing = Filing { shards, owner_of: &owner_of };
    let terms = ReplayTerms { filing, terms: TERMS, threads: usize::from(shards.get()) };
    let replay = Replay::open(path, &terms, &ReplayProgress::new()).expect("a good log");
    let feeds = replay.feed(shards, 3, &Arc::default()).expect("a thread");
    thread::scope(|scope| {
        let recovery = replay.recovery();
        let threads = shards.shards().zip(feeds).map(|(shard, feed)| {
            scope.spawn(move || {
                let plan = recovery.plan(shard);
                let mut blobs = Vec::new();
                for segment in feed {
                    let segment = segment.expect("a good disk");
                    for session in plan.load(segment.number(), segment.bytes()).expect("a good log") {
                        blobs.push(Box::from(session.expect("a good record").image.blob));
                    }
                }
                blobs
            })
        });
        let threads: Vec<_> = threads.collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    })
}

fn recovery(c: &mut Criterion) {
    let is_test = std::env::args().any(|arg| arg == "--test");
    let sessions = if is_test { 10_000 } else { 1_000_000 };
    let cpus = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let shards = ShardCount::new(cpus as u16).unwrap_or(ShardCount::ONE);
    let segments = log_of(sessions);
    let mut group = c.benchmark_group("journal");
    group.sample_size(10);
    group.bench_function("survey, 1 M × 1 KiB", |b| b.iter(|| survey_all(&segments, shards).len()));
    group.bench_function("recover, 1 M × 1 KiB", |b| {
        b.iter_batched(
            || (),
            |()| {
                let blobs = recover(&segments, shards);
                assert_eq!(blobs.iter().map(Vec::len).sum::<usize>() as u64, sessions);
                blobs
            },
            BatchSize::PerIteration,
        );
    });
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("the build's folder takes another");
    save(&segments, folder.path());
    drop(segments);
    group.bench_function("replay a folder, 1 M × 1 KiB", |b| {
        b.iter_batched(
            || (),
            |()| {
                let blobs = replay(folder.path(), shards);
                assert_eq!(blobs.iter().map(Vec::len).sum::<usize>() as u64, sessions);
                blobs
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

criterion_group!(benches, encoding, recovery);
criterion_main!(benches);
