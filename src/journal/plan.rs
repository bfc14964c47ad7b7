//! One shard's sessions, as the log leaves them: which live, where they lie, until when.
//!
//! A plan is made from the surveys without any blob; then each segment's bytes come by once
//! more and yield the sessions whose newest whole record lies in them. What is yielded is
//! checked again, and its data is borrowed, so that it is copied once, into the store.

use std::sync::Arc;

use ahash::{AHashMap, AHashSet};

use super::record::{Entry, SessionImage, decode};
use super::seal::Salt;
use super::segment::{HeaderError, SegmentHeader};
use super::survey::{Change, Event};
use super::units::{JournalMillis, Position, SegmentNumber};
use crate::types::{BucketId, SessionId, Ttl, Version};

/// A session to be restored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RestoredSession<'b> {
    /// The session as its newest whole record has it; only the deadline there may be old.
    pub image: SessionImage<'b>,
    /// When it is gone: the logged deadline, but no later than one TTL after the boot.
    pub deadline: JournalMillis,
    /// The deadline with slack that the log is known to hold.
    pub logged_deadline: JournalMillis,
    /// The segment of its newest whole record.
    pub segment: SegmentNumber,
}

/// A record that was good when it was surveyed is not any more. The start ends: what the
/// medium says cannot be trusted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum LoadError {
    /// The header is another one now.
    #[error("a segment's header has changed since it was surveyed: {0}")]
    Header(#[from] HeaderError),
    /// The record is another one now.
    #[error("the record at {0} has changed since it was surveyed")]
    Record(Position),
}

/// What became of one shard's sessions.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Tally {
    /// Sessions that live on.
    pub live: u64,
    /// Sessions that became due while the process was down.
    pub due: u64,
    /// Sessions that are gone because their newest record is damaged.
    pub lost: u64,
    /// Sessions of buckets that the log does not know: no key could ever open them.
    pub orphaned: u64,
}

/// Where a session that lives lies.
#[derive(Clone, Copy, Debug)]
struct Row {
    at: Position,
    logged: Logged,
}

// README tells what a start takes: this stays until all sessions are loaded.
const _: () = assert!(size_of::<Row>() == 32);

/// A deadline as the log has it.
#[derive(Clone, Copy, Debug)]
enum Logged {
    /// From the newest whole record or touch.
    Known(JournalMillis),
    /// The newest touch is damaged: later than this one, nobody knows by how much.
    Later(JournalMillis),
}

/// A session while its events are gone through.
#[derive(Clone, Copy, Debug)]
struct State {
    bucket: BucketId,
    version: Version,
    at: Position,
    logged: Logged,
}

/// The sessions of a shard while events are gone through in file order.
#[derive(Default)]
pub(super) struct Fold {
    sessions: AHashMap<SessionId, State>,
    /// Sessions whose newest record is bad. None of them is in `sessions`.
    lost: AHashSet<SessionId>,
}

impl Fold {
    /// Room for the sessions that so many events speak of, so that the map does not grow in steps:
    /// half of a log that is cleaned in time is live.
    pub(super) fn for_events(events: usize) -> Self {
        Self { sessions: AHashMap::with_capacity(events / 2), lost: AHashSet::default() }
    }

    /// Takes in the next event. Older states never win over newer ones, and a deadline alone
    /// makes no session.
    pub(super) fn apply(&mut self, segment: SegmentNumber, event: &Event) {
        match event.change {
            Change::Whole { bucket, version, deadline } => {
                let at = Position { segment, offset: event.at };
                let state = State { bucket, version, at, logged: Logged::Known(deadline) };
                let known = self.sessions.entry(event.id).or_insert(state);
                if known.version <= version {
                    *known = state;
                }
                self.find(event.id);
            }
            Change::Touch { version, deadline } => self.touch(event.id, version, deadline),
            Change::Gone => {
                self.sessions.remove(&event.id);
                self.find(event.id);
            }
            Change::Lost => self.lose(event.id),
            Change::LostDeadline => {
                if let Some(State { logged, .. }) = self.sessions.get_mut(&event.id) {
                    let (Logged::Known(deadline) | Logged::Later(deadline)) = *logged;
                    *logged = Logged::Later(deadline);
                }
            }
        }
    }

    fn touch(&mut self, id: SessionId, version: Version, deadline: JournalMillis) {
        match self.sessions.get_mut(&id) {
            Some(state) if state.version == version => state.logged = Logged::Known(deadline),
            // The data that was touched is not here: a change was lost without a trace.
            Some(state) if state.version < version => self.lose(id),
            _ => {}
        }
    }

    fn lose(&mut self, id: SessionId) {
        self.sessions.remove(&id);
        self.lost.insert(id);
    }

    /// Something newer is known of a session that may have been lost.
    fn find(&mut self, id: SessionId) {
        // Nearly always there is nothing to find, and a look-up would cost each record.
        if !self.lost.is_empty() {
            self.lost.remove(&id);
        }
    }

    /// The plan for what is left: live sessions of known buckets.
    pub(super) fn finish(self, basis: &PlanBasis) -> Plan {
        let terms = basis.terms;
        let mut tally = Tally { lost: self.lost.len() as u64, ..Tally::default() };
        let mut rows = Vec::with_capacity(self.sessions.len());
        for state in self.sessions.into_values() {
            if !basis.buckets.contains(&state.bucket) {
                tally.orphaned += 1;
            // A deadline that is unknown is later than the one known: it is not judged by it.
            } else if matches!(state.logged, Logged::Known(deadline) if deadline <= terms.boot) {
                tally.due += 1;
            } else {
                rows.push(Row { at: state.at, logged: state.logged });
            }
        }
        // In the order of the log, so that each segment's bytes are gone through once, forward.
        tally.live = rows.len() as u64;
        rows.sort_unstable_by_key(|row| row.at);
        debug_assert!(rows.is_sorted_by(|one, next| one.at < next.at), "a record is one session's");
        Plan { rows, tally, terms }
    }
}

/// What all plans of a recovery go by.
#[derive(Clone, Copy, Debug)]
pub(super) struct PlanTerms {
    /// The boot, in journal time.
    pub(super) boot: JournalMillis,
    /// The TTL of sessions without their own.
    pub(super) session_ttl: Ttl,
}

/// What all plans of a recovery are made by.
#[derive(Debug)]
pub(super) struct PlanBasis {
    pub(super) terms: PlanTerms,
    /// Those that there are.
    pub(super) buckets: AHashSet<BucketId>,
}

/// What happened to one shard's sessions, for a plan.
#[derive(Debug)]
pub struct ShardEvents {
    /// In the order of the log.
    segments: Vec<(SegmentNumber, Vec<Event>)>,
    basis: Arc<PlanBasis>,
}

impl ShardEvents {
    pub(super) fn new(segments: Vec<(SegmentNumber, Vec<Event>)>, basis: Arc<PlanBasis>) -> Self {
        Self { segments, basis }
    }

    /// The shard's sessions. The events are gone behind it, each segment's as soon as it can be.
    pub fn plan(self) -> Plan {
        let mut fold = Fold::for_events(self.segments.iter().map(|(_, events)| events.len()).sum());
        for (number, events) in self.segments {
            events.iter().for_each(|event| fold.apply(number, event));
        }
        fold.finish(&self.basis)
    }
}

/// Where one shard's sessions lie.
#[derive(Debug)]
pub struct Plan {
    /// In the order of the log.
    rows: Vec<Row>,
    tally: Tally,
    terms: PlanTerms,
}

impl Plan {
    /// How many sessions live on, and how many do not and why.
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// The shard's sessions in this segment, whose file holds `bytes`, in the order of the log.
    /// Every segment is loaded once, in any order.
    pub fn load<'b>(
        &self,
        number: SegmentNumber,
        bytes: &'b [u8],
    ) -> Result<impl Iterator<Item = Result<RestoredSession<'b>, LoadError>>, LoadError> {
        let start = self.rows.partition_point(|row| row.at.segment < number);
        let len = self.rows[start..].partition_point(|row| row.at.segment == number);
        let rows = &self.rows[start..start + len];
        let header = SegmentHeader::decode(bytes, number);
        // A segment without a live session may have no header left, and needs none.
        let salt = if rows.is_empty() { Salt::from_random([0; 16]) } else { header?.salt };
        let terms = self.terms;
        Ok(rows.iter().map(move |row| restore(row, bytes, &salt, terms)))
    }
}

/// Reads and checks a session's record again, and settles its deadline.
fn restore<'b>(
    row: &Row,
    bytes: &'b [u8],
    salt: &Salt,
    terms: PlanTerms,
) -> Result<RestoredSession<'b>, LoadError> {
    let changed = LoadError::Record(row.at);
    let rest = bytes.get(row.at.offset.as_usize()..).ok_or(changed)?;
    let (record, _) = decode(rest, &salt.marks(row.at.offset)).map_err(|_| changed)?;
    let (Entry::Create(image) | Entry::Update(image)) = record.entry else { return Err(changed) };
    // Nobody was promised more than one TTL from the last touch, which was before the boot.
    let latest = terms.boot.after(image.own_ttl.unwrap_or(terms.session_ttl).as_millis());
    let (deadline, logged_deadline) = match row.logged {
        Logged::Known(deadline) => (deadline.min(latest), deadline),
        Logged::Later(earlier) => (latest, earlier),
    };
    Ok(RestoredSession { image, deadline, logged_deadline, segment: row.at.segment })
}
