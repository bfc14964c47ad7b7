//! What the connections of one generator thread share: its sessions, counts and clock.
//!
//! It knows how far the thread has come: the population is made, the load runs, the load
//! is over. Nothing in it is borrowed across an await, and only counts for the live view
//! leave the thread while it runs.

use std::cell::{Cell, OnceCell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::{Clock, Moment, cpu_time};
use crate::gate::Gate;
use crate::ledger::Ledger;
use crate::pace::{Rate, Schedule};
use crate::stats::Tally;
use crate::timer::Timer;
use crate::wire::RequestWriter;
use crate::workload::Workload;

/// How a run is to go; the same for all cores.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// The server.
    pub remote_addr: SocketAddr,
    /// How long to load.
    pub duration: Duration,
    /// Requests that leave together in a closed loop. At least 1.
    pub pipeline: u64,
    /// The open loop's rate; none for a closed loop.
    pub rate: Option<Rate>,
    /// How often all connections are made anew, if they are.
    pub storm: Option<Duration>,
    /// How many cores load.
    pub cores: u32,
}

/// How far a core has come; written by that core alone.
#[derive(Default, Debug)]
#[repr(align(128))]
pub struct Progress {
    /// Whole answers.
    pub answers: AtomicU64,
    /// Wrong ones, and connections lost.
    pub wrong: AtomicU64,
}

/// What a core had used up at some moment.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    /// When.
    pub at: Moment,
    /// The thread's CPU time.
    pub cpu: Duration,
    /// How long the thread had been ready to run and had no CPU.
    pub waited: Duration,
}

impl Mark {
    /// What the calling thread has used up by now.
    pub fn now(clock: Clock) -> Self {
        Self { at: clock.now(), cpu: cpu_time(), waited: waited() }
    }
}

/// What a core's connections share.
pub struct Core {
    /// Which core this is. `index < plan.cores`
    pub index: u32,
    /// How the run is to go.
    pub plan: Plan,
    /// The run's clock.
    pub clock: Clock,
    /// The bucket's requests.
    pub writer: RequestWriter,
    /// Set when the run is to end early.
    pub stopped: Arc<AtomicBool>,
    /// What others may see of it while it runs.
    pub progress: Arc<Progress>,
    /// The sessions.
    pub ledger: RefCell<Ledger>,
    /// What to do with them.
    pub workload: RefCell<Workload>,
    /// What is counted.
    pub tally: RefCell<Tally>,
    gate: OnceCell<Gate>,
    started: Cell<Option<Mark>>,
    ended: Cell<Option<Mark>>,
    /// Connections that load.
    loading: Cell<u32>,
    /// Whether the pacer runs.
    pacing: Cell<bool>,
    /// Whether the event loop is io_uring.
    ring: bool,
}

impl Core {
    /// A core that has not begun.
    pub fn new(
        (index, plan, ring): (u32, Plan, bool),
        (clock, writer): (Clock, RequestWriter),
        (stopped, progress): (Arc<AtomicBool>, Arc<Progress>),
        ledger: Ledger,
        workload: Workload,
    ) -> Self {
        debug_assert!(index < plan.cores && plan.pipeline > 0, "the core is one of the plan's");
        Self {
            index,
            plan,
            clock,
            writer,
            stopped,
            progress,
            ledger: RefCell::new(ledger),
            workload: RefCell::new(workload),
            tally: RefCell::default(),
            gate: OnceCell::new(),
            started: Cell::new(None),
            ended: Cell::new(None),
            loading: Cell::new(0),
            pacing: Cell::new(false),
            ring,
        }
    }

    /// When the load began, and what had been used up then.
    pub fn started(&self) -> Option<Mark> {
        self.started.get()
    }

    /// When the load ended, and what had been used up then.
    pub fn ended(&self) -> Option<Mark> {
        self.ended.get()
    }

    /// No operation begins after this; the end of time before the load has begun.
    pub fn stop_at(&self) -> Moment {
        let start = self.started.get().map(|mark| mark.at);
        start.map_or(Moment::after_start(Duration::MAX), |start| start.after(self.plan.duration))
    }

    /// Whether the run is to end early.
    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// Whether an operation may begin now.
    pub fn goes_on(&self, now: Moment) -> bool {
        now < self.stop_at() && !self.is_stopped()
    }

    /// Whether tasks of its own are still running.
    pub fn is_pacing(&self) -> bool {
        self.pacing.get()
    }

    /// A connection begins to load. With the first of them, measuring begins.
    pub fn begin_load(self: &Rc<Self>) {
        self.loading.set(self.loading.get() + 1);
        if self.started.get().is_some() {
            return;
        }
        let mark = Mark::now(self.clock);
        self.started.set(Some(mark));
        self.tally.borrow_mut().first = Some(mark.at);
        if self.plan.rate.is_some() {
            self.pacing.set(true);
            let core = Rc::clone(self);
            monoio::spawn(async move { core.pace().await });
        }
    }

    /// A connection loads no more.
    pub fn leave_load(&self) {
        debug_assert!(self.loading.get() > 0, "it had begun");
        self.loading.set(self.loading.get() - 1);
        // What is done after the end is no part of the load.
        if self.ended.get().is_none() && (self.loading.get() == 0 || !self.goes_on(self.clock.now())) {
            self.ended.set(Some(Mark::now(self.clock)));
        }
    }

    /// Where an open loop's connections get their requests; the load has begun.
    pub fn gate(&self) -> &Gate {
        self.gate.get_or_init(|| {
            let rate = self.plan.rate.unwrap_or(Rate { from: 0.0, to: 0.0 });
            let start = self.started.get().map(|mark| mark.at).unwrap_or_default();
            Gate::new(Schedule::new(rate, start, self.plan.duration, (self.index, self.plan.cores)))
        })
    }

    /// When connections are made anew next; the end of time if never.
    pub fn next_storm(&self, now: Moment) -> Moment {
        let never = Moment::after_start(Duration::MAX);
        let Some((storm, start)) = self.plan.storm.zip(self.started.get()) else { return never };
        let elapsed = now.since(start.at).as_nanos();
        let count = elapsed / storm.as_nanos() + 1;
        u32::try_from(count).map_or(never, |count| start.at.after(storm.saturating_mul(count)))
    }

    async fn pace(&self) {
        match Timer::new(self.ring) {
            Ok(mut timer) => {
                let stopped = || self.is_stopped();
                self.gate().pace(self.clock, &mut timer, &self.tally, stopped).await;
            }
            Err(_) => {
                self.tally.borrow_mut().error("timer_failed");
                self.gate().shut();
            }
        }
        self.pacing.set(false);
    }
}

/// How long this thread has been ready to run and had no CPU; nothing where the system keeps no count.
fn waited() -> Duration {
    let counts = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = counts.split_whitespace().nth(1).and_then(|count| count.parse().ok());
    Duration::from_nanos(nanos.unwrap_or_default())
}

/// Adds one to a count that this thread alone writes.
pub fn add(count: &AtomicU64) {
    count.store(count.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
}
