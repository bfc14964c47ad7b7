//! Folders in every state that a server may leave them in from one moment to the next.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::sync::atomic::Ordering;

use super::super::disk::Disk;
use super::super::live::LiveShard;
use super::super::log::SyncPolicy;
use super::super::record::Entry;
use super::super::record::tests::Random;
use super::super::storage::Storage;
use super::super::tests::Log;
use super::*;
use crate::types::ByteCount;

fn number(number: u32) -> SegmentNumber {
    SegmentNumber::new(number).unwrap()
}

/// A log of two segments with a few records each.
fn log() -> Log {
    let mut log = Log::new();
    for session in 0..10 {
        log.update(session, 1);
    }
    log.roll();
    for session in 0..5 {
        log.update(session, 2);
        log.synced();
    }
    log
}

fn saved(log: &Log) -> tempfile::TempDir {
    let place = tempfile::tempdir().unwrap();
    log.save(place.path());
    place
}

fn take(path: &Path) -> Snapshot {
    let folder = Folder::open(path).unwrap();
    let hold = folder.hold_unlinking().unwrap();
    Snapshot::take(&folder, &hold).unwrap()
}

fn sealed(snapshot: &Snapshot) -> Vec<u32> {
    snapshot.sealed.iter().map(|segment| segment.number.as_u32()).collect()
}

#[test]
fn nothing_is_found_in_a_folder_that_was_never_used() {
    let place = tempfile::tempdir().unwrap();
    let disk = Disk::open(place.path()).unwrap();
    let snapshot = take(place.path());
    assert!(snapshot.newest.is_none() && snapshot.sealed.is_empty() && snapshot.spares == 0);
    [2, 5].iter().for_each(|segment| drop(disk.create(number(*segment), ByteCount::from_kib(64)).unwrap()));
    let snapshot = take(place.path());
    assert!(snapshot.newest.is_none() && snapshot.sealed.is_empty());
    assert_eq!(snapshot.spares, 2);
}

#[test]
fn the_newest_that_was_used_is_told_from_spares_and_from_those_below() {
    let log = log();
    let place = saved(&log);
    for (segment, len) in [(1, 100_000), (3, 4_096), (4, 3_000_000)] {
        File::options()
            .append(true)
            .create(true)
            .open(place.path().join(number(segment).file_name()))
            .and_then(|mut file| file.write_all(&vec![0; len]))
            .unwrap();
    }
    let snapshot = take(place.path());
    assert_eq!((sealed(&snapshot), snapshot.spares), (vec![1], 2));
    let newest = snapshot.newest.unwrap();
    assert_eq!((newest.number, &newest.bytes), (number(2), &log.segments[1].bytes));
}

#[test]
fn a_segment_is_cut_behind_its_last_whole_record_wherever_it_is_cut() {
    let log = log();
    let place = saved(&log);
    let whole = &log.segments[1].bytes;
    let path = place.path().join(number(2).file_name());
    for zeros in [0, 70_000] {
        for len in (SEGMENT_HEADER_LEN..=whole.len()).step_by(13).chain([whole.len()]) {
            let mut bytes = whole[..len].to_vec();
            bytes.resize(len + zeros, 0);
            fs::write(&path, &bytes).unwrap();
            let taken = take(place.path()).newest.unwrap().bytes;
            let mut scan = Scan::new(&bytes, &log.segments[1].header);
            let whole_records = scan.by_ref().filter(|found| matches!(found, Found::Record { .. })).count();
            let again = Scan::new(&taken, &log.segments[1].header);
            let all: Vec<Found<'_>> = again.collect();
            assert!(all.iter().all(|found| matches!(found, Found::Record { .. })), "{len}");
            assert_eq!(all.len(), whole_records, "{len}");
            assert_eq!(taken, whole[..taken.len()]);
        }
    }
}

#[test]
fn a_header_that_is_being_written_is_a_segment_to_come() {
    let log = log();
    let place = saved(&log);
    let path = place.path().join(number(2).file_name());
    for len in [0, 1, 30, 51] {
        let mut bytes = log.segments[1].bytes[..len].to_vec();
        bytes.resize(10_000, 0);
        fs::write(&path, &bytes).unwrap();
        let snapshot = take(place.path());
        assert_eq!((sealed(&snapshot), snapshot.spares), (vec![], 1), "{len}");
        assert_eq!(snapshot.newest.unwrap().number, number(1), "{len}");
    }
    // Over what the file was prepared with.
    for len in [0, 1, 30, 45, 51] {
        let mut bytes = SegmentHeader::prepared(number(2)).to_vec();
        bytes[..len].copy_from_slice(&log.segments[1].bytes[..len]);
        bytes.resize(10_000, 0);
        fs::write(&path, &bytes).unwrap();
        let snapshot = take(place.path());
        assert_eq!((snapshot.newest.unwrap().number, snapshot.spares), (number(1), 1), "{len}");
    }
    for len in [52, 600, SEGMENT_HEADER_LEN] {
        fs::write(&path, &log.segments[1].bytes[..len]).unwrap();
        let newest = take(place.path()).newest.unwrap();
        assert_eq!((newest.number, newest.bytes.len()), (number(2), SEGMENT_HEADER_LEN), "{len}");
        let header = SegmentHeader::decode(&newest.bytes, number(2)).unwrap();
        assert_eq!(header, log.segments[1].header);
    }
}

#[test]
fn damage_is_taken_along_with_what_lies_behind_it() {
    let mut log = log();
    let place = saved(&log);
    let path = place.path().join(number(2).file_name());
    let whole = log.segments[1].bytes.clone();
    log.last().bytes[SEGMENT_HEADER_LEN + 200..SEGMENT_HEADER_LEN + 300].fill(0);
    fs::write(&path, &log.last().bytes).unwrap();
    assert_eq!(take(place.path()).newest.unwrap().bytes, log.last().bytes);
    for header in [0, 0xff] {
        log.last().bytes[..SEGMENT_HEADER_LEN].fill(header);
        fs::write(&path, &log.last().bytes).unwrap();
        assert_eq!(take(place.path()).newest.unwrap().bytes, log.last().bytes);
    }
    assert_ne!(whole, log.last().bytes);
}

#[test]
fn the_filled_part_ends_behind_the_last_byte_that_is_not_zero() {
    let mut file = tempfile::tempfile().unwrap();
    assert_eq!(filled_end(&file).unwrap(), 0);
    file.set_len(3 * BLOCK_LEN as u64 + 5).unwrap();
    assert_eq!(filled_end(&file).unwrap(), 0);
    let mut random = Random(7);
    let mut last = 0;
    for _ in 0..40 {
        let at = random.below(3 * BLOCK_LEN as u64 + 5);
        file.write_at(&[1], at).unwrap();
        last = last.max(at + 1);
        assert_eq!(filled_end(&file).unwrap(), last);
    }
    file.flush().unwrap();
}

#[test]
fn a_reader_that_is_overtaken_by_the_writer_sees_a_whole_log_and_all_that_was_acknowledged() {
    let place = tempfile::tempdir().unwrap();
    let shard = LiveShard::start(place.path(), SyncPolicy::EverySecond, 4 * 1024);
    shard.run_beside(|count| {
        let folder = Folder::open(place.path()).unwrap();
        for round in 0..50 {
            let told = count.told.load(Ordering::SeqCst);
            let hold = folder.hold_unlinking().unwrap();
            let newest = Snapshot::take(&folder, &hold).unwrap().newest.unwrap();
            let header = SegmentHeader::decode(&newest.bytes, newest.number).unwrap();
            let mut newest_version = 0;
            for found in Scan::new(&newest.bytes, &header) {
                let Found::Record { record, .. } = found else { panic!("{round}: {found:?}") };
                if let Entry::Update(image) = record.entry {
                    newest_version = image.version.as_u64().max(newest_version);
                }
            }
            // A removal has no version, and there are never many in a row.
            let is_new_segment = newest.bytes.len() < 100_000;
            assert!(is_new_segment || newest_version + 100 > told, "{round}: {newest_version} of {told}");
        }
    });
}
