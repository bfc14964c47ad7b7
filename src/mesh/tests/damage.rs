//! Whole servers over a damaged log, crashed while they log everything again.
//!
//! A sound log is wounded. The first start over it decides what is left; from then on no promise
//! is weaker than on a sound log, wherever the lives that follow end, and on however many cores:
//! what that start has found is found by each later one, until all is logged again and no damage
//! is reported any more. What is found is read by recovery alone, on two numbers of cores, so that
//! no question drives a server on. The seed alone decides everything.
//!
//! Nobody who was told "gone" before the damage sees the session again either, as long as any
//! end of the record of the removal can be read where the log counts.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::crashes::{BUCKETS, Clients, Life, SEGMENT_LEN, plan_end};
use super::ledger::{End, Found, Place, number_of};
use super::world::{Past, recover};
use super::wounds::{removals, wound};
use crate::journal::sim_disk::SimDisk;
use crate::journal::{JournalMillis, Recovery, SyncPolicy};
use crate::shard::Owners;
use crate::store::IdHasher;
use crate::types::{Moment, Now, SessionId, ShardCount, ShardId, UnixMillis};

const WOUNDS_PER_DISK: usize = 3;
/// About how many lives that makes.
const CRASHES_PER_DISK: u64 = 16;
/// Turns in which all is logged again, at most.
const TURNS_MAX: usize = 2_000;

/// Counts over all lives.
#[derive(Clone, Copy, Default, Debug)]
struct Tally {
    crashes: u64,
    power_losses: u64,
    /// Logs that were wounded, and those of them that a start called damaged.
    wounded: u64,
    damaged: u64,
    /// Starts over damage, and those that found the same damage again, or what a crash left of it.
    starts: u64,
    starts_again: u64,
    /// Crashes before everything was logged again: while it was, after a part of it was cleaned.
    crashes_copying: u64,
    crashes_partly_cleaned: u64,
    /// Logs that were sound again, after a crash and at the end.
    sound_early: u64,
    sound_at_end: u64,
    /// Sessions that the damage has cost, or of which it shows an older version.
    judged: u64,
    lost: u64,
    older: u64,
    /// Sessions that the damage has brought back: their removal cannot be read in any part, lies
    /// where the log is torn now, or had been cleaned away and the checkpoint cannot be read, or
    /// it was due and the marks of time cannot be read.
    back_unreadable: u64,
    back_uncovered: u64,
    back_by_clock: u64,
    keys_back: u64,
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.crashes += other.crashes;
        self.power_losses += other.power_losses;
        self.wounded += other.wounded;
        self.damaged += other.damaged;
        self.starts += other.starts;
        self.starts_again += other.starts_again;
        self.crashes_copying += other.crashes_copying;
        self.crashes_partly_cleaned += other.crashes_partly_cleaned;
        self.sound_early += other.sound_early;
        self.sound_at_end += other.sound_at_end;
        self.judged += other.judged;
        self.lost += other.lost;
        self.older += other.older;
        self.back_unreadable += other.back_unreadable;
        self.back_uncovered += other.back_uncovered;
        self.back_by_clock += other.back_by_clock;
        self.keys_back += other.keys_back;
    }
}

/// What a start would find.
struct Sight {
    recovery: Recovery,
    sessions: BTreeMap<SessionId, Found>,
    removals: BTreeSet<SessionId>,
}

/// How the last life has ended.
struct Ended {
    end: End,
    synced: Option<Vec<u64>>,
}

/// A disk through all that happens to it.
struct Story {
    clients: Clients,
    past: Past,
    ended: Ended,
    tally: Tally,
    /// What has happened, for who reads of a failure.
    told: Vec<String>,
}

fn sight_on(past: &Past, cores: u16, seed: u64) -> Sight {
    let owners = Owners::new(IdHasher::with_seed(seed), ShardCount::new(cores).unwrap());
    let recovery = recover(past, &owners);
    let boot = recovery.boot_time();
    let wall = |deadline: JournalMillis| past.now.wall.as_u64() + deadline.since(boot).as_u64();
    let mut sessions = BTreeMap::new();
    for shard in owners.shards().shards() {
        let plan = recovery.plan(shard);
        for number in recovery.segments() {
            let bytes = past.disk.bytes(number);
            for session in plan.load(number, &bytes).unwrap() {
                let session = session.unwrap();
                let (version, data) = (session.image.version.as_u64(), number_of(session.image.blob));
                let found = Found { version, data, expires: wall(session.deadline) };
                assert!(sessions.insert(session.image.id, found).is_none(), "a session is there once");
            }
        }
    }
    let removals = removals(&past.disk, &recovery);
    Sight { recovery, sessions, removals }
}

impl Story {
    fn new(seed: u64) -> Self {
        let mut clients = Clients::new(seed);
        let disk = SimDisk::new(clients.dice.next(), SEGMENT_LEN, 1 << 30);
        let wall = UnixMillis::new(1_700_000_000_000);
        let now = Now { moment: Moment::from_millis(1_000_000), wall };
        let past = Past { disk, policy: SyncPolicy::EverySecond, now };
        let ended = Ended { end: End::Orderly, synced: None };
        Self { clients, past, ended, tally: Tally::default(), told: Vec::new() }
    }

    /// What the next start finds, which no number of cores changes.
    fn sight(&mut self) -> Sight {
        let dice = &mut self.clients.dice;
        let (one, other) = (1 + dice.below(4) as u16, 1 + dice.below(4) as u16);
        let sight = sight_on(&self.past, one, dice.next() >> 16);
        let again = sight_on(&self.past, other, dice.next() >> 16);
        assert_eq!(sight.sessions, again.sessions, "on {one} and on {other} cores");
        assert_eq!(sight.recovery.report(), again.recovery.report(), "on {one} and on {other} cores");
        sight
    }

    /// Judges what the next start finds by all that was told.
    fn judge(&mut self) -> Sight {
        let sight = self.sight();
        let place = self.place();
        let ended = (self.ended.end, self.ended.synced.as_deref());
        for (id, known) in &mut self.clients.sessions {
            let session = SessionId::parse(id.as_bytes()).unwrap();
            let found = sight.sessions.get(&session).copied();
            let judged = catch_unwind(AssertUnwindSafe(|| known.judge_found(ended, found, place)));
            if let Err(panic) = judged {
                let what = panic.downcast_ref::<String>().map_or("a panic", String::as_str);
                panic!("{id}: {what}");
            }
            self.tally.judged += 1;
        }
        for (name, key) in BUCKETS.iter().zip(&mut self.clients.keys) {
            key.judge(key_of(&sight.recovery, name).as_deref());
        }
        sight
    }

    /// Takes what the first start over damage finds as what is left. `before` is what would have
    /// been found without the damage.
    fn judge_damaged(&mut self, before: &Sight) -> Sight {
        let sight = self.sight();
        let place = self.place();
        let report = sight.recovery.report();
        let is_earlier = sight.recovery.boot_time() < before.recovery.boot_time();
        let old_segments: BTreeSet<_> = before.recovery.segments().collect();
        let is_uncovered = sight.recovery.segments().any(|number| !old_segments.contains(&number));
        for (id, known) in &mut self.clients.sessions {
            let session = SessionId::parse(id.as_bytes()).unwrap();
            let (found, was) = (sight.sessions.get(&session).copied(), before.sessions.get(&session));
            if found.is_some() && known.is_safely_gone(self.ended.synced.as_deref()) {
                assert!(!sight.removals.contains(&session), "{id} is back behind its removal");
                let kind = if before.removals.contains(&session) {
                    &mut self.tally.back_unreadable
                } else if is_uncovered {
                    &mut self.tally.back_uncovered
                } else {
                    assert!(is_earlier, "{id} is back, and nothing says why: {report:?}");
                    &mut self.tally.back_by_clock
                };
                *kind += 1;
            }
            self.tally.lost += u64::from(was.is_some() && found.is_none());
            self.tally.older +=
                u64::from(found.zip(was).is_some_and(|(found, was)| found.version < was.version));
            known.take_found(found, place);
        }
        for (name, key) in BUCKETS.iter().zip(&mut self.clients.keys) {
            let is_back = key.take_found(key_of(&sight.recovery, name).as_deref());
            self.tally.keys_back += u64::from(is_back);
        }
        sight
    }

    /// Facts of a start are as old as the log before it.
    fn place(&self) -> Place {
        Place { owner: ShardId::FIRST, written: 0, now: self.past.now.wall.as_u64() }
    }

    /// One life of so many acts; if `is_quiet` nothing fails, and it goes on until all that was
    /// damaged is logged again. Whether it is.
    fn live(&mut self, acts: usize, is_quiet: bool) -> bool {
        let mut life = Life::begin(&self.past, &mut self.clients.dice).expect("there is room for a start");
        let mut end = End::PowerLoss;
        if !is_quiet {
            end = plan_end(&self.past.disk, &mut self.clients.dice);
        }
        for _ in 0..acts {
            life.act(&mut self.clients);
        }
        let mut turns = 0;
        while is_quiet && life.world.journal.as_ref().unwrap().log.has_damage() {
            life.world.settle();
            turns += 1;
            assert!(turns < TURNS_MAX, "damage is never cleaned");
        }
        let log = &life.world.journal.as_ref().unwrap().log;
        let is_sound = !log.has_damage();
        self.tally.crashes_copying += u64::from(!is_sound && log.cut().is_some());
        self.tally.crashes_partly_cleaned += u64::from(!is_sound && log.cleanings() > 0);
        let is_weak = end == End::PowerLoss && life.policy == SyncPolicy::EverySecond;
        let synced = is_weak.then(|| life.synced());
        let (cores, cleanings) = (life.world.cores.len(), log.cleanings());
        self.past = life.end(&mut end, &mut self.clients);
        self.told
            .push(format!("{acts} acts on {cores} cores, {end:?}, {cleanings} cleanings, sound: {is_sound}"));
        self.ended = Ended { end, synced };
        self.tally.crashes += 1;
        self.tally.power_losses += u64::from(end == End::PowerLoss);
        is_sound
    }

    /// A sound log is wounded, and lived with until it is sound again.
    fn wound_and_heal(&mut self) {
        for _ in 0..1 + self.clients.dice.below(2) {
            let sight = self.judge();
            assert!(!sight.recovery.report().is_damaged(), "{:?}", sight.recovery.report());
            let acts = 200 + self.clients.dice.below(2_500);
            self.live(acts, false);
        }
        let before = self.sight();
        let hits = wound(&self.past.disk, &before.recovery, &mut self.clients.dice);
        self.tally.wounded += u64::from(!hits.is_empty());
        self.told.push(format!("hit: {hits:?}"));
        let mut sight = self.judge_damaged(&before);
        self.told.push(format!("{:?}", sight.recovery.report()));
        let mut is_damaged = sight.recovery.report().is_damaged();
        self.tally.damaged += u64::from(is_damaged);
        for _ in 0..self.clients.dice.below(7) {
            self.tally.starts += u64::from(is_damaged);
            let acts = *self.clients.dice.pick(&[0, 5, 40, 100, 200, 600]);
            let acts = self.clients.dice.below(acts + 1);
            let is_sound = self.live(acts, false);
            sight = self.judge();
            let report = sight.recovery.report();
            assert!(is_damaged || !report.is_damaged(), "damage where none was: {report:?}");
            assert!(!is_sound || !report.is_damaged(), "damage in what was logged again: {report:?}");
            self.tally.sound_early += u64::from(is_damaged && !report.is_damaged());
            is_damaged = report.is_damaged();
            self.tally.starts_again += u64::from(is_damaged);
        }
        let acts = self.clients.dice.below(50);
        let is_sound = self.live(acts, true);
        let sight = self.judge();
        assert!(is_sound && !sight.recovery.report().is_damaged(), "{:?}", sight.recovery.report());
        self.tally.sound_at_end += u64::from(is_damaged);
    }
}

fn key_of(recovery: &Recovery, name: &str) -> Option<String> {
    let mut buckets = recovery.registry().buckets.iter();
    let bucket = buckets.find(|bucket| bucket.name.as_str() == name)?;
    bucket.key.map(|key| key.expose().to_owned())
}

#[test]
fn no_promise_is_broken_after_damage() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let crashes: u64 = number("SESHUN_CRASHES").unwrap_or(600);
    let first: u64 = number("SESHUN_CRASH_SEED").unwrap_or(0);
    let mut sum = Tally::default();
    for seed in first..first + (crashes / CRASHES_PER_DISK).max(1) {
        let mut story = Story::new(seed);
        let lived = catch_unwind(AssertUnwindSafe(|| {
            (0..WOUNDS_PER_DISK).for_each(|_| story.wound_and_heal());
        }));
        if let Err(panic) = lived {
            let what = panic.downcast_ref::<String>().map_or("a panic", String::as_str);
            panic!("seed {seed}, {:?}\n{}\n{what}", story.tally, story.told.join("\n"));
        }
        sum.add(story.tally);
    }
    std::io::Write::write_fmt(&mut std::io::stderr(), format_args!("{sum:?}\n")).unwrap();
    let reached = [
        sum.power_losses,
        sum.damaged,
        sum.starts_again,
        sum.crashes_copying,
        sum.crashes_partly_cleaned,
        sum.sound_early,
        sum.sound_at_end,
        sum.lost,
        sum.older,
    ];
    assert!(crashes < 600 || reached.iter().all(|count| *count > 0), "{sum:?}");
}
