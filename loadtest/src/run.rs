//! A run from its first request to its report: the bucket, the generator's threads, the end.
//!
//! Each thread has an event loop and its share of the connections; they share nothing but
//! the flag that ends the run early. A connection whose answer never comes is given up
//! after the run's end, so a run always ends: its duration, the sweep and the answer
//! time-out are the longest that it takes.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_setaffinity};

use crate::args::Args;
use crate::client::{Connection, Progress, SWEEP_MAX, Shared, Waiting};
use crate::clock::{Clock, Moment};
use crate::control::{Bucket, Control, RunError};
use crate::event_loop::EventLoop;
use crate::ledger::Ledger;
use crate::report::Report;
use crate::rng::Rng;
use crate::session::Terms;
use crate::stats::Tally;
use crate::verdict::Wrong;
use crate::wire::RequestWriter;
use crate::workload::Workload;

/// How often the progress is told.
const PROGRESS_PERIOD: Duration = Duration::from_secs(1);

/// How a run goes on, told about once a second.
#[derive(Clone, Copy, Debug)]
pub struct Standing {
    /// Since the run began.
    pub elapsed: Duration,
    /// Answers so far.
    pub answers: u64,
    /// Wrong ones so far, lost connections included.
    pub wrong: u64,
}

/// What a generator thread is told. It can be sent to the thread.
#[derive(Clone)]
struct Assignment {
    thread: usize,
    args: Arc<Args>,
    seed: u64,
    clock: Clock,
    stop_at: Moment,
    remote_addr: SocketAddr,
    terms: Terms,
    writer: RequestWriter,
    stopped: Arc<AtomicBool>,
    progress: Arc<Progress>,
}

/// What a generator thread has to tell.
struct Outcome {
    tally: Tally,
    driver: &'static str,
}

/// Loads the server as `args` ask for, or until `stopped` is set, and reports.
pub fn run(
    args: &Args,
    stopped: &Arc<AtomicBool>,
    mut tell: impl FnMut(Standing),
) -> Result<Report, RunError> {
    let mut drawn = Rng::new(draw_seed());
    let seed = args.seed.unwrap_or_else(|| drawn.bits());
    let control = Control::new(&args.url, &args.master_key)?;
    let bucket = control.make_bucket(&mut drawn)?;
    let outcome = load(args, seed, (&control, &bucket), stopped, &mut tell);
    // The key goes whatever became of the run.
    let removed = control.remove_bucket(&bucket);
    let (mut tally, elapsed, driver) = outcome?;
    match removed {
        Ok(true) => {}
        Ok(false) => tally.wrong("key_not_removed", || format!("DELETE /api-key/{}", bucket.name)),
        Err(error) => tally.wrong("key_not_removed", || error.to_string()),
    }
    Ok(Report::new(args, seed, driver, elapsed, &tally))
}

fn load(
    args: &Args,
    seed: u64,
    (control, bucket): (&Control, &Bucket),
    stopped: &Arc<AtomicBool>,
    tell: &mut impl FnMut(Standing),
) -> Result<(Tally, Duration, &'static str), RunError> {
    let terms = terms(args, seed, control, bucket)?;
    raise_descriptor_limit();
    // The clock starts after the control requests: they are no part of the load.
    let clock = Clock::started();
    let first = Assignment {
        thread: 0,
        args: Arc::new(args.clone()),
        seed,
        clock,
        stop_at: clock.now().after(args.duration),
        remote_addr: control.remote_addr(),
        terms,
        writer: RequestWriter::new(args.url.host(), &bucket.name, &bucket.key),
        stopped: Arc::clone(stopped),
        progress: Arc::default(),
    };
    let threads = args.cores.min(args.connections) as usize;
    let (sender, outcomes) = channel();
    let progress: Vec<_> = (0..threads).map(|thread| start_thread(&first, thread, &sender)).collect();
    drop(sender);
    let standing = || Standing {
        elapsed: clock.now().since(Moment::default()),
        answers: progress.iter().map(|core| core.answers.load(Ordering::Relaxed)).sum(),
        wrong: progress.iter().map(|core| core.wrong.load(Ordering::Relaxed)).sum(),
    };
    let (tally, driver) = gather(&outcomes, stopped, || tell(standing()))?;
    let elapsed = tally.last.since(Moment::default());
    Ok((tally, elapsed, driver))
}

/// Starts a generator thread and gives what it will show of its progress.
fn start_thread(
    first: &Assignment,
    thread: usize,
    sender: &Sender<Result<Outcome, RunError>>,
) -> Arc<Progress> {
    let progress = Arc::<Progress>::default();
    let assignment = Assignment { thread, progress: Arc::clone(&progress), ..first.clone() };
    let sender = sender.clone();
    thread::spawn(move || {
        // The receiver has gone only if another thread failed, and then nobody waits for this one.
        let _ = sender.send(run_thread(&assignment));
    });
    progress
}

/// Merges what the threads tell until none is left; a thread that fails ends the run of all.
fn gather(
    outcomes: &Receiver<Result<Outcome, RunError>>,
    stopped: &AtomicBool,
    mut tell: impl FnMut(),
) -> Result<(Tally, &'static str), RunError> {
    let mut tally = Tally::default();
    let mut driver = "none";
    let mut failed = None;
    loop {
        match outcomes.recv_timeout(PROGRESS_PERIOD) {
            Ok(Ok(outcome)) => {
                tally.merge(outcome.tally);
                driver = outcome.driver;
            }
            Ok(Err(error)) => {
                stopped.store(true, Ordering::Relaxed);
                failed = Some(error);
            }
            Err(RecvTimeoutError::Timeout) => tell(),
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    failed.map_or(Ok((tally, driver)), Err)
}

fn run_thread(assignment: &Assignment) -> Result<Outcome, RunError> {
    let failed = |what| move |source| RunError::Thread { thread: assignment.thread, what, source };
    pin(assignment).map_err(failed("pinning it to its CPU"))?;
    let mut event_loop =
        EventLoop::build(assignment.args.epoll).map_err(failed("building its event loop"))?;
    let driver = event_loop.name();
    let shared = Rc::new(Shared {
        clock: assignment.clock,
        remote_addr: assignment.remote_addr,
        writer: assignment.writer.clone(),
        stop_at: assignment.stop_at,
        stopped: Arc::clone(&assignment.stopped),
        tally: RefCell::default(),
        progress: Arc::clone(&assignment.progress),
    });
    let connections = connections(assignment, &shared);
    let waiting: Vec<_> = connections.iter().map(Connection::waiting).collect();
    let longest = assignment.args.duration + SWEEP_MAX + assignment.args.answer_timeout;
    let finished = event_loop.block_on(async {
        let tasks: Vec<_> =
            connections.into_iter().map(|connection| monoio::spawn(connection.run())).collect();
        let all = async {
            for task in tasks {
                task.await;
            }
        };
        monoio::time::timeout(longest, all).await.is_ok()
    });
    if !finished {
        give_up(&waiting, &mut shared.tally.borrow_mut());
        // Reads are still in flight; the loop must not be torn down under their buffers.
        std::mem::forget(event_loop);
    }
    Ok(Outcome { tally: shared.tally.take(), driver })
}

/// This thread's share of the connections; they are dealt out one by one.
fn connections(assignment: &Assignment, shared: &Rc<Shared>) -> Vec<Connection> {
    let args = &assignment.args;
    let threads = args.cores.min(args.connections);
    let mine = (0..args.connections).filter(|index| (index % threads) as usize == assignment.thread);
    let make = |index: u32| {
        // The upper half of a session's number is its connection's index.
        let ledger = Ledger::new(assignment.terms, u64::from(index) << 32);
        let rng = Rng::stream(assignment.seed, u64::from(index));
        let workload = Workload::new(rng, args.mix, args.sessions as usize, args.size > 0);
        let connection = Connection::new(Rc::clone(shared), index, ledger, workload);
        match args.operations {
            None => connection,
            Some(all) => connection.with_operations_max(share_of(all, index, args.connections)),
        }
    };
    mine.map(make).collect()
}

/// What the connection `index` of `count` gets of `all`; the first ones get what is left over.
fn share_of(all: u64, index: u32, count: u32) -> u64 {
    debug_assert!(index < count, "the connection is one of them");
    let (index, count) = (u64::from(index), u64::from(count));
    all / count + u64::from(index < all % count)
}

/// Counts what connections still wait for although their time is over.
fn give_up(waiting: &[Rc<Cell<Waiting>>], tally: &mut Tally) {
    for (index, waiting) in waiting.iter().enumerate() {
        match waiting.get() {
            Waiting::Finished => {}
            Waiting::Idle => tally.error("connections_given_up"),
            Waiting::Answer => {
                let late = Wrong::TimedOut;
                tally.wrong(late.kind(), || format!("connection {index} of its thread: {late}"));
            }
        }
    }
}

fn pin(assignment: &Assignment) -> io::Result<()> {
    let Some(cpus) = &assignment.args.pin else { return Ok(()) };
    let mut set = CpuSet::new();
    set.set(cpus.cpu_of(assignment.thread));
    Ok(sched_setaffinity(None, &set)?)
}

/// What the server's settings and the flags make of all sessions.
fn terms(args: &Args, seed: u64, control: &Control, bucket: &Bucket) -> Result<Terms, RunError> {
    let settings = control.settings(bucket)?;
    if settings.max_payload < args.size as u64 {
        return Err(RunError::Size { max_payload: settings.max_payload });
    }
    match u32::try_from(settings.session_ttl) {
        Ok(ttl_s) if ttl_s >= 2 => {
            Ok(Terms { run: seed, blob_len: args.size, ttl_s, short_ttl_s: args.short_ttl })
        }
        _ => Err(RunError::Ttl { ttl_s: settings.session_ttl }),
    }
}

/// Takes as many descriptors as the system gives without asking for more rights.
pub(crate) fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    // Where it fails, connections beyond the limit fail and are counted.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}

/// A number that no two runs share, from the seeds of the standard library's hash maps.
pub(crate) fn draw_seed() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_dealt_out_whole() {
        for (all, count) in [(10, 4), (3, 8), (64, 64), (0, 2)] {
            let shares: Vec<u64> = (0..count).map(|index| share_of(all, index, count)).collect();
            assert_eq!(shares.iter().sum::<u64>(), all);
            let (least, most) = (shares.iter().min(), shares.iter().max());
            assert!(most.zip(least).is_some_and(|(most, least)| most - least <= 1), "{shares:?}");
        }
    }

    #[test]
    fn connections_that_never_finished_are_told_apart() {
        let mut tally = Tally::default();
        let cells =
            [Waiting::Finished, Waiting::Idle, Waiting::Answer].map(|state| Rc::new(Cell::new(state)));
        give_up(&cells, &mut tally);
        assert_eq!((tally.errors["connections_given_up"], tally.wrong["timed_out"].count), (1, 1));
    }
}
