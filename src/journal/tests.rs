//! What a log leaves: newest states, tears and damage, chains, clocks, keys; and a naive model.

mod model;
mod repeated;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::record::tests::{id, image, mark, name, origin, position};
use super::scan::tests::Segment;
use super::*;
use crate::types::{
    ApiKey, BootEpoch, BucketId, ByteCount, Millis, SessionId, ShardCount, ShardId, Ttl, UnixMillis, Version,
};

/// Sessions by their number's id: version, deadline, blob.
type Sessions = BTreeMap<SessionId, (u64, u64, Vec<u8>)>;

/// A log under construction. One shard logs; its first bucket is 3, as `image` has it.
pub(super) struct Log {
    pub(super) segments: Vec<Segment>,
    sequence: u64,
    pub(super) epoch: u32,
}

impl Log {
    /// A log with nothing but the bucket that its sessions are of.
    pub(super) fn new() -> Self {
        let mut log = Self { segments: vec![Segment::new(1, None)], sequence: 0, epoch: 5 };
        log.push(Entry::Bucket { bucket: BucketId::new(3), name: name("cart") });
        log
    }

    pub(super) fn last(&mut self) -> &mut Segment {
        self.segments.last_mut().unwrap()
    }

    /// Appends a record; yields where it begins.
    pub(super) fn push(&mut self, entry: Entry<'_>) -> Position {
        self.sequence += 1;
        let origin = Origin { epoch: BootEpoch::new(self.epoch).unwrap(), ..origin(0, self.sequence) };
        let segment = self.last();
        let offset = segment.push(&Record { origin, entry });
        Position { offset: LogOffset::of_len(offset), ..segment.end() }
    }

    pub(super) fn update(&mut self, number: u64, version: u64) -> Position {
        self.push(Entry::Update(image(number, version, format!("{number} v{version}").as_bytes())))
    }

    /// Says that all before is kept.
    pub(super) fn synced(&mut self) -> Position {
        let upto = self.last().end();
        self.push(Entry::Synced { upto, mark: mark(1_000, 1_000) })
    }

    pub(super) fn roll(&mut self) {
        let previous = self.last().end();
        self.segments.push(Segment::new(previous.segment.as_u32() + 1, Some(previous)));
    }

    /// Writes the segments into a journal's folder at `path`, in place of those that are there.
    pub(super) fn save(&self, path: &Path) {
        let disk = Disk::open(path).unwrap();
        for segment in disk.list().unwrap() {
            disk.unlink(segment.number).unwrap();
        }
        for Segment { header, bytes } in &self.segments {
            fs::write(path.join(header.number.file_name()), bytes).unwrap();
        }
    }

    fn byte(&mut self, at: Position, offset: i64) -> &mut u8 {
        let segment = self.segments.iter_mut().find(|segment| segment.header.number == at.segment).unwrap();
        &mut segment.bytes[(at.offset.as_u64() as i64 + offset) as usize]
    }

    /// Damages the head of the record at `at`, so that its tail alone names it.
    pub(super) fn hurt_head(&mut self, at: Position) {
        *self.byte(at, 30) ^= 4;
    }

    /// Damages head and tail of the record that ends at `end`, so that nothing names it.
    pub(super) fn hurt_both(&mut self, at: Position, end: Position) {
        *self.byte(at, 30) ^= 4;
        *self.byte(end, -9) ^= 4;
    }
}

pub(super) fn terms() -> Terms {
    Terms {
        wall_now: UnixMillis::new(1_000),
        session_ttl: Ttl::from_secs(3_600).unwrap(),
        downtime_max: Millis::from_secs(7 * 86_400),
    }
}

fn judge(segments: &[Segment], shards: u16) -> Result<Recovery, RecoverError> {
    let count = ShardCount::new(shards).unwrap();
    let owner_of = |id: SessionId| ShardId::new(u16::from(id.as_bytes()[0]) % shards);
    // In any order: the newest first.
    let surveys =
        segments.iter().rev().map(|segment| survey(segment.header.number, &segment.bytes, count, owner_of));
    Recovery::judge(surveys.collect(), terms())
}

fn load(recovery: &Recovery, segments: &[Segment], shards: u16) -> (Sessions, Tally) {
    let (mut sessions, mut sum) = (Sessions::new(), Tally::default());
    for shard in ShardCount::new(shards).unwrap().shards() {
        let plan = recovery.plan(shard);
        let tally = plan.tally();
        sum.live += tally.live;
        (sum.due, sum.lost, sum.orphaned) =
            (sum.due + tally.due, sum.lost + tally.lost, sum.orphaned + tally.orphaned);
        for number in recovery.segments() {
            let segment = segments.iter().find(|segment| segment.header.number == number).unwrap();
            for restored in plan.load(number, &segment.bytes).unwrap() {
                let restored = restored.unwrap();
                assert_eq!(restored.segment, number);
                let SessionImage { id, version, blob, .. } = restored.image;
                let value = (version.as_u64(), restored.deadline.as_u64(), blob.to_vec());
                assert_eq!(sessions.insert(id, value), None, "a session is restored once");
            }
        }
    }
    assert_eq!(sum.live as usize, sessions.len());
    (sessions, sum)
}

/// Judges and loads with one shard and with three: the outcome is the same, and the same plans
/// come of events that are taken out.
fn recover(log: &Log) -> (Sessions, Recovery) {
    let one = judge(&log.segments, 1).unwrap();
    let mut three = judge(&log.segments, 3).unwrap();
    assert_eq!(one.report(), three.report());
    let events = judge(&log.segments, 3).unwrap().take_events(ShardCount::new(3).unwrap());
    for (events, shard) in events.into_iter().zip(0..) {
        let (plan, expected) = (events.plan(), three.plan(ShardId::new(shard)));
        assert_eq!(format!("{plan:?}"), format!("{expected:?}"));
    }
    let loaded = load(&one, &log.segments, 1);
    assert_eq!(loaded, load(&three, &log.segments, 3));
    three.take_events(ShardCount::new(3).unwrap());
    assert!(load(&three, &log.segments, 3).0.is_empty(), "what was taken out is gone");
    (loaded.0, one)
}

/// The versions that are restored, by session number.
fn versions(sessions: &Sessions) -> Vec<(u64, u64)> {
    let number = |id: &SessionId| (0..1_000).find(|number| self::id(*number) == *id).unwrap();
    let mut versions: Vec<(u64, u64)> =
        sessions.iter().map(|(id, (version, ..))| (number(id), *version)).collect();
    versions.sort_unstable();
    versions
}

fn touch(number: u64, version: u64, deadline: u64) -> Entry<'static> {
    let version = Version::new(version).unwrap();
    Entry::Touch { id: id(number), version, deadline: JournalMillis::new(deadline) }
}

#[test]
fn an_empty_folder_and_an_empty_log_restore_nothing() {
    let nothing = Recovery::judge(Vec::new(), terms()).unwrap();
    assert_eq!(
        (nothing.end(), nothing.truncate(), nothing.next_segment()),
        (None, None, SegmentNumber::FIRST)
    );
    assert_eq!(nothing.next_epoch(), BootEpoch::new(1).unwrap());
    assert_eq!(nothing.registry().next_bucket, BucketId::new(0));
    let (sessions, recovery) = recover(&Log { segments: vec![Segment::new(1, None)], sequence: 0, epoch: 5 });
    assert!(sessions.is_empty() && !recovery.report().is_damaged());
    assert_eq!(recovery.end(), Some(position(1, SEGMENT_HEADER_LEN as u64)));
    assert_eq!(recovery.next_epoch(), BootEpoch::new(6).unwrap(), "the header has used epoch 5 up");
}

#[test]
fn the_newest_state_of_each_session_is_restored() {
    let mut log = Log::new();
    log.update(1, 1);
    log.update(2, 1);
    log.update(1, 2);
    log.roll();
    log.update(3, 1);
    log.push(Entry::Delete(id(2)));
    log.update(4, 1);
    log.push(Entry::Expire(id(3)));
    log.update(1, 3);
    let (sessions, recovery) = recover(&log);
    assert_eq!(versions(&sessions), [(1, 3), (4, 1)]);
    assert_eq!(sessions[&id(1)].2, b"1 v3");
    assert_eq!(recovery.report(), &Report { records: 9, ..Report::default() });
    assert_eq!((recovery.end(), recovery.truncate()), (Some(log.last().end()), None));
}

#[test]
fn a_touch_moves_the_deadline_of_a_session_that_is_there() {
    let mut log = Log::new();
    log.push(touch(1, 1, 9));
    log.update(1, 1);
    log.push(touch(1, 1, 500_000));
    log.push(touch(2, 1, 500_000));
    log.update(3, 1);
    log.push(touch(3, 1, 600_000));
    log.update(3, 2);
    let (sessions, _) = recover(&log);
    assert_eq!(sessions[&id(1)].1, 500_000);
    assert_eq!(sessions[&id(3)].1, 1_000_003, "an update brings its own deadline");
    assert_eq!(sessions.len(), 2);
}

#[test]
fn copies_change_nothing_but_the_place() {
    let mut log = Log::new();
    log.update(1, 1);
    log.update(1, 2);
    log.update(2, 7);
    let before = recover(&log).0;
    log.roll();
    log.update(2, 7);
    log.update(1, 2);
    log.update(1, 2);
    assert_eq!(recover(&log).0, before);
    log.update(1, 1);
    assert_eq!(recover(&log).0, before, "an older version never wins");
}

#[test]
fn a_deadline_is_no_later_than_one_ttl_after_the_boot_and_no_earlier_than_logged() {
    let mut log = Log::new();
    let own = Ttl::from_secs(2);
    let far = JournalMillis::new(999_000_000);
    log.push(Entry::Create(SessionImage { deadline: far, ..image(1, 1, b"") }));
    log.push(Entry::Create(SessionImage { deadline: far, own_ttl: own, ..image(2, 1, b"") }));
    log.push(Entry::Create(SessionImage { deadline: JournalMillis::new(1_001), ..image(3, 1, b"") }));
    log.push(Entry::Create(SessionImage { deadline: JournalMillis::new(1_000), ..image(4, 1, b"") }));
    log.push(Entry::Time(mark(1_000, 1_000)));
    let (sessions, recovery) = recover(&log);
    assert_eq!(recovery.boot_time(), JournalMillis::new(1_000));
    let deadlines: Vec<u64> = [1, 2, 3].map(|number| sessions[&id(number)].1).to_vec();
    assert_eq!(deadlines, [1_000 + 3_600_000, 3_000, 1_001]);
    assert_eq!(sessions.len(), 3, "what is due at boot is not restored");
    assert_eq!(recovery.plan(ShardId::FIRST).tally(), Tally { live: 3, due: 1, ..Tally::default() });
}

#[test]
fn a_cut_at_every_byte_of_the_last_three_records_leaves_exactly_those_before_it() {
    let mut log = Log::new();
    let mut ends = vec![log.last().end()];
    for number in 1..=6 {
        log.update(number, 1);
        ends.push(log.last().end());
    }
    let whole = log.last().bytes.clone();
    for cut in ends[3].offset.as_usize()..ends[6].offset.as_usize() {
        for zeros in [0, 3_000] {
            log.last().bytes = whole[..cut].to_vec();
            log.last().bytes.resize(cut + zeros, 0);
            let (sessions, recovery) = recover(&log);
            let kept = ends.iter().rposition(|end| end.offset.as_usize() <= cut).unwrap();
            let expected: Vec<(u64, u64)> = (1..=kept as u64).map(|number| (number, 1)).collect();
            assert_eq!(versions(&sessions), expected, "cut at {cut}");
            assert_eq!(recovery.end(), Some(ends[kept]), "cut at {cut}");
            let is_torn = whole[ends[kept].offset.as_usize()..cut].iter().any(|byte| *byte != 0);
            assert_eq!(recovery.truncate(), is_torn.then_some(ends[kept]), "cut at {cut}");
            assert!(!recovery.report().is_damaged(), "a torn end is no damage");
        }
    }
}

#[test]
fn a_bad_record_that_was_not_synced_ends_the_log_and_whole_segments_go() {
    let mut log = Log::new();
    log.update(1, 1);
    log.synced();
    log.update(2, 1);
    let bad = log.update(1, 2);
    log.update(3, 1);
    log.roll();
    log.update(4, 1);
    log.hurt_head(bad);
    let (sessions, recovery) = recover(&log);
    assert_eq!(versions(&sessions), [(1, 1), (2, 1)], "a prefix, nothing from behind the tear");
    assert_eq!((recovery.truncate(), recovery.end()), (Some(bad), Some(bad)));
    assert_eq!(recovery.unlink(), [SegmentNumber::new(2).unwrap()]);
    let report = recovery.report();
    assert!(!report.is_damaged() && report.torn_bytes > ByteCount::ZERO);
    assert_eq!(report.notices, [Notice::Torn(bad)]);
    assert_eq!(recovery.next_segment(), SegmentNumber::new(3).unwrap(), "a number is never used twice");
}

#[test]
fn a_bad_record_that_was_synced_is_damage_and_costs_its_session_alone() {
    let mut log = Log::new();
    log.update(1, 1);
    log.update(2, 1);
    let bad = log.update(1, 2);
    log.update(3, 1);
    log.synced();
    log.update(4, 1);
    for hurt in [30, 75, 96] {
        *log.byte(bad, hurt) ^= 0x80;
        let (sessions, recovery) = recover(&log);
        assert_eq!(versions(&sessions), [(2, 1), (3, 1), (4, 1)], "never the older version");
        let report = recovery.report();
        assert_eq!((report.damaged, report.unnamed, report.missing), (1, 0, 1));
        assert_eq!((report.notices.as_slice(), recovery.truncate()), (&[Notice::Damaged(bad)][..], None));
        assert_eq!(recovery.damaged_segments(), [SegmentNumber::FIRST]);
        assert_eq!(recovery.plan(ShardId::FIRST).tally().lost, 1);
        *log.byte(bad, hurt) ^= 0x80;
    }
    assert!(!recover(&log).1.report().is_damaged());
}

#[test]
fn a_damaged_session_that_changed_again_lives() {
    let mut log = Log::new();
    let first = log.update(1, 1);
    log.update(1, 2);
    let bad = log.update(2, 1);
    log.push(Entry::Delete(id(2)));
    log.synced();
    log.hurt_head(first);
    log.hurt_head(bad);
    let (sessions, recovery) = recover(&log);
    assert_eq!(versions(&sessions), [(1, 2)]);
    assert_eq!(recovery.plan(ShardId::FIRST).tally().lost, 0);
}

#[test]
fn damage_without_a_name_is_counted_and_a_touch_still_tells_the_old_version() {
    let mut log = Log::new();
    log.update(1, 1);
    log.update(2, 1);
    let bad = log.update(1, 2);
    let next = log.update(2, 2);
    let end = log.push(touch(1, 2, 700_000));
    log.synced();
    log.hurt_both(bad, next);
    log.hurt_both(next, end);
    let (sessions, recovery) = recover(&log);
    assert_eq!(versions(&sessions), [(2, 1)], "1 is known to be old, 2 is not");
    let report = recovery.report();
    assert_eq!((report.damaged, report.unnamed, report.missing), (1, 1, 2));
    assert!(report.is_damaged());
}

#[test]
fn a_damaged_delete_deletes_and_a_damaged_touch_never_shortens_a_life() {
    let mut log = Log::new();
    log.update(1, 1);
    log.update(2, 1);
    let delete = log.push(Entry::Delete(id(1)));
    let touch = log.push(touch(2, 1, 2_000_000));
    log.synced();
    log.hurt_head(delete);
    log.hurt_head(touch);
    let (sessions, recovery) = recover(&log);
    assert_eq!(versions(&sessions), [(2, 1)]);
    assert_eq!(sessions[&id(2)].1, 1_000 + 3_600_000, "one TTL from the boot");
    assert_eq!(recovery.report().damaged, 2);
    let plan = recovery.plan(ShardId::FIRST);
    let restored = plan.load(SegmentNumber::FIRST, &log.last().bytes).unwrap().next().unwrap().unwrap();
    assert_eq!(restored.logged_deadline, JournalMillis::new(1_000_002), "what the log is known to hold");
}

#[test]
fn a_hole_over_the_synced_position_is_damage_before_it_and_the_end_from_it_on() {
    let mut log = Log::new();
    log.update(1, 1);
    let first = log.update(2, 1);
    let horizon = log.last().end();
    log.update(3, 1);
    let resumes = log.synced();
    // The synced record names a position before session 3's record.
    let synced = Entry::Synced { upto: horizon, mark: mark(1_000, 1_000) };
    log.last().bytes.truncate(resumes.offset.as_usize());
    log.sequence -= 1;
    log.push(synced);
    let end = resumes.offset.as_usize();
    log.last().bytes[first.offset.as_usize()..end].fill(0xaa);
    let (sessions, recovery) = recover(&log);
    assert_eq!(versions(&sessions), [(1, 1)]);
    assert_eq!((recovery.report().damaged, recovery.truncate()), (1, Some(horizon)));
}

#[test]
fn segments_below_the_newest_checkpoint_are_ignored_whatever_they_hold() {
    let mut log = Log::new();
    let bad = log.update(1, 1);
    log.update(2, 1);
    log.roll();
    log.push(Entry::Bucket { bucket: BucketId::new(3), name: name("cart") });
    log.update(1, 1);
    log.roll();
    log.synced();
    log.push(Entry::Checkpoint(SegmentNumber::new(2).unwrap()));
    log.hurt_head(bad);
    let (sessions, recovery) = recover(&log);
    assert_eq!(versions(&sessions), [(1, 1)]);
    assert!(!recovery.report().is_damaged());
    assert_eq!(recovery.unlink(), [SegmentNumber::FIRST]);
    log.segments.remove(0);
    let (again, recovery) = recover(&log);
    assert_eq!((again, recovery.unlink().len()), (sessions, 0));
    assert!(!recovery.report().is_damaged(), "what was unlinked is not missing");
}

#[test]
fn what_a_segment_holds_behind_its_real_end_is_not_restored() {
    let mut log = Log::new();
    log.update(1, 1);
    log.roll();
    // Written, never acknowledged, and written again to the next segment.
    let stale = image(1, 2, b"never acknowledged");
    log.segments[0].push(&Record { origin: origin(0, 3), entry: Entry::Update(stale) });
    log.update(2, 1);
    log.synced();
    let (sessions, recovery) = recover(&log);
    assert_eq!(versions(&sessions), [(1, 1), (2, 1)]);
    assert!(!recovery.report().is_damaged());
}

#[test]
fn a_segment_that_its_successor_steps_over_was_abandoned() {
    let mut log = Log::new();
    log.update(1, 1);
    let end = log.last().end();
    log.roll();
    log.update(1, 2);
    log.segments.push(Segment::new(3, Some(end)));
    log.sequence -= 1;
    log.update(2, 1);
    let (sessions, recovery) = recover(&log);
    assert_eq!(versions(&sessions), [(1, 1), (2, 1)]);
    assert_eq!(recovery.unlink(), [SegmentNumber::new(2).unwrap()]);
}

#[test]
fn an_end_that_is_lost_where_the_next_segment_begins_is_noticed() {
    let mut log = Log::new();
    log.update(1, 1);
    let bad = log.update(2, 1);
    log.roll();
    log.update(3, 1);
    let whole = log.segments[0].bytes.clone();
    log.segments[0].bytes[bad.offset.as_usize()..].fill(0);
    let (sessions, recovery) = recover(&log);
    assert_eq!(versions(&sessions), [(1, 1)], "what follows an unsynced hole is not restored");
    assert_eq!(recovery.end(), Some(bad));
    log.segments[0].bytes = whole;
    log.synced();
    log.segments[0].bytes[bad.offset.as_usize()..].fill(0);
    let (sessions, recovery) = recover(&log);
    assert_eq!(versions(&sessions), [(1, 1), (3, 1)], "synced, it is damage");
    assert_eq!((recovery.report().damaged, recovery.report().missing), (1, 1));
}

/// A segment as it is before it is begun, with these bytes behind its header.
fn prepared(number: u32, behind: &[u8]) -> Segment {
    let mut segment = Segment::new(number, None);
    segment.bytes = [&SegmentHeader::prepared(segment.header.number)[..], behind].concat();
    segment
}

#[test]
fn segments_that_were_never_begun_are_removed_and_change_nothing() {
    let mut log = Log::new();
    log.update(1, 1);
    log.roll();
    log.update(2, 1);
    let end = log.last().end();
    log.segments.push(prepared(3, &[]));
    log.segments.push(prepared(4, &[0; 5_000]));
    log.segments.push(Segment { bytes: vec![0; 20_000], ..Segment::new(5, None) });
    log.segments.push(Segment { bytes: Vec::new(), ..Segment::new(6, None) });
    let (sessions, recovery) = recover(&log);
    assert_eq!(versions(&sessions), [(1, 1), (2, 1)]);
    assert_eq!(recovery.unlink(), [3, 4, 5, 6].map(|number| SegmentNumber::new(number).unwrap()));
    assert_eq!((recovery.end(), recovery.truncate()), (Some(end), None));
    assert_eq!(recovery.report(), &Report { records: 3, ..Report::default() });
    assert_eq!(recovery.next_epoch(), BootEpoch::new(6).unwrap(), "nobody has used an epoch in them");
}

#[test]
fn a_beginning_that_the_power_took_back_is_a_tear_whatever_else_was_written() {
    let mut log = Log::new();
    log.update(1, 1);
    log.synced();
    let end = log.last().end();
    log.roll();
    log.update(2, 1);
    let behind = log.last().bytes[SEGMENT_HEADER_LEN..].to_vec();
    *log.last() = prepared(2, &behind);
    let torn = Notice::Torn(position(2, 0));
    // The newest one; and one below a segment that was begun, and not synced, either.
    for follows in [false, true] {
        if follows {
            log.segments.push(Segment::new(3, Some(position(2, (SEGMENT_HEADER_LEN + behind.len()) as u64))));
            log.update(3, 1);
        }
        let (sessions, recovery) = recover(&log);
        assert_eq!(versions(&sessions), [(1, 1)]);
        assert_eq!((recovery.end(), recovery.truncate()), (Some(end), None));
        let report = recovery.report();
        assert!(!report.is_damaged() && report.torn_bytes > ByteCount::ZERO);
        assert_eq!(report.notices, [torn]);
        assert_eq!(
            (recovery.damaged_segments(), recovery.unlink().len()),
            (&[][..], 1 + usize::from(follows))
        );
    }
    // Once it was synced, somebody has lost what was written.
    log.synced();
    let (sessions, recovery) = recover(&log);
    assert_eq!(versions(&sessions), [(1, 1), (3, 1)]);
    assert_eq!((recovery.report().damaged, recovery.damaged_segments().len()), (1, 1));
}

/// A log of three segments that know the bucket each. No record says that the third is synced.
fn three_segments() -> Log {
    let mut log = Log::new();
    for number in 1..=3 {
        log.push(Entry::Bucket { bucket: BucketId::new(3), name: name("cart") });
        log.update(number, 1);
        if number < 3 {
            log.synced();
            log.roll();
        }
    }
    log
}

#[test]
fn a_header_that_cannot_be_read_is_damage_in_every_segment() {
    for (hurt, left) in [(0, vec![(2, 1), (3, 1)]), (1, vec![(1, 1), (3, 1)]), (2, vec![(1, 1), (2, 1)])] {
        for filler in [0, 0x55] {
            let mut log = three_segments();
            log.segments[hurt].bytes[..SEGMENT_HEADER_LEN].fill(filler);
            let number = log.segments[hurt].header.number;
            let (sessions, recovery) = recover(&log);
            assert_eq!(versions(&sessions), left);
            let report = recovery.report();
            assert_eq!((report.damaged, report.unnamed), (1, 1), "{number}");
            assert_eq!(report.notices, [Notice::Unreadable(number)]);
            assert!(report.is_damaged() && report.damage().count() == 1);
            assert_eq!((recovery.damaged_segments(), recovery.unlink()), (&[number][..], &[][..]));
            assert_eq!(recovery.next_epoch(), BootEpoch::new(7).unwrap(), "it may have used one up");
            // Whoever goes on behind it says so again until it is cleaned away.
            let end = recovery.end().unwrap();
            assert_eq!(end.segment, log.last().header.number);
            log.segments.push(Segment::new(4, Some(end)));
            log.update(4, 1);
            assert_eq!(recover(&log).1.report().notices, [Notice::Unreadable(number)]);
        }
    }
}

#[test]
fn one_bad_copy_of_a_header_is_healed_by_the_other() {
    for hurt in 0..3 {
        for block in [0, 4096] {
            for filler in [0, 0x55] {
                let mut log = three_segments();
                let expected = recover(&log).0;
                log.segments[hurt].bytes[block..block + 4096].fill(filler);
                let (sessions, recovery) = recover(&log);
                assert_eq!(sessions, expected);
                assert_eq!(recovery.report().notices, []);
            }
        }
    }
}

#[test]
fn a_header_that_cannot_be_read_is_damage_behind_a_tear_too_but_not_where_it_is_of_no_concern() {
    let mut log = three_segments();
    let bad = log.segments[1].bytes.len() - 5;
    log.segments[1].bytes[bad] ^= 1;
    log.segments[2].bytes[..SEGMENT_HEADER_LEN].fill(0x55);
    let (sessions, recovery) = recover(&log);
    assert_eq!(versions(&sessions), [(1, 1), (2, 1)]);
    let third = SegmentNumber::new(3).unwrap();
    assert!(recovery.report().notices.contains(&Notice::Unreadable(third)));
    assert!(recovery.report().is_damaged());
    assert_eq!((recovery.damaged_segments(), recovery.unlink()), (&[third][..], &[third][..]));
    // Given up, for a segment that follows the one before it.
    let end = log.segments[1].end();
    log.segments[1].bytes[bad] ^= 1;
    log.segments.push(Segment::new(4, Some(end)));
    log.update(4, 1);
    let (_, recovery) = recover(&log);
    assert_eq!((recovery.report().notices.as_slice(), recovery.unlink()), (&[][..], &[third][..]));
    // Below a checkpoint.
    let fourth = log.last().header.number;
    log.push(Entry::Checkpoint(fourth));
    log.segments[0].bytes[..SEGMENT_HEADER_LEN].fill(0x55);
    let (_, recovery) = recover(&log);
    assert_eq!((recovery.report().notices.as_slice(), recovery.unlink().len()), (&[][..], 3));
}

#[test]
fn a_segment_whose_header_is_cut_off_or_garbage_alone_never_panics() {
    for len in [1, 51, 52, 600, 4_096, 4_147, 4_148, SEGMENT_HEADER_LEN - 1, SEGMENT_HEADER_LEN] {
        for follows in [false, true] {
            let mut log = three_segments();
            let end = log.last().end();
            log.last().bytes.truncate(len);
            let mut garbage = three_segments();
            garbage.last().bytes = vec![0x55; len];
            for log in [&mut log, &mut garbage] {
                if follows {
                    log.segments.push(Segment::new(4, Some(end)));
                    log.update(4, 1);
                }
                let (_, recovery) = recover(log);
                let is_garbage = log.segments[2].bytes[0] == 0x55;
                let is_damaged = recovery.report().is_damaged();
                assert_eq!(is_damaged, is_garbage || len < 52, "{len} {follows}: {:?}", recovery.report());
            }
        }
    }
}

#[test]
fn a_missing_segment_is_damage_if_it_was_synced_and_the_end_if_not() {
    let mut log = Log::new();
    log.update(1, 1);
    log.roll();
    log.update(2, 1);
    log.roll();
    log.update(3, 1);
    let missing = log.segments.remove(1);
    let (sessions, recovery) = recover(&log);
    assert_eq!(versions(&sessions), [(1, 1)]);
    assert_eq!(recovery.unlink(), [SegmentNumber::new(3).unwrap()]);
    log.synced();
    let (sessions, recovery) = recover(&log);
    assert_eq!(versions(&sessions), [(1, 1), (3, 1)]);
    assert_eq!((recovery.report().damaged, recovery.report().missing), (1, 1));
    assert_eq!(recovery.report().notices, [Notice::Missing(missing.header.number)]);
}

#[test]
fn a_log_whose_first_segments_are_gone_is_damaged_and_not_thrown_away() {
    let mut log = Log::new();
    log.roll();
    log.push(Entry::Bucket { bucket: BucketId::new(3), name: name("cart") });
    log.update(1, 1);
    log.segments.remove(0);
    let (sessions, recovery) = recover(&log);
    assert_eq!(versions(&sessions), [(1, 1)]);
    assert_eq!(recovery.report().notices, [Notice::Missing(SegmentNumber::FIRST)]);
    assert!(recovery.report().is_damaged());
}

#[test]
fn a_segment_of_another_format_stops_everything() {
    let number = SegmentNumber::new(2).unwrap();
    let mut surveys = vec![survey(number, &[], ShardCount::ONE, |_| ShardId::FIRST)];
    surveys[0].header = Err(HeaderError::Format(1));
    assert_eq!(Recovery::judge(surveys, terms()).map(drop), Err(RecoverError::Format(number, 1)));
}

#[test]
fn the_next_epoch_is_above_every_one_that_was_seen_even_behind_a_tear() {
    let mut log = Log::new();
    log.update(1, 1);
    log.epoch = 9;
    let bad = log.update(1, 2);
    log.epoch = 12;
    log.update(2, 1);
    log.hurt_head(bad);
    let (sessions, recovery) = recover(&log);
    assert_eq!(versions(&sessions), [(1, 1)]);
    assert_eq!(recovery.next_epoch(), BootEpoch::new(13).unwrap());
    log.epoch = BootEpoch::COUNT_MAX - 1;
    log.update(2, 1);
    assert_eq!(judge(&log.segments, 1).map(drop), Err(RecoverError::EpochsUsedUp));
}

#[test]
fn journal_time_goes_on_with_the_wall_clock_within_what_is_believed() {
    let week = 7 * 86_400_000;
    let ahead = 365 * 86_400_000;
    let table = [
        (5_000, 5_000, None),
        (5_000 + week, 5_000 + week, None),
        (5_000 + ahead, 5_000 + week, Some(Notice::ClockAhead(ahead))),
        (4_000, 5_000, Some(Notice::ClockBack(1_000))),
        (0, 5_000, Some(Notice::ClockBack(5_000))),
    ];
    for (wall_now, journal, notice) in table {
        let mut log = Log::new();
        log.push(Entry::Time(mark(1, 9_999_999)));
        log.push(Entry::Time(mark(5_000, 5_000)));
        log.update(1, 1);
        let surveys = log.segments.iter().map(|segment| {
            survey(segment.header.number, &segment.bytes, ShardCount::ONE, |_| ShardId::FIRST)
        });
        let terms = Terms { wall_now: UnixMillis::new(wall_now), ..terms() };
        let recovery = Recovery::judge(surveys.collect(), terms).unwrap();
        assert_eq!(recovery.boot_time(), JournalMillis::new(journal), "{wall_now}");
        assert_eq!(recovery.report().notices, notice.into_iter().collect::<Vec<_>>(), "{wall_now}");
    }
}

#[test]
fn the_registry_is_restored_and_no_number_is_given_twice() {
    let (cart, shop, blog) = (BucketId::new(3), BucketId::new(4), BucketId::new(5));
    let key = |byte| ApiKey::from_random(&[byte; 32]);
    let mut log = Log::new();
    log.push(Entry::Key { bucket: cart, name: name("cart"), key: key(1) });
    log.push(Entry::Key { bucket: shop, name: name("shop"), key: key(2) });
    log.push(Entry::KeyDelete { bucket: shop, name: name("shop") });
    let newest = log.push(Entry::Key { bucket: cart, name: name("cart"), key: key(3) });
    log.push(Entry::Create(SessionImage { bucket: blog, ..image(1, 1, b"") }));
    log.synced();
    let (sessions, recovery) = recover(&log);
    let restored = |bucket, text, key| RestoredBucket { bucket, name: name(text), key };
    let expected = [restored(cart, "cart", Some(key(3))), restored(shop, "shop", None)];
    assert_eq!(recovery.registry().buckets, expected);
    assert_eq!(recovery.registry().next_bucket, BucketId::new(6), "a session has used 5 up");
    assert_eq!(recovery.plan(ShardId::FIRST).tally().orphaned, 1);
    assert!(sessions.is_empty());
    log.hurt_head(newest);
    let (_, recovery) = recover(&log);
    assert_eq!(recovery.registry().buckets[0], restored(cart, "cart", None), "the older key stays shut");
    assert_eq!(recovery.report().notices[1], Notice::KeyLost(3));
}

#[test]
fn what_changed_between_survey_and_load_is_not_served() {
    let mut log = Log::new();
    let at = log.update(1, 1);
    let recovery = judge(&log.segments, 1).unwrap();
    let plan = recovery.plan(ShardId::FIRST);
    let (number, mut bytes) = (SegmentNumber::FIRST, log.last().bytes.clone());
    bytes[at.offset.as_usize() + 80] ^= 1;
    let loaded: Vec<_> = plan.load(number, &bytes).unwrap().collect();
    assert_eq!(loaded, [Err(LoadError::Record(at))]);
    let loaded: Vec<_> = plan.load(number, &bytes[..at.offset.as_usize()]).unwrap().collect();
    assert_eq!(loaded, [Err(LoadError::Record(at))]);
    assert!(plan.load(number, &[]).is_err());
    assert_eq!(plan.load(SegmentNumber::MAX, &[]).unwrap().count(), 0);
}

#[test]
fn time_goes_on_where_a_checkpoint_is_torn_off_and_the_mark_before_it_is_lost() {
    let mut log = Log::new();
    log.push(Entry::Time(mark(5_000, 1_000)));
    log.roll();
    log.push(Entry::Bucket { bucket: BucketId::new(3), name: name("cart") });
    log.update(1, 1);
    let lost = log.push(Entry::Time(mark(6_000, 1_000)));
    let end = log.push(Entry::Checkpoint(SegmentNumber::new(2).unwrap()));
    log.hurt_both(lost, end);
    let (sessions, recovery) = recover(&log);
    assert_eq!(recovery.segments().map(SegmentNumber::as_u32).collect::<Vec<_>>(), [2]);
    assert_eq!(
        (recovery.end(), sessions.len()),
        (Some(lost), 1),
        "the checkpoint counts although it is torn off"
    );
    assert_eq!(recovery.boot_time(), JournalMillis::new(5_000), "by the mark below the checkpoint");
}

#[test]
fn what_is_known_to_be_synced_never_lies_behind_the_end() {
    let mut log = Log::new();
    assert_eq!(judge(&log.segments, 1).unwrap().synced(), None);
    let upto = log.last().end();
    log.synced();
    assert_eq!(judge(&log.segments, 1).unwrap().synced(), Some(upto));
    // Of a part of the log that is not there any more.
    let beyond = Position { offset: log.last().end().offset.after(100_000), ..upto };
    log.push(Entry::Synced { upto: beyond, mark: mark(1_000, 1_000) });
    let recovery = judge(&log.segments, 1).unwrap();
    assert_eq!((recovery.synced(), recovery.end()), (Some(log.last().end()), Some(log.last().end())));
}
