//! The thread that syncs, so that the one that writes never waits for the disk.
//!
//! It does one job after the other, publishes what a sync has covered before anybody else hears of
//! it, and hands each result back to the writing thread. It owns no state, and ends with its lane.

use std::sync::Arc;
use std::thread::Thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender};

use super::handle::Shared;
use super::log::{Job, JobResult};
use super::progress::Level;
use super::storage::Storage;
use crate::metrics::JournalMetrics;

/// The thread that syncs.
pub(super) struct Syncer<S: Storage> {
    pub(super) storage: S,
    pub(super) shared: Arc<Shared>,
    pub(super) jobs: Receiver<Job<S::File>>,
    pub(super) results: Sender<JobResult<S::File>>,
    pub(super) writer: Thread,
    pub(super) stopwatch: fn() -> Duration,
    pub(super) metrics: Arc<JournalMetrics>,
}

impl<S: Storage> Syncer<S> {
    /// Does jobs until nobody sends any.
    pub(super) fn run(self) {
        for job in self.jobs {
            let result = timed(job, &self.storage, (self.stopwatch, &self.metrics));
            if let JobResult::Synced(Ok(covers)) = &result {
                self.shared.progress.publish(Level::Synced, &covers.sequences);
            }
            if self.results.send(result).is_err() {
                return;
            }
            self.writer.unpark();
        }
    }
}

/// Does a job, and counts how long it takes if it is a sync.
pub(super) fn timed<S: Storage>(
    job: Job<S::File>,
    storage: &S,
    (stopwatch, metrics): (fn() -> Duration, &JournalMetrics),
) -> JobResult<S::File> {
    let (is_sync, begin) = (job.is_sync(), stopwatch());
    let result = job.run(storage);
    if is_sync {
        metrics.synced(stopwatch().saturating_sub(begin));
    }
    result
}
