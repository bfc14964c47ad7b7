//! What is said of folders of every kind, and what is never said.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use super::super::disk::Disk;
use super::super::live::{LiveShard, clock};
use super::super::log::SyncPolicy;
use super::super::record::tests::{id, image, name};
use super::super::tests::Log;
use super::super::{Entry, JournalMillis, SEGMENT_HEADER_LEN, SegmentHeader, SegmentNumber, SessionImage};
use super::*;
use crate::types::{ApiKey, BucketId};

/// The lines by their names; the last one of a name counts.
fn lines(verification: &Verification) -> BTreeMap<String, String> {
    let text = verification.to_string();
    let last = text.lines().last().unwrap();
    assert!(last.starts_with("verdict: ") && text.ends_with('\n'), "{text}");
    text.lines()
        .map(|line| line.split_once(": ").unwrap_or_else(|| panic!("{line:?}")))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

fn check(path: &Path, wanted: &[(&str, &str)]) -> Verification {
    let verification = verify(path, UnixMillis::new(1_000));
    let lines = lines(&verification);
    for (name, value) in wanted {
        assert_eq!(lines.get(*name).map(String::as_str), Some(*value), "{name} in\n{verification}");
    }
    verification
}

/// Two buckets, sessions of every fate, two starts, three segments of which one is a spare.
fn rich_log() -> Log {
    let mut log = Log::new();
    let key = ApiKey::from_random(&[7; 32]);
    log.push(Entry::Key { bucket: BucketId::new(4), name: name("shop"), key });
    for session in 0..5 {
        log.update(session, 1);
    }
    log.push(Entry::Delete(id(4)));
    log.roll();
    log.epoch = 9;
    log.push(Entry::Update(SessionImage { deadline: JournalMillis::new(1_000), ..image(5, 1, b"due") }));
    log.push(Entry::Update(SessionImage { bucket: BucketId::new(6), ..image(6, 1, b"a stray one") }));
    log.synced();
    log
}

fn saved(log: &Log) -> tempfile::TempDir {
    let place = tempfile::tempdir().unwrap();
    log.save(place.path());
    fs::write(place.path().join("00000003.log"), [0; 5_000]).unwrap();
    place
}

#[test]
fn a_newest_segment_without_a_readable_header_is_damage_and_one_bad_copy_is_none() {
    let log = rich_log();
    let place = saved(&log);
    let path = place.path().join("00000002.log");
    for filler in [0, 0x55] {
        for block in [0, 4096] {
            let mut bytes = log.segments[1].bytes.clone();
            bytes[block..block + 4096].fill(filler);
            fs::write(&path, &bytes).unwrap();
            assert!(check(place.path(), &[("records", "11"), ("verdict", "sound")]).is_sound());
        }
        let mut bytes = log.segments[1].bytes.clone();
        bytes[..SEGMENT_HEADER_LEN].fill(filler);
        fs::write(&path, &bytes).unwrap();
        let wanted = [
            ("segments", "2"),
            ("spare_segments", "1"),
            ("damaged_places", "1"),
            ("torn_bytes", "0"),
            ("damage", "segment 2 has no readable header: all that it held is lost"),
            ("verdict", "damaged: lost records that had been kept: 1"),
        ];
        assert!(!check(place.path(), &wanted).is_sound());
    }
}

#[test]
fn a_segment_that_was_prepared_and_never_begun_is_a_spare() {
    let log = rich_log();
    let place = saved(&log);
    let number = SegmentNumber::new(3).unwrap();
    fs::write(place.path().join(number.file_name()), SegmentHeader::prepared(number)).unwrap();
    for state in ["not in use", "in use by a server, judged as of now"] {
        let server = (state != "not in use").then(|| Disk::open(place.path()).unwrap());
        let wanted = [
            ("state", state),
            ("segments", "2"),
            ("spare_segments", "1"),
            ("needless_segments", "0"),
            ("verdict", "sound"),
        ];
        check(place.path(), &wanted);
        drop(server);
    }
}

#[test]
fn a_sound_folder_is_told_in_numbers() {
    let log = rich_log();
    let place = saved(&log);
    let bytes: usize = log.segments.iter().map(|segment| segment.bytes.len()).sum::<usize>() + 5_000;
    let wanted = [
        ("folder", place.path().to_str().unwrap()),
        ("state", "not in use"),
        ("format", "2"),
        ("segments", "2"),
        ("spare_segments", "1"),
        ("needless_segments", "0"),
        ("bytes", &bytes.to_string()),
        ("records", "11"),
        ("epochs", "2"),
        ("newest_epoch", "9"),
        ("sessions_live", "4"),
        ("sessions_due", "1"),
        ("sessions_lost", "0"),
        ("sessions_orphaned", "1"),
        ("buckets_with_key", "1"),
        ("buckets_without_key", "1"),
        ("torn_bytes", "0"),
        ("damaged_places", "0"),
        ("missing_records", "0"),
        ("verdict", "sound"),
    ];
    assert!(check(place.path(), &wanted).is_sound());
}

#[test]
fn a_torn_end_is_sound_and_said() {
    let mut log = rich_log();
    let end = log.last().bytes.len();
    log.update(1, 2);
    log.last().bytes.truncate(end + 80);
    let place = saved(&log);
    let torn = log.last().end().offset.as_u64() - end as u64;
    let note = format!(
        "the log was torn at 00000002.log:{end}: what follows was never synced, as after any power cut"
    );
    let wanted = [("torn_bytes", &*torn.to_string()), ("note", &note), ("verdict", "sound")];
    assert!(check(place.path(), &wanted).is_sound());
}

#[test]
fn damage_is_named_by_place_and_ends_in_the_verdict() {
    let mut log = rich_log();
    let bad = log.update(1, 2);
    log.update(2, 2);
    log.synced();
    log.hurt_head(bad);
    let place = saved(&log);
    let wanted = [
        ("damaged_places", "1"),
        ("unnamed_places", "0"),
        ("missing_records", "1"),
        ("sessions_lost", "1"),
        ("sessions_live", "3"),
        ("damage", &format!("damaged records from {bad} on")),
        ("verdict", "damaged: lost records that had been kept: 1"),
    ];
    assert!(!check(place.path(), &wanted).is_sound());
}

#[test]
fn a_missing_segment_is_damage() {
    let mut log = rich_log();
    log.roll();
    log.synced();
    let place = saved(&log);
    fs::remove_file(place.path().join("00000002.log")).unwrap();
    fs::write(place.path().join("00000003.log"), &log.last().bytes).unwrap();
    assert!(!check(place.path(), &[("segments", "2"), ("damage", "segment 2 is missing")]).is_sound());
}

#[test]
fn what_cannot_be_read_is_not_sound_and_says_why() {
    let place = tempfile::tempdir().unwrap();
    let unreadable = |path: &Path, why: &str| {
        let verification = verify(path, UnixMillis::new(1_000));
        assert!(!verification.is_sound());
        let verdict = lines(&verification)["verdict"].clone();
        assert!(verdict.starts_with("not readable: ") && verdict.contains(why), "{verdict}");
    };
    unreadable(&place.path().join("missing"), "No such file");
    unreadable(place.path(), "no journal's folder");
    let place = saved(&rich_log());
    let segment = place.path().join("00000002.log");
    let whole = fs::read(&segment).unwrap();
    let mut other = whole.clone();
    for at in [0, 4096] {
        other[at] = 1;
        let check = crc32fast::hash(&other[at..at + 48]).to_le_bytes();
        other[at + 48..at + 52].copy_from_slice(&check);
    }
    fs::write(&segment, other).unwrap();
    unreadable(place.path(), "segment 2 is of format 1");
    fs::remove_file(&segment).unwrap();
    fs::create_dir(&segment).unwrap();
    unreadable(place.path(), "00000002.log");
    fs::write(place.path().join("seshun-journal"), "another").unwrap();
    unreadable(place.path(), "another version");
}

#[test]
fn no_key_no_id_no_name_and_no_data_is_told() {
    let mut log = rich_log();
    let bad = log.update(1, 2);
    let key = ApiKey::from_random(&[7; 32]);
    let lost = log.push(Entry::Key { bucket: BucketId::new(4), name: name("shop"), key });
    log.synced();
    log.hurt_head(bad);
    log.hurt_head(lost);
    let place = saved(&log);
    let verification = verify(place.path(), UnixMillis::new(1_000));
    let text = format!("{verification}{verification:?}");
    assert!(text.contains("the key of bucket number 4 is lost"), "{text}");
    let ids = (0..8).flat_map(|session| [id(session).to_string(), id(session).to_string().replace('-', "")]);
    for secret in
        ids.chain(["shop", "cart", "a stray", "1 v1"].map(str::to_owned)).chain([key.expose().to_string()])
    {
        assert!(!text.contains(&secret), "{secret} in\n{text}");
    }
}

#[test]
fn nothing_is_changed_and_a_folder_that_nobody_may_write_is_judged() {
    let place = saved(&rich_log());
    let trace = || -> BTreeMap<_, _> {
        let seen = |entry: fs::DirEntry| {
            let seen = entry.metadata().unwrap();
            (
                entry.file_name(),
                (fs::read(entry.path()).unwrap(), seen.mtime_nsec(), seen.ctime_nsec(), seen.mode()),
            )
        };
        fs::read_dir(place.path()).unwrap().map(|entry| seen(entry.unwrap())).collect()
    };
    let before = trace();
    assert!(verify(place.path(), UnixMillis::new(1_000)).is_sound());
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o500)).unwrap();
    assert!(verify(place.path(), UnixMillis::new(1_000)).is_sound());
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o700)).unwrap();
    assert_eq!(trace(), before);
}

#[test]
fn a_folder_in_use_is_marked_and_judged_up_to_its_last_whole_record() {
    let mut log = rich_log();
    let end = log.last().bytes.len();
    log.update(1, 2);
    log.last().bytes.truncate(end + 80);
    let place = saved(&log);
    let disk = Disk::open(place.path()).unwrap();
    let bytes = log.segments[0].bytes.len() + end;
    let wanted = [
        ("state", "in use by a server, judged as of now"),
        ("segments", "2"),
        ("spare_segments", "1"),
        ("bytes", &bytes.to_string()),
        ("records", "11"),
        ("torn_bytes", "0"),
        ("verdict", "sound"),
    ];
    assert!(check(place.path(), &wanted).is_sound());
    drop(disk);
    check(place.path(), &[("state", "not in use")]);
}

#[test]
fn a_server_that_writes_rolls_and_cleans_is_never_called_damaged() {
    let place = tempfile::tempdir().unwrap();
    let shard = LiveShard::start(place.path(), SyncPolicy::EverySecond, 64);
    shard.run_beside(|_| {
        for round in 0..60 {
            let verification = verify(place.path(), clock().wall);
            let lines = lines(&verification);
            assert!(verification.is_sound(), "{round}: {verification}");
            assert_eq!(lines["torn_bytes"], "0", "{round}: {verification}");
            assert_eq!(lines["state"], "in use by a server, judged as of now");
        }
    });
    let verification = verify(place.path(), clock().wall);
    let lines = lines(&verification);
    assert_eq!((&*lines["state"], &*lines["verdict"]), ("not in use", "sound"), "{verification}");
}

#[test]
fn an_empty_journal_is_sound() {
    let place = tempfile::tempdir().unwrap();
    drop(Disk::open(place.path()).unwrap());
    let wanted = [("segments", "0"), ("records", "0"), ("epochs", "0"), ("bytes", "0"), ("verdict", "sound")];
    assert!(check(place.path(), &wanted).is_sound());
    fs::write(place.path().join("00000001.log"), [0; SEGMENT_HEADER_LEN]).unwrap();
    check(place.path(), &[("segments", "0"), ("spare_segments", "1"), ("verdict", "sound")]);
}
