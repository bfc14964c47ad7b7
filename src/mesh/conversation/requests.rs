//! What a conversation does with one request: judge its head, take its body, answer or hand on.
//!
//! A refusal keeps the connection where the rest of the request can be skipped cheaply, and
//! only by what its head says: how the bytes were cut on their way changes nothing. What
//! must answer at once waits for the run before it.

use std::borrow::Cow;

use super::super::frame::{KeyFrame, Parcel, Ticket};
use super::super::node::Node;
use super::{Away, Conversation, Next};
use crate::api::{Call, Problem, SessionCall, session_at_end};
use crate::http::{BodyLength, BodyPlan, ContinueDue, Event, INTERIM_CONTINUE, Persistence};
use crate::metrics::RequestKind;
use crate::shard::Data;
use crate::store::FORESEEN_MAX;
use crate::types::ShardId;

/// The body of a refused request is skipped up to this many bytes; past it the connection closes.
const SKIPPED_BODY_BYTES_MAX: u64 = 64 * 1024;

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

impl Conversation {
    /// Judges and answers one request, or says what has to come before.
    pub(super) fn take_request(&mut self, node: &mut Node) -> Option<Next> {
        if self.breach.is_some() {
            return self.answer_breach(node);
        }
        loop {
            match self.http.poll() {
                Event::Head => match self.take_head(node) {
                    Taken::Refused => return None,
                    Taken::Accepted => {}
                    Taken::NotYet => return Some(self.send_run()),
                },
                Event::Body => return self.take_body(node),
                Event::Refused(refused) => {
                    self.breach = Some(refused);
                    return self.answer_breach(node);
                }
                _ if self.run.is_some() => return Some(self.send_run()),
                Event::Starved => return Some(self.starve(node)),
                Event::Closed => {
                    self.close(false);
                    return None;
                }
            }
        }
    }

    /// Answers a breach of the protocol, behind whatever is owed from before, and that was it.
    fn answer_breach(&mut self, node: &Node) -> Option<Next> {
        if self.run.is_some() {
            return Some(self.send_run());
        }
        if let Some(refused) = self.breach.take() {
            let problem = Problem::of_refused(refused, node.settings().payload_bytes_max());
            self.refuse(node, problem, &self.farewell());
            self.close(true);
        }
        None
    }

    /// Has a look at the sessions that requests behind this one name: once for each lot of them.
    /// Only whoever has shown a key may cause it: how long it takes depends on what is there.
    fn foresee(&mut self, node: &Node) {
        if self.foreseen > 0 {
            self.foreseen -= 1;
            return;
        }
        let mut paths = self.http.paths_ahead().take(FORESEEN_MAX);
        let Some(first) = paths.next() else { return };
        let mut count = 0;
        let paths = std::iter::once(first).chain(paths).inspect(|_| count += 1);
        node.foresee(paths.filter_map(session_at_end));
        self.foreseen = count;
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
                if matches!(call, Call::Session(_)) {
                    self.foresee(node);
                }
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
                self.foreseen = 0;
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
                node.note_request();
                Taken::Refused
            }
        }
    }

    /// Answers a request whose body is complete, or hands it on.
    fn take_body(&mut self, node: &mut Node) -> Option<Next> {
        node.note_request();
        let mut call = self.call.take();
        if let Some(call) = call.as_mut().filter(|_| node.is_draining()) {
            call.reply_mut().persistence = Persistence::Close;
        }
        match call {
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
            let wait = node.answer(&call, id, data, &mut self.output);
            self.waits.add(owner, wait);
        } else {
            let run = self.run.take().map(|(_, frame)| frame);
            let mut frame = run.unwrap_or_else(|| node.lend_frame());
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
}
