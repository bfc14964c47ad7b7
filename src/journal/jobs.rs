//! The threads that block, so that the one that writes does not: it waits for the disk only where
//! a record has to, for a sync in the mode `always` and for a segment that is not ready in time.
//!
//! One syncs. Another one prepares and removes segments: for tens of milliseconds each, which
//! nobody who waits for a sync should spend. Each does one job after the other and hands the result
//! back to the writing thread; what a sync has covered is published before anybody else hears of it.
//! They own no state, and end with their lanes.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle, Thread};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::handle::Shared;
use super::log::{Job, JobResult};
use super::progress::Level;
use super::storage::Storage;
use crate::metrics::JournalMetrics;

/// The log has at most one sync and one chore out at a time.
const JOBS_MAX: usize = 1;

/// The writing thread's end of a thread that does jobs.
pub(super) struct JobLanes<File> {
    pub(super) jobs: Sender<Job<File>>,
    pub(super) results: Receiver<JobResult<File>>,
}

/// The thread's end of it.
pub(super) struct JobThread<File> {
    jobs: Receiver<Job<File>>,
    results: Sender<JobResult<File>>,
}

/// What all of them need.
#[derive(Clone)]
pub(super) struct JobRunner<S> {
    pub(super) storage: S,
    pub(super) shared: Arc<Shared>,
    pub(super) stopwatch: fn() -> Duration,
    pub(super) metrics: Arc<JournalMetrics>,
}

/// Starts one of the journal's threads.
pub(super) fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    thread::Builder::new().name(name.to_owned()).spawn(run)
}

/// Both ends.
pub(super) fn job_thread<File>() -> (JobLanes<File>, JobThread<File>) {
    let (jobs, jobs_out) = bounded(JOBS_MAX);
    let (results_in, results) = bounded(JOBS_MAX);
    (JobLanes { jobs, results }, JobThread { jobs: jobs_out, results: results_in })
}

impl<File: Clone + Send + 'static> JobThread<File> {
    /// Starts the thread, which does jobs until nobody sends any.
    pub(super) fn start<S>(
        self,
        name: &str,
        runner: JobRunner<S>,
        writer: Thread,
    ) -> io::Result<JoinHandle<()>>
    where
        S: Storage<File = File> + Send + 'static,
    {
        spawn(name, move || {
            for job in self.jobs {
                if self.results.send(runner.run(job)).is_err() {
                    return;
                }
                writer.unpark();
            }
        })
    }
}

impl<S: Storage> JobRunner<S> {
    /// Does a job; counts how long it takes if it is a sync, and publishes what that has covered.
    pub(super) fn run(&self, job: Job<S::File>) -> JobResult<S::File> {
        let (is_sync, begin) = (job.is_sync(), (self.stopwatch)());
        let result = job.run(&self.storage);
        if is_sync {
            self.metrics.synced((self.stopwatch)().saturating_sub(begin));
        }
        if let JobResult::Synced(Ok(covers)) = &result {
            self.shared.progress.publish(Level::Synced, &covers.sequences);
        }
        result
    }
}
