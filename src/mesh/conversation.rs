//! One connection's requests and answers, in order, whoever answers them.
//!
//! A driver reads into [`Conversation::input`], calls [`Conversation::advance`], and does
//! what it says: read, write, ask another core, close. Before it writes, all that
//! [`Conversation::waits`] names must have come: the output may tell of changes. Requests to this core's shard are
//! answered on the spot; consecutive requests to one other shard gather in a frame, which
//! leaves before anything else is answered, so answers keep the order of their requests.
//!
//! ```text
//!  bytes ─▶ http::Connection ─▶ judge ─▶ here: apply, render ──────────────▶ output ─▶ bytes
//!                                  └───▶ elsewhere: frame ─▶ owner ─▶ frame ───┘
//! ```
//! The part that judges and answers single requests is in `conversation/requests.rs`.

mod requests;

use super::frame::{Frame, Parcel};
use super::node::Node;
use super::transit::{FREE_BYTES_MAX, Transit};
use super::waits::Waits;
use crate::api::{Call, Caller, KeyCall, Problem, Reply};
use crate::http::{Connection, Limits, Persistence, Phase, Refused};
use crate::metrics::RequestKind;
use crate::types::ShardId;

/// What the driver has to do next.
#[derive(Debug)]
pub enum Next {
    /// Read more, then advance.
    Read,
    /// Write all of [`Conversation::output`], then advance.
    Write,
    /// Ask the core of this shard; hand in the answer, or say that there is none.
    Ask(ShardId, Parcel),
    /// Write what is left, then close.
    Close {
        /// Whether the client may still be sending: its answer must not be lost to a reset.
        linger: bool,
    },
}

/// What was asked of another core and is not answered.
#[derive(Debug)]
enum Away {
    Nothing,
    /// Sessions of the shard `owner`.
    Sessions {
        owner: ShardId,
        /// Whether the first answer that is awaited has no body, whatever it will be.
        omits_body: bool,
    },
    Key(KeyCall),
}

/// The state of one connection above its socket.
#[derive(Debug)]
pub struct Conversation {
    http: Connection,
    caller: Caller,
    /// Answers that were not written yet. Lent by the node, and given back whenever there is
    /// nothing to write: a connection that waits for its client holds none.
    output: Vec<u8>,
    /// Where the last whole answer ends: `0 <= whole <= output.len()`.
    whole: usize,
    /// What must have come before the output may leave.
    waits: Waits,
    /// The call whose body is on its way; none where the body belongs to a refused request.
    call: Option<Call>,
    /// Heads that come next and whose sessions were looked at; a guess, which harms nobody.
    foreseen: usize,
    /// The media type of that body.
    content_type: Vec<u8>,
    /// Requests to this shard that leave together.
    run: Option<(ShardId, Box<Frame>)>,
    away: Away,
    transit: Transit,
    /// A breach of the protocol that is answered once the run before it is.
    breach: Option<Refused>,
    /// Requests that have come to their end.
    requests: u64,
    /// Set once nothing more will be answered: whether to linger.
    closing: Option<bool>,
}

impl Conversation {
    /// The conversation with whoever connected from `caller`.
    pub fn new(node: &Node, limits: Limits, caller: Caller) -> Self {
        Self {
            http: Connection::new(limits),
            caller,
            output: Vec::new(),
            whole: 0,
            waits: Waits::default(),
            call: None,
            foreseen: 0,
            content_type: Vec::new(),
            run: None,
            away: Away::Nothing,
            transit: Transit::new(node.transit()),
            breach: None,
            requests: 0,
            closing: None,
        }
    }

    /// The HTTP side, to read into.
    pub fn input(&mut self) -> &mut Connection {
        &mut self.http
    }

    /// What there is to write. To be taken out, written whole, and given back.
    pub fn output(&mut self) -> &mut Vec<u8> {
        &mut self.output
    }

    /// What must have come before the output is written.
    pub fn waits(&mut self) -> &mut Waits {
        &mut self.waits
    }

    /// What the client is waited for.
    pub fn phase(&self) -> Phase {
        self.http.phase()
    }

    /// How many requests have come to their end: tells the wait for one from the wait for the
    /// next.
    pub fn requests(&self) -> u64 {
        self.requests
    }

    /// Goes on as far as it can without more bytes or another core's answer.
    pub fn advance(&mut self, node: &mut Node) -> Next {
        debug_assert!(matches!(self.away, Away::Nothing), "an answer is awaited");
        if self.output.capacity() == 0 {
            self.output = node.lend_buffer();
        }
        for _ in 0..node.limits().requests_per_turn_max {
            if !self.hold_output(node, self.whole) {
                return Next::Write;
            }
            self.whole = self.output.len();
            if let Some(next) = self.before_next(node) {
                return next;
            }
            if let Some(next) = self.take_request(node) {
                return next;
            }
        }
        if !self.hold_output(node, self.whole) || self.run.is_none() {
            return Next::Write;
        }
        self.send_run()
    }

    /// Another core has answered.
    pub fn take_answer(&mut self, node: &mut Node, parcel: Parcel) {
        match (std::mem::replace(&mut self.away, Away::Nothing), parcel) {
            (Away::Sessions { owner, .. }, Parcel::Sessions(frame)) => self.take_frame(node, owner, frame),
            (Away::Key(call), Parcel::Key(frame)) => {
                let renderer = node.renderer();
                let status = match &frame.outcome {
                    Some(outcome) => renderer.key_outcome(outcome, &call.reply, &mut self.output),
                    None => renderer.problem(Problem::Internal, &call.reply, &mut self.output),
                };
                node.count(RequestKind::Key, status);
                self.end_answer(&call.reply);
            }
            (_, parcel) => debug_assert!(false, "nobody asked for {parcel:?}"),
        }
    }

    /// The core that was to be asked has no room for more. Nothing was done.
    pub fn take_refusal(&mut self, node: &mut Node, parcel: Parcel) {
        match (std::mem::replace(&mut self.away, Away::Nothing), parcel) {
            (Away::Sessions { owner, .. }, Parcel::Sessions(mut frame)) => {
                for _ in 0..frame.refuse_rest(Problem::Busy, &node.renderer()) {
                    node.count(RequestKind::Other, Problem::Busy.status());
                }
                self.take_frame(node, owner, frame);
            }
            (Away::Key(call), Parcel::Key(_)) => {
                self.refuse(node, Problem::Busy, &call.reply);
                self.end_answer(&call.reply);
            }
            (_, parcel) => debug_assert!(false, "nobody asked for {parcel:?}"),
        }
    }

    /// No answer came in time. What is owed from before goes out, then this, then the end.
    pub fn give_up(&mut self, node: &mut Node) {
        let away = std::mem::replace(&mut self.away, Away::Nothing);
        let omit_body = matches!(away, Away::Sessions { omits_body: true, .. });
        self.refuse(node, Problem::Unanswered, &Reply { omit_body, ..Reply::closing() });
        self.close(true);
    }

    /// The client takes too long with its request: it is told, and that was it.
    pub fn time_out(&mut self, node: &mut Node) {
        let refused = match self.http.phase() {
            Phase::Head => Some(Refused::HeadTimeout),
            // A body whose request was refused is not waited for: it has its answer.
            Phase::Body => self.call.as_ref().map(|_| Refused::BodyTimeout),
            Phase::Idle | Phase::Answering | Phase::Done => None,
        };
        if let Some(refused) = refused.filter(|_| self.closing.is_none()) {
            self.refuse(node, Problem::Protocol(refused), &self.farewell());
        }
        self.close(true);
    }

    /// Something in here has panicked. Whole answers stay, the half one becomes an error.
    pub fn take_panic(&mut self, node: &mut Node) {
        node.metrics().panic_caught();
        self.output.truncate(self.whole);
        self.run = None;
        self.refuse(node, Problem::Internal, &Reply::closing());
        self.close(true);
    }

    /// The connection is one too many: it is told so, and that was it.
    pub fn turn_away(&mut self, node: &mut Node) {
        self.refuse(node, Problem::TooManyConnections, &Reply::closing());
        self.close(true);
    }

    /// What has to be done before the next request may be looked at.
    fn before_next(&mut self, node: &Node) -> Option<Next> {
        let is_resumed = self.run.as_ref().is_some_and(|(_, frame)| frame.is_resumed());
        if is_resumed || self.run_is_large(node) {
            return Some(if self.output.is_empty() { self.send_run() } else { Next::Write });
        }
        if let Some(linger) = self.closing.filter(|_| self.run.is_none()) {
            return Some(Next::Close { linger });
        }
        (self.output.len() >= node.limits().output_bytes_max).then_some(Next::Write)
    }

    /// Sends the run off; its answers come before anything else.
    fn send_run(&mut self) -> Next {
        match self.run.take() {
            Some((owner, frame)) => {
                self.away = Away::Sessions { owner, omits_body: frame.omits_body() };
                Next::Ask(owner, Parcel::Sessions(frame))
            }
            None => Next::Write,
        }
    }

    /// Takes the answers that a frame brings home.
    fn take_frame(&mut self, node: &mut Node, owner: ShardId, mut frame: Box<Frame>) {
        self.waits.add(owner, std::mem::take(&mut frame.wait));
        let owed_before = self.output.len();
        if self.output.is_empty() {
            std::mem::swap(&mut self.output, &mut frame.output);
        } else {
            self.output.append(&mut frame.output);
        }
        self.hold_output(node, owed_before);
        self.whole = self.output.len();
        if self.closing.is_none() && frame.has_more() {
            self.run = Some((owner, frame));
            return;
        }
        if frame.closes() {
            self.close(true);
        }
        node.take_frame_back(frame);
    }

    fn starve(&mut self, node: &mut Node) -> Next {
        if !self.output.is_empty() {
            return Next::Write;
        }
        if !self.transit.hold(self.http.body_bytes_buffered()) {
            self.refuse(node, Problem::TransitFull, &Reply::closing());
            self.close(true);
            return Next::Write;
        }
        node.take_buffer_back(std::mem::take(&mut self.output));
        Next::Read
    }

    /// Counts what waits to be written against the budget of what is on its way. Where there is no
    /// room, the answers behind `whole` give way if they are large, for a client that does not
    /// read must not hold them for nothing; small ones are written at once. False: write now.
    fn hold_output(&mut self, node: &Node, whole: usize) -> bool {
        debug_assert!(whole <= self.output.len() || self.output.is_empty());
        let fits = self.transit.hold(self.http.body_bytes_buffered() + self.output.len());
        if fits || self.output.is_empty() {
            return true;
        }
        if self.output.len().saturating_sub(whole) > FREE_BYTES_MAX {
            self.output.truncate(whole);
            self.output.shrink_to_fit();
            self.refuse(node, Problem::AnswersFull, &Reply::closing());
            self.close(true);
        }
        false
    }

    fn run_is_large(&self, node: &Node) -> bool {
        self.run.as_ref().is_some_and(|(_, frame)| frame.len() >= node.limits().requests_per_turn_max)
    }

    fn finish_request(&mut self) {
        self.http.finish_request();
        self.requests += 1;
    }

    fn refuse(&mut self, node: &Node, problem: Problem, reply: &Reply) {
        let status = node.renderer().problem(problem, reply, &mut self.output);
        node.count(RequestKind::Other, status);
        log::debug!("refused: {}", problem.code());
    }

    /// How the last answer is written, to a request that cannot be read to its end.
    fn farewell(&self) -> Reply {
        let omit_body = match &self.call {
            Some(call) => call.reply().omit_body,
            None => self.http.stands_at_head_method(),
        };
        Reply { omit_body, ..Reply::closing() }
    }

    fn end_answer(&mut self, reply: &Reply) {
        if reply.persistence == Persistence::Close {
            self.close(true);
        }
    }

    fn close(&mut self, linger: bool) {
        self.http.close();
        // A body that was given up goes now: the connection may linger.
        let _closed = self.http.poll();
        self.closing.get_or_insert(linger);
    }
}
