//! What a shard keeps: what is logged and when, what answers wait for, and what is there again
//! after a crash. On a virtual clock, over a simulated disk.

use super::life::{DAY_MILLIS, LONG_TTL, Life, NONE, SEGMENT_LEN, SLACK};
use super::*;
use crate::journal::sim_disk::SimDisk;
use crate::journal::{Level, SyncPolicy};
use crate::store::Walk;

fn wait_at(level: Level, wait: Wait) -> bool {
    wait.at(level) > Sequence::NONE
}

#[test]
fn changes_wait_for_the_write_and_removals_for_the_sync_or_all_for_the_sync() {
    for (policy, level) in [(SyncPolicy::EverySecond, Level::Written), (SyncPolicy::Always, Level::Synced)] {
        let mut life = Life::new(policy);
        let created = life.apply(1, create(b"a", None)).1;
        let updated = life.apply(1, update(b"b", None, &NONE)).1;
        for wait in [created, updated] {
            assert_eq!(wait, Wait::until(level, wait.at(level)), "{policy:?}");
            assert!(wait_at(level, life.missing(wait)), "{policy:?}");
        }
        life.write();
        let is_written = life.missing(created.and(updated)).is_none();
        assert_eq!(is_written, level == Level::Written, "{policy:?}");
        let (outcome, deleted) = life.delete(1);
        assert_eq!(outcome, Seen::Deleted);
        assert!(wait_at(Level::Synced, deleted));
        life.write();
        assert!(!life.missing(deleted).is_none(), "{policy:?}");
        life.settle();
        assert!(life.missing(created.and(updated).and(deleted)).is_none(), "{policy:?}");
    }
}

#[test]
fn an_answer_waits_for_what_it_shows_and_for_nothing_older() {
    let mut life = Life::new(SyncPolicy::EverySecond);
    let created = life.apply(1, create(b"a", None)).1;
    assert_eq!(life.read(1).1, created, "a read of what is not written yet");
    assert_eq!(life.apply(1, Action::Read { touch: false, conditions: &NONE }).1, created);
    let stale = Conditions { if_match: Some(VersionSet::Listed(vec![])), if_none_match: None };
    assert_eq!(life.apply(1, update(b"x", None, &stale)).1, created, "412 tells the version");
    life.write();
    for wait in [life.read(1).1, life.apply(1, update(b"x", None, &stale)).1, life.read(9).1] {
        assert!(wait.is_none(), "{wait:?}");
    }
    let deleted = life.delete(1).1;
    assert_eq!(life.read(1), (Seen::Refused(Refusal::Missing), deleted), "404 waits for the removal");
    assert!(life.read(9).1.is_none(), "another one that is missing waits for nothing");
    life.settle();
    assert!(life.read(1).1.is_none());
}

#[test]
fn a_session_that_is_read_all_day_is_logged_about_once_an_hour() {
    let mut life = Life::new(SyncPolicy::EverySecond);
    life.apply(1, create(b"a", None));
    life.settle();
    for _ in 0..24 * 60 * 6 {
        life.pass(10_000);
        let (outcome, wait) = life.read(1);
        assert_eq!(Life::deadline(&outcome), life.millis + LONG_TTL);
        assert!(wait.is_none(), "no read of a day waits for the disk");
        life.write();
    }
    assert!((24..=50).contains(&life.touches()), "{}", life.touches());
}

#[test]
fn no_promised_deadline_is_lost_by_a_kill_and_none_grows_by_more_than_the_slack() {
    let table = [(1, 3_000), (20, 3_000), (600, 37_500), (86_400, SLACK), (LONG_TTL / 1000, SLACK)];
    for (own_ttl, slack) in table {
        let mut life = Life::new(SyncPolicy::EverySecond);
        life.apply(1, create(b"a", Some(ttl(own_ttl))));
        life.settle();
        for step in 0..40 {
            life.pass(own_ttl * 1000 / [3, 50, 1000, 7][step % 4]);
            let (outcome, wait) = life.read(1);
            // What has to wait is not promised before it has come.
            if !life.missing(wait).is_none() {
                life.write();
                assert!(life.missing(wait).is_none());
            }
            if step % 5 == 4 {
                let promised = Life::deadline(&outcome);
                life = life.kill_and_start(0);
                let restored = Life::deadline(&life.peek(1));
                let most = (promised + slack).min(life.millis + own_ttl * 1000);
                assert!((promised..=most).contains(&restored), "{own_ttl}, {step}: {promised} {restored}");
            }
        }
    }
}

#[test]
fn cleaning_adds_nothing_to_a_life_however_often_the_process_is_killed() {
    let mut life = Life::new(SyncPolicy::EverySecond);
    let promised = Life::deadline(&life.apply(1, create(b"a", Some(ttl(20)))).0);
    life.settle();
    for _ in 0..6 {
        life = life.kill_and_start(1_000);
        let cut = life.shard.journal().unwrap().progress().segment().next().unwrap();
        assert_eq!(life.shard.copy_below(cut, at(life.millis), Pace::IDLE), Walked::Done);
        life.settle();
    }
    assert_eq!(life.shard.keeper_counters().copies, 1);
    let left = Life::deadline(&life.peek(1));
    assert!((promised..=promised + 3_000).contains(&left), "{promised} {left}");
}

#[test]
fn a_read_that_goes_past_what_the_log_has_waits_for_its_touch() {
    let mut life = Life::new(SyncPolicy::EverySecond);
    life.apply(1, create(b"a", Some(ttl(86_400))));
    life.settle();
    life.pass(SLACK / 2 - 2_000);
    assert_eq!((life.read(1).1, life.touches()), (Wait::NONE, 0), "well within the slack");
    life.pass(SLACK / 4);
    assert_eq!((life.read(1).1, life.touches()), (Wait::NONE, 1), "logged early, so nobody waits");
    life.settle();
    life.pass(SLACK * 2);
    let (outcome, wait) = life.read(1);
    assert!(wait_at(Level::Written, wait), "{wait:?}");
    assert_eq!(Life::deadline(&outcome), life.millis + DAY_MILLIS);
    assert_eq!(life.read(1).1, wait, "the next one is no better off");
    life.write();
    assert!(life.read(1).1.is_none());
}

#[test]
fn an_orderly_end_keeps_every_deadline_to_the_millisecond() {
    let mut life = Life::new(SyncPolicy::EverySecond);
    for number in 0..200 {
        life.pass(7);
        life.apply(number, create(b"a", Some(ttl(1 + u64::from(number) * 40))));
    }
    life.pass(2_000);
    let seen: Vec<_> = (0..200).map(|number| life.read(number).0).collect();
    let mut walk = Walk::default();
    assert_eq!(life.shard.log_deadlines(&mut walk, at(life.millis)), Walked::Done);
    life.settle();
    let mut life = life.lose_power_and_start(500);
    let mut lived = 0;
    for (number, seen) in (0..200).zip(seen) {
        match seen {
            Seen::Found(before) => {
                lived += 1;
                assert_eq!(life.peek(number), Seen::Found(Session { ..before }), "{number}");
            }
            other => assert_eq!(life.peek(number), other, "{number}"),
        }
    }
    assert!(lived > 150, "{lived}");
}

#[test]
fn a_session_that_comes_during_an_orderly_end_keeps_its_deadline_whoever_else_was_there() {
    for others in 0..2 {
        let mut life = Life::new(SyncPolicy::EverySecond);
        (0..others).for_each(|_| drop(life.apply(1, create(b"a", None))));
        life.settle();
        let mut walk = Walk::default();
        assert_eq!(life.shard.log_deadlines(&mut walk, at(life.millis)), Walked::Done);
        let deadline = Life::deadline(&life.apply(2, create(b"b", Some(ttl(100)))).0);
        life.settle();
        let mut life = life.lose_power_and_start(500);
        assert_eq!(Life::deadline(&life.peek(2)), deadline, "beside {others}");
    }
}

#[test]
fn a_session_that_is_due_at_an_orderly_end_does_not_come_back_after_it() {
    let mut life = Life::new(SyncPolicy::EverySecond);
    life.apply(1, create(b"a", Some(ttl(10))));
    life.settle();
    // Nobody asks for it, and the wheel has not come by.
    life.pass(10_000);
    let mut walk = Walk::default();
    assert_eq!(life.shard.log_deadlines(&mut walk, at(life.millis)), Walked::Done);
    life.settle();
    let mut life = life.kill_and_start(0);
    assert_eq!(life.peek(1), Seen::Refused(Refusal::Missing));
}

#[test]
fn whoever_was_told_that_a_session_is_gone_never_sees_it_again() {
    for by_wheel in [false, true] {
        let mut life = Life::new(SyncPolicy::EverySecond);
        life.apply(1, create(b"a", Some(ttl(100))));
        life.apply(2, create(b"b", Some(ttl(100))));
        life.settle();
        life.pass(100_000);
        if by_wheel {
            life.pass(1_000);
            assert_eq!(life.shard.advance(at(life.millis), 10).expired, 2);
        }
        let (outcome, wait) = life.read(1);
        assert_eq!(outcome, Seen::Refused(Refusal::Missing));
        assert!(wait_at(Level::Written, wait), "not told before it is written");
        life.write();
        assert!(life.missing(wait).is_none());
        let mut life = life.kill_and_start(0);
        assert_eq!(life.peek(1), Seen::Refused(Refusal::Missing));
        // Nobody was told of the other one, which the log has for three seconds more.
        assert_eq!(matches!(life.peek(2), Seen::Found(_)), !by_wheel);
    }
}

#[test]
fn a_deleted_session_stays_deleted_when_the_power_goes() {
    let mut life = Life::new(SyncPolicy::EverySecond);
    life.apply(1, create(b"a", None));
    life.settle();
    let wait = life.delete(1).1;
    life.settle();
    assert!(life.missing(wait).is_none());
    let mut life = life.lose_power_and_start(5_000);
    assert_eq!(life.peek(1), Seen::Refused(Refusal::Missing));
}

#[test]
fn a_version_is_never_given_out_again_for_other_data() {
    let mut life = Life::new(SyncPolicy::EverySecond);
    let mut given = Vec::new();
    for start in 0..5 {
        life.apply(start, create(b"a", None));
        life.settle();
        // Told to nobody: the kill takes it back, and with it its version.
        let (Seen::Updated(lost), _) = life.apply(start, update(b"lost", None, &NONE)) else { panic!() };
        given.push(lost.version);
        life = life.kill_and_start(0);
        let (Seen::Updated(kept), _) = life.apply(start, update(b"kept", None, &NONE)) else { panic!() };
        assert!(!given.contains(&kept.version), "{given:?} {}", kept.version);
        given.push(kept.version);
    }
}

#[test]
fn without_room_on_the_disk_nothing_grows_and_the_rest_goes_on() {
    let disk = SimDisk::new(7, SEGMENT_LEN, 4 * SEGMENT_LEN);
    let mut life = Life::on(disk, SyncPolicy::EverySecond);
    let data = [7; 2_000];
    let mut number = 0;
    let refused = loop {
        let (outcome, _) = life.apply(number, create(&data, None));
        life.settle();
        match outcome {
            Seen::Created(_) => number += 1,
            other => break other,
        }
    };
    assert_eq!(refused, Seen::Refused(Refusal::DiskFull));
    assert!(number > 10, "{number}");
    let before = life.peek(0);
    assert_eq!(life.apply(0, update(&data, None, &NONE)).0, Seen::Refused(Refusal::DiskFull));
    assert_eq!(life.peek(0), before, "a refusal changes nothing");
    life.pass(DAY_MILLIS);
    assert_eq!(Life::deadline(&life.read(0).0), life.millis + LONG_TTL, "touches have the reserve");
    assert_eq!(life.delete(1).0, Seen::Deleted);
    life.settle();
    let mut life = life.kill_and_start(0);
    assert_eq!(life.peek(1), Seen::Refused(Refusal::Missing));
    assert!(matches!(life.peek(0), Seen::Found(_)));
}

#[test]
fn a_process_that_is_killed_again_and_again_on_a_full_disk_starts_each_time() {
    let disk = SimDisk::new(7, SEGMENT_LEN, 8 * SEGMENT_LEN);
    let mut life = Life::on(disk, SyncPolicy::EverySecond);
    let mut made = 0;
    while matches!(life.apply(made, create(&[7; 4_000], None)).0, Seen::Created(_)) {
        life.settle();
        made += 1;
    }
    for start in 0..12 {
        life = life.kill_and_start(0);
        assert_eq!(life.delete(start).0, Seen::Deleted, "there is room to delete");
        life.settle();
    }
    for number in 12..made {
        assert!(matches!(life.peek(number), Seen::Found(_)), "{number}");
    }
}

#[test]
fn a_full_disk_whose_oldest_segments_all_live_is_cleaned_within_its_reserve() {
    let disk = SimDisk::new(7, SEGMENT_LEN, 16 * SEGMENT_LEN);
    let mut life = Life::on(disk, SyncPolicy::EverySecond);
    let data = [7; 4_000];
    let mut made = 0;
    while matches!(life.apply(made, create(&data, None)).0, Seen::Created(_)) {
        life.settle();
        made += 1;
    }
    // What lay in the newest segments goes: what is oldest, and lives, is more than the reserve holds.
    for number in made / 3..made {
        assert_eq!(life.delete(number).0, Seen::Deleted, "{number} of {made}");
        life.settle();
    }
    for _ in 0..200 {
        life.clean();
        life.settle();
    }
    assert!(life.journal.log.cleanings() > 0);
    assert!(matches!(life.apply(250, create(&data, None)).0, Seen::Created(_)));
    let mut life = life.kill_and_start(0);
    for number in 0..made / 3 {
        assert!(matches!(life.peek(number), Seen::Found(_)), "{number}");
    }
}

#[test]
fn where_nothing_can_be_kept_any_more_reads_go_on_as_far_as_the_log_reaches() {
    let mut life = Life::new(SyncPolicy::EverySecond);
    life.apply(1, create(b"a", Some(ttl(600))));
    life.settle();
    life.disk.fail_write_after(0);
    life.disk.die_at_failure();
    let wait = life.apply(2, create(b"b", None)).1;
    life.write();
    assert!(life.journal.log.is_poisoned());
    assert!(!life.missing(wait).is_none(), "nobody is told");
    for action in [create(b"c", None), update(b"d", None, &NONE), Action::Delete { conditions: &NONE }] {
        let number = if matches!(action, Action::Create { .. }) { 3 } else { 1 };
        assert_eq!(life.apply(number, action).0, Seen::Refused(Refusal::Unkept));
    }
    life.pass(500_000);
    let (outcome, wait) = life.read(1);
    let deadline = Life::deadline(&outcome);
    assert!(life.missing(wait).is_none());
    let mut life = life.kill_and_start(0);
    assert!(Life::deadline(&life.peek(1)) >= deadline, "what was promised is kept");
    assert_eq!(life.peek(2), Seen::Refused(Refusal::Missing));
}

#[test]
fn what_lives_in_old_segments_is_logged_again_a_piece_at_a_time_and_they_can_go() {
    let mut life = Life::new(SyncPolicy::EverySecond);
    let data = [9; 3_000];
    for number in 0..200 {
        life.apply(number, create(&data, None));
        life.settle();
    }
    // Most of the log is old news by now.
    for round in 0..4 {
        for number in 0..150 {
            life.apply(number, update(&[round; 3_000], None, &NONE));
            life.settle();
        }
    }
    let expected: Vec<_> = (0..200).map(|number| life.peek(number)).collect();
    let mut pieces = 0;
    for _ in 0..1_000 {
        life.clean();
        pieces += u64::from(life.shard.journal().unwrap().progress().cut().is_some());
        life.settle();
    }
    assert!(pieces > 1 && life.journal.log.cleanings() > 1, "{pieces}");
    let most = 2 * life.shard.live_bytes().as_u64() + 3 * SEGMENT_LEN;
    assert!(life.journal.log.occupied().as_u64() <= most, "{} of {most}", life.journal.log.occupied());
    assert!(!life.disk.unlinks().is_empty());
    let mut life = life.lose_power_and_start(0);
    for (number, expected) in (0..200).zip(expected) {
        let Seen::Found(before) = expected else { panic!("{expected:?}") };
        let Seen::Found(after) = life.peek(number) else { panic!("{number} is gone") };
        assert_eq!((after.bytes, after.version), (before.bytes, before.version), "{number}");
        assert!(after.deadline_millis >= before.deadline_millis, "{number}");
    }
}

#[test]
fn nobody_waits_for_a_copy_and_a_session_can_be_read_although_its_copy_failed() {
    for policy in [SyncPolicy::EverySecond, SyncPolicy::Always] {
        let mut life = Life::new(policy);
        life.apply(1, create(b"kept", None));
        life.settle();
        let unsynced = life.apply(2, create(b"on its way", None)).1;
        let cut = life.shard.journal().unwrap().progress().segment().next().unwrap();
        assert_eq!(life.shard.copy_below(cut, at(life.millis), Pace::IDLE), Walked::Done);
        assert_eq!(life.shard.keeper_counters().copies, 2);
        assert!(life.read(1).1.is_none());
        assert_eq!(life.read(2).1, unsynced, "for its own record, and no longer");
        life.disk.fail_write_after(0);
        life.disk.die_at_failure();
        life.write();
        assert!(life.journal.log.is_poisoned());
        let (known, lost) = (life.read(1).1, life.read(2).1);
        assert!(life.missing(known).is_none() && !life.missing(lost).is_none());
    }
}

#[test]
fn a_due_session_is_neither_copied_nor_lost_before_its_time() {
    let mut life = Life::new(SyncPolicy::EverySecond);
    life.apply(1, create(b"a", Some(ttl(10))));
    life.apply(2, create(b"b", Some(ttl(1_000))));
    life.settle();
    life.pass(10_000);
    let cut = life.shard.journal().unwrap().progress().segment().next().unwrap();
    assert_eq!(life.shard.copy_below(cut, at(life.millis), Pace::IDLE), Walked::Done);
    assert_eq!(life.shard.keeper_counters().copies, 1);
    assert_eq!(life.shard.copy_below(cut, at(life.millis), Pace::IDLE), Walked::Done, "once is enough");
    assert_eq!(life.shard.keeper_counters().copies, 1);
}
