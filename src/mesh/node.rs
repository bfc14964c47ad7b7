//! What one core owns, and what it does for itself and for others.
//!
//! A driver calls [`Node::begin_turn`] first in each turn, then lets conversations advance
//! and hands in what has come by mail ([`Node::serve`], [`Node::take_change`],
//! [`Node::take_acknowledgement`]; [`Node::note_request`] for a reply), calls [`Node::expire`] and [`Node::clean`], and at the end
//! [`Node::hand_over`]; then it sends off what [`Node::poll_mail`] yields. [`Node::tick`] belongs
//! to each tick of the core. What is done for the journal is in `node/keeping.rs`.

mod keeping;
mod parts;

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::frame::{self, Frame, KeyFrame, Parcel};
use super::transit::TransitPool;
use crate::api::{Judge, Problem, Renderer, SessionCall, Settings};
use crate::http::{DateCache, Status};
use crate::journal::Wait;
use crate::metrics::{CoreMetrics, RequestKind};
use crate::registry::{Authority, Change, Grant, RegistryVersion};
use crate::shard::{Applied, Data, Operation, Outcome, Pace, Refusal};
use crate::store::FORESEEN_MAX;
use crate::types::{ApiKeyBytes, Millis, Now, SessionId, ShardCount, ShardId};
use keeping::Keeping;
pub use parts::{NodeLimits, NodeParts, Random};

/// What an output buffer begins with, in bytes.
const BUFFER_BYTES: usize = 4 * 1024;
/// What an output buffer may have grown to and still be kept, in bytes.
const BUFFER_BYTES_KEPT: usize = 64 * 1024;
/// How many output buffers a core keeps for connections that have something to write.
const BUFFERS_KEPT_MAX: usize = 64;
/// How many frames a core keeps for connections that have something to forward.
const FRAMES_KEPT_MAX: usize = 64;

/// What one core sends another.
#[derive(Debug)]
pub enum Mail {
    /// The answer to what the other asked.
    Reply(Parcel),
    /// A change of the registry, to be acknowledged.
    Change(Change),
    /// The acknowledgement of a change.
    Acknowledgement(RegistryVersion),
}

/// Requests of one turn for each step of expiry in it, …
const REQUESTS_PER_EXPIRY_STEP: usize = 2;
/// … as long as it is not behind by this: what is due takes memory that others may wait for.
const EXPIRY_LAG_MAX: Millis = Millis::from_secs(5);

/// A core's own state.
pub struct Node {
    parts: NodeParts,
    /// On the first core alone.
    authority: Option<Authority<Box<KeyFrame>>>,
    keeping: Keeping,
    date: DateCache,
    now: Now,
    /// Sessions that were made before this turn.
    created_before: u64,
    /// How much of what nobody waits for this turn may do.
    pace: Pace,
    is_draining: bool,
    outbox: VecDeque<(ShardId, Mail)>,
    /// Empty output buffers that no connection holds, warm.
    buffers: Vec<Vec<u8>>,
    /// Empty frames that no connection holds, warm.
    #[expect(clippy::vec_box, reason = "frames travel as pointers, and so they are kept")]
    frames: Vec<Box<Frame>>,
}

impl Node {
    /// The most memory that a core keeps in empty buffers and frames, in bytes.
    pub const KEPT_BYTES_MAX: usize =
        BUFFERS_KEPT_MAX * BUFFER_BYTES_KEPT + FRAMES_KEPT_MAX * Frame::KEPT_BYTES_MAX;

    /// A node of these parts. The first shard's core holds the registry's authority.
    pub fn new(mut parts: NodeParts) -> Self {
        let others = parts.owners.shards().get() - 1;
        parts.replica.restore(&parts.buckets.states);
        let authority = (parts.here == ShardId::FIRST).then(|| Authority::over(others, &parts.buckets));
        Self {
            parts,
            authority,
            keeping: Keeping::default(),
            date: DateCache::new(),
            now: Now::default(),
            created_before: 0,
            pace: Pace::IDLE,
            is_draining: false,
            outbox: VecDeque::new(),
            buffers: Vec::new(),
            frames: Vec::new(),
        }
    }

    /// The shard that this core owns.
    pub fn here(&self) -> ShardId {
        self.parts.here
    }

    /// How many shards there are.
    pub fn shards(&self) -> ShardCount {
        self.parts.owners.shards()
    }

    /// The present, as this turn has it.
    pub fn now(&self) -> Now {
        self.now
    }

    /// Where it counts what it does.
    pub fn metrics(&self) -> &CoreMetrics {
        &self.parts.metrics
    }

    /// How much is done at once.
    pub fn limits(&self) -> NodeLimits {
        self.parts.limits
    }

    /// Sets the time of everything that follows. Time never goes back.
    pub fn begin_turn(&mut self, now: Now) {
        debug_assert!(now.moment >= self.now.moment, "the monotonic clock goes forward");
        self.now = now;
        self.created_before = self.parts.shard.counters().created;
        self.pace = Pace::IDLE;
        self.date.update(now.wall);
        if let Some(journal) = self.parts.shard.journal() {
            journal.withdraw();
        }
    }

    /// From now on each connection closes after its next answer.
    pub fn drain(&mut self) {
        self.is_draining = true;
    }

    /// Publishes this shard's load, looks at the others', and shows both in the metrics.
    pub fn tick(&mut self) {
        let NodeParts { shard, placement, metrics, .. } = &mut self.parts;
        placement.refresh(shard.len(), shard.bytes());
        metrics.show_store(shard.len(), shard.bytes());
        let counters = shard.counters();
        metrics.show_sessions_so_far(counters.created, counters.removed, counters.expired);
        metrics.show_expiry_lag(shard.lag(self.now.moment));
        self.tell_journal();
    }

    /// A request has come, or an answer that somebody waits for: the turn does less beside it.
    pub fn note_request(&mut self) {
        self.pace.note();
    }

    /// Expires what is due, at most `budget` steps of work at the turn's pace, or four for each session
    /// that was made in this turn: some are filed again before they end. Says whether more is.
    pub fn expire(&mut self, budget: usize) -> bool {
        let made = self.parts.shard.counters().created.saturating_sub(self.created_before);
        let is_late = self.parts.shard.lag(self.now.moment) >= EXPIRY_LAG_MAX;
        let pace = if is_late { Pace::IDLE } else { self.pace };
        let steps = pace.piece(budget, REQUESTS_PER_EXPIRY_STEP).max(4 * made as usize);
        self.parts.shard.advance(self.now.moment, steps).more_due
    }

    /// Does what another core asks, and puts the answer into the mail.
    pub fn serve(&mut self, parcel: Parcel) {
        match parcel {
            Parcel::Sessions(frame) => {
                self.parts.metrics.forward_served();
                let frame = self.serve_frame(frame);
                self.outbox.push_back((frame.sender, Mail::Reply(Parcel::Sessions(frame))));
            }
            Parcel::Key(frame) => self.ask_authority(frame),
        }
    }

    /// Takes a change of the registry over and acknowledges it.
    pub fn take_change(&mut self, change: &Change) {
        debug_assert!(self.authority.is_none(), "the authority makes changes, it gets none");
        self.parts.replica.apply(change);
        self.outbox.push_back((ShardId::FIRST, Mail::Acknowledgement(change.version)));
    }

    /// Another core has taken a change over.
    pub fn take_acknowledgement(&mut self, version: RegistryVersion) {
        if let Some(authority) = &mut self.authority {
            authority.acknowledge(&self.parts.replica, version);
        }
        self.send_key_mail();
    }

    /// The next piece of mail to send off, and to whom. May be this core itself.
    pub fn poll_mail(&mut self) -> Option<(ShardId, Mail)> {
        self.outbox.pop_front()
    }

    /// Judges heads as of now.
    pub(super) fn judge(&self) -> Judge<'_> {
        Judge { settings: &self.parts.settings, replica: &self.parts.replica, is_draining: self.is_draining }
    }

    /// An empty output buffer.
    pub(super) fn lend_buffer(&mut self) -> Vec<u8> {
        self.buffers.pop().unwrap_or_else(|| Vec::with_capacity(BUFFER_BYTES))
    }

    /// Takes a buffer back, unless it has grown large or there are enough of them.
    pub(super) fn take_buffer_back(&mut self, buffer: Vec<u8>) {
        debug_assert!(buffer.is_empty(), "what was not written is not given back");
        if (1..=BUFFER_BYTES_KEPT).contains(&buffer.capacity()) && self.buffers.len() < BUFFERS_KEPT_MAX {
            self.buffers.push(buffer);
        }
    }

    /// An empty frame of this core's.
    pub(super) fn lend_frame(&mut self) -> Box<Frame> {
        let here = self.parts.here;
        self.frames.pop().unwrap_or_else(|| Box::new(Frame::new(here)))
    }

    /// Takes a frame back whose answers were taken, unless there are enough of them.
    pub(super) fn take_frame_back(&mut self, mut frame: Box<Frame>) {
        debug_assert_eq!(frame.sender, self.parts.here, "a frame goes home");
        if self.frames.len() < FRAMES_KEPT_MAX {
            frame.clear();
            self.frames.push(frame);
        }
    }

    /// Writes responses as of now.
    pub(super) fn renderer(&self) -> Renderer<'_> {
        Renderer { date: &self.date, now: self.now }
    }

    /// Whether the key that was judged with the head is still good.
    pub(super) fn is_current(&self, grant: Grant) -> bool {
        self.parts.replica.is_current(grant)
    }

    pub(super) fn is_draining(&self) -> bool {
        self.is_draining
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.parts.settings
    }

    pub(super) fn transit(&self) -> TransitPool {
        self.parts.transit.clone()
    }

    pub(super) fn key_bytes(&mut self) -> ApiKeyBytes {
        self.parts.random.key_bytes()
    }

    pub(super) fn count(&self, kind: RequestKind, status: Status) {
        self.parts.metrics.request_answered(kind, status.code());
    }

    /// The shard that a call goes to: its session's owner, or where a new session should go.
    pub(super) fn owner(&mut self, call: &SessionCall) -> ShardId {
        match frame::named(&call.intent) {
            Some(id) => self.parts.owners.owner_of(id),
            None => self.parts.placement.choose(self.parts.shard.len(), self.parts.shard.bytes()),
        }
    }

    /// The session that a call is about; a new one's id is drawn so that `owner` owns it.
    pub(super) fn id_for(&mut self, call: &SessionCall, owner: ShardId) -> SessionId {
        frame::named(&call.intent).unwrap_or_else(|| {
            let random = self.parts.random.id_bytes();
            self.parts.owners.id_owned_by(owner, random)
        })
    }

    /// Looks at sessions that the next requests seem to be about, as far as this shard owns them.
    pub(super) fn foresee(&self, ids: impl Iterator<Item = SessionId>) {
        let mut foreseen = [SessionId::from_bytes([0; 16]); FORESEEN_MAX];
        let owned = ids.filter(|id| self.parts.owners.owner_of(*id) == self.parts.here);
        let count = foreseen.iter_mut().zip(owned).map(|(place, id)| *place = id).count();
        self.parts.shard.foresee(&foreseen[..count]);
        record_foreseen(&foreseen[..count]);
    }

    /// Does a call to a session of this shard, and appends the answer to `out`. What this shard's
    /// log must have reached before it is told.
    pub(super) fn answer(
        &mut self,
        call: &SessionCall,
        id: SessionId,
        data: Data<'_>,
        out: &mut Vec<u8>,
    ) -> Wait {
        let operation = frame::operation(call, id, data);
        self.perform(call, operation, out)
    }

    fn serve_frame(&mut self, mut frame: Box<Frame>) -> Box<Frame> {
        let served = catch_unwind(AssertUnwindSafe(|| {
            while frame.output.len() < self.parts.limits.output_bytes_max {
                let Some((call, operation, out)) = frame.next_operation() else { break };
                self.pace.note();
                let wait = self.perform(call, operation, out);
                frame.wait = frame.wait.and(wait);
            }
        }));
        if served.is_err() {
            self.parts.metrics.panic_caught();
            frame.drop_half_answer();
            let renderer = Renderer { date: &self.date, now: self.now };
            frame.refuse_rest(Problem::Internal, &renderer);
        }
        frame
    }

    fn perform(&mut self, call: &SessionCall, operation: Operation<'_>, out: &mut Vec<u8>) -> Wait {
        let parts = &mut self.parts;
        debug_assert_eq!(parts.owners.owner_of(operation.id), parts.here);
        let renderer = Renderer { date: &self.date, now: self.now };
        let kind = frame::kind_of(&call.intent);
        let id = operation.id;
        // The key was judged when the head came; a revocation since then counts.
        let Applied { outcome, wait } = if parts.replica.is_current(call.grant) {
            parts.shard.apply(self.now.moment, operation)
        } else {
            Applied { outcome: Outcome::Refused(Refusal::KeyChanged), wait: Wait::NONE }
        };
        let status = renderer.outcome(&outcome, &call.reply, out);
        // Tells sessions apart by a hash that is keyed for this process, and never by their ids.
        log::debug!("{kind:?} {:08x}: {}", parts.owners.hasher().hash(id) >> 32, status.code());
        parts.metrics.request_answered(kind, status.code());
        wait
    }

    fn ask_authority(&mut self, frame: Box<KeyFrame>) {
        debug_assert!(self.authority.is_some(), "keys are asked of the first core");
        if let Some(authority) = &mut self.authority {
            authority.receive(&self.parts.replica, frame.operation, frame);
        }
        self.send_key_mail();
    }

    /// Has the authority's changes kept, hands them to all other cores, and its answers to those
    /// who asked.
    fn send_key_mail(&mut self) {
        self.keep_changes();
        let Some(authority) = &mut self.authority else { return };
        while let Some(change) = authority.poll_change() {
            for shard in self.parts.owners.shards().shards().skip(1) {
                self.outbox.push_back((shard, Mail::Change(change)));
            }
        }
        while let Some((mut frame, outcome)) = authority.poll_answer() {
            log::debug!("key of bucket {}: {outcome:?}", frame.operation.bucket);
            frame.outcome = Some(outcome);
            self.outbox.push_back((frame.sender, Mail::Reply(Parcel::Key(frame))));
        }
    }
}

#[cfg(not(test))]
fn record_foreseen(_ids: &[SessionId]) {}

#[cfg(test)]
fn record_foreseen(ids: &[SessionId]) {
    FORESEEN.with_borrow_mut(|foreseen| foreseen.extend(ids));
}

#[cfg(test)]
thread_local! {
    /// The sessions that this thread's nodes have looked at ahead of their requests.
    pub(super) static FORESEEN: std::cell::RefCell<Vec<SessionId>> = const { std::cell::RefCell::new(Vec::new()) };
}
