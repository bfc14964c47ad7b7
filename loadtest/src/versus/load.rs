//! The load on one contender: keep-alive connections, one request at a time each, closed loop.
//!
//! The connections are made anew for every turn, and the sessions last over all of them. A
//! turn has two parts, the second of which is measured; between them, and after, no request
//! is on its way, so that the CPU time read there belongs to whole requests. The first wrong
//! answer ends the turn with a failure: what answers wrongly has no figures.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::clock::{Clock, Moment};
use crate::event_loop::EventLoop;
use crate::stats::Latency;
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
    /// Set when all is to end.
    pub stopped: Arc<AtomicBool>,
}

/// What a turn's second part gave.
#[derive(Clone, Debug)]
pub struct Measured {
    /// From its first request to its last answer.
    pub elapsed: Duration,
    /// One latency an answer.
    pub latencies: Latency,
    /// CPU time that the server took.
    pub server: Duration,
    /// CPU time that this process took.
    pub load: Duration,
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
        let (connections, measured) = event_loop.block_on(async {
            connections = run_all(connections, Part::filling(turn), FILL_MAX).await?;
            let warm_up = Part::until(turn, turn.warm_up);
            connections = run_all(connections, warm_up, turn.warm_up + GRACE).await?;
            let before = used().map_err(LoadError::Usage)?;
            let start = turn.clock.now();
            let part = Part::until(turn, turn.measured);
            connections = run_all(connections, Rc::clone(&part), turn.measured + GRACE).await?;
            let elapsed = turn.clock.now().since(start);
            let after = used().map_err(LoadError::Usage)?;
            // Within the loop that they belong to.
            connections.iter_mut().for_each(Connection::close);
            debug_assert!(before.server <= after.server, "CPU time does not go back");
            let measured = Measured {
                elapsed,
                latencies: part.latencies.borrow().clone(),
                server: after.server.saturating_sub(before.server),
                load: after.load.saturating_sub(before.load),
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
    /// No request begins after this; without it, the part ends when the sessions are made.
    until: Option<Moment>,
    stopped: Arc<AtomicBool>,
    /// Never borrowed across an await.
    latencies: RefCell<Latency>,
}

impl Part {
    fn filling(turn: &Turn) -> Rc<Self> {
        Rc::new(Self { until: None, ..Self::of(turn) })
    }

    fn until(turn: &Turn, span: Duration) -> Rc<Self> {
        Rc::new(Self { until: Some(turn.clock.now().after(span)), ..Self::of(turn) })
    }

    fn of(turn: &Turn) -> Self {
        Self {
            clock: turn.clock,
            until: None,
            stopped: Arc::clone(&turn.stopped),
            latencies: RefCell::default(),
        }
    }

    fn goes_on(&self, connection: &Connection, now: Moment) -> bool {
        let is_over = match self.until {
            Some(until) => now >= until,
            None => connection.is_filled(),
        };
        !is_over && !self.stopped.load(Ordering::Relaxed)
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
    let all = async {
        let mut back = Vec::with_capacity(count);
        let mut failed = None;
        for task in tasks {
            match task.await {
                Ok(connection) => back.push(connection),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        failed.map_or(Ok(back), Err)
    };
    // Tasks that are given up here keep their buffers: the loop lives as long as the process.
    monoio::time::timeout(longest, all).await.unwrap_or(Err(LoadError::Stalled))
}

/// Takes one connection through a part.
async fn run(mut connection: Connection, part: Rc<Part>) -> Result<Connection, LoadError> {
    connection.connect().await?;
    let mut now = part.clock.now();
    while part.goes_on(&connection, now) {
        let action = if part.until.is_none() { Action::Create } else { connection.draw() };
        connection.exchange(action).await?;
        let received = part.clock.now();
        part.latencies.borrow_mut().record(received.since(now));
        now = received;
    }
    Ok(connection)
}

#[cfg(test)]
mod tests;
