//! Reading a real folder: who is refused, what is told, and that nothing is left behind.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, SystemTime};

use super::super::disk::Disk;
use super::super::seal::Salt;
use super::super::storage::Storage;
use super::*;
use crate::types::BootEpoch;

fn number(number: u32) -> SegmentNumber {
    SegmentNumber::new(number).unwrap()
}

/// A journal's folder that nobody serves from, with segments of these lengths.
fn folder_of(lens: &[u64]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::open(folder.path()).unwrap();
    for (index, len) in lens.iter().enumerate() {
        disk.create(number(index as u32 + 1), ByteCount::new(*len)).unwrap();
    }
    folder
}

#[test]
fn a_folder_without_the_marker_is_refused_with_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let refused = Folder::open(folder.path()).unwrap_err();
    assert!(matches!(&refused, FolderError::NotOurs(path) if path == folder.path()));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing was made");
    let missing = folder.path().join("missing");
    let refused = Folder::open(&missing).unwrap_err();
    assert!(refused.is_not_found() && refused.to_string().contains("missing"), "{refused}");
    fs::write(folder.path().join(MARKER_NAME), "Seshun journal, format 1\n").unwrap();
    assert!(matches!(Folder::open(folder.path()), Err(FolderError::OtherFormat(_))));
    fs::write(folder.path().join(MARKER_NAME), "").unwrap();
    Folder::open(folder.path()).unwrap();
    assert_eq!(fs::read(folder.path().join(MARKER_NAME)).unwrap(), b"", "nor was it finished");
}

#[test]
fn segments_are_listed_and_read_and_other_files_are_not() {
    let folder = folder_of(&[4_096, 8_192]);
    fs::create_dir(folder.path().join("damaged")).unwrap();
    fs::write(folder.path().join("00000001.log.7"), "kept aside").unwrap();
    fs::write(folder.path().join("00000002.log"), "shorter").unwrap();
    let read = Folder::open(folder.path()).unwrap();
    let files = read.list().unwrap();
    let expected = [(1, 4_096), (2, 7)].map(|(segment, len)| (number(segment), len));
    assert_eq!(files.iter().map(|file| (file.number, file.len.as_u64())).collect::<Vec<_>>(), expected);
    let mut bytes = vec![9; 100];
    read.read(files[0], &mut bytes).unwrap();
    assert_eq!(bytes, [0; 4_096]);
    read.read(files[1], &mut bytes).unwrap();
    assert_eq!(bytes, b"shorter");
    let (grown, gone) = (files[1], SegmentFile { number: number(3), ..files[0] });
    fs::write(read.path_of(grown.number), "longer than it was").unwrap();
    read.read(grown, &mut bytes).unwrap();
    assert_eq!(bytes, b"longer ", "no more than was listed");
    let error = read.read(gone, &mut bytes).unwrap_err();
    assert!(error.is_not_found() && error.to_string().contains("00000003.log"), "{error}");
}

#[test]
fn a_server_is_seen_for_as_long_as_it_lives() {
    let folder = folder_of(&[]);
    let read = Folder::open(folder.path()).unwrap();
    assert!(!read.is_in_use().unwrap());
    let disk = Disk::open(folder.path()).unwrap();
    assert!(read.is_in_use().unwrap());
    drop(disk);
    assert!(!read.is_in_use().unwrap());
}

/// All that a look could change of the files in a folder: names, times, lengths, modes.
fn traces(path: &Path) -> BTreeMap<PathBuf, [i64; 8]> {
    let names = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
    let trace = |path: PathBuf| {
        let seen = fs::metadata(&path).unwrap();
        let times = [seen.atime(), seen.atime_nsec(), seen.mtime(), seen.mtime_nsec()];
        let rest = [seen.ctime(), seen.ctime_nsec(), seen.len() as i64, i64::from(seen.mode())];
        (path, [times, rest].concat().try_into().unwrap())
    };
    names.map(trace).collect()
}

#[test]
fn a_look_leaves_no_trace_not_even_a_time_of_access() {
    let folder = folder_of(&[4_096, 8_192]);
    // Times of access that a look would bring up to date: older than the times of change.
    let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    let age = |name: &str| {
        let file = File::open(folder.path().join(name)).unwrap();
        file.set_times(fs::FileTimes::new().set_accessed(long_ago)).unwrap();
    };
    ["00000001.log", "00000002.log", MARKER_NAME].iter().for_each(|name| age(name));
    let before = traces(folder.path());
    age(".");
    let read = Folder::open(folder.path()).unwrap();
    let hold = read.hold_unlinking().unwrap();
    assert!(!read.is_in_use().unwrap());
    let mut bytes = Vec::new();
    for segment in read.list().unwrap() {
        read.read(segment, &mut bytes).unwrap();
    }
    drop(hold);
    assert_eq!(fs::metadata(folder.path()).unwrap().accessed().unwrap(), long_ago);
    assert_eq!(traces(folder.path()), before);
}

#[test]
fn a_segment_that_was_only_allocated_is_blank_and_need_not_be_read() {
    let folder = folder_of(&[1 << 20; 6]);
    let disk = Disk::open(folder.path()).unwrap();
    let read = Folder::open(folder.path()).unwrap();
    let files = read.list().unwrap();
    // At the front, far behind, and cut to nothing.
    for (index, offset) in [(1, 0), (2, 900_000)] {
        let file = disk.open(files[index].number).unwrap();
        disk.write_at(&file, offset, &[io::IoSlice::new(b"x")]).unwrap();
    }
    disk.truncate(&disk.open(files[3].number).unwrap(), ByteCount::ZERO).unwrap();
    // Prepared, and begun; both without a record.
    let last = files[5].number;
    let begun = SegmentHeader {
        number: last,
        salt: Salt::from_random([3; 16]),
        epoch: BootEpoch::FIRST,
        previous: None,
    };
    for (segment, header) in [(4, SegmentHeader::prepared(files[4].number)), (5, begun.encode())] {
        let file = disk.open(files[segment].number).unwrap();
        disk.write_at(&file, 0, &[io::IoSlice::new(&header)]).unwrap();
        disk.sync(&file).unwrap();
    }
    let mut bytes = vec![9; 100];
    for unbegun in [files[0], files[4]] {
        read.read_written(unbegun, &mut bytes).unwrap();
        // Not every file system can tell.
        assert!(bytes.is_empty() || bytes.len() == 1 << 20);
        assert!(bytes.is_empty() || SegmentHeader::is_unbegun(&bytes, unbegun.number));
    }
    for (file, len) in [files[1], files[2], files[3], files[5]].iter().zip([1 << 20, 1 << 20, 0, 1 << 20]) {
        assert!(!read.is_blank(*file).unwrap(), "{file:?}");
        read.read_written(*file, &mut bytes).unwrap();
        assert_eq!(bytes.len(), len, "{file:?}");
    }
}
