//! What travels between cores: a run of session requests of one connection to their owner.
//!
//! A frame leaves with the requests, is answered in order by the owner's core straight into
//! its own output buffer, and goes home with it. The buffers stay with the frame, and the
//! frame with the core that sent it, so a forward allocates nothing once it is warm, and an
//! idle connection holds none. Small data is copied into the frame and from there into the
//! owner's memory; large data moves.

use std::borrow::Cow;
use std::ops::Range;

use crate::api::{Intent, Problem, Renderer, SessionCall};
use crate::http::Persistence;
use crate::journal::Wait;
use crate::metrics::RequestKind;
use crate::registry::{KeyOperation, KeyOutcome};
use crate::shard::{Action, Data, Operation};
use crate::types::{SessionId, ShardId};

/// Data up to this many bytes is copied when it is forwarded; the buffer it came in goes home.
const COPIED_BYTES_MAX: usize = 64 * 1024;
/// What a frame's buffers may keep between two forwards, in bytes each.
const KEPT_BYTES_MAX: usize = 64 * 1024;
/// Room for so many requests is kept between two forwards.
const KEPT_REQUESTS_MAX: usize = 64;

/// Where an answer is awaited: a place in its sender's table, and which use of that place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ticket {
    /// The place.
    pub(super) slot: u32,
    /// Grows each time the place is given away: an answer that comes too late finds another.
    pub(super) generation: u32,
}

impl Ticket {
    /// Of a frame for whose answer no place is reserved yet.
    pub(super) const NONE: Self = Self { slot: u32::MAX, generation: 0 };
}

/// Where the data of a forwarded request is.
#[derive(Debug)]
enum Payload {
    /// In the frame's `bytes`.
    Copied(Range<usize>),
    /// On its own.
    Moved(Vec<u8>),
}

/// One forwarded request.
#[derive(Debug)]
struct Forwarded {
    call: SessionCall,
    /// The session, also where it is yet to be made.
    id: SessionId,
    /// The data's media type, in the frame's `bytes`.
    content_type: Range<usize>,
    data: Payload,
}

/// A run of requests to one owner.
#[derive(Debug)]
pub struct Frame {
    /// The core that awaits the answers.
    pub sender: ShardId,
    /// Where it awaits them.
    pub ticket: Ticket,
    requests: Vec<Forwarded>,
    /// Media types and small data of all requests.
    bytes: Vec<u8>,
    /// The answers so far, in order.
    pub output: Vec<u8>,
    /// `0 <= answered <= requests.len()`
    answered: usize,
    /// Where the last whole answer ends: `0 <= whole <= output.len()`.
    whole: usize,
    /// What the owner's log must have reached before the answers may be told.
    pub(super) wait: Wait,
}

impl Frame {
    /// What the buffers of an empty frame may take, in bytes.
    pub(super) const KEPT_BYTES_MAX: usize = 2 * KEPT_BYTES_MAX + KEPT_REQUESTS_MAX * size_of::<Forwarded>();

    /// An empty frame of this core's.
    pub fn new(sender: ShardId) -> Self {
        let ticket = Ticket::NONE;
        let (requests, bytes, output) = (Vec::new(), Vec::new(), Vec::new());
        Self { sender, ticket, requests, bytes, output, answered: 0, whole: 0, wait: Wait::NONE }
    }

    /// Adds a request behind those that are there.
    pub(super) fn push(
        &mut self,
        call: SessionCall,
        id: SessionId,
        content_type: &[u8],
        data: Cow<'_, [u8]>,
    ) {
        let content_type = self.keep(content_type);
        let data = match data {
            Cow::Owned(data) if data.len() > COPIED_BYTES_MAX => Payload::Moved(data),
            data if data.len() > COPIED_BYTES_MAX => Payload::Moved(data.into_owned()),
            data => Payload::Copied(self.keep(&data)),
        };
        self.requests.push(Forwarded { call, id, content_type, data });
    }

    /// Whether requests are left that nobody has answered.
    pub(super) fn has_more(&self) -> bool {
        debug_assert!(self.answered <= self.requests.len());
        self.answered < self.requests.len()
    }

    /// Whether its owner has answered a part of it and stopped for lack of room.
    pub(super) fn is_resumed(&self) -> bool {
        self.answered > 0 && self.has_more()
    }

    /// Whether the answer that is due next has no body, whatever it will be.
    pub(super) fn omits_body(&self) -> bool {
        self.requests.get(self.answered).is_some_and(|request| request.call.reply.omit_body)
    }

    /// How many requests it carries, answered or not.
    pub(super) fn len(&self) -> usize {
        self.requests.len()
    }

    /// The next request that is due, marked as answered: its call and the operation it stands
    /// for.
    pub(super) fn next_operation(&mut self) -> Option<(&SessionCall, Operation<'_>, &mut Vec<u8>)> {
        let request = self.requests.get_mut(self.answered)?;
        self.answered += 1;
        self.whole = self.output.len();
        let bytes = match &mut request.data {
            Payload::Copied(range) => Cow::Borrowed(&self.bytes[range.clone()]),
            Payload::Moved(data) => Cow::Owned(std::mem::take(data)),
        };
        let data = Data { bytes, content_type: &self.bytes[request.content_type.clone()] };
        let operation = operation(&request.call, request.id, data);
        Some((&request.call, operation, &mut self.output))
    }

    /// Forgets an answer that a panic has cut off; its request counts as unanswered again.
    pub(super) fn drop_half_answer(&mut self) {
        self.output.truncate(self.whole);
        self.answered = self.answered.saturating_sub(1);
    }

    /// Whether its last request is the last of its connection.
    pub(super) fn closes(&self) -> bool {
        self.requests.last().is_some_and(|last| last.call.reply.persistence == Persistence::Close)
    }

    /// Answers everything that is left with the same problem.
    pub(super) fn refuse_rest(&mut self, problem: Problem, renderer: &Renderer<'_>) -> usize {
        let left = &self.requests[self.answered..];
        for request in left {
            renderer.problem(problem, &request.call.reply, &mut self.output);
        }
        let count = left.len();
        self.answered = self.requests.len();
        count
    }

    /// Makes it empty for its next use, and keeps its buffers unless they have grown large.
    pub(super) fn clear(&mut self) {
        self.requests.clear();
        self.requests.shrink_to(KEPT_REQUESTS_MAX);
        (self.answered, self.whole, self.wait) = (0, 0, Wait::NONE);
        for buffer in [&mut self.bytes, &mut self.output] {
            buffer.clear();
            buffer.shrink_to(KEPT_BYTES_MAX);
        }
    }

    fn keep(&mut self, piece: &[u8]) -> Range<usize> {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(piece);
        start..self.bytes.len()
    }
}

/// The operation that a call stands for, with its data.
pub(super) fn operation<'a>(call: &'a SessionCall, id: SessionId, data: Data<'a>) -> Operation<'a> {
    let action = match &call.intent {
        Intent::Create { own_ttl } => Action::Create { own_ttl: *own_ttl, data },
        Intent::Read { touch, conditions, .. } => Action::Read { touch: *touch, conditions },
        Intent::Update { own_ttl, conditions, .. } => Action::Update { own_ttl: *own_ttl, data, conditions },
        Intent::Delete { conditions, .. } => Action::Delete { conditions },
    };
    debug_assert!(named(&call.intent).is_none_or(|named| named == id));
    Operation { bucket: call.grant.bucket, id, action }
}

/// The session that an intent names; none where it is yet to be made.
pub(super) fn named(intent: &Intent) -> Option<SessionId> {
    match intent {
        Intent::Create { .. } => None,
        Intent::Read { id, .. } | Intent::Update { id, .. } | Intent::Delete { id, .. } => Some(*id),
    }
}

/// What the metrics count a call as.
pub(super) fn kind_of(intent: &Intent) -> RequestKind {
    match intent {
        Intent::Create { .. } => RequestKind::Create,
        Intent::Read { touch: true, .. } => RequestKind::Read,
        Intent::Read { touch: false, .. } => RequestKind::Peek,
        Intent::Update { .. } => RequestKind::Update,
        Intent::Delete { .. } => RequestKind::Delete,
    }
}

/// A question to the registry's authority, and on its way back the answer.
#[derive(Debug)]
pub struct KeyFrame {
    /// The core that awaits the answer.
    pub sender: ShardId,
    /// Where it awaits it.
    pub ticket: Ticket,
    /// What is asked.
    pub operation: KeyOperation,
    /// What came of it.
    pub outcome: Option<KeyOutcome>,
}

/// What a core asks of another, and gets back answered.
#[derive(Debug)]
pub enum Parcel {
    /// Requests to sessions.
    Sessions(Box<Frame>),
    /// A question about a key.
    Key(Box<KeyFrame>),
}

impl Parcel {
    /// The core that awaits the answer.
    pub fn sender(&self) -> ShardId {
        match self {
            Self::Sessions(frame) => frame.sender,
            Self::Key(frame) => frame.sender,
        }
    }

    /// Where it awaits it.
    pub fn ticket(&self) -> Ticket {
        match self {
            Self::Sessions(frame) => frame.ticket,
            Self::Key(frame) => frame.ticket,
        }
    }

    /// Notes where the answer is awaited.
    pub fn set_ticket(&mut self, ticket: Ticket) {
        match self {
            Self::Sessions(frame) => frame.ticket = ticket,
            Self::Key(frame) => frame.ticket = ticket,
        }
    }
}
