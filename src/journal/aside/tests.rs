//! Damaged segments in real folders: what is kept of them, once, and without room.

use std::collections::BTreeMap;

use super::super::replay::{Filing, ReplayProgress, ReplayTerms};
use super::super::segment::SEGMENT_HEADER_LEN;
use super::super::small_disk::SmallDisk;
use super::super::tests::{Log, terms};
use super::*;
use crate::types::{ShardCount, ShardId};

fn open(path: &Path) -> Replay {
    let filing = Filing { shards: ShardCount::ONE, owner_of: &|_| ShardId::FIRST };
    Replay::open(path, &ReplayTerms { filing, terms: terms(), threads: 1 }, &ReplayProgress::new()).unwrap()
}

/// A log of two segments, both damaged.
fn damaged_log() -> Log {
    let mut log = Log::new();
    let first = log.update(1, 1);
    log.update(2, 1);
    log.roll();
    let second = log.update(3, 1);
    log.synced();
    log.hurt_head(first);
    log.hurt_head(second);
    log
}

/// The kept files by name, with what they hold.
fn kept(path: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(path.join(DAMAGED_NAME)).unwrap().map(|entry| entry.unwrap());
    entries.map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())).collect()
}

fn kinds(replay: &Replay) -> Vec<(u32, AsideKind)> {
    replay.keep_aside().unwrap().iter().map(|aside| (aside.segment.as_u32(), aside.kind)).collect()
}

#[test]
fn a_sound_log_keeps_nothing_aside_and_makes_no_folder() {
    let place = tempfile::tempdir().unwrap();
    let mut log = Log::new();
    log.update(1, 1);
    log.save(place.path());
    assert_eq!(kinds(&open(place.path())), []);
    assert!(!place.path().join(DAMAGED_NAME).exists());
}

#[test]
fn each_damaged_segment_is_copied_for_its_owner_alone() {
    let place = tempfile::tempdir().unwrap();
    let log = damaged_log();
    log.save(place.path());
    let replay = open(place.path());
    let aside = replay.keep_aside().unwrap();
    assert_eq!(aside.iter().map(|aside| aside.kind).collect::<Vec<_>>(), [AsideKind::Copied; 2]);
    assert!(aside[0].to_string().contains("00000001.log is damaged: a copy of it is kept as "));
    let expected = ["00000001.log.6", "00000002.log.6"].map(str::to_owned).into_iter().zip(&log.segments);
    let expected: BTreeMap<_, _> = expected.map(|(name, segment)| (name, segment.bytes.clone())).collect();
    assert_eq!(kept(place.path()), expected);
    let folder = place.path().join(DAMAGED_NAME);
    assert_eq!(fs::metadata(&folder).unwrap().mode() & 0o777, 0o700);
    assert_eq!(fs::metadata(&aside[0].path).unwrap().mode() & 0o777, 0o600);
    let origin = fs::metadata(place.path().join("00000001.log")).unwrap();
    assert_ne!(fs::metadata(&aside[0].path).unwrap().ino(), origin.ino());
    drop(replay);
    assert_eq!(open(place.path()).kept_segments().len(), 2, "the copies are no segments");
}

#[test]
fn a_segment_without_a_readable_header_is_kept_aside_and_refused_by_a_strict_start() {
    let place = tempfile::tempdir().unwrap();
    let mut log = Log::new();
    log.update(1, 1);
    log.roll();
    log.update(2, 1);
    log.synced();
    log.last().bytes[..SEGMENT_HEADER_LEN].fill(0x55);
    log.save(place.path());
    let replay = open(place.path());
    let refused = replay.refuse_damage().unwrap_err().to_string();
    assert!(refused.contains("segment 2 has no readable header"), "{refused}");
    assert_eq!(kinds(&replay), [(2, AsideKind::Copied)]);
    assert_eq!(kept(place.path()).into_values().collect::<Vec<_>>(), [log.last().bytes.clone()]);
}

#[test]
fn another_start_over_the_same_damage_makes_no_second_copy_and_overwrites_none() {
    let place = tempfile::tempdir().unwrap();
    let mut log = damaged_log();
    log.save(place.path());
    assert_eq!(kinds(&open(place.path())), [(1, AsideKind::Copied), (2, AsideKind::Copied)]);
    assert_eq!(kinds(&open(place.path())), [(1, AsideKind::Known), (2, AsideKind::Known)]);
    let before = kept(place.path());
    // Damaged further, under the same number of a start and under the next one.
    log.segments[0].bytes[SEGMENT_HEADER_LEN + 300] ^= 1;
    log.save(place.path());
    assert_eq!(kinds(&open(place.path())), [(1, AsideKind::Copied), (2, AsideKind::Known)]);
    log.epoch = 8;
    log.update(4, 1);
    log.segments[0].bytes[SEGMENT_HEADER_LEN + 301] ^= 1;
    log.save(place.path());
    assert_eq!(kinds(&open(place.path())), [(1, AsideKind::Copied), (2, AsideKind::Copied)]);
    let after = kept(place.path());
    let names: Vec<&str> = after.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        ["00000001.log.6", "00000001.log.6-2", "00000001.log.9", "00000002.log.6", "00000002.log.9"]
    );
    assert!(before.iter().all(|(name, bytes)| after[name] == *bytes));
}

#[test]
fn a_copy_that_was_cut_short_is_not_taken_for_one() {
    let place = tempfile::tempdir().unwrap();
    let log = damaged_log();
    log.save(place.path());
    fs::create_dir(place.path().join(DAMAGED_NAME)).unwrap();
    fs::write(place.path().join(DAMAGED_NAME).join(UNFINISHED_NAME), "half").unwrap();
    assert_eq!(kinds(&open(place.path())), [(1, AsideKind::Copied), (2, AsideKind::Copied)]);
    let names: Vec<String> = kept(place.path()).into_keys().collect();
    assert_eq!(names, ["00000001.log.6", "00000002.log.6"]);
}

#[test]
fn a_disk_without_room_gives_a_damaged_segment_a_second_name() {
    let Some(small) = SmallDisk::mount(2_048) else { return };
    let data = small.path().join("data");
    let log = damaged_log();
    log.save(&data);
    small.fill();
    let aside = open(&data).keep_aside().unwrap();
    assert_eq!(aside.iter().map(|aside| aside.kind).collect::<Vec<_>>(), [AsideKind::Linked; 2]);
    assert!(aside[0].to_string().contains("no room for a copy"), "{}", aside[0]);
    let inode = |path: &Path| fs::metadata(path).unwrap().ino();
    assert_eq!(inode(&aside[0].path), inode(&data.join("00000001.log")));
    assert_eq!(kinds(&open(&data)), [(1, AsideKind::Known), (2, AsideKind::Known)]);
    // Room for a copy is not enough: the log needs some to start.
    small.empty();
    fs::remove_dir_all(data.join(DAMAGED_NAME)).unwrap();
    fs::write(small.path().join("other"), vec![1; 1_500 * 1024]).unwrap();
    assert_eq!(kinds(&open(&data)), [(1, AsideKind::Linked), (2, AsideKind::Linked)]);
    fs::remove_file(small.path().join("other")).unwrap();
    fs::remove_dir_all(data.join(DAMAGED_NAME)).unwrap();
    assert_eq!(kinds(&open(&data)), [(1, AsideKind::Copied), (2, AsideKind::Copied)]);
}

#[test]
fn files_are_the_same_by_their_bytes() {
    let place = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = place.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    let long = vec![7; 2 * COMPARED_LEN + 5];
    let mut other = long.clone();
    *other.last_mut().unwrap() = 8;
    let one = file("one", &long);
    for (bytes, expected) in [(&long, true), (&other, false), (&long[1..].to_vec(), false), (&vec![], false)]
    {
        assert_eq!(is_same(&one, &file("other", bytes)).unwrap(), expected);
    }
    assert!(is_same(&one, &one).unwrap());
    assert!(is_same(&file("empty", b""), &file("void", b"")).unwrap());
}

#[test]
fn what_cannot_be_kept_ends_the_start_and_says_where() {
    let place = tempfile::tempdir().unwrap();
    damaged_log().save(place.path());
    fs::write(place.path().join(DAMAGED_NAME), "no folder").unwrap();
    let error = open(place.path()).keep_aside().unwrap_err().to_string();
    assert!(
        error.contains("damaged segment 1 cannot be kept aside as") && error.contains(DAMAGED_NAME),
        "{error}"
    );
}
