//! One reader, several consumers: what each is given, and who waits for whom.

use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use super::super::disk::Disk;
use super::super::storage::Storage;
use super::*;

/// A folder with so many segments, each full of its own number.
fn folder_of(path: &Path, count: u32) -> (Folder, Vec<SegmentFile>) {
    let disk = Disk::open(path).unwrap();
    for number in 1..=count {
        let number = SegmentNumber::new(number).unwrap();
        fs::write(path.join(number.file_name()), vec![number.as_u32() as u8; 10_000]).unwrap();
    }
    (Folder::open(path).unwrap(), disk.list().unwrap())
}

/// Takes all that comes, and holds none of it.
fn numbers(feed: SegmentFeed) -> Vec<u32> {
    feed.map(|segment| segment.unwrap().number().as_u32()).collect()
}

#[test]
fn every_consumer_is_given_every_segment_once_and_in_order() {
    let place = tempfile::tempdir().unwrap();
    let (folder, files) = folder_of(place.path(), 20);
    for (consumers, in_memory) in [(1, 1), (3, 1), (1, 3), (3, 3)] {
        let progress = Arc::new(ReplayProgress::new());
        let feeds = start_feed(&folder, files.clone(), (consumers, in_memory), &progress).unwrap();
        thread::scope(|scope| {
            for feed in feeds {
                scope.spawn(move || {
                    let mut next = 0;
                    for segment in feed {
                        let segment = segment.unwrap();
                        next += 1;
                        assert_eq!(segment.number().as_u32(), next);
                        assert_eq!(segment.bytes(), vec![next as u8; 10_000]);
                    }
                    assert_eq!(next, 20);
                });
            }
        });
        let step = progress.step();
        assert_eq!((step.phase, step.segments, step.bytes), (ReplayPhase::Load, 20, 200_000));
    }
}

#[test]
fn the_slowest_consumer_sets_the_pace() {
    let place = tempfile::tempdir().unwrap();
    let (folder, files) = folder_of(place.path(), 20);
    let progress = Arc::new(ReplayProgress::new());
    let mut feeds = start_feed(&folder, files, (2, BUFFERS_MAX), &progress).unwrap();
    let (fast, slow) = (feeds.pop().unwrap(), feeds.pop().unwrap());
    let fast = thread::spawn(move || numbers(fast));
    // However long the reader is given: the first one is in its hands.
    sleep(Duration::from_millis(100));
    assert_eq!(progress.step().segments_done, 0);
    let slow = numbers(slow);
    assert_eq!(slow, (1..=20).collect::<Vec<_>>());
    assert_eq!(fast.join().unwrap(), slow);
}

#[test]
fn who_goes_away_holds_nobody_up() {
    let place = tempfile::tempdir().unwrap();
    let (folder, files) = folder_of(place.path(), 20);
    // At any moment of the reader's: it may just be handing one over.
    for taken in 0..200 {
        let mut feeds = start_feed(&folder, files.clone(), (3, 1), &Arc::default()).unwrap();
        drop(feeds.pop());
        let mut leaving = feeds.pop().unwrap();
        let staying = feeds.pop().unwrap();
        let staying = thread::spawn(move || numbers(staying).len());
        for _ in 0..taken % 4 {
            leaving.next().unwrap().unwrap();
        }
        drop(leaving);
        assert_eq!(staying.join().unwrap(), 20);
    }
}

#[test]
fn an_error_reaches_every_consumer_with_the_files_name() {
    let place = tempfile::tempdir().unwrap();
    let (folder, files) = folder_of(place.path(), 4);
    type Damage = (fn(&Path), &'static str);
    let damages: [Damage; 3] = [
        (|path| fs::write(path, [3; 9_999]).unwrap(), "has 9999 of the 10000 bytes"),
        (|path| fs::remove_file(path).unwrap(), "cannot be read"),
        (|path| fs::create_dir(path).unwrap(), "cannot be read"),
    ];
    for (damage, said) in damages {
        damage(&folder.path_of(files[2].number));
        let feeds = start_feed(&folder, files.clone(), (2, 1), &Arc::default()).unwrap();
        let given: Vec<Vec<_>> = thread::scope(|scope| {
            let numbers = |feed: SegmentFeed| feed.map(|fed| fed.map(|segment| segment.number())).collect();
            let consumers: Vec<_> =
                feeds.into_iter().map(|feed| scope.spawn(move || numbers(feed))).collect();
            consumers.into_iter().map(|consumer| consumer.join().unwrap()).collect()
        });
        for given in given {
            assert_eq!(given.len(), 3, "two segments and an error, and nothing behind it");
            let error = given[2].as_ref().unwrap_err().to_string();
            assert!(error.contains("00000003.log") && error.contains(said), "{error}");
        }
    }
}

#[test]
fn a_reader_that_is_gone_is_no_end_of_the_log() {
    let (lane_in, lane) = bounded(1);
    let mut feed = SegmentFeed { lane, left: 2 };
    drop(lane_in);
    assert!(matches!(feed.next(), Some(Err(FeedError::Ended))));
    assert!(feed.next().is_none());
}

#[test]
fn no_more_segments_are_in_memory_than_are_allowed() {
    let place = tempfile::tempdir().unwrap();
    let (folder, files) = folder_of(place.path(), 50);
    for (in_memory, buffers) in [(0, 1), (1, 1), (2, 2), (100, BUFFERS_MAX)] {
        let feeds = start_feed(&folder, files.clone(), (1, in_memory), &Arc::default());
        let places: std::collections::BTreeSet<usize> =
            feeds.unwrap().remove(0).map(|segment| segment.unwrap().bytes().as_ptr() as usize).collect();
        assert!((1..=buffers).contains(&places.len()), "{} for {in_memory}", places.len());
    }
}
