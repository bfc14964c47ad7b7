//! A connection of the load: it picks a step, sends it, waits for the answer, has it judged.
//!
//! One task a connection and one request at a time, with one write and, as a rule, one read
//! for each; its buffers are reused. A lost connection is counted and made again, within
//! bounds, and never ends the run. This file and `control` alone touch sockets.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use monoio::buf::IoBufMut;
use monoio::io::{AsyncReadRent, AsyncWriteRentExt};
use monoio::net::TcpStream;

use crate::clock::{Clock, Moment, Span};
use crate::ledger::{Attempt, Ledger, Place, Step};
use crate::stats::{Kind, Tally};
use crate::verdict::{Verdict, Wrong};
use crate::wire::{Answer, Head, RequestWriter};
use crate::workload::Workload;

/// How long a connection removes its sessions after the run, at most.
pub const SWEEP_MAX: Duration = Duration::from_secs(3);

/// How often in a row connecting may fail before a connection gives up.
const CONNECTS_MAX: u32 = 6;

/// The wait after the first failure to connect; it doubles with each further one.
const CONNECT_PAUSE: Duration = Duration::from_millis(10);

/// How many answers a connection may lose before it gives up.
const LOSSES_MAX: u32 = 100;

/// Free bytes that a read is given at least.
const READ_ROOM: usize = 4096;

/// What a core's connections share.
pub struct Shared {
    /// The run's clock.
    pub clock: Clock,
    /// The server.
    pub remote_addr: SocketAddr,
    /// The bucket's requests.
    pub writer: RequestWriter,
    /// No operation begins after this.
    pub stop_at: Moment,
    /// Set when the run is to end early.
    pub stopped: Arc<AtomicBool>,
    /// What all of them count. Never borrowed across an await.
    pub tally: RefCell<Tally>,
    /// What others may see of it while it runs.
    pub progress: Arc<Progress>,
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

/// One connection of the load.
pub struct Connection {
    shared: Rc<Shared>,
    index: u32,
    ledger: Ledger,
    workload: Workload,
    /// Operations that may still begin.
    operations_left: u64,
    losses: u32,
    given_up: bool,
    stream: Option<TcpStream>,
    /// The request on its way.
    output: Vec<u8>,
    /// What has come of its answer.
    input: Vec<u8>,
    waiting: Rc<Cell<Waiting>>,
}

impl Connection {
    /// A connection that is not made yet.
    pub fn new(shared: Rc<Shared>, index: u32, ledger: Ledger, workload: Workload) -> Self {
        let (output, input) = (Vec::with_capacity(READ_ROOM), Vec::with_capacity(READ_ROOM));
        let waiting = Rc::default();
        let operations_left = u64::MAX;
        Self {
            shared,
            index,
            ledger,
            workload,
            operations_left,
            losses: 0,
            given_up: false,
            stream: None,
            output,
            input,
            waiting,
        }
    }

    /// The same connection, for so many operations at most.
    pub fn with_operations_max(self, operations_max: u64) -> Self {
        Self { operations_left: operations_max, ..self }
    }

    /// Shows what it waits for, as long as it runs.
    pub fn waiting(&self) -> Rc<Cell<Waiting>> {
        Rc::clone(&self.waiting)
    }

    /// Loads until the run is over, then removes the sessions that it made.
    pub async fn run(mut self) {
        let mut now = self.shared.clock.now();
        while self.goes_on(now) {
            if !self.connected().await {
                break;
            }
            let step = self.workload.next(&self.ledger, now);
            self.operations_left -= 1;
            now = self.perform(step).await;
        }
        self.sweep().await;
        self.waiting.set(Waiting::Finished);
    }

    fn goes_on(&self, now: Moment) -> bool {
        now < self.shared.stop_at && self.operations_left > 0 && !self.shared.stopped.load(Ordering::Relaxed)
    }

    /// Sends one step, has its answer judged and counts both; gives the moment when that is done.
    async fn perform(&mut self, step: Step) -> Moment {
        let attempt = self.ledger.begin(step);
        let number = attempt.session_number();
        match self.exchange(&attempt).await {
            Ok((head, span)) => {
                let verdict = self.judge(attempt, &head, span);
                self.count(step, number, verdict);
                if !matches!(verdict, Verdict::Refused { .. }) {
                    let (sent_bytes, received_bytes) = (self.output.len(), self.input.len());
                    self.shared.tally.borrow_mut().answer(Kind::of(step), span, sent_bytes, received_bytes);
                }
                add(&self.shared.progress.answers);
                span.received
            }
            Err(wrong) => {
                self.lose();
                self.count(step, number, Verdict::Wrong(wrong));
                self.shared.clock.now()
            }
        }
    }

    /// Removes what is left, so that no run leaves its sessions to their TTLs. Bounded, not measured.
    async fn sweep(&mut self) {
        let until = self.shared.clock.now().after(SWEEP_MAX);
        while self.ledger.kept_count() > 0 && self.shared.clock.now() < until {
            if self.given_up || !self.connected().await {
                return;
            }
            let step = Step::Delete(Place::Kept(self.ledger.kept_count() - 1));
            let attempt = self.ledger.begin(step);
            let number = attempt.session_number();
            let verdict = match self.exchange(&attempt).await {
                Ok((head, span)) => self.judge(attempt, &head, span),
                Err(wrong) => {
                    self.lose();
                    Verdict::Wrong(wrong)
                }
            };
            match verdict {
                Verdict::Right | Verdict::Borderline => self.shared.tally.borrow_mut().swept += 1,
                other => self.count(step, number, other),
            }
        }
    }

    /// Sends the attempt's request and reads its whole answer into `input`.
    async fn exchange(&mut self, attempt: &Attempt) -> Result<(Head, Span), Wrong> {
        let request = self.ledger.request(attempt);
        self.output.clear();
        self.shared.writer.write(&request, &mut self.output);
        self.input.clear();
        let stream = self.stream.as_mut().ok_or(Wrong::Unanswered)?;
        self.waiting.set(Waiting::Answer);
        let sent = self.shared.clock.now();
        let (written, output) = stream.write_all(std::mem::take(&mut self.output)).await;
        self.output = output;
        // A server that refuses early may close while we write; its answer is read all the same.
        let answer = read_answer(stream, &mut self.input).await;
        let received = self.shared.clock.now();
        self.waiting.set(Waiting::Idle);
        match (written, answer) {
            (Err(_), Err(_)) => Err(Wrong::Unanswered),
            (_, Err(wrong)) => Err(wrong),
            (_, Ok(head)) => Ok((head, Span { sent, received })),
        }
    }

    fn judge(&mut self, attempt: Attempt, head: &Head, span: Span) -> Verdict {
        if head.closes {
            self.stream = None;
        }
        let answer = Answer::new(head, &self.input);
        self.ledger.settle(attempt, &answer, span, self.shared.writer.path())
    }

    fn count(&self, step: Step, session_number: u64, verdict: Verdict) {
        if matches!(verdict, Verdict::Wrong(_)) {
            add(&self.shared.progress.wrong);
        }
        let describe = || format!("connection {}, {step:?} of session {session_number}", self.index);
        self.shared.tally.borrow_mut().verdict(verdict, describe);
    }

    fn lose(&mut self) {
        self.stream = None;
        self.losses += 1;
    }

    /// Whether there is a connection, or one could be made.
    async fn connected(&mut self) -> bool {
        if self.stream.is_some() {
            return true;
        }
        if self.losses < LOSSES_MAX && self.connect().await {
            return true;
        }
        self.given_up = true;
        self.shared.tally.borrow_mut().error("connections_given_up");
        false
    }

    async fn connect(&mut self) -> bool {
        for failures in 0..CONNECTS_MAX {
            match TcpStream::connect_addr(self.shared.remote_addr).await {
                Ok(stream) => {
                    // A request is one write; without this the second of two segments would wait.
                    if stream.set_nodelay(true).is_err() {
                        self.shared.tally.borrow_mut().error("nodelay_failed");
                    }
                    self.stream = Some(stream);
                    return true;
                }
                Err(_) => {
                    self.shared.tally.borrow_mut().error("connect_failed");
                    monoio::time::sleep(CONNECT_PAUSE * (1 << failures)).await;
                }
            }
        }
        false
    }
}

/// Reads exactly one answer into `input`, which is empty before.
async fn read_answer(stream: &mut TcpStream, input: &mut Vec<u8>) -> Result<Head, Wrong> {
    debug_assert!(input.is_empty(), "nothing of an earlier answer is left");
    let mut head: Option<Head> = None;
    loop {
        // Room for the whole body at once, so that large data does not take many reads.
        let wanted = head.as_ref().map_or(0, Head::answer_len);
        input.reserve(wanted.saturating_sub(input.len()).max(READ_ROOM));
        if read_more(stream, input).await.map_or(true, |count| count == 0) {
            let got = input.len();
            return Err(if got == 0 { Wrong::Unanswered } else { Wrong::Truncated { got } });
        }
        if head.is_none() {
            head = Head::parse(input).map_err(|malformed| Wrong::Malformed(malformed.0))?;
        }
        match head.take_if(|head| input.len() >= head.answer_len()) {
            Some(head) if input.len() > head.answer_len() => {
                debug_assert!(head.head_len <= input.len(), "a head lies within what came");
                return Err(Wrong::Excess);
            }
            Some(head) => return Ok(head),
            None => {}
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

/// Adds one to a count that this thread alone writes.
fn add(count: &AtomicU64) {
    count.store(count.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
}
