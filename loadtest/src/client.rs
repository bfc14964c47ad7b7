//! A connection of the load: it picks steps, sends them, waits for the answers, has them judged.
//!
//! One task a connection, with one write and, as a rule, one read for each request, or for
//! as many as are pipelined; its buffers are reused. A lost connection is counted and made
//! again, within bounds, and never ends the run. Nothing is borrowed across an await.

use std::cell::Cell;
use std::collections::VecDeque;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use monoio::buf::IoBufMut;
use monoio::io::{AsyncReadRent, AsyncWriteRentExt};
use monoio::net::TcpStream;

use crate::clock::{Moment, Span};
use crate::core::{Core, add};
use crate::ledger::Attempt;
use crate::stats::Kind;
use crate::step::Step;
use crate::verdict::{Verdict, Wrong};
use crate::wire::{Answer, Head};

/// How long a connection removes sessions after the run, at most.
pub const SWEEP_MAX: Duration = Duration::from_secs(3);

/// How often in a row connecting may fail before a connection gives up.
const CONNECTS_MAX: u32 = 6;

/// The wait after the first failure to connect; it doubles with each further one.
const CONNECT_PAUSE: Duration = Duration::from_millis(10);

/// How many answers a connection may lose before it gives up.
const LOSSES_MAX: u32 = 100;

/// Free bytes that a read is given at least.
const READ_ROOM: usize = 4096;

/// What a connection waits for; seen from outside when its time is over.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Waiting {
    /// For a connection, or for nothing.
    #[default]
    Idle,
    /// For the rest of an answer.
    Answer,
    /// For nothing any more.
    Finished,
}

/// A request on its way.
struct Flight {
    attempt: Attempt,
    /// Bytes of the request.
    len: usize,
    /// When it was meant to leave, in an open loop.
    intended: Option<Moment>,
}

/// What is done with the right answers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// Sessions are made before measuring begins: judged, not measured.
    Fill,
    /// Judged and measured.
    Load,
    /// Sessions are removed after the run: judged, not measured.
    Sweep,
}

/// One connection of the load.
pub struct Connection {
    core: Rc<Core>,
    index: u32,
    /// Operations that may still begin.
    operations_left: u64,
    losses: u32,
    given_up: bool,
    /// Whether what it does is measured: not while the sessions are made or removed.
    loads: bool,
    stream: Option<TcpStream>,
    /// When the connection is closed and made anew; the end of time where that never happens.
    storm_at: Moment,
    /// In the order in which they left.
    flights: VecDeque<Flight>,
    /// The requests on their way.
    output: Vec<u8>,
    /// What has come and was not taken. `taken <= input.len()`
    input: Vec<u8>,
    taken: usize,
    waiting: Rc<Cell<Waiting>>,
}

impl Connection {
    /// A connection that is not made yet, for so many operations at most.
    pub fn new(core: Rc<Core>, index: u32, operations_max: u64) -> Self {
        Self {
            core,
            index,
            operations_left: operations_max,
            losses: 0,
            given_up: false,
            loads: false,
            stream: None,
            storm_at: Moment::after_start(Duration::MAX),
            flights: VecDeque::new(),
            output: Vec::with_capacity(READ_ROOM),
            input: Vec::with_capacity(READ_ROOM),
            taken: 0,
            waiting: Rc::default(),
        }
    }

    /// Shows what it waits for, as long as it runs.
    pub fn waiting(&self) -> Rc<Cell<Waiting>> {
        Rc::clone(&self.waiting)
    }

    /// Helps to make the population, loads until the run is over, then removes sessions.
    pub async fn run(mut self) {
        self.fill().await;
        self.core.begin_load();
        self.loads = true;
        self.storm_at = self.core.next_storm(self.core.clock.now());
        if self.core.plan.rate.is_some() {
            self.load_open().await
        } else {
            self.load_closed().await
        }
        self.loads = false;
        self.core.leave_load();
        self.sweep().await;
        self.waiting.set(Waiting::Finished);
    }

    async fn fill(&mut self) {
        while !self.core.is_stopped() && self.connected().await {
            let step = self.core.workload.borrow_mut().fill(&mut self.core.ledger.borrow_mut());
            let Some(step) = step else { return };
            self.add(step, self.core.clock.now(), None);
            self.exchange(Purpose::Fill).await;
        }
    }

    /// The next requests leave as soon as the last ones were answered.
    async fn load_closed(&mut self) {
        let mut now = self.core.clock.now();
        while self.goes_on(now) && self.ready(now).await {
            for _ in 0..self.core.plan.pipeline.min(self.operations_left) {
                self.add_next(now, None);
            }
            now = self.exchange(Purpose::Load).await;
        }
    }

    /// Requests leave when the gate says so, whatever became of the last ones.
    async fn load_open(&mut self) {
        let core = Rc::clone(&self.core);
        let mut now = core.clock.now();
        // Before a request is taken: one that then found no connection would be lost.
        while self.goes_on(now) && self.ready(now).await {
            let Some(intended) = core.gate().pass(core.clock, &core.tally).await else { return };
            self.add_next(core.clock.now(), Some(intended));
            now = self.exchange(Purpose::Load).await;
        }
    }

    fn goes_on(&self, now: Moment) -> bool {
        self.operations_left > 0 && self.core.goes_on(now)
    }

    fn add_next(&mut self, now: Moment, intended: Option<Moment>) {
        let step = self.core.workload.borrow_mut().next(&mut self.core.ledger.borrow_mut(), now);
        self.operations_left -= 1;
        self.add(step, now, intended);
    }

    fn add(&mut self, step: Step, now: Moment, intended: Option<Moment>) {
        let attempt = self.core.ledger.borrow_mut().begin(step, now);
        self.add_attempt(attempt, intended);
    }

    fn add_attempt(&mut self, attempt: Attempt, intended: Option<Moment>) {
        let before = self.output.len();
        self.core.writer.write(&self.core.ledger.borrow().request(&attempt), &mut self.output);
        self.flights.push_back(Flight { attempt, len: self.output.len() - before, intended });
    }

    /// Removes what is left, so that no run leaves its sessions to their TTLs. Bounded, not measured.
    async fn sweep(&mut self) {
        let until = self.core.clock.now().after(SWEEP_MAX);
        while self.core.clock.now() < until && !self.given_up && self.connected().await {
            let Some(attempt) = self.core.ledger.borrow_mut().begin_sweep() else { return };
            self.add_attempt(attempt, None);
            self.exchange(Purpose::Sweep).await;
        }
    }

    /// Sends what was added and has each answer judged; gives the moment when that is done.
    async fn exchange(&mut self, purpose: Purpose) -> Moment {
        debug_assert!(!self.flights.is_empty(), "something was added");
        let Some(stream) = self.stream.as_mut() else { return self.core.clock.now() };
        self.waiting.set(Waiting::Answer);
        let sent = self.core.clock.now();
        let (written, output) = stream.write_all(std::mem::take(&mut self.output)).await;
        self.output = output;
        self.output.clear();
        let mut now = sent;
        // A server that refuses early may close while we write; its answer is read all the same.
        while !self.flights.is_empty() {
            let answer = self.read_answer().await;
            now = self.core.clock.now();
            match answer {
                Ok(head) => self.take_answer(&head, Span { sent, received: now }, purpose),
                Err(_) if written.is_err() => self.lose(Wrong::Unanswered),
                Err(wrong) => self.lose(wrong),
            }
        }
        self.waiting.set(Waiting::Idle);
        now
    }

    /// Judges and counts the first flight's answer, which is in.
    fn take_answer(&mut self, head: &Head, span: Span, purpose: Purpose) {
        let Some(flight) = self.flights.pop_front() else { return };
        let (step, number) = (flight.attempt.step, flight.attempt.session_number());
        let bytes = &self.input[self.taken..self.taken + head.answer_len()];
        let answer = Answer::new(head, bytes);
        let verdict =
            self.core.ledger.borrow_mut().settle(flight.attempt, &answer, span, self.core.writer.path());
        self.taken += head.answer_len();
        self.count(step, number, verdict, purpose);
        if purpose == Purpose::Load {
            let mut tally = self.core.tally.borrow_mut();
            if matches!(verdict, Verdict::Refused { .. }) {
                tally.refuse(span, flight.intended);
            } else {
                tally.answer(Kind::of(step), span, flight.intended);
                tally.transfer(flight.len, head.answer_len());
            }
        }
        add(&self.core.progress.answers);
        if head.closes {
            self.stream = None;
            self.abandon_flights();
        }
        if self.flights.is_empty() {
            self.input.clear();
            self.taken = 0;
        }
    }

    fn count(&self, step: Step, number: u64, verdict: Verdict, purpose: Purpose) {
        let mut tally = self.core.tally.borrow_mut();
        match verdict {
            Verdict::Wrong(_) => add(&self.core.progress.wrong),
            Verdict::Right | Verdict::Borderline if purpose == Purpose::Sweep => tally.swept += 1,
            Verdict::Right | Verdict::Borderline if purpose == Purpose::Fill => {
                tally.filled += u64::from(matches!(step, Step::Create { .. }));
            }
            _ => {}
        }
        if purpose == Purpose::Load || !matches!(verdict, Verdict::Right | Verdict::Borderline) {
            tally.verdict(verdict, || format!("connection {}, {step:?} of session {number}", self.index));
        }
    }

    /// The first flight has no answer, for this reason, and those behind it will have none.
    fn lose(&mut self, wrong: Wrong) {
        self.stream = None;
        self.losses += 1;
        if let Some(Flight { attempt, .. }) = self.flights.pop_front() {
            self.count(attempt.step, attempt.session_number(), Verdict::Wrong(wrong), Purpose::Load);
            self.core.ledger.borrow_mut().lose(attempt);
        }
        self.abandon_flights();
        self.input.clear();
        self.taken = 0;
    }

    /// The connection ended before these were answered, which is nobody's fault.
    fn abandon_flights(&mut self) {
        for flight in self.flights.drain(..) {
            self.core.ledger.borrow_mut().lose(flight.attempt);
        }
    }

    /// Whether there is a connection for the load; in a storm it is made anew.
    async fn ready(&mut self, now: Moment) -> bool {
        if now >= self.storm_at {
            self.storm_at = self.core.next_storm(now);
            self.stream = None;
            self.core.tally.borrow_mut().reconnects += 1;
        }
        self.connected().await
    }

    /// Whether there is a connection, or one could be made.
    async fn connected(&mut self) -> bool {
        if self.stream.is_some() {
            return true;
        }
        if self.losses < LOSSES_MAX && self.connect().await {
            return true;
        }
        if !self.given_up {
            self.given_up = true;
            self.core.tally.borrow_mut().error("connections_given_up");
        }
        false
    }

    async fn connect(&mut self) -> bool {
        let began = self.core.clock.now();
        for failures in 0..CONNECTS_MAX {
            match TcpStream::connect_addr(self.core.plan.remote_addr).await {
                Ok(stream) => {
                    // A request is one write; without this the second of two segments would wait.
                    if stream.set_nodelay(true).is_err() {
                        self.core.tally.borrow_mut().error("nodelay_failed");
                    }
                    if self.loads {
                        self.core.tally.borrow_mut().connects.record(self.core.clock.now().since(began));
                    }
                    self.stream = Some(stream);
                    return true;
                }
                Err(_) => {
                    self.core.tally.borrow_mut().error("connect_failed");
                    monoio::time::sleep(CONNECT_PAUSE * (1 << failures)).await;
                }
            }
        }
        false
    }

    /// Waits until the first flight's answer is in `input` as a whole.
    async fn read_answer(&mut self) -> Result<Head, Wrong> {
        let stream = self.stream.as_mut().ok_or(Wrong::Unanswered)?;
        let mut head: Option<Head> = None;
        loop {
            let input = &self.input[self.taken..];
            if head.is_none() && !input.is_empty() {
                head = Head::parse(input).map_err(|malformed| Wrong::Malformed(malformed.0))?;
            }
            if let Some(head) = head.take_if(|head| input.len() >= head.answer_len()) {
                let is_last = self.flights.len() == 1;
                debug_assert!(head.head_len <= input.len(), "a head lies within what came");
                return if is_last && input.len() > head.answer_len() {
                    Err(Wrong::Excess)
                } else {
                    Ok(head)
                };
            }
            // Room for the whole answer at once, so that large data does not take many reads.
            let wanted = head.as_ref().map_or(0, Head::answer_len).saturating_sub(input.len());
            self.input.drain(..std::mem::take(&mut self.taken));
            self.input.reserve(wanted.max(READ_ROOM));
            if read_more(stream, &mut self.input).await.map_or(true, |count| count == 0) {
                let got = self.input.len();
                return Err(if got == 0 { Wrong::Unanswered } else { Wrong::Truncated { got } });
            }
        }
    }
}

async fn read_more(stream: &mut TcpStream, input: &mut Vec<u8>) -> io::Result<usize> {
    let filled = input.len();
    let (count, slice) = stream.read(std::mem::take(input).slice_mut(filled..)).await;
    *input = slice.into_inner();
    if count.is_err() {
        // A failed read leaves its length undefined.
        input.truncate(filled);
    }
    count
}
