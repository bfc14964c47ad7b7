//! The load on one contender: keep-alive connections, one request at a time each, closed loop.
//!
//! The connections are made anew for every turn, and the sessions last over all of them. A
//! turn has two parts, the second of which is measured; between them, and after, no request
//! is on its way, so that the CPU time read there belongs to whole requests. The first wrong
//! answer ends the turn with a failure: what answers wrongly has no figures.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use monoio::buf::IoBufMut;
use monoio::io::{AsyncReadRent, AsyncWriteRentExt};
use monoio::net::TcpStream;

use crate::clock::{Clock, Moment};
use crate::event_loop::EventLoop;
use crate::rng::Rng;
use crate::stats::Latency;
use crate::versus::dialect::{Action, Dialect, Unexpected};
use crate::wire::{ID_LEN, IdText};
use crate::workload::Mix;

/// How much longer than its two parts a turn may take.
const GRACE: Duration = Duration::from_secs(10);

/// How long making the first sessions may take.
const FILL_MAX: Duration = Duration::from_secs(300);

/// Free bytes that a read is given at least.
const READ_ROOM: usize = 4096;

/// Why a contender has no figures.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// No connection could be made.
    #[error("it takes no connection: {0}")]
    Connect(io::Error),
    /// A connection was closed or broken within an exchange.
    #[error("a connection was lost within an exchange")]
    Lost,
    /// An answer was not the one to be had.
    #[error("a wrong answer to {action:?}: {wrong}")]
    Wrong {
        /// What was asked for.
        action: Action,
        /// What was wrong.
        wrong: Unexpected,
    },
    /// Something did not come within its time.
    #[error("it stopped answering")]
    Stalled,
    /// Its CPU time could not be read.
    #[error("its CPU time cannot be read: {0}")]
    Usage(io::Error),
}

/// What the connections to one contender are to do.
#[derive(Clone)]
pub struct Plan {
    /// The contender.
    pub remote_addr: SocketAddr,
    /// Its language.
    pub dialect: Rc<dyn Dialect>,
    /// How often each action is drawn.
    pub mix: Mix,
    /// Connections.
    pub connections: u32,
    /// Sessions that each of them makes first.
    pub sessions: u32,
    /// The one session that there is, where nothing can be made: it is only read.
    pub fixed: Option<IdText>,
    /// Determines all draws.
    pub seed: u64,
}

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
            connections.iter_mut().for_each(|connection| connection.stream = None);
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
}

/// Runs all connections through a part and gives them back; the first failure is that of all.
async fn run_all(
    connections: Vec<Connection>,
    part: Rc<Part>,
    longest: Duration,
) -> Result<Vec<Connection>, LoadError> {
    let count = connections.len();
    let tasks: Vec<_> =
        connections.into_iter().map(|connection| monoio::spawn(connection.run(Rc::clone(&part)))).collect();
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

/// One connection and the sessions that it made.
struct Connection {
    plan: Plan,
    rng: Rng,
    sessions: Vec<IdText>,
    stream: Option<TcpStream>,
    /// The request on its way.
    output: Vec<u8>,
    /// What has come of its answer.
    input: Vec<u8>,
}

impl Connection {
    fn new(plan: &Plan, index: u32) -> Self {
        Self {
            plan: plan.clone(),
            rng: Rng::stream(plan.seed, u64::from(index)),
            sessions: plan.fixed.into_iter().collect(),
            stream: None,
            output: Vec::with_capacity(READ_ROOM),
            input: Vec::with_capacity(READ_ROOM),
        }
    }

    async fn run(mut self, part: Rc<Part>) -> Result<Self, LoadError> {
        if self.stream.is_none() {
            let stream = TcpStream::connect_addr(self.plan.remote_addr).await.map_err(LoadError::Connect)?;
            stream.set_nodelay(true).map_err(LoadError::Connect)?;
            self.stream = Some(stream);
        }
        let mut now = part.clock.now();
        while self.goes_on(&part, now) {
            let action = if part.until.is_none() { Action::Create } else { self.draw() };
            self.exchange(action).await?;
            let received = part.clock.now();
            part.latencies.borrow_mut().record(received.since(now));
            now = received;
        }
        Ok(self)
    }

    fn goes_on(&self, part: &Part, now: Moment) -> bool {
        let is_over = match part.until {
            Some(until) => now >= until,
            None => self.plan.fixed.is_some() || self.sessions.len() >= self.plan.sessions as usize,
        };
        !is_over && !part.stopped.load(Ordering::Relaxed)
    }

    fn draw(&mut self) -> Action {
        if self.plan.fixed.is_some() {
            return Action::Read;
        }
        let drawn = drawn(self.plan.mix, &mut self.rng);
        if self.sessions.is_empty() { Action::Create } else { drawn }
    }

    /// Sends one request and reads its whole answer.
    async fn exchange(&mut self, action: Action) -> Result<(), LoadError> {
        let at = if action == Action::Create { 0 } else { self.rng.below(self.sessions.len()) };
        let id = if action == Action::Create { drawn_id(&mut self.rng) } else { self.sessions[at] };
        self.output.clear();
        self.plan.dialect.write(action, &id, &mut self.output);
        debug_assert!(!self.output.is_empty(), "every action is a request");
        let stream = self.stream.as_mut().ok_or(LoadError::Lost)?;
        let (written, output) = stream.write_all(std::mem::take(&mut self.output)).await;
        self.output = output;
        written.map_err(|_| LoadError::Lost)?;
        self.input.clear();
        let reply = loop {
            read_more(stream, &mut self.input).await?;
            let read = self.plan.dialect.read(action, &self.input);
            if let Some(reply) = read.map_err(|wrong| LoadError::Wrong { action, wrong })? {
                break reply;
            }
        };
        if reply.len != self.input.len() {
            return Err(LoadError::Wrong { action, wrong: Unexpected("more bytes than one answer") });
        }
        match action {
            Action::Create => self.sessions.push(reply.id.unwrap_or(id)),
            Action::Delete => drop(self.sessions.swap_remove(at)),
            Action::Read | Action::Update => {}
        }
        Ok(())
    }
}

/// Reads at least one byte behind what is there.
async fn read_more(stream: &mut TcpStream, input: &mut Vec<u8>) -> Result<(), LoadError> {
    let filled = input.len();
    // As much again as has come: large data does not take many reads.
    input.reserve(filled.max(READ_ROOM));
    let (count, slice) = stream.read(std::mem::take(input).slice_mut(filled..)).await;
    *input = slice.into_inner();
    match count {
        Ok(1..) => Ok(()),
        Ok(0) | Err(_) => Err(LoadError::Lost),
    }
}

fn drawn(mix: Mix, rng: &mut Rng) -> Action {
    let parts = [
        (Action::Create, mix.create),
        (Action::Read, mix.read),
        (Action::Update, mix.update),
        (Action::Delete, mix.delete),
    ];
    let sum: usize = parts.iter().map(|&(_, part)| part as usize).sum();
    // A mix may have parts that only Seshun knows: what is left of it then is reading.
    let mut left = rng.below(sum.max(1));
    for (action, part) in parts {
        if left < part as usize {
            return action;
        }
        left -= part as usize;
    }
    debug_assert_eq!(sum, 0, "what is drawn is below the sum of the parts");
    Action::Read
}

/// A UUID of version 4, for where the client chooses the id.
pub fn drawn_id(rng: &mut Rng) -> IdText {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut bits = (u128::from(rng.bits()) << 64) | u128::from(rng.bits());
    let mut text = [b'-'; ID_LEN];
    for (at, place) in text.iter_mut().enumerate() {
        let digit = (bits & 15) as usize;
        match at {
            8 | 13 | 18 | 23 => continue,
            14 => *place = b'4',
            19 => *place = DIGITS[8 + digit % 4],
            _ => *place = DIGITS[digit],
        }
        bits >>= 4;
    }
    IdText::parse(&text).expect("it has the form of a UUID of version 4")
}

#[cfg(test)]
mod tests;
