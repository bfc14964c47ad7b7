//! A start over real folders: what is read, what is refused, and in what words.

use std::collections::BTreeMap;
use std::fs::{self, File};

use super::super::record::tests::id;
use super::super::tests::{Log, terms};
use super::super::{LoadError, SegmentNumber};
use super::*;

fn number(number: u32) -> SegmentNumber {
    SegmentNumber::new(number).unwrap()
}

/// A log over four segments: sessions 0 to 39, some of them more than once.
fn long_log() -> Log {
    let mut log = Log::new();
    for turn in 0..100 {
        log.update(turn % 40, turn + 1);
        if turn % 30 == 29 {
            log.synced();
            log.roll();
        }
    }
    log.synced();
    log
}

fn open(path: &Path, shards: u16, threads: usize) -> Result<Replay, ReplayError> {
    open_watched(path, shards, threads, &ReplayProgress::new())
}

fn open_watched(
    path: &Path,
    shards: u16,
    threads: usize,
    progress: &ReplayProgress,
) -> Result<Replay, ReplayError> {
    let owner_of = move |id: SessionId| ShardId::new(u16::from(id.as_bytes()[0]) % shards);
    let filing = Filing { shards: ShardCount::new(shards).unwrap(), owner_of: &owner_of };
    Replay::open(path, &ReplayTerms { filing, terms: terms(), threads }, progress)
}

/// The sessions by id with their versions, as every shard loads them from its feed.
fn load(replay: &Replay, shards: u16) -> Result<BTreeMap<SessionId, u64>, LoadError> {
    let feeds = replay.feed(ShardCount::new(shards).unwrap(), 2, &Arc::default()).unwrap();
    thread::scope(|scope| {
        let cores = feeds.into_iter().zip(0..shards).map(|(feed, shard)| {
            scope.spawn(move || {
                let plan = replay.recovery().plan(ShardId::new(shard));
                let mut loaded = Vec::new();
                for segment in feed {
                    let segment = segment.unwrap();
                    for session in plan.load(segment.number(), segment.bytes())? {
                        let image = session?.image;
                        loaded.push((image.id, image.version.as_u64()));
                    }
                }
                Ok::<_, LoadError>(loaded)
            })
        });
        let cores: Vec<_> = cores.collect();
        let mut all = BTreeMap::new();
        for core in cores {
            for (id, version) in core.join().unwrap()? {
                assert_eq!(all.insert(id, version), None, "a session has one owner");
            }
        }
        Ok(all)
    })
}

#[test]
fn a_missing_folder_is_made_and_holds_nothing() {
    let place = tempfile::tempdir().unwrap();
    let replay = open(&place.path().join("data"), 2, 4).unwrap();
    assert_eq!((replay.kept_segments(), replay.recovery().end()), (vec![], None));
    assert_eq!(load(&replay, 2).unwrap(), BTreeMap::new());
    replay.refuse_damage().unwrap();
}

#[test]
fn a_folder_is_replayed_alike_on_any_number_of_threads_and_shards() {
    let place = tempfile::tempdir().unwrap();
    long_log().save(place.path());
    let newest = |session: u64| if session < 20 { session + 81 } else { session + 41 };
    let expected: BTreeMap<SessionId, u64> = (0..40).map(|session| (id(session), newest(session))).collect();
    for (shards, threads) in [(1, 0), (1, 1), (3, 2), (2, 100)] {
        let progress = ReplayProgress::new();
        let replay = open_watched(place.path(), shards, threads, &progress).unwrap();
        let kept: Vec<_> = replay.kept_segments().iter().map(|segment| segment.number).collect();
        assert_eq!(kept, [1, 2, 3, 4].map(number));
        assert_eq!(load(&replay, shards).unwrap(), expected, "{shards} shards, {threads} threads");
        let ReplayStep { phase, segments_done, segments, bytes_done, bytes } = progress.step();
        assert_eq!((phase, segments_done, segments), (ReplayPhase::Survey, 4, 4));
        assert!(bytes_done == bytes && bytes > 10_000, "{bytes_done} of {bytes}");
    }
}

#[test]
fn a_folder_is_locked_from_the_first_look_to_the_last() {
    let place = tempfile::tempdir().unwrap();
    let replay = open(place.path(), 1, 1).unwrap();
    assert!(matches!(open(place.path(), 1, 1), Err(ReplayError::Open(OpenError::InUse(_)))));
    let disk = replay.disk().clone();
    drop(replay);
    assert!(matches!(open(place.path(), 1, 1), Err(ReplayError::Open(OpenError::InUse(_)))));
    drop(disk);
    open(place.path(), 1, 1).unwrap();
}

#[test]
fn a_segment_that_cannot_be_read_ends_the_start_and_is_named() {
    let place = tempfile::tempdir().unwrap();
    long_log().save(place.path());
    let file = place.path().join("00000003.log");
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    for threads in [1, 4] {
        let error = open(place.path(), 2, threads).unwrap_err();
        assert!(matches!(error, ReplayError::Read(_)), "{error}");
        let text = error.to_string();
        assert!(
            text.starts_with("the journal cannot be read back") && text.contains("00000003.log"),
            "{text}"
        );
    }
}

#[test]
fn a_segment_that_shrinks_or_goes_after_it_was_listed_is_an_error() {
    let place = tempfile::tempdir().unwrap();
    long_log().save(place.path());
    let folder = Folder::open(place.path()).unwrap();
    let listed = folder.list().unwrap();
    let file = File::options().write(true).open(folder.path_of(number(2))).unwrap();
    file.set_len(listed[1].len.as_u64() - 1).unwrap();
    fs::remove_file(folder.path_of(number(3))).unwrap();
    let mut buffer = Vec::new();
    read_whole(&folder, listed[0], &mut buffer).unwrap();
    let short = read_whole(&folder, listed[1], &mut buffer).unwrap_err();
    assert!(
        matches!(short, FolderError::Short { .. }) && short.to_string().contains("00000002.log"),
        "{short}"
    );
    assert!(read_whole(&folder, listed[2], &mut buffer).unwrap_err().is_not_found());
}

#[test]
fn the_first_error_keeps_the_rest_from_being_begun() {
    let place = tempfile::tempdir().unwrap();
    long_log().save(place.path());
    let folder = Folder::open(place.path()).unwrap();
    let listed = folder.list().unwrap();
    let begun = AtomicUsize::new(0);
    let outcome = on_threads(&listed, 1, |segment, _| {
        begun.fetch_add(1, Ordering::Relaxed);
        if segment.number == number(2) {
            return Err(FolderError::NotOurs(PathBuf::new()));
        }
        Ok(segment.number)
    });
    assert!(outcome.is_err());
    assert_eq!(begun.into_inner(), 2);
}

#[test]
fn a_damaged_log_is_refused_with_numbers_places_and_what_to_do() {
    let place = tempfile::tempdir().unwrap();
    let mut log = Log::new();
    let places: Vec<_> = (0..16).map(|session| log.update(session, 1)).collect();
    log.synced();
    log.hurt_head(places[1]);
    log.save(place.path());
    let replay = open(place.path(), 1, 1).unwrap();
    let text = replay.refuse_damage().unwrap_err().to_string();
    for said in [
        "has lost 1 record that",
        &format!("from {} on", places[1]),
        "`seshun verify ",
        "Restore a backup",
        "journal.strict: false",
        place.path().to_str().unwrap(),
    ] {
        assert!(text.contains(said), "no {said:?} in {text}");
    }
    assert!(!text.contains("older version") && !text.contains("more"), "{text}");
    drop(replay);
    [3, 5, 7, 9, 11].iter().for_each(|damaged| log.hurt_head(places[*damaged]));
    log.hurt_both(places[13], places[14]);
    log.save(place.path());
    let text = open(place.path(), 1, 1).unwrap().refuse_damage().unwrap_err().to_string();
    assert!(text.contains("has lost 7 records") && text.contains("older version"), "{text}");
    assert!(text.contains("; and 2 more. "), "{text}");
}

#[test]
fn another_format_ends_the_start_and_changes_nothing() {
    let place = tempfile::tempdir().unwrap();
    let log = long_log();
    log.save(place.path());
    let file = place.path().join("00000001.log");
    let mut bytes = fs::read(&file).unwrap();
    for at in [0, 4096] {
        bytes[at] = 1;
        let check = crc32fast::hash(&bytes[at..at + 48]).to_le_bytes();
        bytes[at + 48..at + 52].copy_from_slice(&check);
    }
    fs::write(&file, &bytes).unwrap();
    let error = open(place.path(), 1, 2).unwrap_err();
    assert!(matches!(error, ReplayError::Recover { source: RecoverError::Format(..), .. }), "{error}");
    assert!(error.to_string().contains(place.path().to_str().unwrap()), "{error}");
    assert_eq!(fs::read(&file).unwrap(), bytes);
}
