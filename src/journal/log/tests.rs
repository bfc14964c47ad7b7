//! The log over a disk in memory: placing, syncing, cleaning and its answers to failures.

use super::super::record::{SessionImage, decode};
use super::super::room::{Need, NoRoom, Room};
use super::super::segment::{HeaderError, SEGMENT_HEADER_LEN, SegmentHeader};
use super::super::sim_disk::SimDisk;
use super::super::survey::{Note, survey};
use super::*;
use crate::types::{BucketId, SessionId, UnixMillis, Version};

/// Room for a header and 16 KiB.
const SEGMENT_LEN: u64 = 24 * 1024;
const SHARD: ShardId = ShardId::FIRST;

/// A log of one shard, its disk and its clock.
struct Rig {
    log: Log<SimDisk>,
    disk: SimDisk,
    now: Now,
    sequence: Sequence,
}

fn number(number: u32) -> SegmentNumber {
    SegmentNumber::new(number).unwrap()
}

fn rig(policy: SyncPolicy) -> Rig {
    rig_on(SimDisk::new(1, SEGMENT_LEN, 1 << 30), policy)
}

fn rig_on(disk: SimDisk, policy: SyncPolicy) -> Rig {
    let now = Now { moment: Moment::from_millis(10_000), wall: UnixMillis::new(1_700_000_000_000) };
    let mut salt = 0;
    let start = LogStart {
        policy,
        shards: ShardCount::ONE,
        segments: Vec::new(),
        condemned: Vec::new(),
        next: SegmentNumber::FIRST,
        continues: None,
        synced: None,
        is_damaged: false,
        epoch: BootEpoch::FIRST,
        journal_time: JournalMillis::new(500),
        live: ByteCount::ZERO,
        record_len_max: ByteCount::new(2048),
        draw_salt: Box::new(move || {
            salt += 1;
            Salt::from_random([salt; 16])
        }),
    };
    let log = Log::start(disk.clone(), start, now).unwrap();
    let mut rig = Rig { log, disk, now, sequence: Sequence::NONE };
    rig.run_jobs();
    rig
}

impl Rig {
    /// A record of the shard, as long as this blob makes it.
    fn record(&mut self, blob_len: usize) -> Vec<u8> {
        self.sequence = self.sequence.next();
        let origin = Origin { epoch: BootEpoch::FIRST, shard: SHARD, sequence: self.sequence };
        let blob = vec![self.sequence.as_u64() as u8; blob_len];
        let image = SessionImage {
            id: SessionId::from_bytes([1; 16]),
            bucket: BucketId::new(1),
            version: Version::new(1).unwrap(),
            deadline: JournalMillis::MAX,
            own_ttl: None,
            content_type: b"",
            blob: &blob,
        };
        let mut bytes = Vec::new();
        encode(&mut bytes, &Record { origin, entry: Entry::Update(image) });
        bytes
    }

    fn buffer(&mut self, blob_lens: &[usize]) -> Buffer {
        let bytes = blob_lens.iter().flat_map(|len| self.record(*len)).collect();
        Buffer { shard: SHARD, bytes, last: self.sequence, needs_sync: false, copied_below: None }
    }

    fn write(&mut self, blob_lens: &[usize]) {
        let buffer = self.buffer(blob_lens);
        self.log.write([buffer], self.now);
    }

    /// Writes records until the log goes on in another segment.
    fn fill_segment(&mut self) {
        let segment = self.log.current_segment();
        while self.log.current_segment() == segment {
            self.write(&[1_000]);
        }
    }

    fn run_jobs(&mut self) {
        while let Some(job) = self.log.poll_job(self.now) {
            let result = job.run(&self.disk);
            self.log.finish_job(result, self.now);
        }
    }

    fn pass(&mut self, millis: u64) {
        self.now.moment = self.now.moment.after(Millis::new(millis));
        self.log.advance(self.now);
    }

    fn written(&self) -> u64 {
        self.log.written()[0].as_u64()
    }

    fn synced(&self) -> u64 {
        self.log.synced()[0].as_u64()
    }

    fn sync_now(&mut self) {
        let mut buffer = self.buffer(&[]);
        buffer.needs_sync = true;
        self.log.write([buffer], self.now);
        self.pass(SYNC_GAP.as_u64());
        self.run_jobs();
    }

    fn header(&self, segment: u32) -> SegmentHeader {
        SegmentHeader::decode(&self.disk.bytes(number(segment)), number(segment)).unwrap()
    }

    /// The shard's sequences in a segment, in order.
    fn sequences_in(&self, segment: u32) -> Vec<u64> {
        self.records_in(segment)
            .filter(|origin| origin.shard == SHARD)
            .map(|origin| origin.sequence.as_u64())
            .collect()
    }

    fn records_in(&self, segment: u32) -> impl Iterator<Item = Origin> {
        let salt = self.header(segment).salt;
        let bytes = self.disk.bytes(number(segment));
        let mut at = SEGMENT_HEADER_LEN;
        std::iter::from_fn(move || {
            let (record, len) = decode(bytes.get(at..)?, &salt.marks(LogOffset::of_len(at))).ok()?;
            at += len;
            Some(record.origin)
        })
    }
}

#[test]
fn records_go_on_in_the_next_segment_whole_and_in_order() {
    let mut rig = rig(SyncPolicy::EverySecond);
    // One buffer that two segments cannot hold.
    rig.write(&[700; 48]);
    assert_eq!((rig.written(), rig.log.current_segment()), (48, number(3)));
    let all: Vec<u64> = (1..=3).flat_map(|segment| rig.sequences_in(segment)).collect();
    assert_eq!(all, (1..=48).collect::<Vec<u64>>());
    for segment in [2, 3] {
        let previous = rig.header(segment).previous.unwrap();
        assert_eq!(previous.segment, number(segment - 1));
        assert!(previous.offset.as_u64() > SEGMENT_LEN - 1_024, "a segment is filled first");
    }
    assert_eq!(rig.header(1).previous, None);
}

#[test]
fn a_record_longer_than_a_segment_gets_one_of_its_own_length() {
    let mut rig = rig(SyncPolicy::EverySecond);
    rig.write(&[10]);
    rig.write(&[40_000]);
    rig.write(&[10]);
    assert_eq!(rig.log.current_segment(), number(3));
    assert_eq!((rig.sequences_in(1), rig.sequences_in(2), rig.sequences_in(3)), (vec![1], vec![2], vec![3]));
}

#[test]
fn records_as_long_as_a_segment_leave_no_room_behind_that_nothing_lives_in() {
    let disk = SimDisk::new(1, SEGMENT_LEN, 1 << 20);
    let mut rig = rig_on(disk, SyncPolicy::EverySecond);
    rig.log.set_live(ByteCount::from_mib(1), ByteCount::ZERO);
    let free = rig.disk.free_bytes();
    // Each is a little more than half of what a segment takes, so that each takes one.
    for _ in 0..10 {
        rig.write(&[(SEGMENT_LEN as usize - SEGMENT_HEADER_LEN) / 2]);
        rig.run_jobs();
    }
    assert_eq!(rig.log.current_segment(), number(10));
    let taken = free - rig.disk.free_bytes();
    assert!(taken < 9 * SEGMENT_LEN * 7 / 10 + SEGMENT_LEN, "{taken} bytes");
    assert!(rig.log.occupied().as_u64() < 9 * SEGMENT_LEN * 7 / 10 + SEGMENT_LEN);
    assert_eq!(
        (2..=10).flat_map(|segment| rig.sequences_in(segment)).collect::<Vec<_>>(),
        (2..=10).collect::<Vec<_>>()
    );
    for segment in 2..=10 {
        let previous = rig.header(segment).previous.unwrap();
        assert!(previous.offset.as_u64() <= rig.disk.bytes(previous.segment).len() as u64);
    }
    let len = rig.disk.bytes(number(10)).len() as u64;
    rig.fill_segment();
    assert_eq!(rig.disk.bytes(number(10)).len() as u64, len, "what short records leave is not worth a call");
}

#[test]
fn written_records_are_synced_within_a_second_and_at_once_when_asked() {
    let mut rig = rig(SyncPolicy::EverySecond);
    rig.sync_now();
    rig.write(&[10]);
    assert_eq!(rig.log.next_deadline(), Some(rig.now.moment.after(SYNC_DELAY_MAX)));
    rig.pass(999);
    rig.run_jobs();
    assert_eq!(rig.synced(), 0);
    rig.pass(1);
    rig.run_jobs();
    assert_eq!(rig.synced(), 1);
    let mut buffer = rig.buffer(&[10]);
    buffer.needs_sync = true;
    rig.log.write([buffer], rig.now);
    assert!(rig.log.poll_job(rig.now).is_none(), "not before the gap's end");
    rig.pass(SYNC_GAP.as_u64());
    rig.run_jobs();
    assert_eq!(rig.synced(), 2);
}

#[test]
fn where_everything_is_synced_nothing_waits_for_its_second() {
    let mut rig = rig(SyncPolicy::Always);
    rig.write(&[10, 10]);
    assert_eq!((rig.written(), rig.synced()), (2, 0));
    rig.run_jobs();
    assert_eq!(rig.synced(), 2);
}

#[test]
fn a_sync_covers_what_was_written_before_it_and_nothing_later() {
    let mut rig = rig(SyncPolicy::Always);
    rig.write(&[10]);
    let job = rig.log.poll_job(rig.now).unwrap();
    rig.write(&[10]);
    assert!(rig.log.poll_job(rig.now).is_none(), "one sync at a time");
    let result = job.run(&rig.disk);
    rig.log.finish_job(result, rig.now);
    assert_eq!((rig.written(), rig.synced()), (2, 1));
    rig.run_jobs();
    assert_eq!(rig.synced(), 2);
}

#[test]
fn an_idle_log_notes_its_sync_once_and_the_time_each_minute() {
    let mut rig = rig(SyncPolicy::EverySecond);
    rig.write(&[10]);
    let count = |rig: &Rig| rig.records_in(1).count();
    // The start's three marks and the record; then the news of its sync.
    rig.pass(1_000);
    rig.run_jobs();
    assert_eq!(count(&rig), 4);
    rig.pass(1_000);
    rig.run_jobs();
    assert_eq!(count(&rig), 5);
    for minutes in 0..3 {
        rig.pass(59_000);
        rig.run_jobs();
        assert_eq!(count(&rig), 5 + 2 * minutes, "nothing is due in between");
        rig.pass(1_000);
        for _ in 0..2 {
            rig.pass(1_000);
            rig.run_jobs();
        }
        assert_eq!(count(&rig), 7 + 2 * minutes, "a time mark and the news of its sync");
    }
}

#[test]
fn a_failed_write_goes_on_in_another_segment_from_the_last_good_record() {
    let mut rig = rig(SyncPolicy::EverySecond);
    rig.write(&[100, 100]);
    rig.disk.fail_write_after(0);
    rig.write(&[300, 300]);
    assert_eq!((rig.written(), rig.log.current_segment()), (4, number(2)));
    assert!(!rig.log.is_poisoned());
    assert_eq!(rig.sequences_in(1), [1, 2]);
    assert_eq!(rig.sequences_in(2), [3, 4]);
    let end = rig.header(2).previous.unwrap();
    assert_eq!(end.offset.as_u64(), rig.disk.bytes(number(1)).len() as u64, "what may be torn is cut off");
}

#[test]
fn a_second_failure_in_a_row_poisons() {
    let mut rig = rig(SyncPolicy::EverySecond);
    rig.write(&[100]);
    rig.disk.die_at_failure();
    rig.disk.fail_write_after(0);
    rig.write(&[300]);
    assert!(rig.log.is_poisoned());
    assert_eq!((rig.written(), rig.log.next_deadline()), (1, None));
    assert_eq!(rig.log.room(), RoomLimits::default());
    rig.write(&[300]);
    rig.pass(100_000);
    assert!(rig.log.poll_job(rig.now).is_none());
    assert_eq!(rig.written(), 1, "nothing is acknowledged any more");
}

#[test]
fn a_failed_sync_writes_what_was_kept_into_another_segment_that_follows_the_synced_place() {
    let mut rig = rig(SyncPolicy::EverySecond);
    rig.write(&[100, 100]);
    rig.sync_now();
    let synced_at = rig.log.synced_at;
    rig.fill_segment();
    let last = rig.written();
    rig.disk.fail_sync_after(0);
    rig.sync_now();
    assert_eq!((rig.written(), rig.synced()), (last, 2));
    rig.pass(SYNC_GAP.as_u64());
    rig.run_jobs();
    assert_eq!(rig.synced(), last, "the second sync is of the new segment");
    let again = rig.log.current_segment().as_u32();
    let first_again = (1..=again).find(|segment| rig.header(*segment).previous == Some(synced_at)).unwrap();
    assert!(first_again > 2, "neither of the two that the failed sync was for");
    let all: Vec<u64> = (first_again..=again).flat_map(|segment| rig.sequences_in(segment)).collect();
    assert_eq!(all, (3..=last).collect::<Vec<u64>>());
    assert!(!rig.log.is_poisoned());
}

#[test]
fn what_a_full_disk_did_not_take_after_a_failed_sync_is_not_synced_by_the_next() {
    let mut rig = rig_on(SimDisk::new(1, SEGMENT_LEN, 8 * SEGMENT_LEN), SyncPolicy::EverySecond);
    rig.log.set_live(ByteCount::from_mib(1), ByteCount::ZERO);
    rig.fill_segment();
    rig.fill_segment();
    let (written, placed_bytes) = (rig.written(), rig.log.placed_bytes);
    // Of the three segments that are to be written again, one finds its room.
    rig.disk.set_free_bytes(SEGMENT_LEN);
    rig.disk.fail_sync_after(0);
    rig.sync_now();
    assert!(rig.log.is_full() && rig.synced() == 0);
    rig.pass(SYNC_GAP.as_u64());
    rig.run_jobs();
    let there = rig.sequences_in(rig.log.current_segment().as_u32());
    assert_eq!(Some(&rig.synced()), there.last(), "what waits in memory is not durable");
    assert!(rig.synced() < written && rig.written() == written);
    assert!(rig.log.synced_bytes < placed_bytes);
    rig.disk.set_free_bytes(8 * SEGMENT_LEN);
    rig.pass(1_000);
    rig.run_jobs();
    assert_eq!((rig.synced(), rig.written()), (written, written));
    assert_eq!((rig.log.synced_bytes, rig.log.placed_bytes), (placed_bytes, placed_bytes));
}

#[test]
fn a_spare_that_cannot_be_made_sure_of_leaves_no_file_behind() {
    let mut rig = rig(SyncPolicy::EverySecond);
    rig.write(&[1_000; 9]);
    let files = rig.disk.list().unwrap();
    rig.disk.fail_sync_after(0);
    rig.run_jobs();
    assert_eq!(rig.disk.list().unwrap(), files);
    rig.pass(1_000);
    rig.run_jobs();
    assert_eq!(rig.disk.list().unwrap().len(), files.len() + 1);
}

#[test]
fn a_spare_that_cannot_be_prepared_leaves_no_piece_of_a_header_behind() {
    let mut back = 0;
    for seed in 0..200 {
        let mut rig = rig_on(SimDisk::new(seed, SEGMENT_LEN, 1 << 30), SyncPolicy::EverySecond);
        rig.write(&[1_000; 9]);
        let files = rig.disk.list().unwrap();
        rig.disk.fail_write_after(0);
        rig.run_jobs();
        assert_eq!(rig.disk.list().unwrap(), files);
        // Its removal is not durable.
        let disk = rig.disk.after_power_loss();
        for file in disk.list().unwrap().iter().filter(|file| file.number > files[files.len() - 1].number) {
            assert!(disk.bytes(file.number).iter().all(|byte| *byte == 0), "seed {seed}");
            back += 1;
        }
    }
    assert!(back > 10, "{back} came back");
}

/// The segments of a disk whose header cannot be read.
fn unreadable_in(disk: &SimDisk) -> Vec<SegmentNumber> {
    let numbers = disk.list().unwrap().into_iter().map(|file| file.number);
    numbers
        .filter(|number| survey(*number, &disk.bytes(*number), ShardCount::ONE, |_| SHARD).is_unreadable())
        .collect()
}

#[test]
fn a_power_cut_right_after_a_roll_leaves_the_segment_begun_or_prepared() {
    let (mut begun, mut prepared) = (0, 0);
    for seed in 0..300 {
        let mut rig = rig_on(SimDisk::new(seed, SEGMENT_LEN, 1 << 30), SyncPolicy::EverySecond);
        rig.fill_segment();
        // With a spare that was there, and with one that was made on the spot.
        if seed % 2 == 0 {
            (0..2).for_each(|_| rig.fill_segment());
        }
        let newest = rig.log.current_segment();
        let disk = rig.disk.after_power_loss();
        assert_eq!(unreadable_in(&disk), [], "seed {seed}");
        match SegmentHeader::decode(&disk.bytes(newest), newest) {
            Ok(_) => begun += 1,
            Err(error) => {
                assert_eq!(error, HeaderError::Prepared, "seed {seed}");
                prepared += 1;
            }
        }
    }
    assert!(begun > 50 && prepared > 50, "{begun} begun, {prepared} prepared");
}

#[test]
fn preparing_and_rolling_take_no_more_syncs_than_files() {
    let mut rig = rig(SyncPolicy::EverySecond);
    let (files, syncs) = (rig.disk.list().unwrap().len(), rig.disk.syncs());
    (0..3).for_each(|_| rig.fill_segment());
    let made = rig.disk.list().unwrap().len() - files;
    assert_eq!((made, rig.disk.syncs() - syncs), (1, 1), "two of the three were there");
}

#[test]
fn a_sync_that_fails_again_poisons() {
    let mut rig = rig(SyncPolicy::Always);
    rig.write(&[100]);
    rig.run_jobs();
    rig.disk.die_at_failure();
    rig.disk.fail_sync_after(0);
    rig.write(&[100]);
    rig.run_jobs();
    assert!(rig.log.is_poisoned());
    assert_eq!(rig.synced(), 1);
}

#[test]
fn a_failure_after_a_mended_one_is_mended_too() {
    let mut rig = rig(SyncPolicy::Always);
    for round in 1..=5 {
        rig.write(&[100]);
        rig.disk.fail_sync_after(0);
        rig.run_jobs();
        assert!(!rig.log.is_poisoned(), "round {round}");
        rig.run_jobs();
        assert_eq!(rig.synced(), round);
    }
}

#[test]
fn a_full_disk_refuses_room_keeps_its_reserve_and_recovers_by_itself() {
    let mut rig = rig_on(SimDisk::new(1, SEGMENT_LEN, 5 * SEGMENT_LEN), SyncPolicy::EverySecond);
    let room = Room::new(rig.log.room());
    // Nothing is ever removed, so nothing can be cleaned.
    rig.log.set_live(ByteCount::from_mib(1), ByteCount::ZERO);
    let mut written = 0;
    while room.take(Need::Ordinary, ByteCount::new(1_096)).is_ok() {
        rig.write(&[1_000]);
        rig.run_jobs();
        room.set(rig.log.room());
        written += 1;
    }
    assert!((20..=45).contains(&written), "three of five segments: {written}");
    assert_eq!(room.take(Need::Ordinary, ByteCount::new(1_096)), Err(NoRoom::Disk));
    assert!(room.take(Need::Reserve, ByteCount::new(1_096)).is_ok(), "removals go on");
    assert!(!rig.log.is_full() && rig.written() == written);
    rig.disk.set_free_bytes(10 * SEGMENT_LEN);
    rig.pass(2_000);
    rig.run_jobs();
    room.set(rig.log.room());
    assert!(room.take(Need::Ordinary, ByteCount::new(1_096)).is_ok());
    // Nothing was removed, and yet the disk is not full any more.
    assert!(rig.disk.unlinks().is_empty());
    let refusal = loop {
        if let Err(refusal) = room.take(Need::Ordinary, ByteCount::new(1_096)) {
            break refusal;
        }
        rig.write(&[1_000]);
        room.set(rig.log.room());
    };
    assert_eq!(refusal, NoRoom::Backlog, "a segment is on its way");
    assert!(!rig.log.has_reserve_alone());
}

#[test]
fn a_segment_that_is_not_ready_yet_is_no_full_disk() {
    let mut rig = rig(SyncPolicy::EverySecond);
    let room = Room::new(rig.log.room());
    let record = ByteCount::new(1_096);
    let refusal = loop {
        if let Err(refusal) = room.take(Need::Ordinary, record) {
            break refusal;
        }
        rig.write(&[1_000]);
        room.set(rig.log.room());
    };
    assert_eq!(refusal, NoRoom::Backlog, "whoever tries again soon finds room");
    rig.run_jobs();
    room.set(rig.log.room());
    assert_eq!(room.take(Need::Ordinary, record), Ok(()));
}

#[test]
fn a_full_disk_is_cleaned_although_it_has_no_room_for_a_spare() {
    let mut rig = rig_on(SimDisk::new(1, SEGMENT_LEN, 6 * SEGMENT_LEN), SyncPolicy::Always);
    let below = cut(&mut rig);
    // Somebody else takes what is left, and then the copies take a part of the reserve.
    rig.disk.set_free_bytes(0);
    rig.fill_segment();
    rig.fill_segment();
    rig.pass(1_000);
    rig.run_jobs();
    let spares = rig.log.spares.len();
    assert!(spares < RESERVE_SEGMENTS, "a spare is wanted, and there is no room for it");
    let mut report = rig.buffer(&[]);
    report.copied_below = Some(below);
    rig.log.write([report], rig.now);
    for _ in 0..4 {
        rig.pass(SYNC_GAP.as_u64());
        rig.run_jobs();
    }
    assert_eq!(rig.disk.unlinks(), [number(1)]);
    assert_eq!(rig.log.spares.len(), spares + 1, "what was removed makes a spare at once");
}

#[test]
fn what_a_full_disk_does_not_take_waits_in_order() {
    let mut rig = rig_on(SimDisk::new(1, SEGMENT_LEN, 3 * SEGMENT_LEN), SyncPolicy::Always);
    rig.log.set_live(ByteCount::from_mib(1), ByteCount::ZERO);
    // More than was ever granted.
    while !rig.log.is_full() {
        rig.write(&[1_000]);
        rig.run_jobs();
    }
    let (written, logged) = (rig.written(), rig.sequence.as_u64());
    assert!(written < logged);
    rig.write(&[1_000]);
    rig.pass(1_000);
    let nothing = RoomLimits { is_disk_full: true, ..RoomLimits::default() };
    assert_eq!((rig.written(), rig.log.room()), (written, nothing));
    rig.disk.set_free_bytes(10 * SEGMENT_LEN);
    rig.pass(1_000);
    rig.run_jobs();
    assert_eq!((rig.written(), rig.synced()), (logged + 1, logged + 1));
}

#[test]
fn the_backlog_is_bounded_and_asks_for_a_sync_by_itself() {
    let mut rig = rig_on(SimDisk::new(1, 40 << 20, 1 << 40), SyncPolicy::EverySecond);
    rig.write(&[33 << 20]);
    let placed = rig.log.placed_bytes;
    assert_eq!(rig.log.room().backlog, BACKLOG_MAX.as_u64(), "none of it is synced");
    rig.run_jobs();
    assert_eq!((rig.synced(), rig.log.room().backlog), (1, placed + BACKLOG_MAX.as_u64()));
}

#[test]
fn a_sync_that_hangs_is_seen_as_long_as_it_does() {
    let mut rig = rig(SyncPolicy::EverySecond);
    rig.sync_now();
    assert_eq!(rig.log.unsynced_since(), None);
    let begun = rig.now.moment;
    rig.write(&[10]);
    rig.pass(1_000);
    let job = rig.log.poll_job(rig.now).unwrap();
    assert!(job.is_sync());
    rig.pass(4_000);
    rig.write(&[10]);
    assert_eq!(rig.log.unsynced_since(), Some(begun), "by the oldest");
    rig.disk.fail_sync_after(0);
    let result = job.run(&rig.disk);
    rig.log.finish_job(result, rig.now);
    assert_eq!(rig.log.unsynced_since(), Some(begun), "it has failed");
    rig.run_jobs();
    assert_eq!(rig.log.unsynced_since(), None);
}

/// Logs until a cut is asked for.
fn cut(rig: &mut Rig) -> SegmentNumber {
    rig.log.set_live(ByteCount::new(2_000), ByteCount::ZERO);
    while rig.log.cut().is_none() {
        rig.write(&[1_000]);
        rig.run_jobs();
    }
    rig.log.cut().unwrap()
}

#[test]
fn a_log_is_cut_by_a_segment_at_least_once_it_holds_much_more_than_what_lives() {
    let mut rig = rig(SyncPolicy::EverySecond);
    let below = cut(&mut rig);
    assert!(rig.log.content() > 3_500 + SEGMENT_LEN * 3 / 4);
    assert_eq!(below, number(2), "a part of two segments is one");
    assert_eq!(rig.log.current_segment(), number(2));
}

#[test]
fn a_long_log_is_cut_by_a_part_of_it() {
    let mut rig = rig(SyncPolicy::EverySecond);
    rig.log.set_live(ByteCount::from_mib(16), ByteCount::ZERO);
    (0..99).for_each(|_| rig.fill_segment());
    rig.log.set_live(ByteCount::new(SEGMENT_LEN), ByteCount::ZERO);
    rig.pass(10);
    assert_eq!(rig.log.cut(), Some(number(5)), "a 32nd of a hundred segments is more than three");
}

#[test]
fn copies_are_urgent_once_what_is_logged_beside_them_has_taken_its_share() {
    let mut rig = rig(SyncPolicy::EverySecond);
    let live = 20 * SEGMENT_LEN;
    rig.log.set_live(ByteCount::new(live), ByteCount::ZERO);
    while rig.log.cut().is_none() {
        rig.write(&[1_000]);
        assert!(!rig.log.is_cut_urgent());
    }
    rig.fill_segment();
    assert!(!rig.log.is_cut_urgent());
    rig.fill_segment();
    assert!(rig.log.is_cut_urgent());
}

#[test]
fn a_log_that_is_too_long_because_much_has_gone_is_cleaned_without_hurry() {
    let mut rig = rig(SyncPolicy::EverySecond);
    rig.log.set_live(ByteCount::from_mib(16), ByteCount::ZERO);
    (0..50).for_each(|_| rig.fill_segment());
    rig.log.set_live(ByteCount::new(5 * SEGMENT_LEN), ByteCount::ZERO);
    rig.write(&[10]);
    assert!(rig.log.cut().is_some() && !rig.log.is_cut_urgent());
    rig.fill_segment();
    assert!(rig.log.is_cut_urgent(), "it has not become shorter, but longer");
}

#[test]
fn segments_go_only_after_copies_and_checkpoint_are_synced() {
    let mut rig = rig(SyncPolicy::EverySecond);
    let below = cut(&mut rig);
    let mut report = rig.buffer(&[500]);
    report.copied_below = Some(below);
    rig.log.write([report], rig.now);
    assert!(rig.log.cut().is_some() && rig.disk.unlinks().is_empty(), "the copies are not synced");
    rig.pass(SYNC_GAP.as_u64());
    let job = rig.log.poll_job(rig.now).unwrap();
    let result = job.run(&rig.disk);
    rig.log.finish_job(result, rig.now);
    assert!(rig.log.cut().is_none());
    assert!(rig.log.poll_job(rig.now).is_none_or(|job| job.is_sync()), "the checkpoint is not synced");
    rig.pass(SYNC_GAP.as_u64());
    rig.run_jobs();
    assert_eq!(rig.disk.unlinks(), [number(1)]);
}

#[test]
fn a_checkpoint_brings_a_mark_of_time_along() {
    let mut rig = rig(SyncPolicy::Always);
    let below = cut(&mut rig);
    let mut report = rig.buffer(&[]);
    report.copied_below = Some(below);
    rig.log.write([report], rig.now);
    while rig.log.cleanings() == 0 {
        rig.run_jobs();
        rig.pass(SYNC_GAP.as_u64());
    }
    // All other marks may lie below it, or be torn off behind it.
    let segment = rig.log.current_segment();
    let survey = survey(segment, &rig.disk.bytes(segment), ShardCount::ONE, |_| ShardId::FIRST);
    let is_checkpoint = |(_, note): &(LogOffset, Note)| matches!(note, Note::Checkpoint(to) if *to == below);
    let place = survey.notes.iter().position(is_checkpoint).unwrap();
    let before = place.checked_sub(1).map(|place| survey.notes[place].1);
    assert!(matches!(before, Some(Note::Time(_))), "{before:?}");
}

#[test]
fn a_report_of_another_cut_counts_for_nothing() {
    let mut rig = rig(SyncPolicy::Always);
    let below = cut(&mut rig);
    let mut report = rig.buffer(&[]);
    report.copied_below = below.next();
    rig.log.write([report], rig.now);
    rig.run_jobs();
    assert_eq!(rig.log.cut(), Some(below));
}

#[test]
fn what_a_backup_holds_goes_after_it_and_no_spare_waits_for_that() {
    let mut rig = rig(SyncPolicy::Always);
    let below = cut(&mut rig);
    rig.disk.hold_unlinking(true);
    let mut report = rig.buffer(&[]);
    report.copied_below = Some(below);
    rig.log.write([report], rig.now);
    rig.run_jobs();
    rig.pass(SYNC_GAP.as_u64());
    rig.run_jobs();
    let retry = rig.log.next_deadline().unwrap().since(rig.now.moment);
    assert!(retry > Millis::new(50), "it is left alone for a while: {retry:?}");
    rig.log.set_live(ByteCount::from_mib(1), ByteCount::ZERO);
    rig.fill_segment();
    rig.run_jobs();
    assert!(rig.log.spares.len() >= RESERVE_SEGMENTS, "the next spare is there at once");
    for _ in 0..4 {
        rig.pass(1_000);
        rig.run_jobs();
    }
    assert_eq!((rig.log.cut(), rig.disk.unlinks()), (None, vec![]));
    rig.disk.hold_unlinking(false);
    rig.pass(1_000);
    rig.run_jobs();
    assert_eq!(rig.disk.unlinks(), [number(1)]);
}

#[test]
fn segments_go_although_spares_are_wanted_all_the_time() {
    let mut rig = rig(SyncPolicy::Always);
    let below = cut(&mut rig);
    let mut report = rig.buffer(&[]);
    report.copied_below = Some(below);
    rig.log.write([report], rig.now);
    for _ in 0..6 {
        // Segments are filled faster than anybody can prepare them.
        (0..3).for_each(|_| rig.fill_segment());
        rig.pass(SYNC_GAP.as_u64());
        let job = rig.log.poll_job(rig.now).unwrap();
        let result = job.run(&rig.disk);
        rig.log.finish_job(result, rig.now);
        let Some(job) = rig.log.poll_job(rig.now) else { continue };
        let result = job.run(&rig.disk);
        rig.log.finish_job(result, rig.now);
    }
    assert_eq!(rig.disk.unlinks(), [number(1)]);
}

#[test]
fn an_orderly_end_leaves_nothing_unsynced() {
    let mut rig = rig(SyncPolicy::EverySecond);
    rig.write(&[100, 100]);
    assert!(!rig.log.is_settled());
    rig.log.settle(rig.now);
    rig.pass(SYNC_GAP.as_u64());
    rig.run_jobs();
    assert_eq!(rig.synced(), 2);
    assert!(!rig.log.is_settled(), "nobody would know of the sync");
    rig.pass(SYNC_GAP.as_u64());
    rig.run_jobs();
    assert!(rig.log.is_settled());
}

/// A log that has made this start, in place of `old`.
fn started(old: &Rig, disk: SimDisk, start: LogStart) -> Rig {
    let log = Log::start(disk.clone(), start, old.now).unwrap();
    Rig { log, disk, now: old.now, sequence: Sequence::NONE }
}

/// A start over the disk of `old`, whose segments from 4 on are kept, up to `kept`.
fn restart(old: &Rig, kept: u32) -> (SimDisk, LogStart) {
    let files = old.disk.list().unwrap();
    let next = files.last().unwrap().number.next().unwrap();
    let (segments, condemned): (Vec<SegmentFile>, Vec<SegmentFile>) =
        files.into_iter().partition(|file| (4..=kept).contains(&file.number.as_u32()));
    let start = LogStart {
        policy: SyncPolicy::Always,
        shards: ShardCount::ONE,
        synced: None,
        continues: segments
            .last()
            .map(|last| Position { segment: last.number, offset: LogOffset::new(9_216) }),
        is_damaged: false,
        segments,
        condemned: condemned.iter().map(|file| file.number).collect(),
        next,
        epoch: BootEpoch::new(1).unwrap(),
        journal_time: JournalMillis::new(900),
        live: ByteCount::ZERO,
        record_len_max: ByteCount::new(2_048),
        draw_salt: Box::new(|| Salt::from_random([9; 16])),
    };
    (old.disk.after_kill(), start)
}

#[test]
fn a_start_on_a_full_disk_gives_up_what_lies_below_the_log_and_nothing_else() {
    let mut old = rig(SyncPolicy::Always);
    (0..5).for_each(|_| old.fill_segment());
    old.run_jobs();
    let spares: Vec<SegmentNumber> = old.log.spares.iter().map(|spare| spare.number).collect();
    let (disk, start) = restart(&old, 5);
    spares.iter().for_each(|spare| disk.unlink(*spare).unwrap());
    disk.set_free_bytes(0);
    let before = disk.unlinks().len();
    let log = Log::start(disk.clone(), start, old.now).unwrap();
    assert_eq!(disk.unlinks()[before..], [1, 2, 3].map(number), "6 was written behind the log's end");
    assert_eq!(log.condemned.iter().map(|number| number.as_u32()).collect::<Vec<_>>(), [6, 7, 8]);
}

#[test]
fn a_start_on_a_full_disk_with_nothing_to_give_up_is_refused_and_changes_nothing() {
    let mut old = rig(SyncPolicy::Always);
    (0..5).for_each(|_| old.fill_segment());
    old.run_jobs();
    let (disk, mut start) = restart(&old, 6);
    disk.list().unwrap().iter().filter(|file| !(4..=6).contains(&file.number.as_u32())).for_each(|file| {
        disk.unlink(file.number).unwrap();
    });
    disk.set_free_bytes(0);
    start.condemned.clear();
    let files = disk.list().unwrap();
    let refused = Log::start(disk.clone(), start, old.now).map(drop).unwrap_err();
    assert!(matches!(refused, StorageError::NoSpace));
    assert_eq!(disk.list().unwrap(), files);
    // What no kept segment is above of may be all there is.
    let (disk, start) = restart(&old, 3);
    assert!(start.segments.is_empty());
    let before = disk.unlinks().len();
    let blank = old.log.spares.len();
    disk.set_free_bytes(0);
    drop(Log::start(disk.clone(), start, old.now));
    assert_eq!(disk.unlinks().len() - before, blank, "only what was never used goes");
}

#[test]
fn a_start_removes_what_is_not_needed_only_once_the_new_log_says_so() {
    let mut old = rig(SyncPolicy::Always);
    (0..3).for_each(|_| old.fill_segment());
    old.run_jobs();
    let files = old.disk.list().unwrap();
    let (condemned, kept) = (vec![number(1)], files[1..4].to_vec());
    let disk = old.disk.after_kill();
    let mut blank: Vec<SegmentNumber> = files[4..].iter().map(|file| file.number).collect();
    let next = files.last().unwrap().number.next().unwrap();
    let start = LogStart {
        policy: SyncPolicy::Always,
        shards: ShardCount::ONE,
        segments: kept,
        condemned: [condemned, blank.clone()].concat(),
        next,
        synced: None,
        continues: Some(Position { segment: number(4), offset: LogOffset::new(9_216) }),
        is_damaged: false,
        epoch: BootEpoch::new(1).unwrap(),
        journal_time: JournalMillis::new(900),
        live: ByteCount::ZERO,
        record_len_max: ByteCount::new(2_048),
        draw_salt: Box::new(|| Salt::from_random([9; 16])),
    };
    let log = Log::start(disk.clone(), start, old.now).unwrap();
    assert_eq!(disk.unlinks(), blank, "nothing but what was never used");
    assert_eq!(disk.bytes(number(4)).len(), 9_216, "what was torn off gives its room back");
    let mut rig = Rig { log, disk, now: old.now, sequence: Sequence::NONE };
    let after_crash = rig.disk.after_power_loss();
    let header = SegmentHeader::decode(&after_crash.bytes(next), next).unwrap();
    assert_eq!(header.previous.map(|end| end.segment), Some(number(4)), "synced before anything goes");
    rig.run_jobs();
    blank.push(number(1));
    assert_eq!(rig.disk.unlinks(), blank);
}

#[test]
fn the_longest_copy_is_granted_however_much_that_is() {
    let mut rig = rig(SyncPolicy::Always);
    rig.log.spares.iter_mut().for_each(|spare| spare.len = 1 << 30);
    for len in [2_048, RECORD_BYTES_MAX as u64] {
        rig.log.record_len_max = len;
        let room = Room::new(rig.log.room());
        room.take_anyway(ByteCount::new(rig.log.placed_bytes));
        room.take(Need::Copy, ByteCount::new(len)).unwrap();
        assert!(room.take(Need::Copy, BACKLOG_COPIES).is_err(), "beside it there is no room for many");
    }
}

#[test]
fn a_cut_frees_twice_what_the_registry_takes_for_that_is_copied_each_time() {
    for (registry_segments, cut) in [(0, 2), (1, 3), (2, 5)] {
        let mut rig = rig(SyncPolicy::Always);
        let registry = ByteCount::new(registry_segments * SEGMENT_LEN);
        rig.log.set_live(ByteCount::from_mib(1), registry);
        (0..7).for_each(|_| rig.fill_segment());
        rig.log.set_live(registry, registry);
        rig.pass(10);
        assert_eq!(rig.log.cut().map(|cut| cut.as_u32()), Some(cut), "{registry_segments}");
    }
}

#[test]
fn a_start_over_damage_cleans_all_that_was_there_and_nothing_else() {
    let mut old = rig(SyncPolicy::Always);
    (0..5).for_each(|_| old.fill_segment());
    old.run_jobs();
    for is_damaged in [false, true] {
        let (disk, mut start) = restart(&old, 6);
        start.is_damaged = is_damaged;
        // Far too short to be cleaned for its length.
        start.live = ByteCount::from_mib(1);
        let next = start.next;
        let mut rig = started(&old, disk, start);
        for _ in 0..10 {
            rig.pass(2_000);
            rig.run_jobs();
            let copied_below = rig.log.cut();
            let buffer = rig.buffer(&[100]);
            rig.log.write([Buffer { copied_below, ..buffer }], rig.now);
        }
        let oldest = rig.log.older.front().map_or(rig.log.current.number, |segment| segment.number);
        assert_eq!(oldest, if is_damaged { next } else { number(4) });
        assert_eq!(rig.log.cleanings > 0, is_damaged);
    }
}

#[test]
fn a_start_on_a_disk_with_little_room_begins_with_a_shorter_segment() {
    let len = 2 * SEGMENT_LEN;
    let mut rig = rig_on(SimDisk::new(1, len, len - 1), SyncPolicy::EverySecond);
    assert_eq!(rig.disk.bytes(number(1)).len() as u64, len / 2);
    let room = Room::new(rig.log.room());
    assert_eq!(room.take(Need::Ordinary, ByteCount::new(96)), Err(NoRoom::Disk));
    assert_eq!(room.take(Need::Reserve, ByteCount::new(96)), Ok(()), "removals go on");
    rig.disk.set_free_bytes(10 * len);
    rig.pass(2_000);
    rig.run_jobs();
    room.set(rig.log.room());
    assert_eq!(room.take(Need::Ordinary, ByteCount::new(1_096)), Ok(()));
    rig.fill_segment();
    let next = rig.log.current_segment();
    assert_eq!(rig.disk.bytes(next).len() as u64, len, "the next one is as long as ever");
}

#[test]
fn damage_is_cleaned_also_where_the_registry_takes_more_than_the_log_before() {
    let mut old = rig(SyncPolicy::Always);
    (0..5).for_each(|_| old.fill_segment());
    old.run_jobs();
    for is_damaged in [false, true] {
        let (disk, mut start) = restart(&old, 6);
        start.is_damaged = is_damaged;
        let next = start.next;
        let mut rig = started(&old, disk, start);
        let registry = ByteCount::new(10 * SEGMENT_LEN);
        rig.log.set_live(registry, registry);
        rig.pass(10);
        assert_eq!(rig.log.cut(), is_damaged.then_some(next));
    }
}

#[test]
fn a_start_says_again_what_was_known_to_be_synced() {
    let mut old = rig(SyncPolicy::Always);
    (0..5).for_each(|_| old.fill_segment());
    old.run_jobs();
    let (disk, mut start) = restart(&old, 6);
    let (next, end) = (start.next, start.continues.unwrap());
    start.synced = Some(end);
    drop(Log::start(disk.clone(), start, old.now).unwrap());
    let bytes = disk.after_power_loss().bytes(next);
    let survey = survey(next, &bytes, ShardCount::ONE, |_| SHARD);
    let says_so = |(_, note): &(LogOffset, Note)| matches!(note, Note::Synced(upto, _) if *upto == end);
    assert!(survey.notes.iter().any(says_so), "{:?}", survey.notes);
}

/// Runs what a start runs before anybody is served.
fn run_start_jobs(rig: &mut Rig) {
    while let Some(job) = rig.log.poll_start_job(rig.now) {
        let result = job.run(&rig.disk);
        rig.log.finish_job(result, rig.now);
    }
}

#[test]
fn a_start_makes_its_reserve_and_leaves_what_it_need_not_remove_for_later() {
    let mut old = rig(SyncPolicy::Always);
    (0..5).for_each(|_| old.fill_segment());
    old.run_jobs();
    let (disk, start) = restart(&old, 6);
    let mut rig = started(&old, disk, start);
    let blank = rig.disk.unlinks().len();
    run_start_jobs(&mut rig);
    assert_eq!((rig.log.spares.len(), rig.disk.unlinks().len()), (RESERVE_SEGMENTS, blank));
    assert_eq!(rig.disk.slow_unlinks(), 0, "nobody waits for the page cache of what is blank");
    rig.run_jobs();
    assert_eq!(rig.disk.unlinks()[blank..], [1, 2, 3].map(number));
    assert_eq!(rig.disk.slow_unlinks(), 3);
}

#[test]
fn a_start_on_a_full_disk_removes_what_makes_room_for_its_reserve_and_no_more() {
    let mut old = rig(SyncPolicy::Always);
    (0..5).for_each(|_| old.fill_segment());
    old.run_jobs();
    let (disk, start) = restart(&old, 6);
    let mut rig = started(&old, disk, start);
    let blank = rig.disk.unlinks().len();
    rig.disk.set_free_bytes(SEGMENT_LEN);
    run_start_jobs(&mut rig);
    assert_eq!(rig.log.spares.len(), RESERVE_SEGMENTS);
    assert_eq!(rig.disk.unlinks()[blank..], [number(1)]);
    assert_eq!(rig.disk.slow_unlinks(), 0, "at once, for somebody waits for the room");
}

#[test]
fn the_next_segment_comes_before_what_is_to_be_removed() {
    let mut rig = rig(SyncPolicy::Always);
    let below = cut(&mut rig);
    let mut report = rig.buffer(&[]);
    report.copied_below = Some(below);
    rig.log.write([report], rig.now);
    while rig.log.cleanings() == 0 {
        rig.pass(SYNC_GAP.as_u64());
        let job = rig.log.poll_job(rig.now).unwrap();
        let result = job.run(&rig.disk);
        rig.log.finish_job(result, rig.now);
    }
    rig.log.set_live(ByteCount::from_mib(1), ByteCount::ZERO);
    (0..2).for_each(|_| rig.fill_segment());
    // Each takes a while, and the segment that is written comes to its end.
    rig.write(&[1_000; 12]);
    let mut chores = Vec::new();
    while let Some(job) = rig.log.poll_job(rig.now) {
        if !job.is_sync() {
            chores.push(matches!(job, Job::Unlink { .. }));
        }
        let result = job.run(&rig.disk);
        rig.now.moment = rig.now.moment.after(Millis::new(50));
        rig.log.finish_job(result, rig.now);
    }
    assert_eq!(chores, [false, false, false, true]);
    assert_eq!(rig.log.spares.len(), RESERVE_SEGMENTS + 1);
}

#[test]
fn a_log_that_cannot_be_cut_does_not_ask_for_the_disks_room_at_each_step() {
    let mut rig = rig_on(SimDisk::new(1, SEGMENT_LEN, 20 * SEGMENT_LEN), SyncPolicy::EverySecond);
    rig.log.set_live(ByteCount::from_mib(1), ByteCount::ZERO);
    for _ in 0..12 {
        rig.fill_segment();
        rig.run_jobs();
    }
    rig.disk.set_free_bytes(0);
    // The registry alone takes more than there is room for.
    rig.log.set_live(ByteCount::new(5 * SEGMENT_LEN), ByteCount::new(4 * SEGMENT_LEN));
    let before = rig.disk.looks();
    let segment = rig.log.current_segment();
    (0..50).for_each(|_| rig.write(&[10]));
    assert_eq!((rig.disk.looks() - before, rig.log.current_segment()), (1, segment));
    assert!(rig.log.cut().is_none() && rig.log.content() > rig.log.len_max());
    rig.pass(100);
    assert_eq!(rig.disk.looks() - before, 2, "after a while");
    rig.fill_segment();
    assert_eq!(rig.disk.looks() - before, 3, "and when the log goes on in another segment");
    rig.disk.set_free_bytes(20 * SEGMENT_LEN);
    rig.run_jobs();
    assert!(rig.log.cut().is_some(), "and when a segment was made");
}
