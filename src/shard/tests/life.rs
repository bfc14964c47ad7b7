//! A shard over a journal over a simulated disk, on a virtual clock: killed and started again.

use super::*;
use crate::journal::sim_disk::SimDisk;
use crate::journal::sim_journal::{SimJournal, recovery_of, salts};
use crate::journal::{JournalClock, RestartTerms, SyncPolicy, Terms};
use crate::types::{BucketName, Now, ShardCount, ShardId, UnixMillis};

pub(super) const DAY_MILLIS: u64 = 24 * 60 * 60 * 1000;
/// The TTL of sessions without their own: 30 days.
pub(super) const LONG_TTL: u64 = 30 * DAY_MILLIS;
/// What an hour of slack is.
pub(super) const SLACK: u64 = 60 * 60 * 1000;
/// What the wall clock shows at 0 of the monotonic one, unless somebody sets it.
pub(super) const WALL_MILLIS: u64 = 1_700_000_000_000;
/// How long the process is believed to have been down at most.
pub(super) const DOWNTIME_MAX: u64 = 7 * DAY_MILLIS;
pub(super) const NONE: Conditions = Conditions { if_match: None, if_none_match: None };
pub(super) const SEGMENT_LEN: u64 = 64 * 1024;

/// A shard, its journal, and the disk under both.
pub(super) struct Life {
    pub(super) disk: SimDisk,
    pub(super) journal: SimJournal,
    pub(super) shard: Shard,
    /// Milliseconds on the monotonic clock, and in journal time from the first start on where
    /// nobody sets the wall clock.
    pub(super) millis: u64,
    /// What the wall clock shows at 0 of the other one, in milliseconds since 1970.
    pub(super) wall_millis: u64,
    pub(super) policy: SyncPolicy,
    /// What this turn was asked.
    pace: Pace,
}

impl Life {
    pub(super) fn new(policy: SyncPolicy) -> Self {
        Self::on(SimDisk::new(7, SEGMENT_LEN, 1 << 30), policy)
    }

    /// A first start on this disk, with bucket `CART`.
    pub(super) fn on(disk: SimDisk, policy: SyncPolicy) -> Self {
        let mut life = Self::start(disk, 1_000_000, WALL_MILLIS, policy);
        life.log_bucket();
        life.settle();
        life
    }

    /// As the first core does at the start and for each cut.
    pub(super) fn log_bucket(&mut self) {
        let name = BucketName::parse(b"cart").unwrap();
        self.shard.log(Need::Reserve, Entry::Bucket { bucket: CART, name }).unwrap();
    }

    pub(super) fn start(disk: SimDisk, millis: u64, wall_millis: u64, policy: SyncPolicy) -> Self {
        let shards = ShardCount::ONE;
        let now = now_at(millis, wall_millis);
        let session_ttl = ttl(LONG_TTL / 1000);
        let terms = Terms { wall_now: now.wall, session_ttl, downtime_max: Millis::new(DOWNTIME_MAX) };
        let recovery = recovery_of(&disk, shards, terms, |_| ShardId::FIRST);
        let clock = JournalClock::new(recovery.boot_time(), now.moment);
        let settings = Settings { ttl: session_ttl, epoch: recovery.next_epoch() };
        let pool = Arc::new(MemoryPool::new(ByteCount::from_mib(64)));
        let store = Store::new(settings, IdHasher::with_seed(1), now.moment, Lease::new(pool));
        let mut shard = Shard::new(store);
        let plan = recovery.plan(ShardId::FIRST);
        for number in recovery.segments() {
            for session in plan.load(number, &disk.bytes(number)).unwrap() {
                shard.restore(&session.unwrap(), clock);
            }
        }
        let terms = RestartTerms {
            policy,
            shards,
            journal_time: recovery.boot_time(),
            live: shard.live_bytes(),
            record_len_max: ByteCount::from_kib(8),
            draw_salt: salts(millis),
        };
        let (mut journal, mut cores) = SimJournal::start(&disk, &recovery, terms, now).unwrap();
        let millis = journal.settle(now).moment.as_millis();
        shard.keep_in(cores.remove(0), clock, session_ttl);
        Self { disk, journal, shard, millis, wall_millis, policy, pace: Pace::IDLE }
    }

    /// The process is killed, and starts again after so long.
    pub(super) fn kill_and_start(self, down_millis: u64) -> Self {
        Self::start(self.disk.after_kill(), self.millis + down_millis, self.wall_millis, self.policy)
    }

    /// The power goes, and comes again after so long.
    pub(super) fn lose_power_and_start(self, down_millis: u64) -> Self {
        Self::start(self.disk.after_power_loss(), self.millis + down_millis, self.wall_millis, self.policy)
    }

    /// The process is killed, and somebody sets the wall clock before it starts again at once.
    pub(super) fn kill_and_set_clock(self, wall_millis: u64) -> Self {
        Self::start(self.disk.after_kill(), self.millis, wall_millis, self.policy)
    }

    pub(super) fn now(&self) -> Now {
        now_at(self.millis, self.wall_millis)
    }

    pub(super) fn apply(&mut self, number: u8, action: Action<'_>) -> (Seen, Wait) {
        let operation = Operation { bucket: CART, id: id(number), action };
        self.pace.note();
        let applied = self.shard.apply(at(self.millis), operation);
        (seen(applied.outcome), applied.wait)
    }

    pub(super) fn read(&mut self, number: u8) -> (Seen, Wait) {
        self.apply(number, Action::Read { touch: true, conditions: &NONE })
    }

    pub(super) fn peek(&mut self, number: u8) -> Seen {
        self.apply(number, Action::Read { touch: false, conditions: &NONE }).0
    }

    pub(super) fn delete(&mut self, number: u8) -> (Seen, Wait) {
        self.apply(number, Action::Delete { conditions: &NONE })
    }

    /// The deadline of a session that was found, in milliseconds.
    pub(super) fn deadline(seen: &Seen) -> u64 {
        match seen {
            Seen::Created(session) | Seen::Found(session) | Seen::Updated(session) => session.deadline_millis,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn pass(&mut self, millis: u64) {
        self.millis += millis;
    }

    /// The turn ends, and what was handed over is written but not synced.
    pub(super) fn write(&mut self) {
        assert!(self.shard.journal_mut().unwrap().hand_over());
        self.journal.write(usize::MAX, self.now());
    }

    /// The turn ends, and everything is synced.
    pub(super) fn settle(&mut self) {
        self.pace = Pace::IDLE;
        assert!(self.shard.journal_mut().unwrap().hand_over());
        self.millis = self.journal.settle(self.now()).moment.as_millis();
    }

    /// Logs again a piece of what the log asks for, as a core does in each turn.
    pub(super) fn clean(&mut self) {
        self.shard.journal().unwrap().set_live(self.shard.live_bytes(), None);
        self.pass(1_000);
        self.journal.advance(self.now());
        let Some(cut) = self.shard.journal().unwrap().progress().cut() else { return };
        if self.shard.copy_below(cut, at(self.millis), self.pace) == Walked::Done {
            self.log_bucket();
            self.shard.journal_mut().unwrap().report_copied(cut);
        }
    }

    pub(super) fn missing(&self, wait: Wait) -> Wait {
        self.shard.journal().unwrap().missing(wait)
    }

    pub(super) fn touches(&self) -> u64 {
        self.shard.keeper_counters().touches
    }
}

fn now_at(millis: u64, wall_millis: u64) -> Now {
    Now { moment: at(millis), wall: UnixMillis::new(wall_millis + millis) }
}
