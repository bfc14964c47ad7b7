//! Backups of folders at rest and in use: what they hold, what they share, what they refuse.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use super::super::live::{LiveShard, replay, sessions};
use super::super::log::SyncPolicy;
use super::super::small_disk::SmallDisk;
use super::super::tests::Log;
use super::super::verify::verify;
use super::*;
use crate::types::{ShardId, UnixMillis};

/// The files of a folder, with what they hold and which inode they are.
fn files(path: &Path) -> BTreeMap<String, (Vec<u8>, u64)> {
    let entries = fs::read_dir(path).unwrap().map(|entry| entry.unwrap());
    let file = |entry: fs::DirEntry| {
        let name = entry.file_name().into_string().unwrap();
        (name, (fs::read(entry.path()).unwrap(), entry.metadata().unwrap().ino()))
    };
    entries.map(file).collect()
}

/// A log of three segments, the last of them torn, and a spare.
fn torn_log() -> Log {
    let mut log = Log::new();
    for session in 0..30 {
        log.update(session, 1);
        if session % 10 == 9 {
            log.synced();
        }
        if session == 9 || session == 19 {
            log.roll();
        }
    }
    let torn = log.update(30, 1);
    log.last().bytes.truncate(torn.offset.as_usize() + 50);
    log.last().bytes.resize(torn.offset.as_usize() + 9_000, 0);
    log
}

fn saved(log: &Log) -> tempfile::TempDir {
    let place = tempfile::tempdir().unwrap();
    log.save(&place.path().join("data"));
    fs::write(place.path().join("data/00000004.log"), [0; 8_192]).unwrap();
    place
}

/// The number of the oldest segment.
fn oldest_of(path: &Path) -> u32 {
    Folder::open(path).unwrap().list().unwrap()[0].number.as_u32()
}

/// Asks again and again, for twenty seconds at most.
#[track_caller]
fn eventually(mut holds: impl FnMut() -> bool) {
    for _ in 0..2_000 {
        if holds() {
            return;
        }
        thread::sleep(Duration::from_millis(10));
    }
    panic!("waited for twenty seconds in vain");
}

#[test]
fn a_folder_at_rest_is_linked_but_for_its_newest_segment_which_is_cut_where_it_is_torn() {
    let log = torn_log();
    let place = saved(&log);
    let (data, dest) = (place.path().join("data"), place.path().join("dest"));
    let before = files(&data);
    let made = backup(&data, &dest).unwrap();
    assert_eq!((made.linked, made.copied, &made.no_link), (2, 1, &None));
    let copy = files(&dest);
    let names: Vec<&str> = copy.keys().map(String::as_str).collect();
    assert_eq!(names, ["00000001.log", "00000002.log", "00000003.log", MARKER_NAME], "no spare, no lock");
    for name in ["00000001.log", "00000002.log"] {
        assert_eq!(copy[name], before[name]);
    }
    let (bytes, inode) = &copy["00000003.log"];
    let end = before["00000003.log"].0.len() - 9_000;
    assert_eq!(
        (bytes.as_slice(), *inode != before["00000003.log"].1),
        (&before["00000003.log"].0[..end], true)
    );
    let bytes: usize =
        copy.iter().filter(|(name, _)| *name != MARKER_NAME).map(|(_, file)| file.0.len()).sum();
    assert_eq!(made.bytes, ByteCount::of_len(bytes));
    assert_eq!(files(&data), before);
    let text = made.to_string();
    assert!(text.ends_with(&format!("segments 3 (linked 2, copied 1), {bytes} bytes\n")), "{text}");
}

#[test]
fn a_backup_is_for_its_owner_alone_and_restores_what_the_folder_does() {
    let place = saved(&torn_log());
    let (data, dest) = (place.path().join("data"), place.path().join("dest"));
    backup(&data, &dest).unwrap();
    assert_eq!(fs::metadata(&dest).unwrap().mode() & 0o777, 0o700);
    assert!(files(&dest).keys().all(|name| {
        let mode = fs::metadata(dest.join(name)).unwrap().mode() & 0o777;
        mode == 0o600 || name.starts_with("0000000") && mode == 0o644
    }));
    let (ours, theirs) = (replay(&data), replay(&dest));
    assert_eq!(theirs.recovery().plan(ShardId::FIRST).tally().live, 30);
    assert_eq!(theirs.recovery().registry(), ours.recovery().registry());
    assert_eq!(theirs.recovery().end(), ours.recovery().end());
    assert_eq!((theirs.recovery().truncate(), theirs.recovery().unlink()), (None, &[][..]));
}

#[test]
fn damage_is_kept_as_it_is_and_nothing_behind_it_is_lost() {
    let mut log = Log::new();
    log.update(1, 1);
    let bad = log.update(2, 1);
    log.update(3, 1);
    log.synced();
    log.update(4, 1);
    log.hurt_head(bad);
    let place = saved(&log);
    let (data, dest) = (place.path().join("data"), place.path().join("dest"));
    backup(&data, &dest).unwrap();
    let (ours, theirs) = (replay(&data), replay(&dest));
    assert_eq!(theirs.recovery().report(), ours.recovery().report());
    assert_eq!(theirs.recovery().report().damaged, 1);
    assert_eq!(theirs.recovery().plan(ShardId::FIRST).tally().live, 3);
}

#[test]
fn a_server_over_a_backup_changes_nothing_of_the_origin_and_the_other_way_round() {
    let place = tempfile::tempdir().unwrap();
    let (data, dest) = (place.path().join("data"), place.path().join("dest"));
    let mut shard = LiveShard::start(&data, SyncPolicy::EverySecond, 64);
    (0..300).for_each(|_| shard.turn());
    let made = backup(&data, &dest).unwrap();
    assert!(made.linked > 0 && made.copied == 1, "{made}");
    let history = shard.stop();
    let (origin, copy) = (files(&data), files(&dest));
    for _ in 0..3 {
        let mut shard = LiveShard::over(&replay(&dest), SyncPolicy::Always, 64);
        (0..300).for_each(|_| shard.turn());
        shard.stop();
    }
    assert_eq!(files(&data), origin);
    let ours = replay(&data);
    assert!(history.had(&sessions(&ours), 300, 300));
    let mut shard = LiveShard::over(&ours, SyncPolicy::EverySecond, 64);
    drop(ours);
    fs::remove_dir_all(&dest).unwrap();
    backup(&data, &dest).unwrap();
    let copy_of_copy = files(&dest);
    (0..300).for_each(|_| shard.turn());
    shard.stop();
    assert_eq!(files(&dest), copy_of_copy);
    drop(copy);
}

#[test]
fn each_of_many_backups_holds_all_that_was_acknowledged_before_it_while_segments_come_and_go() {
    let rounds = std::env::var("SESHUN_BACKUPS").ok().and_then(|count| count.parse().ok()).unwrap_or(12);
    for (policy, segment_kib) in
        [(SyncPolicy::EverySecond, 32), (SyncPolicy::EverySecond, 200), (SyncPolicy::Always, 32)]
    {
        let place = tempfile::tempdir().unwrap();
        let data = place.path().join("data");
        let shard = LiveShard::start(&data, policy, segment_kib);
        let (backups, history) = shard.run_beside(|count| {
            let one = |round: u32| {
                // At every other round what the last two have put off is removed first.
                let oldest = oldest_of(&data);
                eventually(|| round.is_multiple_of(2) || oldest_of(&data) > oldest);
                let dest = place.path().join(round.to_string());
                let told = count.told.load(Ordering::SeqCst);
                backup(&data, &dest).unwrap();
                (told, count.begun.load(Ordering::SeqCst), dest)
            };
            (0..rounds).map(one).collect::<Vec<_>>()
        });
        for (told, begun, dest) in backups {
            let copy = replay(&dest);
            let report = copy.recovery().report();
            assert!(!report.is_damaged() && report.torn_bytes == ByteCount::ZERO, "{dest:?}: {report:?}");
            let sessions = sessions(&copy);
            assert!(
                history.had(&sessions, told, begun),
                "{policy:?} {dest:?}: no state between {told} and {begun}: {sessions:?}"
            );
        }
    }
}

#[test]
fn a_hold_puts_unlinks_off_and_writing_goes_on() {
    let place = tempfile::tempdir().unwrap();
    let mut shard = LiveShard::start(place.path(), SyncPolicy::Always, 24);
    let folder = Folder::open(place.path()).unwrap();
    let hold = folder.hold_unlinking().unwrap();
    while shard.segment().as_u32() < 20 {
        shard.turn();
    }
    assert_eq!(oldest_of(place.path()), 1);
    drop(hold);
    eventually(|| {
        shard.turn();
        oldest_of(place.path()) > 3
    });
    let history = shard.stop();
    assert!(history.had(&sessions(&replay(place.path())), 0, u64::MAX));
}

#[test]
fn a_folder_without_any_segment_is_backed_up_as_such() {
    let place = tempfile::tempdir().unwrap();
    let (data, dest) = (place.path().join("data"), place.path().join("dest"));
    drop(replay(&data));
    fs::write(data.join("00000001.log"), [0; 4_096]).unwrap();
    let made = backup(&data, &dest).unwrap();
    assert_eq!((made.linked, made.copied), (0, 0));
    assert_eq!(replay(&dest).recovery().end(), None);
}

#[test]
fn what_is_no_journal_and_what_is_not_empty_is_refused_and_left_alone() {
    let place = saved(&torn_log());
    let path = |name: &str| place.path().join(name);
    let refuse = |from: &str, to: &str, said: &str| {
        let error = backup(&path(from), &path(to)).unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    };
    fs::create_dir(path("other")).unwrap();
    fs::write(path("other/thesis.txt"), "dear").unwrap();
    refuse("nowhere", "dest", "No such file");
    refuse("other", "dest", "no journal's folder");
    refuse("data", "other", "is not empty");
    refuse("data", "data", "is not empty");
    refuse("data", "no/such/parent", "cannot be written");
    refuse("data", "other/thesis.txt", "cannot be written");
    assert!(!path("dest").exists());
    assert_eq!(files(&path("other")).len(), 1);
    fs::create_dir(path("empty")).unwrap();
    backup(&path("data"), &path("empty")).unwrap();
    refuse("data", "empty", "is not empty");
}

#[test]
fn a_backup_that_fails_leaves_its_destination_as_it_was() {
    let place = saved(&torn_log());
    let path = |name: &str| place.path().join(name);
    // A segment that can be neither linked nor read, behind one that can.
    fs::remove_file(path("data/00000002.log")).unwrap();
    fs::create_dir(path("data/00000002.log")).unwrap();
    fs::create_dir(path("there")).unwrap();
    fs::set_permissions(path("there"), Permissions::from_mode(0o755)).unwrap();
    for dest in ["there", "new"] {
        let error = backup(&path("data"), &path(dest)).unwrap_err().to_string();
        assert!(error.contains("00000002.log"), "{error}");
    }
    assert!(!path("new").exists());
    assert_eq!(files(&path("there")).len(), 0);
    assert_eq!(fs::metadata(path("there")).unwrap().mode() & 0o777, 0o755);
}

#[test]
fn half_a_backup_is_no_journals_folder() {
    let place = saved(&torn_log());
    let (data, dest) = (place.path().join("data"), place.path().join("dest"));
    let mut made = Destination::make(&dest, &data).unwrap();
    let folder = Folder::open(&data).unwrap();
    made.take(&folder, SegmentNumber::FIRST).unwrap();
    // As a kill would leave it.
    made.is_finished = true;
    drop(made);
    assert!(matches!(Folder::open(&dest), Err(FolderError::NotOurs(_))));
    assert!(super::super::disk::Disk::open(&dest).is_err(), "no server starts over it");
    assert!(matches!(backup(&data, &dest), Err(BackupError::NotEmpty(_))));
}

#[test]
fn a_destination_on_another_file_system_is_copied_to() {
    let place = saved(&torn_log());
    let data = place.path().join("data");
    let memory = Path::new("/dev/shm");
    let device = |path: &Path| fs::metadata(path).map(|seen| seen.dev());
    let is_other = device(memory).is_ok_and(|memory| memory != device(&data).unwrap());
    let elsewhere = if is_other { tempfile::tempdir_in(memory).ok() } else { None };
    let Some(elsewhere) = elsewhere else {
        let _ = writeln!(io::stderr(), "skipped: there is no second file system to make a backup on");
        return;
    };
    let dest = elsewhere.path().join("dest");
    let made = backup(&data, &dest).unwrap();
    assert_eq!((made.linked, made.copied), (0, 3));
    assert!(
        made.to_string().contains("cannot share segments with the journal, so they are copied"),
        "{made}"
    );
    let (before, copy) = (files(&data), files(&dest));
    for name in ["00000001.log", "00000002.log"] {
        assert_eq!(copy[name].0, before[name].0);
        assert_eq!(fs::metadata(dest.join(name)).unwrap().mode() & 0o777, 0o600);
    }
    assert_eq!(replay(&dest).recovery().plan(ShardId::FIRST).tally().live, 30);
}

#[test]
fn a_folder_on_a_read_only_mount_is_judged_and_backed_up() {
    let Some(small) = SmallDisk::mount(2_048) else { return };
    let data = small.path().join("data");
    torn_log().save(&data);
    small.forbid_writing();
    assert!(fs::write(data.join("x"), "x").is_err());
    let verification = verify(&data, UnixMillis::new(1_000));
    assert!(verification.is_sound(), "{verification}");
    let place = tempfile::tempdir().unwrap();
    let made = backup(&data, &place.path().join("dest")).unwrap();
    assert_eq!((made.linked, made.copied), (0, 3));
    let copy = replay(&place.path().join("dest"));
    assert_eq!(copy.recovery().plan(ShardId::FIRST).tally().live, 30);
}
