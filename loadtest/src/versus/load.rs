//! The load on one contender: keep-alive connections, one request at a time each.
//!
//! In a closed loop a connection's next request leaves when the last one was answered; in an
//! open one when a schedule has it, on whichever connection is free, through the same gate
//! as in a run on one server. The connections are made anew for every turn, and the sessions last over all of them. A
//! turn has two parts, the second of which is measured; between them, and after, no request
//! is on its way, so that the CPU time read there belongs to whole requests. The first wrong
//! answer ends the turn with a failure: what answers wrongly has no figures.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::clock::{Clock, Moment, Span};
use crate::core::Mark;
use crate::effort::Effort;
use crate::event_loop::EventLoop;
use crate::gate::Gate;
use crate::pace::{Rate, Schedule};
use crate::stats::{Kind, Latency, Tally};
use crate::timer::Timer;
use crate::versus::connection::{Connection, LoadError, Plan};
use crate::versus::dialect::Action;

/// How much longer than its two parts a turn may take.
const GRACE: Duration = Duration::from_secs(10);

/// How long making the first sessions may take.
const FILL_MAX: Duration = Duration::from_secs(300);

/// How long a turn's parts are, and what may end it early.
#[derive(Clone)]
pub struct Turn {
    /// The comparison's clock.
    pub clock: Clock,
    /// The part that is not measured.
    pub warm_up: Duration,
    /// The part that is.
    pub measured: Duration,
    /// The open loop's rate in both; none for a closed loop.
    pub rate: Option<Rate>,
    /// Set when all is to end.
    pub stopped: Arc<AtomicBool>,
}

/// What a turn's second part gave.
#[derive(Clone, Debug)]
pub struct Measured {
    /// From its first request to its last answer.
    pub elapsed: Duration,
    /// One latency an answer, and what an open loop dropped.
    pub tally: Tally,
    /// CPU time that the server took.
    pub server: Duration,
    /// CPU time that this process took.
    pub load: Duration,
    /// What the load's thread took; of an open loop only.
    pub effort: Option<Effort>,
}

impl Measured {
    /// The latencies of all answers, and of what was dropped, the time that it had waited.
    pub fn latencies(&self) -> Latency {
        let mut all = self.tally.dropped.clone();
        Kind::ALL.into_iter().for_each(|kind| all.merge(self.tally.latency(kind)));
        debug_assert!(all.count() >= self.tally.answer_count(), "every answer has a latency");
        all
    }
}

/// CPU time used so far.
#[derive(Clone, Copy, Debug)]
pub struct Used {
    /// By the server.
    pub server: Duration,
    /// By this process.
    pub load: Duration,
}

/// The connections to one contender. Empty while a turn goes on, and after one that failed.
pub struct Fleet {
    connections: Vec<Connection>,
}

impl Fleet {
    /// Connections that are not made yet.
    pub fn new(plan: &Plan) -> Self {
        let connections = (0..plan.connections).map(|index| Connection::new(plan, index)).collect();
        Self { connections }
    }

    /// Loads for both parts; `used` is asked before and after the second.
    pub fn turn(
        &mut self,
        event_loop: &mut EventLoop,
        turn: &Turn,
        mut used: impl FnMut() -> io::Result<Used>,
    ) -> Result<Measured, LoadError> {
        let mut connections = std::mem::take(&mut self.connections);
        let ring = event_loop.is_ring();
        let (connections, measured) = event_loop.block_on(async {
            connections = run_all(connections, Part::filling(turn, ring), FILL_MAX).await?;
            let warm_up = Part::lasting(turn, ring, turn.warm_up);
            connections = run_all(connections, warm_up, turn.warm_up + GRACE).await?;
            let before = used().map_err(LoadError::Usage)?;
            let started = Mark::now(turn.clock);
            let part = Part::lasting(turn, ring, turn.measured);
            connections = run_all(connections, Rc::clone(&part), turn.measured + GRACE).await?;
            let ended = Mark::now(turn.clock);
            let after = used().map_err(LoadError::Usage)?;
            // Within the loop that they belong to.
            connections.iter_mut().for_each(Connection::close);
            let measured = Measured {
                elapsed: ended.at.since(started.at),
                tally: part.tally.take(),
                server: after.server.saturating_sub(before.server),
                load: after.load.saturating_sub(before.load),
                effort: turn.rate.map(|_| Effort::between(&started, &ended)),
            };
            Ok((connections, measured))
        })?;
        self.connections = connections;
        Ok(measured)
    }
}

/// What all connections do for a while.
struct Part {
    clock: Clock,
    /// No request of a closed loop begins after this; without it, the part ends when the sessions
    /// are made.
    until: Option<Moment>,
    /// Where requests come from in an open loop, and when it ends.
    gate: Option<Gate>,
    /// Whether the event loop is io_uring.
    ring: bool,
    stopped: Arc<AtomicBool>,
    /// Never borrowed across an await.
    tally: RefCell<Tally>,
}

impl Part {
    fn filling(turn: &Turn, ring: bool) -> Rc<Self> {
        let (clock, stopped) = (turn.clock, Arc::clone(&turn.stopped));
        Rc::new(Self { clock, until: None, gate: None, ring, stopped, tally: RefCell::default() })
    }

    fn lasting(turn: &Turn, ring: bool, span: Duration) -> Rc<Self> {
        let (clock, stopped) = (turn.clock, Arc::clone(&turn.stopped));
        // Before the clock is read: there is much to allocate.
        let tally = RefCell::default();
        let start = clock.now();
        let gate = turn.rate.map(|rate| Gate::new(Schedule::new(rate, start, span, (0, 1))));
        Rc::new(Self { clock, until: Some(start.after(span)), gate, ring, stopped, tally })
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    fn goes_on(&self, connection: &Connection, now: Moment) -> bool {
        let is_over = match self.until {
            Some(until) => now >= until,
            None => connection.is_filled(),
        };
        !is_over && !self.is_stopped()
    }
}

/// Runs all connections through a part and gives them back; the first failure is that of all.
async fn run_all(
    connections: Vec<Connection>,
    part: Rc<Part>,
    longest: Duration,
) -> Result<Vec<Connection>, LoadError> {
    let count = connections.len();
    let tasks: Vec<_> =
        connections.into_iter().map(|connection| monoio::spawn(run(connection, Rc::clone(&part)))).collect();
    let pacer = monoio::spawn(pace(part));
    let all = async {
        let mut back = Vec::with_capacity(count);
        let mut failed = None;
        for task in tasks {
            match task.await {
                Ok(connection) => back.push(connection),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        failed = failed.or(pacer.await.err());
        failed.map_or(Ok(back), Err)
    };
    // Tasks that are given up here keep their buffers: the loop lives as long as the process.
    monoio::time::timeout(longest, all).await.unwrap_or(Err(LoadError::Stalled))
}

/// Lets an open loop's requests through when they are due, until its schedule is over.
async fn pace(part: Rc<Part>) -> Result<(), LoadError> {
    let Some(gate) = &part.gate else { return Ok(()) };
    let Ok(mut timer) = Timer::new(part.ring) else {
        gate.shut();
        return Err(LoadError::Timer);
    };
    gate.pace(part.clock, &mut timer, &part.tally, || part.is_stopped()).await;
    if part.tally.borrow().errors.is_empty() { Ok(()) } else { Err(LoadError::Timer) }
}

/// Takes one connection through a part.
async fn run(mut connection: Connection, part: Rc<Part>) -> Result<Connection, LoadError> {
    connection.connect().await?;
    match &part.gate {
        Some(gate) => load_open(&mut connection, &part, gate).await?,
        None => load_closed(&mut connection, &part).await?,
    }
    Ok(connection)
}

/// The next request leaves as soon as the last one was answered.
async fn load_closed(connection: &mut Connection, part: &Part) -> Result<(), LoadError> {
    let mut now = part.clock.now();
    while part.goes_on(connection, now) {
        let action = if part.until.is_none() { Action::Create } else { connection.draw() };
        connection.exchange(action).await?;
        let span = Span { sent: now, received: part.clock.now() };
        part.tally.borrow_mut().answer(kind_of(action), span, None);
        now = span.received;
    }
    Ok(())
}

/// Requests leave when the gate says so, whatever became of the last ones.
async fn load_open(connection: &mut Connection, part: &Part, gate: &Gate) -> Result<(), LoadError> {
    while let Some(intended) = gate.pass(part.clock, &part.tally).await {
        let action = connection.draw();
        let sent = part.clock.now();
        connection.exchange(action).await?;
        let span = Span { sent, received: part.clock.now() };
        part.tally.borrow_mut().answer(kind_of(action), span, Some(intended));
    }
    Ok(())
}

/// What an action counts as; a bot's session is made like any other.
const fn kind_of(action: Action) -> Kind {
    match action {
        Action::Create | Action::Bot => Kind::Create,
        Action::Read => Kind::Read,
        Action::Update => Kind::Update,
        Action::Delete => Kind::Delete,
    }
}

#[cfg(test)]
mod tests;
