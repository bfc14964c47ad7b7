//! A bed of one node that keeps its sessions in a journal, whose threads write into a folder.
//!
//! For the test that counts allocations and for the count of instructions. Nothing in here waits
//! for the disk but [`settle`], so that whoever counts decides what is counted with it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use seshun::journal::{
    CoreJournal, Filing, Journal, JournalClock, JournalStart, Level, LogStart, Replay, ReplayProgress,
    ReplayTerms, RestartTerms, Salt, SyncPolicy, Terms,
};
use seshun::registry::{BucketState, Buckets};
use seshun::types::{ApiKey, BucketId, BucketName, ByteCount, Millis, Now, ShardCount, ShardId};

use crate::bed::{self, Bed};

/// A bed of one node that keeps its sessions in a journal over this empty folder, and the journal.
pub fn kept_bed(path: &Path, policy: SyncPolicy) -> (Bed, Journal) {
    let (journal, core, clock) = journal(path, policy);
    let name = BucketName::parse(b"cart").expect("a bucket's name");
    let key = Some(ApiKey::from_random(&[1; 32]));
    let states = vec![BucketState { id: BucketId::new(0), name, key }];
    let mut core = Some(core);
    let bed = Bed::over(1, Buckets { states, next: BucketId::new(1) }, |shard| {
        shard.keep_in(core.take().expect("one node"), clock, bed::ttl());
    });
    (bed, journal)
}

/// Waits until all that was logged has reached this level.
pub fn settle(bed: &Bed, level: Level) {
    let journal = bed.nodes[0].journal().expect("the bed is kept");
    while journal.reached(ShardId::FIRST, level) < journal.last() {
        thread::yield_now();
    }
}

/// A journal over an empty folder, the one core's side of it, and its clock.
fn journal(path: &Path, policy: SyncPolicy) -> (Journal, CoreJournal, JournalClock) {
    let filing = Filing { shards: ShardCount::ONE, owner_of: &|_| ShardId::FIRST };
    let terms =
        Terms { wall_now: bed::now().wall, session_ttl: bed::ttl(), downtime_max: Millis::from_secs(1) };
    let replay = Replay::open(path, &ReplayTerms { filing, terms, threads: 1 }, &ReplayProgress::new())
        .expect("an empty folder is a good one");
    let clock = JournalClock::new(replay.recovery().boot_time(), bed::now().moment);
    let terms = RestartTerms {
        policy,
        shards: ShardCount::ONE,
        journal_time: replay.recovery().boot_time(),
        live: ByteCount::ZERO,
        record_len_max: ByteCount::from_mib(2),
        draw_salt: Box::new(|| Salt::from_random([5; 16])),
    };
    let start = JournalStart {
        storage: replay.disk().clone(),
        log: LogStart::behind(replay.recovery(), replay.kept_segments(), terms),
        wake: Box::new(|_| {}),
        clock: next_millisecond,
        stopwatch: || Duration::ZERO,
        metrics: Arc::default(),
    };
    let (journal, mut cores) = Journal::start(start).expect("a folder with room");
    (journal, cores.pop().expect("one core a shard"), clock)
}

/// The time of the journal's threads, a millisecond later each time it is asked for: valgrind, under
/// which the vDSO cannot be read as the server reads it, is not asked for the time. When they sync
/// does not matter to what is counted.
fn next_millisecond() -> Now {
    static READINGS: AtomicU64 = AtomicU64::new(0);
    let passed = Millis::new(READINGS.fetch_add(1, Ordering::Relaxed));
    Now { moment: bed::now().moment.after(passed), ..bed::now() }
}
