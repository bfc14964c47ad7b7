//! `seshun verify` and `seshun backup` as a person or a script calls them.
//!
//! The folders are made by the journal itself, without a server around it. What the two find
//! in folders of every kind is tested beside their code.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use rustix::fs::{CWD, FileType, Mode, mknodat};
use seshun::journal::{
    CoreJournal, Entry, Filing, Journal, JournalMillis, JournalStart, Level, LogStart, Replay,
    ReplayProgress, ReplayTerms, RestartTerms, Salt, SegmentNumber, SessionImage, Storage, StorageError,
    SyncPolicy, Terms,
};
use seshun::runtime::clock::Clock;
use seshun::types::{
    ApiKey, BootEpoch, BucketId, BucketName, ByteCount, Millis, SessionId, ShardCount, ShardId, Ttl, Version,
};
use tempfile::TempDir;

use crate::support::{Ended, Launch, eventually};

/// Sessions that a folder of these tests holds.
const SESSIONS: u8 = 50;

fn folder() -> TempDir {
    TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("the build's folder takes another")
}

/// Recovers the folder at `path`.
fn replay(path: &Path) -> Replay {
    let filing = Filing { shards: ShardCount::ONE, owner_of: &|_| ShardId::FIRST };
    let terms =
        Terms { wall_now: Clock::now().wall, session_ttl: Ttl::MAX, downtime_max: Millis::from_secs(1) };
    Replay::open(path, &ReplayTerms { filing, terms, threads: 1 }, &ReplayProgress::new())
        .expect("a good folder")
}

/// Starts a journal over what the folder holds.
fn start(replay: &Replay) -> (Journal, CoreJournal) {
    let terms = RestartTerms {
        policy: SyncPolicy::EverySecond,
        shards: ShardCount::ONE,
        journal_time: replay.recovery().boot_time(),
        live: ByteCount::ZERO,
        record_len_max: ByteCount::from_kib(64),
        draw_salt: Box::new(|| Salt::from_random([5; 16])),
    };
    let start = JournalStart {
        storage: replay.disk().clone(),
        log: LogStart::behind(replay.recovery(), replay.kept_segments(), terms),
        wake: Box::new(|_| {}),
        clock: Clock::now,
        stopwatch: Clock::stopwatch,
        metrics: Arc::default(),
    };
    let (journal, mut cores) = Journal::start(start).expect("a folder with room");
    (journal, cores.pop().expect("one core a shard"))
}

/// Logs a bucket with its key and its sessions, and waits until all of it is written.
fn fill(core: &mut CoreJournal) {
    let (bucket, name) = (BucketId::new(1), BucketName::parse(b"cart").expect("a good name"));
    let mut last = core.log(Entry::Key { bucket, name, key: ApiKey::from_random(&[1; 32]) });
    for number in 0..SESSIONS {
        last = core.log(Entry::Create(SessionImage {
            id: SessionId::from_random([number; 16]),
            bucket,
            version: Version::first(BootEpoch::FIRST),
            deadline: JournalMillis::MAX,
            own_ttl: None,
            content_type: b"text/plain",
            blob: &[number; 700],
        }));
    }
    assert!(core.hand_over());
    eventually("the records are written", || {
        (core.reached(ShardId::FIRST, Level::Written) >= last).then_some(())
    });
}

/// A folder that a journal has left in order.
fn stopped(path: &Path) {
    let replay = replay(path);
    let (journal, mut core) = start(&replay);
    fill(&mut core);
    journal.shut_down(Millis::from_secs(10)).expect("a disk that syncs");
}

fn call(command: &str, folders: &[&Path]) -> Ended {
    let folders = folders.iter().map(|path| path.to_str().expect("our paths are text"));
    folders.fold(Launch::bare().flag(command), |launch, folder| launch.flag(folder)).run()
}

/// What `verify` says, by line; it must exit with `code`.
#[track_caller]
fn verify(path: &Path, code: i32) -> Vec<String> {
    let ended = call("verify", &[path]);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(code), ""), "{ended:?}");
    ended.stdout.lines().map(str::to_owned).collect()
}

#[track_caller]
fn check(lines: &[String], wanted: &[&str]) {
    for line in wanted {
        assert!(lines.iter().any(|said| said == line), "no {line:?} in\n{}", lines.join("\n"));
    }
}

#[test]
fn a_stopped_servers_folder_is_sound_and_stays_as_it_is() {
    let place = folder();
    let data = place.path().join("data");
    stopped(&data);
    let names = || {
        let mut names: Vec<_> =
            fs::read_dir(&data).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let before = names();
    let lines = verify(&data, 0);
    check(&lines, &["state: not in use", "sessions_live: 50", "buckets_with_key: 1", "missing_records: 0"]);
    assert_eq!(lines.last().unwrap(), "verdict: sound");
    assert_eq!(names(), before);
}

#[test]
fn damage_exits_with_1_and_names_its_place() {
    let place = folder();
    let data = place.path().join("data");
    stopped(&data);
    // The first of them is no longer new: its sync has been noted behind it.
    stopped(&data);
    let file = data.join("00000001.log");
    let mut bytes = fs::read(&file).unwrap();
    let blob = bytes.windows(700).position(|window| window == [7; 700]).expect("the blob lies there");
    bytes[blob + 100] ^= 1;
    fs::write(&file, &bytes).unwrap();
    let lines = verify(&data, 1);
    check(&lines, &["damaged_places: 1", "missing_records: 1"]);
    assert!(
        lines.iter().any(|line| line.starts_with("damage: damaged records from 00000001.log:")),
        "{lines:?}"
    );
    assert_eq!(lines.last().unwrap(), "verdict: damaged: lost records that had been kept: 1");
    let lines = verify(place.path(), 1);
    assert!(lines.last().unwrap().starts_with("verdict: not readable: "), "{lines:?}");
}

#[test]
fn a_journal_in_use_is_backed_up_and_the_backup_is_a_journal() {
    let place = folder();
    let (data, dest, second) =
        (place.path().join("data"), place.path().join("dest"), place.path().join("second"));
    let running = replay(&data);
    let (journal, mut core) = start(&running);
    fill(&mut core);
    check(&verify(&data, 0), &["state: in use by a server, judged as of now", "sessions_live: 50"]);
    let made = call("backup", &[&data, &dest]);
    assert_eq!((made.code, made.stderr.as_str()), (Some(0), ""), "{made:?}");
    assert!(made.stdout.contains("segments 1 (linked 0, copied 1)"), "{made:?}");
    check(&verify(&dest, 0), &["state: not in use", "sessions_live: 50", "verdict: sound"]);
    journal.shut_down(Millis::from_secs(10)).unwrap();
    drop((core, running));
    // A server over the backup goes on where the first one was.
    stopped(&dest);
    let made = call("backup", &[&dest, &second]);
    assert!(made.code == Some(0) && made.stdout.contains("segments 2 (linked 1, copied 1)"), "{made:?}");
    check(&verify(&second, 0), &["epochs: 2", "sessions_live: 50", "verdict: sound"]);
}

#[test]
fn a_backup_that_cannot_be_made_says_why_and_leaves_nothing() {
    let place = folder();
    let (data, dest) = (place.path().join("data"), place.path().join("dest"));
    let refused = |from: &Path, to: &Path, said: &str| {
        let ended = call("backup", &[from, to]);
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""), "{ended:?}");
        assert!(ended.stderr.starts_with("seshun: ") && ended.stderr.contains(said), "{ended:?}");
    };
    refused(&data, &dest, "data cannot be read");
    fs::create_dir(&data).unwrap();
    refused(&data, &dest, "no journal's folder");
    stopped(&data);
    refused(&data, place.path(), "is not empty");
    assert!(!dest.exists());
    let without = Launch::bare().flag("backup").flag("data").run();
    assert_eq!(without.code, Some(2), "{without:?}");
}

#[test]
fn a_backup_that_was_killed_lets_go_of_the_folder() {
    let place = folder();
    let data = place.path().join("data");
    stopped(&data);
    let disk = replay(&data).disk().clone();
    // A pipe that nobody writes to, in place of a segment, keeps the backup waiting.
    let mode = Mode::RUSR | Mode::WUSR;
    mknodat(CWD, data.join("00000009.log"), FileType::Fifo, mode, 0).unwrap();
    let mut backup = Command::new(env!("CARGO_BIN_EXE_seshun"))
        .arg("backup")
        .args([&data, &place.path().join("dest")])
        .spawn()
        .unwrap();
    let unlink = || disk.unlink(SegmentNumber::MAX);
    eventually("the backup holds the folder", || unlink().is_err().then_some(()));
    assert!(matches!(unlink(), Err(StorageError::Held)));
    backup.kill().and_then(|()| backup.wait()).unwrap();
    unlink().unwrap();
}
