//! A generator thread: its event loop, its connections, and what it tells while they load.
//!
//! It hands in its counts each second, sees to it that the load ends in time, and gives up
//! connections whose answers never come. It touches nothing of other threads.

use std::cell::Cell;
use std::io;
use std::num::NonZeroU64;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::Sender;
use std::time::Duration;

use rustix::thread::{CpuSet, sched_setaffinity, set_current_timer_slack};

use crate::args::Args;
use crate::client::{Connection, SWEEP_MAX, Waiting};
use crate::clock::{Clock, Moment};
use crate::control::RunError;
use crate::core::{Core, Plan, Progress};
use crate::effort::Effort;
use crate::event_loop::EventLoop;
use crate::ledger::Ledger;
use crate::rng::Rng;
use crate::series::Second;
use crate::session::Terms;
use crate::stats::Tally;
use crate::verdict::Wrong;
use crate::wire::RequestWriter;
use crate::workload::{Shape, Workload};

/// How long the population may take to be made, at most.
const FILL_MAX: Duration = Duration::from_secs(300);

/// How often the thread looks after its connections.
const WATCH_PERIOD: Duration = Duration::from_millis(10);

/// How long one of a run's seconds is.
const SECOND: Duration = Duration::from_secs(1);

/// The lower bits of a session's number count within its core.
const NUMBER_BITS: u32 = 40;

/// What a generator thread is told. It can be sent to the thread.
#[derive(Clone)]
pub struct Assignment {
    /// Which thread it is. `index < plan.cores`
    pub index: u32,
    /// The flags.
    pub args: Arc<Args>,
    /// The run's seed.
    pub seed: u64,
    /// The run's clock.
    pub clock: Clock,
    /// How the run is to go.
    pub plan: Plan,
    /// What all sessions have in common.
    pub terms: Terms,
    /// The bucket's requests.
    pub writer: RequestWriter,
    /// Set when the run is to end early.
    pub stopped: Arc<AtomicBool>,
    /// What others may see of the thread.
    pub progress: Arc<Progress>,
}

/// What a generator thread has to tell.
pub enum Told {
    /// A second is over.
    Second {
        /// Its number, counted from when the thread's load began.
        number: u64,
        /// When it ended, on the run's clock.
        until: Moment,
        /// When it ended, counted from when the load began, and how long it was: the last one is shorter.
        span: (Duration, Duration),
        /// What it counted.
        second: Box<Second>,
    },
    /// The thread is done.
    Finished(Result<Box<Outcome>, RunError>),
}

/// What a generator thread has found.
pub struct Outcome {
    /// Its counts.
    pub tally: Tally,
    /// What its event loop was built on.
    pub driver: &'static str,
    /// What it took; none if it never began to load.
    pub effort: Option<Effort>,
}

/// Loads as it is told, on this thread.
pub fn generate(assignment: &Assignment, told: &Sender<Told>) -> Result<Outcome, RunError> {
    let failed = |what| move |source| RunError::Thread { thread: assignment.index as usize, what, source };
    pin(assignment).map_err(failed("pinning it to its CPU"))?;
    // Timers are else 50 us late by design. Where it fails, the lag is measured and shown.
    let _ = set_current_timer_slack(NonZeroU64::new(1));
    let mut event_loop =
        EventLoop::build(assignment.args.epoll).map_err(failed("building its event loop"))?;
    let driver = event_loop.name();
    let core = Rc::new(core(assignment, event_loop.is_ring()));
    let connections = connections(assignment, &core);
    let waiting: Vec<_> = connections.iter().map(Connection::waiting).collect();
    let finished = event_loop.block_on(async {
        connections.into_iter().for_each(|connection| drop(monoio::spawn(connection.run())));
        watch(&core, &waiting, assignment.args.answer_timeout, told).await
    });
    if !finished {
        give_up(&waiting, core.started().is_some(), &mut core.tally.borrow_mut());
        // Reads are still in flight; the loop must not be torn down under their buffers.
        std::mem::forget(event_loop);
    }
    let end = core.ended().or_else(|| core.started());
    let effort = core.started().zip(end).map(|(started, ended)| Effort::between(&started, &ended));
    Ok(Outcome { tally: core.tally.take(), driver, effort })
}

/// Hands each second in until all connections have finished; false if some have not in time.
async fn watch(
    core: &Core,
    waiting: &[Rc<Cell<Waiting>>],
    answer_timeout: Duration,
    told: &Sender<Told>,
) -> bool {
    let fill_until = core.clock.now().after(FILL_MAX);
    let mut seconds = Seconds::default();
    loop {
        monoio::time::sleep(WATCH_PERIOD).await;
        let now = core.clock.now();
        let finished = !core.is_pacing() && waiting.iter().all(|state| state.get() == Waiting::Finished);
        seconds.hand_in(core, now, finished, told);
        if finished {
            return true;
        }
        let mut until = if core.started().is_some() { core.stop_at() } else { fill_until };
        if core.is_stopped() {
            until = until.min(now);
        }
        if now > until.after(SWEEP_MAX).after(answer_timeout) {
            return false;
        }
    }
}

/// The seconds of one core that were handed in.
#[derive(Default)]
struct Seconds {
    count: u64,
    /// When the next one began; none before the load has begun.
    begun: Option<Moment>,
    /// Whether the last one was handed in.
    closed: bool,
}

impl Seconds {
    /// Hands the second in that is over, if one is; the last one when the load is.
    fn hand_in(&mut self, core: &Core, now: Moment, finished: bool, told: &Sender<Told>) {
        let Some(started) = core.started().filter(|_| !self.closed) else { return };
        let begun = self.begun.unwrap_or(started.at);
        let over = core.ended().map(|mark| mark.at).or(finished.then_some(now));
        if over.is_none()
            && now < started.at.after(SECOND * u32::try_from(self.count + 1).unwrap_or(u32::MAX))
        {
            return;
        }
        self.closed = over.is_some();
        // This thread looks a little late, so a second is as long as it was.
        let until = over.unwrap_or(now);
        let second = Box::new(core.tally.borrow_mut().second.take());
        let (number, span) = (self.count, (until.since(started.at), until.since(begun)));
        debug_assert!(begun <= until || self.closed, "seconds follow each other");
        // Nobody listens if another thread failed; this one ends soon then.
        let _ = told.send(Told::Second { number, until, span, second });
        (self.count, self.begun) = (number + 1, Some(until));
    }
}

fn core(assignment: &Assignment, ring: bool) -> Core {
    let Assignment { index, plan, clock, .. } = *assignment;
    let args = &assignment.args;
    let mine = share_of(u64::from(args.connections), index, plan.cores);
    let shape = Shape {
        mix: args.mix,
        zipf: args.zipf,
        population: (u64::from(args.sessions) * mine).max(1) as usize,
        abandoned_percent: args.abandoned as usize,
        contested_percent: args.contested as usize,
        has_data: args.size.max() > 0,
    };
    let workload = Workload::new(Rng::stream(assignment.seed, u64::from(index)), shape);
    let ledger = Ledger::new(assignment.terms, u64::from(index) << NUMBER_BITS);
    let flags = (Arc::clone(&assignment.stopped), Arc::clone(&assignment.progress));
    let core = Core::new((index, plan, ring), (clock, assignment.writer.clone()), flags, ledger, workload);
    if args.hdr.is_some() {
        core.tally.borrow_mut().second = Second::by_kind();
    }
    core
}

/// This thread's share of the connections; they are dealt out one by one.
fn connections(assignment: &Assignment, core: &Rc<Core>) -> Vec<Connection> {
    let args = &assignment.args;
    let mine = (0..args.connections).filter(|index| index % assignment.plan.cores == assignment.index);
    let make = |index: u32| {
        let operations_max = args.operations.map_or(u64::MAX, |all| share_of(all, index, args.connections));
        Connection::new(Rc::clone(core), index, operations_max)
    };
    mine.map(make).collect()
}

/// What number `index` of `count` gets of `all`; the first ones get what is left over.
fn share_of(all: u64, index: u32, count: u32) -> u64 {
    debug_assert!(index < count, "it is one of them");
    let (index, count) = (u64::from(index), u64::from(count));
    all / count + u64::from(index < all % count)
}

/// Counts what connections still wait for although their time is over.
fn give_up(waiting: &[Rc<Cell<Waiting>>], began_load: bool, tally: &mut Tally) {
    if !began_load {
        // More was asked to be made than fits the time: an answer on its way may be a moment old.
        return tally.error("fill_gave_up");
    }
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
    set.set(cpus.cpu_of(assignment.index as usize));
    Ok(sched_setaffinity(None, &set)?)
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
        give_up(&cells(), true, &mut tally);
        assert_eq!((tally.errors["connections_given_up"], tally.wrong["timed_out"].count), (1, 1));
    }

    #[test]
    fn sessions_that_take_too_long_to_make_are_no_wrong_answer() {
        let mut tally = Tally::default();
        give_up(&cells(), false, &mut tally);
        assert_eq!((&tally.errors, tally.wrong_count()), (&[("fill_gave_up", 1)].into(), 0));
    }

    fn cells() -> [Rc<Cell<Waiting>>; 3] {
        [Waiting::Finished, Waiting::Idle, Waiting::Answer].map(|state| Rc::new(Cell::new(state)))
    }
}
