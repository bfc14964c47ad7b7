//! A connection to one contender and the sessions that it made: one request at a time.
//!
//! It knows what to ask for next and whether the answer was right, and nothing of when: that
//! is for the load. Its sessions outlive the socket, which is made anew when it is gone. An
//! exchange that failed leaves bytes behind that belong to nothing: the connection is over.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use monoio::buf::IoBufMut;
use monoio::io::{AsyncReadRent, AsyncWriteRentExt};
use monoio::net::TcpStream;

use crate::rng::Rng;
use crate::versus::dialect::{Action, Dialect, Unexpected};
use crate::wire::{ID_LEN, IdText};
use crate::workload::Mix;

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
    /// Requests of an open loop could not be timed, which is no fault of the contender's.
    #[error("the load's timer failed")]
    Timer,
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

/// One connection and the sessions that it made.
pub struct Connection {
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
    /// Connection number `index` of the plan's, not made yet.
    pub fn new(plan: &Plan, index: u32) -> Self {
        Self {
            plan: plan.clone(),
            rng: Rng::stream(plan.seed, u64::from(index)),
            sessions: plan.fixed.into_iter().collect(),
            stream: None,
            output: Vec::with_capacity(READ_ROOM),
            input: Vec::with_capacity(READ_ROOM),
        }
    }

    /// Makes it, unless it is there.
    pub async fn connect(&mut self) -> Result<(), LoadError> {
        if self.stream.is_none() {
            let stream = TcpStream::connect_addr(self.plan.remote_addr).await.map_err(LoadError::Connect)?;
            stream.set_nodelay(true).map_err(LoadError::Connect)?;
            self.stream = Some(stream);
        }
        Ok(())
    }

    /// Closes it; its sessions stay. Within the event loop that it was made in.
    pub fn close(&mut self) {
        self.stream = None;
    }

    /// Whether it has made as many sessions as it is to begin with.
    pub fn is_filled(&self) -> bool {
        self.plan.fixed.is_some() || self.sessions.len() >= self.plan.sessions as usize
    }

    /// What to do next.
    pub fn draw(&mut self) -> Action {
        if self.plan.fixed.is_some() {
            return Action::Read;
        }
        let drawn = drawn(self.plan.mix, &mut self.rng);
        let needs_session = !matches!(drawn, Action::Create | Action::Bot);
        if needs_session && self.sessions.is_empty() { Action::Create } else { drawn }
    }

    /// Sends one request and reads its whole answer.
    pub async fn exchange(&mut self, action: Action) -> Result<(), LoadError> {
        let makes = matches!(action, Action::Create | Action::Bot);
        let at = if makes { 0 } else { self.rng.below(self.sessions.len()) };
        let id = if makes { drawn_id(&mut self.rng) } else { self.sessions[at] };
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
            // A bot's session is left to its TTL: what may be gone is never asked for.
            Action::Read | Action::Update | Action::Bot => {}
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
        (Action::Bot, mix.bot),
    ];
    let sum: usize = parts.iter().map(|&(_, part)| part as usize).sum();
    let mut left = rng.below(sum);
    for (action, part) in parts {
        if left < part as usize {
            return action;
        }
        left -= part as usize;
    }
    unreachable!("what is drawn is below the sum of the parts, which is never 0")
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
mod tests {
    use super::*;

    #[test]
    fn draws_follow_the_mix_and_the_seed() {
        let mix: Mix = "read=3,delete=1".parse().unwrap();
        let draw = |seed| {
            let mut rng = Rng::new(seed);
            (0..4000).map(|_| drawn(mix, &mut rng)).collect::<Vec<_>>()
        };
        let reads = draw(1).iter().filter(|&&action| action == Action::Read).count();
        assert!((2800..3200).contains(&reads), "{reads} of 4000");
        assert!(draw(1).iter().all(|action| matches!(action, Action::Read | Action::Delete)));
        assert_eq!(draw(2), draw(2));
    }

    #[test]
    fn bots_are_drawn_as_often_as_the_mix_has_them() {
        let (mix, mut rng): (Mix, _) = ("read=1,bot=1".parse().unwrap(), Rng::new(1));
        let bots = (0..4000).filter(|_| drawn(mix, &mut rng) == Action::Bot).count();
        assert!((1800..2200).contains(&bots), "{bots} of 4000");
    }

    #[test]
    fn drawn_ids_differ() {
        let mut rng = Rng::new(3);
        let (one, other) = (drawn_id(&mut rng), drawn_id(&mut rng));
        assert_ne!(one, other);
    }
}
