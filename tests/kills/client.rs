//! One client app over all lives of the server: what it does, and what it holds against it.
//!
//! It has a bucket of its own and is the only one there, so it knows what each session must
//! be. In each life it first judges what the last one has left, then does at random whatever
//! a client may do, over two connections, until they are cut.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::bucket::Bucket;
use crate::clock::now_millis;
use crate::content::Content;
use crate::mix::Mix;
use crate::session::{Op, Session, Told, Until};
use crate::shared::{SharedPlace, SharedViews};
use crate::support::{Random, build_request};
use crate::tally::Tally;
use crate::wire::{Answer, Stop, Wire};

/// Sessions that one client keeps at once.
const SESSIONS_MAX: usize = 40;
/// Those of them that are left alone.
const LEFT_ALONE_MAX: usize = 8;
/// What is judged in one go.
const JUDGED_AT_ONCE: usize = 8;
/// Sessions that are gone and looked for in each life: the newest, and some of all.
const GONE_JUDGED: usize = 24;
/// For so long each session that has expired is looked for in each life, in milliseconds: the
/// log may have it for some seconds after its end.
const EXPIRED_MILLIS: i64 = 6_000;
/// Gone ones that are remembered; the oldest are forgotten.
const GONE_MAX: usize = 4_000;

/// The server as a client finds it in this life.
#[derive(Clone, Copy)]
pub struct Ground<'l> {
    pub addr: SocketAddr,
    /// Set before the server is asked to end.
    pub is_ending: &'l AtomicBool,
    pub place: &'l SharedPlace,
}

/// A client app.
pub struct ClientApp {
    random: Random,
    mix: Mix,
    pub bucket: Bucket,
    sessions: Vec<Session>,
    gone: Vec<String>,
    /// Those of them that have expired lately, and when that was seen.
    expired: VecDeque<(String, i64)>,
    pub shared: SharedViews,
    /// Ids that were made in this life.
    pub new_ids: Vec<String>,
    pub tally: Tally,
    /// An answer has said that the connection closes: nobody knows what came of the request.
    has_doubt: bool,
}

impl ClientApp {
    pub fn new(seed: u64, number: usize, shared: SharedViews) -> Self {
        Self {
            random: Random::seeded(seed),
            mix: Mix::new(number),
            bucket: Bucket::new(format!("client-{number}")),
            sessions: Vec::new(),
            gone: Vec::new(),
            expired: VecDeque::new(),
            shared,
            new_ids: Vec::new(),
            tally: Tally::default(),
            has_doubt: false,
        }
    }

    /// Judges, then works until the connections are cut. What is wrong with the server, if
    /// anything is.
    pub fn live(&mut self, ground: Ground<'_>) -> Result<(), String> {
        self.has_doubt = false;
        match self.judge_and_work(ground) {
            Stop::Fault(fault) => Err(fault),
            Stop::Cut if self.has_doubt || ground.is_ending.load(Ordering::SeqCst) => Ok(()),
            Stop::Cut => Err("a connection was cut although nothing had ended the server".to_owned()),
        }
    }

    /// The server has ended.
    pub fn ended(&mut self, now_millis: i64, is_orderly: bool) {
        self.tally.in_doubt += (self.bucket.in_doubt() + self.shared.in_doubt()) as u64;
        for session in &mut self.sessions {
            self.tally.in_doubt += session.ended(now_millis, is_orderly) as u64;
        }
    }

    /// The server is there again.
    pub fn restarted(&mut self, ready_millis: i64) {
        self.sessions.iter_mut().for_each(|session| session.restarted(ready_millis));
    }

    fn judge_and_work(&mut self, ground: Ground<'_>) -> Stop {
        let mut wires = match (Wire::connect(ground.addr), Wire::connect(ground.addr)) {
            (Ok(one), Ok(other)) => [one, other],
            _ => return Stop::Cut,
        };
        let judged = self.judge(&mut wires);
        let mut work = || -> Result<Infallible, Stop> {
            loop {
                self.step(&mut wires, ground.place)?;
            }
        };
        let Err(stop) = judged.and_then(|()| work());
        self.has_doubt = wires.iter().any(Wire::is_closing);
        stop
    }

    /// Everything that was known in the last life must hold in this one.
    fn judge(&mut self, wires: &mut [Wire; 2]) -> Result<(), Stop> {
        self.bucket.judge(&mut wires[0], &mut self.random)?;
        // First those that are gone: what a crash brought back would not stay for long.
        let since_millis = now_millis() - EXPIRED_MILLIS;
        self.expired.retain(|(_, seen_millis)| *seen_millis >= since_millis);
        for (id, _) in self.expired.clone() {
            self.check_gone(&mut wires[0], &id)?;
        }
        for step in 0..self.gone.len().min(GONE_JUDGED) {
            let newest = self.gone.len() - 1 - step;
            let at = if step % 2 == 1 { self.random.below(self.gone.len()) } else { newest };
            self.check_gone(&mut wires[0], &self.gone[at].clone())?;
        }
        let waiting: Vec<usize> =
            (0..self.sessions.len()).filter(|at| self.sessions[*at].look_at_millis.is_none()).collect();
        for batch in waiting.chunks(JUDGED_AT_ONCE) {
            let ops = batch.iter().map(|at| {
                let is_long = self.sessions[*at].surely().is_some_and(|live| live.content.len() > 100_000);
                let op = if is_long && self.random.chance(50) { Op::Head } else { Op::Peek };
                (*at, op)
            });
            let (ops, wire) = (ops.collect(), self.random.below(2));
            self.run(&mut wires[wire], ops)?;
        }
        self.tally.judged += waiting.iter().filter(|at| !self.sessions[**at].is_gone()).count() as u64;
        self.bury();
        Ok(())
    }

    fn check_gone(&mut self, wire: &mut Wire, id: &str) -> Result<(), Stop> {
        let path = self.bucket.path(id);
        let method = *self.random.pick(&["GET", "HEAD", "POST", "DELETE"]);
        let answer = wire.request(method, &path, &[("X-SESSION-KEY", self.bucket.key())], b"")?;
        if answer.response.status != 404 && !matches!(answer.response.status, 503 | 507) {
            return Err(Stop::Fault(format!("{path} was gone and is back: {}", answer.response)));
        }
        self.tally.judged_gone += 1;
        Ok(())
    }

    /// One thing that a client may do.
    fn step(&mut self, wires: &mut [Wire; 2], place: &SharedPlace) -> Result<(), Stop> {
        let [one, other] = wires;
        let (wire, other) = if self.random.chance(50) { (one, other) } else { (other, one) };
        self.look_at_those_left_alone(wire)?;
        let few = SESSIONS_MAX.saturating_sub(self.sessions.len());
        if self.random.below(2 * SESSIONS_MAX) < few {
            return self.create(wire);
        }
        match self.random.below(100) {
            0..10 => {
                if self.shared.add(wire, place, &mut self.random)? {
                    self.tally.shared += 1;
                    self.tally.acknowledged += 1;
                }
            }
            10..12 => {
                self.bucket.regenerate(wire, other)?;
                self.tally.regenerated += 1;
            }
            12 if !self.gone.is_empty() => {
                let at = self.random.below(self.gone.len());
                self.check_gone(wire, &self.gone[at].clone())?;
            }
            13..25 => self.race(wire, other)?,
            25..42 => {
                let count = 2 + self.random.below(10);
                let ops = self.mix.batch(&self.sessions, &mut self.random, count);
                self.run(wire, ops)?;
            }
            _ => {
                let ops = self.mix.batch(&self.sessions, &mut self.random, 1);
                self.run(wire, ops)?;
            }
        }
        self.bury();
        Ok(())
    }

    fn create(&mut self, wire: &mut Wire) -> Result<(), Stop> {
        let alone = self.sessions.iter().filter(|session| session.look_at_millis.is_some()).count();
        let new = self.mix.new_session(&mut self.random, alone < LEFT_ALONE_MAX);
        let seconds = new.own_ttl.map(|ttl| ttl.to_string());
        let mut fields = vec![("X-SESSION-KEY", self.bucket.key())];
        fields.extend(seconds.iter().map(|seconds| ("X-Session-TTL", seconds.as_str())));
        let body = new.content.bytes();
        if new.content != Content::NOTHING {
            fields.extend(new.content.content_type().map(|text| ("Content-Type", text)));
        }
        let request = build_request("PUT", &format!("/session/{}", self.bucket.name), &fields, &body);
        let sent_millis = now_millis();
        self.tally.in_doubt += 1;
        wire.send(&request)?;
        let response = wire.receive("PUT")?;
        self.tally.in_doubt -= 1;
        let answer = Answer { response, sent_millis, got_millis: now_millis() };
        match answer.response.status {
            201 => {}
            503 if answer.response.closes() => return Err(Stop::Cut),
            503 | 507 => {
                self.tally.refused += 1;
                return Ok(());
            }
            _ => return Err(Stop::Fault(format!("no session is made: {}", answer.response))),
        }
        let mut session = Session::created(new.content, new.own_ttl, &answer)?;
        if new.is_left_alone {
            // At once it is found to be due by whoever asks, later by the wheel.
            let late_millis = [1, 300, 1_500][self.random.below(3)];
            let untils = [Until::NearItsEnd, Until::JustOver(late_millis), Until::LongOver];
            session.leave_alone(*self.random.pick(&untils));
        }
        self.new_ids.push(session.id.clone());
        self.sessions.push(session);
        self.tally.acknowledged += 1;
        Ok(())
    }

    /// Looks at those sessions whose moment has come: some just before they may end, some just
    /// after they must have.
    fn look_at_those_left_alone(&mut self, wire: &mut Wire) -> Result<(), Stop> {
        let now = now_millis();
        let is_due = |session: &Session| session.look_at_millis.is_some_and(|at| at <= now);
        let due: Vec<usize> = (0..self.sessions.len()).filter(|at| is_due(&self.sessions[*at])).collect();
        for at in due {
            self.sessions[at].look_at_millis = None;
            self.run(wire, vec![(at, Op::Peek)])?;
            self.tally.left_alone += 1;
        }
        Ok(())
    }

    /// Changes a session over one connection and looks at it over another one before the answer
    /// has come: what that look has shown must stay.
    fn race(&mut self, wire: &mut Wire, other: &mut Wire) -> Result<(), Stop> {
        let Some((at, op)) = self.mix.change(&self.sessions, &mut self.random) else { return Ok(()) };
        let path = self.bucket.path(&self.sessions[at].id);
        let sent_millis = now_millis();
        self.sessions[at].asks(op.clone(), sent_millis);
        wire.send(&op.request(&path, self.bucket.key()))?;
        other.send(&Op::Peek.request(&path, self.bucket.key()))?;
        let response = other.receive("GET")?;
        self.sessions[at].peeked_beside(&Answer { response, sent_millis, got_millis: now_millis() })?;
        let response = wire.receive(op.method())?;
        match self.sessions[at].answered(&Answer { response, sent_millis, got_millis: now_millis() })? {
            Told::Done => self.tally.acknowledged += 1,
            Told::Refused => self.tally.refused += 1,
            Told::Doubtful => return Err(Stop::Cut),
        }
        Ok(())
    }

    /// Sends these requests in one go and judges their answers.
    fn run(&mut self, wire: &mut Wire, ops: Vec<(usize, Op)>) -> Result<(), Stop> {
        let mut bytes = Vec::new();
        let sent_millis = now_millis();
        for (at, op) in &ops {
            let session = &mut self.sessions[*at];
            bytes.extend(op.request(&self.bucket.path(&session.id), self.bucket.key()));
            session.asks(op.clone(), sent_millis);
        }
        wire.send(&bytes)?;
        for (at, _) in &ops {
            let response = wire.receive(self.sessions[*at].awaits())?;
            let answer = Answer { response, sent_millis, got_millis: now_millis() };
            match self.sessions[*at].answered(&answer)? {
                Told::Done => self.tally.acknowledged += 1,
                Told::Refused => self.tally.refused += 1,
                Told::Doubtful => return Err(Stop::Cut),
            }
        }
        Ok(())
    }

    /// Those that are gone are only looked for from now on.
    fn bury(&mut self) {
        let now = now_millis();
        for session in self.sessions.extract_if(.., |session| session.is_gone()) {
            if session.has_expired {
                self.expired.push_back((session.id.clone(), now));
            }
            self.gone.push(session.id);
        }
        let too_many = self.gone.len().saturating_sub(GONE_MAX);
        self.gone.drain(..too_many);
    }
}
