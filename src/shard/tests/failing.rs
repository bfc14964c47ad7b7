//! The n-th write or sync fails, for every n: whatever was told is kept, and where nothing can
//! be kept any more nothing more is told.

use super::life::{Life, NONE, SEGMENT_LEN, WALL_MILLIS};
use super::*;
use crate::journal::sim_disk::{Random, SimDisk};
use crate::journal::{Job, Level, SyncPolicy};

/// Sessions that a history is about.
const SESSIONS: u64 = 6;
/// Changes that it makes.
const CHANGES: usize = 60;
/// More writes or syncs than it needs.
const FAULTS: u64 = 90;

/// What fails, and whether all fails from then on.
#[derive(Clone, Copy, Debug)]
struct Fault {
    is_sync: bool,
    is_last: bool,
    after: u64,
}

/// A change that was made: a session's data, or none where it was deleted.
struct Change {
    number: u8,
    data: Option<Vec<u8>>,
    wait: Wait,
}

/// A history, and how far its answers have left.
struct History {
    life: Life,
    changes: Vec<Change>,
    /// So many changes must outlive a kill: the last of them was told, and it was not before the
    /// others had been written.
    told: usize,
    /// So many must outlive a power cut.
    told_synced: usize,
    refused: usize,
}

/// What the histories have come to.
#[derive(Default, Debug)]
struct Sum {
    mended: u32,
    poisoned: u32,
}

impl History {
    fn run(policy: SyncPolicy, fault: Fault) -> Self {
        let life = Life::on(SimDisk::new(fault.after, SEGMENT_LEN, 1 << 30), policy);
        let mut history = Self { life, changes: Vec::new(), told: 0, told_synced: 0, refused: 0 };
        if fault.is_sync {
            history.life.disk.fail_sync_after(fault.after);
        } else {
            history.life.disk.fail_write_after(fault.after);
        }
        if fault.is_last {
            history.life.disk.die_at_failure();
        }
        let mut random = Random::new(fault.after);
        for step in 0..CHANGES {
            history.change(step, &mut random);
            history.go_on(&mut random);
        }
        history
    }

    fn change(&mut self, step: usize, random: &mut Random) {
        let number = random.below(SESSIONS) as u8;
        let bytes = vec![step as u8; 1 + random.below(900) as usize];
        let is_there = matches!(self.life.peek(number), Seen::Found(_));
        let (action, data) = match (is_there, random.below(4)) {
            (false, _) => (create(&bytes, None), Some(bytes.clone())),
            (true, 0) => (Action::Delete { conditions: &NONE }, None),
            (true, _) => (update(&bytes, None, &NONE), Some(bytes.clone())),
        };
        let (outcome, wait) = self.life.apply(number, action);
        match outcome {
            // The next segment is not ready yet.
            Seen::Refused(Refusal::Behind) => {}
            Seen::Refused(refusal) => {
                assert_eq!(refusal, Refusal::Unkept);
                assert!(self.life.journal.log.is_poisoned());
                self.refused += 1;
            }
            _ => self.changes.push(Change { number, data, wait }),
        }
    }

    /// The journal's threads do some of what there is to do, and answers leave.
    fn go_on(&mut self, random: &mut Random) {
        if !random.one_in(4) {
            self.life.write();
        }
        self.life.pass([0, 1, 3, 700][random.below(4) as usize]);
        let now = self.life.now();
        self.life.journal.advance(now);
        for _ in 0..random.below(4) {
            self.life.journal.run_job(random.below(2) as usize);
            self.life.journal.finish_job(random.below(2) as usize, now);
        }
        let (life, changes) = (&self.life, &self.changes);
        let is_told = |change: &Change| life.missing(change.wait).is_none();
        let is_synced = |change: &Change| change.wait.at(Level::Synced) > Sequence::NONE && is_told(change);
        let until = |is_it: &dyn Fn(&Change) -> bool| changes.iter().rposition(is_it).map_or(0, |at| at + 1);
        (self.told, self.told_synced) =
            (until(&is_told).max(self.told), until(&is_synced).max(self.told_synced));
    }

    /// Whether what is there now is what some number of changes leaves, no fewer than `told`.
    fn check_prefix(&self, after: &mut Life, told: usize, context: &str) {
        let found: Vec<Option<Vec<u8>>> = (0..SESSIONS as u8)
            .map(|number| match after.peek(number) {
                Seen::Found(session) => Some(session.bytes),
                _ => None,
            })
            .collect();
        let is_it = |count: usize| {
            let mut state = vec![None; SESSIONS as usize];
            for change in &self.changes[..count] {
                state[usize::from(change.number)] = change.data.clone();
            }
            state == found
        };
        let told_of = (told, self.told, self.changes.len());
        assert!((told..=self.changes.len()).any(is_it), "{context}: {told_of:?}, {found:?}");
    }
}

fn run_all(policy: SyncPolicy, is_sync: bool, is_last: bool) -> Sum {
    let mut sum = Sum::default();
    for after in 0..FAULTS {
        let fault = Fault { is_sync, is_last, after };
        let context = format!("{policy:?}, {fault:?}");
        let mut history = History::run(policy, fault);
        let is_poisoned = history.life.journal.log.is_poisoned();
        sum.poisoned += u32::from(is_poisoned);
        sum.mended += u32::from(!is_poisoned && history.refused == 0);
        if is_poisoned {
            assert_eq!(history.life.apply(99, create(b"x", None)).0, Seen::Refused(Refusal::Unkept));
        }
        if after % 2 == 0 {
            history.life.journal.run_unheard(Job::is_sync);
        }
        let (millis, told) = (history.life.millis, history.told);
        // What a disk shows that has lied about a sync is gone with the power.
        if !is_sync {
            let mut killed = Life::start(history.life.disk.after_kill(), millis, WALL_MILLIS, policy);
            history.check_prefix(&mut killed, told, &context);
        }
        let mut cut = Life::start(history.life.disk.after_power_loss(), millis, WALL_MILLIS, policy);
        history.check_prefix(&mut cut, history.told_synced, &context);
    }
    sum
}

#[test]
fn a_failed_write_or_sync_costs_nothing_that_was_told() {
    for policy in [SyncPolicy::EverySecond, SyncPolicy::Always] {
        for is_sync in [false, true] {
            let once = run_all(policy, is_sync, false);
            assert!(once.mended == FAULTS as u32, "{policy:?}, sync {is_sync}: {once:?}");
            let for_good = run_all(policy, is_sync, true);
            assert!(for_good.poisoned > 10, "{policy:?}, sync {is_sync}: {for_good:?}");
        }
    }
}
