//! Wall clocks that somebody sets between two runs: time in the journal never goes back, no
//! session loses more than is believed, and none that is gone comes back.

use super::life::{DAY_MILLIS, DOWNTIME_MAX, LONG_TTL, Life, WALL_MILLIS};
use super::*;
use crate::journal::SyncPolicy;
use crate::journal::sim_disk::Random;

/// Sessions of a history.
const SESSIONS: u8 = 12;

/// What a session has left, in milliseconds; none where it is gone.
fn left(life: &mut Life, number: u8) -> Option<u64> {
    match life.peek(number) {
        Seen::Found(session) => Some(session.deadline_millis - life.millis),
        other => {
            assert_eq!(other, Seen::Refused(Refusal::Missing));
            None
        }
    }
}

#[test]
fn a_clock_that_goes_back_takes_nothing_and_brings_nobody_back() {
    for back in [1, 60_000, DAY_MILLIS, WALL_MILLIS] {
        let mut life = Life::new(SyncPolicy::EverySecond);
        life.apply(1, create(b"a", Some(ttl(600))));
        life.apply(2, create(b"b", Some(ttl(20))));
        life.settle();
        life.pass(20_000);
        assert_eq!(left(&mut life, 2), None);
        life.write();
        let before = left(&mut life, 1).unwrap();
        let mut life = life.kill_and_set_clock(WALL_MILLIS - back);
        assert_eq!(left(&mut life, 2), None, "{back}: told as gone");
        assert!((before..=600_000).contains(&left(&mut life, 1).unwrap()), "{back}");
    }
}

#[test]
fn a_clock_that_is_far_ahead_takes_as_much_as_is_believed_and_only_once() {
    let mut life = Life::new(SyncPolicy::EverySecond);
    life.apply(1, create(b"a", None));
    life.settle();
    let ahead = WALL_MILLIS + 365 * DAY_MILLIS;
    for wall in [ahead, ahead, WALL_MILLIS, 0, 0] {
        life = life.kill_and_set_clock(wall);
        let left = left(&mut life, 1).unwrap();
        assert!(left >= LONG_TTL - DOWNTIME_MAX, "{wall}: {left}");
        life.settle();
    }
}

#[test]
fn a_run_in_1970_takes_no_more_than_is_believed_once_the_clock_is_right_again() {
    let mut life = Life::new(SyncPolicy::EverySecond);
    life.apply(1, create(b"a", None));
    life.settle();
    let created = life.millis;
    life = life.kill_and_set_clock(0);
    assert!(left(&mut life, 1).unwrap() >= LONG_TTL - (life.millis - created));
    life.settle();
    life = life.kill_and_set_clock(WALL_MILLIS);
    assert!(left(&mut life, 1).unwrap() >= LONG_TTL - DOWNTIME_MAX - (life.millis - created));
}

/// What the wall clock is set to.
fn set_clock(wall_millis: u64, random: &mut Random) -> u64 {
    let step = [0, 0, 1, 900, 70_000, DAY_MILLIS, 3 * DAY_MILLIS, 400 * DAY_MILLIS][random.below(8) as usize];
    match random.below(12) {
        0 => 0,
        1..6 => wall_millis.saturating_sub(step),
        _ => wall_millis + step,
    }
}

#[test]
fn no_step_of_the_clock_takes_more_than_itself_or_makes_time_go_back() {
    for seed in 0..150 {
        let mut random = Random::new(seed);
        let mut life = Life::new(SyncPolicy::EverySecond);
        let mut gone = vec![false; usize::from(SESSIONS)];
        for number in 0..SESSIONS {
            let seconds = [2, 30, 600, 86_400, 8 * 86_400, 30 * 86_400][random.below(6) as usize];
            life.apply(number, create(b"a", Some(ttl(seconds))));
        }
        for _ in 0..10 {
            for _ in 0..random.below(6) {
                life.pass([0, 300, 5_000, 90_000][random.below(4) as usize]);
                life.read(random.below(u64::from(SESSIONS)) as u8);
                life.write();
            }
            if random.one_in(2) {
                life.settle();
            }
            let before: Vec<_> = (0..SESSIONS).map(|number| left(&mut life, number)).collect();
            life.write();
            let wall_millis = set_clock(life.wall_millis, &mut random);
            let step = wall_millis.saturating_sub(life.wall_millis).min(DOWNTIME_MAX);
            let killed = life.millis;
            life = life.kill_and_set_clock(wall_millis);
            // The clock's step, and the time that the start itself takes.
            let step = step + (life.millis - killed);
            for (number, before) in (0..SESSIONS).zip(before) {
                let after = left(&mut life, number);
                let is_gone = &mut gone[usize::from(number)];
                *is_gone |= before.is_none();
                assert!(!*is_gone || after.is_none(), "seed {seed}: {number} came back");
                // What a step takes is what it says, and what it does not say nobody loses.
                let least = before.map_or(0, |before| before.saturating_sub(step));
                assert!(
                    after.unwrap_or(0) >= least,
                    "seed {seed}: {number} has {after:?} of {before:?}, {step}"
                );
            }
        }
    }
}
