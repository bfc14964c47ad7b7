//! How long the log becomes while it is cleaned: by what lives, whatever its oldest part holds.

use super::life::{Life, NONE, SEGMENT_LEN};
use super::*;
use crate::journal::sim_disk::Random;
use crate::journal::{Storage, SyncPolicy};
use crate::types::ByteCount;

/// Segments that are preallocated for later at most: the reserve, and the next one.
const SPARES_MAX: u64 = 3;

/// What a turn logs, in bytes, or one change. A core's turns are shorter still beside its segments,
/// and a checkpoint takes a few of them.
const TURN_LENS: [u64; 3] = [1, SEGMENT_LEN / 16, SEGMENT_LEN / 8];

/// Sessions that nobody changes and that have no data: a walk takes many turns to look at them.
const SMALL_SESSIONS: u32 = 40_000;

/// Sessions that are there, how long their data is, and which of them the next change is for.
struct Load {
    name: &'static str,
    sessions: u8,
    data_len: usize,
    small_sessions: u32,
    changed: fn(&mut Random, u8) -> u8,
}

const LOADS: [Load; 7] = [
    Load { name: "one session", sessions: 1, data_len: 500, small_sessions: 0, changed: |_, _| 0 },
    Load { name: "less than a segment", sessions: 50, data_len: 1_000, small_sessions: 0, changed: any },
    Load { name: "some segments", sessions: 200, data_len: 1_000, small_sessions: 0, changed: any },
    Load { name: "many segments", sessions: 250, data_len: 7_000, small_sessions: 0, changed: any },
    // The oldest part of the log is all alive, and has to be copied before anything is given back.
    Load {
        name: "most is never changed",
        sessions: 250,
        data_len: 7_000,
        small_sessions: 0,
        changed: |_, of| of - 1,
    },
    Load {
        name: "half is never changed",
        sessions: 250,
        data_len: 7_000,
        small_sessions: 0,
        changed: a_late_one,
    },
    Load {
        name: "a long walk",
        sessions: 200,
        data_len: 1_000,
        small_sessions: SMALL_SESSIONS,
        changed: any,
    },
];

fn any(random: &mut Random, sessions: u8) -> u8 {
    random.below(u64::from(sessions)) as u8
}

fn a_late_one(random: &mut Random, sessions: u8) -> u8 {
    sessions / 2 + any(random, sessions - sessions / 2)
}

/// The bytes of all segments, and of those that hold records.
fn lengths(life: &Life) -> [u64; 2] {
    let on_disk = life.disk.list().unwrap().iter().map(|file| file.len.as_u64()).sum();
    [on_disk, life.journal.log.occupied().as_u64()]
}

#[test]
fn the_log_takes_twice_what_lives_and_three_segments_at_most() {
    for Load { name, sessions, data_len, small_sessions, changed } in LOADS {
        for turn_len in TURN_LENS {
            let changes_per_turn = (turn_len / data_len as u64).max(1);
            let mut random = Random::new(u64::from(sessions) + changes_per_turn);
            let mut life = Life::new(SyncPolicy::EverySecond);
            for number in 0..small_sessions {
                let id = SessionId::from_random(u128::from(number << 8).to_le_bytes());
                let operation = Operation { bucket: CART, id, action: create(b"", None) };
                assert!(matches!(life.shard.apply(at(life.millis), operation).outcome, Outcome::Created(_)));
                if number % 64 == 0 {
                    life.settle();
                }
            }
            for number in 0..sessions {
                life.apply(number, create(&vec![number; data_len], None));
                life.settle();
            }
            let most = 2 * life.shard.live_bytes().as_u64() + 3 * SEGMENT_LEN;
            for turn in 0..200 * SEGMENT_LEN / data_len as u64 / changes_per_turn {
                for _ in 0..changes_per_turn {
                    let number = changed(&mut random, sessions);
                    life.apply(number, update(&vec![turn as u8; data_len], None, &NONE));
                }
                life.clean();
                life.settle();
                let [on_disk, occupied] = lengths(&life);
                let told = |len| format!("{name}, {changes_per_turn}: {} of {most}", ByteCount::new(len));
                assert!(occupied <= most, "{}", told(occupied));
                assert!(on_disk <= most + SPARES_MAX * SEGMENT_LEN, "{}", told(on_disk));
            }
            assert!(life.journal.log.cleanings() > 2, "{name}, {changes_per_turn}: never cleaned");
        }
    }
}
