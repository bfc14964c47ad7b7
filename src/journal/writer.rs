//! The journal's threads: one writes, one syncs, one prepares and removes segments.
//!
//! The writing thread gathers what all cores have handed over, writes it in one go and
//! publishes it; then it hands jobs to the other two. What is synced is published before
//! it is reported. In the mode `always` nobody is answered before the sync, so the writing
//! thread does it at once: a hand-over to another thread would only cost time. No core ever
//! waits for any of them.

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, TryRecvError, bounded};

use super::handle::{CoreJournal, Lane, Shared};
use super::jobs::{JobLanes, JobRunner, job_thread, spawn};
use super::log::{BACKLOG_MAX, Buffer, JobResult, Log, LogStart, SyncPolicy, segment_len};
use super::progress::{Condition, Level, Progress, Wake};
use super::room::Room;
use super::storage::{Storage, StorageError};
use crate::metrics::{JournalFigure, JournalMetrics};
use crate::types::{ByteCount, Millis, Moment, Now};

/// Buffers on their way from all cores together. A core that finds no place keeps its
/// buffer, adds to it and tries again.
const LANE_MAX: usize = 4096;
/// What is gathered for one write, in bytes; the buffer that passes it is the last.
const GATHER_BYTES_MAX: usize = 4 * 1024 * 1024;
/// How long the writing thread sleeps where nothing is due.
const SLEEP_MAX: Millis = Millis::from_secs(60);
/// How often the end of the process looks whether the threads have ended: once for each
/// millisecond that it may take.
const SHUTDOWN_LOOK: Duration = Duration::from_millis(1);
/// How often a shutdown looks whether its time is up.
const SHUTDOWN_STEP: Millis = Millis::new(20);

const _: () = assert!(
    GATHER_BYTES_MAX as u64 * 2 <= BACKLOG_MAX.as_u64(),
    "a gathering is a small part of the backlog"
);

/// The journal could not be started. The process ends before it listens.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The disk is so full that not even what is needed no more makes room for a segment.
    #[error(
        "no space is left for the journal to start: it needs {0} for its next segment; free them on the disk \
         of its folder and start again"
    )]
    NoSpace(ByteCount),
    /// The first segment could not be made.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The system gives no threads.
    #[error("the journal's threads cannot be started: {0}")]
    Threads(#[from] std::io::Error),
}

/// Not everything that was handed over became durable before the shutdown's time was up.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "the journal could not be synced in time: what was acknowledged as synced is kept, later changes may be lost"
)]
pub struct NotSettled;

/// What the threads need.
pub struct JournalStart<S> {
    /// The folder, which recovery has left in order.
    pub storage: S,
    /// What the log starts from.
    pub log: LogStart,
    /// Wakes a core.
    pub wake: Wake,
    /// Reads the clock.
    pub clock: fn() -> Now,
    /// Reads a clock that is fine enough to time a write.
    pub stopwatch: fn() -> Duration,
    /// Where the threads count what they do.
    pub metrics: Arc<JournalMetrics>,
}

/// A running journal. Dropping it ends the threads without waiting for a last sync.
#[derive(Debug)]
pub struct Journal {
    shared: Arc<Shared>,
    /// How long a shutdown may take. The writing thread ends where nobody could say so any more.
    stop: Option<Sender<Millis>>,
    writing: Option<JoinHandle<()>>,
    job_threads: Vec<JoinHandle<()>>,
}

impl Journal {
    /// Starts the threads; returns what each core holds of the journal, by shard. Makes the
    /// reserve first, so that there is room from the beginning.
    pub fn start<S>(start: JournalStart<S>) -> Result<(Self, Vec<CoreJournal>), StartError>
    where
        S: Storage + Send + 'static,
        S::File: Send,
    {
        let JournalStart { storage, log, wake, clock, stopwatch, metrics } = start;
        let (policy, epoch, shards, live) = (log.policy, log.epoch, log.shards, log.live);
        let log = start_log(&storage, log, clock)?;
        let shared = Arc::new(Shared::new(Progress::new(shards, wake), Room::new(log.room()), live));
        let (lane_in, lane) = bounded(LANE_MAX);
        let ((syncs, syncing), (chores, preparing)) = (job_thread(), job_thread());
        let (stop, stops) = bounded(1);
        let runner = JobRunner { storage, shared: Arc::clone(&shared), stopwatch, metrics };
        let writing =
            Writer { log, runner: runner.clone(), policy, clock, lane, syncs, chores, stops, stop_by: None };
        writing.publish();
        let writing = spawn("journal", move || writing.run())?;
        let writer = writing.thread().clone();
        let mut journal = Self {
            shared: Arc::clone(&shared),
            stop: Some(stop),
            writing: Some(writing),
            job_threads: Vec::new(),
        };
        journal.job_threads.push(syncing.start("journal-sync", runner.clone(), writer.clone())?);
        journal.job_threads.push(preparing.start("journal-files", runner, writer.clone())?);
        let lane = |_| Lane { buffers: lane_in.clone(), writer: writer.clone() };
        let core = |shard| CoreJournal::new(shard, epoch, policy, Arc::clone(&shared), lane(shard));
        let cores = shards.shards().map(core).collect();
        Ok((journal, cores))
    }

    /// How far the log has come.
    pub fn progress(&self) -> &Progress {
        &self.shared.progress
    }

    /// Writes and syncs all that was handed over, then ends the threads. The cores must have
    /// handed over their last by now. Blocks, `within` at most.
    pub fn shut_down(mut self, within: Millis) -> Result<(), NotSettled> {
        // A thread that is gone has poisoned the log or panicked: there is nobody to ask.
        let _ = self.stop.iter().try_for_each(|stop| stop.try_send(within));
        let mut looks_left = within.as_u64();
        for thread in self.writing.take().into_iter().chain(self.job_threads.drain(..)) {
            thread.thread().unpark();
            // A sync may hang for as long as the disk does. The process does not wait for it.
            while !thread.is_finished() && looks_left > 0 {
                thread::sleep(SHUTDOWN_LOOK);
                looks_left -= 1;
            }
            if thread.is_finished() {
                drop(thread.join());
            }
        }
        if self.shared.is_settled() { Ok(()) } else { Err(NotSettled) }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.stop = None;
        self.writing.iter().for_each(|writing| writing.thread().unpark());
    }
}

/// Starts the log and makes its reserve; says so where the disk has no room for that.
fn start_log<S: Storage>(storage: &S, start: LogStart, clock: fn() -> Now) -> Result<Log<S>, StartError> {
    let record_len_max = start.record_len_max;
    let segment_len = ByteCount::new(segment_len(storage, record_len_max)?);
    let mut log = match Log::start(storage.clone(), start, clock()) {
        Err(StorageError::NoSpace) => return Err(StartError::NoSpace(segment_len)),
        outcome => outcome?,
    };
    while let Some(job) = log.poll_start_job(clock()) {
        log.finish_job(job.run(storage), clock());
    }
    if log.room().ordinary < record_len_max.as_u64() {
        log::warn!(
            "the journal's disk is nearly full: sessions are refused until there is room for segments of \
             {segment_len}"
        );
    }
    Ok(log)
}

/// The thread that writes.
struct Writer<S: Storage> {
    log: Log<S>,
    runner: JobRunner<S>,
    policy: SyncPolicy,
    clock: fn() -> Now,
    lane: Receiver<Buffer>,
    syncs: JobLanes<S::File>,
    chores: JobLanes<S::File>,
    stops: Receiver<Millis>,
    /// A shutdown has begun, and ends by then.
    stop_by: Option<Moment>,
}

/// What ended a sleep.
enum Woken<File> {
    Buffer(Buffer),
    Result(JobResult<File>),
    Stop(Millis),
    ByTime,
    /// The journal was dropped, or a thread that does jobs is gone.
    Abandoned,
}

impl<S: Storage> Writer<S> {
    fn shared(&self) -> &Shared {
        &self.runner.shared
    }

    fn run(mut self) {
        loop {
            let woken = self.next();
            let now = (self.clock)();
            // Both are told by the cores at their own pace: the part is never more than the whole.
            let (live, registry) = (self.shared().live(), self.shared().registry());
            self.log.set_live(live.max(registry), registry);
            match woken {
                Woken::Buffer(first) => self.write(first, now),
                Woken::Result(result) => self.log.finish_job(result, now),
                Woken::Stop(within) => self.begin_stop(within, now),
                Woken::ByTime => {}
                Woken::Abandoned => return,
            }
            self.log.advance(now);
            self.publish();
            self.hand_out_jobs();
            if self.is_stopped(now) {
                return;
            }
        }
    }

    /// What is to be done next; sleeps until there is something. Whoever sends this thread
    /// anything unparks it behind that, so nothing that is missed here is slept through.
    fn next(&self) -> Woken<S::File> {
        if let Some(woken) = self.take() {
            return woken;
        }
        let now = (self.clock)().moment;
        let due = self.log.next_deadline().map_or(SLEEP_MAX, |due| due.since(now));
        let longest = if self.stop_by.is_some() { SHUTDOWN_STEP } else { SLEEP_MAX };
        thread::park_timeout(Duration::from_millis(due.min(longest).as_u64()));
        self.take().unwrap_or(Woken::ByTime)
    }

    /// What somebody has sent: results first, for they are few and others wait for them.
    fn take(&self) -> Option<Woken<S::File>> {
        let result = received(&self.syncs.results, Woken::Result);
        let chore = || received(&self.chores.results, Woken::Result);
        let stop = || received(&self.stops, Woken::Stop);
        // Cores that are gone hand over nothing more, and that is no end: a shutdown follows.
        let buffer = || self.lane.try_recv().ok().map(Woken::Buffer);
        result.or_else(chore).or_else(stop).or_else(buffer)
    }

    /// What else has been handed over by now, up to what one write should take.
    fn gather(&self, first: Buffer) -> Vec<Buffer> {
        let mut bytes = first.bytes.len();
        let mut buffers = vec![first];
        while bytes < GATHER_BYTES_MAX
            && let Ok(buffer) = self.lane.try_recv()
        {
            bytes += buffer.bytes.len();
            buffers.push(buffer);
        }
        buffers
    }

    fn write(&mut self, first: Buffer, now: Now) {
        let buffers = self.gather(first);
        let bytes = buffers.iter().map(|buffer| ByteCount::of_len(buffer.bytes.len())).sum();
        let stopwatch = self.runner.stopwatch;
        let begin = stopwatch();
        self.log.write(buffers, now);
        self.runner.metrics.written(bytes, stopwatch().saturating_sub(begin));
    }

    fn publish(&self) {
        let condition = match (self.log.is_poisoned(), self.log.is_full() || self.log.has_reserve_alone()) {
            (true, _) => Condition::Poisoned,
            (_, true) => Condition::Full,
            _ => Condition::Good,
        };
        self.show(condition);
        let progress = &self.shared().progress;
        self.shared().room.set(self.log.room());
        progress.publish_segment(self.log.current_segment());
        progress.publish(Level::Written, self.log.written());
        progress.publish_cut(self.log.cut(), self.log.is_cut_urgent());
        progress.publish_condition(condition);
    }

    fn show(&self, condition: Condition) {
        let metrics = &self.runner.metrics;
        let unsynced_since = self.log.unsynced_since().map_or(0, Moment::as_millis);
        metrics.show(JournalFigure::BacklogBytes, self.log.backlog().as_u64());
        metrics.show(JournalFigure::UnsyncedSince, unsynced_since);
        metrics.show(JournalFigure::Segments, self.log.segments() as u64);
        metrics.show(JournalFigure::SegmentBytes, self.log.occupied().as_u64());
        metrics.show(JournalFigure::LiveBytes, self.shared().live().as_u64());
        metrics.show(JournalFigure::Cleanings, self.log.cleanings());
        metrics.show(JournalFigure::IsCleaning, u64::from(self.log.is_cleaning()));
        metrics.show(JournalFigure::Condition, condition as u64);
    }

    fn hand_out_jobs(&mut self) {
        while let Some(job) = self.log.poll_job((self.clock)()) {
            let is_sync = job.is_sync();
            if is_sync && self.policy == SyncPolicy::Always {
                let result = self.runner.run(job);
                self.log.finish_job(result, (self.clock)());
                self.publish();
                continue;
            }
            let lanes = if is_sync { &self.syncs } else { &self.chores };
            if lanes.jobs.try_send(job).is_err() {
                debug_assert!(false, "the lane holds all jobs that can be out");
            }
        }
    }

    fn begin_stop(&mut self, within: Millis, now: Now) {
        self.stop_by = Some(now.moment.after(within));
        let last: Vec<Buffer> = self.lane.try_iter().collect();
        self.log.write(last, now);
        self.log.settle(now);
    }

    fn is_stopped(&self, now: Now) -> bool {
        let Some(stop_by) = self.stop_by else { return false };
        let is_settled = self.log.is_settled() && self.lane.is_empty();
        if is_settled {
            self.shared().settle();
        }
        is_settled || self.log.is_poisoned() || now.moment >= stop_by
    }
}

/// What lies in a channel; that everybody has left it, where nothing ever comes again.
fn received<T, File>(channel: &Receiver<T>, wrap: fn(T) -> Woken<File>) -> Option<Woken<File>> {
    match channel.try_recv() {
        Ok(message) => Some(wrap(message)),
        Err(TryRecvError::Empty) => None,
        Err(TryRecvError::Disconnected) => Some(Woken::Abandoned),
    }
}

impl<S: Storage> Drop for Writer<S> {
    /// Whatever ended the thread but a shutdown: those who wait must not wait for ever.
    fn drop(&mut self) {
        if self.stop_by.is_none() {
            self.runner.metrics.show(JournalFigure::Condition, Condition::Poisoned as u64);
            self.shared().progress.publish_condition(Condition::Poisoned);
        }
    }
}

#[cfg(test)]
mod tests;
