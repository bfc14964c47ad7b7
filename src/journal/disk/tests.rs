//! A real folder: who may open it, and what its files are like.

use std::os::unix::fs::MetadataExt;

use super::super::folder::Folder;
use super::*;

fn number(number: u32) -> SegmentNumber {
    SegmentNumber::new(number).unwrap()
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn a_missing_folder_is_made_for_its_owner_alone() {
    let folder = folder();
    let path = folder.path().join("a/b");
    let disk = Disk::open(&path).unwrap();
    disk.create(number(1), ByteCount::from_kib(64)).unwrap();
    assert_eq!(disk.path(), path);
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o700);
    for entry in fs::read_dir(&path).unwrap() {
        assert_eq!(entry.unwrap().metadata().unwrap().mode() & 0o777, 0o600);
    }
}

#[test]
fn a_folder_is_opened_once_at_a_time() {
    let folder = folder();
    let disk = Disk::open(folder.path()).unwrap();
    let clone = disk.clone();
    assert!(matches!(Disk::open(folder.path()), Err(OpenError::InUse(_))));
    drop(disk);
    assert!(matches!(Disk::open(folder.path()), Err(OpenError::InUse(_))), "a clone shares the lock");
    drop(clone);
    Disk::open(folder.path()).unwrap();
}

#[test]
fn a_folder_with_something_else_in_it_is_refused_and_left_alone() {
    let folder = folder();
    fs::write(folder.path().join("thesis.txt"), "dear").unwrap();
    let refused = Disk::open(folder.path()).unwrap_err();
    assert!(matches!(refused, OpenError::NotOurs(_)));
    assert!(refused.to_string().contains("is not empty"), "{refused}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_fresh_file_system_counts_as_empty() {
    let folder = folder();
    fs::create_dir(folder.path().join(LOST_AND_FOUND)).unwrap();
    Disk::open(folder.path()).unwrap();
}

#[test]
fn a_marker_of_another_format_is_refused_and_an_unfinished_one_is_finished() {
    let folder = folder();
    let marker = folder.path().join(MARKER_NAME);
    fs::write(&marker, "").unwrap();
    drop(Disk::open(folder.path()).unwrap());
    assert_eq!(fs::read(&marker).unwrap(), MARKER_TEXT);
    for text in ["Seshun journal, format 1\n", "Seshun journal, format 2\n\n", "S"] {
        fs::write(&marker, text).unwrap();
        assert!(matches!(Disk::open(folder.path()), Err(OpenError::OtherFormat(_))), "{text:?}");
    }
}

#[test]
fn a_segment_is_preallocated_zeros_and_is_listed_by_number() {
    let folder = folder();
    let disk = Disk::open(folder.path()).unwrap();
    let len = ByteCount::from_kib(64);
    for segment in [3, 1, 2] {
        disk.create(number(segment), len).unwrap();
    }
    fs::write(folder.path().join("00000009.log.bad"), "kept aside").unwrap();
    let listed: Vec<_> = disk.list().unwrap();
    assert_eq!(listed, [1, 2, 3].map(|segment| SegmentFile { number: number(segment), len }));
    let mut bytes = vec![1; 70_000];
    assert_eq!(disk.read_at(&disk.open(number(2)).unwrap(), 0, &mut bytes).unwrap(), 65_536);
    assert!(bytes[..65_536].iter().all(|byte| *byte == 0));
    let blocks = fs::metadata(folder.path().join("00000002.log")).unwrap().blocks();
    assert!(blocks * 512 >= 65_536, "its room is taken: {blocks} blocks");
    assert!(disk.create(number(2), len).is_err(), "a segment is never made twice");
}

#[test]
fn what_is_written_in_parts_is_read_back_whole() {
    let folder = folder();
    let disk = Disk::open(folder.path()).unwrap();
    let file = disk.create(number(1), ByteCount::from_kib(64)).unwrap();
    // More slices than one call takes, empty ones among them.
    let parts: Vec<Vec<u8>> = (0..2_500).map(|part: usize| vec![part as u8; part % 7]).collect();
    let slices: Vec<IoSlice<'_>> = parts.iter().map(|part| IoSlice::new(part)).collect();
    disk.write_at(&file, 4096, &slices).unwrap();
    let whole = parts.concat();
    let mut bytes = vec![0; whole.len()];
    assert_eq!(disk.read_at(&file, 4096, &mut bytes).unwrap(), whole.len());
    assert_eq!(bytes, whole);
    disk.sync(&file).unwrap();
    disk.sync_directory().unwrap();
}

#[test]
fn segments_grow_shrink_and_go() {
    let folder = folder();
    let disk = Disk::open(folder.path()).unwrap();
    let file = disk.create(number(1), ByteCount::from_kib(4)).unwrap();
    disk.extend(&file, ByteCount::from_kib(8)).unwrap();
    assert_eq!(disk.list().unwrap()[0].len, ByteCount::from_kib(8));
    disk.truncate(&file, ByteCount::new(10)).unwrap();
    assert_eq!(disk.list().unwrap()[0].len, ByteCount::new(10));
    disk.unlink(number(1)).unwrap();
    disk.unlink(number(1)).unwrap();
    assert_eq!(disk.list().unwrap(), []);
}

#[test]
fn nothing_is_unlinked_while_anybody_holds_the_folder() {
    let folder = folder();
    let disk = Disk::open(folder.path()).unwrap();
    disk.create(number(1), ByteCount::from_kib(4)).unwrap();
    let backup = Folder::open(folder.path()).unwrap();
    let holds = [(); 2].map(|()| backup.hold_unlinking().unwrap());
    for hold in holds {
        assert!(matches!(disk.unlink(number(1)), Err(StorageError::Held)));
        assert!(matches!(disk.clone().unlink(number(1)), Err(StorageError::Held)));
        drop(hold);
    }
    disk.unlink(number(1)).unwrap();
    assert_eq!(disk.list().unwrap(), []);
    // The disk has let go of it: a backup need not wait.
    backup.hold_unlinking().unwrap();
}

#[test]
fn a_look_at_the_lock_keeps_no_server_from_starting() {
    let folder = folder();
    drop(Disk::open(folder.path()).unwrap());
    let looked = Folder::open(folder.path()).unwrap();
    let is_over = std::sync::atomic::AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(std::sync::atomic::Ordering::Relaxed) {
                looked.is_in_use().unwrap();
            }
        });
        for _ in 0..200 {
            let disk = Disk::open(folder.path()).unwrap();
            assert!(looked.is_in_use().unwrap());
            drop(disk);
        }
        is_over.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    assert!(!looked.is_in_use().unwrap());
}

#[test]
fn the_file_system_tells_its_room() {
    let folder = folder();
    let disk = Disk::open(folder.path()).unwrap();
    assert!(disk.free().unwrap() > ByteCount::ZERO);
    assert!(disk.segment_len().unwrap() <= ByteCount::from_mib(64));
}

/// Whether the page cache holds the start of a file.
fn is_cached(file: &File) -> bool {
    let mut byte = [0];
    let mut slices = [io::IoSliceMut::new(&mut byte)];
    rustix::io::preadv2(file, &mut slices, 0, rustix::io::ReadWriteFlags::NOWAIT).is_ok()
}

#[test]
fn a_slow_unlink_gives_the_page_cache_back_and_one_that_is_held_touches_nothing() {
    let folder = folder();
    let disk = Disk::open(folder.path()).unwrap();
    let files = [1, 2, 3].map(|segment| {
        let file = disk.create(number(segment), ByteCount::from_mib(1)).unwrap();
        disk.write_at(&file, 0, &[IoSlice::new(&vec![1; 1 << 20])]).unwrap();
        disk.sync(&file).unwrap();
        file
    });
    forget(&disk.path_of(number(3)));
    if !is_cached(&files[0]) || is_cached(&files[2]) {
        // A file system that is memory and nothing else, or that does not tell.
        return;
    }
    let hold = Folder::open(folder.path()).unwrap().hold_unlinking().unwrap();
    assert!(matches!(disk.unlink_slowly(number(1)), Err(StorageError::Held)));
    assert!(is_cached(&files[0]), "it was not touched");
    drop(hold);
    disk.unlink_slowly(number(1)).unwrap();
    disk.unlink(number(2)).unwrap();
    assert!(!is_cached(&files[0]) && is_cached(&files[1]), "only the slow one takes the time for it");
    assert_eq!(disk.list().unwrap().len(), 1);
    // Neither keeps a backup out.
    Folder::open(folder.path()).unwrap().hold_unlinking().unwrap();
}
