//! The store at a million sessions and the wheel alone at ten million entries.
//!
//! `cargo bench --bench store` times them; with `-- --test` everything runs once over ten
//! thousand entries, which is for CI. `cargo bench --bench store -- memory` prints instead
//! what a session of 1 KiB costs over its data, by the store's own count and by the
//! system's, with the allocator that the server runs on.

#![allow(missing_docs, clippy::print_stdout)]

use std::borrow::Cow;
use std::hint::black_box;
use std::sync::Arc;

use criterion::{BatchSize, Criterion, Throughput};
use mimalloc::MiMalloc;
use seshun::store::wheel::{Link, Links, Wheel};
use seshun::store::{Found, Handle, IdHasher, Lease, MemoryPool, NewSession, Replacement, Settings, Store};
use seshun::types::{BootEpoch, BucketId, ByteCount, Deadline, Moment, SessionId, Ttl};

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

const BUCKET: BucketId = BucketId::new(1);
const START: Moment = Moment::from_millis(0);
/// What one turn of a core expires at most.
const TURN_BUDGET: usize = 256;

/// Whether criterion runs each bench once only: cargo passes `--bench` to time them.
fn is_test() -> bool {
    let is_given = |name| std::env::args().any(|argument| argument == name);
    is_given("--test") || !is_given("--bench")
}

fn count(full: u64) -> u64 {
    if is_test() { 10_000 } else { full }
}

/// SplitMix64: the `number`-th of a fixed row of random numbers.
fn random(number: u64) -> u64 {
    let mixed = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

fn id(number: u64) -> SessionId {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&random(2 * number).to_le_bytes());
    bytes[8..].copy_from_slice(&random(2 * number + 1).to_le_bytes());
    SessionId::from_random(bytes)
}

fn days(days: u64) -> Ttl {
    Ttl::from_secs(days * 86_400).expect("less than ten years")
}

fn empty_store() -> Store {
    let pool = Arc::new(MemoryPool::new(ByteCount::from_mib(64 * 1024)));
    let settings = Settings { ttl: days(30), epoch: BootEpoch::FIRST };
    Store::new(settings, IdHasher::with_seed(1), START, Lease::new(pool))
}

fn create(store: &mut Store, now: Moment, number: u64, data: &[u8]) {
    let (data, content_type) = (Cow::Borrowed(data), b"application/json".as_slice());
    let new = NewSession { id: id(number), bucket: BUCKET, own_ttl: None, data, content_type };
    assert!(store.create(now, new).is_ok(), "there is room, and ids differ");
}

/// `len` sessions, created over as many milliseconds.
fn filled_store(len: u64, data_len: usize) -> Store {
    let (mut store, data) = (empty_store(), vec![7; data_len]);
    (0..len).for_each(|number| create(&mut store, Moment::from_millis(number), number, &data));
    store
}

fn find(store: &Store, now: Moment, number: u64) -> Handle {
    match store.find(now, BUCKET, id(number)) {
        Found::Live(handle) => handle,
        other => panic!("it was created and is not due: {other:?}"),
    }
}

fn store(criterion: &mut Criterion) {
    let len = count(1_000_000);
    let now = Moment::from_millis(len);
    let mut filled = filled_store(len, 1024);
    let mut numbers = (0..).map(|turn| random(turn) % len);
    let mut next = move || numbers.next().unwrap_or_default();
    let data = [8; 1024];

    let mut group = criterion.benchmark_group("store");
    group.throughput(Throughput::Elements(1));
    group.bench_function("read", |bencher| {
        bencher.iter(|| {
            let handle = find(&filled, now, next());
            black_box(filled.view(handle).data.last().copied())
        });
    });
    group.bench_function("read and touch", |bencher| {
        bencher.iter(|| {
            let handle = find(&filled, now, next());
            filled.touch(handle, filled.deadline_after_touch(now, handle));
            black_box(filled.view(handle).data.last().copied())
        });
    });
    group.bench_function("replace", |bencher| {
        bencher.iter(|| {
            let handle = find(&filled, now, next());
            let content_type = b"application/json".as_slice();
            let new = Replacement { own_ttl: None, data: Cow::Borrowed(&data), content_type };
            filled.replace(now, handle, new)
        });
    });
    group.bench_function("remove and create", |bencher| {
        bencher.iter(|| {
            let number = next();
            let handle = find(&filled, now, number);
            filled.remove(handle);
            create(&mut filled, now, number, &data);
        });
    });
    group.finish();
    drop(filled);
    store_life(criterion, len);
}

/// From empty to full and, when all are due, to empty again.
fn store_life(criterion: &mut Criterion, len: u64) {
    let data = [8; 1024];
    let mut group = criterion.benchmark_group("store");
    group.sample_size(10).throughput(Throughput::Elements(len));
    group.bench_function("create from empty", |bencher| {
        bencher.iter_batched(
            empty_store,
            |mut store| {
                (0..len).for_each(|number| create(&mut store, Moment::from_millis(number), number, &data));
                store
            },
            BatchSize::PerIteration,
        );
    });
    group.bench_function("expire all", |bencher| {
        let due = Moment::from_millis(2 * len).after(days(30).as_millis());
        bencher.iter_batched(
            || filled_store(len, 1024),
            |mut store| {
                while store.advance(due, TURN_BUDGET, |_| ()).more_due {}
                assert!(store.is_empty(), "all were due");
                store
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

/// As large as a store's entry, so that links lie as far apart as they do there.
#[derive(Clone)]
struct Entry {
    link: Link,
    deadline: Deadline,
    _rest: [u64; 8],
}

const _: () = assert!(size_of::<Entry>() == 80);

#[derive(Clone)]
struct Entries(Vec<Entry>);

impl Links for Entries {
    fn link(&self, index: u32) -> Link {
        self.0[index as usize].link
    }

    fn link_mut(&mut self, index: u32) -> &mut Link {
        &mut self.0[index as usize].link
    }
}

/// A deadline within thirty days, other than last time for another `round`.
fn some_deadline(index: u32, round: u64) -> Deadline {
    let month_millis = days(30).as_millis().as_u64();
    Deadline::at(Moment::from_millis(1 + random(u64::from(index) + (round << 32)) % month_millis))
}

fn filled_wheel(len: u64) -> (Wheel, Entries) {
    let entry = |index| Entry { link: Link::UNFILED, deadline: some_deadline(index, 0), _rest: [0; 8] };
    let mut entries = Entries((0..len as u32).map(entry).collect());
    let mut wheel = Wheel::new(START);
    for index in 0..len as u32 {
        let deadline = entries.0[index as usize].deadline;
        wheel.file(&mut entries, index, deadline);
    }
    (wheel, entries)
}

fn wheel(criterion: &mut Criterion) {
    let len = count(10_000_000);
    let (mut wheel, mut entries) = filled_wheel(len);
    let mut turn = 0;
    let mut next = || {
        turn += 1;
        (random(turn) % len) as u32
    };

    let mut group = criterion.benchmark_group("wheel");
    group.throughput(Throughput::Elements(1));
    group.bench_function("unlink and file", |bencher| {
        bencher.iter(|| {
            let index = next();
            wheel.unlink(&mut entries, index);
            let deadline = entries.0[index as usize].deadline;
            wheel.file(&mut entries, index, deadline);
        });
    });
    group.sample_size(10).throughput(Throughput::Elements(len));
    group.bench_function("file again all that fire in 30 days", |bencher| {
        let later = |entry: &mut Entry| entry.deadline = Deadline::after(entry.deadline.moment(), days(30));
        bencher.iter_batched(
            || {
                let (wheel, mut entries) = filled_wheel(len);
                entries.0.iter_mut().for_each(later);
                (wheel, entries)
            },
            |(wheel, entries)| drain(wheel, entries, 0),
            BatchSize::PerIteration,
        );
    });
    group.bench_function("advance until all are due", |bencher| {
        bencher.iter_batched(
            || filled_wheel(len),
            |(wheel, entries)| drain(wheel, entries, len),
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

/// Runs 30 days in steps of an hour; `expected` entries are due in that time.
fn drain(mut wheel: Wheel, mut entries: Entries, expected: u64) -> (Wheel, Entries) {
    let mut due = 0;
    for hour in 1..=30 * 24 {
        let now = Moment::from_millis(hour * 3_600_000);
        while let Some(index) = wheel.next_fired(&mut entries, now) {
            let deadline = entries.0[index as usize].deadline;
            if deadline.is_due(now) {
                due += 1;
            } else {
                wheel.file(&mut entries, index, deadline);
            }
        }
    }
    assert_eq!(due, expected);
    (wheel, entries)
}

/// What the system has given to this process, in bytes.
fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().unwrap_or_default();
    kib * 1024
}

fn print_memory() {
    println!("bytes a session over 1,024 bytes of data: by the store's count, by the system's");
    let resident_before = resident_bytes();
    let mut store = empty_store();
    let counted_before = store.bytes().as_u64();
    let data = [7; 1024];
    for number in 0..1_200_000 {
        create(&mut store, Moment::from_millis(number), number, &data);
        if (number + 1) % 100_000 == 0 {
            print_overhead(&store, counted_before, resident_before);
        }
    }
    println!("after as many of them, chosen at random, were removed and created again");
    for turn in 0..1_200_000 {
        let (now, number) = (Moment::from_millis(1_200_000), random(turn) % 1_200_000);
        let handle = find(&store, now, number);
        store.remove(handle);
        create(&mut store, now, number, &data);
    }
    print_overhead(&store, counted_before, resident_before);
}

fn print_overhead(store: &Store, counted_before: u64, resident_before: u64) {
    let over_data = |bytes: u64| bytes as f64 / store.len() as f64 - 1024.0;
    let counted = over_data(store.bytes().as_u64() - counted_before);
    let resident = over_data(resident_bytes() - resident_before);
    println!("{:>9} sessions: {counted:6.1} {resident:6.1}", store.len());
}

fn main() {
    // As the server does.
    seshun::runtime::allocator::prepare();
    if std::env::args().any(|argument| argument == "memory") {
        print_memory();
        return;
    }
    let mut criterion = Criterion::default().configure_from_args();
    store(&mut criterion);
    wheel(&mut criterion);
    criterion.final_summary();
}
