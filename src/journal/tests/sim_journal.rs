//! The journal's threads in one, driven step by step: for tests of those who log.
//!
//! Does what the threads do, with the real log over a simulated disk and the real handles, in
//! whatever order a test asks for.

use std::sync::Arc;
use std::thread;

use crossbeam_channel::{Receiver, bounded};

use super::handle::{CoreJournal, Lane, Shared};
use super::log::{Buffer, Job, JobResult, Log, LogStart};
use super::progress::{Condition, Level, Progress};
use super::recover::{Recovery, Terms};
use super::restart::RestartTerms;
use super::room::Room;
use super::seal::Salt;
use super::sim_disk::{Random, SimDisk};
use super::storage::Storage;
use super::survey::survey;
use crate::types::{Millis, Now, SessionId, ShardCount, ShardId, UnixMillis};

/// A running journal, without threads.
pub struct SimJournal {
    pub log: Log<SimDisk>,
    pub disk: SimDisk,
    shared: Arc<Shared>,
    lane: Receiver<Buffer>,
    /// Out to be run: a sync, a chore. Each has its thread, and neither waits for the other.
    jobs: Vec<Job<usize>>,
    /// Run, and not yet told to the log.
    results: Vec<JobResult<usize>>,
}

/// Salts from a seed.
pub fn salts(seed: u64) -> Box<dyn FnMut() -> Salt + Send> {
    let mut random = Random::new(seed);
    Box::new(move || {
        let (low, high) = (random.next().to_le_bytes(), random.next().to_le_bytes());
        Salt::from_random(std::array::from_fn(|byte| if byte < 8 { low[byte] } else { high[byte - 8] }))
    })
}

/// Judges all that a disk shows.
pub fn recovery_of(
    disk: &SimDisk,
    shards: ShardCount,
    terms: Terms,
    owner_of: impl Fn(SessionId) -> ShardId + Copy,
) -> Recovery {
    let files = disk.list().unwrap();
    let surveys = files.iter().map(|file| survey(file.number, &disk.bytes(file.number), shards, owner_of));
    Recovery::judge(surveys.collect(), terms).unwrap()
}

impl SimJournal {
    /// Starts behind what was recovered; nothing where the disk has no room for a start.
    pub fn start(
        disk: &SimDisk,
        recovery: &Recovery,
        terms: RestartTerms,
        now: Now,
    ) -> Option<(Self, Vec<CoreJournal>)> {
        let (policy, shards, live) = (terms.policy, terms.shards, terms.live);
        let files = disk.list().unwrap();
        let kept = |number| *files.iter().find(|file| file.number == number).unwrap();
        let start = LogStart::behind(recovery, recovery.segments().map(kept).collect(), terms);
        let epoch = start.epoch;
        let log = match Log::start(disk.clone(), start, now) {
            Ok(log) => log,
            Err(error) => {
                assert!(error.is_no_space(), "{error}");
                return None;
            }
        };
        let shared = Shared::new(Progress::new(shards, Box::new(|_| ())), Room::new(log.room()), live);
        let shared = Arc::new(shared);
        let (lane_in, lane) = bounded(4096);
        // Nobody sleeps here: whoever is woken is awake.
        let way = |_| Lane { buffers: lane_in.clone(), writer: thread::current() };
        let core = |shard| CoreJournal::new(shard, epoch, policy, Arc::clone(&shared), way(shard));
        let cores = shards.shards().map(core).collect();
        let (jobs, results) = (Vec::new(), Vec::new());
        let mut journal = Self { log, disk: disk.clone(), shared, lane, jobs, results };
        journal.publish();
        Some((journal, cores))
    }

    /// Writes what was handed over, `buffers_max` buffers of it.
    pub fn write(&mut self, buffers_max: usize, now: Now) {
        let buffers: Vec<_> = self.lane.try_iter().take(buffers_max).collect();
        self.log.set_live(self.shared.live(), self.shared.registry());
        self.log.write(buffers, now);
        self.after_step(now);
    }

    /// Does what time asks for.
    pub fn advance(&mut self, now: Now) {
        self.log.set_live(self.shared.live(), self.shared.registry());
        self.log.advance(now);
        self.after_step(now);
    }

    /// Runs a job of those that are out, whichever `drawn` stands for; tells the log of none.
    pub fn run_job(&mut self, drawn: usize) {
        if self.jobs.is_empty() {
            return;
        }
        let result = self.jobs.remove(drawn % self.jobs.len()).run(&self.disk);
        // The thread that syncs tells the cores at once, before the log hears of it.
        if let JobResult::Synced(Ok(covers)) = &result {
            self.shared.progress.publish(Level::Synced, &covers.sequences);
        }
        self.results.push(result);
    }

    /// Tells the log of a job of those that were run, whichever `drawn` stands for.
    pub fn finish_job(&mut self, drawn: usize, now: Now) {
        if !self.results.is_empty() {
            let result = self.results.remove(drawn % self.results.len());
            self.log.finish_job(result, now);
            self.after_step(now);
        }
    }

    /// Runs those jobs that are out and that are `wanted`; nobody hears of their end.
    pub fn run_unheard(&mut self, mut wanted: impl FnMut(&Job<usize>) -> bool) {
        for job in self.jobs.drain(..).filter(|job| wanted(job)) {
            job.run(&self.disk);
        }
    }

    /// Writes and syncs everything that was handed over, however many milliseconds that takes.
    /// The time behind it.
    pub fn settle(&mut self, mut now: Now) -> Now {
        self.write(usize::MAX, now);
        self.log.settle(now);
        self.after_step(now);
        while !self.log.is_poisoned() && !self.log.is_full() {
            while !self.jobs.is_empty() || !self.results.is_empty() {
                self.run_job(0);
                self.finish_job(0, now);
            }
            if self.log.is_settled() {
                break;
            }
            now.moment = now.moment.after(Millis::new(1));
            now.wall = UnixMillis::new(now.wall.as_u64() + 1);
            self.advance(now);
        }
        now
    }

    fn after_step(&mut self, now: Now) {
        while let Some(job) = self.log.poll_job(now) {
            self.jobs.push(job);
        }
        assert!(self.jobs.len() + self.results.len() <= 2, "one sync and one chore at a time");
        self.publish();
    }

    fn publish(&mut self) {
        let progress = &self.shared.progress;
        self.shared.room.set(self.log.room());
        progress.publish_segment(self.log.current_segment());
        progress.publish(Level::Written, self.log.written());
        progress.publish_cut(self.log.cut(), self.log.is_cut_urgent());
        progress.publish_condition(match (self.log.is_poisoned(), self.log.is_full()) {
            (true, _) => Condition::Poisoned,
            (_, true) => Condition::Full,
            _ => Condition::Good,
        });
    }
}
