//! One connection's requests and answers, in order, whoever answers them.
//!
//! A driver reads into [`Conversation::input`], calls [`Conversation::advance`], and does
//! what it says: read, write, ask another core, close. Requests to this core's shard are
//! answered on the spot; consecutive requests to one other shard gather in a frame, which
//! leaves before anything else is answered, so answers keep the order of their requests.
//!
//! ```text
//!  bytes ─▶ http::Connection ─▶ judge ─▶ here: apply, render ──────────────▶ output ─▶ bytes
//!                                  └───▶ elsewhere: frame ─▶ owner ─▶ frame ───┘
//! ```
//! A refusal keeps the connection where the rest of the request can be skipped cheaply.

use std::borrow::Cow;

use super::frame::{Frame, KeyFrame, Parcel, Ticket};
use super::node::Node;
use super::transit::Transit;
use crate::api::{Call, Caller, KeyCall, Problem, Reply, SessionCall};
use crate::http::{
    BodyLength, BodyPlan, Connection, ContinueDue, Event, INTERIM_CONTINUE, Limits, Persistence, Phase,
    Refused,
};
use crate::metrics::RequestKind;
use crate::shard::Data;
use crate::types::ShardId;

/// The body of a refused request is skipped up to this many bytes; past it the connection closes.
const SKIPPED_BODY_BYTES_MAX: u64 = 64 * 1024;

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
    /// The call whose body is on its way; none where the body belongs to a refused request.
    call: Option<Call>,
    /// The media type of that body.
    content_type: Vec<u8>,
    /// A breach of the protocol behind the run: answered once the run is.
    refused: Option<Refused>,
    /// Requests to this shard that leave together.
    run: Option<(ShardId, Box<Frame>)>,
    /// An empty frame with warm buffers.
    spare: Option<Box<Frame>>,
    away: Away,
    transit: Transit,
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
            call: None,
            content_type: Vec::new(),
            refused: None,
            run: None,
            spare: None,
            away: Away::Nothing,
            transit: Transit::new(node.transit()),
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
            self.whole = self.output.len();
            if let Some(next) = self.before_next(node) {
                return next;
            }
            if let Some(next) = self.take_request(node) {
                return next;
            }
        }
        if self.run.is_some() { self.send_run() } else { Next::Write }
    }

    /// Another core has answered.
    pub fn take_answer(&mut self, node: &mut Node, parcel: Parcel) {
        match (std::mem::replace(&mut self.away, Away::Nothing), parcel) {
            (Away::Sessions { owner, .. }, Parcel::Sessions(frame)) => self.take_frame(owner, frame),
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
                self.take_frame(owner, frame);
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
        let is_awaited = match self.http.phase() {
            Phase::Head => true,
            // The rest of a refused request is not: it has its answer.
            Phase::Body => self.call.is_some(),
            Phase::Idle | Phase::Answering | Phase::Done => false,
        };
        if self.closing.is_none() && is_awaited {
            self.refuse(node, Problem::RequestTimeout, &self.farewell());
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

    /// Judges and answers one request, or says what has to come before.
    fn take_request(&mut self, node: &mut Node) -> Option<Next> {
        loop {
            let event = self.refused.take().map_or_else(|| self.http.poll(), Event::Refused);
            match event {
                Event::Head => match self.take_head(node) {
                    Taken::Refused => return None,
                    Taken::Accepted => {}
                    Taken::NotYet => return Some(self.send_run()),
                },
                Event::Body => return self.take_body(node),
                event if self.run.is_some() => {
                    if let Event::Refused(refused) = event {
                        self.refused = Some(refused);
                    }
                    return Some(self.send_run());
                }
                Event::Starved => return Some(self.starve(node)),
                Event::Refused(refused) => {
                    let problem = Problem::of_refused(refused, node.settings().payload_bytes_max());
                    self.refuse(node, problem, &self.farewell());
                    self.close(true);
                    return None;
                }
                Event::Closed => {
                    self.close(false);
                    return None;
                }
            }
        }
    }

    /// Judges a head. What must answer at once has to wait for the run before it.
    fn take_head(&mut self, node: &mut Node) -> Taken {
        let head = self.http.head();
        let expects_continue = head.expects_continue();
        if expects_continue && self.run.is_some() {
            return Taken::NotYet;
        }
        match node.judge().judge(&head, self.caller, &mut self.content_type) {
            Ok(call) => {
                let bytes_max = node.settings().payload_bytes_max();
                let plan = match call.takes_data() {
                    true => BodyPlan::Collect { bytes_max },
                    false => BodyPlan::Discard { bytes_max },
                };
                if self.http.accept_body(plan) == ContinueDue::Due {
                    self.output.extend_from_slice(INTERIM_CONTINUE);
                }
                self.call = Some(call);
                Taken::Accepted
            }
            Err(_) if self.run.is_some() => Taken::NotYet,
            Err(problem) => {
                let skipped = skippable(head.body_length()).filter(|_| !expects_continue);
                let mut reply = node.judge().reply(&head);
                if skipped.is_none() {
                    reply.persistence = Persistence::Close;
                }
                self.refuse(node, problem, &reply);
                match skipped {
                    Some(bytes_max) => {
                        let _no_body_is_waited_for = self.http.accept_body(BodyPlan::Discard { bytes_max });
                        self.call = None;
                    }
                    None => self.http.close(),
                }
                if reply.persistence == Persistence::Close {
                    self.close(true);
                }
                Taken::Refused
            }
        }
    }

    /// Answers a request whose body is complete, or hands it on.
    fn take_body(&mut self, node: &mut Node) -> Option<Next> {
        match self.call.take() {
            None => {
                self.finish_request();
                None
            }
            Some(Call::Session(call)) => self.take_session_call(node, call),
            Some(call) if self.run.is_some() => {
                self.call = Some(call);
                Some(self.send_run())
            }
            Some(Call::Settings { grant, reply }) => {
                let (renderer, out) = (node.renderer(), &mut self.output);
                let status = match grant.is_none_or(|grant| node.is_current(grant)) {
                    true => renderer.settings(node.settings(), &reply, out),
                    false => renderer.problem(Problem::Unauthorized, &reply, out),
                };
                node.count(RequestKind::Settings, status);
                self.finish_request();
                self.end_answer(&reply);
                None
            }
            Some(Call::Key(call)) => {
                self.finish_request();
                let operation = call.operation(|| node.key_bytes());
                self.away = Away::Key(call);
                let frame = KeyFrame { sender: node.here(), ticket: Ticket::NONE, operation, outcome: None };
                Some(Next::Ask(ShardId::FIRST, Parcel::Key(Box::new(frame))))
            }
        }
    }

    fn take_session_call(&mut self, node: &mut Node, call: SessionCall) -> Option<Next> {
        let owner = node.owner(&call);
        if self.run.as_ref().is_some_and(|(other, _)| *other != owner) {
            self.call = Some(Call::Session(call));
            return Some(self.send_run());
        }
        let id = node.id_for(&call, owner);
        let reply = call.reply;
        let owned = self.http.take_body();
        let bytes = owned.map_or_else(|| Cow::Borrowed(self.http.body()), Cow::Owned);
        if owner == node.here() {
            let data = Data { bytes, content_type: &self.content_type };
            node.answer(&call, id, data, &mut self.output);
        } else {
            let run = self.run.take().map(|(_, frame)| frame);
            let spare = || self.spare.take().unwrap_or_else(|| Box::new(Frame::new(node.here())));
            let mut frame = run.unwrap_or_else(spare);
            frame.push(call, id, &self.content_type, bytes);
            self.run = Some((owner, frame));
        }
        self.finish_request();
        if self.run.is_none() {
            self.end_answer(&reply);
        } else if reply.persistence == Persistence::Close {
            self.http.close();
        }
        None
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
    fn take_frame(&mut self, owner: ShardId, mut frame: Box<Frame>) {
        if self.output.is_empty() {
            std::mem::swap(&mut self.output, &mut frame.output);
        } else {
            self.output.append(&mut frame.output);
        }
        self.whole = self.output.len();
        if frame.has_more() {
            self.run = Some((owner, frame));
            return;
        }
        let closes = frame.closes();
        frame.clear();
        self.spare = Some(frame);
        if closes {
            self.close(true);
        }
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

    fn run_is_large(&self, node: &Node) -> bool {
        self.run.as_ref().is_some_and(|(_, frame)| frame.len() >= node.limits().requests_per_turn_max)
    }

    fn finish_request(&mut self) {
        self.http.finish_request();
        self.requests += 1;
        self.transit.hold(0);
    }

    fn refuse(&mut self, node: &Node, problem: Problem, reply: &Reply) {
        let status = node.renderer().problem(problem, reply, &mut self.output);
        node.count(RequestKind::Other, status);
    }

    /// The last answer, to a request that cannot be read to its end.
    fn farewell(&self) -> Reply {
        let omit_body = self.call.as_ref().is_some_and(|call| call.reply().omit_body);
        Reply { omit_body, ..Reply::closing() }
    }

    fn end_answer(&mut self, reply: &Reply) {
        if reply.persistence == Persistence::Close {
            self.close(true);
        }
    }

    fn close(&mut self, linger: bool) {
        self.http.close();
        self.closing.get_or_insert(linger);
    }
}

/// What became of a head.
enum Taken {
    /// Its body may come.
    Accepted,
    /// It was answered with a problem.
    Refused,
    /// The run before it must be answered first.
    NotYet,
}

/// How much of a refused request's body is skipped so that the connection can stay.
fn skippable(body: BodyLength) -> Option<usize> {
    match body {
        BodyLength::None => Some(0),
        BodyLength::Known(bytes) if bytes <= SKIPPED_BODY_BYTES_MAX => Some(bytes as usize),
        BodyLength::Known(_) | BodyLength::Chunked => None,
    }
}
