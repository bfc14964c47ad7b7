//! A shard that writes to a real journal in a real folder, and what a folder gives back.
//!
//! It does one operation after the other, waits until each is written, and copies when it is
//! asked to; so segments are filled, cleaned and removed within moments. All that it ever did
//! is known, so that any folder can be judged: it must hold a state that the shard once had.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::IoSlice;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, bounded};
use rustix::time::{ClockId, clock_gettime};

use super::disk::Disk;
use super::handle::CoreJournal;
use super::log::{LogStart, SyncPolicy};
use super::progress::Level;
use super::record::tests::{Random, id, image, name};
use super::record::{Entry, session_record_len};
use super::replay::{Filing, Replay, ReplayProgress, ReplayTerms};
use super::room::Need;
use super::seal::Salt;
use super::storage::{SegmentFile, Storage, StorageError};
use super::tests::terms;
use super::units::{JournalMillis, SegmentNumber};
use super::writer::{Journal, JournalStart, StartError};
use crate::types::{BucketId, ByteCount, Millis, Moment, Now, SessionId, ShardCount, ShardId, UnixMillis};

/// Sessions that a shard speaks of.
const KEYS: u64 = 30;
/// The longest blob, in bytes.
const BLOB_LEN_MAX: usize = 3_000;

/// A real folder whose segments are short, so that a test passes through many.
#[derive(Clone)]
pub struct ShortDisk {
    pub disk: Disk,
    pub segment_len: ByteCount,
}

impl Storage for ShortDisk {
    type File = Arc<File>;

    fn list(&self) -> Result<Vec<SegmentFile>, StorageError> {
        self.disk.list()
    }

    fn create(&self, number: SegmentNumber, len: ByteCount) -> Result<Arc<File>, StorageError> {
        self.disk.create(number, len)
    }

    fn open(&self, number: SegmentNumber) -> Result<Arc<File>, StorageError> {
        self.disk.open(number)
    }

    fn extend(&self, file: &Arc<File>, len: ByteCount) -> Result<(), StorageError> {
        self.disk.extend(file, len)
    }

    fn write_at(&self, file: &Arc<File>, offset: u64, parts: &[IoSlice<'_>]) -> Result<(), StorageError> {
        self.disk.write_at(file, offset, parts)
    }

    fn read_at(&self, file: &Arc<File>, offset: u64, into: &mut [u8]) -> Result<usize, StorageError> {
        self.disk.read_at(file, offset, into)
    }

    fn truncate(&self, file: &Arc<File>, len: ByteCount) -> Result<(), StorageError> {
        self.disk.truncate(file, len)
    }

    fn sync(&self, file: &Arc<File>) -> Result<(), StorageError> {
        self.disk.sync(file)
    }

    fn sync_directory(&self) -> Result<(), StorageError> {
        self.disk.sync_directory()
    }

    fn unlink(&self, number: SegmentNumber) -> Result<(), StorageError> {
        self.disk.unlink(number)
    }

    fn unlink_slowly(&self, number: SegmentNumber) -> Result<(), StorageError> {
        self.disk.unlink_slowly(number)
    }

    fn free(&self) -> Result<ByteCount, StorageError> {
        self.disk.free()
    }

    fn segment_len(&self) -> Result<ByteCount, StorageError> {
        Ok(self.segment_len)
    }
}

/// The machine's clocks.
pub fn clock() -> Now {
    let millis = |time: rustix::time::Timespec| (time.tv_sec * 1_000 + time.tv_nsec / 1_000_000) as u64;
    Now {
        moment: Moment::from_millis(millis(clock_gettime(ClockId::Boottime))),
        wall: UnixMillis::new(millis(clock_gettime(ClockId::Realtime))),
    }
}

/// Recovers the folder at `path`, as a start does at a time when nothing is due.
pub fn replay(path: &Path) -> Replay {
    let filing = Filing { shards: ShardCount::ONE, owner_of: &|_| ShardId::FIRST };
    Replay::open(path, &ReplayTerms { filing, terms: terms(), threads: 2 }, &ReplayProgress::new()).unwrap()
}

/// The sessions that a recovered folder gives back, by key, with their versions. Every blob is
/// the one of its version.
pub fn sessions(replay: &Replay) -> BTreeMap<u64, u64> {
    let keys: BTreeMap<SessionId, u64> = (0..KEYS).map(|key| (id(key), key)).collect();
    let plan = replay.recovery().plan(ShardId::FIRST);
    let mut sessions = BTreeMap::new();
    for segment in replay.feed(ShardCount::ONE, 1, &Arc::default()).unwrap().remove(0) {
        let segment = segment.unwrap();
        for restored in plan.load(segment.number(), segment.bytes()).unwrap() {
            let image = restored.unwrap().image;
            assert_eq!(image.blob, blob(image.version.as_u64()));
            sessions.insert(keys[&image.id], image.version.as_u64());
        }
    }
    sessions
}

fn blob(version: u64) -> Vec<u8> {
    vec![version as u8; version.wrapping_mul(0x9e37_79b9) as usize % BLOB_LEN_MAX]
}

/// What a shard has done, operation by operation: which session it gave which version, which
/// is the operation's own number, or took away.
#[derive(Clone, Default, Debug)]
pub struct History(Vec<(u64, Option<u64>)>);

impl History {
    /// Whether a shard that has done this had just these sessions at some point after `from`
    /// operations and no later than after `to`.
    pub fn had(&self, sessions: &BTreeMap<u64, u64>, from: u64, to: u64) -> bool {
        let mut state = BTreeMap::new();
        let mut done = 0;
        for (key, version) in &self.0 {
            if done >= from && state == *sessions {
                return true;
            }
            match version {
                Some(version) => state.insert(*key, *version),
                None => state.remove(key),
            };
            done += 1;
            if done > to {
                return false;
            }
        }
        state == *sessions
    }
}

/// How far a shard is, for other threads.
#[derive(Default, Debug)]
pub struct Count {
    /// Operations that were begun.
    pub begun: AtomicU64,
    /// Operations that were acknowledged: `told <= begun`
    pub told: AtomicU64,
}

struct Live {
    version: u64,
    /// Its newest whole record lies in this segment or above.
    log_segment: SegmentNumber,
}

/// A shard and its journal.
pub struct LiveShard {
    journal: Journal,
    core: CoreJournal,
    bell: Receiver<()>,
    random: Random,
    live: BTreeMap<u64, Live>,
    /// The cut that it has copied everything for.
    copied_below: Option<SegmentNumber>,
    /// What was written to at the last turn's end.
    segment: SegmentNumber,
    history: History,
    count: Arc<Count>,
}

impl LiveShard {
    /// Starts over an empty folder, with segments of this many KiB.
    pub fn start(path: &Path, policy: SyncPolicy, segment_kib: u64) -> Self {
        let replay = replay(path);
        assert_eq!(replay.recovery().end(), None, "the folder is empty");
        Self::over(&replay, policy, segment_kib)
    }

    /// Starts over what a folder holds; only what is done from here on is known.
    pub fn over(replay: &Replay, policy: SyncPolicy, segment_kib: u64) -> Self {
        Self::try_over(replay, policy, segment_kib).unwrap()
    }

    /// As [`LiveShard::over`], where it may be refused.
    pub fn try_over(replay: &Replay, policy: SyncPolicy, segment_kib: u64) -> Result<Self, StartError> {
        let recovery = replay.recovery();
        let (ring, bell) = bounded(1);
        let mut salt = recovery.next_epoch().as_u32() as u8;
        let log = LogStart {
            policy,
            shards: ShardCount::ONE,
            segments: replay.kept_segments(),
            condemned: recovery.unlink().to_vec(),
            next: recovery.next_segment(),
            continues: recovery.end(),
            synced: recovery.synced(),
            is_damaged: recovery.report().is_damaged(),
            epoch: recovery.next_epoch(),
            journal_time: JournalMillis::new(0),
            live: ByteCount::ZERO,
            record_len_max: ByteCount::of_len(session_record_len(100, BLOB_LEN_MAX)),
            draw_salt: Box::new(move || {
                salt = salt.wrapping_add(7);
                Salt::from_random([salt; 16])
            }),
        };
        let wake = Box::new(move |_| {
            // A bell that rings already is enough.
            let _ = ring.try_send(());
        });
        let storage =
            ShortDisk { disk: replay.disk().clone(), segment_len: ByteCount::from_kib(segment_kib) };
        let (journal, cores) = Journal::start(JournalStart {
            storage,
            log,
            wake,
            clock,
            stopwatch: std::time::Duration::default,
            metrics: Arc::default(),
        })?;
        let mut shard = Self {
            journal,
            core: cores.into_iter().next().unwrap(),
            bell,
            random: Random(segment_kib),
            live: BTreeMap::new(),
            copied_below: None,
            segment: recovery.next_segment(),
            history: History::default(),
            count: Arc::default(),
        };
        shard.log_bucket();
        assert!(shard.core.hand_over());
        Ok(shard)
    }

    /// One operation, and copies where they are asked for; returns once it is written.
    pub fn turn(&mut self) {
        let key = self.random.below(KEYS);
        let version = self.history.0.len() as u64 + 1;
        self.count.begun.store(version, Ordering::SeqCst);
        let is_removal = self.random.below(4) == 0 && self.live.contains_key(&key);
        let sequence = if is_removal {
            self.history.0.push((key, None));
            self.live.remove(&key);
            self.core.log(Entry::Delete(id(key)))
        } else {
            self.history.0.push((key, Some(version)));
            self.log_whole(key, version)
        };
        self.copy();
        let live: usize =
            self.live.values().map(|live| session_record_len(10, blob(live.version).len())).sum();
        self.core.set_live(ByteCount::of_len(live), None);
        assert!(self.core.hand_over());
        self.wait(sequence);
        self.count.told.store(version, Ordering::SeqCst);
        let segment = self.segment();
        if std::mem::replace(&mut self.segment, segment) != segment {
            // A real segment takes much longer to fill than to make and to remove.
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Does one operation after the other while `beside` runs; then ends in order.
    pub fn run_beside<T>(mut self, beside: impl FnOnce(&Count) -> T) -> (T, History) {
        /// Also where what runs beside it panics: nobody would wait for the end else.
        struct EndAtDrop<'e>(&'e AtomicBool);
        impl Drop for EndAtDrop<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::SeqCst);
            }
        }
        let (count, is_over) = (Arc::clone(&self.count), AtomicBool::new(false));
        thread::scope(|scope| {
            let end = EndAtDrop(&is_over);
            let writing = scope.spawn(|| {
                while !is_over.load(Ordering::SeqCst) {
                    self.turn();
                }
                self.stop()
            });
            let outcome = beside(&count);
            drop(end);
            (outcome, writing.join().unwrap())
        })
    }

    /// Ends in order.
    pub fn stop(self) -> History {
        // The core goes last: a journal whose cores are gone was abandoned.
        self.journal.shut_down(Millis::from_secs(20)).unwrap();
        drop(self.core);
        self.history
    }

    /// What the journal writes to now.
    pub fn segment(&self) -> SegmentNumber {
        self.core.progress().segment()
    }

    fn wait(&self, sequence: super::units::Sequence) {
        loop {
            self.core.announce(Level::Written);
            if self.core.reached(ShardId::FIRST, Level::Written) >= sequence {
                return;
            }
            self.bell.recv_timeout(Duration::from_secs(20)).expect("a core that waits is woken");
        }
    }

    fn log_whole(&mut self, key: u64, version: u64) -> super::units::Sequence {
        let log_segment = self.core.progress().segment();
        let blob = blob(version);
        let len = ByteCount::of_len(session_record_len(10, blob.len()));
        while self.core.reserve(Need::Reserve, len).is_err() {
            thread::sleep(Duration::from_millis(1));
        }
        self.live.insert(key, Live { version, log_segment });
        self.core.log(Entry::Update(image(key, version, &blob)))
    }

    fn log_bucket(&mut self) {
        self.core.log(Entry::Bucket { bucket: BucketId::new(3), name: name("cart") });
    }

    fn copy(&mut self) {
        let Some(below) = self.core.progress().cut().filter(|cut| self.copied_below != Some(*cut)) else {
            return;
        };
        let old = self.live.iter().filter(|(_, live)| live.log_segment < below);
        let old: Vec<(u64, u64)> = old.map(|(key, live)| (*key, live.version)).collect();
        for (key, version) in old {
            self.log_whole(key, version);
        }
        self.log_bucket();
        self.core.report_copied(below);
        self.copied_below = Some(below);
    }
}
