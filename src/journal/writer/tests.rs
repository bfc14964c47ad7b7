//! The threads over a real folder: who is woken, what is kept, how they end.

use std::fs::File;
use std::io::{self, IoSlice};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::super::disk::Disk;
use super::super::live::{LiveShard, clock, replay, sessions};
use super::super::record::{Entry, decode};
use super::super::room::{Need, NoRoom};
use super::super::seal::Salt;
use super::super::segment::{SEGMENT_HEADER_LEN, SegmentHeader};
use super::super::small_disk::SmallDisk;
use super::super::storage::SegmentFile;
use super::super::units::{JournalMillis, LogOffset, SegmentNumber, Sequence};
use super::*;
use crate::types::{BootEpoch, ByteCount, SessionId, ShardCount, ShardId};

/// A real folder whose syncs fail from a switch on.
#[derive(Clone)]
struct Faulty {
    disk: Disk,
    fails: Arc<AtomicBool>,
    syncs: Arc<AtomicU64>,
}

impl Storage for Faulty {
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
        self.syncs.fetch_add(1, Ordering::Relaxed);
        if self.fails.load(Ordering::Relaxed) {
            return Err(StorageError::new("sync", io::Error::other("simulated")));
        }
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

    /// Short, so that a test passes through several.
    fn segment_len(&self) -> Result<ByteCount, StorageError> {
        Ok(ByteCount::from_kib(256))
    }
}

/// A journal in a folder of its own, and the doorbells of its cores.
struct Rig {
    _folder: tempfile::TempDir,
    storage: Faulty,
    journal: Journal,
    cores: Vec<(CoreJournal, Receiver<()>)>,
    metrics: Arc<JournalMetrics>,
}

fn rig(policy: SyncPolicy, shards: u16) -> Rig {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::open(folder.path()).unwrap();
    let storage = Faulty { disk, fails: Arc::default(), syncs: Arc::default() };
    let (rings, bells): (Vec<_>, Vec<_>) = (0..shards).map(|_| bounded(1)).unzip();
    let mut salt = 0;
    let log = LogStart {
        policy,
        shards: ShardCount::new(shards).unwrap(),
        segments: Vec::new(),
        condemned: Vec::new(),
        next: SegmentNumber::FIRST,
        continues: None,
        synced: None,
        is_damaged: false,
        epoch: BootEpoch::new(3).unwrap(),
        journal_time: JournalMillis::new(0),
        live: ByteCount::from_kib(1),
        record_len_max: ByteCount::from_kib(4),
        draw_salt: Box::new(move || {
            salt += 1;
            Salt::from_random([salt; 16])
        }),
    };
    let wake = Box::new(move |shard: ShardId| {
        // A bell that rings already is enough.
        let _ = rings[shard.index()].try_send(());
    });
    let metrics = Arc::<JournalMetrics>::default();
    let start = JournalStart {
        storage: storage.clone(),
        log,
        wake,
        clock,
        stopwatch: Duration::default,
        metrics: Arc::clone(&metrics),
    };
    let (journal, cores) = Journal::start(start).unwrap();
    Rig { _folder: folder, storage, journal, cores: cores.into_iter().zip(bells).collect(), metrics }
}

fn touch(random: u64) -> Entry<'static> {
    Entry::Expire(SessionId::from_bytes(u128::from(random).to_le_bytes()))
}

fn delete(random: u64) -> Entry<'static> {
    Entry::Delete(SessionId::from_bytes(u128::from(random).to_le_bytes()))
}

/// As a core does: sleeps until its shard has come this far. A lost wake-up fails the test.
fn wait(core: &CoreJournal, bell: &Receiver<()>, shard: ShardId, sequence: Sequence, level: Level) {
    loop {
        core.announce(level);
        if core.reached(shard, level) >= sequence {
            return;
        }
        bell.recv_timeout(Duration::from_secs(20)).expect("a core that waits is woken");
    }
}

/// How many records of each shard a folder holds, all of them whole and in order.
fn count_records(storage: &Faulty, shards: usize) -> Vec<u64> {
    let mut counts = vec![0; shards];
    for segment in storage.list().unwrap() {
        let mut bytes = vec![0; segment.len.as_usize()];
        storage.read_at(&storage.open(segment.number).unwrap(), 0, &mut bytes).unwrap();
        let Ok(header) = SegmentHeader::decode(&bytes, segment.number) else { continue };
        let mut at = SEGMENT_HEADER_LEN;
        while let Ok((record, len)) = decode(&bytes[at..], &header.salt.marks(LogOffset::of_len(at))) {
            at += len;
            if let Some(count) = counts.get_mut(record.origin.shard.index()) {
                *count += 1;
                assert_eq!(record.origin.sequence.as_u64(), *count);
                assert_eq!(record.origin.epoch, BootEpoch::new(3).unwrap());
            }
        }
    }
    counts
}

#[test]
fn every_core_is_woken_for_what_it_waits_for_and_nothing_is_missing() {
    const TURNS: u64 = 2_000;
    for policy in [SyncPolicy::EverySecond, SyncPolicy::Always] {
        let Rig { _folder, storage, journal, cores, .. } = rig(policy, 3);
        let last: Vec<CoreJournal> = thread::scope(|scope| {
            let turns = cores.into_iter().enumerate().map(|(index, (mut core, bell))| {
                scope.spawn(move || {
                    let shard = ShardId::new(index as u16);
                    for turn in 0..TURNS {
                        core.reserve(Need::Reserve, ByteCount::new(300)).unwrap();
                        core.log(touch(turn));
                        let sequence = core.log(touch(turn));
                        assert!(core.hand_over());
                        wait(&core, &bell, shard, sequence, core.level_of(&touch(turn)));
                    }
                    core
                })
            });
            let turns: Vec<_> = turns.collect();
            turns.into_iter().map(|core| core.join().unwrap()).collect()
        });
        journal.shut_down(Millis::from_secs(20)).unwrap();
        assert_eq!(count_records(&storage, 3), [2 * TURNS; 3], "{policy:?}");
        drop(last);
    }
}

#[test]
fn what_lies_on_the_disk_is_shown_before_anything_happens() {
    let rig = rig(SyncPolicy::EverySecond, 2);
    assert_eq!(rig.metrics.read(JournalFigure::Segments), 1);
    assert!(rig.metrics.read(JournalFigure::SegmentBytes) > 0);
    assert_eq!(rig.metrics.read(JournalFigure::LiveBytes), 1024);
}

#[test]
fn a_removal_is_synced_without_waiting_for_the_second() {
    let mut rig = rig(SyncPolicy::EverySecond, 2);
    let (mut core, bell) = rig.cores.remove(0);
    let (other, other_bell) = rig.cores.remove(0);
    let sequence = core.log(delete(1));
    assert_eq!(core.level_of(&delete(1)), Level::Synced);
    assert!(core.hand_over());
    wait(&core, &bell, ShardId::FIRST, sequence, Level::Synced);
    wait(&other, &other_bell, ShardId::FIRST, sequence, Level::Synced);
    assert_eq!(rig.journal.progress().reached(ShardId::FIRST, Level::Written), sequence);
    assert!(rig.storage.syncs.load(Ordering::Relaxed) > 0);
}

#[test]
fn a_shutdown_syncs_what_nobody_waited_for() {
    let mut rig = rig(SyncPolicy::EverySecond, 1);
    let (core, _) = &mut rig.cores[0];
    for turn in 0..1_000 {
        core.log(touch(turn));
    }
    assert!(core.hand_over());
    let Rig { _folder, storage, journal, cores, .. } = rig;
    journal.shut_down(Millis::from_secs(20)).unwrap();
    assert_eq!(cores[0].0.reached(ShardId::FIRST, Level::Synced), Sequence::new(1_000));
    assert_eq!(count_records(&storage, 1), [1_000]);
}

#[test]
fn a_disk_that_syncs_no_more_poisons_wakes_all_and_acknowledges_nothing() {
    for policy in [SyncPolicy::EverySecond, SyncPolicy::Always] {
        let mut rig = rig(policy, 2);
        let (mut core, bell) = rig.cores.remove(0);
        rig.storage.fails.store(true, Ordering::Relaxed);
        core.log(delete(1));
        assert!(core.hand_over());
        while rig.journal.progress().condition() != Condition::Poisoned {
            bell.recv_timeout(Duration::from_secs(20)).expect("poison wakes every core");
        }
        assert!(rig.metrics.has_failed(), "whoever sees it can also read it");
        rig.cores[0].1.recv_timeout(Duration::from_secs(20)).expect("the other one too");
        assert_eq!(core.reached(ShardId::FIRST, Level::Synced), Sequence::NONE, "{policy:?}");
        assert_eq!(core.reserve(Need::Reserve, ByteCount::new(1)), Err(NoRoom::Failed));
        assert_eq!(rig.journal.shut_down(Millis::new(100)), Err(NotSettled));
    }
}

#[test]
fn room_that_was_reserved_and_not_used_goes_back_at_the_turns_end() {
    let mut rig = rig(SyncPolicy::EverySecond, 1);
    let (core, _) = &mut rig.cores[0];
    for _ in 0..10_000 {
        // More in all than the log has room for.
        core.reserve(Need::Ordinary, ByteCount::from_kib(100)).unwrap();
        assert!(core.hand_over());
    }
    assert!(core.reserve(Need::Ordinary, ByteCount::from_mib(1)).is_err());
}

#[test]
fn a_journal_that_is_dropped_tells_those_who_wait() {
    let mut rig = rig(SyncPolicy::EverySecond, 1);
    let (core, bell) = rig.cores.remove(0);
    drop(rig.journal);
    while core.progress().condition() != Condition::Poisoned {
        bell.recv_timeout(Duration::from_secs(20)).expect("the end wakes every core");
    }
    assert!(rig.metrics.has_failed());
}

/// A journal's folder on a small disk, with a history in it, which was left by a kill.
fn killed_on(small: &SmallDisk) -> std::path::PathBuf {
    let data = small.path().join("data");
    let mut shard = LiveShard::start(&data, SyncPolicy::EverySecond, 64);
    (0..200).for_each(|_| shard.turn());
    drop(shard);
    data
}

#[test]
fn a_start_on_a_disk_that_is_full_to_the_last_block_gives_up_its_own_spares() {
    let Some(small) = SmallDisk::mount(2_048) else { return };
    let data = killed_on(&small);
    small.fill();
    let before = sessions(&replay(&data));
    // The spares of the last start make the room for the first segment of this one.
    let mut shard = LiveShard::over(&replay(&data), SyncPolicy::EverySecond, 64);
    (0..20).for_each(|_| shard.turn());
    shard.stop();
    assert!(before.len() > 10 && sessions(&replay(&data)).len() > 10);
}

#[test]
fn a_start_on_a_full_disk_with_nothing_to_give_up_is_refused_with_what_it_needs() {
    let Some(small) = SmallDisk::mount(2_048) else { return };
    let data = killed_on(&small);
    let killed = replay(&data);
    for spare in killed.recovery().unlink() {
        std::fs::remove_file(data.join(spare.file_name())).unwrap();
    }
    // Nor is there a blank end: the last segment was full.
    let end = killed.recovery().end().unwrap();
    let last = File::options().write(true).open(data.join(end.segment.file_name())).unwrap();
    last.set_len(end.offset.as_u64()).unwrap();
    drop((killed, last));
    small.fill();
    let before = sessions(&replay(&data));
    for _ in 0..2 {
        let refused = LiveShard::try_over(&replay(&data), SyncPolicy::EverySecond, 64).map(drop).unwrap_err();
        assert!(matches!(refused, StartError::NoSpace(_)), "{refused}");
        let text = refused.to_string();
        assert!(text.contains("it needs 65536 bytes") && text.contains("start again"), "{text}");
    }
    assert_eq!(sessions(&replay(&data)), before, "and nothing has changed");
    small.empty();
    LiveShard::over(&replay(&data), SyncPolicy::EverySecond, 64).stop();
    assert_eq!(sessions(&replay(&data)), before);
}

#[test]
fn a_disk_that_fills_up_is_cleaned_out_of_the_reserve_and_nothing_is_lost() {
    let Some(small) = SmallDisk::mount(2_048) else { return };
    let data = small.path().join("data");
    let mut shard = LiveShard::start(&data, SyncPolicy::EverySecond, 72);
    small.fill();
    // Far more than there is room for at once: each copy is made of what cleaning gave back.
    (0..1_000).for_each(|_| shard.turn());
    assert!(shard.segment().as_u32() > 20, "{}", shard.segment());
    small.empty();
    (0..10).for_each(|_| shard.turn());
    let history = shard.stop();
    assert!(history.had(&sessions(&replay(&data)), 1_010, 1_010));
}
