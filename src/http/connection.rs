//! One connection, as a machine without a socket.
//!
//! The driver's order: [`Connection::take_input`], read, [`Connection::restore_input`], then
//! [`Connection::poll`] until it is starved.
//!
//! ```text
//!  Head ──▶ head() … accept_body(plan) ──▶ poll … Body ──▶ body() … finish_request() ──▶ poll …
//!    └────▶ close()                          └──▶ Refused: answer, then poll says Closed
//! ```
//! A request that has no body may be finished right at its head. Requests that are already in
//! the input are served in order. No call panics whatever a client sends.

mod ahead;

use super::body::{BodyPlan, BodyReader};
use super::head::ParsedHead;
use super::input::{Input, ReadFor};
use super::scan::HeadScanner;
use super::{BodyLength, FIELDS_CEILING, Limits, Refused, RequestHead};

/// What a driver sends where [`ContinueDue::Due`] says so.
pub const INTERIM_CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// What [`Connection::poll`] found. Asked again without an answer, it says the same again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    /// More bytes, please.
    Starved,
    /// A request's head is there and wants to be judged.
    Head,
    /// The request is whole and wants its answer.
    Body,
    /// The request breaks the protocol: answer this, then close.
    Refused(Refused),
    /// No further request will come.
    Closed,
}

/// What a driver is waiting for, which tells it the timeout that runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// Between requests: no byte of the next one is there.
    Idle,
    /// A head has begun to arrive.
    Head,
    /// A body has been accepted and is on its way.
    Body,
    /// A request waits for our judgement or our answer.
    Answering,
    /// No further request will be taken.
    Done,
}

/// Whether [`INTERIM_CONTINUE`] is to be sent now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use = "a client that expects 100 Continue waits for it"]
pub enum ContinueDue {
    /// The client waits for it.
    Due,
    /// The client has not asked for it, or has begun the body anyway (RFC 9110, section 10.1.1).
    NotDue,
}

/// Where the connection is between two calls.
#[derive(Debug)]
enum State {
    /// A head is looked for at the front of the input.
    Head,
    /// A head of so many bytes is at the front of the input and was not judged yet.
    Judging { head_len: usize },
    /// Head and body share the front of the input; the body lacks bytes as long as the input
    /// is shorter than both.
    InPlace { head_len: usize, body_len: usize },
    /// The head is gone from the input and the body is on its way through.
    Streaming(BodyReader),
    /// The body is complete outside of the input.
    Streamed(BodyReader),
    /// A refusal that the driver has not heard of.
    Refusing(Refused),
    /// No further request will be taken.
    Done,
}

/// The HTTP side of one connection.
#[derive(Debug)]
pub struct Connection {
    limits: Limits,
    input: Input,
    state: State,
    scanner: HeadScanner,
    /// The head of the current request, valid from `Judging` on.
    parsed: ParsedHead,
    /// Whether the one empty line that may stand before a request was skipped.
    has_skipped_line: bool,
    /// The client will send nothing more.
    has_input_ended: bool,
    /// Nothing more will be read, whatever is in the input.
    is_closing: bool,
}

impl Connection {
    /// A connection on which nothing has arrived.
    pub fn new(limits: Limits) -> Self {
        debug_assert!(limits.fields_max <= FIELDS_CEILING, "the parser has room for {FIELDS_CEILING} fields");
        Self {
            limits: Limits { fields_max: limits.fields_max.min(FIELDS_CEILING), ..limits },
            input: Input::new(),
            state: State::Head,
            scanner: HeadScanner::new(),
            parsed: ParsedHead::new(),
            has_skipped_line: false,
            has_input_ended: false,
            is_closing: false,
        }
    }

    /// The input buffer, to be read into behind what it holds and to be given back to
    /// [`Connection::restore_input`] before anything else is called.
    pub fn take_input(&mut self) -> Vec<u8> {
        let read_for = match self.state {
            State::InPlace { head_len, body_len } => {
                match (head_len + body_len).saturating_sub(self.input.unread().len()) {
                    0 => ReadFor::Head, // reading ahead: a read without room would look like the end
                    missing => ReadFor::BodyInPlace(missing),
                }
            }
            State::Streaming(_) => ReadFor::BodyStream,
            _ => ReadFor::Head,
        };
        self.input.take(read_for)
    }

    /// Gives the input buffer back, with what was read behind what it held.
    pub fn restore_input(&mut self, input: Vec<u8>) {
        self.input.restore(input);
    }

    /// Appends bytes to the input, for those who have them already.
    pub fn receive(&mut self, bytes: &[u8]) {
        self.input.append(bytes);
    }

    /// The client has closed its write side. What is whole is still served, what is not never
    /// will be; a driver that ended it because of a timeout has asked [`Connection::phase`]
    /// before, to know whether a 408 is due.
    pub fn end_input(&mut self) {
        self.has_input_ended = true;
    }

    /// Goes on as far as the input allows.
    pub fn poll(&mut self) -> Event {
        if let State::Refusing(refused) = self.state {
            return self.refuse(refused);
        }
        if self.is_closing {
            // A collected body goes now: the connection may linger until the client has read.
            self.state = State::Done;
        }
        match self.state {
            State::Head => self.poll_head(),
            State::Judging { .. } => Event::Head,
            State::InPlace { head_len, body_len } => {
                let is_whole = self.input.unread().len() >= head_len + body_len;
                if is_whole { Event::Body } else { self.starved() }
            }
            State::Streaming(_) => self.poll_stream(),
            State::Streamed(_) => Event::Body,
            State::Refusing(_) | State::Done => Event::Closed,
        }
    }

    /// The current request's head: from [`Event::Head`] until its body is accepted, and on
    /// until the request is finished where the body has no bytes.
    pub fn head(&self) -> RequestHead<'_> {
        let head_len = match self.state {
            State::Judging { head_len } | State::InPlace { head_len, .. } => head_len,
            _ => 0,
        };
        debug_assert!(head_len > 0, "a head is there from Event::Head until its body is accepted");
        RequestHead::new(&self.input.unread()[..head_len], &self.parsed)
    }

    /// Lets the body come. Tells whether the client has to be asked for it.
    ///
    /// A known length above the plan's is refused by the next poll; for a body to be collected
    /// the caller ought to have refused it at the head.
    pub fn accept_body(&mut self, plan: BodyPlan) -> ContinueDue {
        let State::Judging { head_len } = self.state else {
            debug_assert!(false, "a body is accepted once, after Event::Head");
            return ContinueDue::NotDue;
        };
        let framing = self.parsed.framing();
        let has_begun = self.input.unread().len() > head_len;
        self.state = match framing.body_length {
            BodyLength::None | BodyLength::Known(0) => State::InPlace { head_len, body_len: 0 },
            BodyLength::Known(bytes) if bytes > plan.bytes_max() as u64 => {
                debug_assert!(
                    matches!(plan, BodyPlan::Discard { .. }),
                    "a known length is judged at the head"
                );
                self.state = State::Refusing(Refused::BodyTooLarge);
                return ContinueDue::NotDue;
            }
            BodyLength::Known(bytes) if self.input.can_hold(bytes.saturating_add(head_len as u64)) => {
                State::InPlace { head_len, body_len: bytes as usize }
            }
            length => {
                // The head makes room, so that the whole buffer is there to read the body into.
                self.input.consume(head_len);
                self.parsed.forget_positions();
                State::Streaming(BodyReader::new(length, plan, &self.limits))
            }
        };
        let awaits = framing.expects_continue && !self.has_no_body() && !has_begun;
        if awaits { ContinueDue::Due } else { ContinueDue::NotDue }
    }

    /// The body, decoded, from [`Event::Body`] until the request is finished. Empty where it
    /// was discarded or given away.
    pub fn body(&self) -> &[u8] {
        match &self.state {
            State::InPlace { head_len, body_len } => {
                self.input.unread().get(*head_len..head_len + body_len).unwrap_or_default()
            }
            State::Streamed(reader) => reader.collected(),
            _ => &[],
        }
    }

    /// Gives the body away where it has a buffer of its own.
    pub fn take_body(&mut self) -> Option<Vec<u8>> {
        match &mut self.state {
            State::Streamed(reader) => reader.take_collected(),
            _ => None,
        }
    }

    /// The memory that the current body takes up so far, in bytes.
    pub fn body_bytes_buffered(&self) -> usize {
        match &self.state {
            State::InPlace { head_len, body_len } => {
                self.input.unread().len().saturating_sub(*head_len).min(*body_len)
            }
            State::Streaming(reader) | State::Streamed(reader) => reader.bytes_held(),
            _ => 0,
        }
    }

    /// The current request has its answer: the next one, please. A request whose body was not
    /// read to its end cannot be followed by another.
    pub fn finish_request(&mut self) {
        let used_len = match &self.state {
            State::Judging { head_len } if self.has_no_body() => Some(*head_len),
            State::InPlace { head_len, body_len } if self.input.unread().len() >= head_len + body_len => {
                Some(head_len + body_len)
            }
            State::Streamed(_) => Some(0),
            _ => None,
        };
        let keeps_alive = self.keeps_alive();
        match used_len {
            Some(used_len) if keeps_alive => {
                self.input.consume(used_len);
                self.scanner = HeadScanner::new();
                self.has_skipped_line = false;
                self.state = State::Head;
            }
            // What is left of the body cannot be told from the next request.
            _ => self.close(),
        }
    }

    /// Whether another request may follow the current one.
    pub fn keeps_alive(&self) -> bool {
        match self.state {
            State::Refusing(_) | State::Done => false,
            State::Head => !self.is_closing,
            _ => !self.is_closing && self.parsed.framing().keep_alive,
        }
    }

    /// No further request will be taken, and the next poll says so: a body that is still to be
    /// read is given up. A driver that wants it answers first and closes then.
    pub fn close(&mut self) {
        self.is_closing = true;
    }

    /// What the driver is waiting for.
    pub fn phase(&self) -> Phase {
        match &self.state {
            _ if self.is_closing => Phase::Done,
            State::Head if self.input.is_empty() && self.scanner.is_at_start() => Phase::Idle,
            State::Head => Phase::Head,
            State::InPlace { head_len, body_len } if self.input.unread().len() < head_len + body_len => {
                Phase::Body
            }
            State::Streaming(_) => Phase::Body,
            State::Judging { .. } | State::InPlace { .. } | State::Streamed(_) => Phase::Answering,
            State::Refusing(_) => Phase::Answering,
            State::Done => Phase::Done,
        }
    }

    /// Whether the input stands at a request that begins as a HEAD, however it goes on: an
    /// answer to it has no body, even where it is refused (RFC 9110, section 9.3.2).
    pub fn stands_at_head_method(&self) -> bool {
        self.input.unread().starts_with(b"HEAD ")
    }

    fn has_no_body(&self) -> bool {
        matches!(self.parsed.framing().body_length, BodyLength::None | BodyLength::Known(0))
    }

    fn poll_head(&mut self) -> Event {
        match self.find_head() {
            Ok(Some(head_len)) => {
                self.state = State::Judging { head_len };
                Event::Head
            }
            Ok(None) => self.starved(),
            Err(refused) => self.refuse(refused),
        }
    }

    fn find_head(&mut self) -> Result<Option<usize>, Refused> {
        if !self.skip_empty_line()? {
            return Ok(None);
        }
        if self.scanner.is_at_start() {
            let at_once = self.parsed.parse_at_once(self.input.unread(), &self.limits)?;
            if at_once.is_some() {
                return Ok(at_once);
            }
        }
        let Some(head_len) = self.scanner.scan(self.input.unread_mut(), &self.limits)? else {
            return Ok(None);
        };
        self.parsed.parse(&self.input.unread()[..head_len])?;
        Ok(Some(head_len))
    }

    /// Skips one empty line before a request (RFC 9112, section 2.2). False: it may be one, and
    /// takes another byte to tell.
    fn skip_empty_line(&mut self) -> Result<bool, Refused> {
        if self.has_skipped_line || !self.scanner.is_at_start() {
            return Ok(true);
        }
        match self.input.unread() {
            [b'\r'] => Ok(false),
            [b'\r', b'\n', ..] => {
                self.has_skipped_line = true;
                self.input.consume(2);
                Ok(true)
            }
            [b'\r', ..] => Err(Refused::BareCarriageReturn),
            _ => Ok(true),
        }
    }

    fn poll_stream(&mut self) -> Event {
        let State::Streaming(reader) = &mut self.state else { return Event::Closed };
        let decoded = match reader.read(self.input.unread()) {
            Ok(decoded) => decoded,
            Err(refused) => return self.refuse(refused),
        };
        self.input.consume(decoded.consumed);
        if !decoded.is_complete {
            debug_assert!(self.input.is_empty(), "an unfinished body takes all there is");
            return self.starved();
        }
        if let State::Streaming(reader) = std::mem::replace(&mut self.state, State::Done) {
            self.state = State::Streamed(reader);
        }
        Event::Body
    }

    fn starved(&mut self) -> Event {
        if !self.has_input_ended {
            return Event::Starved;
        }
        self.state = State::Done;
        Event::Closed
    }

    fn refuse(&mut self, refused: Refused) -> Event {
        self.state = State::Done;
        self.is_closing = true;
        Event::Refused(refused)
    }
}

#[cfg(test)]
mod tests;
